"""Too much at once: one SSP that is too slow (L3), all of them and very many views at the door (L5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from tests.faults.scene import Scene, running_scene
from tests.harness.eventually import eventually
from tests.processes.workload import View

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
BUFFER = 300
HERD = 500
HERD_LONG = 10_000
RSS_MIB_MAX = 600  # of one SSP; a view that many share costs a few kilobytes
HERD_SECONDS = 30.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, db_ws: str) -> AsyncIterator[Scene]:
    settings = {"SPKY_SCHEDULER_MAX_BUFFER_PER_SSP": str(BUFFER), "SPKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS": "4000"}
    async with running_scene(tmp_path_factory.mktemp("load"), db_ws, settings) as scene:
        await scene.settled()
        yield scene


def herd(count: int) -> list[View]:
    """Views of a few shapes and many bindings, as users have them."""
    return [View(f"herd-{number}", "SELECT * FROM item WHERE n = $n", {"n": number % 500}) for number in range(count)]


async def register_all(scene: Scene, views: list[View]) -> None:
    """By twenty callers at once, each asking again while it is told to (429, 503)."""
    waiting = list(reversed(views))

    async def caller() -> None:
        while waiting:
            view = waiting.pop()
            await eventually(
                lambda view=view: registered(view), HERD_SECONDS, what=f"{view.id} to be taken", every_s=0.2
            )

    async def registered(view: View) -> bool:
        body = {"id": view.id, "surql": view.surql, "params": view.params, "clientId": "test"}
        async with scene.parts.http.post(f"{scene.parts.url}/view/register", json=body) as response:
            assert response.status in (200, 429, 503), await response.text()
            return response.status == 200

    await asyncio.gather(*(caller() for _ in range(20)))


async def all_live(scene: Scene, count: int) -> None:
    """Every view has an owner, which serves it."""

    async def live() -> bool:
        views = await scene.parts.get("/views") or []
        return len(views) >= count and all(view["state"] == "live" for view in views)

    await eventually(live, HERD_SECONDS, what=f"{count} views to be live", every_s=0.2)


@pytest.mark.parametrize(
    "count", [pytest.param(HERD, id="hundreds"), pytest.param(HERD_LONG, id="ten-thousand", marks=pytest.mark.long)]
)
async def test_l5_every_ssp_restarts_and_very_many_views_come_back(scene: Scene, count: int) -> None:
    """Bounded in time and memory; those that were there before are served as before."""
    views = herd(count)
    await register_all(scene, views)
    await all_live(scene, count)
    await scene.parts.kill(*scene.ssps)
    for name in scene.ssps:
        scene.parts.spawn(name)
    again = asyncio.create_task(register_all(scene, views))  # clients come back at the same time
    await scene.parts.kept_alive(*scene.ssps)
    await again
    await scene.all_ready()
    await all_live(scene, count)
    await scene.settled()
    for name in scene.ssps:
        rss = psutil.Process(scene.parts.parts[name].running.child.pid).memory_info().rss
        assert rss < RSS_MIB_MAX * 1024 * 1024, f"{name} takes {rss / 1024 / 1024:.0f} MiB"
    for start in range(0, count, 20):
        await asyncio.gather(*(scene.parts.unregister(view.id) for view in views[start : start + 20]))


async def test_l3_a_slow_ssp_delays_nobody_and_begins_anew(scene: Scene) -> None:
    """More than its buffer behind for longer than its lease: it is told to load anew. The other one notices nothing."""
    victim = await scene.owner_of("bin-0")
    [other] = [name for name in scene.ssps if name != victim]
    before = await scene.incarnations()
    scene.links[victim].down.hold()  # it hears nothing, its heartbeats arrive
    acknowledged = 0

    async def began_anew() -> bool:
        nonlocal acknowledged
        posted = await scene.ingest_many(100)
        acknowledged += posted.status == 200
        ssps = await scene.parts.ssps()
        assert ssps[other]["state"] == "ready"
        return acknowledged * 100 > 2 * BUFFER and (
            victim not in ssps or ssps[victim]["state"] not in ("ready", "replaying")
        )

    await eventually(began_anew, 30.0, what=f"{victim} to have to begin anew", every_s=0.05)
    assert acknowledged * 100 > BUFFER
    scene.links[victim].down.release()
    await scene.all_ready()
    after = await scene.incarnations()
    assert after[victim] > before[victim] and after[other] == before[other]
    await scene.settled()
