"""What is done to the store beside writing it: garbage is collected, the log trimmed, snapshots taken. The I/O half of
`retention.py`.

Collecting holds the event loop for one slice at a time, and is away from it for at least as long as the slice took: an
append waits for one slice at most. What is left when a run's time is over goes on in the next run, at once.

Invariant: one run at a time, by a lock that is the lease: the store belongs to this process, so nobody else can run. A
run that fails (a full disk, a damaged entry) has lost nothing; it is tried again, at growing intervals.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from sp00ky.proto.faults import Fault
from sp00ky.proto.revision import Seq
from sp00ky.scheduler.capture.cursor import redelivered_from
from sp00ky.scheduler.capture.progress import PROGRESS_META, progress_of
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.retention import Retention, RetentionPolicy

SLICE_ENTRIES: Final = 128
BACKOFF_SECONDS_MAX: Final = 300.0

log = logging.getLogger(__name__)


class Run(NamedTuple):
    """What one run removed; `is_done`: nothing is left below the floors."""

    versions: int
    log_entries: int
    seconds: float
    is_done: bool


@dataclass(slots=True)
class Counters:
    runs: int = 0
    failures: int = 0
    versions: int = 0
    log_entries: int = 0
    forced_trims: int = 0  # an SSP that might have resumed has to load anew
    snapshots: int = 0
    snapshot_failures: int = 0
    slice_seconds_max: float = 0.0
    seconds: float = 0.0


def policy_of(settings: SchedulerSettings) -> RetentionPolicy:
    return RetentionPolicy(
        window_ms=settings.replica_gc_window_secs * 1000,
        window_bytes=settings.replica_gc_window_bytes,
        log_age_ms_max=settings.replica_log_max_age_secs * 1000,
        log_bytes_max=settings.replica_log_max_bytes,
    )


def stamps_from(store: Datastore, is_captured: bool) -> tuple[int, int] | None:
    """The lowest stamp that the changefeed may still deliver again: a capture that resumes begins there."""
    progress = progress_of(store.meta(PROGRESS_META))
    if progress is not None:
        return progress.source_epoch, redelivered_from(progress.stamp, progress.settled)
    return (0, 1) if is_captured else None  # without a stamp nothing is recognised


def collect_offline(store: Datastore) -> dict[str, int]:
    """Everything that no pin needs, for a store that nobody serves: only the head stays readable."""
    floor, versions = store.raise_floor(store.synced_seq), 0
    while not (done := store.collect(SLICE_ENTRIES, stamps_from(store, is_captured=True))).is_done:
        versions += done.versions
    trimmed = store.trim_log(Seq(floor + 1))
    return {"versions": versions + done.versions, "log_entries": trimmed, "floor_seq": floor}


def _complain(what: str, error: Exception) -> None:
    log.warning("%s: %s", what, error, exc_info=None if isinstance(error, Fault) else error)


class Upkeep:
    """`needed`: the lowest log entry that an SSP which may resume needs. `readable_from`: below it a clone was under
    way, so no revision is a state of the database. Times in ms of a monotonic clock."""

    def __init__(
        self,
        store: Datastore,
        settings: SchedulerSettings,
        *,
        needed: Callable[[], Seq],
        readable_from: Callable[[], Seq] = lambda: Seq(0),
        is_captured: bool,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._store, self._settings = store, settings
        self._needed, self._readable_from = needed, readable_from
        self._is_captured, self._now_ms = is_captured, now_ms
        self._retention = Retention(policy_of(settings))
        self._lease = asyncio.Lock()
        self.counters = Counters()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._collect_for_ever())
            tasks.create_task(self._snapshot_for_ever())

    async def _collect_for_ever(self) -> None:
        interval = float(self._settings.replica_gc_interval_secs)
        wait = 0.0
        while True:
            await asyncio.sleep(wait)
            try:
                run = await self.collect()
                wait = interval if run.is_done else 0.0
            except Exception as error:  # whatever it is: intake goes on without upkeep, and the metric grows
                self.counters.failures += 1
                wait = min(max(2 * wait, interval), BACKOFF_SECONDS_MAX)
                _complain("garbage of the replica was not collected", error)

    async def collect(self) -> Run:
        """One run; waits for the one under way. Raises Fault DISK_FULL, DATA_LOSS."""
        async with self._lease:
            began = time.monotonic()
            store, now = self._store, self._now_ms()
            self._retention.sampled(now, store.synced_seq)
            plan = self._retention.plan(now, self._needed(), store.log_seq_within)
            store.raise_floor(max(plan.floor, min(self._readable_from(), store.synced_seq)))
            versions, is_done = await self._collect_slices(began)
            trimmed = store.trim_log(plan.log_floor)
            if plan.is_forced and trimmed:
                self.counters.forced_trims += 1
                log.warning("log is trimmed to %d by its cap: SSPs behind it load anew", store.log_floor_seq)
            run = Run(versions, trimmed, time.monotonic() - began, is_done)
        self.counters.runs += 1
        self.counters.versions += run.versions
        self.counters.log_entries += run.log_entries
        self.counters.seconds += run.seconds
        return run

    async def _collect_slices(self, began: float) -> tuple[int, bool]:
        """(versions deleted, whether that was all); ends when its time is over."""
        budget, versions = self._settings.replica_gc_max_time_ms / 1000, 0
        while True:
            slice_began = time.monotonic()
            done = self._store.collect(SLICE_ENTRIES, stamps_from(self._store, self._is_captured))
            seconds = time.monotonic() - slice_began
            self.counters.slice_seconds_max = max(self.counters.slice_seconds_max, seconds)
            versions += done.versions
            if done.is_done or time.monotonic() - began >= budget:
                return versions, done.is_done
            await asyncio.sleep(seconds)

    async def _snapshot_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.snapshot_update_interval_secs)
            try:
                if await self._store.snapshot(self._settings.replica_snapshots_max) is not None:
                    self.counters.snapshots += 1
            except Exception as error:
                self.counters.snapshot_failures += 1
                _complain("replica was not copied", error)

    def metrics(self) -> dict[str, float]:
        store, counters = self._store, self.counters
        pins = store.pins()
        return {
            "log_bytes": store.log_bytes,
            "log_bytes_max": self._settings.replica_log_max_bytes,
            "pins": len(pins),
            "lowest_pinned_seq": pins[0].at if pins else store.synced_seq,
            "gc_runs": counters.runs,
            "gc_failures": counters.failures,
            "gc_versions": counters.versions,
            "gc_seconds": counters.seconds,
            "gc_slice_seconds_max": counters.slice_seconds_max,
            "log_trimmed_entries": counters.log_entries,
            "log_forced_trims": counters.forced_trims,
            "snapshots": counters.snapshots,
            "snapshot_failures": counters.snapshot_failures,
        }
