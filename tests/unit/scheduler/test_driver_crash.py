"""kill -9 of the scheduler at each step of a commit (faults C1 to C4): a retry with the same key is applied once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sp00ky.proto.channel import open_channel
from sp00ky.proto.failpoints import FAILPOINTS_ENV
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import common_pb2, ingest_pb2, ingest_pb2_grpc
from sp00ky.proto.values.pack import pack, unpack

from tests.harness.eventually import eventually
from tests.harness.scheduler import Peer, Scheduler, change, fault_from, open_store

ROOT = Path(__file__).resolve().parents[3]


@contextlib.asynccontextmanager
async def killed_at(failpoint: str, directory: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    env = {**os.environ, FAILPOINTS_ENV: f"{failpoint}=abort"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.harness.serve_scheduler", str(directory),
        cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("failpoint", "survives"),
    [
        pytest.param("wal.before_append", False, id="c1"),
        pytest.param("wal.before_fsync", None, id="c2"),  # in the page cache: lost with the machine, not the process
        pytest.param("wal.after_fsync", True, id="c3"),
        pytest.param("bcast.before", True, id="c4"),
    ],
)
async def test_g4_g5_a_retry_after_a_crash_is_applied_once(
    failpoint: str, survives: bool | None, tmp_path: Path
) -> None:
    offered = ingest_pb2.IngestRequest(changes=[change("t", 1, idempotency_key="once", n=1)])
    async with killed_at(failpoint, tmp_path) as (address, process), open_channel(address) as channel:
        fault = await fault_from(ingest_pb2_grpc.IngestServiceStub(channel).Ingest(offered, timeout=10))
        assert fault.code is Code.UNAVAILABLE
        assert await asyncio.wait_for(process.wait(), 10) == -9
    store = open_store("rocksdb", tmp_path)
    if survives is not None:
        assert (store.head_seq == 1) is survives
    async with Scheduler(store) as scheduler:
        answer = await scheduler.ingest.Ingest(offered)
        assert answer.seq == 1
        logged = [common_pb2.Entry.FromString(data) for data in store.log(store.log_floor_seq - 1, 10)]
        assert [entry.change.idempotency_key for entry in logged] == ["once"]
        peer = Peer(scheduler.address, "a")
        welcome = await peer.hello()
        page = await peer.load("t", welcome.at_seq, 10)
        assert [(unpack(row.key), unpack(row.packed)["n"], row.seq) for row in page.rows] == [(1, 1, 1)]
        row = store.get("t", pack(1))
        assert row is not None and row.seq == 1
        await eventually(lambda: scheduler.driver.coordinator.durable_seq == 2)
        await peer.close()
