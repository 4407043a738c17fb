"""Durable intake by gRPC stream: `python -m tests.bench.intake [--batch 512] [--seconds 5] [--engine rocksdb]`.

The scheduler runs in this process, the caller in another; packed records of about 200 bytes, up to
`ingest_inflight_max` batches unanswered. Prints one JSON line: changes acknowledged (so fsynced) a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from sp00ky.proto.channel import open_channel
from sp00ky.proto.v1 import ingest_pb2, ingest_pb2_grpc

from tests.harness.scheduler import Scheduler, change, open_store

RECORDS = 20_000


def batches(size: int) -> list[bytes]:
    """Requests built before the clock starts, so that the caller measures the scheduler and not itself."""
    changes = [
        change("flight", key, op="UPDATE", carrier="UA", origin="EWR", dest="IAH", delay=key % 90, note="x" * 100)
        for key in range(RECORDS)
    ]
    return [
        ingest_pb2.IngestStreamRequest(changes=changes[start : start + size]).SerializeToString()
        for start in range(0, RECORDS - size, size)
    ]


async def call(address: str, batch: int, seconds: float) -> dict[str, float]:
    made = [ingest_pb2.IngestStreamRequest.FromString(data) for data in batches(batch)]
    channel = open_channel(address)
    stream = ingest_pb2_grpc.IngestServiceStub(channel).IngestStream()
    sent: deque[float] = deque()
    latencies: list[float] = []
    started = time.perf_counter()

    async def send() -> None:
        number = 0
        while time.perf_counter() - started < seconds:
            request = made[number % len(made)]
            number += 1
            request.batch = number
            sent.append(time.perf_counter())
            await stream.write(request)
        await stream.done_writing()

    sending = asyncio.create_task(send())
    async for _ in stream:
        latencies.append(time.perf_counter() - sent.popleft())
    await sending
    elapsed = time.perf_counter() - started
    await channel.close()
    latencies.sort()
    return {
        "changes_per_second": round(len(latencies) * batch / elapsed),
        "batch_p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
        "batch_p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 2),
    }


async def serve(engine: str, batch: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with Scheduler(open_store(engine, Path(directory) / "replica")) as scheduler:
            arguments = ["--call", scheduler.address, "--batch", str(batch), "--seconds", str(seconds)]
            caller = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.bench.intake", *arguments, stdout=asyncio.subprocess.PIPE
            )
            out, _ = await caller.communicate()
            committer = scheduler.driver.committer
            result = {
                "bench": "intake",
                "engine": engine,
                "batch": batch,
                **json.loads(out),
                "changes_per_commit": round(committer.committed_changes / max(1, committer.commits)),
            }
            print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="rocksdb", choices=["rocksdb", "memory"])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--call", default="")
    given = parser.parse_args()
    if given.call:
        print(json.dumps(asyncio.run(call(given.call, given.batch, given.seconds))))
    else:
        asyncio.run(serve(given.engine, given.batch, given.seconds))


if __name__ == "__main__":
    main()
