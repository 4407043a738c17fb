"""Keeps child processes of ours alive: starts them, restarts what crashed, drains them tier by tier.

A child has *listened* when it printed its `listening` line. One that ends before it ever did cannot be started (a taken
port, a missing database) and fails the whole mesh with its own words; one that ends later is started again with the
same command, hence the same ports and directories, after a pause that doubles from 1 s to 10 s and starts over once the
child has lived for 30 s.

Children run in sessions of their own (a Ctrl-C in the terminal reaches the supervisor alone, which drains in order) and
hold the reading end of a pipe as stdin: when the supervisor is killed, the pipe closes and they drain by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sp00ky.deploy.logs import named
from sp00ky.proto.faults import Code, Fault

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 10.0
SETTLED_S = 30.0
EXIT_NOT_RUN = 127
COMPLAINT = b"spky: "
LINE_BYTES_MAX = 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run: arguments of `spky`, and what to add to the environment."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def backoff_seconds(crashes: int) -> float:
    """The pause before the restart that follows the given number of crashes in a row (from 1)."""
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (crashes - 1)))


class Child:
    """One supervised process. `listening` holds its announcement once it has listened; `restarts` counts."""

    def __init__(self, spec: ChildSpec, on_restart: Callable[[Child], None]) -> None:
        self.spec = spec
        self._on_restart = on_restart
        self.listening: dict[str, object] = {}
        self.restarts = 0
        self.listened = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._complaint = ""
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int:
        """Of the present life; 0 between two lives."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process else 0

    async def run(self) -> None:
        """Keep it alive until `stop`. Raises Fault UNAVAILABLE if it never listens."""
        crashes = 0
        while True:
            born = time.monotonic()
            try:
                code = await self._live()
            except OSError as error:
                log.error("cannot run %s: %s", self.spec.name, error)
                code = EXIT_NOT_RUN
            if self._stopping.is_set():
                return
            if not self.listened.is_set():
                raise Fault(Code.UNAVAILABLE, f"{self.spec.name}: {self._complaint or f'ended with {ending(code)}'}")
            crashes = 1 if time.monotonic() - born >= SETTLED_S else crashes + 1
            self.restarts += 1
            pause = backoff_seconds(crashes)
            log.warning("%s ended (%s); starting it again in %g s", self.spec.name, ending(code), pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return

    async def _live(self) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "sp00ky.deploy.cli", *self.spec.arguments, "--supervised"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self.spec.environment},
            start_new_session=True,
            limit=LINE_BYTES_MAX,
        )
        assert process.stdout is not None and process.stderr is not None
        if self._stopping.is_set():
            self.signal(signal.SIGTERM)
        await asyncio.gather(self._read_stdout(process.stdout), self._forward(process.stderr))
        return await process.wait()

    async def _read_stdout(self, stream: asyncio.StreamReader) -> None:
        async for line in lines(stream):
            with contextlib.suppress(ValueError):
                facts = json.loads(line)
                if isinstance(facts, dict) and facts.get("event") == "listening":
                    again = self.listened.is_set()
                    self.listening = facts
                    self.listened.set()
                    if again:
                        self._on_restart(self)

    async def _forward(self, stream: asyncio.StreamReader) -> None:
        """A complaint about its first start is not passed on: it becomes the supervisor's own."""
        async for line in lines(stream):
            if line.startswith(COMPLAINT) and not self.listened.is_set():
                self._complaint = line.removeprefix(COMPLAINT).decode(errors="replace").strip()
                continue
            sys.stderr.buffer.write(named(self.spec.name, line.rstrip(b"\n")) + b"\n")
            sys.stderr.flush()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.pid and self._process:
                self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        self._stopping.set()
        self.signal(signal.SIGTERM)


async def all_listened(tier: Sequence[Child]) -> None:
    for child in tier:
        await child.listened.wait()


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of a stream; one that is longer than the limit is dropped, not the stream."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line


def ending(code: int) -> str:
    """How a process ended, for people."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Supervisor:
    """Children in tiers; `start` a tier, later `stop` all, last tier first. `on_restart` is called with a child that
    listens again."""

    def __init__(self, on_restart: Callable[[Child], None] = lambda child: None) -> None:
        self._on_restart = on_restart
        self._tiers: list[list[Child]] = []
        self._runs: dict[Child, asyncio.Task[None]] = {}

    @property
    def children(self) -> Sequence[Child]:
        return [child for tier in self._tiers for child in tier]

    async def start(self, specs: Sequence[ChildSpec]) -> list[Child]:
        """Start a tier and wait until all of it listens. Raises Fault when any child of any tier cannot be kept."""
        tier = [Child(spec, self._on_restart) for spec in specs]
        if not tier:
            return tier
        self._tiers.append(tier)
        for child in tier:
            self._runs[child] = asyncio.create_task(child.run())
        await self.unless_failed(all_listened(tier))
        return tier

    async def unless_failed(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for `work`; raise the fault of a child that could not be kept instead, when there is one first."""
        task = asyncio.create_task(work)
        waited: set[asyncio.Future[Any]] = {task, *self._runs.values()}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for run in self._runs.values():
                if run.done():
                    run.result()
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self, seconds: float) -> None:
        """Drain the tiers in reverse order, sharing the seconds; kill what does not end in its share."""
        deadline = time.monotonic() + seconds
        for left, tier in zip(range(len(self._tiers), 0, -1), reversed(self._tiers), strict=True):
            for child in tier:
                child.ask_to_stop()
            runs = [self._runs[child] for child in tier]
            share = max(0.1, (deadline - time.monotonic()) / left)
            _, late = await asyncio.wait(runs, timeout=share)
            for child in tier:
                if self._runs[child] in late:
                    log.error("%s did not drain in %.1f s; killing it", child.spec.name, share)
                    child.signal(signal.SIGKILL)
            await asyncio.gather(*runs, return_exceptions=True)

    def kill(self) -> None:
        """End every child at once."""
        for child in self.children:
            child.signal(signal.SIGKILL)
