"""`SPKY_CAPTURE=events`: what the generated events post, as it comes over HTTP, and what the replica makes of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sp00ky.deploy.surreal.install import install
from sp00ky.deploy.surreal.triggers import events_part, user_tables
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import admin_pb2, common_pb2, proxy_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture import hints
from sp00ky.scheduler.capture.hinted import HintedCapture
from sp00ky.scheduler.capture.progress import PROGRESS_META, progress_of
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.rocks import RocksDatastore

from tests.harness.eventually import eventually
from tests.harness.scheduler import Scheduler, fault_from
from tests.unit.scheduler.capture.test_capture import HOSTILE, stored_in

QUICK = (0.01, 0.02, 0.03, 0.05)


class Posting:
    """A scheduler that captures by events, behind a gateway to which the events post."""

    def __init__(self, scheduler: Scheduler, http: aiohttp.ClientSession) -> None:
        self.scheduler, self.http = scheduler, http

    @property
    def capture(self) -> HintedCapture:
        capture = self.scheduler.driver.capture
        assert isinstance(capture, HintedCapture)
        return capture

    async def post(self, op: str, table: str, key: str, **record: Any) -> dict[str, Any]:
        """The documented request, by hand."""
        body = {"table": table, "op": op, "id": key, "record": {"id": key, **record}, "hash": ""}
        return await self.send(body)

    async def send(self, body: Any) -> dict[str, Any]:
        async with self.http.post("/ingest", json=body) as answer:
            told: dict[str, Any] = await answer.json()
            assert answer.status == 200, told
            return told

    def rows(self, table: str) -> dict[bytes, Value]:
        store = self.scheduler.driver.store
        return {row.key: unpack(row.packed) for row in store.scan(table, store.head_seq, b"", 1000)}

    async def settled(self) -> None:
        await eventually(lambda: len(self.capture.hints) == 0, 10)


@contextlib.asynccontextmanager
async def posting(database: Database, store: Datastore | None = None) -> AsyncIterator[Posting]:
    async with Scheduler(store or MemoryDatastore(), database, capture="events", drift_check_interval_secs=0) as own:
        await eventually(lambda: own.driver.state == "ready", 15)
        settings = GatewaySettings.model_validate({"listen_addr": "127.0.0.1:0", "auth_secret": "s"})
        gateway = GatewayServer(settings, "scheduler", own.address, None)
        bearer = {"Authorization": "Bearer s"}
        async with aiohttp.ClientSession(await gateway.start(), headers=bearer) as http:
            try:
                yield Posting(own, http)
            finally:
                await gateway.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "DELAYS_S", QUICK)


async def posts_into_a_table(database: Database) -> None:
    """The generated events, but for the posting itself: this engine has no http, so the request's body is kept."""
    await database.query(
        "DEFINE TABLE posted; DEFINE FUNCTION fn::post($body: any, $headers: any) { CREATE posted SET body = $body }"
    )
    tables = [table for table in await user_tables(database) if table.name != "posted"]
    for definition in events_part(tables, "http://localhost", "s").definitions:
        await database.query(definition.text.replace("http::post('http://localhost/ingest', ", "fn::post("))


async def bodies(database: Database) -> list[Any]:
    """What was posted since the last time."""
    return [row["body"] for row in (await database.query("SELECT * FROM posted ORDER BY body; DELETE posted"))[0]]


async def test_what_the_generated_events_post_makes_the_replica_equal(database: Database) -> None:
    await database.query(
        "DEFINE TABLE person; DEFINE FIELD name ON person; DEFINE FIELD born ON person TYPE option<datetime>;"
        "DEFINE FIELD boss ON person TYPE option<record<person>>; DEFINE TABLE knows TYPE RELATION; DEFINE TABLE t;"
        "DEFINE TABLE `we ird-⟩`"
    )
    await install(database)
    await posts_into_a_table(database)
    async with posting(database) as mesh:
        statements = [
            "CREATE person:1 SET name = 'Ann', born = d'1990-01-01T00:00:00Z'",
            "CREATE person:2 SET name = 'Bea', boss = person:1",
            "UPDATE person:1 SET name = NONE",
            "RELATE person:1->knows->person:2",
            *(f"CREATE {record} SET n = 1" for record in HOSTILE),
            *(f"UPDATE {record} SET n = 2" for record in HOSTILE[::2]),
            "DELETE person:2",
            f"DELETE {HOSTILE[0]}",
        ]
        for statement in statements:
            await database.query(statement)
            for body in await bodies(database):
                told = await mesh.send(body)
                assert told["hints"] == 1 and told["revision"]
        for table, count in (("person", 1), ("knows", 0), ("t", 8), ("we ird-⟩", 0)):
            expected = {key: pack(row) for key, row in (await stored_in(database, table)).items()}
            assert len(expected) == count
            await eventually(lambda: {key: pack(row) for key, row in mesh.rows(table).items()} == expected, what=table)  # noqa: B023
        assert mesh.capture.repairs == mesh.capture.poisoned == 0


async def test_fields_that_are_missing_come_as_empty_text_and_are_stored_as_they_are(database: Database) -> None:
    await database.query("DEFINE TABLE person; CREATE person:1 SET name = 'Ann'")
    async with posting(database) as mesh:
        await database.query("UPDATE person:1 SET name = 'Bea'")
        await mesh.post("update", "person", "person:1", born="", boss="", name="a lie", _00_rv=2)
        await eventually(lambda: mesh.rows("person")[pack(1)] == {"id": RecordId("person", 1), "name": "Bea"})


@pytest.mark.usefixtures("quick")
async def test_the_post_of_a_cancelled_transaction_changes_nothing(database: Database) -> None:
    await database.query("DEFINE TABLE person; CREATE person:1 SET n = 1")
    async with posting(database) as mesh:
        before = mesh.scheduler.driver.store.head_seq
        await mesh.post("UPDATE", "person", "person:1", n=2, _00_rv=2)
        await mesh.post("CREATE", "person", "person:9", n=1, _00_rv=1)
        await mesh.post("DELETE", "person", "person:1", n=1)
        await mesh.settled()
        assert mesh.scheduler.driver.store.head_seq == before and mesh.capture.hints.expired == 2
        assert mesh.rows("person") == {pack(1): {"id": RecordId("person", 1), "n": 1}}


async def test_a_post_that_comes_before_its_commit_ends_right(database: Database) -> None:
    await database.query("DEFINE TABLE person; CREATE person:1 SET n = 1; CREATE person:2")
    async with posting(database) as mesh:
        await mesh.post("UPDATE", "person", "person:1", n=2, _00_rv=2)
        await mesh.post("DELETE", "person", "person:2")
        await mesh.post("CREATE", "person", "person:3", _00_rv=1)
        waiting = mesh.capture.hints._hints
        await eventually(lambda: all(hint.attempts >= 2 for hint in waiting.values()))
        assert len(waiting) == 3 and mesh.rows("person").keys() == {pack(1), pack(2)}
        await database.query("BEGIN; UPDATE person:1 SET n = 2; DELETE person:2; CREATE person:3; COMMIT")
        await eventually(
            lambda: mesh.rows("person").keys() == {pack(1), pack(3)} and mesh.rows("person")[pack(1)]["n"] == 2
        )


@pytest.mark.usefixtures("quick")
async def test_duplicates_and_another_order_come_to_the_same(database: Database) -> None:
    await database.query("DEFINE TABLE person")
    async with posting(database) as mesh:
        await database.query("CREATE person:1 SET n = 1; UPDATE person:1 SET n = 2; CREATE person:2; DELETE person:2")
        for op, key, version in (
            ("DELETE", "person:2", None),
            ("UPDATE", "person:1", 2),
            ("CREATE", "person:2", 1),
            ("CREATE", "person:1", 1),
            ("UPDATE", "person:1", 2),
            ("DELETE", "person:2", None),
        ):
            await mesh.post(op, "person", key, **({} if version is None else {"_00_rv": version}))
        await mesh.settled()
        assert mesh.rows("person") == {pack(1): {"id": RecordId("person", 1), "n": 2}}
        people = [
            entry.change
            for entry in map(common_pb2.Entry.FromString, mesh.scheduler.driver.store.log(0, 100))
            if entry.change.table == "person"
        ]
        assert len(people) == 1  # what was read alike is no change


async def test_c3_an_answered_hint_outlives_the_process(database: Database, tmp_path: Path) -> None:
    """The database cannot be asked while it is posted; then the process is another."""
    await database.query("DEFINE TABLE person; CREATE person:1 SET n = 1")
    store = RocksDatastore.open(tmp_path / "replica")
    async with posting(database, store) as mesh:
        await database.query("UPDATE person:1 SET n = 2")
        mesh.capture.hints.due = lambda now_s, limit: []  # type: ignore[method-assign]  # nothing is read any more
        await mesh.post("UPDATE", "person", "person:1", n=2, _00_rv=2)
        assert mesh.rows("person")[pack(1)]["n"] == 1
    again = RocksDatastore.open(tmp_path / "replica")
    async with posting(database, again) as mesh:
        await eventually(lambda: mesh.rows("person")[pack(1)]["n"] == 2)
        assert source_epoch(again) == 1  # read by itself: nothing was compared


async def test_what_is_posted_while_everything_is_cloned_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.query("DEFINE TABLE person; CREATE person:1 SET n = 1")
    async with posting(database) as mesh:
        monkeypatch.setattr(mesh.capture, "state", "cloning")
        await database.query("UPDATE person:1 SET n = 2")
        assert (await mesh.post("UPDATE", "person", "person:1", n=2, _00_rv=2))["hints"] == 1
        async with mesh.http.post(
            "/ingest", json={"table": "own", "op": "CREATE", "id": "own:1", "record": {}}
        ) as told:
            assert told.status == 503 and (await told.json())["code"] == Code.NOT_READY
        await eventually(lambda: mesh.rows("person")[pack(1)]["n"] == 2)


async def test_there_is_no_barrier_and_nothing_is_fully_consistent(database: Database) -> None:
    await database.query("DEFINE TABLE person")
    async with posting(database) as mesh:
        fault = await fault_from(mesh.scheduler.admin.Barrier(admin_pb2.BarrierRequest()))
        assert fault.code is Code.UNIMPLEMENTED and "capture by events" in fault.message and fault.hint
        fully = common_pb2.CONSISTENCY_FULLY_CONSISTENT
        asked = proxy_pb2.QueryRequest(query="SELECT * FROM person", consistency=fully, json=True)
        fault = await fault_from(mesh.scheduler.proxy.Query(asked))
        assert fault.code is Code.UNIMPLEMENTED and fault.details["capture"] == "events"
        asked_over_http = {"query": "SELECT * FROM person", "consistency": "fully_consistent"}
        async with mesh.http.post("/proxy/query", json=asked_over_http) as told:
            body = await told.json()
        assert told.status == 501 and body["code"] == Code.UNIMPLEMENTED and "SPKY_CAPTURE" in body["hint"]


async def test_derived_tables_and_the_schema_follow(database: Database) -> None:
    await database.query("DEFINE TABLE sale; DEFINE TABLE n AS SELECT count() AS n FROM sale GROUP ALL; CREATE sale:1")
    async with posting(database) as mesh:
        await database.query("CREATE sale:2; DEFINE TABLE later; CREATE later:1")
        await mesh.post("CREATE", "sale", "sale:2", _00_rv=1)
        await eventually(lambda: [row["n"] for row in mesh.rows("n").values()] == [2], 10)
        await eventually(lambda: mesh.capture.captured == {"sale", "n", "later"} and mesh.rows("later"), 10)
        await database.query("REMOVE TABLE later")
        await eventually(lambda: not mesh.rows("later") and "later" not in mesh.capture.captured, 10)


async def test_another_kind_of_capture_compares_every_table(database: Database) -> None:
    await database.query("DEFINE TABLE person; CREATE person:1 SET n = 1")
    store = MemoryDatastore()
    for kind, epoch in (("events", 1), ("changefeed", 2), ("changefeed", 2), ("events", 3)):
        async with Scheduler(store, database, capture=kind) as scheduler:
            capture = scheduler.driver.capture
            assert capture is not None
            await eventually(lambda: source_epoch(store) == epoch and capture.state == "ready", 15, what=kind)  # noqa: B023
            if kind == "changefeed":
                await capture.barrier()
                assert source_epoch(store) == epoch


def source_epoch(store: Datastore) -> int:
    progress = progress_of(store.meta(PROGRESS_META))
    return 0 if progress is None else progress.source_epoch
