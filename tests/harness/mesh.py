"""A running mesh of real processes, as a test drives it: started by `spky`, spoken to over HTTP, killed by pid."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import queue
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from sp00ky.proto.database import Database

from tests.harness.eventually import eventually
from tests.harness.processes import Child, spawn

START_SECONDS = 60.0
SECRET = "a secret of the tests"
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

    def __init__(self, arguments: list[str], env: Mapping[str, str]) -> None:
        self.arguments = arguments
        self.child: Child = spawn(arguments, env)
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


class Mesh:
    """`spky serve all` with N SSPs: its addresses, its database, its views."""

    def __init__(self, data_dir: Path, *, ssps: int = 2, extra: Mapping[str, str] | None = None) -> None:
        self.service = Service(
            ["serve", "all", "--ssps", str(ssps), "--ports", "auto", "--json"], environment(data_dir, extra)
        )
        self.ready: dict[str, Any] = {}
        self.http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {SECRET}"}, timeout=aiohttp.ClientTimeout(total=40)
        )
        self._databases: list[Database] = []

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
        for database in self._databases:
            await database.close()
        await self.http.close()
        await self.service.end()

    def said(self) -> str:
        return self.service.child.said()[-6000:]

    @property
    def url(self) -> str:
        return str(self.ready["gateway"])

    def pid_of(self, name: str) -> int:
        """The pid of a child now: `db`, `scheduler`, `gateway`, or an SSP's id. A restart is announced."""
        pid = int(self.ready["pids"][name])
        for line in self.service.lines():
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

    async def sql(self, text: str, token: str = "") -> list[Any]:
        """Each statement's result as SurrealDB's HTTP /sql encodes it, asked as root or with a user's token. One
        request for many statements: the password is hashed anew for each."""
        url = str(self.ready["db"]).replace("ws://", "http://").removesuffix("/rpc") + "/sql"
        headers = {
            "Accept": "application/json",
            "Surreal-NS": "sp00ky",
            "Surreal-DB": "sp00ky",
            "Authorization": f"Bearer {token}" if token else "Basic " + base64.b64encode(b"root:root").decode(),
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=text, headers=headers) as response,
        ):
            body = await response.json()
            assert response.status == 200, body
            assert all(statement["status"] == "OK" for statement in body), body
            return [statement["result"] for statement in body]

    async def register(
        self, view: str, surql: str, params: Mapping[str, Any] | None = None, auth: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        body = {"id": view, "surql": surql, "params": dict(params or {}), "clientId": "test", "auth": auth}
        async with self.http.post(f"{self.url}/view/register", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return dict(answer)

    async def unregister(self, view: str) -> None:
        async with self.http.post(f"{self.url}/view/unregister", json={"id": view}) as response:
            assert response.status == 200, await response.text()

    async def view(self, view: str, **arguments: str) -> tuple[int, Any]:
        async with self.http.get(f"{self.url}/view/{view}", params=arguments) as response:
            return response.status, await response.json()

    async def consistent(self, view: str, timeout_s: float = 30.0, auth: str = "") -> Any:
        """The view (of the user), fully consistent, with rows; asks again while a service is away."""
        answer: Any = None
        user = {"auth": auth} if auth else {}

        async def asked() -> bool:
            nonlocal answer
            try:
                status, answer = await self.view(view, rows="1", consistency="fully_consistent", **user)
            except (aiohttp.ClientError, TimeoutError) as error:
                answer = repr(error)
                return False
            assert status < 400 or status in (429, 502, 503, 504), answer
            assert status != 200 or answer["state"] != "failed", answer
            return status == 200 and answer["state"] != "lagging"

        try:
            await eventually(asked, timeout_s, what=f"view {view}", every_s=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}: {answer}\n{self.said()}") from error
        return answer


@contextlib.asynccontextmanager
async def running_mesh(data_dir: Path, *, ssps: int = 2, extra: Mapping[str, str] | None = None) -> AsyncIterator[Mesh]:
    async with Mesh(data_dir, ssps=ssps, extra=extra) as mesh:
        yield mesh
