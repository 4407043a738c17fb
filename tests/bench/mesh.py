"""The mesh end to end, as ratios and figures of one run: `python -m tests.bench.mesh [--seconds S] [--views N]`.

Real processes on loopback: scheduler on RocksDB (fsync before every ack), one SSP, gateway, database on disk; this
process is the load. Prints one JSON line a figure. Timings here are measurements, never verdicts.

* intake_http, intake_grpc: changes acknowledged durable a second, by JSON arrays of 256 and by stream batches of 1,024;
* end_to_end: changes a second from gRPC intake until they are in the deltas of 1,000 views of one shape;
* ack_to_delta / ack_to_edge: at a steady 1,000 changes a second, from the durable ack of a change until the SSP reports
  it applied, and until its edges are in SurrealDB (window included).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from sp00ky.proto.channel import open_channel
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc, common_pb2, ingest_pb2, ingest_pb2_grpc
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack

from tests.harness.mesh import Mesh, running_mesh
from tests.harness.mesh_client import SECRET

AUTHORS = 1_000
BATCH = 1024
INFLIGHT = 8
WINDOW_MS = 100
SETTLE_SECONDS = 6.0  # the capture's overlap: until then it re-reads the edges of the burst before


def report(name: str, **figures: float | int | str) -> None:
    print(json.dumps({"bench": "mesh", "name": name, **figures}), flush=True)


def change(table: str, number: int) -> common_pb2.Change:
    row = {
        "id": RecordId(table, f"k{number}"),
        "author": f"author{number % AUTHORS}",
        "title": f"title {number}",
        "score": number % 9973,
        "live": number % 2 == 0,
        "tags": "a,b,c",
        "note": "x" * 60,
    }
    return common_pb2.Change(table=table, op=common_pb2.OP_CREATE, key=pack(f"k{number}"), packed=pack(row))


def batches(table: str, count: int, start: int = 0) -> list[ingest_pb2.IngestStreamRequest]:
    return [
        ingest_pb2.IngestStreamRequest(
            batch=index + 1, changes=[change(table, number) for number in range(first, first + BATCH)]
        )
        for index, first in enumerate(range(start, start + count, BATCH))
    ]


async def stream(stub: ingest_pb2_grpc.IngestServiceStub, requests: Sequence[Any]) -> tuple[float, int]:
    """Send every batch, INFLIGHT unacknowledged at most; seconds until the last ack, and its seq."""
    gate = asyncio.Semaphore(INFLIGHT)

    async def sending() -> AsyncIterator[Any]:
        for request in requests:
            await gate.acquire()
            yield request

    started = time.perf_counter()
    acked, seq = 0, 0
    async for answer in stub.IngestStream(sending()):
        for _ in range(answer.batch - acked):
            gate.release()
        acked, seq = answer.batch, answer.seq
    return time.perf_counter() - started, seq


async def intake_http(mesh: Mesh, count: int) -> None:
    bodies = [
        json.dumps(
            [
                {
                    "table": "http_row",
                    "op": "CREATE",
                    "id": f"http_row:{n}",
                    "record": {"author": n % 97, "note": "x" * 60},
                }
                for n in range(first, first + 256)
            ]
        ).encode()
        for first in range(0, count, 256)
    ]
    queue = list(reversed(bodies))
    url = f"{mesh.ready['scheduler']}/ingest"

    async def client() -> None:
        while queue:
            async with mesh.http.post(url, data=queue.pop(), headers={"Content-Type": "application/json"}) as response:
                assert response.status == 200, await response.text()
                await response.read()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(4)))
    report("intake_http", changes_per_s=round(len(bodies) * 256 / (time.perf_counter() - started)), batch=256)


async def applied(admin: admin_pb2_grpc.AdminServiceStub, seq: int, *, written: bool = False) -> None:
    while True:
        status = await admin.GetStatus(admin_pb2.GetStatusRequest())
        if (status.metrics["written_seq"] if written else status.metrics["applied_seq"]) >= seq:
            return
        await asyncio.sleep(0.002)


async def end_to_end(mesh: Mesh, stub: Any, admin: Any, count: int, views: int) -> None:
    for start in range(0, views, 50):
        part = range(start, min(start + 50, views))
        registering = (
            mesh.register(f"b{n}", "SELECT * FROM row WHERE author = $author", {"author": f"author{n}"}) for n in part
        )
        await asyncio.gather(*registering)
    status, _ = await mesh.view("b0", consistency="fully_consistent")
    assert status == 200
    requests = batches("row", count)
    started = time.perf_counter()
    durable, seq = await stream(stub, requests)
    await applied(admin, seq)
    report(
        "end_to_end",
        changes_per_s=round(count / (time.perf_counter() - started)),
        intake_per_s_meanwhile=round(count / durable),
        views=views,
        batch=BATCH,
    )
    await applied(admin, seq, written=True)
    report("end_to_edges", changes_per_s=round(count / (time.perf_counter() - started)), views=views)


async def latencies(stub: Any, admin: Any, seconds: float) -> None:
    """An open loop of 1,000 changes a second, one change a call in flight with the others; polled every 2 ms."""
    acks: list[tuple[float, int]] = []
    to_delta: list[float] = []
    to_edge: list[float] = []
    done = asyncio.Event()

    async def poll(name: str, found: list[float]) -> None:
        position = 0
        while not (done.is_set() and position == len(acks)):
            status = await admin.GetStatus(admin_pb2.GetStatusRequest())
            now, reached = time.perf_counter(), status.metrics[name]
            while position < len(acks) and acks[position][1] <= reached:
                found.append(max(0.0, now - acks[position][0]))
                position += 1
            await asyncio.sleep(0.001)

    async def sending() -> AsyncIterator[Any]:
        started = time.perf_counter()
        for number in range(int(seconds * 100)):
            due = started + number / 100
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            changes = [change("row", 10_000_000 + number * 10 + index) for index in range(10)]
            yield ingest_pb2.IngestStreamRequest(batch=number + 1, changes=changes)

    pollers = [asyncio.create_task(poll("applied_seq", to_delta)), asyncio.create_task(poll("written_seq", to_edge))]
    async for answer in stub.IngestStream(sending()):
        acks.append((time.perf_counter(), answer.seq))
    done.set()
    await asyncio.gather(*pollers)
    for name, found in (("ack_to_delta", to_delta), ("ack_to_edge", to_edge)):
        cuts = statistics.quantiles(found, n=100)
        report(name, p50_ms=round(cuts[49] * 1000, 2), p99_ms=round(cuts[98] * 1000, 2), rate=1000, window_ms=WINDOW_MS)


async def main(seconds: float, views: int) -> None:
    count = BATCH * max(20, int(seconds * 40))
    with tempfile.TemporaryDirectory() as folder:
        extra = {"SPKY_SSP_QUERY_UPDATE_THROTTLE_MS": str(WINDOW_MS)}
        async with running_mesh(Path(folder), ssps=1, extra=extra) as mesh:
            scheduler = open_channel(mesh.ready["scheduler_grpc"], SECRET)
            ssp = open_channel(mesh.ready["ssps"][0]["grpc"], SECRET)
            stub = ingest_pb2_grpc.IngestServiceStub(scheduler)
            admin = admin_pb2_grpc.AdminServiceStub(ssp)
            await intake_http(mesh, count // 4)
            requests = batches("cold", count)
            taken, seq = await stream(stub, requests)
            report(
                "intake_grpc", changes_per_s=round(count / taken), batch=BATCH, inflight=INFLIGHT, fsync="every group"
            )
            await applied(admin, seq)
            await end_to_end(mesh, stub, admin, count, views)
            await asyncio.sleep(SETTLE_SECONDS)
            await latencies(stub, admin, seconds)
            await scheduler.close()
            await ssp.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="bench of the whole mesh, JSON lines")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the latency run; scales the others")
    parser.add_argument("--views", type=int, default=1000)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.seconds, arguments.views))
