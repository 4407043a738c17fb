"""Capture without a changefeed (`SPKY_CAPTURE=events`): a record is read again because somebody said it has changed.

    /ingest ─▶ hint, durable, answered ─▶ read the record, and again, until the change is seen or was cancelled ─▶ log
    first time, or another database ─▶ clone, or compare every table; each second the schema, as with a feed

A post says which record, never what it holds. Records are read several at a time and each such read is one transaction
of the log, but which of a transaction's records are read together is chance: no transaction is promised to be whole,
and nothing can say that all has been read which was committed before a moment, so there is no barrier. What nobody
posted (OPTION IMPORT, a table without events) is found by the check for drift.

Invariant: an answered hint is carried out, over restarts too (`hints.py`); reads are folded in their order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.capture import BACKOFF_FIRST_SECONDS, Capture
from sp00ky.scheduler.capture.hints import Hint, Hints, Posted
from sp00ky.scheduler.capture.link import Health
from sp00ky.scheduler.capture.poison import Record
from sp00ky.scheduler.capture.reader import FeedReader
from sp00ky.scheduler.capture.schema import captured, fed_by
from sp00ky.scheduler.capture.sink import Sink
from sp00ky.scheduler.dead_letters import LIMIT

RECORDS_MAX: Final = 1000  # read at a time
_VERSIONS: Final = "SELECT record_id, version FROM _00_version WHERE record_id IN $ids"


class NoFeed(FeedReader):
    """A feed in which nothing ever happens: what is compared is compared with the database alone."""

    def page_text(self, since: int) -> str:
        return "SELECT * FROM []"  # a RETURN would end the transaction

    async def is_defined(self) -> bool:
        return True

    async def define(self) -> int:
        return 0

    async def why_not(self, health: Health, retention_ms: int) -> str:
        is_same = health.instance == self.progress.instance
        return "" if is_same else "the database is another, or lost its data"

    async def follow_clock(self, clock_ms: int) -> None:
        """There are no stamps to compare it with."""


class HintedCapture(Capture):
    """As `Capture`, but told by `hint` what to read."""

    instance_kind = "events-"

    def __init__(self, database: Database, sink: Sink, *, dead_letters_max: int = LIMIT) -> None:
        super().__init__(database, sink, dead_letters_max=dead_letters_max, reader=NoFeed)
        self.hints = Hints(sink.store, time.monotonic())

    @property
    def captured(self) -> frozenset[str]:
        """While cloning, too: what is written meanwhile is posted once."""
        return super().captured or frozenset(captured(self.offering.schema))

    @property
    def metrics(self) -> dict[str, float]:
        hints = self.hints
        counted = {"hints_taken": hints.taken, "hints_waiting": len(hints), "hints_expired": hints.expired}
        return {**super().metrics, **counted}

    async def barrier(self) -> Seq:
        """There is none."""
        raise Fault(
            Code.UNIMPLEMENTED,
            "capture by events has no barrier: what is committed is read when its post has come, not at a moment",
            "ask for at_least_as_fresh or minimize_latency, or set SPKY_CAPTURE=changefeed",
            {"capture": "events"},
        )

    async def hint(self, posts: Sequence[Posted]) -> Seq:
        """Keep these; durable on return. Raises Fault OVERLOADED, and what the store raises."""
        store = self._sink.store
        before = {post.record: row.packed if (row := store.get(*post.record)) is not None else None for post in posts}
        metas = self.hints.take(posts, before, time.monotonic())
        seq = await self._sink.offer_transactions((), metas)
        self._wake.set()
        return seq

    async def _follow(self) -> None:
        while True:
            now = time.monotonic()
            if not self._database.connected:
                raise Fault(Code.UNAVAILABLE, "connection to the database was lost")
            if now >= self._sweep_at or self.offering.unknown_tables:
                await self._sweep()
            elif self.offering.stale and now >= self._derived_at:
                await self._align()
            await self._read_hinted()
            await self._errands.run(self._alignment)
            self.lost = ""
            self._backoff = BACKOFF_FIRST_SECONDS
            until = min(self._sweep_at, self._derived_at if self.offering.stale else self._sweep_at)
            due_s = self.hints.next_s()
            until = until if due_s is None else min(until, due_s)
            await self._pause(0 if self._errands else max(0.0, until - time.monotonic()))

    async def _read_hinted(self) -> None:
        hints = self.hints.due(time.monotonic(), RECORDS_MAX)
        if not hints:
            return
        try:
            await self._read(hints)
        except BaseException:
            self.hints.put_back(hints)
            raise

    async def _read(self, hints: Sequence[Hint]) -> None:
        """Versions first: the record that is read after one is at least as new."""
        versions = await self._versions([hint.record for hint in hints])
        alignment = self._alignment()
        await alignment.read(hint.record for hint in hints)
        store, now_s = self._sink.store, time.monotonic()
        metas, ended = [], []
        changed: set[str] = set()
        for hint in hints:
            packed, row = alignment.packed(hint.record), store.get(*hint.record)
            if packed != (None if row is None else row.packed):
                changed.add(hint.record[0])
            end = self.hints.was_read(hint, packed, versions.get(hint.record), now_s)
            metas += end
            ended += [hint] if end else []
        if metas or changed or alignment.unreadable:
            await alignment.commit(metas)
        self.hints.end(ended)
        self.offering.stale |= fed_by(self.offering.schema, changed)

    async def _versions(self, records: Sequence[Record]) -> Mapping[Record, int]:
        """As the events count them; none where they were never installed."""
        ids = [RecordId(table, unpack(key)) for table, key in records]
        try:
            rows = (await self._database.query(_VERSIONS, {"ids": ids}))[0]
        except QueryError as error:
            if error.code is Code.NOT_FOUND:
                return {}
            raise
        known = ((row.get("record_id"), row.get("version")) for row in rows)
        return {
            (record.table, pack(record.key)): version
            for record, version in known
            if isinstance(record, RecordId) and isinstance(version, int)
        }
