"""Edges under load and refusals, on the real engine: conflicts, one hot view, one change that moves very many views,
followers that make every transaction slow. Transactions are counted; nothing here is judged by a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sp00ky.proto.database import Database, QueryError, StatementResult
from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.edges.outbox import EDGES_PER_TRANSACTION_MAX, EDGES_TOGETHER_MAX
from sp00ky.ssp.edges.statements import WRITE
from sp00ky.ssp.edges.writer import CONFLICT_RETRIES
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import ViewDelta, ViewDropped

from tests.conftest import FreshDatabase
from tests.harness.edge_writer import KEY, hydrated, member, tell, writer_of
from tests.harness.edges import edges_of, stored_edges
from tests.harness.eventually import eventually

CONFLICT = StatementResult(False, None, "Transaction conflict: write conflict. This transaction can be retried", "")
QUIET = ViewKey("quiet", "user:ann")


def conflicting(database: Database, when: Callable[[int], bool]) -> None:
    """Transactions conflict where `when` says so of their number, and are not carried out."""
    query_raw, counted = database.query_raw, iter(range(1_000_000))

    async def conflicts(surql: str, vars: Mapping[str, Value] | None = None) -> list[StatementResult]:
        if surql.lstrip().startswith("BEGIN") and when(next(counted)):
            return [CONFLICT, CONFLICT]
        return await query_raw(surql, vars)

    database.query_raw = conflicts  # type: ignore[method-assign]


class Written:
    """Counts the transactions that write edges, and calls `between` after each."""

    def __init__(self, database: Database, between: Callable[[int], None] = lambda number: None) -> None:
        self.count = 0
        self._query, self._between = database.query, between
        database.query = self._counting  # type: ignore[method-assign]

    async def _counting(self, surql: str, *arguments: Any, **options: Any) -> list[Value]:
        answer = await self._query(surql, *arguments, **options)
        if surql == WRITE:
            self.count += 1
            self._between(self.count)
        return answer


async def test_s3_of_three_transactions_one_conflicts_and_every_edge_is_there(installed: Database) -> None:
    """The refused are made again, after a pause that grows; nothing counts as a failure, and every conflict is told."""
    writer = writer_of(installed, "a", 5)
    conflicting(installed, lambda number: number % 3 == 0)
    for version in range(10, 40):
        key = ViewKey(f"v{version % 4}", "user:ann" if version % 2 else "")
        if version < 14:
            tell(writer, hydrated([], key))
        tell(writer, ViewDelta([key], version, added=[member(version, version)]), applied_seq=version)
        await writer.flush()
    assert sorted(edge.version for edge in await stored_edges(installed)) == list(range(10, 40))
    assert writer.owed.quarantined == {} and writer.owed.written_seq == 39
    assert writer.metrics()["edge_conflicts_total"] >= 10 and writer.metrics()["edge_failures_total"] == 0


async def test_s3_conflicts_without_end_are_given_up_for_now_and_nothing_is_lost(installed: Database) -> None:
    """After so many attempts the flush fails, by nobody's fault; the next one makes up for it."""
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)]))
    await writer.flush()
    busy = [True]
    conflicting(installed, lambda number: busy[0])
    tell(writer, ViewDelta([KEY], 11, added=[member(2, 11)]))
    with pytest.raises(QueryError, match="can be retried"):
        await writer.flush()
    assert installed.conflicts == CONFLICT_RETRIES and writer.owed.quarantined == {}
    busy[0] = False
    await writer.flush()
    assert await edges_of(installed, KEY.id) == {"t:1": 1, "t:2": 11}


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
async def test_l2_a_hot_view_starves_nobody(installed: Database, count: int) -> None:
    """Edges of one view, for which it needs many transactions, come, move and go; meanwhile another view's edges
    are written, each in the transaction after the one during which it came to be owed."""
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([], KEY))
    tell(writer, hydrated([], QUIET))
    await writer.flush()
    told = [0]

    def meanwhile(number: int) -> None:
        if number % 2:
            told[0] += 1
            tell(writer, ViewDelta([QUIET], 100 + told[0], added=[member(f"q{told[0]}", 100 + told[0])]))

    written = Written(installed, meanwhile)
    for version, change in ((11, "added"), (12, "updated")):
        before, told_before = written.count, told[0]
        tell(writer, ViewDelta([KEY], version, **{change: [member(number, version) for number in range(count)]}))
        await writer.flush()
        transactions = -(-count // EDGES_PER_TRANSACTION_MAX)
        assert written.count - before == 2 * transactions, "one of the quiet view after each of the hot one"
        assert told[0] - told_before == transactions and not writer.owed.busy
    assert len(await edges_of(installed, QUIET.id, QUIET.auth_id)) == told[0]
    assert set((await edges_of(installed, KEY.id)).values()) == {12}
    tell(writer, ViewDropped(KEY, unregistered=True))
    await writer.flush()
    assert {edge.view for edge in await stored_edges(installed)} == {QUIET.id}


async def test_l2_one_change_that_moves_very_many_views_is_few_transactions(installed: Database) -> None:
    writer = writer_of(installed, "a", 5)
    keys = [ViewKey(f"v{number}", f"user:u{number % 20}") for number in range(600)]
    for key in keys:
        tell(writer, hydrated([], key))
    await writer.flush()
    written = Written(installed)
    tell(writer, ViewDelta(keys, 11, added=[member(1, 11)]), applied_seq=11)
    await writer.flush()
    assert written.count == -(-len(keys) // EDGES_TOGETHER_MAX)
    assert len(await stored_edges(installed)) == len(keys) and writer.owed.written_seq == 11


async def test_l4_however_slow_followers_make_it_a_window_is_one_transaction(
    installed: Database, fresh_database: FreshDatabase
) -> None:
    """SurrealDB tells everyone who follows a table within the write. While one takes its time everything that comes is
    folded, and is one transaction, in which an edge is written once however often it has moved."""
    follower = await fresh_database(installed.namespace)
    await follower.query("LIVE SELECT * FROM _00_list_ref")
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)]))
    await writer.flush()
    slow, query = asyncio.Event(), installed.query

    async def slowly(surql: str, *arguments: Any, **options: Any) -> list[Value]:
        if surql == WRITE:
            began.set()
            await slow.wait()
        return await query(surql, *arguments, **options)

    began = asyncio.Event()
    installed.query = slowly  # type: ignore[method-assign]
    written = Written(installed)
    loop = asyncio.create_task(writer.run())
    try:
        tell(writer, ViewDelta([KEY], 11, updated=[member(1, 11)]))
        await began.wait()
        for version in range(12, 212):
            tell(writer, ViewDelta([KEY], version, updated=[member(1, version)]), applied_seq=version)
        slow.set()
        await eventually(lambda: writer.owed.written_seq == 211, 10.0, what="everything to be written")
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
    assert written.count == 2 and writer.owed.edges_written == 3
    assert await edges_of(installed, KEY.id) == {"t:1": 211}
