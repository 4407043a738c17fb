"""Views move: an SSP dies, or is drained. Processes stand alone here, nobody restarts them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sp00ky.proto.database import Database

from tests.harness.edges import stored_edges
from tests.harness.eventually import eventually
from tests.harness.mesh import SECRET, Service, environment

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]
VIEWS = 12
STALE_SECONDS = 3.0  # of tests.harness.mesh.QUICK


class Parts:
    """A database, a scheduler and two SSPs, each its own process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: dict[str, Service] = {}
        self.http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {SECRET}"})
        self.url = ""
        self.database: Database

    async def start(self, name: str, *arguments: str, **settings: str) -> dict[str, Any]:
        env = environment(self.folder / name, settings)
        child = self.children[name] = Service(["serve", *arguments], env)
        return await child.line("listening")

    async def start_ssp(self, name: str) -> dict[str, Any]:
        return await self.start(
            name, "ssp", SPKY_SSP_ID=name, SPKY_SCHEDULER_URL=self.url, SPKY_DB_WS=self.database.url,
            SPKY_DB_NS="sp00ky", SPKY_DB_NAME="sp00ky",
            SPKY_SSP_LISTEN_ADDR="127.0.0.1:0", SPKY_SSP_GRPC_ADDR="127.0.0.1:0",
        )  # fmt: skip

    async def begin(self) -> None:
        listening = await self.start("db", "db", "--listen", "127.0.0.1:0")
        url = str(listening["ws"])
        self.database = Database(url, user="root", password="root", namespace="sp00ky", database="sp00ky")
        await self.database.connect()
        scheduler = await self.start(
            "scheduler", "scheduler", SPKY_DB_WS=url,
            SPKY_SCHEDULER_LISTEN_ADDR="127.0.0.1:0", SPKY_SCHEDULER_GRPC_ADDR="127.0.0.1:0",
        )  # fmt: skip
        self.url = str(scheduler["http"])
        for name in ("one", "two"):
            await self.start_ssp(name)
        await eventually(lambda: self.ready_ssps(2), 30.0, what="both SSPs to be ready", every_s=0.05)

    async def get(self, path: str, **arguments: str) -> Any:
        async with self.http.get(f"{self.url}{path}", params=arguments) as response:
            return await response.json() if response.status == 200 else None

    async def ready_ssps(self, count: int) -> bool:
        ssps = await self.get("/ssps")
        return ssps is not None and sum(ssp["state"] == "ready" for ssp in ssps) == count

    async def owners(self) -> set[str]:
        views = await self.get("/views")
        return {view["ssp_id"] for view in views} if views else set()

    async def owned_by(self, ssp_ids: set[str]) -> bool:
        return await self.owners() == ssp_ids

    async def drain(self, name: str, undo: int = 0) -> int:
        """The views it has left."""
        async with self.http.post(f"{self.url}/admin/ssp/{name}/drain?undo={undo}") as response:
            return int((await response.json())["views"])

    async def register_all(self) -> None:
        for number in range(VIEWS):
            surql = (
                "SELECT * FROM item WHERE bin = $bin" if number % 3 else "SELECT bin, count() FROM item GROUP BY bin"
            )
            body = {"id": f"v{number}", "surql": surql, "params": {"bin": number}, "clientId": "test"}
            async with self.http.post(f"{self.url}/view/register", json=body) as response:
                assert response.status == 200, await response.text()

    async def write(self, start: int, count: int) -> None:
        rows = [{"id": number, "bin": number % VIEWS} for number in range(start, start + count)]
        await self.database.query(
            "INSERT INTO item $rows RETURN NONE;"
            "UPDATE item SET bin = (bin + 1) % 12 WHERE id.id() % 7 = 0 RETURN NONE;"
            "DELETE item WHERE id.id() % 11 = 3 RETURN NONE",
            {"rows": rows},
        )

    async def converged(self) -> bool:
        """G1: every view's rows and edges equal a fresh query."""
        edges = await stored_edges(self.database)
        for number in range(VIEWS):
            view = await self.get(f"/view/v{number}", rows="1", consistency="fully_consistent")
            if view is None:
                return False
            if number % 3:
                text = "SELECT VALUE <string> id FROM item WHERE bin = $bin"
                fresh = (await self.database.query(text, {"bin": number}))[0]
                held = {edge.member for edge in edges if edge.view == f"v{number}"}
                if held != set(fresh) or len(view["rows"]) != len(fresh):
                    return False
            else:
                groups = (await self.database.query("SELECT bin, count() FROM item GROUP BY bin"))[0]
                if sorted(view["rows"], key=repr) != sorted(groups, key=repr):
                    return False
        return True

    async def end(self) -> None:
        await self.http.close()
        if hasattr(self, "database"):
            await self.database.close()
        for child in reversed(self.children.values()):
            if child.returncode is None:
                child.child.signal(signal.SIGCONT)
            await child.end()


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    parts = Parts(tmp_path)
    try:
        await parts.begin()
        yield parts
    finally:
        await parts.end()


async def test_g9_views_move_when_their_ssp_dies(parts: Parts) -> None:
    await parts.write(0, 200)
    await parts.register_all()
    assert await parts.owners() == {"one", "two"}  # round robin
    await eventually(parts.converged, 20.0, what="views to equal fresh queries", every_s=0.1)
    parts.children["one"].child.close()
    await parts.write(1000, 200)
    await eventually(parts.converged, STALE_SECONDS + 15.0, what="views to be right again", every_s=0.1)
    assert await parts.owners() == {"two"}
    await parts.start_ssp("one")  # the dead one comes back as a new incarnation, and is given its share
    await eventually(lambda: parts.owned_by({"one", "two"}), 20.0, what="views to move back", every_s=0.05)
    await parts.write(2000, 100)
    await eventually(parts.converged, 20.0, what="views to stay right", every_s=0.1)


async def test_an_ssp_is_drained_without_a_gap(parts: Parts) -> None:
    """Every read of every view is answered with its result while the views move away and back, and rows come in."""
    await parts.write(0, 400)
    await parts.register_all()
    await eventually(parts.converged, 20.0, what="views to equal fresh queries", every_s=0.1)
    reads, wrong, done = 0, list[Any](), asyncio.Event()

    async def read() -> None:
        nonlocal reads
        while not done.is_set():
            for number in range(VIEWS):
                async with parts.http.get(f"{parts.url}/view/v{number}", params={"rows": "1"}) as response:
                    view = await response.json()
                    reads += 1
                    if response.status != 200 or view["state"] != "live" or not view["rows"]:
                        wrong.append(view)

    async def write() -> None:
        for start in range(10_000, 1_000_000, 100):
            if done.is_set():
                return
            await parts.write(start, 40)

    async def drained() -> bool:
        return not await parts.drain("one")

    others = [asyncio.create_task(work()) for work in (read, read, write)]
    try:
        await parts.drain("one")
        await eventually(drained, 30.0, what="the drain to end", every_s=0.1)
        assert await parts.owners() == {"two"}
        await parts.drain("one", undo=1)
        await eventually(lambda: parts.owned_by({"one", "two"}), 20.0, what="views to move back", every_s=0.05)
    finally:
        done.set()
        await asyncio.gather(*others)
    assert wrong == [] and reads >= 2 * VIEWS
    await eventually(parts.converged, 20.0, what="views to stay right", every_s=0.1)
