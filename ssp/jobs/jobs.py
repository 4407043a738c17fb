"""The jobs of an SSP: one runner a table, one recorder, one connection of their own, beside the views."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs.backend import WASM, Backend
from sp00ky.proto.jobs.schedule import Schedule
from sp00ky.proto.jobs.schedule_rows import declared
from sp00ky.proto.measures import key_of
from sp00ky.proto.v1 import admin_pb2, common_pb2
from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.jobs.breaker import State
from sp00ky.ssp.jobs.functions import FunctionBackend
from sp00ky.ssp.jobs.http import HttpBackend
from sp00ky.ssp.jobs.outbox import Outbox
from sp00ky.ssp.jobs.peers import BEAT_S, Peers
from sp00ky.ssp.jobs.recorder import Recorder
from sp00ky.ssp.jobs.runner import Caller, Runner
from sp00ky.ssp.jobs.schedules import Schedules

log = logging.getLogger(__name__)


class Jobs:
    """`start` once, `stop` once. `failed` is set when a loop of ours has ended for good."""

    def __init__(
        self, database: Database, backends: Sequence[Backend], ssp_id: str, schedules: Sequence[Schedule] = ()
    ) -> None:
        served = [backend for backend in backends if backend.table]
        self.failed = asyncio.Event()
        self.peers = Peers(database, ssp_id, [backend.table for backend in served], self._outboxes)
        self.recorder = Recorder(database)
        self.runners = {
            backend.table: Runner(
                backend,
                Outbox(database, backend, ssp_id),
                self.recorder,
                _caller(backend),
                ssp_id=ssp_id,
                is_alone=lambda: self.peers.alone,
            )
            for backend in served
        }
        self.schedules = Schedules(database, declared(schedules, served), self.runners)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        works = [
            self.recorder.run(),
            self._beat(),
            self.schedules.run(),
            *(runner.run() for runner in self.runners.values()),
        ]
        for work in works:
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a loop of the jobs ended", exc_info=error)
            self.failed.set()

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(Fault):  # the runners say it
                await self.peers.beat()
            await asyncio.sleep(BEAT_S)

    def _outboxes(self) -> Value:
        return {table: runner.told() for table, runner in self.runners.items()}

    async def stop(self) -> None:
        """Claim nothing more, let attempts end or hand them back, then go."""
        recording, *others = self._tasks
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.gather(*(runner.stop() for runner in self.runners.values()))
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        await self.peers.leave()

    # --- beside the views ---

    def entered(self, entries: Sequence[common_pb2.Entry]) -> None:
        """A change of an outbox table wakes its runner."""
        for table in {entry.change.table for entry in entries} & self.runners.keys():
            self.runners[table].wake()

    def metrics(self) -> Mapping[str, float]:
        now = time.monotonic()
        counted: dict[str, float] = {"job_runners_other": self.peers.others, "jobs_unrecorded": self.recorder.refused}
        counted |= self.schedules.metrics()
        for table, runner in self.runners.items():
            is_open = runner.breaker.state(now) is not State.CLOSED
            counted |= {key_of("jobs_running", table=table): runner.running}
            counted |= {key_of("jobs_breaker_open", table=table): float(is_open), **runner.measures.metrics()}
        return counted

    def distributions(self) -> Sequence[admin_pb2.Distribution]:
        return [message for runner in self.runners.values() for message in runner.measures.distributions()]


def _caller(backend: Backend) -> Caller:
    """Raises Fault INVALID for a WebAssembly file that cannot be run here."""
    if backend.base_url.startswith(WASM):
        file = Path(backend.base_url.removeprefix(WASM))
        if importlib.util.find_spec("wasmtime") is None:
            hint = "pip install 'sp00ky-mesh[wasm]'"
            raise Fault(Code.INVALID, f'backend "{backend.name}" is WebAssembly, and wasmtime is not installed', hint)
        if not file.is_file():
            raise Fault(Code.INVALID, f'backend "{backend.name}": there is no file {file}')
    return FunctionBackend(backend) if backend.is_function else HttpBackend(backend)
