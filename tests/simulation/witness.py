"""What the world has seen become durable, and what everyone else must therefore agree with.

The witness is told of entries by the disk, at the moment of their fsync, and of answers by the network. It folds the
log by itself. Nothing that a process says of itself is believed: acknowledgements, frames, replicas and views are held
against the fold.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.v1.common_pb2 import OP_DELETE
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import unpack
from sp00ky.proto.whole.scope import Indexed, Source

from tests.simulation.kernel import Violation
from tests.simulation.statements import ModelTables

Versions = list[tuple[int, bytes | None]]


class Witness:
    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.lasts: list[bool] = []
        self.tables: dict[str, dict[bytes, Versions]] = {}
        self.keys: dict[str, int] = {}  # idempotency key → seq
        self.acked_seq = 0
        self.acks = 0
        self.commands: Counter[str] = Counter()
        self._epoch = 0
        self._transaction = 0
        self._sources: dict[tuple[int, int], int] = {}  # stamp → transaction of the log
        self._stamps: dict[tuple[str, bytes], tuple[int, int]] = {}
        self._key_transactions: dict[str, int] = {}

    @property
    def head(self) -> int:
        return len(self.entries)

    # --- told ---

    def durable(self, entries: Sequence[common_pb2.Entry]) -> None:
        for entry in entries:
            if entry.seq != self.head + 1:
                raise Violation(f"entry {entry.seq} became durable after entry {self.head}: seqs are not gapless")
            if entry.epoch < self._epoch:
                raise Violation(f"entry {entry.seq} of epoch {entry.epoch} follows one of epoch {self._epoch}")
            self._epoch = entry.epoch
            self.entries.append(entry.SerializeToString())
            self.lasts.append(entry.txn_last)
            body = entry.WhichOneof("body")
            if body == "change":
                self._change(entry.seq, entry.change)
            elif body == "view_assigned":
                assigned = entry.view_assigned
                how = (
                    "beside its owner" if assigned.handing_over_ssp_id else "fencing" if assigned.fence_ssp_ids else ""
                )
                self.commands[f"assigned {how}".strip()] += 1
            else:
                self.commands[body] += 1
            self._transaction += entry.txn_last

    def _change(self, seq: int, change: common_pb2.Change) -> None:
        key = change.idempotency_key
        if key:
            if key in self.keys:
                raise Violation(f"idempotency key {key} was applied at {self.keys[key]} and again at {seq}")
            self.keys[key] = seq
            self._key_transactions[key] = self._transaction
        if change.HasField("source"):
            self._sourced(seq, change)
        else:
            self._stamps.pop((change.table, change.key), None)  # it was compared: what it is of is not known
        packed = None if change.op == OP_DELETE else change.packed
        self.tables.setdefault(change.table, {}).setdefault(change.key, []).append((seq, packed))

    def _sourced(self, seq: int, change: common_pb2.Change) -> None:
        stamp = (change.source.epoch, change.source.stamp)
        record = (change.table, change.key)
        if self._sources.setdefault(stamp, self._transaction) != self._transaction:
            raise Violation(f"the source transaction {stamp} is torn over two transactions of the log, at {seq}")
        if self._stamps.get(record, (0, 0)) >= stamp:
            raise Violation(
                f"entry {seq} folds stamp {stamp} of {record} over {self._stamps[record]}: redelivered or out of order"
            )
        self._stamps[record] = stamp

    def acknowledged(self, seq: int, keys: Sequence[str] = (), *, atomic: bool = False) -> None:
        """Somebody was told that `seq` is durable, and that these keys are applied at or below it."""
        self.acks += 1
        if seq > self.head:
            raise Violation(f"seq {seq} was acknowledged, durable is {self.head}")
        self.acked_seq = max(self.acked_seq, seq)
        for key in keys:
            if self.keys.get(key, seq + 1) > seq:
                raise Violation(f"key {key} was acknowledged at {seq}, and is at {self.keys.get(key, 'none')}")
        if atomic and len({self._key_transactions[key] for key in keys}) > 1:
            raise Violation(f"the batch of {keys[0]} is torn over transactions")

    def shown(self, seq: int, what: str) -> None:
        if seq > self.head:
            raise Violation(f"{what} names seq {seq}, durable is {self.head}")

    # --- asked ---

    def is_last(self, seq: int) -> bool:
        return seq == 0 or (seq <= self.head and self.lasts[seq - 1])

    def last_before(self, seq: int) -> int:
        """The last entry of a transaction at or before `seq`."""
        while not self.is_last(seq):
            seq -= 1
        return seq

    def rows(self, table: str, at: int) -> dict[bytes, tuple[bytes, int]]:
        """Packed key → packed record and its version, at a revision."""
        found: dict[bytes, tuple[bytes, int]] = {}
        for key, versions in self.tables.get(table, {}).items():
            index = bisect_right(versions, at, key=_seq) - 1
            if index >= 0:
                seq, packed = versions[index]
                if packed is not None:
                    found[key] = (packed, seq)
        return found

    def version_at(self, record: RecordId, packed_key: bytes, at: int) -> tuple[int, bytes | None]:
        versions = self.tables.get(record.table, {}).get(packed_key, [])
        index = bisect_right(versions, at, key=_seq) - 1
        return versions[index] if index >= 0 else (0, None)

    def source(self, at: int, tables: Sequence[str]) -> Source:
        """The tables at a revision, for the evaluator."""
        return Indexed(ModelTables({table: self.records(table, at) for table in tables}))

    def records(self, table: str, at: int) -> dict[Value, dict[str, Value]]:
        records = (unpacked(packed) for packed, _ in self.rows(table, at).values())
        return {record["id"].key: record for record in records}

    def check_log(self, log: Sequence[bytes], first_seq: int) -> None:
        """A store's log, after recovery: it continues what was durable, and has not lost any of it."""
        known = self.entries[first_seq - 1 :]
        if len(log) < len(known):
            raise Violation(f"the store lost entries: it ends at {first_seq + len(log) - 1}, durable was {self.head}")
        if list(log[: len(known)]) != known:
            raise Violation("the store's log is not what was durable")


def _seq(version: tuple[int, bytes | None]) -> int:
    return version[0]


_unpacked: dict[bytes, dict[str, Value]] = {}


def unpacked(packed: bytes) -> dict[str, Value]:
    """Remembered: there are few distinct records."""
    record = _unpacked.get(packed)
    if record is None:
        if len(_unpacked) > 50_000:
            _unpacked.clear()
        record = _unpacked[packed] = unpack(packed)
    return record
