"""The scheduler's figures: `python -m tests.bench.scheduler [--figures NAME,…] [--seconds S] [--gib G]`.

The scheduler runs in this process, on RocksDB in a temporary folder, with fsync; callers and SSPs run in others
(`tests/bench/peers.py`). Prints one JSON line a figure; where there is an aim, the line has it and whether it was met.
`cpu_us` is the processor time of this process, RocksDB's and gRPC's threads included, for each change or row: unlike
seconds it does not tell how busy the machine is with other work.

* intake: changes acknowledged durable a second by stream, in batches of 256, 512 and 1,024;
* fanout: the same with 1, 2 and 4 SSPs that follow, what each of them took a second, and over none: `cpu_ratio`;
* latency: from when a batch was due until its answer, at 1,000 and 10,000 changes a second;
* bootstrap: rows a second to one SSP that loads four tables, alone and while 5,000 changes a second come in;
* restart: from opening a replica of `--gib` (before RocksDB compacts it) until it serves; the aim is for one GiB;
* collecting: the same latency at 10,000 a second with and without garbage being collected, in turns;
* disk: bytes on disk for each change, before and after RocksDB has compacted;
* stuck: throughput, and age of frames at two SSPs that follow, with and without one that reads nothing, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sp00ky.proto.revision import Seq
from sp00ky.scheduler.changes import canonical_change
from sp00ky.scheduler.coordinator.ready import Ready
from sp00ky.scheduler.coordinator.sequencer import Sequencer
from sp00ky.scheduler.datastore.datastore import Append
from sp00ky.scheduler.datastore.rocks import RocksDatastore
from sp00ky.scheduler.upkeep import SLICE_ENTRIES

from tests.bench.peers import fields, table_name
from tests.harness.eventually import eventually
from tests.harness.scheduler import Scheduler, change

INTAKE_AIM, LATENCY_AIM_MS, BOOTSTRAP_AIM, RESTART_AIM_S, STUCK_AIM = 100_000, 20.0, 200_000, 10.0, 0.10
BATCH = 512
TABLES, ROWS = 4, 100_000
TURNS = 3
APPEND_ROWS = 4_096

LATENCIES = ("p50_ms", "p99_ms")

Figure = dict[str, float | int | str | bool]
given = argparse.Namespace()


def report(name: str, **figures: Any) -> None:
    print(json.dumps({"bench": "scheduler", "figure": name, **figures}), flush=True)


class Peer:
    """A process of `tests.bench.peers`; `done` waits for its figures, `stop` first ends what runs until then."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, role: str, address: str, **arguments: float | str) -> Peer:
        stated = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "tests.bench.peers", role, "--address", address, *stated]
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))

    async def done(self) -> dict[str, float]:
        out, _ = await self._process.communicate(b"")
        if self._process.returncode != 0:
            raise SystemExit(f"a peer ended with status {self._process.returncode}")
        figures: dict[str, float] = json.loads(out)
        return figures

    async def stop(self) -> dict[str, float]:
        return await self.done()  # which ends its standard input


@asynccontextmanager
async def scheduler(**settings: object) -> AsyncIterator[tuple[Scheduler, Path]]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "replica"
        async with Scheduler(RocksDatastore.open(path), **settings) as running:
            yield running, path


async def loaded(running: Scheduler, **arguments: float | str) -> Figure:
    """One caller's run: its figures, and what it cost this process."""
    committer = running.driver.committer
    changes, commits, cpu = committer.committed_changes, committer.commits, time.process_time()
    peer = await Peer.start("caller", running.address, **arguments)
    figures: Figure = {**await peer.done()}
    changes = committer.committed_changes - changes
    figures["cpu_us"] = round((time.process_time() - cpu) / changes * 1e6, 2)
    figures["changes_per_commit"] = round(changes / (committer.commits - commits))
    return figures


# --- figures ----------------------------------------------------------------------------------------------------------


async def intake() -> None:
    best = 0.0
    async with scheduler() as (running, _):
        for batch in (256, BATCH, 1_024):
            figures = await loaded(running, batch=batch, seconds=given.seconds)
            best = max(best, float(figures["changes_per_second"]))
            report("intake", batch=batch, **figures)
    report("intake", best=best, aim=INTAKE_AIM, met=best >= INTAKE_AIM)


async def fanout() -> None:
    alone = 0.0
    for count in (0, 1, 2, 4):
        async with scheduler() as (running, _):
            followers = await following(running, count)
            figures = await loaded(running, batch=BATCH, seconds=given.seconds)
            alone = alone or float(figures["cpu_us"])
            if followers is not None:
                await caught_up(running)
                figures |= await followers.stop()
            report("fanout", ssps=count, cpu_ratio=round(float(figures["cpu_us"]) / alone, 2), **figures)


async def following(running: Scheduler, count: int, stuck: int = 0) -> Peer | None:
    """SSPs in one process, once all of them have joined."""
    if not count:
        return None
    peer = await Peer.start("ssps", running.address, count=count, stuck=stuck, name=f"ssp-{stuck}")
    coordinator = running.driver.coordinator
    await eventually(lambda: sum(member.loaded for member in coordinator.ssps.values()) >= count + stuck, 60.0)
    return peer


async def caught_up(running: Scheduler) -> None:
    coordinator = running.driver.coordinator
    await eventually(
        lambda: all(m.progress.acked_seq == coordinator.durable_seq for m in coordinator.ready_ssps()), 60.0
    )


async def latency() -> None:
    async with scheduler() as (running, _):
        for rate in (1_000, 10_000):
            figures = await loaded(running, rate=rate, seconds=given.seconds)
            aim = {"aim_p99_ms": LATENCY_AIM_MS, "met": float(figures["p99_ms"]) <= LATENCY_AIM_MS}
            report("latency", rate=rate, **figures, **(aim if rate == 10_000 else {}))


def fill(store: RocksDatastore, rows: int, start: int = 0, tables: int = TABLES) -> None:
    """Records `start` … of 160 bytes, by appends as the commit loop makes them."""
    epoch = store.take_epoch()
    sequencer = Sequencer(epoch, store.head_seq)
    for first in range(start, start + rows, APPEND_ROWS):
        ready, head = Ready(), store.head_seq
        for number in range(first, min(start + rows, first + APPEND_ROWS)):
            made = change(table_name(number % tables), number, **fields(number))
            sequencer.sequence_changes([[canonical_change(made)]], 0, ready)
        store.append(Append(epoch, head, ready.entries, ready.rows))


async def bootstrap() -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = RocksDatastore.open(Path(directory) / "replica")
        fill(store, 4 * ROWS)
        async with Scheduler(store) as running:
            for rate in (0, 5_000):
                seconds = given.seconds + 2  # the caller goes on until the load has ended
                caller = await Peer.start("caller", running.address, rate=rate, seconds=seconds) if rate else None
                cpu = time.process_time()
                peer = await Peer.start(
                    "loader", running.address, count=TABLES, seconds=given.seconds, name=f"ssp-{rate}"
                )
                figures: Figure = {**await peer.done()}
                figures["cpu_us"] = round((time.process_time() - cpu) / float(figures["rows"]) * 1e6, 2)
                if caller is None:
                    figures |= {"aim": BOOTSTRAP_AIM, "met": float(figures["rows_per_second"]) >= BOOTSTRAP_AIM}
                else:
                    figures |= {f"change_{name}": value for name, value in (await caller.done()).items()}
                report("bootstrap", rate=rate, **figures)


async def restart() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "replica"
        store = RocksDatastore.open(path)
        rows = 0
        while size_of(path) < given.gib * 2**30:
            fill(store, ROWS, rows)
            await store.sync()
            rows += ROWS
        store.close()
        gib = size_of(path) / 2**30
        started, cpu = time.perf_counter(), time.process_time()
        async with Scheduler(RocksDatastore.open(path)):
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        figures: Figure = {"gib": round(gib, 3), "rows": rows, "seconds": round(seconds, 3), "cpu_s": round(cpu, 3)}
        report("restart", **figures, aim=RESTART_AIM_S, met=seconds <= RESTART_AIM_S * max(1.0, gib))


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


async def collecting() -> None:
    async with scheduler(replica_gc_interval_secs=86_400) as (running, _):
        await loaded(running, batch=BATCH, seconds=given.seconds)  # something to collect
        results: dict[bool, list[Figure]] = {False: [], True: []}
        for turn in range(2 * TURNS):
            collector = Collector(running)
            task = asyncio.create_task(collector.run()) if turn % 2 else None
            figures = await loaded(running, rate=10_000, seconds=given.seconds)
            if task is not None:
                task.cancel()
                figures["versions"] = collector.versions
            results[bool(turn % 2)].append(figures)
        for on, runs in results.items():
            report("collecting", on=on, **{name: median(runs, name) for name in runs[0]})
        ratios = {name: round(median(results[True], name) / median(results[False], name), 2) for name in LATENCIES}
        report("collecting", **{f"{name}_ratio": ratio for name, ratio in ratios.items()})


class Collector:
    """Collects as `scheduler/upkeep.py` does, but everything below the head and all the time."""

    def __init__(self, running: Scheduler) -> None:
        self._store = running.driver.store
        self.versions = 0

    async def run(self) -> None:
        is_done = True
        while True:
            began = time.perf_counter()
            if is_done:
                self._store.raise_floor(Seq(self._store.synced_seq))
            versions, is_done = self._store.collect(SLICE_ENTRIES)
            self.versions += versions
            await asyncio.sleep(time.perf_counter() - began)


def median(runs: list[Figure], name: str) -> float:
    return round(statistics.median(float(run[name]) for run in runs), 2)


async def disk() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "replica"
        store = RocksDatastore.open(path)
        fill(store, ROWS)
        await store.sync()
        written = len(change("table0", 1, **fields(1)).packed)
        before = size_of(path)
        for family in (store._files.log, store._files.rows, store._files.meta):
            family.flush(True)
            family.compact_range(None, None)
        report(
            "disk", record_bytes=written, bytes_per_change=round(before / ROWS), compacted=round(size_of(path) / ROWS)
        )
        store.close()


async def stuck() -> None:
    results: dict[int, list[Figure]] = {0: [], 1: []}
    for turn in range(2 * TURNS):
        async with scheduler() as (running, _):
            peer = await following(running, 2, stuck=turn % 2)
            assert peer is not None
            figures = await loaded(running, batch=BATCH, seconds=given.seconds)
            figures |= await peer.stop()
            results[turn % 2].append(figures)
    for count, runs in results.items():
        report("stuck", stuck=count, **{name: median(runs, name) for name in runs[0]})
    ratios = {
        name: round(median(results[1], name) / median(results[0], name), 3)
        for name in ("changes_per_second", "cpu_us", "p50_ms", "frame_p50_ms")
    }
    report("stuck", **ratios, aim=STUCK_AIM, met=ratios["changes_per_second"] >= 1 - STUCK_AIM)


FIGURES: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    figure.__name__: figure for figure in (intake, fanout, latency, bootstrap, restart, collecting, disk, stuck)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", default=",".join(FIGURES))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--gib", type=float, default=0.1)
    parser.parse_args(namespace=given)
    for name in given.figures.split(","):
        asyncio.run(FIGURES[name]())


if __name__ == "__main__":
    main()
