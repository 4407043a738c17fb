"""The processes on the other side of a scheduler's sockets, for `tests.bench.scheduler`: callers, and SSPs by hand.

`python -m tests.bench.peers ROLE ARGUMENTS` is started by the bench and prints one JSON object when it is done.
Requests are made before the clock starts and frames are not unpacked, so that a peer measures the scheduler and not
itself.

* `caller`: as fast as it goes, up to `ingest_inflight_max` batches unanswered; or, given a rate, in an open loop: a
  batch of what has come in OPEN_LOOP_STEP_MS is due by the clock, and its latency counts from when it was due, also if
  it could not be sent then;
* `ssps`: streams that acknowledge what they are sent, until the standard input ends; some of them may be stuck: they
  read nothing and acknowledge nothing;
* `loader`: one SSP that pulls the pages of some tables side by side, each when it has the one before.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import time
from collections import deque
from typing import Any

from grpc import aio
from sp00ky.proto.channel import open_channel
from sp00ky.proto.v1 import ingest_pb2, ingest_pb2_grpc, replication_pb2
from sp00ky.proto.values.kinds import Value

from tests.harness.scheduler import change

RECORDS = 20_000
CREDIT = 16
OPEN_LOOP_STEP_MS = 5
_OPTIONS = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]


def table_name(number: int) -> str:
    return f"table{number}"


def fields(number: int) -> dict[str, Value]:
    """A record of 160 bytes, of which RocksDB's compression can save a half."""
    note = hashlib.sha512(number.to_bytes(8, "big")).hexdigest()[:100]
    return {"carrier": "UA", "origin": "EWR", "dest": "IAH", "delay": number % 90, "note": note}


def batches(size: int) -> list[bytes]:
    """Changes of one table in batches: 160-byte records, every key again after RECORDS changes."""
    changes = [change("flight", key, op="UPDATE", **fields(key)) for key in range(RECORDS)]
    return [
        ingest_pb2.IngestStreamRequest(changes=changes[start : start + size]).SerializeToString()
        for start in range(0, RECORDS - size + 1, size)
    ]


def percentiles(latencies: list[float]) -> dict[str, float]:
    latencies.sort()
    at = {"p50_ms": 0.5, "p99_ms": 0.99}
    return {name: round(latencies[int(len(latencies) * part)] * 1000, 2) for name, part in at.items()}


async def caller(given: argparse.Namespace) -> dict[str, float]:
    """Changes acknowledged a second, and the latency of a batch; `--rate` 0: as fast as it goes."""
    size = given.batch if not given.rate else max(1, given.rate * OPEN_LOOP_STEP_MS // 1000)
    made = [ingest_pb2.IngestStreamRequest.FromString(data) for data in batches(size)]
    channel = open_channel(given.address)
    stream = ingest_pb2_grpc.IngestServiceStub(channel).IngestStream(wait_for_ready=True)
    due: deque[float] = deque()
    latencies: list[float] = []
    started = time.perf_counter()

    async def send() -> None:
        number = 0
        while (now := time.perf_counter()) - started < given.seconds:
            if given.rate:
                planned = started + number * size / given.rate
                if planned > now:
                    await asyncio.sleep(planned - now)
                now = planned
            request = made[number % len(made)]
            number += 1
            request.batch = number
            due.append(now)
            await stream.write(request)
        await stream.done_writing()

    sending = asyncio.create_task(send())
    async for _ in stream:
        latencies.append(time.perf_counter() - due.popleft())
    await sending
    elapsed = time.perf_counter() - started
    await channel.close()
    return {"changes_per_second": round(len(latencies) * size / elapsed), **percentiles(latencies)}


class BareSsp:
    """One replication stream; of a frame only the last entry is read."""

    def __init__(self, address: str, name: str, stuck: bool) -> None:
        self.name, self.stuck = name, stuck
        self.entries = 0
        self.delays: list[float] = []
        self._channel = aio.insecure_channel(address, options=_OPTIONS)
        self._replicate = self._channel.stream_stream(
            "/sp00ky.v1.ReplicationService/Replicate",
            request_serializer=replication_pb2.ReplicateRequest.SerializeToString,
            response_deserializer=replication_pb2.ReplicateResponse.FromString,
        )
        self._call: Any = None
        self._load_id = 0

    async def join(self) -> replication_pb2.Welcome:
        self._call = self._replicate(wait_for_ready=True)
        await self.send(hello=replication_pb2.Hello(ssp_id=self.name, credit=CREDIT))
        response = await self._call.read()
        assert response.WhichOneof("frame") == "welcome", response
        welcome: replication_pb2.Welcome = response.welcome
        return welcome

    async def send(self, **frame: Any) -> None:
        await self._call.write(replication_pb2.ReplicateRequest(**frame))

    async def follow(self) -> None:
        """Take frames and acknowledge them, or do neither."""
        await self.join()
        await self.send(loaded=replication_pb2.Loaded())
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        while True:
            response = await self._call.read()
            if response.WhichOneof("frame") != "entries":
                continue
            entries = response.entries.entries
            last = entries[-1]
            self.entries += len(entries)
            self.delays.append(time.time() - last.at_ms / 1000)
            await self.send(ack=replication_pb2.Ack(applied_seq=last.seq, written_seq=last.seq, frames=1))

    async def load(self, tables: int) -> tuple[int, float]:
        """Pull the pages of all tables side by side: rows taken, and the time."""
        at_seq = (await self.join()).at_seq
        loading = {table_name(number) for number in range(tables)}
        rows, started = 0, time.perf_counter()
        for name in sorted(loading):
            await self._ask(name, at_seq, b"")
        while loading:
            response = await self._call.read()
            if response.WhichOneof("frame") != "page":
                continue
            page = response.page
            rows += len(page.rows)
            if page.next_after_key:
                await self._ask(page.table, at_seq, page.next_after_key)
            else:
                loading.remove(page.table)
        return rows, time.perf_counter() - started

    async def _ask(self, table: str, at_seq: int, after_key: bytes) -> None:
        self._load_id += 1
        load = replication_pb2.Load(load_id=self._load_id, table=table, at_seq=at_seq, after_key=after_key)
        await self.send(load=load)

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()


async def ssps(given: argparse.Namespace) -> dict[str, float]:
    """Until the standard input ends. Entries that those who are not stuck took, and how old they were then."""
    peers = [BareSsp(given.address, f"{given.name}-{n}", n >= given.count) for n in range(given.count + given.stuck)]
    following = [asyncio.create_task(peer.follow()) for peer in peers]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    for peer in peers:
        await peer.close()
    well = peers[: given.count]
    return {
        "entries": min(peer.entries for peer in well),
        **{f"frame_{name}": value for name, value in percentiles([d for peer in well for d in peer.delays]).items()},
    }


async def loader(given: argparse.Namespace) -> dict[str, float]:
    peer = BareSsp(given.address, given.name, stuck=False)
    rows, seconds = await peer.load(given.count)
    await peer.close()
    return {"rows": rows, "rows_per_second": round(rows / seconds)}


ROLES = {"caller": caller, "ssps": ssps, "loader": loader}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--address", required=True)
    parser.add_argument("--name", default="ssp")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--stuck", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(ROLES[given.role](given))))


if __name__ == "__main__":
    main()
