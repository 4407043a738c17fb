"""Entries in, whole transactions out: nothing is applied in part, twice, or after a gap.

Frames may end inside a transaction that is larger than a frame; its beginning is held until its `txn_last` arrives.
What a frame completes is stepped at once: per table and record only the last change counts, since a state between two
transactions of one frame is seen by nobody.

Invariant: `applied_seq ≤ received_seq`, both only grow, every seq in between is held in `_tail`, once, in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2
from sp00ky.ssp.circuit.arrangement import NetChange

SCHEMA_TABLE = "_00_schema"
_SYSTEM_PREFIX = "_00_"
_DELETE = common_pb2.OP_DELETE


@dataclass(slots=True)
class Batch:
    """The net effect of whole transactions, and the commands among them in order."""

    first_seq: int
    last_seq: int
    tables: dict[str, dict[bytes, NetChange]] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)  # table → seqs of its first and last change
    commands: list[common_pb2.Entry] = field(default_factory=list)


class Transactions:
    """The engine's place in the log."""

    def __init__(self, applied_seq: int = 0) -> None:
        self.applied_seq = applied_seq
        self.received_seq = applied_seq
        self._tail: list[common_pb2.Entry] = []

    def reset_to(self, seq: int) -> None:
        """Start at `seq`, knowing nothing of what came before."""
        self.applied_seq = self.received_seq = seq
        self._tail = []

    def resume(self) -> None:
        """A new stream sends everything after `applied_seq` again."""
        self.reset_to(self.applied_seq)

    def accept(self, entries: Iterable[common_pb2.Entry]) -> Batch | None:
        """The transactions that these entries complete. Raises Fault DATA_LOSS at a gap, and then takes nothing."""
        expected = self.received_seq + 1
        held = list(self._tail)
        complete = 0
        for entry in entries:
            seq = entry.seq
            if seq < expected:
                continue
            if seq > expected:
                raise Fault(
                    Code.DATA_LOSS,
                    f"stream skipped from entry {expected - 1} to {seq}",
                    "the stream is opened again and resumes where it broke",
                )
            expected += 1
            held.append(entry)
            if entry.txn_last:
                complete = len(held)
        self.received_seq = expected - 1
        self._tail = held[complete:]
        if not complete:
            return None
        batch = _net(held[:complete])
        self.applied_seq = batch.last_seq
        return batch


def _net(entries: list[common_pb2.Entry]) -> Batch:
    batch = Batch(entries[0].seq, entries[-1].seq)
    tables: dict[str, dict[bytes, NetChange] | None] = {}  # None: a table that is no user's
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for entry in entries:
        change = entry.change
        table = change.table
        if not table:
            batch.commands.append(entry)
            continue
        seq = entry.seq
        if table not in tables:
            tables[table] = None if table.startswith(_SYSTEM_PREFIX) and table != SCHEMA_TABLE else {}
            first[table] = seq
        changes = tables[table]
        if changes is not None:
            changes[change.key] = (None if change.op == _DELETE else change.packed, seq)
            last[table] = seq
    for table, net in tables.items():
        if net is not None:
            batch.tables[table] = net
            batch.spans[table] = (first[table], last[table])
    return batch
