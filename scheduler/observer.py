"""Looks at the scheduler and tells the journal what became of it: after every commit, once a second, and soon after an
SSP has become another.

Nothing waits for it and nothing depends on it. Whoever reads the journal is woken (`changed`) and reads by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final

import psutil
from sp00ky.proto.v1 import events_pb2
from sp00ky.scheduler.commit import now_ms
from sp00ky.scheduler.coordinator.ready import Ready
from sp00ky.scheduler.happenings import (
    Happening,
    Kind,
    Outlook,
    Standing,
    between,
    is_as_before,
    of_letter,
    since,
    standings_of,
    told_by,
)
from sp00ky.scheduler.journal import History, Journal
from sp00ky.scheduler.sampling import Counted, stage_lag, with_rates

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver

SAMPLE_SECONDS: Final = 1.0
HURRY_SECONDS: Final = 0.1  # several changes at once are shown at once
LETTERS_MAX: Final = 20  # told of one look

log = logging.getLogger(__name__)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Observer:
    """`limit`: events kept."""

    def __init__(self, driver: SchedulerDriver, limit: int) -> None:
        self._driver = driver
        self.journal = Journal(driver.epoch, limit)
        self.history = History()
        self._standings: dict[str, Standing] = standings_of(driver.coordinator.ssps)
        self._outlook = self._look()
        self._letter_id = self._last_letter_id()
        self._counted: Counted | None = None
        self._last_lag: events_pb2.StageLag | None = None
        self._process = psutil.Process()
        self._wakes: set[asyncio.Event] = set()
        self._hurry = asyncio.Event()
        self.ended = False
        self._tell(
            Happening(Kind.EPOCH_STARTED, f"scheduler {driver.settings.scheduler_id} began epoch {driver.epoch}")
        )

    def metrics(self) -> dict[str, float]:
        return {
            "events_total": self.journal.last_id & 0xFFFF_FFFF,
            "events_kept": self.journal.kept,
            "event_streams": len(self._wakes),
        }

    # --- readers -----------------------------------------------------------------------------------------------------

    def subscribe(self) -> asyncio.Event:
        """Set whenever there is something new, and when the observer ends."""
        wake = asyncio.Event()
        self._wakes.add(wake)
        return wake

    def unsubscribe(self, wake: asyncio.Event) -> None:
        self._wakes.discard(wake)

    # --- what is looked at -------------------------------------------------------------------------------------------

    def handle_released(self, ready: Ready) -> None:
        """A group of events has been carried out, and what is in it is durable."""
        happened = list(told_by(ready.commands)) if ready.commands else []
        ssps = self._driver.coordinator.ssps
        if not is_as_before(self._standings, ssps):
            standings = standings_of(ssps)
            happened += between(self._standings, standings)
            self._standings = standings
            self._hurry.set()
        if happened:
            self._tell(*happened)

    async def run(self) -> None:
        """Until cancelled: then its readers are told that nothing more comes."""
        try:
            while True:
                try:
                    self._look_around()
                    self.history.add(self._sample())
                    self._wake()
                except Exception:  # figures are missing, and nothing else
                    log.exception("scheduler could not be looked at")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SAMPLE_SECONDS):  # wait_for may lose a cancellation that comes with it
                        await self._hurry.wait()
                    await asyncio.sleep(HURRY_SECONDS)
                self._hurry.clear()
        finally:
            self.ended = True
            self._wake()

    def _look_around(self) -> None:
        outlook = self._look()
        happened = list(since(self._outlook, outlook))
        self._outlook = outlook
        capture = self._driver.capture
        if capture is not None and self._last_letter_id() > self._letter_id:
            happened += map(of_letter, capture.offering.letters.after(self._letter_id, LETTERS_MAX))
            self._letter_id = self._last_letter_id()
        if happened:
            self._tell(*happened)

    def _tell(self, *happened: Happening) -> None:
        at_ms = wall_ms()
        for happening in happened:
            self.journal.add(happening, at_ms)
        self._wake()

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    def _last_letter_id(self) -> int:
        capture = self._driver.capture
        return capture.offering.letters.last_id if capture is not None else 0

    def _look(self) -> Outlook:
        driver = self._driver
        capture, audit, upkeep = driver.capture, driver.audit, driver.upkeep.counters
        return Outlook(
            cloning=driver.state == "cloning",
            lost=capture.lost if capture is not None else "",
            drift_checks=audit.counters.checks if audit is not None else 0,
            differing=audit.counters.differing if audit is not None else 0,
            repaired=audit.counters.repaired if audit is not None else 0,
            versions=upkeep.versions,
            trimmed=upkeep.log_entries,
            forced_trims=upkeep.forced_trims,
            snapshots=upkeep.snapshots,
            upkeep_failures=upkeep.failures + upkeep.snapshot_failures,
        )

    # --- figures -----------------------------------------------------------------------------------------------------

    def _sample(self) -> events_pb2.MeshSample:
        driver, coordinator, store = self._driver, self._driver.coordinator, self._driver.store
        capture = driver.capture
        now = self._count()
        sample = events_pb2.MeshSample(
            at_ms=wall_ms(),
            state=driver.state,
            detail=capture.lost if capture is not None else "",
            captures=capture is not None,
            head_seq=coordinator.durable_seq,
            queued_changes=driver.committer.room.changes,
            log_bytes=store.log_bytes,
            rows=sum(map(store.count, store.tables())),
            memory_bytes=self._process.memory_info().rss,
            views=len(coordinator.views),
            dead_letters=len(capture.offering.letters) if capture is not None else 0,
            ssps=[self._ssp_sample(ssp_id) for ssp_id in sorted(coordinator.ssps)],
            lag=self._lag(),
        )
        before, self._counted = self._counted, now
        return with_rates(sample, before, now)

    def _count(self) -> Counted:
        ssps = self._driver.coordinator.ssps
        capture = self._driver.capture
        times = self._process.cpu_times()
        return Counted(
            at_s=time.monotonic(),
            captured=capture.changes if capture is not None else 0,
            appended=self._driver.committer.committed_changes,
            cpu_s=times.user + times.system,
            applied={ssp_id: member.progress.acked_seq for ssp_id, member in ssps.items()},
            edges={ssp_id: member.heartbeat.edges_written for ssp_id, member in ssps.items()},
        )

    def _ssp_sample(self, ssp_id: str) -> events_pb2.SspSample:
        coordinator = self._driver.coordinator
        member = coordinator.ssps[ssp_id]
        return events_pb2.SspSample(
            id=ssp_id,
            state=member.documented_state,
            draining=member.draining,
            views=coordinator.views_of(ssp_id),
            cpu_ratio=member.heartbeat.cpu_ratio,
            memory_bytes=member.heartbeat.memory_bytes,
            heartbeat_age_seconds=max(0, now_ms() - member.seen_ms) / 1000,
            applied_seq=member.progress.acked_seq,
            written_seq=member.written_seq,
            views_failed=member.heartbeat.views_failed,
        )

    def _lag(self) -> events_pb2.StageLag | None:
        probe = self._driver.probe
        if probe is not None and probe.interval_ms:
            self._last_lag = stage_lag(probe.status(), self._last_lag)
        return self._last_lag
