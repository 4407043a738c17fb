"""From feed rows to offered transactions: what to leave out, what to doubt, what to compare again.

A change is left out if its table keeps nothing, is derived (compared as a whole, since the feed does not show it), or
its stamp is not newer than its row's (delivered before a restart). A change whose account of the record before it is
not what the replica has makes the record a *suspect*: it is read again after the next sweep, and a difference that is
left then is logged as a repair. So does a change from before a restart of a record that a comparison wrote, and that
hence has no stamp to tell whether it already holds the change.

Invariant: an offer returns durable or raises, and nothing is marked as seen before; a transaction that the sink refuses
for its content is named, counted and passed over, and stops no other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.capture.feed import Before, FeedChange, FeedRow, net_changes
from sp00ky.scheduler.capture.schema import Schema, fed_by
from sp00ky.scheduler.capture.sink import Sink
from sp00ky.scheduler.datastore.datastore import MetaWrite

OFFER_CHANGES_MAX: Final = 1000
SUSPECTS_MAX: Final = 10_000
_UNSOURCED = (0, 0)
_OWN_FAULT = frozenset({Code.INVALID, Code.TOO_LARGE})

log = logging.getLogger(__name__)

Transaction = Sequence[common_pb2.Change]


class Offering:
    """`suspects`: (table, packed key) to read again; `stale`: tables to compare as a whole; `unknown_tables`: seen
    since the schema was read, and not in it."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.schema: Schema = {}
        self.suspects: set[tuple[str, bytes]] = set()
        self.stale: set[str] = set()
        self.everything_stale = False
        self.unknown_tables: set[str] = set()
        self.resumed_stamp = 0  # of the progress found at start: what is not newer may be in the replica already
        self.changes = 0
        self.repairs = 0
        self.poisoned = 0

    @property
    def needs_whole_read(self) -> bool:
        """A table was seen that the schema does not know, a record is in doubt, or the feed could not be read whole."""
        return bool(self.unknown_tables or self.suspects or self.everything_stale)

    async def offer_rows(
        self, rows: Sequence[FeedRow], source_epoch: int, meta: Sequence[MetaWrite], checked: bool
    ) -> bool:
        """Offer what of these rows counts, with `meta` in the last call; whether anything did.

        `checked`: compare what each change says was before it with the replica."""
        pending: dict[tuple[str, bytes], bytes | None] = {}  # what these rows make of the replica
        transactions = []
        for row in rows:
            for reason in row.poison:
                self._pass_over(f"change in feed row {row.stamp}", reason)
            transaction = self._transaction(row, source_epoch, pending if checked else None)
            if transaction:
                transactions.append(transaction)
        if transactions:
            await self.offer(transactions, meta)
        return bool(transactions)

    async def offer(self, transactions: Sequence[Transaction], meta: Sequence[MetaWrite] = ()) -> None:
        """In calls of at most `OFFER_CHANGES_MAX` changes, but never less than a transaction."""
        group: list[Transaction] = []
        size = 0
        for transaction in transactions:
            if group and size + len(transaction) > OFFER_CHANGES_MAX:
                await self._offer_group(group, ())
                group, size = [], 0
            group.append(transaction)
            size += len(transaction)
        await self._offer_group(group, meta)

    async def _offer_group(self, group: Sequence[Transaction], meta: Sequence[MetaWrite]) -> None:
        try:
            await self.sink.offer_transactions(group, meta)
            self.changes += sum(map(len, group))
        except Fault as fault:
            if fault.code not in _OWN_FAULT or not group:
                raise
            if len(group) == 1:
                tables = sorted({change.table for change in group[0]})
                self._pass_over(f"transaction over {', '.join(tables)}", str(fault))
                await self._offer_group((), meta)
                return
            half = len(group) // 2
            await self._offer_group(group[:half], ())
            await self._offer_group(group[half:], meta)

    def _transaction(
        self, row: FeedRow, source_epoch: int, pending: dict[tuple[str, bytes], bytes | None] | None
    ) -> list[common_pb2.Change]:
        source = common_pb2.Source(epoch=source_epoch, stamp=row.stamp)
        transaction = []
        for change in net_changes(row.changes):
            table = self.schema.get(change.table)
            if table is None:
                if change.table not in self.unknown_tables and self.sink.store.count(change.table):
                    self.stale.add(change.table)  # its rows so far did not come from the database
                self.unknown_tables.add(change.table)
            elif table.dropped:
                continue
            elif table.derived:
                self.stale.add(change.table)
                continue
            record = (change.table, change.key)
            known = self.sink.store.stamp_of(*record)
            if known >= (source_epoch, row.stamp):
                continue
            if known == _UNSOURCED and row.stamp <= self.resumed_stamp:
                self._doubt(record)
                continue
            if pending is not None:
                if not self._agrees(change, pending):
                    self._doubt(record)
                pending[record] = change.packed
            transaction.append(_as_change(change, source))
        self.stale |= fed_by(self.schema, {change.table for change in transaction})
        return transaction

    def _agrees(self, change: FeedChange, pending: dict[tuple[str, bytes], bytes | None]) -> bool:
        record = (change.table, change.key)
        if change.before is Before.UNKNOWN:
            return True
        if record in pending:
            packed = pending[record]
        else:
            row = self.sink.store.get(*record)
            packed = None if row is None else row.packed
        if change.before is Before.ABSENT:
            return packed is None
        return packed is not None if change.before is Before.PRESENT else packed == change.original

    def _doubt(self, record: tuple[str, bytes]) -> None:
        if len(self.suspects) < SUSPECTS_MAX:
            self.suspects.add(record)
        else:
            self.stale.add(record[0])

    def _pass_over(self, what: str, reason: str) -> None:
        self.poisoned += 1
        log.error("%s is passed over: %s", what, reason)


def _as_change(change: FeedChange, source: common_pb2.Source) -> common_pb2.Change:
    return common_pb2.Change(table=change.table, op=change.op, key=change.key, packed=change.packed, source=source)
