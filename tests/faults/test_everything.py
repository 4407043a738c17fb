"""Everything is killed at once (C11); a process cannot come up again (C12)."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path

import pytest

from tests.faults.scene import Scene, running_scene
from tests.harness.eventually import eventually
from tests.harness.mesh import running_mesh

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


async def kill_all_and_restart(scene: Scene, seed: int) -> None:
    """Written to until the end; all die at one instant and come back in any order, each when it pleases."""
    order = list(scene.parts.parts)
    random.Random(seed).shuffle(order)
    writing = asyncio.create_task(_write_until_lost(scene))
    acknowledged = len(scene.acknowledged)
    await eventually(lambda: len(scene.acknowledged) >= acknowledged + 3, 10.0, what="some changes to be acknowledged")
    await scene.parts.kill(*order)
    await writing
    for name in order:
        scene.parts.spawn(name)  # no order is waited for
    await scene.parts.kept_alive(*order)
    await scene.all_ready()
    for sensor in list(scene.doubtful):
        await scene.retried(sensor)
    await scene.settled()


async def _write_until_lost(scene: Scene) -> None:
    while (await scene.ingest())[1].status == 200:
        continue


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param((1,), id="one"),
        pytest.param(tuple(range(2, 22)), id="twenty", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
async def test_c11_everything_is_killed_at_once(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    """The database too, which keeps its data. No order of restarts is a dead end; G1, G4, G5 hold after each."""
    async with running_scene(tmp_path, "", ssps=("one", "two")) as scene:
        for seed in seeds:
            await kill_all_and_restart(scene, seed)
            await scene.write()


async def test_c12_a_crash_loop(tmp_path: Path) -> None:
    """The scheduler's files are damaged: it is started again ever more slowly, says why, and touches nothing; what SSPs
    hold is still read; once the files are mended everything goes on from where it was."""
    async with running_mesh(tmp_path, ssps=1) as mesh:
        database = await mesh.database()
        await database.query("CREATE item:1 SET n = 1")
        await mesh.register("all", "SELECT * FROM item")
        held = await mesh.consistent("all")
        current = tmp_path / "replica" / "CURRENT"
        good = current.read_bytes()
        current.write_bytes(b"MANIFEST-999999\n")
        files = {path.name for path in current.parent.glob("*.sst")}
        mesh.kill("scheduler")

        def pauses() -> list[float]:
            return [float(text) for text in re.findall(r"scheduler ended .* again in ([0-9.]+) s", mesh.said())]

        await eventually(lambda: len(pauses()) >= 3, 60.0, what="three restarts", every_s=0.05)
        assert pauses()[:3] == [1, 2, 4], "a hot loop"
        assert re.search(r"spky: replica .* is damaged", mesh.said())
        ssp = mesh.ready["ssps"][0]["http"]
        async with mesh.http.get(f"{ssp}/view/all", params={"rows": "1"}) as response:
            assert response.status == 200 and (await response.json())["rows"] == held["rows"]
        assert files <= {path.name for path in current.parent.glob("*.sst")}
        current.write_bytes(good)
        await database.query("CREATE item:2 SET n = 2")

        async def mended() -> bool:
            return len((await mesh.consistent("all"))["rows"]) == 2

        await eventually(mended, 30.0, what="the mesh to go on")
