"""A running mesh of real processes, as a test drives it: started by `spky`, spoken to over HTTP, killed by pid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.harness.eventually import eventually
from tests.harness.mesh_client import SECRET, MeshClient
from tests.harness.processes import SPKY, Child, spawn

START_SECONDS = 60.0
# Short heartbeats, so that a death is noticed in seconds and not in fifteen.
QUICK = {
    "HEARTBEAT_INTERVAL_MS": "300",
    "SPKY_SCHEDULER_HEARTBEAT_INTERVAL_MS": "300",
    "SPKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS": "3000",
}


def environment(data_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process of a test mesh is told; nothing of ours is inherited from the machine."""
    return {**QUICK, "SPKY_DATA_DIR": str(data_dir), "SPKY_AUTH_SECRET": SECRET, **(extra or {})}


class Service:
    """One `spky …` process; the JSON lines it printed are kept."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], program: str = SPKY) -> None:
        self.arguments = arguments
        self.child: Child = spawn(arguments, env, program)
        self._lines: list[dict[str, Any]] = []

    def lines(self) -> list[dict[str, Any]]:
        """Everything printed so far."""
        with contextlib.suppress(queue.Empty):
            while True:
                line = self.child.lines.get_nowait()
                with contextlib.suppress(ValueError):
                    self._lines.append(json.loads(line or ""))
        return self._lines

    async def line(self, event: str, timeout_s: float = START_SECONDS) -> dict[str, Any]:
        """The first line of this event; AssertionError with stderr when the process ends or takes too long."""

        def found() -> dict[str, Any] | None:
            for line in self.lines():
                if line.get("event") == event:
                    return line
            assert self.returncode is None, f"{self.arguments} exited {self.returncode}"
            return None

        try:
            return await eventually(found, timeout_s, what=f"event {event} of {self.arguments}", every_s=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.child.said()}") from error

    @property
    def returncode(self) -> int | None:
        return self.child.process.poll()

    async def end(self, timeout_s: float = 15.0) -> int:
        """SIGTERM, then the exit code; SIGKILL after the deadline."""
        try:
            return await asyncio.to_thread(self.child.stop, timeout_s)
        finally:
            await asyncio.to_thread(self.child.close)


class Mesh(MeshClient):
    """`spky serve all` with N SSPs: its addresses, its database, its views."""

    def __init__(self, data_dir: Path, *, ssps: int = 2, extra: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.service = Service(
            ["serve", "all", "--ssps", str(ssps), "--ports", "auto", "--json"], environment(data_dir, extra)
        )
        self.ready: dict[str, Any] = {}

    async def __aenter__(self) -> Mesh:
        try:
            self.ready = await self.service.line("ready")
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.said())
        await self.close()

    async def close(self) -> None:
        await super().close()
        await self.service.end()

    def said(self) -> str:
        return self.service.child.said()[-6000:]

    @property
    def url(self) -> str:
        return str(self.ready["gateway"])

    @property
    def db_ws(self) -> str:
        return str(self.ready["db"])

    def pid_of(self, name: str) -> int:
        """The pid of a child now: `db`, `scheduler`, `gateway`, or an SSP's id. A restart is announced."""
        pid = int(self.ready["pids"][name])
        for line in self.service.lines():
            if line.get("event") == "restarted" and line.get("name") == name:
                pid = int(line["pid"])
        return pid

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid_of(name), number)


@contextlib.asynccontextmanager
async def running_mesh(data_dir: Path, *, ssps: int = 2, extra: Mapping[str, str] | None = None) -> AsyncIterator[Mesh]:
    async with Mesh(data_dir, ssps=ssps, extra=extra) as mesh:
        yield mesh
