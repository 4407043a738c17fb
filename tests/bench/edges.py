"""Edges into SurrealDB: `python -m tests.bench.edges [--figures NAME,…] [--seconds S] [--edges N] [--views N]`.

SurrealDB is `spky serve db` on disk, synced at every commit, in a process of its own. Prints one JSON line a figure;
where there is an aim, the line has it and whether it was met. `db_cpu_us` is the processor time of the database's
process for each edge: unlike seconds it does not tell how busy the machine is with other work.

* writer: edges a second by the edge writer alone, new and updated, of 100 views of 20 users in windows of 200 edges,
  and of one view in transactions of 2,000; and what is sent: transactions, bytes, what is said of views included;
* amplification: a real mesh of processes; rows of the changefeed, the mesh's own too, for each change of a membership
  (its edge, and what is said of its view and of the SSP);
* latency: a real mesh with 1,000 views at 500 changes a second: from the answer to a write until a reader of the table
  of edges finds it;
* idle: the same mesh with nothing to do: processor time of each process, and requests to SurrealDB a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
from sp00ky.deploy.ports import free_ports
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.channel import open_channel
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc
from sp00ky.proto.values.cbor import encode
from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.edges.outbox import EDGES_PER_TRANSACTION_MAX, EDGES_TOGETHER_MAX
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import ViewDelta

from tests.harness.edge_writer import hydrated, member, tell, writer_of
from tests.harness.mesh import Mesh, running_mesh
from tests.harness.mesh_client import SECRET

NEW_AIM, UPDATED_AIM = 10_000, 6_000
RATE = 500
WINDOW_MS = 100
IDLE_SECONDS = 10.0
given = argparse.Namespace()


def report(name: str, **figures: Any) -> None:
    print(json.dumps({"bench": "edges", "figure": name, **figures}), flush=True)


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[tuple[Database, psutil.Process]]:
    with tempfile.TemporaryDirectory() as folder:
        address = f"127.0.0.1:{free_ports(1)[0]}"
        command = ("serve", "db", "--path", folder, "--listen", address)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sp00ky.deploy.cli", *command,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        database = Database(f"ws://{address}", user="root", password="root", namespace="b", database="b")
        try:
            while not database.connected:
                if process.returncode is not None:
                    raise SystemExit(f"the database ended with status {process.returncode}")
                with contextlib.suppress(Fault):
                    await database.connect()
                await asyncio.sleep(0.05)
            await install(database)
            yield database, psutil.Process(process.pid)
        finally:
            await database.close()
            process.terminate()
            await process.wait()


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class Sent:
    """What goes to the database: transactions and bytes, counted outside of what is timed."""

    def __init__(self, database: Database) -> None:
        self.requests: list[tuple[str, Any]] = []
        self._query_raw = database.query_raw
        database.query_raw = self._keeping  # type: ignore[method-assign]

    async def _keeping(self, surql: str, vars: Any = None) -> Any:
        self.requests.append((surql, vars))
        return await self._query_raw(surql, vars)

    def bytes_sent(self) -> int:
        return sum(len(encode([surql, dict(vars or {})])) for surql, vars in self.requests)


# --- figures ----------------------------------------------------------------------------------------------------------


async def writer() -> None:
    keys = [ViewKey(f"v{number}", f"user:u{number % 20}") for number in range(100)]
    for name, views, together in (
        ("windows", keys, EDGES_TOGETHER_MAX),
        ("large", keys[:1], EDGES_PER_TRANSACTION_MAX),
    ):
        async with served() as (database, process):
            edges = writer_of(database, "a", 5)
            for key in views:
                tell(edges, hydrated([], key))
            await edges.flush()
            for version, change, aim in ((11, "added", NEW_AIM), (12, "updated", UPDATED_AIM)):
                sent, busy, begun = Sent(database), cpu_seconds(process), time.perf_counter()
                own = time.process_time()
                for delta in deltas(views, together, version, change):
                    for each in delta:
                        tell(edges, each)
                    await edges.flush()
                seconds, own = time.perf_counter() - begun, time.process_time() - own
                rate = round(given.edges / seconds)
                report(f"writer {name} {change}", edges_per_second=rate, aim=aim, met=rate >= aim,
                       db_cpu_us=round((cpu_seconds(process) - busy) / given.edges * 1e6, 1),
                       own_cpu_us=round(own / given.edges * 1e6, 1),
                       edges_per_transaction=round(given.edges / len(sent.requests), 1),
                       bytes_per_edge=round(sent.bytes_sent() / given.edges, 1))  # fmt: skip


def deltas(views: list[ViewKey], together: int, version: int, change: str) -> Iterator[list[ViewDelta]]:
    """Windows of `together` edges, spread evenly over the views."""
    each = max(1, together // len(views))
    for start in range(0, given.edges // len(views), each):
        rows = [member(number, version) for number in range(start, start + each)]
        yield [ViewDelta([key], version, **{change: rows}) for key in views]


@contextlib.asynccontextmanager
async def mesh_of_views() -> AsyncIterator[tuple[Mesh, Database]]:
    """`--views` views of one shape, a record of `item` in one of them each."""
    with tempfile.TemporaryDirectory() as folder:
        extra = {"SPKY_SSP_QUERY_UPDATE_THROTTLE_MS": str(WINDOW_MS)}
        async with running_mesh(Path(folder), ssps=1, extra=extra) as mesh:
            database = await mesh.database()
            await database.query("DEFINE TABLE item")
            for start in range(0, given.views, 50):
                await asyncio.gather(*(
                    mesh.register(f"b{number}", "SELECT * FROM item WHERE bin = $bin", {"bin": number})
                    for number in range(start, min(start + 50, given.views))
                ))  # fmt: skip
            yield mesh, database


async def amplification(database: Database) -> None:
    """Of a write alone and of fifty in one transaction, each by a window of its own."""
    for together in (1, 50):
        (before,) = await database.query("RETURN time::millis(time::now())")
        rounds = 5
        for number in range(rounds):
            text = "; ".join(f"CREATE item:⟨a{together}-{number}-{each}⟩ SET bin = {each}" for each in range(together))
            await database.query(f"BEGIN; {text}; COMMIT")
            await asyncio.sleep(0.5)
        (rows,) = await database.query(f"SHOW CHANGES FOR DATABASE SINCE {int(before) << 16} LIMIT 1000")
        counted: dict[str, int] = {}
        for row in rows:
            for item in row["changes"]:
                record = item.get("current") or item.get("update") or item.get("delete") or {}
                if "id" in record:
                    counted[record["id"].table] = counted.get(record["id"].table, 0) + 1
        changes = together * rounds
        report("amplification", changes_per_transaction=together,
               rows_per_change={name: round(n / changes, 2) for name, n in sorted(counted.items())})  # fmt: skip


async def latency(database: Database, looking: Database) -> None:
    written: dict[int, float] = {}
    found: list[float] = []
    done = asyncio.Event()

    async def write() -> None:
        begun, pending = time.perf_counter(), set[asyncio.Task[None]]()
        for number in range(int(given.seconds * RATE)):
            await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
            pending.add(asyncio.create_task(one(number)))
        await asyncio.gather(*pending)

    async def one(number: int) -> None:
        row: dict[str, Value] = {"id": number, "bin": number % given.views}
        await database.query("INSERT INTO item $row RETURN NONE", {"row": row}, conflict_retries=5)
        written[number] = time.perf_counter()

    async def look() -> None:
        position = 0
        while not (done.is_set() and position >= given.seconds * RATE):
            ids = [f"item:{number}" for number in range(position, position + RATE) if number in written]
            if ids:
                text = f"RETURN [{', '.join(ids)}].map(|$each| count($each<-_00_list_ref))"
                (counts,) = await looking.query(text)
                now = time.perf_counter()
                for count in counts:
                    if not count:
                        break
                    found.append(now - written[position])
                    position += 1
            await asyncio.sleep(0.01)

    reader = asyncio.create_task(look())
    begun = time.perf_counter()
    await write()
    done.set()
    await asyncio.wait_for(reader, 60)
    cuts = statistics.quantiles(found, n=100)
    report("latency", p50_ms=round(cuts[49] * 1e3), p99_ms=round(cuts[98] * 1e3), views=given.views,
           window_ms=WINDOW_MS, changes_per_second=round(len(written) / (max(written.values()) - begun)))  # fmt: skip


async def idle(mesh: Mesh) -> None:
    channels = {"scheduler": open_channel(mesh.ready["scheduler_grpc"], SECRET),
                "ssp": open_channel(mesh.ready["ssps"][0]["grpc"], SECRET)}  # fmt: skip
    processes = {process.pid: process for process in psutil.Process().children(recursive=True)}

    async def requests() -> dict[str, float]:
        counts = {}
        for name, channel in channels.items():
            status = await admin_pb2_grpc.AdminServiceStub(channel).GetStatus(admin_pb2.GetStatusRequest())
            counts[name] = float(sum(sum(each.counts) for each in status.distributions if "surreal" in each.name
                                     or "database" in each.name))  # fmt: skip
        return counts

    await asyncio.sleep(5.0)
    before, busy = await requests(), {pid: cpu_seconds(process) for pid, process in processes.items()}
    await asyncio.sleep(IDLE_SECONDS)
    after = await requests()
    shares: dict[str, float] = {}
    for pid, process in processes.items():
        words = process.cmdline()
        name = words[words.index("serve") + 1] if "serve" in words else words[-1]
        share = (cpu_seconds(process) - busy[pid]) / IDLE_SECONDS * 100
        shares[name] = round(shares.get(name, 0.0) + share, 1)
    rates = {name: round((count - before[name]) / IDLE_SECONDS, 1) for name, count in after.items()}
    total = round(sum(shares.values()), 1)
    report("idle", views=given.views, cpu_percent=total, of_each=shares, requests_per_second=rates)
    for channel in channels.values():
        await channel.close()


async def main() -> None:
    figures = given.figures.split(",")
    if "writer" in figures:
        await writer()
    if {"amplification", "latency", "idle"} & {*figures}:
        async with mesh_of_views() as (mesh, database):
            if "idle" in figures:
                await idle(mesh)
            if "amplification" in figures:
                await amplification(database)
            if "latency" in figures:
                await latency(database, await mesh.database())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.edges")
    parser.add_argument("--figures", default="writer,amplification,latency,idle")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--edges", type=int, default=20_000)
    parser.add_argument("--views", type=int, default=1_000)
    parser.parse_args(namespace=given)
    asyncio.run(main())
