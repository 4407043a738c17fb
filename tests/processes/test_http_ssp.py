"""SSPs that speak HTTP only, as processes: a database that is written to, a scheduler, SSPs killed and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sp00ky.proto.database import Database
from sp00ky.proto.edge_tables import SHARED
from sp00ky.proto.values.kinds import RecordId

from tests.harness.edges import stored_edges
from tests.harness.eventually import eventually
from tests.harness.mesh import SECRET, Service, environment

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]
PROGRAM = "tests.harness.serve_http_ssp"
SURQL = "SELECT * FROM item WHERE bin = $bin"


class Parts:
    """A database and a scheduler; SSPs as the test starts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: dict[str, Service] = {}
        self.urls: dict[str, str] = {}
        self.http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {SECRET}"})
        self.database: Database

    async def start(self, name: str, *arguments: str, **settings: str) -> dict[str, Any]:
        child = self.children[name] = Service(["serve", *arguments], environment(self.folder / name, settings))
        return await child.line("listening")

    async def begin(self) -> None:
        listening = await self.start("db", "db", "--listen", "127.0.0.1:0")
        url = str(listening["ws"])
        self.database = Database(url, user="root", password="root", namespace="sp00ky", database="sp00ky")
        await self.database.connect()
        scheduler = await self.start(
            "scheduler", "scheduler", SPKY_DB_WS=url, SPKY_SCHEDULER_SSP_POLL_INTERVAL_MS="50",
            SPKY_SCHEDULER_LISTEN_ADDR="127.0.0.1:0", SPKY_SCHEDULER_GRPC_ADDR="127.0.0.1:0",
        )  # fmt: skip
        self.urls["scheduler"] = str(scheduler["http"])
        await eventually(lambda: self.get("scheduler", "/health/ready"), 30.0, what="the scheduler", every_s=0.05)

    async def start_ssp(self, name: str) -> None:
        await self.start(
            name, "ssp", SPKY_SSP_ID=name, SPKY_SCHEDULER_URL=self.urls["scheduler"], SPKY_DB_WS=self.database.url,
            SPKY_DB_NS="sp00ky", SPKY_DB_NAME="sp00ky",
            SPKY_SSP_LISTEN_ADDR="127.0.0.1:0", SPKY_SSP_GRPC_ADDR="127.0.0.1:0",
        )  # fmt: skip
        await self.ready(name)

    async def start_http_ssp(self, name: str) -> None:
        child = self.children[name] = Service([name, self.urls["scheduler"], SECRET], {}, PROGRAM)
        self.urls[name] = (await child.line("listening"))["http"]
        await self.ready(name)

    async def kill(self, name: str) -> None:
        await asyncio.to_thread(self.children.pop(name).child.close)  # by SIGKILL

    async def get(self, name: str, path: str) -> Any:
        try:
            async with self.http.get(f"{self.urls[name]}{path}") as response:
                return await response.json() if response.status == 200 else None
        except aiohttp.ClientError:
            return None

    async def ready(self, name: str) -> None:
        async def is_ready() -> bool:
            ssps = await self.get("scheduler", "/ssps") or []
            return any((ssp["id"], ssp["state"]) == (name, "ready") for ssp in ssps)

        await eventually(is_ready, 30.0, what=f"{name} to be ready", every_s=0.05)

    async def state(self, name: str) -> dict[str, Any]:
        return dict(await self.get(name, "/debug/state"))

    async def converged(self, name: str) -> bool:
        """It holds what SurrealDB holds, and was sent each change once, in order."""
        (rows,) = await self.database.query("SELECT VALUE [<string> id, n, bin] FROM item")
        state = await self.state(name)
        assert state["seqs"] == sorted(set(state["seqs"])), "a change came twice, or out of order"
        assert not state["seqs"] or state["seqs"][0] > state["snapshot_seq"]
        held = [[key, row["n"], row["bin"]] for key, row in state["rows"].get("item", {}).items()]
        return sorted(held) == sorted(rows)

    async def register(self, name: str) -> None:
        body = {"id": name, "surql": SURQL, "params": {"bin": 1}, "clientId": "test", "ttl": "30m"}
        async with self.http.post(f"{self.urls['scheduler']}/view/register", json=body) as response:
            assert response.status == 200, await response.text()

    async def owners(self) -> set[str]:
        return {view["ssp_id"] for view in await self.get("scheduler", "/views") or []}

    async def owned_by(self, name: str) -> bool:
        return await self.owners() == {name}

    async def end(self) -> None:
        await self.http.close()
        await self.database.close()
        for child in reversed(self.children.values()):
            await child.end()


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    started = Parts(tmp_path)
    try:
        await started.begin()
        yield started
    finally:
        await started.end()


class Writer:
    """Creates, updates and deletes in SurrealDB until it is stopped."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._going = True
        self.rounds = 0
        self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._going:
            rows = [{"id": self.rounds * 20 + place, "n": place, "bin": place % 3} for place in range(20)]
            await self._database.query(
                "INSERT INTO item $rows RETURN NONE;"
                "UPDATE item SET n += 1, bin = (bin + 1) % 3 WHERE id.id() % 7 = $part RETURN NONE;"
                "DELETE item WHERE id.id() % 11 = $part RETURN NONE",
                {"rows": rows, "part": self.rounds % 7},
            )
            self.rounds += 1

    async def stop(self) -> None:
        self._going = False
        await self._task

    async def for_rounds(self, count: int) -> None:
        until = self.rounds + count
        await eventually(lambda: self.rounds >= until, 30.0)


async def test_it_loads_while_writes_go_on_is_killed_and_comes_back_and_misses_nothing(parts: Parts) -> None:
    await parts.database.query(
        "INSERT INTO item $rows", {"rows": [{"id": -n, "n": n, "bin": 0} for n in range(1, 300)]}
    )
    writer = Writer(parts.database)
    await writer.for_rounds(2)
    await parts.start_http_ssp("h")
    await parts.register("v")
    await writer.for_rounds(5)
    await parts.kill("h")
    await writer.for_rounds(3)
    await parts.start_http_ssp("h")
    await writer.for_rounds(3)
    await writer.stop()
    await eventually(lambda: parts.converged("h"), 30.0, what="the SSP to hold what SurrealDB holds", every_s=0.1)
    (members,) = await parts.database.query("SELECT VALUE <string> id FROM item WHERE bin = 1")

    async def same() -> bool:
        return sorted((await parts.state("h"))["members"].get("v", [])) == sorted(members)

    await eventually(same, 10.0, what="its view, placed on it again")
    assert await stored_edges(parts.database) == []  # this one writes none, and nobody does in its place


@pytest.mark.long
async def test_views_move_between_kinds_and_whoever_is_lost_is_fenced(parts: Parts) -> None:
    await parts.database.query("INSERT INTO item $rows", {"rows": [{"id": n, "n": n, "bin": n % 3} for n in range(30)]})
    await parts.start_ssp("s")
    await parts.register("v")
    assert await parts.owners() == {"s"}
    await parts.start_http_ssp("h")
    await parts.kill("s")
    await eventually(lambda: parts.owned_by("h"), 15.0, what="the view of the one that was lost", every_s=0.05)

    async def registered() -> bool:
        return len((await parts.state("h"))["members"].get("v", [])) == 10

    await eventually(registered, 10.0, what="the view on the HTTP-only one")
    (epoch,) = await parts.database.query("SELECT VALUE epoch FROM ONLY $owner", {"owner": RecordId("_00_owner", "s")})
    incarnations = [ssp["incarnation"] for ssp in await parts.get("scheduler", "/ssps")]
    assert epoch > min(incarnations), "the lost owner can write no more"
    foreign = {"in": RecordId("_00_query", "v"), "out": RecordId("item", 2), "version": 1, "clientId": "test"}
    await parts.database.query(f"INSERT RELATION INTO {SHARED} $edge", {"edge": foreign})  # under an id of its own
    await parts.start_ssp("s")
    await parts.kill("h")
    await eventually(
        lambda: parts.owned_by("s"), 15.0, what="the view to be with the streaming one again", every_s=0.05
    )

    async def written() -> bool:
        (members,) = await parts.database.query("SELECT VALUE <string> id FROM item WHERE bin = 1")
        edges = [edge.member for edge in await stored_edges(parts.database)]
        return len(edges) == len(members) == 10 and set(edges) == set(members)

    await eventually(written, 10.0, what="its edges, and no others", every_s=0.05)
