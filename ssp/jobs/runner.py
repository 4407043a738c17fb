"""Runs the jobs of one outbox table: finds them, claims them, calls the backend, has it recorded.

Jobs are found by change (a wake-up: the table has moved) and by sweep (every SWEEP_S, and when the next is due); the
rows alone decide. Invariants:

* what is called is claimed: a lease of timeout + margin, under an epoch of its own;
* a job that this process loses in any way is found again by whoever sweeps after its lease: nothing is kept here that
  is not in the row;
* at most `concurrency` attempts run on all SSPs, which claims see to, and none begins while the backend's breaker is
  open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Fault
from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.jobs.lifecycle import Signal, lost_again
from sp00ky.proto.jobs.row import Claimed, Request
from sp00ky.proto.values.kinds import NONE, Datetime, RecordId, Value
from sp00ky.ssp.jobs.breaker import Breaker
from sp00ky.ssp.jobs.http import Answer
from sp00ky.ssp.jobs.measures import JobMeasures
from sp00ky.ssp.jobs.outbox import LEASE_MARGIN_S, Outbox
from sp00ky.ssp.jobs.recorder import Ending, Recorder

SWEEP_S = 1.0
REMOVE_S = 60.0
PATIENCE_S = 60.0  # beyond the lease: nobody may have taken the job over yet
STOP_S = 3.0
GATHER_S = 0.01
RETRY_S_MAX = 5.0

log = logging.getLogger(__name__)


class Caller(Protocol):
    async def call(self, request: Request) -> Answer: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Running:
    job: Claimed
    task: asyncio.Task[None]


class Runner:
    """`run` is its loop; `wake` says that the table may have moved; `stop` ends what runs, within STOP_S."""

    def __init__(
        self, backend: Backend, outbox: Outbox, recorder: Recorder, caller: Caller, *, ssp_id: str,
        is_alone: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.backend = backend
        self.breaker = Breaker()
        self.measures = JobMeasures(backend.table)
        self._outbox = outbox
        self._recorder = recorder
        self._caller = caller
        self._ssp_id = ssp_id
        self._is_alone = is_alone
        self._running: dict[RecordId, _Running] = {}
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._is_backlogged = False
        self._swept_at = self._removed_at = -REMOVE_S
        self._last_error: Value = NONE

    def wake(self) -> None:
        self._wake.set()

    @property
    def is_prepared(self) -> bool:
        return self._outbox.is_prepared

    @property
    def keep_s(self) -> int:
        return self.backend.retain_failed_secs

    @property
    def running(self) -> int:
        return len(self._running)

    def told(self) -> Value:
        """How this outbox fares here, for operators."""
        error = self._last_error or {"at": NONE, "reason": NONE}
        return {
            "running": self.running,
            "breaker": str(self.breaker.state(time.monotonic())),
            "error": error["reason"],
            "error_at": error["at"],
        }

    @property
    def _free(self) -> int:
        return self.backend.concurrency - len(self._running)

    # --- the loop ---

    async def run(self) -> None:
        """Ends only by cancellation."""
        failures = 0
        while True:
            self._wake.clear()
            try:
                pause = await self._turn() if await self._outbox.prepare() else SWEEP_S
                failures = 0
            except Fault as fault:
                failures += 1
                pause = min(RETRY_S_MAX, 0.1 * 2 ** min(failures, 6)) * (0.5 + random.random() / 2)
                log.warning("jobs of %s are not looked at, will retry: %s", self.backend.table, fault)
                await asyncio.sleep(pause)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _turn(self) -> float:
        """One look at the table; the seconds until the next, unless something wakes us. Raises Fault."""
        now = time.monotonic()
        if now - self._swept_at >= SWEEP_S:
            await self._recover()
            await self._notice_lost()
            self._swept_at = now
        if now - self._removed_at >= REMOVE_S:
            self.measures.removed += await self._outbox.remove()
            self._removed_at = now
        if self._is_backlogged and self._free < self.backend.concurrency // 4:
            await asyncio.sleep(GATHER_S)  # one search for several slots
        wanted = self.breaker.admits(now, self._free)
        if wanted <= 0:
            return SWEEP_S
        taken = await self._outbox.take(wanted, alone=self._is_alone())
        self._is_backlogged = taken.are_more or taken.is_full
        for job, waited_s in zip(taken.jobs, taken.waited_s, strict=True):
            self.measures.claimed(waited_s)
            self._begin(job)
        if taken.is_full:
            self.measures.full += self._free > 0
            return SWEEP_S  # or until an attempt ends, here or, which changes the table, elsewhere
        if taken.are_more and len(self._running) < self.backend.concurrency:
            return 0.0 if taken.jobs else random.uniform(0.0, 0.05)
        return min(SWEEP_S, max(0.0, taken.next_due_s)) if taken.next_due_s is not None else SWEEP_S

    def _begin(self, job: Claimed) -> None:
        self.breaker.began(time.monotonic())
        task = asyncio.create_task(self._attempt(job), name=f"job {job.id}")
        self._running[job.id] = _Running(job, task)
        task.add_done_callback(lambda _: self._ended(job))

    def _ended(self, job: Claimed) -> None:
        running = self._running.pop(job.id, None)
        if running is not None and not running.task.cancelled() and (error := running.task.exception()) is not None:
            log.error("attempt of job %s ended", job.id, exc_info=error)  # its lease runs out
        self._wake.set()

    # --- one attempt ---

    async def _attempt(self, job: Claimed) -> None:
        failpoint("jobs.before_call")
        try:
            request = job.request(self.backend)
        except Fault as fault:
            self.breaker.dropped()
            error = self._error(job, 0, str(fault))
            await self._end(job, Signal.EXHAUSTED, errors=[error])
            return
        begun = time.monotonic()
        try:
            answer = await self._caller.call(request)
        except asyncio.CancelledError:
            self.breaker.dropped()
            if self._is_stopping:
                await self._hand_back(job)
            raise
        failpoint("jobs.after_call")
        self.measures.called(time.monotonic() - begun)
        self.breaker.answered(time.monotonic(), answer.speaks_for_backend)
        if answer.ok:
            notes = [self._error(job, answer.code, answer.note)] if answer.note else []
            await self._end(job, Signal.SUCCEEDED, errors=notes, result=answer.result)
            return
        signal, pause_ms = job.retrying().refused(random.random())
        error = self._last_error = self._error(job, answer.code, answer.reason)
        await self._end(job, signal, errors=[error], pause_ms=pause_ms)

    async def _end(self, job: Claimed, signal: Signal, **facts: Value) -> None:
        succeeded = signal is Signal.SUCCEEDED
        keep_s = self.backend.retain_success_secs if succeeded else self.backend.retain_failed_secs
        ending = Ending(signal, job.id, job.epoch, keep_s=keep_s, **facts)
        is_recorded = await self._recorder.record(ending, LEASE_MARGIN_S + PATIENCE_S)
        self.measures.ended(signal, is_recorded)
        if not is_recorded:
            log.info("job %s at epoch %d: %s came too late to be recorded", job.id, job.epoch, signal)

    def _error(self, job: Claimed, code: int, reason: str) -> Value:
        return {
            "at": Datetime(time.time_ns()), "code": code, "reason": reason, "ssp": self._ssp_id, "attempt": job.epoch
        }  # fmt: skip

    # --- what was lost ---

    async def _recover(self) -> None:
        """Leases that have run out, whoever had them."""
        endings = []
        for each in await self._outbox.expired():
            if each.id in self._running:
                continue  # it is being recorded; if not, the next sweep finds it
            reason = f"the lease of {each.assignee} ran out"
            error = {"at": Datetime(time.time_ns()), "code": 0, "reason": reason, "ssp": each.assignee}
            endings.append(
                Ending(
                    lost_again(each.lost), each.id, each.epoch, errors=[error], keep_s=self.backend.retain_failed_secs
                )
            )
        for recorded in await asyncio.gather(*(self._recorder.record(each, SWEEP_S) for each in endings)):
            self.measures.lost += recorded

    async def _notice_lost(self) -> None:
        """Attempts whose job was killed, or taken over, are given up."""
        jobs = [running.job for running in self._running.values()]
        if not jobs:
            return
        held = await self._outbox.still_held(jobs)
        for job in jobs:
            running = self._running.get(job.id)
            if job.id not in held and running is not None and running.job is job:
                running.task.cancel()

    async def _hand_back(self, job: Claimed) -> None:
        error = self._error(job, 0, f"{self._ssp_id} was stopped")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._end(job, Signal.LOST, errors=[error]), STOP_S)

    async def stop(self) -> None:
        """What runs may end; what does not is handed back, to be tried by others at once."""
        self._is_stopping = True
        tasks = [running.task for running in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._caller.close()
