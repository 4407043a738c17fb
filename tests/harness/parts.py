"""A mesh whose processes stand alone: each can be armed, killed, paused, started again, and reached through a proxy.

Nobody restarts anything but the test. The scheduler keeps its addresses over restarts, SSPs do not need to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from sp00ky.deploy.ports import free_ports
from sp00ky.proto.failpoints import FAILPOINTS_ENV

from tests.harness.eventually import eventually
from tests.harness.mesh import Service, environment
from tests.harness.mesh_client import MeshClient
from tests.harness.processes import SPKY, spawn

ARGUMENTS_OF_DB = ("serve", "db", "--path", "mem", "--listen", "127.0.0.1:0")


@contextmanager
def database_process() -> Iterator[str]:
    """The WebSocket address of a database in memory, in a process of its own."""
    child = spawn(ARGUMENTS_OF_DB)
    try:
        yield str(child.wait_json_line(lambda line: line.get("event") == "listening")["ws"])
    finally:
        child.close()


@dataclass
class Part:
    """One process: how it is started, and its present life."""

    name: str
    arguments: Sequence[str]
    env: Mapping[str, str]
    failpoints: Path
    program: str = SPKY
    service: Service | None = None
    listening: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.service is not None and self.service.returncode is None

    @property
    def running(self) -> Service:
        assert self.service is not None, f"{self.name} was never started"
        return self.service


class Parts(MeshClient):
    """A scheduler, SSPs and what else a test starts, over a namespace of its own in a database that stays."""

    def __init__(
        self, folder: Path, db_ws: str, settings: Mapping[str, str] | None = None, program: str = SPKY
    ) -> None:
        """`settings` are every process's, beside the quick heartbeats of `tests.harness.mesh`. With no `db_ws` there is
        an address for a database of its own, to be added as a part."""
        super().__init__(namespace=f"test_{uuid4().hex}")
        self._program = program
        self.folder, self._settings = folder, dict(settings or {})
        self.parts: dict[str, Part] = {}
        self._http_port, self._grpc_port, db_port = free_ports(3)
        self._db_ws = db_ws or f"ws://127.0.0.1:{db_port}/rpc"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http_port}"

    @property
    def grpc(self) -> str:
        """The scheduler's gRPC address."""
        return f"127.0.0.1:{self._grpc_port}"

    def move_grpc(self) -> str:
        """Another address for the scheduler's next life."""
        [self._grpc_port] = free_ports(1)
        return self.grpc

    @property
    def db_ws(self) -> str:
        return self._db_ws

    # --- processes ---------------------------------------------------------------------------------------------------

    def add(self, name: str, arguments: Sequence[str], **settings: str) -> Part:
        """A process to be started by name."""
        failpoints = self.folder / f"{name}.failpoints"
        place = {"SPKY_DB_WS": self.db_ws, "SPKY_DB_NS": self.namespace, "SPKY_DB_NAME": "sp00ky"}
        env = {**place, FAILPOINTS_ENV: f"@{failpoints}", **self._settings, **settings}
        part = self.parts[name] = Part(name, arguments, environment(self.folder / name, env), failpoints,
                                       self._program)  # fmt: skip
        return part

    def add_database(self) -> Part:
        """A database that keeps its data on the disk."""
        listen = self.db_ws.removeprefix("ws://").removesuffix("/rpc")
        return self.add("db", ["serve", "db", "--path", str(self.folder / "data"), "--listen", listen])

    def add_scheduler(self, **settings: str) -> Part:
        listen = {"SPKY_SCHEDULER_LISTEN_ADDR": self.url.removeprefix("http://"), "SPKY_SCHEDULER_GRPC_ADDR": self.grpc}
        return self.add("scheduler", ["serve", "scheduler"], **{**listen, **settings})

    def add_ssp(self, name: str, **settings: str) -> Part:
        """An SSP; `SPKY_SCHEDULER_URL` and `SPKY_DB_WS` may lead through a proxy."""
        own = {
            "SPKY_SSP_ID": name,
            "SPKY_SCHEDULER_URL": f"grpc://{self.grpc}",
            "SPKY_SSP_LISTEN_ADDR": "127.0.0.1:0",
            "SPKY_SSP_GRPC_ADDR": "127.0.0.1:0",
            "SPKY_SSP_QUERY_UPDATE_THROTTLE_MS": "20",
        }
        return self.add(name, ["serve", "ssp"], **{**own, **settings})

    async def start(self, *names: str) -> None:
        """Start processes, or start them again; returns when each says where it listens."""
        self.spawn(*names)
        for name in names:
            part = self.parts[name]
            part.listening = await part.running.line("listening")

    async def kept_alive(self, *names: str, timeout_s: float = 60.0) -> None:
        """Wait until each listens; one that ends before is started again, as whoever supervises it would."""

        def listens(part: Part) -> bool:
            if not part.alive:
                part.running.child.close()
                self.spawn(part.name)
            found = [line for line in part.running.lines() if line.get("event") == "listening"]
            part.listening = found[0] if found else part.listening
            return bool(found)

        for name in names:
            part = self.parts[name]
            await eventually(lambda part=part: listens(part), timeout_s, what=f"{name} to listen", every_s=0.05)  # type: ignore[misc]

    def spawn(self, *names: str) -> None:
        """Start processes without waiting for anything."""
        for name in names:
            part = self.parts[name]
            assert not part.alive, f"{name} runs"
            if part.service is not None:
                part.service.child.close()
            part.service = Service(list(part.arguments), part.env, part.program)

    def arm(self, name: str, failpoints: str) -> None:
        """Arm a process, whether it runs or not; empty text disarms it."""
        file = self.parts[name].failpoints
        fresh = file.with_suffix(".new")
        fresh.write_text(failpoints)
        fresh.replace(file)

    async def died(self, name: str, timeout_s: float = 15.0) -> None:
        """Wait until a failpoint killed it."""
        code = await self.ended(name, timeout_s)
        assert code == -signal.SIGKILL, f"{name} ended with {code}: {self.parts[name].running.child.said()[-2000:]}"

    async def ended(self, name: str, timeout_s: float = 15.0) -> int:
        """Wait until it is gone by itself; its exit code."""
        child = self.parts[name].running.child
        try:
            return await asyncio.to_thread(child.wait, timeout_s)
        finally:
            await asyncio.to_thread(child.close)

    async def kill(self, *names: str) -> None:
        """kill -9, all at once."""
        for name in names:
            os.kill(self.parts[name].running.child.pid, signal.SIGKILL)
        for name in names:
            await self.died(name)

    def pause(self, name: str) -> None:
        self.parts[name].running.child.signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.parts[name].running.child.signal(signal.SIGCONT)

    def said(self) -> str:
        parts = (part for part in self.parts.values() if part.service is not None)
        return "\n".join(f"--- {part.name}\n{part.running.child.said()[-3000:]}" for part in parts)

    async def close(self) -> None:
        await super().close()
        for part in reversed(self.parts.values()):
            if part.service is not None:
                with contextlib.suppress(ProcessLookupError):
                    part.service.child.signal(signal.SIGCONT)
                await asyncio.to_thread(part.service.child.close)

    # --- what the scheduler says of them -----------------------------------------------------------------------------

    async def ssps(self) -> dict[str, dict[str, Any]]:
        """What the scheduler knows of each SSP; empty while it is away."""
        return {ssp["id"]: ssp for ssp in await self.get("/ssps") or []}

    async def is_ready(self, *names: str) -> bool:
        """Whether exactly these SSPs are known, and all are ready."""
        ssps = await self.ssps()
        return ssps.keys() == set(names) and all(ssp["state"] == "ready" for ssp in ssps.values())

    async def all_ready(self, *names: str, timeout_s: float = 20.0) -> None:
        await eventually(lambda: self.is_ready(*names), timeout_s, what=f"{names} to be ready", every_s=0.02)

    async def owners(self) -> dict[str, str]:
        """The SSP of each view."""
        return {view["id"]: view["ssp_id"] for view in await self.get("/views") or []}

    async def status_of(self, name: str) -> dict[str, Any]:
        """What an SSP says of itself at `GET /health`, whatever the status."""
        async with self.http.get(f"{self.parts[name].listening['http']}/health") as response:
            return {"code": response.status, **await response.json()}


@contextlib.asynccontextmanager
async def running_parts(
    folder: Path, db_ws: str, settings: Mapping[str, str] | None = None, *, ssps: Sequence[str] = ("one", "two")
) -> AsyncIterator[Parts]:
    """A scheduler and SSPs that are ready, without proxies."""
    parts = Parts(folder, db_ws, settings)
    try:
        parts.add_scheduler()
        for name in ssps:
            parts.add_ssp(name)
        await parts.start("scheduler", *ssps)
        await parts.all_ready(*ssps)
        yield parts
    finally:
        await parts.close()
