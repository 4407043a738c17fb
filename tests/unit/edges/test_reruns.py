"""Runs of re-evaluated queries against the real engine: one query's fault is its own, nobody's fault is nobody's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.ssp.engine.events import QueryFailed, QueryRan, ViewKey
from sp00ky.ssp.engine.ready import RunQuery
from sp00ky.ssp.reruns import Reruns

from tests.harness.eventually import eventually

Answers = dict[str, QueryRan | QueryFailed]


async def no_replica(surql: str, params: bytes, seq: int) -> tuple[Value, int]:
    raise AssertionError("the replica was asked")


@asynccontextmanager
async def running(
    database: Database,
    *,
    barrier: Callable[[], Awaitable[int]],
    replica: Callable[[str, bytes, int], Awaitable[tuple[Value, int]]] = no_replica,
) -> AsyncIterator[tuple[Reruns, Answers]]:
    answers: Answers = {}

    def take(answer: QueryRan | QueryFailed) -> None:
        answers[answer.key.id] = answer

    reruns = Reruns(database, barrier, replica, take)
    task = asyncio.create_task(reruns.run())
    try:
        yield reruns, answers
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def seven() -> int:
    return 7


def query(view: str, surql: str, ids_surql: str = "") -> RunQuery:
    return RunQuery(ViewKey(view), 1, surql, b"", ids_surql, "_00_id" if ids_surql else "")


async def test_rows_come_with_the_ids_of_their_records(database: Database) -> None:
    await database.query("CREATE t:1 SET n = 1; CREATE t:2 SET n = 2")
    async with running(database, barrier=seven) as (reruns, answers):
        reruns.request(query("v", "SELECT n FROM t", "SELECT n, id AS _00_id FROM t"))
        await eventually(lambda: answers)
    assert answers["v"] == QueryRan(ViewKey("v"), 1, 7, 7, [{"n": 1}, {"n": 2}], [RecordId("t", 1), RecordId("t", 2)])


async def test_rows_that_are_no_records_have_no_ids_and_stop_nobody(database: Database) -> None:
    """G7: `SELECT * FROM 5` is a fine query, and its rows are numbers."""
    await database.query("CREATE t:1 SET n = 1")
    async with running(database, barrier=seven) as (reruns, answers):
        reruns.request(query("five", "SELECT * FROM 5", "SELECT *, id AS _00_id FROM 5"))
        reruns.request(query("list", "SELECT * FROM [1, 2]", "SELECT *, id AS _00_id FROM [1, 2]"))
        reruns.request(query("good", "SELECT n FROM t"))
        await eventually(lambda: len(answers) == 3)
    five, good = answers["five"], answers["good"]
    assert isinstance(five, QueryRan) and five.ids is None
    assert isinstance(good, QueryRan) and good.rows == [{"n": 1}]


async def test_a_query_that_surrealdb_refuses_fails_alone(database: Database) -> None:
    await database.query("CREATE t:1 SET n = 1")
    async with running(database, barrier=seven) as (reruns, answers):
        reruns.request(query("bad", "SELECT string::len(n) FROM t"))
        reruns.request(query("good", "SELECT n FROM t"))
        await eventually(lambda: len(answers) == 2)
    bad = answers["bad"]
    assert isinstance(bad, QueryFailed) and bad.fatal and "string::len" in bad.reason
    assert isinstance(answers["good"], QueryRan)


async def test_what_cannot_be_reached_postpones_the_round_and_fails_nobody(database: Database) -> None:
    await database.query("CREATE t:1 SET n = 1")
    tries = 0

    async def barrier() -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Fault(Code.UNAVAILABLE, "scheduler is away")
        return tries

    async with running(database, barrier=barrier) as (reruns, answers):
        reruns.request(query("v", "SELECT n FROM t"))
        await eventually(lambda: answers)
    assert answers["v"] == QueryRan(ViewKey("v"), 1, 2, 3, [{"n": 1}], None)


async def test_a_table_that_surrealdb_does_not_have_is_read_from_the_replica(database: Database) -> None:
    asked: list[tuple[str, int]] = []

    async def replica(surql: str, params: bytes, seq: int) -> tuple[Value, int]:
        asked.append((surql, seq))
        return [{"n": 3, "_00_id": RecordId("sensor", 1)} if "_00_id" in surql else {"n": 3}], 41

    async with running(database, barrier=seven, replica=replica) as (reruns, answers):
        reruns.request(query("v", "SELECT n FROM sensor", "SELECT n, id AS _00_id FROM sensor"))
        await eventually(lambda: answers)
    assert answers["v"] == QueryRan(ViewKey("v"), 1, 41, 41, [{"n": 3}], [RecordId("sensor", 1)])
    assert [seq for _, seq in asked] == [0, 41]  # the ids at the revision of the rows
