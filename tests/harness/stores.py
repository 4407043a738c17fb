"""Writing to a datastore without a scheduler, and reading all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Revision, Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.datastore.datastore import Append, Datastore, MetaWrite, PinWrite, Row, RowWrite

Write = tuple[str, bytes, bytes | None]


class Writer:
    """Appends transactions with consecutive seqs under an epoch of its own."""

    def __init__(self, store: Datastore) -> None:
        self.store = store
        self.epoch = store.take_epoch()

    def write(self, *writes: Write, meta: Sequence[MetaWrite] = (), stamp: tuple[int, int] = (0, 0)) -> Seq:
        head = self.store.head_seq
        self.store.append(self.prepare(writes, head, meta, stamp))
        return self.store.head_seq

    def prepare(
        self, writes: Sequence[Write], head: Seq, meta: Sequence[MetaWrite] = (), stamp: tuple[int, int] = (0, 0)
    ) -> Append:
        entries, rows = [], []
        for index, (table, key, packed) in enumerate(writes):
            seq = Seq(head + 1 + index)
            op = common_pb2.OP_UPDATE if packed is not None else common_pb2.OP_DELETE
            change = common_pb2.Change(table=table, op=op, key=key, packed=packed)
            entries.append(
                common_pb2.Entry(seq=seq, epoch=self.epoch, txn_last=index == len(writes) - 1, change=change)
            )
            rows.append(RowWrite(table, key, packed, seq, stamp))
        return Append(self.epoch, head, entries, rows, meta)

    def pin(self, owner: str, at: Seq | None, ttl_ms: int = 60_000) -> None:
        pins = [PinWrite(owner, at, ttl_ms)]
        self.store.append(Append(self.epoch, self.store.head_seq, (), (), pins=pins))

    def token(self, seq: int) -> str:
        return str(Revision(self.store.store_id, self.epoch, Seq(seq)))


def entries_of(page: Sequence[bytes]) -> list[common_pb2.Entry]:
    return [common_pb2.Entry.FromString(data) for data in page]


def scan_all(store: Datastore, table: str, at: Seq, limit: int = 1000) -> list[Row]:
    rows: list[Row] = []
    while page := store.scan(table, at, rows[-1].key if rows else b"", limit):
        assert len(page) <= limit
        rows += page
    return rows


def fault_code(call: Callable[[], object]) -> Code:
    with pytest.raises(Fault) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value.code


class Clock:
    """Milliseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def collect_all(store: Datastore, stamps_from: tuple[int, int] | None = None, entries_max: int = 64) -> int:
    """Every slice there is; how many versions went."""
    versions = 0
    while True:
        done = store.collect(entries_max, stamps_from)
        versions += done.versions
        if done.is_done:
            return versions


def state_at(store: Datastore, at: Seq) -> dict[str, list[Row]]:
    """Everything readable at a revision."""
    return {table: scan_all(store, table, at) for table in store.tables(at)}
