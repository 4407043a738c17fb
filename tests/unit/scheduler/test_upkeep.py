"""The loop beside the store: floors follow time, bytes, pins and SSPs; runs do not overlap; slices leave room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sp00ky.proto.failpoints import arm_failpoints
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import admin_pb2, common_pb2, ingest_pb2, replication_pb2
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture.progress import Progress
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.datastore.datastore import Collected, Datastore
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.rocks import RocksDatastore
from sp00ky.scheduler.upkeep import Upkeep, stamps_from

from tests.harness.eventually import eventually
from tests.harness.scheduler import Peer, Scheduler, fault_from
from tests.harness.stores import Clock, Writer

HOUR_MS = 3_600_000


def upkeep_of(store: Datastore, clock: Clock, needed: int | None = None, **settings: object) -> Upkeep:
    configured = SchedulerSettings(**settings)  # type: ignore[arg-type]
    lowest = Seq(needed) if needed is not None else None
    return Upkeep(
        store,
        configured,
        needed=lambda: lowest if lowest is not None else Seq(store.synced_seq + 1),
        is_captured=False,
        now_ms=clock,
    )


async def grown(store: Datastore, writer: Writer, times: int, size: int = 10) -> None:
    for n in range(times):
        writer.write(("t", pack(n % 3), b"%03d" % n * size))
    await store.sync()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryDatastore:
    return MemoryDatastore(now_ms=clock)


async def test_a_revision_is_readable_for_the_window_and_gone_after_it(store: MemoryDatastore, clock: Clock) -> None:
    upkeep, writer = upkeep_of(store, clock, replica_gc_window_secs=60), Writer(store)
    await grown(store, writer, 10)
    await upkeep.collect()
    clock.ms += 59_999
    await grown(store, writer, 10)
    await upkeep.collect()
    assert store.floor_seq == 0 and store.stats().versions == 20
    clock.ms += 1
    run = await upkeep.collect()
    assert (store.floor_seq, store.log_floor_seq) == (10, 11)
    assert run.versions == 7 and run.log_entries == 10 and run.is_done
    clock.ms += HOUR_MS
    await upkeep.collect()
    assert store.floor_seq == 20 and len(store.scan("t", Seq(20))) == 3  # idle: the head is readable


async def test_what_a_clone_passed_through_is_not_readable(store: MemoryDatastore, clock: Clock) -> None:
    upkeep = Upkeep(
        store,
        SchedulerSettings(),
        needed=lambda: Seq(1),
        readable_from=lambda: Seq(4),
        is_captured=True,
        now_ms=clock,
    )
    await grown(store, Writer(store), 3)
    await upkeep.collect()
    assert store.floor_seq == 3  # as far as it is durable
    await grown(store, Writer(store), 3)
    await upkeep.collect()
    assert (store.floor_seq, store.log_floor_seq) == (4, 1)


async def test_bytes_shorten_the_window(store: MemoryDatastore, clock: Clock) -> None:
    upkeep = upkeep_of(store, clock, replica_gc_window_bytes=4 * 1024 * 1024)
    await grown(store, Writer(store), 12, size=250_000)
    await upkeep.collect()
    assert 12 - 6 <= store.floor_seq < 12
    assert store.log_bytes <= 4 * 1024 * 1024


async def test_a_pin_holds_the_floor_until_its_time_is_over(store: MemoryDatastore, clock: Clock) -> None:
    upkeep, writer = upkeep_of(store, clock, replica_gc_window_secs=0), Writer(store)
    await grown(store, writer, 5)
    writer.pin("ssp/a", Seq(5), ttl_ms=120_000)
    await grown(store, writer, 5)
    await upkeep.collect()
    assert store.floor_seq == 5 and upkeep.metrics()["pins"] == 1 and upkeep.metrics()["lowest_pinned_seq"] == 5
    clock.ms += 120_000
    await upkeep.collect()
    assert store.floor_seq == 10 and upkeep.metrics()["pins"] == 0


async def test_the_log_waits_for_an_ssp_and_is_forced_at_its_cap(store: MemoryDatastore, clock: Clock) -> None:
    settings = {"replica_gc_window_secs": 0, "replica_log_max_bytes": 6 * 1024 * 1024}
    upkeep, writer = upkeep_of(store, clock, needed=3, **settings), Writer(store)
    await grown(store, writer, 4, size=250_000)
    await upkeep.collect()
    assert (store.floor_seq, store.log_floor_seq) == (4, 3) and upkeep.counters.forced_trims == 0
    await grown(store, writer, 10, size=250_000)
    await upkeep.collect()
    assert store.log_floor_seq > 3 and store.log_bytes <= 6 * 1024 * 1024
    assert upkeep.counters.forced_trims == upkeep.metrics()["log_forced_trims"] == 1


async def test_the_log_is_not_kept_beyond_its_age(store: MemoryDatastore, clock: Clock) -> None:
    upkeep = upkeep_of(store, clock, needed=3, replica_gc_window_secs=0, replica_log_max_age_secs=600)
    await grown(store, Writer(store), 4)
    await upkeep.collect()
    assert store.log_floor_seq == 3
    clock.ms += 600_000
    await upkeep.collect()
    assert store.log_floor_seq == 5


async def test_a_run_ends_with_its_time_and_the_next_goes_on(store: MemoryDatastore, clock: Clock) -> None:
    upkeep = upkeep_of(store, clock, replica_gc_window_secs=0, replica_gc_max_time_ms=1)
    await grown(store, Writer(store), 20_000)
    runs = [await upkeep.collect()]
    while not runs[-1].is_done:
        runs.append(await upkeep.collect())
    assert len(runs) > 1 and sum(run.versions for run in runs) == 20_000 - 3
    assert not runs[0].is_done and upkeep.counters.runs == len(runs)


class Overlap(MemoryDatastore):
    """Counts how many runs are between their first slice and their trimming."""

    running = most = 0

    def raise_floor(self, wanted: Seq) -> Seq:
        self.running += 1
        self.most = max(self.most, self.running)
        return super().raise_floor(wanted)

    def trim_log(self, before: Seq) -> int:
        self.running -= 1
        return super().trim_log(before)


async def test_two_runs_never_overlap(clock: Clock) -> None:
    store = Overlap(now_ms=clock)
    upkeep = upkeep_of(store, clock, replica_gc_window_secs=0)
    await grown(store, Writer(store), 2_000)
    await asyncio.gather(*(upkeep.collect() for _ in range(4)))
    assert store.most == 1 and upkeep.counters.runs == 4


class Failing(MemoryDatastore):
    refusals = 2

    def collect(self, entries_max: int, stamps_from: tuple[int, int] | None = None) -> Collected:
        if self.refusals:
            self.refusals -= 1
            raise Fault(Code.DISK_FULL, "replica: no space left")
        return super().collect(entries_max, stamps_from)


async def test_a_run_that_fails_is_counted_and_the_lease_is_free_again(clock: Clock) -> None:
    store = Failing(now_ms=clock)
    upkeep = upkeep_of(store, clock, replica_gc_window_secs=0)
    await grown(store, Writer(store), 5)
    for _ in range(2):
        with pytest.raises(Fault):
            await upkeep.collect()
    assert (await upkeep.collect()).is_done and store.log_floor_seq == 6


def test_tombstones_wait_for_what_the_feed_may_deliver_again() -> None:
    store = MemoryDatastore()
    assert stamps_from(store, is_captured=False) is None
    assert stamps_from(store, is_captured=True) == (0, 1)
    writer = Writer(store)
    stamp = 10_000_000 << 16
    writer.write(meta=[Progress(True, 3, stamp, True, 0, "i").as_meta()])
    epoch, since = stamps_from(store, is_captured=True) or (0, 0)
    assert epoch == 3 and stamp - (10_000 << 16) < since < stamp - (4_000 << 16)


# With a scheduler that serves


async def ingested(scheduler: Scheduler, count: int, size: int = 10) -> None:
    changes = [
        common_pb2.Change(table="t", op=common_pb2.OP_UPDATE, key=pack(n % 3), packed=pack({"v": "x" * size, "n": n}))
        for n in range(count)
    ]
    await scheduler.ingest.Ingest(ingest_pb2.IngestRequest(changes=changes))


async def test_garbage_goes_by_itself_while_changes_come(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path / "r")
    async with Scheduler(store, replica_gc_window_secs=0, replica_gc_interval_secs=1) as scheduler:
        for _ in range(5):
            await ingested(scheduler, 50)
        await eventually(lambda: store.log_floor_seq == store.head_seq + 1, what="trimmed log")
        assert store.floor_seq == store.head_seq == 250
        status = await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert status.metrics["gc_versions"] == 247 and status.metrics["log_trimmed_entries"] == 250
        assert status.metrics["floor_seq"] == 250 and status.metrics["gc_failures"] == 0


class Broken(MemoryDatastore):
    def trim_log(self, before: Seq) -> int:
        raise AssertionError("a bug of ours")


async def test_upkeep_that_fails_is_a_metric_and_stops_nothing_else() -> None:
    async with Scheduler(Broken(), replica_gc_interval_secs=1) as scheduler:
        await eventually(lambda: scheduler.driver.upkeep.counters.failures > 1, what="second failure")
        await ingested(scheduler, 3)
        status = await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert status.head_seq == 3 and status.metrics["gc_failures"] > 1


async def test_an_ssp_behind_a_trimmed_log_is_told_to_load_anew(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path / "r")
    caps = {"replica_gc_window_secs": 0, "replica_log_max_bytes": 1, "replica_gc_interval_secs": 3600}
    async with Scheduler(store, **caps) as scheduler:
        peer = Peer(scheduler.address, "a")
        await peer.join()
        await eventually(lambda: bool(scheduler.driver.coordinator.ready_ssps()), what="ready SSP")
        await peer.hello(resume=True)
        assert peer.welcomes[-1].resume
        await peer._end_call()
        for _ in range(3):
            await ingested(scheduler, 10, size=200_000)
        await scheduler.admin.CollectGarbage(admin_pb2.CollectGarbageRequest())
        assert store.log_floor_seq > scheduler.driver.coordinator.lowest_needed_seq()
        assert scheduler.driver.upkeep.counters.forced_trims == 1
        await peer.hello(resume=True)
        assert not peer.welcomes[-1].resume
        await peer.close()


async def test_a_loading_ssp_reads_its_snapshot_while_garbage_is_collected(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path / "r")
    async with Scheduler(store, replica_gc_window_secs=0, replica_gc_interval_secs=3600) as scheduler:
        await ingested(scheduler, 3)
        peer = Peer(scheduler.address, "a")
        at_seq = (await peer.hello()).at_seq
        expected = [row.packed for row in store.scan("t", Seq(at_seq))]
        first = await peer.load("t", at_seq, 1)
        for _ in range(3):
            await ingested(scheduler, 30)
            await scheduler.admin.CollectGarbage(admin_pb2.CollectGarbageRequest())
        assert store.floor_seq == at_seq < store.head_seq
        rest = await peer.load("t", at_seq, 10, first.next_after_key)
        assert [row.packed for row in [*first.rows, *rest.rows]] == expected
        await peer.send(loaded=replication_pb2.Loaded())
        await eventually(lambda: not store.pins(), what="the pin to be taken away")
        await scheduler.admin.CollectGarbage(admin_pb2.CollectGarbageRequest())
        assert store.floor_seq == store.head_seq
        await peer.close()


async def test_the_replica_is_copied_aside_at_its_interval(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path / "r")
    async with Scheduler(store, snapshot_update_interval_secs=1, replica_snapshots_max=1) as scheduler:
        await ingested(scheduler, 3)
        await eventually(lambda: [info.head_seq for info in store.snapshots()] == [3], what="snapshot")
        await ingested(scheduler, 3)
        await eventually(lambda: [info.head_seq for info in store.snapshots()] == [6], what="the next one alone")
        shown = await scheduler.admin.GetReplica(admin_pb2.GetReplicaRequest())
        assert [info.head_seq for info in shown.snapshots] == [6]
        await eventually(lambda: scheduler.driver.upkeep.counters.snapshots >= 2, what="both counted")


async def test_a_snapshot_that_fails_stops_nothing(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path / "r")
    arm_failpoints("snap.rename=raise")
    try:
        async with Scheduler(store, snapshot_update_interval_secs=1) as scheduler:
            await ingested(scheduler, 3)
            await eventually(lambda: scheduler.driver.upkeep.counters.snapshot_failures > 0, what="failure")
            arm_failpoints("")
            await ingested(scheduler, 3)
            await eventually(lambda: [info.head_seq for info in store.snapshots()] == [6], what="snapshot")
    finally:
        arm_failpoints("")


async def test_a_query_keeps_its_revision_and_an_older_one_is_gone(tmp_path: Path) -> None:
    from sp00ky.proto.v1 import proxy_pb2

    store = RocksDatastore.open(tmp_path / "r")
    async with Scheduler(store, replica_gc_window_secs=0, replica_gc_interval_secs=3600) as scheduler:
        await ingested(scheduler, 10)
        old = scheduler.driver.token(5)
        query = proxy_pb2.QueryRequest(query="SELECT * FROM t", revision=old)
        before = await scheduler.proxy.Query(query)
        with store.holding(Seq(5)):
            await scheduler.admin.CollectGarbage(admin_pb2.CollectGarbageRequest())
            assert (await scheduler.proxy.Query(query)).result == before.result
        await scheduler.admin.CollectGarbage(admin_pb2.CollectGarbageRequest())
        fault = await fault_from(scheduler.proxy.Query(query))
        assert fault.code is Code.REVISION_GONE
