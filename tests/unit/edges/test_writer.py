"""The edge writer against the real engine: idempotent, fenced, and nothing lost by a failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.ssp.edges.statements import STORED, WRITE
from sp00ky.ssp.edges.writer import Fenced
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import ViewDelta, ViewDropped

from tests.harness.edge_writer import KEY, hydrated, member, tell, writer_of
from tests.harness.eventually import eventually


async def edges_in(database: Database) -> dict[RecordId, int]:
    rows = (await database.query("SELECT out, version FROM _00_list_ref"))[0]
    return {row["out"]: row["version"] for row in rows}


async def test_hydration_writes_the_difference_and_deltas_follow(installed: Database) -> None:
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1), member(2)]))
    delta = ViewDelta([KEY], 11, added=[member("⟨x⟩ `y`", 11)], updated=[member(2, 11)], removed=[member(1)])
    tell(writer, delta, applied_seq=11)
    await writer.flush()
    assert await edges_in(installed) == {RecordId("t", 2): 11, RecordId("t", "⟨x⟩ `y`"): 11}
    assert writer.owed.written_seq == 11
    facts = (await installed.query("SELECT * FROM _00_view"))[0]
    assert [(row["hash"], row["rowCount"]) for row in facts] == [("hash", 1)]


async def test_a_record_deleted_and_created_again_gets_its_edge_back(installed: Database) -> None:
    """SurrealDB deletes the edges with the record; to the view the record has only moved."""
    await installed.query("CREATE t:1 SET n = 1")
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)]))
    await writer.flush()
    await installed.query("DELETE t:1; CREATE t:1 SET n = 2")
    assert await edges_in(installed) == {}
    tell(writer, ViewDelta([KEY], 12, updated=[member(1, 12)]))
    await writer.flush()
    assert await edges_in(installed) == {RecordId("t", 1): 12}


async def test_deltas_of_a_view_wait_for_its_reconciling(installed: Database) -> None:
    """A view hydrated while others are being reconciled: its delta must not be written, then taken for a stray."""
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)]))
    query = installed.query
    late = ViewKey("late")

    async def hydrating_meanwhile(*arguments: Any, **options: Any) -> list[Value]:
        answer = await query(*arguments, **options)
        if arguments[0] == STORED and arguments[1]["query"].key == KEY.id:
            tell(writer, hydrated([], late))
            tell(writer, ViewDelta([late], 11, added=[member(2, 11)]))
        return answer

    installed.query = hydrating_meanwhile  # type: ignore[method-assign]
    await writer.flush()
    await writer.flush()
    assert await edges_in(installed) == {RecordId("t", 1): 1, RecordId("t", 2): 11}


async def test_a_write_that_was_given_up_and_comes_late_undoes_nothing(installed: Database) -> None:
    """Its connection broke, the writer went on, and the database carries it out only now."""
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)]))
    await writer.flush()
    query, given_up = installed.query, list[tuple[Any, ...]]()

    async def losing_a_write(*arguments: Any, **options: Any) -> list[Value]:
        if arguments[0] == WRITE and not given_up:
            given_up.append(arguments)
            raise Fault(Code.UNAVAILABLE, "connection lost")
        return await query(*arguments, **options)

    installed.query = losing_a_write  # type: ignore[method-assign]
    tell(writer, ViewDelta([KEY], 11, removed=[member(1)]))
    with pytest.raises(Fault):
        await writer.flush()
    tell(writer, ViewDelta([KEY], 12, added=[member(1, 12)]))
    await writer.flush()
    with pytest.raises(QueryError, match="fenced"):
        await query(*given_up[0])
    assert await edges_in(installed) == {RecordId("t", 1): 12}


async def test_a_restarted_ssp_reads_the_edges_and_writes_nothing_twice(installed: Database) -> None:
    first = writer_of(installed, "a", 5)
    tell(first, hydrated([member(1), member(2)]))
    await first.flush()
    second = writer_of(installed, "a", 9)
    tell(second, hydrated([member(1), member(3)]))
    await second.flush()
    assert await edges_in(installed) == {RecordId("t", 1): 1, RecordId("t", 3): 1}
    assert second.owed.edges_written == 2  # one new, one gone; the unchanged one is not written again


async def test_an_overtaken_incarnation_cannot_write(installed: Database) -> None:
    """N1: the old owner's late write is refused by the database, whatever the clocks say."""
    old = writer_of(installed, "a", 5)
    tell(old, hydrated([member(1)]))
    await old.flush()
    new = writer_of(installed, "b", 6)
    tell(new, hydrated([member(1), member(2)]), a=7)
    await new.flush()
    tell(old, ViewDelta([KEY], 12, removed=[member(1)]))
    with pytest.raises(Fenced):
        await old.flush()
    assert await edges_in(installed) == {RecordId("t", 1): 1, RecordId("t", 2): 1}
    again = writer_of(installed, "a", 8)
    tell(again, hydrated([member(3)]))
    await again.flush()  # a later incarnation of the same SSP may


async def test_unregistering_removes_edges_and_rows(installed: Database) -> None:
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)]))
    await writer.flush()
    tell(writer, ViewDropped(KEY, unregistered=True))
    await writer.flush()
    assert await edges_in(installed) == {}
    assert (await installed.query("SELECT * FROM _00_query; SELECT * FROM _00_view"))[:2] == [[], []]


async def test_a_view_that_moved_away_keeps_its_edges(installed: Database) -> None:
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)]))
    await writer.flush()
    tell(writer, ViewDropped(KEY, unregistered=False))
    await writer.flush()
    assert await edges_in(installed) == {RecordId("t", 1): 1}


async def test_a_failing_view_is_quarantined_and_the_others_go_on(installed: Database) -> None:
    """G7: a statement of its own that fails takes down its view, not the batch."""
    await installed.query(
        "DEFINE EVENT refuse ON _00_list_ref WHEN $after.out = t:666 THEN { THROW 'refused by a rule' }"
    )
    writer = writer_of(installed, "a", 5)
    good, bad = ViewKey("good"), ViewKey("bad")
    for key, number in ((good, 1), (bad, 666)):
        tell(writer, hydrated([member(number)], key))
    await writer.flush()
    assert await edges_in(installed) == {RecordId("t", 1): 1}
    assert list(writer.owed.quarantined) == [bad]
    assert "refused by a rule" in writer.owed.quarantined[bad]


@pytest.mark.parametrize("table", ["_00_owner", "_00_list_ref", "_00_view"])
async def test_a_table_of_our_own_that_is_gone_is_no_views_fault(installed: Database, table: str) -> None:
    """S1: a database that was wiped or restored; the tables are made again and the SSP starts over."""
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)]))
    await writer.flush()
    await installed.query(f"REMOVE TABLE {table}")
    tell(writer, ViewDelta([KEY], 11, added=[member(2, 11)], updated=[member(1, 11)]))
    loop = asyncio.create_task(writer.run())
    try:
        await eventually(lambda: writer.fenced or (table == "_00_view" and not writer.owed.pending_edges))
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
    assert writer.owed.quarantined == {}
    again = writer_of(installed, "a", 9)
    tell(again, hydrated([member(1, 11), member(2, 11)]))
    await again.flush()
    assert await edges_in(installed) == {RecordId("t", 1): 11, RecordId("t", 2): 11}


async def test_a_lost_database_loses_no_delta(installed: Database) -> None:
    """What could not be written is folded back under what came since."""
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([]))
    await writer.flush()
    tell(writer, ViewDelta([KEY], 11, added=[member(1, 11)]), applied_seq=11)
    await installed.close()
    with pytest.raises(Exception, match="closed"):
        await writer.flush()
    tell(writer, ViewDelta([KEY], 12, added=[member(2, 12)]))
    assert writer.owed.pending_edges == 2
    assert writer.owed.written_seq < 11


async def test_a_member_with_no_form_on_the_wire_quarantines_its_view_alone(installed: Database) -> None:
    writer = writer_of(installed, "a", 5)
    good, bad = ViewKey("good"), ViewKey("bad")
    for key, number in ((good, 1), (bad, 2**63)):
        tell(writer, hydrated([member(number)], key))
    await writer.flush()
    assert await edges_in(installed) == {RecordId("t", 1): 1}
    assert list(writer.owed.quarantined) == [bad]
    assert "bad parameter" in writer.owed.quarantined[bad]
