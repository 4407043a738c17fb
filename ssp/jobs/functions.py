"""A backend without a server: functions of a Python module or a WebAssembly file, each call in a process that may be
killed.

A worker runs one call at a time, as one line of JSON in and one out (`worker.py`). A call that takes too long, or whose
process dies, costs that process and no other; the next call starts a new one. Workers are told none of the mesh's
settings: secrets are not theirs.

A WebAssembly function that takes too long is interrupted inside its worker, which tells so and lives on; GRACE_S later
at the latest the worker is killed, as one of Python is at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process

import orjson
from sp00ky.proto.jobs.backend import WASM, Backend
from sp00ky.proto.jobs.row import Request
from sp00ky.proto.values.json import from_json
from sp00ky.proto.values.kinds import NONE
from sp00ky.ssp.jobs.http import REASON_CHARS_MAX, Answer

GRACE_S = 1.0
_OURS = ("SPKY_", "SP00KY_", "SPOOKY_", "SURREALDB_", "S3_", "OTEL_")


class FunctionBackend:
    """`call` for each job, `close` at the end. Idle workers are kept: at most as many as there were calls at once."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._idle: list[Process] = []
        self._workers: set[Process] = set()
        self._grace_s = GRACE_S if backend.base_url.startswith(WASM) else 0.0

    async def call(self, request: Request) -> Answer:
        """Raises nothing but cancellation."""
        worker: Process | None = None
        try:
            async with asyncio.timeout(request.timeout_s + self._grace_s):
                worker = self._idle.pop() if self._idle else await self._start()
                answer = await self._ask(worker, request)
            self._idle.append(worker)
            worker = None
            return answer
        except TimeoutError:
            return Answer(0, f"no answer within {request.timeout_s:g} s")
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            return Answer(0, f"the worker ended: {error}"[:REASON_CHARS_MAX])
        finally:
            if worker is not None:
                await self._end(worker)

    async def _start(self) -> Process:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sp00ky.ssp.jobs.worker",
            self._backend.base_url,
            str(self._backend.memory_bytes_max),
            str(self._backend.fuel),
            stdin=PIPE,
            stdout=PIPE,
            env=environment,
            limit=2 * self._backend.response_bytes_max + 65_536,
        )
        self._workers.add(worker)
        return worker

    async def _ask(self, worker: Process, request: Request) -> Answer:
        assert worker.stdin is not None and worker.stdout is not None
        most = self._backend.response_bytes_max
        asked = {"path": request.url, "key": request.key, "attempt": request.attempt}
        asked |= {"timeout_s": request.timeout_s, "most": most}
        worker.stdin.write(orjson.dumps({**asked, "payload": orjson.Fragment(request.body)}) + b"\n")
        await worker.stdin.drain()
        line = await worker.stdout.readuntil(b"\n")
        told = from_json(line)
        if told["reason"]:
            return Answer(int(told["code"]), str(told["reason"])[:REASON_CHARS_MAX])
        result = told["result"]
        return Answer(200, result=NONE if result is None else result, note=str(told["note"]))

    async def _end(self, worker: Process) -> None:
        self._workers.discard(worker)
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        if worker.stdin is not None:
            worker.stdin.close()
        await worker.wait()

    async def close(self) -> None:
        self._idle.clear()
        for worker in list(self._workers):
            await self._end(worker)
