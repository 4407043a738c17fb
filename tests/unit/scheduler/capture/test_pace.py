"""How often the schema is read: what asks for a reading, what does not, and what a reading costs at most."""

from __future__ import annotations

from collections.abc import Mapping

from sp00ky.proto.database import Database, StatementResult
from sp00ky.proto.values.kinds import Value
from sp00ky.scheduler.capture.comparing import Comparing
from sp00ky.scheduler.capture.feed import parse_row
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.pace import SECONDS_MAX, SECONDS_MIN, SHARE, Pace
from sp00ky.scheduler.capture.pending import Pending
from sp00ky.scheduler.capture.schema import read_schema

from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink
from tests.unit.scheduler.capture.test_capture import FreshDatabase, capturing


def test_readings_take_at_most_their_share_and_news_only_the_shortest_wait() -> None:
    for cost in (0.001, 0.05, 0.2, 2.0):
        pace, now = Pace(), 100.0
        spent, begun = 0.0, now
        for _ in range(50):
            pace.has_read(now, now + cost)
            now, spent = now + cost, spent + cost
            due = max(SECONDS_MIN, cost * (1 / SHARE - 1))
            assert not pace.is_due(now + due - 0.001, asked=False) and pace.is_due(now + due + 0.001, asked=False)
            assert not pace.is_due(now + SECONDS_MIN - 0.001, asked=True)
            assert pace.is_due(now + SECONDS_MIN + 0.001, asked=True)
            now += due
        assert spent / (now - begun) <= SHARE * 1.001
    pace.has_read(0.0, 3600.0)
    assert pace.is_due(3600.0 + SECONDS_MAX, asked=False)


def defined(stamp: int, name: str):  # type: ignore[no-untyped-def]
    return parse_row({"versionstamp": stamp, "changes": [{"define_table": {"name": name}}]})


async def test_tables_of_users_edges_ask_for_no_reading_and_one_of_the_application_does(database: Database) -> None:
    """Of thousands of users, one a user."""
    now_s = 100.0
    sink = ReplicaSink()
    offering = Offering(sink)
    comparing = Comparing(database, offering, now_s=lambda: now_s)
    await database.query("DEFINE TABLE a; DEFINE TABLE _00_list_ref_user_1")
    await comparing.refresh_schema()
    offering.new_tables.clear()  # as when they have been compared
    pending = Pending(sink.store)
    comparing._pace.has_read(100.0, 101.0)  # it was a long one: due in 19 seconds
    now_s = 119.0
    for stamp in range(1, 1001):
        await offering.read(defined(stamp, f"_00_list_ref_user_{stamp}"), 1, pending, is_checked=True)
    assert not comparing.schema_is_due
    await offering.read(defined(1001, "b"), 1, pending, is_checked=True)
    assert comparing.schema_is_due
    await comparing.refresh_schema()
    offering.new_tables.clear()
    assert not comparing.schema_is_due and comparing.readings == 2
    await offering.read(defined(1002, "c"), 1, pending, is_checked=True)
    assert not comparing.schema_is_due  # not at once again
    now_s += SECONDS_MIN
    assert comparing.schema_is_due


class Answers(Database):
    """Remembers what came over the wire."""

    def __init__(self, url: str, namespace: str) -> None:
        super().__init__(url, user="root", password="root", namespace=namespace, database="main")
        self.came: list[Value] = []

    async def query_raw(self, surql: str, vars: Mapping[str, Value] | None = None) -> list[StatementResult]:
        results = await super().query_raw(surql, vars)
        self.came += [result.result for result in results]
        return results


async def test_tables_of_the_mesh_do_not_come_over_the_wire(fresh_database: FreshDatabase) -> None:
    database = await fresh_database()
    own = ";".join(f"DEFINE TABLE _00_list_ref_user_{number} TYPE RELATION" for number in range(50))
    await database.query(f"{own}; DEFINE TABLE person PERMISSIONS FOR select WHERE owner = $auth.id; DEFINE TABLE `_0`")
    answers = Answers(database.url, database.namespace)
    try:
        assert (await read_schema(answers)).keys() == {"person", "_0"}
        assert [table["name"] for table in answers.came[0]] == ["_0", "person"]
        assert len(answers.came) == 3 and "_00_" not in str(answers.came)
    finally:
        await answers.close()


async def test_a_barrier_reads_the_schema_whenever_its_turn_would_be(fresh_database: FreshDatabase) -> None:
    """What a user may see was changed before the barrier, so it holds after it. No row of the feed tells of a field."""
    database = await fresh_database()
    writer = await fresh_database(database.namespace)
    await database.query("CREATE note:1; DEFINE TABLE OVERWRITE note PERMISSIONS FULL")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await eventually(lambda: not capture.offering.new_tables)
        capture._comparing._pace._due_at = capture._comparing._pace._asked_at = float("inf")
        await writer.query("DEFINE FIELD secret ON note PERMISSIONS FOR select NONE")
        await capture.barrier()
        (row,) = sink.rows("_00_schema").values()
        assert row["fields"] == [{"name": "secret", "select": "NONE"}]
        assert capture.metrics["capture_schema_readings"] >= 2
