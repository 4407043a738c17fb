"""The scheduler's disk fails: full, slow, refusing to sync, read-only, damaged, shared (D1 to D9), and a kill while a
snapshot is taken (C6). The disk is a tmpfs of its own, so that it can be filled; one scheduler serves the module.

Every byte of the write-ahead log torn or flipped, in turn: `tests/conformance/test_datastore_damage.py`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from sp00ky.proto.channel import open_channel
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import ingest_pb2, ingest_pb2_grpc
from sp00ky.scheduler.datastore.snapshots import list_snapshots, snapshots_dir

from tests.faults.scene import Scene
from tests.harness.eventually import eventually
from tests.harness.mesh_client import SECRET
from tests.harness.parts import Parts
from tests.harness.processes import SPKY, start
from tests.harness.scheduler import change, fault_from

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
DISK_MIB = 64


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small file system of its own; skipped where mounting is not allowed."""
    place = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(disk: Path, db_ws: str) -> AsyncIterator[Scene]:
    parts = Parts(disk, db_ws, {"SPKY_SNAPSHOT_UPDATE_INTERVAL_SECS": "1"})
    scene = Scene(parts, {}, {}, seed=1)
    try:
        parts.add_scheduler()
        await parts.start("scheduler")
        for _ in range(5):
            await scene.retried((await scene.ingest())[0])
        yield scene
    finally:
        await parts.close()


def replica_of(scene: Scene) -> Path:
    return scene.parts.folder / "scheduler" / "replica"


async def all_there(scene: Scene) -> None:
    """G4, G5: what was acknowledged is there, once, and nothing that was never sent."""
    for sensor in list(scene.doubtful):
        await scene.retried(sensor)
    body = {"query": "SELECT * FROM sensor"}
    async with scene.parts.http.post(f"{scene.parts.url}/proxy/query", json=body) as response:
        rows = await response.json()
        assert response.status == 200, rows
    assert {int(row["id"].partition(":")[2]): row["value"] for row in rows} == scene.acknowledged
    assert len(rows) == len(scene.acknowledged)


async def metric(scene: Scene, name: str) -> float:
    return float((await scene.parts.get("/metrics"))["metrics"][name])


async def refusal(arguments: list[str], env: dict[str, str], *before: str) -> str:
    """The one line with which `spky` says why it does not start."""
    child = start([*before, sys.executable, "-m", SPKY, *arguments], env)
    try:
        code = await asyncio.to_thread(child.wait, 30)
    finally:
        await asyncio.to_thread(child.close)
    said = [line for line in child.said().splitlines() if line.startswith("spky: ")]
    assert code == 1 and len(said) == 1 and "Traceback" not in child.said(), child.said()
    return said[0]


async def refused_start(scene: Scene, *before: str, **settings: str) -> str:
    part = scene.parts.parts["scheduler"]
    return await refusal(list(part.arguments), {**part.env, **settings}, *before)


async def test_d8_a_slow_disk_makes_larger_groups(scene: Scene) -> None:
    """100 ms for each fsync: what arrives meanwhile shares the next one, so forty callers need a few, not forty."""
    commits = await metric(scene, "commits")
    scene.parts.arm("scheduler", "wal.fsync=sleep:100")
    answers = await asyncio.gather(*(scene.ingest() for _ in range(40)))
    scene.parts.arm("scheduler", "")
    assert [posted.status for _, posted in answers] == [200] * 40
    assert await metric(scene, "commits") - commits <= 20
    await all_there(scene)


async def test_d4_a_full_disk_refuses_intake_and_goes_on_reading(scene: Scene) -> None:
    """RESOURCE_EXHAUSTED until there is room; nothing acknowledged is lost, nothing refused is applied."""
    filler = scene.parts.folder / "filler"
    fill(filler)
    body = "x" * 300_000
    request = ingest_pb2.IngestRequest(changes=[change("bulk", 1, body=body)])
    async with open_channel(scene.parts.grpc, SECRET) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        fault = await fault_from(stub.Ingest(request, timeout=20))
        assert fault.code is Code.DISK_FULL
    sensor, posted = await scene.ingest()
    assert posted.status in (200, 507), posted  # a small one may fit into what is left
    scene.remember(sensor, posted)
    query = {"query": "SELECT VALUE id FROM bulk"}
    async with scene.parts.http.post(f"{scene.parts.url}/proxy/query", json=query) as response:
        assert (response.status, await response.json()) == (200, [])
    filler.unlink()
    await all_there(scene)


def fill(filler: Path) -> None:
    """Write until the disk takes no more."""
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    continue
            except OSError:
                continue


async def test_d5_a_full_disk_during_a_snapshot(scene: Scene) -> None:
    """The old ones stay whole, what was begun is removed, intake goes on, and the next attempt succeeds."""
    replica = replica_of(scene)
    await eventually(lambda: list_snapshots(replica), 15.0, what="a snapshot", every_s=0.05)
    failures = await metric(scene, "snapshot_failures")
    scene.parts.arm("scheduler", "snap.write=raise:ENOSPC")
    await scene.retried((await scene.ingest())[0])

    async def failed() -> bool:
        return await metric(scene, "snapshot_failures") > failures

    await eventually(failed, 15.0, what="a snapshot to fail", every_s=0.05)
    kept = [info.name for info in list_snapshots(replica)]
    assert kept
    assert not list(snapshots_dir(replica).glob(".writing-*")), "what was begun takes up the room"
    scene.parts.arm("scheduler", "")
    await eventually(lambda: [i.name for i in list_snapshots(replica)] > kept, 15.0, what="the next one", every_s=0.05)
    await all_there(scene)


async def test_d9_two_schedulers_on_one_directory(scene: Scene) -> None:
    """The second is refused with one line; the first does not notice."""
    line = await refused_start(scene, SPKY_SCHEDULER_LISTEN_ADDR="127.0.0.1:0", SPKY_SCHEDULER_GRPC_ADDR="127.0.0.1:0")
    assert "is in use by another process" in line
    await all_there(scene)


async def test_d6_a_failed_fsync_is_never_taken_for_a_success(scene: Scene) -> None:
    """EIO once: the pages may be gone, so the process ends, and starts again from what is on the disk."""
    scene.parts.arm("scheduler", "wal.fsync=1*raise:EIO")
    _, posted = await scene.ingest()
    assert posted.status != 200
    assert await scene.parts.ended("scheduler") == 70
    scene.parts.arm("scheduler", "")
    await scene.parts.start("scheduler")
    await all_there(scene)


@pytest.mark.parametrize(
    "step", [pytest.param("write", marks=pytest.mark.long), "rename", pytest.param("truncate", marks=pytest.mark.long)]
)
async def test_c6_killed_while_a_snapshot_is_taken(scene: Scene, step: str) -> None:
    """Whatever has a snapshot's name is whole; the store goes on from its log; leftovers go with the next one."""
    replica = replica_of(scene)
    scene.parts.arm("scheduler", f"snap.{step}=abort")
    await scene.retried((await scene.ingest())[0])
    await scene.parts.died("scheduler")
    scene.parts.arm("scheduler", "")
    kept = [info.name for info in list_snapshots(replica)]
    assert kept and all((snapshots_dir(replica) / name / "CURRENT").exists() for name in kept)
    await scene.parts.start("scheduler")
    await scene.retried((await scene.ingest())[0])
    await eventually(lambda: [i.name for i in list_snapshots(replica)][-1:] > kept[-1:], 15.0, every_s=0.05)
    await eventually(lambda: not list(snapshots_dir(replica).glob(".*")), 15.0, what="leftovers to go", every_s=0.05)
    await all_there(scene)


async def test_d1_a_torn_last_record_is_cut_with_a_warning(scene: Scene) -> None:
    """Killed in the middle of a write that nobody was told of: the start goes on, and says what it cut."""
    sizes = {log: log.stat().st_size for log in replica_of(scene).glob("*.log")}
    scene.parts.arm("scheduler", "wal.before_fsync=abort")
    _, posted = await scene.ingest()
    assert posted.status != 200
    await scene.parts.died("scheduler")
    scene.parts.arm("scheduler", "")
    [torn] = [log for log in replica_of(scene).glob("*.log") if log.stat().st_size > sizes.get(log, 0)]
    os.truncate(torn, (torn.stat().st_size + sizes.get(torn, 0)) // 2)
    await scene.parts.start("scheduler")
    assert "a torn write of" in scene.parts.said()
    await all_there(scene)


async def test_d2_a_flipped_bit_in_the_middle_is_refused_loudly(scene: Scene) -> None:
    """Named, with the command that helps; nothing is skipped, nothing overwritten; mended, everything is there."""
    await scene.parts.kill("scheduler")
    log = max(replica_of(scene).glob("*.log"), key=lambda file: file.stat().st_size)
    good = log.read_bytes()
    assert len(good) > 300, "the log holds several records"
    damaged = bytearray(good)
    damaged[len(good) // 3] ^= 0x10
    log.write_bytes(damaged)
    line = await refused_start(scene)
    assert re.search(r"damaged", line) and "spky replica restore" in line, line
    assert log.read_bytes() == bytes(damaged)
    log.write_bytes(good)


async def test_d3_a_missing_file_is_refused(scene: Scene) -> None:
    """A table file that is gone; all kinds, file by file: `test_segments.py`."""
    replica = replica_of(scene)
    tables = sorted(replica.glob("*.sst"))
    assert len(tables) >= 2
    kept = {table: table.read_bytes() for table in tables}
    tables[0].unlink()
    line = await refused_start(scene)
    assert "damaged" in line and "spky replica restore" in line, line
    for table, contents in kept.items():
        table.write_bytes(contents)


async def test_d7_directories_that_cannot_be_used(scene: Scene, disk: Path) -> None:
    """Read-only, of another owner, and without its log: one line each that says what to do."""
    remount(disk, "ro")
    try:
        assert re.search(r"cannot be written: read-only file system \(set SPKY_DATA_DIR\)", await refused_start(scene))
    finally:
        remount(disk, "rw")
    directory = scene.parts.folder / "scheduler"
    shutil.chown(directory, 65534)
    directory.chmod(0o700)
    try:
        unprivileged = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        line = (await refused_start(scene, *unprivileged)).lower()
        assert re.search(r"permission denied \((check the path and its permissions|set spky_data_dir)\)", line), line
    finally:
        shutil.chown(directory, 0)
    missing = disk / "elsewhere"
    assert "does not hold the log of replica" in await refused_start(scene, SPKY_SCHEDULER_WAL_PATH=str(missing))
    await scene.parts.start("scheduler")
    await all_there(scene)
