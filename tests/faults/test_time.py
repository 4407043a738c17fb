"""Clocks and pauses: the wall clock jumps (T1), a process stands still for longer than its lease (T2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.scene import Scene, running_scene
from tests.harness.eventually import eventually
from tests.harness.tuned_spky import TUNED_CLOCK

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
TUNED = "tests.harness.tuned_spky"
HOUR = 3600.0


class Clocked(Scene):
    """A scene whose processes all look at one wall clock, which the test sets."""

    clock: Path

    def jump(self, seconds: float) -> None:
        fresh = self.clock.with_suffix(".new")
        fresh.write_text(json.dumps(seconds))
        fresh.replace(self.clock)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, db_ws: str) -> AsyncIterator[Clocked]:
    folder = tmp_path_factory.mktemp("time")
    clock = folder / "clock"
    async with running_scene(folder, db_ws, {TUNED_CLOCK: str(clock)}, program=TUNED) as scene:
        scene.__class__ = Clocked
        scene.clock = clock
        await scene.settled()
        yield scene


@pytest.mark.parametrize(
    "jumps",
    [
        pytest.param([HOUR], id="on"),
        pytest.param([-HOUR, -HOUR - 10], id="back"),
        pytest.param([0.5, -0.5, 0.0], id="smear"),
    ],
)
async def test_t1_the_wall_clock_jumps(scene: Clocked, jumps: list[float]) -> None:
    """Leases, heartbeats and the order of changes do not follow it; what is shown to people does."""
    before = await scene.incarnations()
    for seconds in jumps:
        scene.jump(seconds)
        await scene.write()
        _, posted = await scene.ingest()
        assert posted.status == 200
        await scene.settled()
    assert await scene.incarnations() == before


async def test_t2_a_paused_ssp_is_fenced_when_it_wakes(scene: Scene) -> None:
    """SIGSTOP for longer than the lease: its views move; awake again, it is a new incarnation without them."""
    victim = await scene.owner_of("bin-0")
    before = (await scene.incarnations())[victim]
    scene.parts.pause(victim)
    await scene.write()
    await eventually(lambda: _left(scene, victim), 15.0, what=f"the views of {victim} to have moved", every_s=0.05)
    await scene.write()
    await scene.settled()
    scene.parts.resume(victim)
    await scene.all_ready()
    assert (await scene.incarnations())[victim] > before
    await scene.write()
    await scene.settled()


async def _left(scene: Scene, victim: str) -> bool:
    owners = await scene.parts.owners()
    return bool(owners) and not {victim, ""} & set(owners.values())


async def test_t2_a_paused_scheduler_does_not_hold_its_pause_against_anyone(scene: Scene) -> None:
    """Stopped for longer than every lease, then clean on: nobody is evicted for heartbeats that could not be read."""
    before = await scene.incarnations()
    scene.parts.pause("scheduler")
    await scene.write()
    await scene.paused_for(2.0)
    scene.parts.resume("scheduler")
    await scene.all_ready()
    await scene.settled()
    assert await scene.incarnations() == before
