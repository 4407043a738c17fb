"""An SSP is killed while it applies a change or writes its edges (C7), and at each stage of its load (C8)."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.scene import Scene, running_scene
from tests.harness.edges import edges_of
from tests.harness.eventually import eventually
from tests.processes.workload import View

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
SEED = int(os.environ.get("FAULT_SEED", "1"))
POINTS = {
    "before-apply": "ssp.entries=abort",
    "after-apply-before-edges": "edges.before_write=abort",
    "after-commit-before-ack": "edges.after_commit=abort",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, db_ws: str) -> AsyncIterator[Scene]:
    patient = {"SPKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS": "4000"}
    async with running_scene(tmp_path_factory.mktemp("crash"), db_ws, patient, seed=SEED) as scene:
        await scene.settled()
        yield scene


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _healed(scene: Scene) -> AsyncIterator[None]:
    """Whatever becomes of a test, the next one finds a mesh that works."""
    yield
    await scene.heal()


async def back(scene: Scene, name: str) -> None:
    """Started again within its lease: it loads its own views, and writes the difference."""
    scene.parts.arm(name, "")
    await scene.parts.start(name)
    await scene.all_ready()
    await scene.settled()


@pytest.mark.parametrize("point", POINTS)
async def test_c7_killed_while_it_applies_and_writes(scene: Scene, point: str) -> None:
    """An edge batch is one transaction and an edge's id follows from view and record: a redo changes nothing."""
    victim = await scene.owner_of(random.Random(f"{SEED} {point}").choice(scene.views).id)
    scene.parts.arm(victim, POINTS[point])
    # Whatever the operations are: a view of the victim is touched by one of the next few transactions.
    for _ in range(20):
        if not scene.parts.parts[victim].alive:
            break
        await scene.write(5)
    await scene.parts.died(victim)
    await scene.write(5)
    await back(scene, victim)


async def test_c7_killed_in_the_middle_of_an_edge_batch(scene: Scene) -> None:
    """A view whose delta needs two transactions: killed when the first is in. Afterwards every edge is there once."""
    many = View("many", "SELECT * FROM crowd")
    await scene.database.query("DEFINE TABLE IF NOT EXISTS crowd")
    await scene.parts.register(many.id, many.surql)
    victim = await scene.owner_of(many.id)
    await scene.parts.consistent(many.id)
    scene.parts.arm(victim, "edges.before_write=1*off->abort")
    # In statements of 300: on an engine in memory, one INSERT costs by the square of its rows.
    parts = {f"rows{start}": [{"id": start + row, "n": row} for row in range(300)] for start in range(0, 2_100, 300)}
    inserts = "; ".join(f"INSERT INTO crowd ${name} RETURN NONE" for name in parts)
    await scene.database.query(f"BEGIN; {inserts}; COMMIT", parts)
    await scene.parts.died(victim, 30.0)
    assert 0 < len(await edges_of(scene.database, many.id)) < 2_100
    scene.views.append(many)
    try:
        await back(scene, victim)
    finally:
        scene.views.remove(many)
        await scene.parts.unregister(many.id)


@pytest.mark.parametrize("stage", ["page", pytest.param("loaded", marks=pytest.mark.long), "ready"])
async def test_c8_killed_while_it_loads(scene: Scene, stage: str) -> None:
    """In bootstrapping, in replaying, and right at ready: it comes back as a new incarnation, and no pin stays."""
    victim = await scene.owner_of("bin-0")
    await scene.parts.kill(victim)
    before = (await scene.incarnations())[victim]
    scene.parts.arm(victim, f"ssp.{stage}=abort")
    scene.parts.spawn(victim)
    await scene.parts.died(victim)
    await scene.write(5)
    await back(scene, victim)
    assert (await scene.incarnations())[victim] > before


async def test_c8_g9_a_dead_ssp_leaves_no_pin_and_its_views_move(scene: Scene) -> None:
    """Killed in its load and not seen again: what it pinned is let go with its lease, and its views move."""

    async def pins() -> float:
        return float((await scene.parts.get("/metrics"))["metrics"]["pins"])

    async def none() -> bool:
        return await pins() == 0

    await eventually(none, 15.0, what="no load to be under way", every_s=0.05)
    victim = await scene.owner_of("bin-0")
    await scene.parts.kill(victim)
    scene.parts.arm(victim, "ssp.page=sleep:60000")
    scene.parts.spawn(victim)
    await eventually(pins, 15.0, what="a load to be under way", every_s=0.02)
    await scene.parts.kill(victim)
    await eventually(none, 15.0, what="the pin to be let go", every_s=0.05)
    await scene.write()
    await scene.settled()
    assert victim not in (await scene.parts.owners()).values()
    await back(scene, victim)
