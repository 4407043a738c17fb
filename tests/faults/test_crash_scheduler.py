"""The scheduler is killed at each step of a commit (C1 to C5), and the gateway before it (C9).

One mesh for the module: each test arms a failpoint or holds a link, kills, starts again, and asks the oracle. Through
all of it the SSPs resume where they were: a restart of the scheduler is no reason to load anything anew.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.faults.scene import Scene, running_scene
from tests.harness.edges import stored_edges
from tests.harness.eventually import eventually

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
REGISTRATIONS = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, db_ws: str) -> AsyncIterator[Scene]:
    # The scheduler is away for longer than a lease here; that is not what is tested.
    patient = {"SPKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS": "10000"}
    async with running_scene(tmp_path_factory.mktemp("crash"), db_ws, patient) as scene:
        await scene.settled()
        yield scene


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _healed(scene: Scene) -> AsyncIterator[None]:
    """Whatever becomes of a test, the next one finds a mesh that works."""
    yield
    await scene.heal()


async def killed_by(scene: Scene, failpoint: str) -> int:
    """Arm it, send a change, wait for the death, write to the database. The sensor whose change was not answered."""
    scene.parts.arm("scheduler", failpoint)
    sensor, posted = await scene.ingest()
    assert posted.status != 200
    await scene.parts.died("scheduler")
    scene.parts.arm("scheduler", "")
    await scene.write()
    return sensor


async def back(scene: Scene, incarnations: dict[str, int]) -> None:
    """The scheduler is started again, and both SSPs go on where they were."""
    await scene.parts.start("scheduler")
    await scene.all_ready()
    assert await scene.incarnations() == incarnations, "an SSP loaded anew"


async def head_of(scene: Scene) -> int:
    return int((await scene.parts.get("/metrics"))["scheduler"]["latest_seq"])


@pytest.mark.parametrize("step", [pytest.param("before_append", id="c1"), pytest.param("after_fsync", id="c3")])
async def test_c1_c3_a_retry_after_a_kill_is_applied_once(scene: Scene, step: str) -> None:
    """G1, G4, G5. After the fsync the retry is answered with the seq that is there; before the append it is new."""
    incarnations, head = await scene.incarnations(), await head_of(scene)
    sensor = await killed_by(scene, f"wal.{step}=abort")
    await back(scene, incarnations)
    seq = await scene.retried(sensor)
    if step == "after_fsync":
        assert seq == head + 1
    assert await scene.retried(sensor) == seq
    await scene.settled()


async def test_c2_what_was_not_fsynced_is_lost_with_the_power_and_was_never_acknowledged(scene: Scene) -> None:
    """The unsynced tail of the write-ahead log is cut off, as a machine that loses power does."""
    incarnations = await scene.incarnations()
    _, posted = await scene.ingest()
    assert posted.status == 200
    head = await head_of(scene)
    replica = scene.parts.folder / "scheduler" / "replica"
    synced = {log: log.stat().st_size for log in replica.glob("*.log")}
    sensor = await killed_by(scene, "wal.before_fsync=abort")
    torn = [log for log in replica.glob("*.log") if log.stat().st_size > synced.get(log, 0)]
    assert torn, "nothing was appended before the failpoint"
    for log in torn:
        os.truncate(log, synced.get(log, 0))
    await back(scene, incarnations)
    assert await scene.retried(sensor) > head
    await scene.settled()


async def test_c4_acknowledged_and_not_broadcast(scene: Scene) -> None:
    """The ack is out, no SSP has the change: each is sent it from the log after the seq that it has acknowledged."""
    incarnations = await scene.incarnations()
    for link in scene.links.values():
        link.down.hold()
    before = {name: ssp["applied_seq"] for name, ssp in (await scene.parts.ssps()).items()}
    _, posted = await scene.ingest()
    assert posted.status == 200
    await scene.parts.kill("scheduler")
    assert all(seq < posted.seq for seq in before.values())
    for link in scene.links.values():
        link.reset()
        link.release()
    await back(scene, incarnations)
    await scene.settled()


@pytest.mark.long
async def test_c4_killed_between_the_fsync_and_the_broadcast(scene: Scene) -> None:
    incarnations = await scene.incarnations()
    sensor = await killed_by(scene, "bcast.before=abort")
    await back(scene, incarnations)
    await scene.retried(sensor)
    await scene.settled()


async def test_c5_half_way_through_a_broadcast(scene: Scene) -> None:
    """One SSP has applied the change when the scheduler dies, the other has not been sent it: both end alike."""
    incarnations = await scene.incarnations()
    scene.links["two"].down.hold()
    _, posted = await scene.ingest()
    assert posted.status == 200

    async def one_has_it() -> bool:
        return int((await scene.parts.ssps())["one"]["applied_seq"]) >= posted.seq

    await eventually(one_has_it, 10.0, what="one SSP to have applied the change")
    assert (await scene.parts.ssps())["two"]["applied_seq"] < posted.seq
    await scene.parts.kill("scheduler")
    scene.links["two"].reset()
    scene.links["two"].release()
    await back(scene, incarnations)
    await scene.settled()
    await both_applied_alike(scene)


@pytest.mark.parametrize("frames", [1, pytest.param(2, marks=pytest.mark.long)])
async def test_c5_killed_at_a_frame_of_a_broadcast(scene: Scene, frames: int) -> None:
    """By count: the frame to one SSP is out, the next one kills."""
    incarnations = await scene.incarnations()
    scene.parts.arm("scheduler", f"bcast.frame={frames}*off->abort:20")
    for _ in range(3):
        await scene.ingest()
    await scene.parts.died("scheduler")
    scene.parts.arm("scheduler", "")
    await back(scene, incarnations)
    for sensor in list(scene.doubtful):
        await scene.retried(sensor)
    await scene.settled()
    await both_applied_alike(scene)


async def both_applied_alike(scene: Scene) -> None:
    """No divergence: both SSPs have acknowledged the same head."""

    async def alike() -> bool:
        ssps = await scene.parts.ssps()
        return len({ssp["applied_seq"] for ssp in ssps.values()}) == 1

    await eventually(alike, 10.0, what="both SSPs to stand at one seq")


async def test_c9_the_gateway_is_killed_with_registrations_in_flight(scene: Scene) -> None:
    """Clients repeat what was not answered, by id: each view exists once and is right, and nothing is left over."""
    parts = scene.parts
    parts.add("gateway", ["serve", "gateway"], SPKY_SCHEDULER_URL=f"grpc://{parts.grpc}",
              SPKY_GATEWAY_LISTEN_ADDR="127.0.0.1:0")  # fmt: skip
    await parts.start("gateway")
    views = {f"flight-{number}": number for number in range(REGISTRATIONS)}
    answered: set[str] = set()
    lost: set[str] = set()

    async def register(view: str) -> bool:
        body = {"id": view, "surql": "SELECT * FROM item WHERE bin = $bin", "params": {"bin": views[view] % 5}}
        url = f"{parts.parts['gateway'].listening['http']}/view/register"
        try:
            async with parts.http.post(url, json={**body, "clientId": "test"}) as response:
                if response.status == 200:
                    answered.add(view)
                return response.status == 200
        except aiohttp.ClientError:
            lost.add(view)
            return False

    requests = [asyncio.create_task(register(view)) for view in views]
    await eventually(lambda: len(answered) >= 5, 20.0, what="some registrations to be answered")
    await parts.kill("gateway")
    await asyncio.gather(*requests)
    assert lost, "every registration was answered before the kill"
    await parts.start("gateway")
    for view in views:
        await eventually(lambda view=view: register(view), 10.0, what=f"view {view} to be registered")
    registered = [view for view in await parts.owners() if view.startswith("flight-")]
    assert sorted(registered) == sorted(views)
    await scene.settled()
    for view in views:
        await parts.unregister(view)
    await parts.kill("gateway")


async def test_c9_nothing_of_the_registrations_is_left(scene: Scene) -> None:
    """After the unregistering above no edge starts at one of its views."""

    async def gone() -> bool:
        return not any(edge.view.startswith("flight-") for edge in await stored_edges(scene.database))

    await eventually(gone, 10.0, what="the edges of unregistered views to be gone", every_s=0.1)
