"""Dead letters and drift, as operators reach them: by gRPC."""

from __future__ import annotations

from pathlib import Path

import pytest
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import admin_pb2, common_pb2, integrity_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture import alignment, feed
from sp00ky.scheduler.datastore.memory import MemoryDatastore

from tests.harness.eventually import eventually
from tests.harness.scheduler import Scheduler, fault_from, open_store
from tests.unit.scheduler.test_driver_capture import ready


@pytest.mark.parametrize("engine", ["memory", "rocksdb"])
async def test_p1_letters_are_listed_shown_retried_and_dropped(
    engine: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RECORD_BYTES_MAX", 1_000)
    monkeypatch.setattr(alignment, "RECORD_BYTES_MAX", 1_000)
    await database.query("DEFINE TABLE big")
    async with Scheduler(open_store(engine, tmp_path / "store"), database, dead_letters_max=3) as scheduler:
        await ready(scheduler)
        admin, store = scheduler.admin, scheduler.driver.store
        for number in range(5):
            await database.query(f"CREATE big:{number} SET text = string::repeat('x', 2000)")
        await database.query("CREATE big:9")
        await admin.Barrier(admin_pb2.BarrierRequest())
        assert store.count("big") == 1
        listed = await admin.ListDeadLetters(admin_pb2.ListDeadLettersRequest())
        assert [letter.records for letter in listed.letters] == [["big:2"], ["big:3"], ["big:4"]]
        assert (listed.total, listed.forgotten) == (3, 2)
        ids = [letter.id for letter in listed.letters]
        page = await admin.ListDeadLetters(admin_pb2.ListDeadLettersRequest(after_id=ids[0], limit=1))
        assert [letter.id for letter in page.letters] == [ids[1]]
        shown = await admin.GetDeadLetter(admin_pb2.GetDeadLetterRequest(id=ids[0]))
        assert "xxx" in shown.content and shown.letter == listed.letters[0] and shown.letter.size > 2000
        again = await admin.RetryDeadLetter(admin_pb2.RetryDeadLetterRequest(id=ids[0]))
        assert (again.applied, again.failed) == (0, 1)
        await database.query("UPDATE big:2 SET text = 'short'")
        monkeypatch.setattr(alignment, "RECORD_BYTES_MAX", 10_000)
        again = await admin.RetryDeadLetter(admin_pb2.RetryDeadLetterRequest(id=ids[1]))
        assert (again.applied, again.failed) == (1, 0) and store.get("big", pack(3)) is not None
        await eventually(lambda: store.get("big", pack(2)) is not None)  # mended by a change: its letter went with it
        dropped = await admin.DropDeadLetter(admin_pb2.DropDeadLetterRequest())
        assert dropped.dropped == 1
        fault = await fault_from(admin.GetDeadLetter(admin_pb2.GetDeadLetterRequest(id=ids[0])))
        assert fault.code is Code.NOT_FOUND
        metrics = (await admin.GetStatus(admin_pb2.GetStatusRequest())).metrics
        assert (metrics["dead_letters"], metrics["dead_letters_forgotten"]) == (0, 2)
    reopened = store if engine == "memory" else open_store(engine, tmp_path / "store")
    async with Scheduler(reopened, database) as scheduler:
        await ready(scheduler)
        listed = await scheduler.admin.ListDeadLetters(admin_pb2.ListDeadLettersRequest())
        assert listed.forgotten == 2 and [letter.records for letter in listed.letters] in ([], [["big:4"]])


async def test_drift_is_found_and_mended_on_request(database: Database) -> None:
    await database.query("CREATE a:1 SET n = 1; CREATE a:2 SET n = 2")
    async with Scheduler(MemoryDatastore(), database) as scheduler:
        await ready(scheduler)
        await scheduler.driver.offer_transactions([[_change("a", 1, n=9)]])
        found = await scheduler.integrity.VerifyTables(integrity_pb2.VerifyTablesRequest(tables=["a"]))
        assert [(each.name, each.differing, each.repaired) for each in found.tables] == [("a", 1, 0)]
        found = await scheduler.integrity.VerifyTables(integrity_pb2.VerifyTablesRequest(repair=True))
        assert [(each.name, each.differing, each.repaired) for each in found.tables] == [("a", 1, 1)]
        row = scheduler.driver.store.get("a", pack(1))
        assert row is not None and row.packed == pack({"id": RecordId("a", 1), "n": 1})
        assert row.seq == scheduler.driver.store.head_seq == Seq(row.seq) and found.revision
        fault = await fault_from(scheduler.integrity.VerifyTables(integrity_pb2.VerifyTablesRequest(tables=["nope"])))
        assert fault.code is Code.NOT_FOUND


async def test_drift_is_mended_by_itself_soon_after_the_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sp00ky.scheduler.integrity.audit.FIRST_SECONDS", 0.05)
    await database.query("CREATE a:1 SET n = 1")
    async with Scheduler(MemoryDatastore(), database, drift_check_interval_secs=1) as scheduler:
        await ready(scheduler)
        await database.query("OPTION IMPORT; UPDATE a:1 SET n = 5")
        wanted = pack({"id": RecordId("a", 1), "n": 5})
        await eventually(lambda: scheduler.driver.store.get("a", pack(1)).packed == wanted, 10)  # type: ignore[union-attr]


async def test_without_a_database_there_are_no_letters_and_no_drift() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler:
        admin = scheduler.admin
        assert not (await admin.ListDeadLetters(admin_pb2.ListDeadLettersRequest())).letters
        assert not (await admin.RetryDeadLetter(admin_pb2.RetryDeadLetterRequest())).applied
        assert not (await admin.DropDeadLetter(admin_pb2.DropDeadLetterRequest())).dropped
        assert not (await scheduler.integrity.VerifyTables(integrity_pb2.VerifyTablesRequest())).tables
        fault = await fault_from(admin.DropDeadLetter(admin_pb2.DropDeadLetterRequest(id=1)))
        assert fault.code is Code.NOT_FOUND


def _change(table: str, key: int, **fields: int) -> common_pb2.Change:
    packed = pack({**fields, "id": RecordId(table, key)})
    return common_pb2.Change(table=table, op=common_pb2.OP_UPDATE, key=pack(key), packed=packed)
