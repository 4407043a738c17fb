"""From feed rows to offered transactions: what to leave out, what to doubt, what to compare as a whole.

A change is left out if its table keeps nothing, is derived (compared as a whole, since the feed does not show it), or
its stamp is not newer than its row's (delivered before a restart). A change whose account of the record before it is
not what the replica has is in *doubt*: something before it is missing here, or two transactions were built on one
state. So is a change that the record may hold already, from a comparison or from having been read while the change was
late, with no stamp that would tell: one of an earlier source epoch is none. A row in doubt, and all after it, waits:
for a sweep, which finds what was late, and then for an `Alignment`, which asks the database.

Invariant: an offer returns durable or raises, and nothing is marked as seen before. What the sink refuses for its
content becomes a dead letter in the same commit as what passes over it, and stops nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.feed import PROBE_TABLE, FeedChange, FeedRow, net_changes
from sp00ky.scheduler.capture.pending import SLICE_CHANGES, Pending
from sp00ky.scheduler.capture.poison import CONTENT_CHARS_MAX, Poison, Record, cut_text, name_of
from sp00ky.scheduler.capture.progress import UNKNOWN_META
from sp00ky.scheduler.capture.schema import Schema, fed_by
from sp00ky.scheduler.capture.sink import Sink
from sp00ky.scheduler.datastore.datastore import MetaWrite
from sp00ky.scheduler.dead_letters import LIMIT, DeadLetters

OFFER_CHANGES_MAX: Final = 1000
_OWN_FAULT = frozenset({Code.INVALID, Code.TOO_LARGE})

log = logging.getLogger(__name__)

Transaction = Sequence[common_pb2.Change]
Letter = tuple[str, int, Poison]  # (source, stamp, what)


class Reading(NamedTuple):
    """What a row comes to. `doubts`: records whose change does not fit; such a change is in `changes` all the same,
    unless it may be in the replica already."""

    changes: list[common_pb2.Change]
    doubts: set[Record]


class Offering:
    """`stale`: tables to compare as a whole; `unknown_tables`: seen since the schema was read, and not in it;
    `new_tables`: never compared, or another under their name; `has_news`: a table was defined since then.
    Of the progress that this process began from, `resumed_stamp`: what is not newer may be in the replica already;
    `compared_below`: what is below may be there from a comparison."""

    def __init__(self, sink: Sink, letters_max: int = LIMIT) -> None:
        self.sink = sink
        self.letters = DeadLetters(sink.store, letters_max)
        self.schema: Schema = {}
        self.stale: set[str] = set()
        self.new_tables: set[str] = set()
        self.unknown_tables: set[str] = set(unpack(sink.store.meta(UNKNOWN_META) or pack([])))
        self.has_news = False
        self.resumed_stamp = self.compared_below = 0
        self.changes = 0
        self.repairs = 0
        self.poisoned = 0
        self.split = 0  # backlogs' parts: a reader may have seen one without the next
        self.on_probe: Callable[[int, Seq], None] = lambda turn, seq: None  # a probe's turn is durable
        self._probe_turn = 0  # read, and not offered yet
        self.on_queries: Callable[[Sequence[tuple[Value, int | None]]], None] = lambda queries: None  # see `FeedRow`
        self.on_doubt: Callable[[], None] = lambda: None  # there may be some that nothing was told of

    def is_settled(self, name: str) -> bool:
        """Whether rows of this table can only differ because something was missed: it is neither derived nor new."""
        table = self.schema.get(name)
        return table is not None and not table.derived and name not in self.new_tables

    async def read(
        self, row: FeedRow, source_epoch: int, pending: Pending, *, is_checked: bool, ambiguous_to: int = 0
    ) -> Reading:
        """What this row does to `pending`, which is told of it.

        `is_checked`: compare what each change says was before it. `ambiguous_to`: a change with no greater stamp, of a
        record without one of this epoch, may be known."""
        stamp = (source_epoch, row.stamp)
        is_ambiguous = row.stamp <= max(self.resumed_stamp, ambiguous_to)
        changes: list[common_pb2.Change] = []
        doubts: set[Record] = set()
        if row.is_cut:
            last = max((change.table for change in row.changes), default="")
            self.stale |= {
                name for name in self.schema if name > last
            }  # a row's tables are in the order of their names
        is_large = len(row.changes) > SLICE_CHANGES
        net = await asyncio.to_thread(net_changes, row.changes) if is_large else net_changes(row.changes)
        for place, change in enumerate(net, 1):
            if place % SLICE_CHANGES == 0:
                await asyncio.sleep(0)
            if not self._keeps(change.table):
                continue
            record = (change.table, change.key)
            known = pending.stamp(record)
            if known > stamp and row.stamp > self.resumed_stamp:
                doubts.add(record)  # new, and older than what is known: the database's clock went back a little
                continue
            if known >= stamp:
                continue
            if row.stamp < self.compared_below or (is_ambiguous and known[0] < source_epoch):
                doubts.add(record)
                continue
            if is_checked and not change.fits(pending.packed(record)):
                doubts.add(record)
            pending.put(record, change.packed, stamp)
            changes.append(_as_change(change, stamp))
        self.stale |= fed_by(self.schema, {change.table for change in changes})
        self.has_news = self.has_news or row.defines
        if row.queries:
            self.on_queries(row.queries)
        return Reading(changes + self._probes(row) if row.probes else changes, doubts)

    def _probes(self, row: FeedRow) -> list[common_pb2.Change]:
        """An entry for each turn of our own probe: read twice, it is one entry more."""
        own = [turn for key, turn in row.probes if key == self.sink.store.store_id]
        self._probe_turn = max(own, default=self._probe_turn)
        return [_probe_change(str(self.sink.store.store_id), turn) for turn in own]

    def _keeps(self, name: str) -> bool:
        """Whether the replica's rows of this table follow the feed."""
        table = self.schema.get(name)
        if table is None:
            if name not in self.unknown_tables and self.sink.store.count(name):
                self.stale.add(name)  # its rows so far did not come from the database
            self.unknown_tables.add(name)
            return True
        if table.derived and not table.dropped:
            self.stale.add(name)
        return not table.dropped and not table.derived

    # --- offering ----------------------------------------------------------------------------------------------------

    async def offer(
        self, transactions: Sequence[Transaction], meta: Sequence[MetaWrite] = (), letters: Sequence[Letter] = ()
    ) -> None:
        """In calls of at most `OFFER_CHANGES_MAX` changes, but never less than a transaction; `meta` with the last."""
        group: list[Transaction] = []
        size = 0
        for transaction in transactions:
            if group and size + len(transaction) > OFFER_CHANGES_MAX:
                await self._offer_group(group, (), ())
                group, size = [], 0
            group.append(transaction)
            size += len(transaction)
        await self._offer_group(group, meta, letters)

    async def offer_aligned(
        self, transaction: Transaction, meta: Sequence[MetaWrite], letters: Sequence[Letter]
    ) -> None:
        """One transaction of what was read from the database: a record that is refused is parted from the others, as
        it is no reason to keep them out."""
        try:
            await self._send([transaction] if transaction else [], meta, letters)
        except Fault as fault:
            if fault.code not in _OWN_FAULT or not transaction:
                raise
            if len(transaction) == 1:
                refused = ("database", 0, _poison_of(transaction, fault))
                await self.offer_aligned((), meta, [*letters, refused])
                return
            half = len(transaction) // 2
            await self.offer_aligned(transaction[:half], (), ())
            await self.offer_aligned(transaction[half:], meta, letters)

    async def _offer_group(
        self, group: Sequence[Transaction], meta: Sequence[MetaWrite], letters: Sequence[Letter]
    ) -> None:
        try:
            await self._send(group, meta, letters)
        except Fault as fault:
            if fault.code not in _OWN_FAULT or not group:
                raise
            if len(group) == 1:
                refused = ("changefeed", group[0][0].source.stamp, _poison_of(group[0], fault))
                await self._offer_group((), meta, [*letters, refused])
                return
            half = len(group) // 2
            await self._offer_group(group[:half], (), ())
            await self._offer_group(group[half:], meta, letters)

    async def _send(self, group: Sequence[Transaction], meta: Sequence[MetaWrite], letters: Sequence[Letter]) -> None:
        applied = ((change.table, change.key) for transaction in group for change in transaction)
        if self.unknown_tables and meta:
            meta = [MetaWrite(UNKNOWN_META, pack(sorted(self.unknown_tables))), *meta]
        posting = self.letters.stage(letters, applied, time.time_ns() // 1_000_000)
        if posting is None:
            head = await self.sink.offer_transactions(group, meta)
        else:
            head = await self.sink.offer_transactions(group, [*meta, *posting.meta])
            self.letters.settle(posting)
        if self._probe_turn and any(transaction[-1].table == PROBE_TABLE for transaction in group if transaction):
            self.on_probe(self._probe_turn, head)
            self._probe_turn = 0
        for source, stamp, poison in letters:
            self.poisoned += 1
            what = ", ".join(poison.names[:3] or poison.tables[:3]) or "a change"
            log.error("%s of the %s (stamp %d) is a dead letter: %s", what, source, stamp, poison.reason)
        self.changes += sum(map(len, group))


def _probe_change(store_id: str, turn: int) -> common_pb2.Change:
    packed = pack({"id": RecordId(PROBE_TABLE, store_id), "turn": turn})
    return common_pb2.Change(table=PROBE_TABLE, op=common_pb2.OP_UPDATE, key=pack(store_id), packed=packed)


def letters_of(rows: Iterable[FeedRow]) -> list[Letter]:
    return [("changefeed", row.stamp, poison) for row in rows for poison in row.poison]


def _as_change(change: FeedChange, stamp: tuple[int, int]) -> common_pb2.Change:
    source = common_pb2.Source(epoch=stamp[0], stamp=stamp[1])
    return common_pb2.Change(table=change.table, op=change.op, key=change.key, packed=change.packed, source=source)


def _poison_of(transaction: Transaction, fault: Fault) -> Poison:
    ids = [RecordId(change.table, unpack(change.key)) for change in transaction[:100]]
    return Poison(
        reason=str(fault),
        tables=tuple(sorted({change.table for change in transaction})),
        records=tuple((change.table, change.key) for change in transaction),
        names=tuple(map(name_of, ids)),
        content="\n".join(map(_text_of, transaction[:100]))[:CONTENT_CHARS_MAX],
        size=sum(len(change.packed) for change in transaction),
    )


def _text_of(change: common_pb2.Change) -> str:
    what = common_pb2.Op.Name(change.op)
    return f"{what} {cut_text(unpack(change.packed))}" if change.packed else f"{what} {change.table}"
