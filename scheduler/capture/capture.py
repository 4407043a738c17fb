"""The changefeed's reader: every committed change of the database into the log, once, whole, in the order of stamps.

    connect ─▶ first time, or what was read can no longer be trusted ─▶ compare every table ─┐
       ▲  └──▶ same database, same feed ─────────────────────────────────────────────────────┴▶ follow: poll, sweep
       └───────────── the database is gone, or the store takes nothing: try again within 1 s ◀──────────┘

A poll reads from just before the last stamp, every `poll_ms`. A sweep reads the whole overlap, each second and for
every barrier, and is followed by what only whole reads can find: schema, derived tables, doubtful records.

Invariant: what a barrier answers holds every commit that the database had acknowledged before the call, because the
sweep it waits for began after the call. `Seen` and the cursor move only after the sink has made an offer durable, so
what fails in between is read again. Loss of the database's data, a clock that went back, and a feed that forgot are
found when a connection is made, and end in a comparison of every table under the next source epoch (ARCHITECTURE §7).
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import Final, Literal
from uuid import uuid4

from sp00ky.proto.database import Database, cause_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.kinds import Datetime, RecordId, Value
from sp00ky.scheduler.capture.comparing import Comparing
from sp00ky.scheduler.capture.cursor import clock_went_back, is_ashore, is_behind_retention, ms_of_stamp
from sp00ky.scheduler.capture.definition import ensure_feed
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.progress import PROGRESS_META, Progress, progress_of
from sp00ky.scheduler.capture.reader import FeedReader
from sp00ky.scheduler.capture.schema import captured, stored_schema
from sp00ky.scheduler.capture.sink import Sink

SWEEP_SECONDS: Final = 1.0
BACKOFF_FIRST_SECONDS: Final = 0.05
BACKOFF_MAX_SECONDS: Final = 1.0
KEEP_SECONDS: Final = 60.0  # how often progress is committed when nothing else is
DERIVED_SECONDS: Final = 0.1  # derived tables are compared at most that often, and for at most a fifth of the time
INSTANCE_TABLE: Final = "_00_instance"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """What the database says of itself. `session`: set by us when we connected; another one is another connection."""

    session: Value
    instance: Value
    clock_ms: int


class Capture:
    """One per scheduler. `state`: "cloning" until the replica equals the database, and while every table is compared
    again; `lost`: why the database cannot be read now, empty if it can."""

    def __init__(self, database: Database, sink: Sink, *, poll_ms: int = 15) -> None:
        self._database = database
        self._sink = sink
        self._poll_seconds = poll_ms / 1000
        self._offering = Offering(sink)
        self._comparing = Comparing(database, self._offering)
        progress = progress_of(sink.store.meta(PROGRESS_META))
        self._reader = FeedReader(database, self._offering, progress or Progress(False, 1, 0, False, 0, ""))
        self._offering.resumed_stamp = self._reader.progress.stamp
        self._is_new = progress is None
        self._captured = frozenset(stored_schema(sink.store))
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[Seq]] = []
        self._variable = f"spky_capture_{uuid4().hex}"  # others may share the connection
        self._session = ""
        self._backoff = BACKOFF_FIRST_SECONDS
        self._sweep_at = self._keep_at = self._derived_at = 0.0
        self.lost = ""
        self.state: Literal["cloning", "ready"] = "ready" if self._reader.progress.cloned else "cloning"

    @property
    def captured(self) -> frozenset[str]:
        """The tables whose source is the database."""
        return self._captured

    @property
    def changes(self) -> int:
        """Offered by this process."""
        return self._offering.changes

    @property
    def repairs(self) -> int:
        return self._offering.repairs

    @property
    def poisoned(self) -> int:
        return self._offering.poisoned

    def wake(self) -> None:
        """Poll now."""
        self._wake.set()

    async def barrier(self) -> Seq:
        """A durable seq that holds everything committed before the call. Raises Fault if the database is lost."""
        waiter: asyncio.Future[Seq] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wake.set()
        return await waiter

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
            self._refuse_waiters(self._take_waiters(), Fault(Code.UNAVAILABLE, "capture has ended"))

    # --- connecting --------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        await self._database.connect()
        self._session = uuid4().hex
        await self._database.rpc("let", [self._variable, self._session])
        retention_ms = await ensure_feed(self._database)
        health = await self._health()
        reason = await self._distrust(health, retention_ms)
        await self._comparing.refresh_schema()
        if reason:
            await self._compare_all(reason, health)
        self._captured = frozenset(captured(self._offering.schema))

    async def _distrust(self, health: Health, retention_ms: int) -> str:
        """Why the feed cannot simply be read on from the progress; empty if it can."""
        progress = self._reader.progress
        if not progress.cloned:
            return "the store has no clone yet" if self._is_new else "a comparison was interrupted"
        if health.instance != progress.instance:
            return "the database is another, or lost its data"
        cursor = self._reader.cursor
        if clock_went_back(health.clock_ms, progress.stamp) or cursor.clock_went_back(health.clock_ms):
            return "the database's clock went back"
        if is_ashore(health.clock_ms, cursor.island):
            return "the database's clock has reached rows from before it went back"
        if is_behind_retention(health.clock_ms, progress.clock_ms, retention_ms):
            return "the feed may have forgotten changes"
        age_ms = health.clock_ms - ms_of_stamp(progress.stamp)
        if progress.anchored and age_ms < retention_ms // 2 and not await self._holds(progress.stamp):
            return "the feed lacks what was read from it"
        return ""

    async def _holds(self, stamp: int) -> bool:
        rows = (await self._database.query(f"SHOW CHANGES FOR DATABASE SINCE {stamp} LIMIT 1"))[0]
        return bool(rows) and rows[0]["versionstamp"] == stamp

    async def _compare_all(self, reason: str, health: Health) -> None:
        """Make the replica equal to the database, whatever either holds, then read on from before that began."""
        self.state = "cloning"
        log.info("every table is compared with the database: %s", reason)
        reader, before = self._reader, self._reader.progress
        source_epoch = before.source_epoch + (1 if before.cloned else 0)
        instance = uuid4().hex
        self._offering.resumed_stamp = 0
        started = replace(before, cloned=False, source_epoch=source_epoch, instance=instance)
        await reader.restart_at(health.clock_ms, started)
        await reader.keep()
        self._is_new = False
        await self._write_instance(instance)
        repairs = self._offering.repairs
        self._offering.suspects.clear()
        await self._comparing.compare(sorted(self._offering.schema))
        self._offering.repairs = repairs  # a clone repairs nothing
        await reader.sweep()
        await reader.keep(cloned=True)
        self.state = "ready"
        log.info("every table is equal: %d changes offered", self._offering.changes)

    def _instance_id(self) -> RecordId:
        return RecordId(INSTANCE_TABLE, str(self._sink.store.store_id))

    async def _write_instance(self, instance: str) -> None:
        define = f"DEFINE TABLE IF NOT EXISTS {INSTANCE_TABLE} SCHEMALESS PERMISSIONS NONE"
        await self._database.query(define, conflict_retries=10)
        variables = {"id": self._instance_id(), "instance": instance}
        await self._database.query("UPSERT $id SET instance = $instance", variables, conflict_retries=10)

    async def _health(self) -> Health:
        text = f"RETURN ${self._variable}; RETURN time::now(); SELECT VALUE instance FROM $id"
        results = await self._database.query_raw(text, {"id": self._instance_id()})
        failure = cause_of(results)
        if failure is not None and failure.code is not Code.NOT_FOUND:
            raise failure
        clock: Datetime = results[1].result
        instances = results[2].result or ()
        return Health(results[0].result, instances[0] if instances else "", clock.ns // 1_000_000)

    # --- following ---------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            now = time.monotonic()
            if not self._database.connected:
                raise Fault(Code.UNAVAILABLE, "connection to the database was lost")
            if self._waiters or now >= self._sweep_at or self._offering.needs_whole_read:
                await self._sweep()
            else:
                await self._reader.poll()
                if self._offering.stale and now >= self._derived_at:
                    await self._compare_stale()
            self.lost = ""
            self._backoff = BACKOFF_FIRST_SECONDS
            await self._pause(0 if self._waiters else self._poll_seconds)

    async def _sweep(self) -> None:
        """Read the whole overlap and all that only whole reads find, and answer who waited for that."""
        waiters = self._take_waiters()
        try:
            await self._reader.sweep()
            health = await self._health()
            self._require_same(health)
            await self._reader.follow_clock(health.clock_ms)
            await self._comparing.refresh_schema()
            self._captured = frozenset(captured(self._offering.schema))
            has_compared = await self._compare_stale()
            if await self._comparing.reread_suspects() or has_compared:
                await self._reader.sweep()  # what was compared may be ahead of what was read
            await self._maybe_keep(health)
        except BaseException as error:
            fault = error if isinstance(error, Fault) else Fault(Code.UNAVAILABLE, "capture was interrupted")
            self._refuse_waiters(waiters, fault)
            raise
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(self._sink.store.synced_seq)

    def _require_same(self, health: Health) -> None:
        """Raises Fault(UNAVAILABLE) if this is a new connection that somebody else made, or another database."""
        if health.session != self._session or health.instance != self._reader.progress.instance:
            raise Fault(Code.UNAVAILABLE, "connection to the database was replaced")

    async def _compare_stale(self) -> bool:
        began = time.monotonic()
        has_compared = await self._comparing.compare_stale()
        ended = time.monotonic()
        self._derived_at = ended + max(DERIVED_SECONDS, 4 * (ended - began))
        return has_compared

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
        self._refuse_waiters(self._take_waiters(), fault)

    def _take_waiters(self) -> list[asyncio.Future[Seq]]:
        waiters, self._waiters = self._waiters, []
        return waiters

    def _refuse_waiters(self, waiters: list[asyncio.Future[Seq]], fault: Fault) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(fault)
