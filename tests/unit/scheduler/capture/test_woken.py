"""`SPKY_CAPTURE=live`: LIVE queries wake the poller, and nothing rests on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import pytest
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture import woken
from sp00ky.scheduler.capture.woken import WokenCapture

from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink
from tests.unit.scheduler.capture.test_capture import FreshDatabase, assert_equal


@contextlib.asynccontextmanager
async def woken_capture(database: Database, sink: ReplicaSink) -> AsyncIterator[WokenCapture]:
    capture = WokenCapture(database, sink)
    running = asyncio.create_task(capture.run())
    try:
        await eventually(lambda: capture.state == "ready" and not capture.lost, 10)
        await asyncio.wait_for(capture.barrier(), 10)
        yield capture
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_notification_wakes_the_poller_and_every_table_has_one(
    fresh_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to its polls it would take an hour."""
    monkeypatch.setattr(woken, "IDLE_SECONDS", 3600.0)
    monkeypatch.setattr(woken, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr("sp00ky.scheduler.capture.capture.SWEEP_SECONDS", 3600.0)
    database = await fresh_database()
    writer = await fresh_database(database.namespace)
    await database.query("CREATE person:1; CREATE city:1; DEFINE TABLE n AS SELECT count() FROM person GROUP ALL")
    sink = ReplicaSink()
    async with woken_capture(database, sink) as capture:
        await eventually(lambda: not capture.live.missing)
        assert capture.live._ids.keys() == {"person", "city"} and capture._idle_seconds() == 3600.0
        for n in range(3):
            await writer.query(f"UPSERT person:1 SET n = {n}; CREATE city:{n + 2}")
            await eventually(lambda: sink.rows("person")[pack(1)].get("n") == n and sink.store.count("city") == n + 2)  # noqa: B023
        assert capture.metrics["capture_live_queries"] == 2 and capture.metrics["capture_notifications"] >= 3
        assert not capture.note


@pytest.mark.parametrize("fate", ["dropped", "killed", "repeated and out of order"])
async def test_s5_what_becomes_of_notifications_changes_nothing_but_how_soon(
    fresh_database: FreshDatabase, fate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await fresh_database()
    writer = await fresh_database(database.namespace)
    await database.query("CREATE person:1; CREATE city:1")
    sink = ReplicaSink()
    async with woken_capture(database, sink) as capture:
        await eventually(lambda: not capture.live.missing)
        told: list[Mapping[str, Value]] = []
        handle = database.on_notification
        assert handle is not None
        if fate == "dropped":
            database.on_notification = told.append
        elif fate == "killed":
            first = dict(capture.live._ids)
            for live in first.values():
                await database.rpc("kill", [live])
        else:

            def repeat(notification: Mapping[str, Value]) -> None:
                told.append(notification)
                for each in reversed(told):
                    handle(each)

            database.on_notification = repeat
        for n in range(20):
            await writer.query(f"BEGIN; UPSERT person:1 SET n = {n}; CREATE city:{n + 2}; COMMIT")
        at = await capture.barrier()
        await assert_equal(database, sink, at)
        await writer.query("UPDATE person:1 SET n = 99")
        await eventually(lambda: sink.rows("person")[pack(1)]["n"] == 99)
        written = [len(txn) for txn in sink.transactions if txn[0].HasField("source")]
        assert written == [2] * 20 + [1] and (capture.repairs, capture.poisoned) == (0, 0)
        if fate == "killed":
            await eventually(lambda: not capture.live.missing and capture.live._ids.keys() == first.keys())
            assert not set(capture.live._ids.values()) & set(first.values())  # made anew


async def test_tables_come_and_go_and_a_new_connection_has_its_own(fresh_database: FreshDatabase) -> None:
    database = await fresh_database()
    await database.query("CREATE person:1; CREATE city:1")
    sink = ReplicaSink()
    async with woken_capture(database, sink) as capture:
        await eventually(lambda: capture.live._ids.keys() == {"person", "city"})
        await database.query("REMOVE TABLE city; CREATE later:1")
        await eventually(lambda: capture.live._ids.keys() == {"person", "later"} and not capture.live.missing)
        first = dict(capture.live._ids)
        await database._drop()
        ids = capture.live._ids
        await eventually(lambda: ids.keys() == first.keys() and not set(ids.values()) & set(first.values()), 10)
        await database.query("UPDATE person:1 SET n = 1; CREATE later:2")
        await capture.barrier()
        await assert_equal(database, sink)


async def test_where_there_is_no_live_it_is_said_and_polled(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As the embedded engine itself answers."""
    query = database.query
    refused = QueryError("Unable to perform the realtime query", "", 0)

    async def without_live(surql: str, *arguments: object, **named: object) -> list[Value]:
        if surql.startswith("LIVE"):
            raise refused
        return await query(surql, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "query", without_live)
    monkeypatch.setattr(woken, "AGAIN_SECONDS", 0.0)
    await query("CREATE person:1; CREATE city:1")
    sink = ReplicaSink()
    async with woken_capture(database, sink) as capture:
        assert capture.live.missing and len(capture.live) == 0 and capture._idle_seconds() == capture._poll_seconds
        assert "realtime query" in capture.note
        await query("UPDATE person:1 SET n = 1")
        await eventually(lambda: sink.rows("person")[pack(1)].get("n") == 1)
        await capture.barrier()
        warnings = [record.message for record in caplog.records if "LIVE" in record.message]
        assert len(warnings) == 1 and "city" in warnings[0]  # not once a sweep
        monkeypatch.setattr(database, "query", query)
        await capture.barrier()
        await eventually(lambda: not capture.note and len(capture.live) == 2)
