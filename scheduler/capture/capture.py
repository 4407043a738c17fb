"""The changefeed's reader: every committed change of the database into the log, once, whole, in the order of stamps.

    connect ─▶ first time, or what was read can no longer be trusted ─▶ compare every table ─┐
       ▲  └──▶ same database, same feed ─────────────────────────────────────────────────────┴▶ follow: poll, sweep
       └───────────── the database is gone, or the store takes nothing: try again within 1 s ◀──────────┘

A poll reads from just before the last stamp, every `poll_ms`. A sweep reads the whole overlap, each second, for every
barrier, and when a poll has met a change that does not fit; it is followed by what only whole reads can find: the
schema (for a barrier, or in its turn: `pace.py`), derived tables, and what still does not fit.

Invariant: what a barrier answers holds every commit that the database had acknowledged before the call, because the
sweep it waits for began after the call. `Seen` and the cursor move only after the sink has made an offer durable, so
what fails in between is read again. Loss of the database's data, a clock that went back, and a feed that forgot are
found when a connection is made, and end in a comparison of every table under the next source epoch (ARCHITECTURE §7).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypeVar
from uuid import uuid4

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.alignment import Alignment
from sp00ky.scheduler.capture.clone import SMALL_TABLES_MAX, Chunks, CloneProgress
from sp00ky.scheduler.capture.comparing import Comparing, records_of
from sp00ky.scheduler.capture.cursor import redelivered_from
from sp00ky.scheduler.capture.errands import Errands
from sp00ky.scheduler.capture.link import Health, Link, instance_kind_of
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.progress import PROGRESS_META, Progress, progress_of
from sp00ky.scheduler.capture.reader import FeedReader
from sp00ky.scheduler.capture.schema import TableSchema, captured, stored_schema
from sp00ky.scheduler.capture.sink import Sink
from sp00ky.scheduler.datastore.datastore import MetaWrite
from sp00ky.scheduler.dead_letters import LIMIT

SWEEP_SECONDS: Final = 1.0
BACKOFF_FIRST_SECONDS: Final = 0.05
BACKOFF_MAX_SECONDS: Final = 1.0
KEEP_SECONDS: Final = 60.0  # how often progress is committed when nothing else is
DERIVED_SECONDS: Final = 0.1  # derived tables are compared at most that often, and for at most a fifth of the time
READABLE_META: Final = b"capture/readable_from"

T = TypeVar("T")

log = logging.getLogger(__name__)


class Capture:
    """One per scheduler. `state`: "cloning" until the replica equals the database, and while every table is compared
    again; `lost`: why the database cannot be read now, empty if it can."""

    instance_kind = ""  # of what the database is marked with: a store filled in another way is compared

    def __init__(
        self,
        database: Database,
        sink: Sink,
        *,
        poll_ms: int = 15,
        dead_letters_max: int = LIMIT,
        reader: type[FeedReader] = FeedReader,
    ) -> None:
        self._database = database
        self._sink = sink
        self._poll_seconds = poll_ms / 1000
        self.offering = Offering(sink, dead_letters_max)
        self._comparing = Comparing(database, self.offering)
        progress = progress_of(sink.store.meta(PROGRESS_META))
        self._reader = reader(database, self.offering, progress or Progress(False, 1, 0, False, 0, ""))
        self._clone_progress = CloneProgress(sink.store)
        self._is_new = progress is None
        self._captured = frozenset(stored_schema(sink.store))
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[Seq]] = []
        self._errands = Errands()
        self._link = Link(database, str(sink.store.store_id))
        self._backoff = BACKOFF_FIRST_SECONDS
        self._sweep_at = self._keep_at = self._derived_at = 0.0
        self.lost = ""
        self.state: Literal["cloning", "ready"] = "ready" if self._reader.progress.cloned else "cloning"

    @property
    def note(self) -> str:
        """What an operator should know although nothing is wrong; empty: nothing."""
        return ""

    @property
    def captured(self) -> frozenset[str]:
        """The tables whose source is the database."""
        return self._captured

    @property
    def stamps_from(self) -> tuple[int, int]:
        """(source epoch, stamp): nothing below will be offered again, so no older row's stamp is asked for."""
        progress = self._reader.progress
        return progress.source_epoch, redelivered_from(progress.stamp, progress.settled)

    @property
    def readable_from(self) -> Seq:
        """Revisions below are none of the database's: the clone had not ended."""
        return Seq(unpack(self._sink.store.meta(READABLE_META) or pack(0)))

    @property
    def metrics(self) -> dict[str, float]:
        offering = self.offering
        return {
            "captured_changes": offering.changes,
            "capture_repairs": offering.repairs,
            "capture_poisoned": offering.poisoned,
            "capture_connected": float(not self.lost),
            "capture_near_ms": self._reader.cursor.near_ms,
            "capture_held": self._reader.holds,
            "capture_schema_readings": self._comparing.readings,
            "capture_split_comparisons": self._comparing.split + offering.split,
            "dead_letters": len(offering.letters),
            "dead_letters_forgotten": offering.letters.forgotten,
        }

    @property
    def changes(self) -> int:
        """Offered by this process."""
        return self.offering.changes

    @property
    def repairs(self) -> int:
        return self.offering.repairs

    @property
    def poisoned(self) -> int:
        return self.offering.poisoned

    def wake(self) -> None:
        """Poll now."""
        self._wake.set()

    async def barrier(self) -> Seq:
        """A durable seq that holds everything committed before the call. Raises Fault if the database is lost."""
        waiter: asyncio.Future[Seq] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wake.set()
        return await waiter

    async def errand(self, work: Callable[[Alignment], Awaitable[T]]) -> T:
        """Do this between two reads of the feed, with an alignment of its own. Raises what it raises, and Fault if the
        database is lost."""
        answer = self._errands.add(work)
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Until cancelled; whatever goes wrong is told by `lost` and tried again."""
        try:
            while True:
                try:
                    await self._connect()
                    await self._follow()
                except Fault as fault:
                    self._lose(fault)
                except Exception as error:
                    log.exception("capture failed")
                    self._lose(Fault(Code.INTERNAL, f"capture failed: {type(error).__name__}: {error}"))
                await self._pause(self._backoff)
                self._backoff = min(self._backoff * 2, BACKOFF_MAX_SECONDS)
        finally:
            self._refuse(Fault(Code.UNAVAILABLE, "capture has ended"))

    # --- connecting --------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        await self._link.open()
        if not self._is_new and not await self._reader.is_defined():
            # before it is there again: that it lacks something must not be forgotten
            await self._reader.keep(self._clone_progress.end(), cloned=False)
        retention_ms = await self._reader.define()
        health = await self._link.health()
        reason = await self._distrust(health, retention_ms)
        if reason and self._reader.progress.cloned:
            # before anything else that can fail: a clock that has gone back comes forward again
            await self._reader.keep(cloned=False)
        await self._comparing.refresh_schema()
        if reason or not self._reader.progress.cloned:
            await self._equalise(reason, health)
        else:
            derived = {name for name, table in self.offering.schema.items() if table.derived}
            self.offering.stale |= derived  # whose comparison was owed is not kept
        self.offering.on_doubt()
        self._captured = frozenset(captured(self.offering.schema))

    async def _distrust(self, health: Health, retention_ms: int) -> str:
        """Why the feed cannot simply be read on from the progress; empty if it can."""
        progress = self._reader.progress
        if not progress.cloned and not self._clone_progress.is_open:
            return "the store has no clone yet" if self._is_new else "the feed was gone, or a comparison interrupted"
        if instance_kind_of(progress.instance) != self.instance_kind:
            return "the store was filled by another kind of capture"
        return await self._reader.why_not(health, retention_ms)

    async def _equalise(self, reason: str, health: Health) -> None:
        """Make the replica equal to the database, whatever either holds, and follow the feed meanwhile."""
        self.state = "cloning"
        log.info("every table is %s: %s", *(("compared", reason) if reason else ("cloned further", "interrupted")))
        is_first = self._is_new or self._clone_progress.is_open
        if reason:
            await self._start_anew(health, is_first)
        if is_first:
            await self._clone()
        else:
            self.offering.stale |= self.offering.schema.keys()
            repairs = self.offering.repairs
            await self._align()
            self.offering.repairs = repairs  # of what was lost as a whole
        await self._reader.sweep()
        await self._comparing.refresh_schema()
        await self._align()
        closed = [MetaWrite(READABLE_META, pack(int(self._sink.store.head_seq))), *self._clone_progress.end()]
        await self._reader.keep(closed, cloned=not self._reader.owes_comparison)
        self.state = "ready"
        log.info("every table is equal: %d changes offered", self.offering.changes)

    async def _start_anew(self, health: Health, is_first: bool) -> None:
        before = self._reader.progress
        source_epoch = before.source_epoch + (0 if self._is_new else 1)
        instance = self.instance_kind + uuid4().hex
        started = replace(before, cloned=False, source_epoch=source_epoch, instance=instance)
        await self._reader.restart_at(health.clock_ms, started)
        if is_first:
            self.offering.stale.clear()
            numbers = self._comparing.numbers_meta(captured(self.offering.schema))
            await self._reader.keep([*self._clone_progress.begin(), numbers])
        else:
            await self._reader.keep()
        self._is_new = False
        await self._link.write_instance(instance)

    async def _clone(self) -> None:
        """Every table, chunk by chunk, each durable with how far it goes."""
        waiting = [name for name in captured(self.offering.schema) if not self._clone_progress.is_done(name)]
        for begin in range(0, len(waiting), SMALL_TABLES_MAX):
            alignment = self._alignment()
            some = waiting[begin : begin + SMALL_TABLES_MAX]
            small = await self._comparing.read_small(alignment, some)
            await alignment.commit([self._clone_progress.mark(name, None) for name in sorted(small)])
            for name in (name for name in some if name not in small):
                await self._clone_table(self.offering.schema[name])

    async def _clone_table(self, table: TableSchema) -> None:
        chunks = Chunks(self._database, table.name, self._clone_progress.after(table.name))
        async for ids in chunks:
            alignment = self._alignment()
            await alignment.read(records_of(alignment, ids))
            chunks.weighed(alignment.bytes_read)
            await alignment.commit([self._clone_progress.mark(table.name, ids[-1])])
            if time.monotonic() >= self._sweep_at:
                await self._sweep_while_cloning()
        await self._reader.keep([self._clone_progress.mark(table.name, None)])

    async def _sweep_while_cloning(self) -> None:
        health = await self._link.health()
        self._link.require_same(health, self._reader.progress.instance)
        await self._reader.sweep()
        if self._reader.is_held:
            alignment = self._alignment()
            await alignment.read(self._reader.held)
            await alignment.commit()
        await self._reader.follow_clock(health.clock_ms)
        self._sweep_at = time.monotonic() + SWEEP_SECONDS

    def _alignment(self) -> Alignment:
        return Alignment(self._database, self.offering, self._reader)

    # --- following ---------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            now = time.monotonic()
            if not self._database.connected:
                raise Fault(Code.UNAVAILABLE, "connection to the database was lost")
            if self._waiters or now >= self._sweep_at or self._reader.is_held or self.offering.unknown_tables:
                await self._sweep()
            else:
                await self._reader.poll()
                if self.offering.stale and now >= self._derived_at and not self._reader.is_held:
                    await self._align()
            await self._errands.run(self._alignment)
            self.lost = ""
            self._backoff = BACKOFF_FIRST_SECONDS
            await self._pause(0 if self._waiters or self._reader.is_held or self._errands else self._idle_seconds())

    def _idle_seconds(self) -> float:
        """Between two polls."""
        return self._poll_seconds

    async def _sweep(self) -> None:
        """Read the whole overlap and all that only whole reads find, and answer who waited for that."""
        waiters = self._take_waiters()
        try:
            await self._reader.sweep()
            if waiters and self._reader.owes_comparison:  # there may be commits that no sweep shows
                self.offering.stale |= self.offering.schema.keys()
            health = await self._link.health()
            self._link.require_same(health, self._reader.progress.instance)
            if not await self._reader.is_defined():
                raise Fault(Code.UNAVAILABLE, "the database's changefeed was taken away", "it is defined again")
            if waiters or self._reader.is_held or self._comparing.schema_is_due:
                await self._comparing.refresh_schema()
            await self._align()
            if self.offering.unknown_tables:  # of what was held: it may have been removed since
                await self._comparing.refresh_schema()
                await self._align()
            self._captured = frozenset(captured(self.offering.schema))
            await self._reader.follow_clock(health.clock_ms)
            await self._maybe_keep(health)
        except BaseException as error:
            fault = error if isinstance(error, Fault) else Fault(Code.UNAVAILABLE, "capture was interrupted")
            _refuse_all(waiters, fault)
            raise
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(self._sink.store.synced_seq)

    async def _align(self) -> None:
        """Ask the database for what is in doubt: what a sweep has held, and stale tables."""
        reader, offering = self._reader, self.offering
        if not reader.is_held and not offering.stale:
            return
        began = time.monotonic()
        alignment = self._alignment()
        held = set(reader.held) if reader.is_held else set()
        owed = reader.owes_comparison
        await alignment.read(held)
        await self._comparing.compare_stale(alignment)
        if self.state == "ready" and not owed and not reader.owes_comparison and not reader.progress.cloned:
            await reader.keep(cloned=True)  # a row could not be read: now nothing of it is missing
        if alignment.differing:
            offering.repairs += alignment.differing
            log.warning("%d records were not as the feed has them; %d were in doubt", alignment.differing, len(held))
        ended = time.monotonic()
        self._derived_at = ended + max(DERIVED_SECONDS, 4 * (ended - began))

    async def _maybe_keep(self, health: Health) -> None:
        now = time.monotonic()
        if now >= self._keep_at:
            await self._reader.keep(clock_ms=health.clock_ms)
            self._keep_at = now + KEEP_SECONDS

    # --- waiting -----------------------------------------------------------------------------------------------------

    async def _pause(self, seconds: float) -> None:
        """Until woken, `seconds` at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _lose(self, fault: Fault) -> None:
        if not self.lost:
            log.warning("capture waits for the database: %s", fault)
        self.lost = str(fault)
        self._refuse(fault)

    def _refuse(self, fault: Fault) -> None:
        _refuse_all(self._take_waiters(), fault)
        self._errands.refuse(fault)

    def _take_waiters(self) -> list[asyncio.Future[Seq]]:
        waiters, self._waiters = self._waiters, []
        return waiters


def _refuse_all(waiters: Sequence[asyncio.Future[Any]], fault: Fault) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(fault)
