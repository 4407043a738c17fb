"""The capture against the real engine: after quiescence the replica equals the database, and nothing was torn."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.capture.link import INSTANCE_TABLE
from sp00ky.scheduler.capture.progress import PROGRESS_META, progress_of
from sp00ky.scheduler.capture.reader import FeedReader
from sp00ky.scheduler.datastore.datastore import Append, RowWrite
from sp00ky.scheduler.datastore.memory import MemoryDatastore

from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink

FreshDatabase = Callable[..., Awaitable[Database]]


@contextlib.asynccontextmanager
async def capturing(database: Database, sink: ReplicaSink, *, ready: bool = True) -> AsyncIterator[Capture]:
    capture = Capture(database, sink)
    running = asyncio.create_task(capture.run())
    try:
        if ready:
            await eventually(lambda: capture.state == "ready" and not capture.lost, 10)
            await asyncio.wait_for(capture.barrier(), 10)
        yield capture
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def tables_of(database: Database) -> list[str]:
    info = (await database.query("INFO FOR DB STRUCTURE"))[0]
    return [table["name"] for table in info["tables"] if not table["name"].startswith("_00_")]


async def stored_in(database: Database, table: str) -> dict[bytes, Value]:
    rows = (await database.query("SELECT * FROM type::table($table)", {"table": table}))[0]
    return {pack(row["id"].key): row for row in rows}


async def assert_equal(database: Database, sink: ReplicaSink, at: Seq | None = None) -> None:
    """The replica is the database, table by table, row by row."""
    tables = await tables_of(database)
    assert {unpack(key) for key in sink.rows("_00_schema")} == set(tables)
    for table in set(tables) | (set(sink.store.tables()) - {"_00_schema"}):
        expected = await stored_in(database, table) if table in tables else {}
        found = sink.rows(table, at)
        assert found.keys() == expected.keys(), table
        assert {key: pack(row) for key, row in found.items()} == {key: pack(row) for key, row in expected.items()}
    assert not [name for name in sink.store.tables() if name.startswith("_00_") and name != "_00_schema"]


async def test_what_was_there_and_what_comes_is_captured(database: Database) -> None:
    await database.query("CREATE person:1 SET name = 'Ann'; CREATE person:2; RELATE person:1->knows->person:2")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await assert_equal(database, sink)
        assert capture.captured == {"person", "knows"}
        await database.query("UPDATE person:1 SET name = 'Bea'; CREATE city:bonn; DELETE person:2")
        at = await capture.barrier()
        await assert_equal(database, sink, at)
        assert capture.captured == {"person", "knows", "city"}
        assert (capture.repairs, capture.poisoned) == (0, 0)
    followed = [(change.table, change.op) for txn in sink.transactions for change in txn if change.HasField("source")]
    assert followed == [
        ("person", common_pb2.OP_UPDATE),
        ("city", common_pb2.OP_CREATE),
        ("knows", common_pb2.OP_DELETE),
        ("person", common_pb2.OP_DELETE),
    ]
    assert [len(txn) for txn in sink.transactions if txn[0].HasField("source")] == [1, 1, 2]


async def test_the_definition_of_the_database_keeps_its_settings(database: Database) -> None:
    await database.query(f"DEFINE DATABASE OVERWRITE {database.database} COMMENT 'a CHANGEFEED 9h, they say'")
    async with capturing(database, ReplicaSink()):
        definition = (await database.query("INFO FOR NS"))[0]["databases"][database.database]
        assert "COMMENT 'a CHANGEFEED 9h, they say' CHANGEFEED 1d INCLUDE ORIGINAL" in definition
    await database.query(f"DEFINE DATABASE OVERWRITE {database.database} CHANGEFEED 3h")
    async with capturing(database, ReplicaSink()):
        definition = (await database.query("INFO FOR NS"))[0]["databases"][database.database]
        assert definition.endswith("CHANGEFEED 3h INCLUDE ORIGINAL")


async def test_a_comparison_that_failed_as_it_began_is_made_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What set it off may be over when the database is reached again: a clock that went back comes forward."""
    sink = ReplicaSink()
    async with capturing(database, sink):
        await database.query("CREATE person:1")
    reasons, failures = ["the database's clock went back"], [Fault(Code.UNAVAILABLE, "connection lost")]
    distrust, start_anew = Capture._distrust, Capture._start_anew

    async def distrusting_once(self: Capture, *arguments: Any) -> str:
        return reasons.pop() if reasons else await distrust(self, *arguments)

    async def failing_once(self: Capture, *arguments: Any) -> None:
        if failures:
            raise failures.pop()
        await start_anew(self, *arguments)

    monkeypatch.setattr(Capture, "_distrust", distrusting_once)
    monkeypatch.setattr(Capture, "_start_anew", failing_once)
    async with capturing(database, sink, ready=False) as capture:
        await eventually(lambda: not failures and capture.state == "ready" and not capture.lost, 10)
        await asyncio.wait_for(capture.barrier(), 10)
        await assert_equal(database, sink)
    progress = progress_of(sink.store.meta(PROGRESS_META))
    assert progress is not None and progress.cloned and progress.source_epoch == 2


async def _write_pairs(database: Database, writer: int, rounds: int) -> None:
    """Transactions whose two rows always carry one number; deletes and re-creations of shared records among them."""
    chance = random.Random(writer)
    for n in range(rounds):
        pair = chance.randrange(6)
        number = writer * 10_000 + n
        text = (
            f"BEGIN; UPSERT left:{pair} SET n = {number}; UPSERT right:{pair} SET n = {number}; COMMIT"
            if chance.random() < 0.8
            else f"BEGIN; DELETE left:{pair}; DELETE right:{pair}; COMMIT"
        )
        await database.query(text, conflict_retries=100)
        await database.query(f"CREATE own{writer} SET n = {n}, writer = {writer}")


async def test_what_no_sweep_shows_is_behind_a_barrier_and_compared_after_a_restart(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the clock went back over what was on its way, a comparison is owed: until it is made, a barrier makes one,
    and another process makes it if this one does not come to it."""
    restart_at = FeedReader.restart_at

    async def owing(self: FeedReader, *arguments: Any) -> None:
        await restart_at(self, *arguments)
        self._compare_again_ms = self._now_ms() + 3_600_000

    await database.query("CREATE person:1 SET n = 1")
    sink = ReplicaSink()
    with monkeypatch.context() as patched:
        patched.setattr(FeedReader, "restart_at", owing)
        async with capturing(database, sink) as capture:
            await database.query("OPTION IMPORT; UPDATE person:1 SET n = 2")  # the feed does not tell of it
            await asyncio.wait_for(capture.barrier(), 10)
            await assert_equal(database, sink)
    await database.query("OPTION IMPORT; UPDATE person:1 SET n = 3")
    async with capturing(database, sink):
        await assert_equal(database, sink)
    progress = progress_of(sink.store.meta(PROGRESS_META))
    assert progress is not None and progress.cloned


async def test_concurrent_writers_lose_nothing_and_tear_nothing(fresh_database: FreshDatabase) -> None:
    database = await fresh_database()
    await database.query("DEFINE TABLE left; DEFINE TABLE right")
    writers = [await fresh_database(database.namespace) for _ in range(4)]
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await asyncio.gather(*(_write_pairs(writers[n % 4], n, 40) for n in range(8)))
        at = await capture.barrier()
        await assert_equal(database, sink, at)
        # Repairs may be some: the engine in memory lets about one in a thousand of concurrent conflicting transactions
        # through, and then stamps do not tell which of the two stayed (tests/capture/history.py). They tear nothing.
        assert capture.poisoned == 0
    state: dict[str, dict[bytes, int]] = {"left": {}, "right": {}}
    for transaction in sink.transactions:
        for change in transaction:
            if change.table not in state:
                continue
            if change.op == common_pb2.OP_DELETE:
                state[change.table].pop(change.key, None)
            else:
                state[change.table][change.key] = unpack(change.packed)["n"]
        assert state["left"] == state["right"]


async def test_a_burst_larger_than_a_page_is_read_whole(database: Database) -> None:
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        burst = "".join(f"BEGIN; CREATE a:{n}; CREATE b:{n}; CREATE c:{n}; COMMIT;" for n in range(700))
        await database.query(burst)
        at = await capture.barrier()
        await assert_equal(database, sink, at)
        assert sink.store.count("a") == sink.store.count("b") == sink.store.count("c") == 700
        assert (capture.repairs, capture.poisoned) == (0, 0)
    whole = [txn for txn in sink.transactions if txn[0].HasField("source")]
    assert [len(txn) for txn in whole] == [3] * 700


async def test_g3_a_transaction_over_more_tables_than_a_page_is_one_transaction(database: Database) -> None:
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await database.query("BEGIN; " + "".join(f"CREATE t{n:04}:1;" for n in range(1200)) + "COMMIT")
        await database.query("CREATE after:1")
        at = await capture.barrier()
        assert sink.store.get("after", pack(1), at) is not None
        await assert_equal(database, sink, at)
        assert capture.metrics["capture_split_comparisons"] == 0
    touched = [{change.table for change in txn if change.table.startswith("t")} for txn in sink.transactions]
    assert [len(tables) for tables in touched if tables] == [1200]


async def test_a_feed_that_was_taken_away_is_defined_again_and_nothing_is_missing(database: Database) -> None:
    await database.query("CREATE a:1 SET n = 1")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await database.query("DEFINE TABLE OVERWRITE a; UPDATE a:1 SET n = 2")  # a table's clause is nothing to it
        await capture.barrier()
        assert sink.rows("a")[pack(1)]["n"] == 2 and capture.state == "ready" and capture.repairs == 0
        await database.query(f"DEFINE DATABASE OVERWRITE {database.database}; UPDATE a:1 SET n = 3; CREATE a:2")
        await eventually(lambda: sink.store.count("a") == 2 and capture.state == "ready" and not capture.lost, 10)
        await capture.barrier()
        await assert_equal(database, sink)
        await database.query("UPDATE a:1 SET n = 4")
        await capture.barrier()
        await assert_equal(database, sink)
    progress = progress_of(sink.store.meta(PROGRESS_META))
    assert progress is not None and progress.cloned


async def test_a_barrier_holds_every_commit_acknowledged_before_it(fresh_database: FreshDatabase) -> None:
    database = await fresh_database()
    writer = await fresh_database(database.namespace)
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        for n in range(30):
            await writer.query(f"CREATE t:{n}; UPSERT shared:1 SET n = {n}")
            first, second = await asyncio.gather(capture.barrier(), capture.barrier())
            assert first == second <= sink.store.synced_seq
            assert sink.store.get("t", pack(n), first) is not None
            row = sink.store.get("shared", pack(1), first)
            assert row is not None and unpack(row.packed)["n"] == n


async def test_derived_tables_and_computed_fields(database: Database) -> None:
    await database.query(
        "DEFINE TABLE sale; DEFINE INDEX city ON sale FIELDS city; DEFINE FIELD double ON sale COMPUTED amount * 2;"
        "DEFINE TABLE by_city AS SELECT count() AS n, city FROM sale GROUP BY city;"
        "DEFINE TABLE plain AS SELECT amount + 1 AS more FROM sale; DEFINE TABLE sink DROP"
    )
    await database.query("CREATE sale:1 SET amount = 1, city = 'a'; CREATE sink:1")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        for statement in (
            "CREATE sale:2 SET amount = 2, city = 'b'; CREATE sink:2",
            "UPDATE sale:2 SET city = 'a', amount = 7",
            "DELETE sale:1",
        ):
            await database.query(statement)
            at = await capture.barrier()
            for table in ("by_city", "plain"):
                assert sink.rows(table, at) == await stored_in(database, table)
        assert sink.rows("sale") == {pack(2): {"id": RecordId("sale", 2), "amount": 7, "city": "a"}}
        assert capture.captured == {"sale", "by_city", "plain"} and not sink.rows("sink")
        hidden = {"select": "NONE", "fields": []}
        assert sink.rows("_00_schema") == {
            pack("sale"): {"name": "sale", "computed": True, "derived": False, "indexes": [["city"]], **hidden},
            pack("by_city"): {"name": "by_city", "computed": False, "derived": True, "indexes": [], **hidden},
            pack("plain"): {"name": "plain", "computed": False, "derived": True, "indexes": [], **hidden},
        }
        assert (capture.repairs, capture.poisoned) == (0, 0)


async def test_permissions_are_part_of_the_schema(database: Database) -> None:
    await database.query(
        "DEFINE TABLE note PERMISSIONS FOR select WHERE owner = $auth; CREATE note:1;"
        "DEFINE FIELD title ON note; DEFINE FIELD secret ON note PERMISSIONS NONE;"
        "DEFINE FIELD tags.* ON note PERMISSIONS FOR select WHERE $value > 1, FOR update NONE;"
        "DEFINE TABLE open PERMISSIONS FULL; DEFINE TABLE odd PERMISSIONS FOR select WHERE FULL; CREATE bare:1"
    )
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:

        def permissions() -> dict[str, Value]:
            rows = sink.rows("_00_schema").values()
            return {
                row["name"]: (row["select"], {each["name"]: each["select"] for each in row["fields"]}) for row in rows
            }

        ruled = {"secret": "NONE", "tags.*": "$value > 1"}
        others = {"open": ("FULL", {}), "odd": ("(FULL)", {}), "bare": ("NONE", {})}
        assert permissions() == {"note": ("owner = $auth", ruled), **others}
        before = len(sink.transactions)
        await database.query("DEFINE TABLE OVERWRITE note PERMISSIONS NONE; DEFINE FIELD OVERWRITE secret ON note")
        await eventually(lambda: permissions()["note"] == ("NONE", {"tags.*": "$value > 1"}), 5)
        logged = [(change.table, unpack(change.key)) for entries in sink.transactions[before:] for change in entries]
        assert ("_00_schema", "note") in logged and {table for table, _ in logged} == {"_00_schema"}
        assert (capture.repairs, capture.poisoned) == (0, 0)


async def test_a_removed_table_leaves_and_another_under_its_name_is_another(database: Database) -> None:
    await database.query("CREATE a:1; CREATE a:2; CREATE b:1")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await database.query("REMOVE TABLE a; REMOVE TABLE b; CREATE a:3")
        await capture.barrier()
        await assert_equal(database, sink)
        assert capture.captured == {"a"} and sink.rows("a").keys() == {pack(3)}


HOSTILE = [
    "`we ird-⟩`:⟨a`b⟩",
    "t:-5",
    "t:⟨5⟩",
    "t:['x', 1, [NONE]]",
    "t:{ a: 1, b: [true] }",
    "t:u'01890000-0000-7000-8000-000000000000'",
    "t:⟨⟩",
    "t:9223372036854775807",
    "t:⟨\U0001f9db '\"⟩",
]


async def test_hostile_ids_and_mesh_tables(database: Database) -> None:
    for record in HOSTILE[:5]:
        await database.query(f"CREATE {record} SET n = 1, self = id")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        for record in HOSTILE[5:]:
            await database.query(f"CREATE {record} SET n = 1, self = id")
        for record in HOSTILE[::2]:
            await database.query(f"UPDATE {record} SET n = 2; CREATE _00_own:{abs(hash(record))}")
        await database.query(f"DELETE {HOSTILE[0]}")
        await capture.barrier()
        await assert_equal(database, sink)
        assert sink.store.count("t") == 8 and capture.repairs == 0


async def test_a_restart_goes_on_from_the_cursor(fresh_database: FreshDatabase) -> None:
    database = await fresh_database()
    await database.query("CREATE a:1 SET n = 1; CREATE a:2")
    sink = ReplicaSink()
    async with capturing(database, sink):
        await database.query("UPDATE a:1 SET n = 2")
    await database.query("UPDATE a:1 SET n = 3; DELETE a:2; CREATE b:1")
    again = ReplicaSink(sink.store)
    async with capturing(database, again) as capture:
        await capture.barrier()
        await assert_equal(database, again)
        assert (capture.repairs, capture.poisoned) == (0, 0)
    changed = [(change.table, unpack(change.key)) for txn in again.transactions for change in txn]
    assert [name for name in changed if name[0] != "_00_schema"][-3:] == [("a", 1), ("a", 2), ("b", 1)]
    progress = progress_of(sink.store.meta(PROGRESS_META))
    assert progress is not None and progress.cloned and progress.source_epoch == 1


async def test_a_clone_that_was_interrupted_goes_on_where_it_was(database: Database) -> None:
    """What it had is not read again: a record that is changed behind the feed's back stays unseen."""
    for table in ("a", "c"):
        await database.query(f"FOR $n IN 0..600 {{ CREATE type::record('{table}', $n) SET n = $n RETURN NONE }}")
    await database.query("CREATE b:1")
    sink = ReplicaSink()
    sink.refuse["c"] = Fault(Code.DISK_FULL, "no space left")
    async with capturing(database, sink, ready=False) as capture:
        await eventually(lambda: capture.lost and sink.store.count("a") == 600)
        assert capture.state == "cloning"
    await database.query("DELETE a:5; UPDATE a:6 SET n = 0")
    await database.query("OPTION IMPORT; UPDATE a:7 SET n = 0")
    again = ReplicaSink(sink.store)
    async with capturing(database, again):
        assert sink.rows("a")[pack(7)]["n"] == 7
        await database.query("UPDATE a:7 SET n = 8")
        await eventually(lambda: sink.rows("a")[pack(7)]["n"] == 8)
        await assert_equal(database, again)
    compared = [change for txn in again.transactions for change in txn if change.table == "a"]
    assert {unpack(change.key) for change in compared} == {5, 6, 7}
    progress = progress_of(sink.store.meta(PROGRESS_META))
    assert progress is not None and progress.source_epoch == 1


async def test_a_refusing_store_is_tried_again_and_a_refused_transaction_passed_over(database: Database) -> None:
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await database.query("CREATE x:0; CREATE bad:0; CREATE full:0")
        await capture.barrier()
        sink.refuse["full"] = Fault(Code.DISK_FULL, "no space left")
        await database.query("CREATE x:1; CREATE full:1")
        await eventually(lambda: "no space" in capture.lost)
        with pytest.raises(Fault) as caught:
            await capture.barrier()
        assert caught.value.code is Code.DISK_FULL
        del sink.refuse["full"]
        await eventually(lambda: sink.store.count("full") == 2)
        sink.refuse["bad"] = Fault(Code.TOO_LARGE, "change is too large")
        await database.query("CREATE x:2; CREATE bad:1; CREATE x:3")
        await eventually(lambda: sink.store.count("x") == 4)
        assert capture.poisoned == 1
        del sink.refuse["bad"]
        await database.query("CREATE x:4")
        await capture.barrier()
        assert sink.store.count("x") == 5


async def test_a_mismatch_with_the_replica_is_read_again_and_repaired(database: Database) -> None:
    await database.query("CREATE a:1 SET n = 1; CREATE a:2 SET n = 1; CREATE a:3 SET n = 1")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        _damage(sink, {2: {"id": RecordId("a", 2), "n": 99}, 7: {"id": RecordId("a", 7)}})
        await database.query("BEGIN; DELETE a:2; CREATE a:7; COMMIT; UPDATE a:7 SET n = 1")
        await capture.barrier()
        await assert_equal(database, sink)
        _damage(sink, {3: None})
        await database.query("DELETE a:3; CREATE a:3 SET n = 4")
        await capture.barrier()
        await assert_equal(database, sink)


def _damage(sink: ReplicaSink, rows: dict[int, Value]) -> None:
    head = sink.store.head_seq
    entries, writes = [], []
    for index, (key, record) in enumerate(rows.items()):
        seq = Seq(head + 1 + index)
        entries.append(common_pb2.Entry(seq=seq, epoch=sink.epoch, txn_last=True))
        writes.append(RowWrite("a", pack(key), None if record is None else pack(record), seq, (0, 0)))
    sink.store.append(Append(sink.epoch, head, entries, writes))


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[DatabaseServer]:
    server = DatabaseServer(path=None, user="root", password="root")
    yield server
    await server.stop()


def _client(url: str) -> Database:
    return Database(url, user="root", password="root", namespace="test", database="main")


async def test_g9_a_lost_database_is_found_again_and_an_emptied_one_compared(own_server: DatabaseServer) -> None:
    url = await own_server.start("127.0.0.1:0")
    listen = url.removeprefix("ws://").removesuffix("/rpc")
    database, other = _client(url), _client(url)
    await other.query("CREATE a:1 SET n = 1; CREATE a:2; CREATE b:1")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await own_server.stop()
        await eventually(lambda: capture.lost)
        with pytest.raises(Fault) as caught:
            await asyncio.wait_for(capture.barrier(), 5)
        assert caught.value.code is Code.UNAVAILABLE
        empty = DatabaseServer(path=None, user="root", password="root")
        await empty.start(listen)
        try:
            await eventually(lambda: not capture.lost and capture.state == "ready", 5)
            await capture.barrier()
            await assert_equal(database, sink)
            assert sink.store.count("a") == sink.store.count("b") == 0
            await other.query("CREATE a:1 SET n = 5")
            await capture.barrier()
            await assert_equal(database, sink)
            assert sink.transactions[-1][0].source.epoch == 2 or sink.transactions[-1][0].table == "_00_schema"
            progress = progress_of(sink.store.meta(PROGRESS_META))
            assert progress is not None and progress.source_epoch == 2
        finally:
            await database.close()
            await other.close()
            await empty.stop()


async def test_a_database_that_was_set_back_is_compared(database: Database) -> None:
    await database.query("CREATE a:1; CREATE a:2")
    sink = ReplicaSink()
    async with capturing(database, sink):
        await database.query("CREATE a:3")
    await database.query(f"DELETE {INSTANCE_TABLE}; OPTION IMPORT; DELETE a:1; CREATE a:9")
    again = ReplicaSink(sink.store)
    async with capturing(database, again):
        await assert_equal(database, again)


async def test_two_stores_capture_one_database(database: Database) -> None:
    await database.query("CREATE a:1")
    first, second = ReplicaSink(MemoryDatastore()), ReplicaSink(MemoryDatastore())
    async with capturing(database, first) as one, capturing(database, second) as two:
        await database.query("CREATE a:2")
        await asyncio.gather(one.barrier(), two.barrier())
        await assert_equal(database, first)
        await assert_equal(database, second)
