"""A running mesh of real processes, as a test drives it: started by `spky`, spoken to over HTTP, killed by pid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from sp00ky.proto.database import Database

from tests.harness.eventually import eventually

START_SECONDS = 60.0
SECRET = "a secret of the tests"
# Short heartbeats, so that a death is noticed in a second and not in fifteen.
QUICK = {
    "HEARTBEAT_INTERVAL_MS": "200",
    "SPKY_SCHEDULER_HEARTBEAT_INTERVAL_MS": "200",
    "SPKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS": "1500",
}


def environment(data_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The test's environment without any SPKY_* of the machine, and ours in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPKY_", "SURREAL"))}
    return {**kept, **QUICK, "SPKY_DATA_DIR": str(data_dir), "SPKY_AUTH_SECRET": SECRET, **(extra or {})}


@dataclass
class Child:
    """One `spky …` process; what it prints on stdout is read as JSON lines."""

    arguments: list[str]
    env: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> Child:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "sp00ky.deploy.cli", *self.arguments,
            env=dict(self.env), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 20,
        )  # fmt: skip
        self._readers = [asyncio.create_task(self._read_out()), asyncio.create_task(self._read_err())]
        return self

    async def _read_out(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        async for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.lines.append(json.loads(line))

    async def _read_err(self) -> None:
        assert self.process is not None and self.process.stderr is not None
        async for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace").rstrip())

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        assert self.process is not None
        return self.process.returncode

    async def line(self, event: str, timeout_s: float = START_SECONDS) -> dict[str, Any]:
        """The first line of this event; AssertionError with stderr when the process ends or takes too long."""

        def found() -> dict[str, Any] | None:
            for line in self.lines:
                if line.get("event") == event:
                    return line
            assert self.returncode is None, f"{self.arguments} exited {self.returncode}: {self.tail()}"
            return None

        try:
            return await eventually(found, timeout_s, what=f"event {event} of {self.arguments}", every_s=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from error

    def tail(self) -> str:
        return "\n".join(self.errors[-40:])

    async def end(self, timeout_s: float = 15.0) -> int:
        """SIGTERM, then the exit code; SIGKILL after the deadline."""
        assert self.process is not None
        if self.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), timeout_s)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)
        code = self.returncode
        assert code is not None
        return code


class Mesh:
    """`spky serve all` with N SSPs: its addresses, its database, its views."""

    def __init__(self, data_dir: Path, *, ssps: int = 2, extra: Mapping[str, str] | None = None) -> None:
        self.child = Child(
            ["serve", "all", "--ssps", str(ssps), "--ports", "auto", "--json"], environment(data_dir, extra)
        )
        self.ready: dict[str, Any] = {}
        self.http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {SECRET}"}, timeout=aiohttp.ClientTimeout(total=40)
        )
        self._databases: list[Database] = []

    async def __aenter__(self) -> Mesh:
        await self.child.start()
        try:
            self.ready = await self.child.line("ready")
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.child.tail())
        await self.close()

    async def close(self) -> None:
        for database in self._databases:
            await database.close()
        await self.http.close()
        await self.child.end()

    @property
    def url(self) -> str:
        return str(self.ready["gateway"])

    def pid_of(self, name: str) -> int:
        """The pid of a child now: `db`, `scheduler`, `gateway`, or an SSP's id. A restart is announced."""
        pid = int(self.ready["pids"][name])
        for line in self.child.lines:
            if line.get("event") == "restarted" and line.get("name") == name:
                pid = int(line["pid"])
        return pid

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid_of(name), number)

    async def database(self) -> Database:
        database = Database(str(self.ready["db"]), user="root", password="root", namespace="sp00ky", database="sp00ky")
        self._databases.append(database)
        await database.connect()
        return database

    async def sql(self, text: str) -> Any:
        """The first statement's result as SurrealDB's HTTP /sql encodes it."""
        url = str(self.ready["db"]).replace("ws://", "http://").removesuffix("/rpc") + "/sql"
        headers = {"Accept": "application/json", "Surreal-NS": "sp00ky", "Surreal-DB": "sp00ky"}
        auth = aiohttp.BasicAuth("root", "root")
        async with (
            aiohttp.ClientSession(auth=auth) as session,
            session.post(url, data=text, headers=headers) as response,
        ):
            body = await response.json()
            assert response.status == 200, body
            assert body[0]["status"] == "OK", body
            return body[0]["result"]

    async def register(self, view: str, surql: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        body = {"id": view, "surql": surql, "params": dict(params or {}), "clientId": "test"}
        async with self.http.post(f"{self.url}/view/register", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return dict(answer)

    async def view(self, view: str, **arguments: str) -> tuple[int, Any]:
        async with self.http.get(f"{self.url}/view/{view}", params=arguments) as response:
            return response.status, await response.json()

    async def consistent(self, view: str, timeout_s: float = 30.0) -> Any:
        """The view, fully consistent, with rows; asks again while a service is away."""
        answer: Any = None

        async def asked() -> bool:
            nonlocal answer
            try:
                status, answer = await self.view(view, rows="1", consistency="fully_consistent")
            except (aiohttp.ClientError, TimeoutError) as error:
                answer = repr(error)
                return False
            assert status < 400 or status in (429, 500, 502, 503, 504, 404), answer
            return status == 200 and answer["state"] != "lagging"

        try:
            await eventually(asked, timeout_s, what=f"view {view}", every_s=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}: {answer}\n{self.child.tail()}") from error
        return answer


@contextlib.asynccontextmanager
async def running_mesh(data_dir: Path, *, ssps: int = 2, extra: Mapping[str, str] | None = None) -> AsyncIterator[Mesh]:
    async with Mesh(data_dir, ssps=ssps, extra=extra) as mesh:
        yield mesh
