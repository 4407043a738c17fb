"""SurrealDB itself fails: slow, refusing, its schema changed under live views, its LIVE queries lost, its sessions too
old, restarted with and without its data (S1, S2, S4 to S6).

The mesh signs in as a user whose sessions last two seconds, so all of it lives through S6, and its capture is woken by
LIVE queries. Everybody's connection to the database leads through a proxy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from sp00ky.deploy.ports import free_ports
from sp00ky.proto.database import Database

from tests.faults.proxy import Proxy
from tests.faults.scene import Scene, running_scene
from tests.harness.eventually import eventually
from tests.harness.processes import Child, spawn

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
BRIEF = "DEFINE USER IF NOT EXISTS brief ON ROOT PASSWORD 'brief' ROLES OWNER DURATION FOR TOKEN 2s, FOR SESSION 2s"
CONNECTIONS_MAX = 6  # of one process to the database
THREADS_MORE_MAX = 6  # than before the fault
SLOW_MS = 1_000  # each way
FAULT_SECONDS = 3.0


class OwnDatabase:
    """A database process that can be killed and comes back at its address."""

    def __init__(self, folder: Path) -> None:
        [port] = free_ports(1)
        self.listen = f"127.0.0.1:{port}"
        self.folder = folder
        self.process: Child | None = None

    async def start(self, path: str) -> None:
        self.process = spawn(("serve", "db", "--path", path, "--listen", self.listen))
        await asyncio.to_thread(self.process.wait_json_line, lambda line: line.get("event") == "listening")
        root = Database(f"ws://{self.listen}", user="root", password="root", namespace="test", database="main")
        await root.query(BRIEF)
        await root.close()

    async def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        await asyncio.to_thread(self.process.close)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnDatabase]:
    own = OwnDatabase(tmp_path_factory.mktemp("data"))
    await own.start(str(own.folder))
    yield own
    await own.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, own: OwnDatabase) -> AsyncIterator[Scene]:
    store = Proxy(own.listen)
    await store.start()
    settings = {
        "SPKY_DB_USER": "brief",
        "SPKY_DB_PASS": "brief",
        "SPKY_DB_WS": store.address,  # the scheduler's; SSPs have their own
        "SPKY_CAPTURE": "live",
    }
    async with running_scene(tmp_path_factory.mktemp("database"), f"ws://{own.listen}/rpc", settings) as scene:
        scene.stores["scheduler"] = store
        await scene.settled()
        yield scene


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _healed(scene: Scene) -> AsyncIterator[None]:
    yield
    await scene.heal()


async def metric(scene: Scene, name: str) -> float:
    """As the scheduler counts it."""
    return float((await scene.parts.get("/metrics"))["metrics"][name])


def uses(scene: Scene) -> dict[str, tuple[int, int]]:
    """Of each process of the mesh: its connections to the database, and its threads."""
    found = {}
    for name, proxy in scene.stores.items():
        process = psutil.Process(scene.parts.parts[name].running.child.pid)
        port = int(proxy.address.rpartition(":")[2])
        connections = [each for each in process.net_connections("tcp") if each.raddr and each.raddr.port == port]
        found[name] = len(connections), process.num_threads()
    return found


async def goes_on(scene: Scene, before: dict[str, tuple[int, int]]) -> None:
    """While the database fails: what needs it not is taken and read, and nothing piles up."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + FAULT_SECONDS
    while loop.time() < ends:
        _, posted = await scene.ingest()
        assert posted.status == 200, posted
        status, view = await scene.parts.view("bin-0")
        assert status == 200 and view is not None
        for name, (connections, threads) in uses(scene).items():
            assert connections <= CONNECTIONS_MAX, (name, connections)
            assert threads <= before[name][1] + THREADS_MORE_MAX, (name, threads, before)
        await scene.paused_for(0.1)


@pytest.mark.parametrize("how", ["slow", "refusing"])
async def test_s2_a_slow_or_refusing_database_holds_nothing_else(scene: Scene, how: str) -> None:
    before = uses(scene)
    for proxy in scene.stores.values():
        if how == "slow":
            proxy.delay(SLOW_MS)
        else:
            await proxy.refuse()
            proxy.reset()
    await scene.write(20)
    await goes_on(scene, before)
    await scene.heal()
    await scene.write()
    await scene.settled()


async def rows_of(scene: Scene, view: str) -> Sequence[object] | None:
    status, answer = await scene.parts.view(view, rows="1")
    return answer["rows"] if status == 200 else None


async def test_s4_the_schema_changes_under_live_views(scene: Scene) -> None:
    """A field dropped, a table's kind of permissions changed, the table removed (which kills its LIVE query) and made
    again."""
    await scene.database.query("DEFINE FIELD n ON item TYPE option<int>")
    await scene.write()
    await scene.settled()
    await scene.database.query("REMOVE FIELD n ON item; UPDATE item UNSET n RETURN NONE")
    await scene.settled()
    await scene.database.query("DEFINE TABLE OVERWRITE item PERMISSIONS NONE")
    await scene.write()
    await scene.settled()
    await scene.database.query("REMOVE TABLE item")
    scene._items.clear()

    async def is_empty() -> bool:
        return await rows_of(scene, "bin-0") == [] and await rows_of(scene, "top") == []

    await eventually(is_empty, 10.0, what="the views of the removed table to be empty", every_s=0.05)
    await scene.database.query("DEFINE TABLE item")
    await scene.write(20)
    await scene.settled()
    await eventually(partial(lives, scene), 10.0, what="a LIVE query of the new table", every_s=0.05)


async def lives(scene: Scene) -> bool:
    return await metric(scene, "capture_live_queries") == 1


async def test_s5_live_queries_that_are_late_lost_and_dropped_cost_nothing_but_time(scene: Scene) -> None:
    store = scene.stores["scheduler"]
    await eventually(partial(lives, scene), 10.0, what="a LIVE query", every_s=0.05)
    told = await metric(scene, "capture_notifications")
    await scene.write()
    await scene.settled()
    assert await metric(scene, "capture_notifications") > told
    store.down.hold()  # they come all at once, when the feed has told long ago
    await scene.write()
    await scene.write()
    store.release()
    await scene.settled()
    store.reset()  # they end with their connection, and what they would have told of goes with them
    await scene.write()
    await scene.settled()
    await eventually(partial(lives, scene), 10.0, what="a LIVE query on the new connection", every_s=0.05)


async def test_s6_sessions_that_expire_are_signed_in_again(scene: Scene) -> None:
    """Several times over: what is written between is in every view, and no process was restarted for it."""
    before = await scene.incarnations()
    for _ in range(2):
        await scene.paused_for(2.1)
        await scene.write()
        await scene.settled()
    assert await scene.incarnations() == before
    assert "session has expired" not in scene.parts.said()


async def has_edges_table(scene: Scene) -> bool:
    info = (await scene.database.query("INFO FOR DB STRUCTURE"))[0]
    return any(table["name"] == "_00_list_ref" for table in info["tables"])


async def test_s1_a_database_that_restarts_with_its_data_and_without(scene: Scene, own: OwnDatabase) -> None:
    """With it, the mesh goes on; without, it is another database: nothing of before is trusted, and nothing is left."""
    await own.stop()
    await own.start(str(own.folder))
    await scene.write()
    await scene.settled()
    await own.stop()
    await own.start("mem")
    scene._items.clear()
    await scene.database.query("DEFINE TABLE item")
    await scene.write(20)
    await scene.write()
    await eventually(partial(has_edges_table, scene), 15.0, what="the mesh's tables to be there again", every_s=0.05)
    await scene.settled()
