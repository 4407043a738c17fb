"""The whole mesh as real processes: writes through SurrealDB, faults in the middle, then every view equals the oracle.

One mesh serves the module; each test brings a table, views and writes of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from sp00ky.proto.database import Database

from tests.harness.mesh import Mesh, running_mesh
from tests.processes.workload import (
    View,
    Writer,
    assert_all_equal,
    assert_edges_equal,
    assert_nothing_lost,
    prepare,
    register,
    unregister,
)

pytestmark = [
    pytest.mark.processes,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
WRITERS = 6
FEW, MANY = (60, 1_200), (200, 5_000)  # views, writes
SIZES = pytest.mark.parametrize(
    "size", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.long)]
)


class Scene:
    def __init__(self, mesh: Mesh, database: Database, writers: Sequence[Database]) -> None:
        self.mesh = mesh
        self.database = database
        self.writers = writers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with running_mesh(tmp_path_factory.mktemp("mesh"), ssps=2) as mesh:
        database = await mesh.database()
        await prepare(database)
        yield Scene(mesh, database, [await mesh.database() for _ in range(WRITERS)])


async def write_and_compare(scene: Scene, name: str, size: tuple[int, int], *kills: str) -> None:
    """Writes with kill -9 of `kills` in the middle, then everything equals the oracle."""
    views, writes = size

    def act() -> None:
        for victim in kills:
            scene.mesh.kill(victim)

    table = f"post_{name}_{writes}"
    registered = await register(scene.mesh, scene.database, table, views)
    written = await Writer(scene.writers, table, seed=len(name)).run(writes, act if kills else None)
    assert written.count >= writes
    await assert_nothing_lost(scene.database, table, written)
    held = await assert_all_equal(scene.mesh, registered)
    await assert_edges_equal(scene.mesh, scene.database, held)
    await unregister(scene.mesh, registered)


async def test_g1_views_equal_fresh_queries_after_5000_writes(scene: Scene) -> None:
    await write_and_compare(scene, "quiet", MANY)


@SIZES
async def test_g9_kill_9_of_an_ssp_in_the_middle(scene: Scene, size: tuple[int, int]) -> None:
    await write_and_compare(scene, "ssp", size, scene.mesh.ready["ssps"][0]["id"])


@SIZES
async def test_g9_kill_9_of_the_scheduler_in_the_middle(scene: Scene, size: tuple[int, int]) -> None:
    await write_and_compare(scene, "scheduler", size, "scheduler")


@SIZES
async def test_g9_kill_9_of_the_gateway_in_the_middle(scene: Scene, size: tuple[int, int]) -> None:
    await write_and_compare(scene, "gateway", size, "gateway")


@SIZES
async def test_g9_kill_9_of_surrealdb_in_the_middle(scene: Scene, size: tuple[int, int]) -> None:
    await write_and_compare(scene, "database", size, "db")


@pytest.mark.long
async def test_c11_kill_9_of_everything_at_once(scene: Scene) -> None:
    everything = ["db", "scheduler", "gateway", *(ssp["id"] for ssp in scene.mesh.ready["ssps"])]
    await write_and_compare(scene, "all", MANY, *everything)


async def test_g4_ingested_changes_survive_the_scheduler(scene: Scene) -> None:
    """Acknowledged by POST /ingest, for a table SurrealDB does not have: nothing but our log holds it."""
    mesh = scene.mesh
    acknowledged: set[int] = set()

    async def post(number: int) -> None:
        body = {"table": "sensor", "op": "CREATE", "id": f"sensor:{number}", "record": {"value": number}}
        try:
            async with mesh.http.post(f"{mesh.url}/ingest", json=body) as response:
                if response.status == 200:
                    assert response.headers["Spky-Revision"].startswith("v1.")
                    acknowledged.add(number)
        except OSError:
            return  # not acknowledged: may or may not be in

    for start in range(0, 400, 20):
        if start == 200:
            mesh.kill("scheduler")
        await asyncio.gather(*(post(number) for number in range(start, start + 20)))
    assert len(acknowledged) >= 200

    view = View("sensors", "SELECT * FROM sensor")
    async with asyncio.timeout(30):
        while True:
            try:
                await mesh.register(view.id, view.surql)
                break
            except (AssertionError, OSError):
                continue
    held = {row["value"] for row in (await mesh.consistent(view.id))["rows"]}
    assert acknowledged <= held
    count = View("sensor-count", "SELECT count() AS n FROM sensor GROUP ALL")
    await mesh.register(count.id, count.surql)
    assert (await mesh.consistent(count.id))["rows"] == [{"n": len(held)}]  # re-evaluated, on the replica
    async with mesh.http.post(f"{mesh.url}/proxy/query", json={"query": "SELECT VALUE value FROM sensor"}) as response:
        assert acknowledged <= set(await response.json())


async def test_sigterm_drains_and_exits_0(scene: Scene) -> None:
    """Last in the module: the mesh ends within 10 s with exit code 0."""
    mesh = scene.mesh
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await mesh.service.end(timeout_s=10.0) == 0, mesh.said()
    assert loop.time() - started < 10.0
