"""Roots and upper nodes in `_00_merkle`: what changed, at a bounded rate, for no record user's eyes; and by gRPC."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import aio
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.channel import fault_of
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import integrity_pb2
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.integrity import trees as trees_module

from tests.harness.eventually import eventually
from tests.harness.scheduler import Scheduler
from tests.unit.scheduler.test_driver_capture import ready


@pytest.fixture(autouse=True)
def _folded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees_module, "FOLD_SECONDS", 0.02)


async def _published(database: Database) -> dict[tuple[str, str], Any]:
    (rows,) = await database.query("SELECT * FROM _00_merkle")
    return {(row["table"], row["prefix"]): row for row in rows}


async def test_nodes_are_published_as_often_as_is_set_and_only_what_changed(database: Database) -> None:
    await install(database)
    await database.query("FOR $n IN 0..200 { CREATE a SET n = $n }; CREATE `b c`:1; DEFINE TABLE empty")
    async with Scheduler(MemoryDatastore(), database, merkle_write_interval_secs=1) as scheduler:
        await ready(scheduler)
        driver = scheduler.driver
        await eventually(lambda: {"a", "b c"} <= driver.trees.trees.keys())
        await eventually(lambda: driver.publishing is not None and driver.publishing.written >= 18, 10)
        rows = await _published(database)
        root = (await scheduler.integrity.GetNode(integrity_pb2.GetNodeRequest(table="a"))).hash
        assert rows["a", ""]["hash"] == root and rows["a", ""]["rows"] == 200 and rows["b c", ""]["rows"] == 1
        assert sum(row["rows"] for (table, prefix), row in rows.items() if table == "a" and prefix) == 200
        publishing, before = driver.publishing, rows["b c", ""]["hash"]
        assert publishing is not None and await publishing.write() == 0
        await database.query("UPDATE `b c`:1 SET n = 1")
        await eventually(lambda: publishing._said["b c", ""].hash != before, 10)
        later = await _published(database)
        assert {place for place in later if later[place] != rows.get(place)} == {("b c", "")}


async def test_0_publishes_nothing_and_record_users_see_nothing(database: Database) -> None:
    await install(database)
    (info,) = await database.query("INFO FOR DB")
    assert "PERMISSIONS NONE" in info["tables"]["_00_merkle"]
    async with Scheduler(MemoryDatastore(), database, merkle_write_interval_secs=0) as scheduler:
        (task,) = (task for task in scheduler.driver._tasks if task.get_name() == "publishing")
        await eventually(task.done)


async def test_nodes_are_answered_down_to_the_records(database: Database) -> None:
    await database.query("FOR $n IN 0..100 { CREATE a SET n = $n }")
    async with Scheduler(MemoryDatastore(), database) as scheduler:
        await ready(scheduler)
        await eventually(lambda: "a" in scheduler.driver.trees.trees)

        async def node(prefix: str, table: str = "a") -> Any:
            return await scheduler.integrity.GetNode(integrity_pb2.GetNodeRequest(table=table, prefix=prefix))

        prefix = ""
        while (found := await node(prefix)).rows > 1:
            assert sum(each.rows for each in found.children) == found.rows
            total = sum(int(each.hash, 16) for each in found.children)
            assert f"{total % 2**64:016x}" == found.hash
            prefix = max(found.children, key=lambda each: each.rows).prefix
        before = (await node("")).hash
        await database.query("CREATE a:new")
        await scheduler.driver.barrier()
        after = await node("")
        assert after.hash != before and after.rows == 101
        assert after.revision == scheduler.driver.token(scheduler.driver.store.synced_seq)
        for table, bad, code in (("a", "G", Code.INVALID), ("a", "0" * 17, Code.INVALID), ("no", "", Code.NOT_FOUND)):
            with pytest.raises(aio.AioRpcError) as caught:
                await node(bad, table)
            assert fault_of(caught.value).code is code
