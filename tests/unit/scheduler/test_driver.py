"""The scheduler over real gRPC on loopback, on both engines: ingest, replication, restart, drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sp00ky.proto.failpoints import arm_failpoints
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, common_pb2, ingest_pb2, views_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.datastore.datastore import Append, Datastore
from sp00ky.scheduler.datastore.memory import MemoryDatastore

from tests.harness.eventually import eventually
from tests.harness.scheduler import Peer, Scheduler, change, fault_from, open_store


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Datastore:
    return open_store(request.param, tmp_path / "replica")


@pytest.fixture
async def scheduler(store: Datastore) -> AsyncIterator[Scheduler]:
    async with Scheduler(store) as running:
        yield running


async def ingest(scheduler: Scheduler, *changes: common_pb2.Change, atomic: bool = False) -> int:
    response = await scheduler.ingest.Ingest(ingest_pb2.IngestRequest(changes=changes, atomic=atomic))
    assert response.revision == scheduler.driver.token(response.seq)
    return int(response.seq)


async def test_g4_an_answer_means_logged_folded_and_synced(scheduler: Scheduler) -> None:
    seq = await ingest(scheduler, change("person", 1, name="a"), change("person", 2), atomic=True)
    store = scheduler.driver.store
    assert (seq, store.synced_seq) == (2, 2)
    row = store.get("person", pack(1))
    assert row is not None and unpack(row.packed) == {"id": RecordId("person", 1), "name": "a"}
    entries = [common_pb2.Entry.FromString(data) for data in store.log(store.log_floor_seq - 1, 10)]
    assert [(entry.seq, entry.txn_last) for entry in entries] == [(1, False), (2, True)]
    await ingest(scheduler, change("person", 1, op="DELETE"))
    assert store.get("person", pack(1)) is None
    assert store.count("person") == 1


async def test_a_bad_change_refuses_the_whole_request(scheduler: Scheduler) -> None:
    bad = common_pb2.Change(table="person", op=common_pb2.OP_CREATE, id="2", json="[1]")
    request = ingest_pb2.IngestRequest(changes=[change("person", 1), bad])
    fault = await fault_from(scheduler.ingest.Ingest(request))
    assert fault.code is Code.INVALID
    assert (fault.details["index"], fault.details["field"]) == ("1", "json")
    assert scheduler.driver.store.head_seq == 0


async def test_the_stream_answers_in_order(scheduler: Scheduler) -> None:
    call = scheduler.ingest.IngestStream()

    async def send() -> None:
        for batch in range(1, 41):
            changes = [change("t", batch * 10 + index) for index in range(5)]
            await call.write(ingest_pb2.IngestStreamRequest(batch=batch, changes=changes))
        await call.done_writing()

    sending = asyncio.create_task(send())
    answers = [(answer.batch, answer.seq) async for answer in call]
    await sending
    assert answers == [(batch, batch * 5) for batch in range(1, 41)]


async def test_a_bad_batch_ends_the_stream_after_the_answers_before_it(scheduler: Scheduler) -> None:
    call = scheduler.ingest.IngestStream()
    await call.write(ingest_pb2.IngestStreamRequest(batch=1, changes=[change("t", 1)]))
    await call.write(ingest_pb2.IngestStreamRequest(batch=1, changes=[change("t", 2)]))
    assert (await call.read()).batch == 1
    fault = await fault_from(call.read())
    assert fault.code is Code.INVALID and "batch 1 follows batch 1" in fault.message
    assert scheduler.driver.store.head_seq == 1


async def test_an_ssp_loads_exactly_its_snapshot_while_writes_go_on(scheduler: Scheduler) -> None:
    await ingest(scheduler, *(change("person", key, n=0) for key in range(25)))
    peer = Peer(scheduler.address, "a")
    welcome = await peer.hello()
    assert not welcome.resume and welcome.incarnation == welcome.at_seq == 26
    await ingest(scheduler, *(change("person", key, n=1) for key in range(0, 50, 2)), change("person", 1, op="DELETE"))
    rows, after = [], b""
    while True:
        page = await peer.load("person", welcome.at_seq, 10, after)
        rows += page.rows
        if not (after := page.next_after_key):
            break
    assert {unpack(row.key): unpack(row.packed)["n"] for row in rows} == dict.fromkeys(range(25), 0)
    assert len(rows) == 25 and not peer.frames
    await peer.send(loaded={})
    await eventually(lambda: peer.applied_seq == 52, what="replay")
    assert [entry.seq for entry in peer.entries] == list(range(27, 53))
    await eventually(scheduler.driver.coordinator.ready_ssps, what="ready")
    await peer.close()


async def test_n_a_slow_ssp_delays_only_itself(scheduler: Scheduler) -> None:
    slow, quick = Peer(scheduler.address, "slow"), Peer(scheduler.address, "quick")
    slow.answers = False
    await slow.join(credit=2)
    await quick.join()
    for key in range(10):
        await ingest(scheduler, change("t", key))
    await eventually(lambda: quick.applied_seq == 12, what="the quick one")
    assert len(slow.frames) == 2  # its credit, and not one more
    await slow.ack(slow.applied_seq, 2)
    await eventually(lambda: len(slow.frames) > 2, what="credit returned")
    await slow.close()
    await quick.close()


async def test_an_idle_stream_is_told_the_head(scheduler: Scheduler) -> None:
    peer = Peer(scheduler.address, "a")
    await peer.join()
    seq = await ingest(scheduler, change("t", 1))
    await eventually(lambda: peer.checkpoints, what="checkpoint")
    assert peer.checkpoints[0].head_seq == seq
    await peer.close()


async def test_a_broken_stream_resumes_without_gap_or_repeat(scheduler: Scheduler) -> None:
    peer = Peer(scheduler.address, "a")
    await peer.join()
    await ingest(scheduler, change("t", 1))
    await eventually(lambda: peer.applied_seq == 2)
    resuming = asyncio.create_task(peer.hello(resume=True))
    await ingest(scheduler, change("t", 2), change("t", 3))
    welcome = await resuming
    assert welcome.resume and welcome.at_seq == 2
    await eventually(lambda: peer.applied_seq == 4)
    assert [entry.seq for entry in peer.entries] == [3, 4]
    await peer.close()


async def test_what_breaks_the_protocol_ends_that_stream_alone(scheduler: Scheduler) -> None:
    rude, polite = Peer(scheduler.address, "rude"), Peer(scheduler.address, "polite")
    rude.answers = False  # a write of its own under way when the stream ends would hide why it ended
    await polite.join()
    await rude.join()
    await rude.ack(10_000)
    await eventually(lambda: rude.ended)
    assert rude.fault is not None and rude.fault.code is Code.INVALID
    seq = await ingest(scheduler, change("t", 1))
    await eventually(lambda: polite.applied_seq == seq)
    await rude.close()
    await polite.close()


async def test_a_revision_that_is_gone_asks_for_a_new_bootstrap(scheduler: Scheduler) -> None:
    peer = Peer(scheduler.address, "a")
    welcome = await peer.join()
    await peer.send(load={"load_id": 1, "table": "t", "at_seq": welcome.at_seq + 1000, "rows_max": 10})
    await eventually(lambda: peer.ended, what="end of the stream")
    assert peer.rebootstrap
    again = await peer.hello(resume=True)
    assert not again.resume
    await peer.close()


async def test_c3_a_retry_with_the_same_key_is_applied_once(tmp_path: Path) -> None:
    async with Scheduler(open_store("rocksdb", tmp_path)) as first:
        seq = await ingest(first, change("t", 1, idempotency_key="k", n=1))
    async with Scheduler(open_store("rocksdb", tmp_path)) as second:
        assert await ingest(second, change("t", 1, idempotency_key="k", n=2)) == seq
        row = second.driver.store.get("t", pack(1))
        assert row is not None and unpack(row.packed)["n"] == 1
        assert await ingest(second, change("t", 2, idempotency_key="other")) == seq + 1


async def test_a_restart_remembers_views_and_lets_ssps_resume(tmp_path: Path) -> None:
    from sp00ky.proto.v1 import views_pb2

    request = views_pb2.RegisterViewRequest(
        spec=common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM t")
    )
    async with Scheduler(open_store("rocksdb", tmp_path)) as first:
        peer = Peer(first.address, "a")
        await peer.join()
        await eventually(first.driver.coordinator.ready_ssps)
        registered = await first.views.RegisterView(request)
        await eventually(lambda: peer.applied_seq == first.driver.store.head_seq)
        state = (peer.welcomes, peer.frames)
        epoch = first.driver.epoch
        await peer.close()
    async with Scheduler(open_store("rocksdb", tmp_path)) as second:
        assert second.driver.epoch == epoch + 1
        again = Peer(second.address, "a")
        again.welcomes, again.frames = state
        welcome = await again.hello(resume=True)
        assert welcome.resume and welcome.epoch == epoch + 1
        renewed = await second.views.RegisterView(request)
        assert (renewed.ssp_id, renewed.assigned_at) == ("a", registered.assigned_at)
        await again.close()


async def test_stop_makes_durable_what_is_queued(tmp_path: Path) -> None:
    scheduler = Scheduler(open_store("rocksdb", tmp_path))
    async with scheduler:
        tickets = [await scheduler.offer(change("t", key)) for key in range(200)]
        await scheduler.driver.stop()
        assert [await ticket.seq() for ticket in tickets] == list(range(1, 201))
        with pytest.raises(Fault) as refused:
            await scheduler.offer(change("t", 1))
        assert refused.value.code is Code.UNAVAILABLE
    reopened = open_store("rocksdb", tmp_path)
    assert reopened.head_seq == 200
    reopened.close()


async def test_status_and_health(scheduler: Scheduler) -> None:
    await ingest(scheduler, change("t", 1), change("t", 2))
    peer = Peer(scheduler.address, "a")
    await peer.join()
    await eventually(scheduler.driver.coordinator.ready_ssps)
    await peer.send(heartbeat={"cpu_ratio": 0.5, "memory_bytes": 7, "applied_seq": 3, "written_seq": 3})
    await eventually(lambda: scheduler.driver.coordinator.ssps["a"].written_seq == 3)
    status = await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())
    assert (status.service, status.state, status.head_seq) == ("scheduler", "ready", 3)
    assert [(table.name, table.rows, table.captured) for table in status.tables] == [("t", 2, False)]
    ssp = status.ssps[0]
    assert (ssp.id, ssp.state, ssp.cpu_ratio, ssp.memory_bytes, ssp.written_seq) == ("a", "ready", 0.5, 7, 3)
    assert status.metrics["ready_ssps"] == 1 and status.metrics["pending_events"] == 0
    barrier = await scheduler.admin.Barrier(admin_pb2.BarrierRequest())
    assert barrier.seq == 3
    health = health_pb2_grpc.HealthStub(scheduler.channel)
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
    await peer.close()


def retry_after_ms(error: aio.AioRpcError) -> int:
    """From the status details, where any gRPC client looks for it."""
    trailing = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0] and any(
        each.Unpack(retry) for each in status.details
    )
    return int(retry.retry_delay.ToMilliseconds())


class SlowSync(MemoryDatastore):
    """A store whose fsync ends when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuse: Fault | None = None

    async def sync(self) -> int:  # type: ignore[override]
        await self.gate.wait()
        return await super().sync()

    def append(self, append: Append) -> None:
        if self.refuse is not None:
            raise self.refuse
        super().append(append)


async def test_g4_nothing_leaves_before_the_fsync() -> None:
    store = SlowSync()
    async with Scheduler(store) as scheduler:
        peer = Peer(scheduler.address, "a")
        await peer.join()
        await eventually(scheduler.driver.coordinator.ready_ssps)
        store.gate.clear()
        waiting = asyncio.create_task(ingest(scheduler, change("t", 1)))
        await eventually(lambda: store.head_seq == 2, what="append")
        queued = asyncio.create_task(ingest(scheduler, change("t", 2)))
        await eventually(lambda: scheduler.driver.committer.room.changes == 2, what="the next group")
        assert not waiting.done() and not peer.frames and scheduler.driver.coordinator.durable_seq == 1
        store.gate.set()
        assert (await waiting, await queued) == (2, 3)
        await eventually(lambda: peer.applied_seq == 3)
        await peer.close()


async def test_g6_a_full_queue_refuses_unary_callers_and_holds_streams() -> None:
    store = SlowSync()
    async with Scheduler(store, ingest_queue_max=10) as scheduler:
        store.gate.clear()
        first = asyncio.create_task(ingest(scheduler, *(change("t", key) for key in range(8))))
        await eventually(lambda: scheduler.driver.committer.room.changes == 8)
        many = ingest_pb2.IngestRequest(changes=[change("t", key) for key in range(3)])
        fault = await fault_from(scheduler.ingest.Ingest(many))
        assert fault.code is Code.OVERLOADED and fault.details["queue_max"] == "10"
        with pytest.raises(aio.AioRpcError) as refused:
            await scheduler.ingest.Ingest(many)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_after_ms(refused.value) == int(fault.details["retry_after_ms"]) > 0
        call = scheduler.ingest.IngestStream()
        await call.write(ingest_pb2.IngestStreamRequest(batch=1, changes=many.changes))
        store.gate.set()
        assert await first == 8
        assert (await call.read()).seq == 11
        call.cancel()


async def test_g6_the_queue_is_bounded_in_bytes_and_in_new_views_and_says_so() -> None:
    store = SlowSync()
    async with Scheduler(store, ingest_queue_bytes_max=1_000, registrations_inflight_max=1) as scheduler:
        store.gate.clear()
        first = asyncio.create_task(ingest(scheduler, change("t", 1, note="x" * 700)))
        await eventually(lambda: store.head_seq == 1, what="append")
        large = ingest_pb2.IngestRequest(changes=[change("t", 2, note="x" * 400)])
        assert (await fault_from(scheduler.ingest.Ingest(large))).details["queue_bytes_max"] == "1000"
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM t")
        fault = await fault_from(scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec)))
        assert fault.code is Code.OVERLOADED and "new views" in fault.message
        metrics = (await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())).metrics
        assert (metrics["refused_changes"], metrics["refused_registrations"], metrics["queued_changes"]) == (1, 1, 1)
        store.gate.set()
        assert await first == 1
        await eventually(lambda: not scheduler.driver.committer.room.bytes)


async def test_a_full_disk_refuses_the_group_and_goes_on_afterwards() -> None:
    store = SlowSync()
    async with Scheduler(store) as scheduler:
        await ingest(scheduler, change("t", 1))
        store.refuse = Fault(Code.DISK_FULL, "no space left")
        fault = await fault_from(scheduler.ingest.Ingest(ingest_pb2.IngestRequest(changes=[change("t", 2)])))
        assert fault.code is Code.DISK_FULL
        store.refuse = None
        assert await ingest(scheduler, change("t", 3)) == 2
        assert not scheduler.driver.failed.is_set()


async def test_an_overtaken_epoch_ends_the_commit_loop() -> None:
    store = MemoryDatastore()
    async with Scheduler(store) as scheduler:
        store.take_epoch()
        fault = await fault_from(scheduler.ingest.Ingest(ingest_pb2.IngestRequest(changes=[change("t", 1)])))
        assert fault.code is Code.UNAVAILABLE
        await asyncio.wait_for(scheduler.driver.failed.wait(), 5)
        assert store.head_seq == 0


async def test_a_raised_failpoint_is_a_failed_commit() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler:
        arm_failpoints("wal.before_append=raise")
        try:
            fault = await fault_from(scheduler.ingest.Ingest(ingest_pb2.IngestRequest(changes=[change("t", 1)])))
        finally:
            arm_failpoints("")
        assert fault.code is Code.UNAVAILABLE and "wal.before_append" in fault.message
