"""The scheduler beside a real SurrealDB: cloned, followed, and asked again for what only it knows."""

from __future__ import annotations

from grpc.aio import AioRpcError
from sp00ky.proto.channel import fault_of
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import admin_pb2, common_pb2, ingest_pb2, proxy_pb2
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.datastore.memory import MemoryDatastore

from tests.harness.eventually import eventually
from tests.harness.scheduler import Scheduler, change, fault_from


async def ready(scheduler: Scheduler) -> None:
    await eventually(lambda: scheduler.driver.state == "ready", 15, what="clone")


def name_of(scheduler: Scheduler, table: str, key: Value) -> Value:
    row = scheduler.driver.store.get(table, pack(key))
    return unpack(row.packed)["name"] if row is not None else None


async def test_a_hint_is_answered_with_what_the_database_has(database: Database) -> None:
    await database.query("CREATE person:1 SET name = 'ada'")
    async with Scheduler(MemoryDatastore(), database) as scheduler:
        await ready(scheduler)
        assert scheduler.driver.captured >= {"person"} and name_of(scheduler, "person", 1) == "ada"
        await database.query("UPDATE person:1 SET name = 'grace'")
        hint = ingest_pb2.IngestRequest(changes=[change("person", 1, op="UPDATE", name="a lie"), change("own", 1)])
        answer = await scheduler.ingest.Ingest(hint)
        assert name_of(scheduler, "person", 1) == "grace"
        row = scheduler.driver.store.get("person", pack(1))
        assert row is not None and row.seq <= answer.seq <= scheduler.driver.store.synced_seq
        own = scheduler.driver.store.get("own", pack(1))
        assert own is not None  # SurrealDB does not have it: authoritative
        status = await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert {table.name: table.captured for table in status.tables} == {"person": True, "own": False}
        assert status.state == "ready" and status.captured_stamp > 0


async def test_a_barrier_holds_everything_committed_before_it(database: Database) -> None:
    await database.query("DEFINE TABLE person SCHEMALESS")
    async with Scheduler(MemoryDatastore(), database) as scheduler:
        await ready(scheduler)
        for number in range(3):
            await database.query(f"UPSERT person:{number} SET name = 'n{number}'")
            barrier = await scheduler.admin.Barrier(admin_pb2.BarrierRequest())
            row = scheduler.driver.store.get("person", pack(number))
            assert row is not None and row.seq <= barrier.seq


async def test_one_commit_is_one_transaction(database: Database) -> None:
    await database.query("DEFINE TABLE person SCHEMALESS")
    async with Scheduler(MemoryDatastore(), database) as scheduler:
        await ready(scheduler)
        before = scheduler.driver.store.head_seq
        await database.query("BEGIN; CREATE person:1; CREATE person:2; CREATE person:3; COMMIT")
        await scheduler.admin.Barrier(admin_pb2.BarrierRequest())
        entries = [common_pb2.Entry.FromString(data) for data in scheduler.driver.store.log(before, 100)]
        people = [entry for entry in entries if entry.change.table == "person"]
        assert [entry.txn_last for entry in people] == [False, False, True]


async def test_what_a_clone_passes_through_is_not_read(database: Database) -> None:
    for table in ("a", "b"):
        await database.query(f"FOR $n IN 0..300 {{ CREATE type::record('{table}', $n) RETURN NONE }}")
    async with Scheduler(MemoryDatastore(), database) as scheduler:
        driver = scheduler.driver
        seen: set[str] = set()

        async def reads_at(seq: int) -> bool:
            asked = proxy_pb2.QueryRequest(
                query="SELECT count() FROM a GROUP ALL", revision=driver.token(seq), json=True
            )
            try:
                answer = await scheduler.proxy.Query(asked)
            except AioRpcError as error:
                seen.add(fault_of(error).code)
                return False
            return answer.result_json == '[{"count":300}]'

        passed = {0}
        while driver.state == "cloning":
            passed.add(int(driver.store.synced_seq))
            assert not await reads_at(driver.store.synced_seq) or driver.state == "ready"
        floor = driver.capture.readable_from if driver.capture is not None else 0
        assert 600 <= floor <= driver.store.head_seq and await reads_at(driver.store.synced_seq)
        within = max(seq for seq in passed if seq < floor)
        assert within and not await reads_at(within) and seen == {Code.REVISION_GONE, Code.NOT_READY}


async def test_nothing_is_let_in_while_cloning() -> None:
    nowhere = Database("ws://127.0.0.1:1/rpc", user="root", password="root", namespace="n", database="d")
    async with Scheduler(MemoryDatastore(), nowhere) as scheduler:
        fault = await fault_from(scheduler.ingest.Ingest(ingest_pb2.IngestRequest(changes=[change("t", 1)])))
        assert fault.code is Code.NOT_READY and fault.details["state"] == "cloning"
        status = await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert status.state == "cloning" and status.detail
        assert scheduler.driver.store.head_seq == 0
    await nowhere.close()
