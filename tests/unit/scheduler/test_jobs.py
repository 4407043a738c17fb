"""Jobs as operators meet them at the scheduler: what may be moved from where, and how backends are shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs import statements
from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.jobs.lifecycle import FINISHED, TRANSITIONS, Retrying, Signal, Status, backoff_ms, sources, target
from sp00ky.proto.measures import key_of
from sp00ky.proto.settings import load
from sp00ky.proto.values.kinds import NONE, Datetime, RecordId
from sp00ky.scheduler.backends import Backends
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.datastore.datastore import Append
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.outbox import Outboxes
from sp00ky.scheduler.outbox_figures import Figures, OutboxFigures
from sp00ky.scheduler.rpc.jobs import _schedule
from sp00ky.ssp.config import SspSettings

from tests.conftest import FreshDatabase
from tests.harness.eventually import eventually
from tests.harness.job_backend import job_backend

BACKEND = Backend(name="shop", table="job", base_url="http://127.0.0.1:1")


@pytest.fixture
async def outboxes(fresh_database: FreshDatabase) -> AsyncIterator[Outboxes]:
    """`job` has a backend; `more` is stated in job_tables; `late` has not been made."""
    database = await fresh_database()
    for table in ("job", "more"):
        await database.query(f"DEFINE TABLE {table} SCHEMALESS; {statements.definitions(table, schemafull=False)}")
    yield Outboxes(database, lambda: [BACKEND], ["more", "late"])


async def put(outboxes: Outboxes, status: Status, job_id: str = "job:a") -> None:
    await outboxes._database.query(
        "UPSERT type::record($id) SET path = '/x', status = $status, lease_epoch = 3",
        {"id": job_id, "status": status.value},
    )


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("signal", [Signal.KILLED, Signal.RETRIED, Signal.SUCCEEDED])
async def test_a_job_moves_as_the_table_of_transitions_says(outboxes: Outboxes, status: Status, signal: Signal) -> None:
    await put(outboxes, status)
    moves = {
        Signal.KILLED: lambda: outboxes.kill("job:a"),
        Signal.RETRIED: lambda: outboxes.retry("job:a"),
        Signal.SUCCEEDED: lambda: outboxes.report("job:a", True, '{"b": 1}', ""),
    }
    if (status, signal) in TRANSITIONS:
        row = await moves[signal]()
        assert row["status"] == TRANSITIONS[status, signal]
        assert row["lease_epoch"] == (3 if signal is Signal.SUCCEEDED else 4)
    else:
        with pytest.raises(Fault) as refused:
            await moves[signal]()
        assert refused.value.code is Code.CONFLICT and status.value in refused.value.message
        assert (await outboxes.shown("job:a"))["status"] == status


def test_every_signal_leads_to_one_status_and_nothing_leaves_a_success() -> None:
    for signal in Signal:
        assert sources(signal) and target(signal) in Status
    assert not [pair for pair in TRANSITIONS if pair[0] is Status.SUCCESS]
    assert set(TRANSITIONS.values()) >= set(FINISHED)


def test_retries_are_bounded_and_pauses_grow_to_a_minute() -> None:
    assert [backoff_ms("linear", n, 0) for n in (1, 2, 3)] == [200, 400, 600]
    assert [backoff_ms("exponential", n, 0) for n in (1, 2, 3, 30)] == [200, 400, 800, 60_000]
    assert backoff_ms("linear", 1, 1.0) == 100
    assert Retrying(2, 3).refused(0)[0] is Signal.ERRED
    assert Retrying(3, 3).refused(0)[0] is Signal.EXHAUSTED


async def test_schedules_are_listed_with_what_became_of_the_last_time(outboxes: Outboxes) -> None:
    assert await outboxes.schedules() == [], "nobody has installed the mesh's tables"
    await outboxes._database.query(
        "CREATE _00_schedule:tick SET definition = { table: 'job', path: '/x', cadence: 'every 10s', timezone: 'UTC' },"
        "next_at = d'2026-03-28T12:00:10Z', last_at = d'2026-03-28T12:00:00Z', last = 'made', made = 3,"
        "last_job = job:a; CREATE _00_schedule:odd SET definition = 1, made = 'often', error = 'the row is odd'"
    )
    await put(outboxes, Status.FAILED)
    odd, tick = [_schedule(row) for row in await outboxes.schedules()]
    assert (tick.name, tick.cadence, tick.path, tick.made, tick.last) == ("tick", "every 10s", "/x", 3, "made")
    assert (tick.next_at, tick.job, tick.job_status) == ("2026-03-28T12:00:10+00:00", "job:a", "failed")
    assert (tick.concurrency, tick.missed, tick.enabled) == ("skip", "once", True)
    assert (odd.name, odd.error, odd.made, odd.next_at) == ("odd", "the row is odd", 0, "")


async def test_jobs_are_dispatched_listed_and_counted(outboxes: Outboxes) -> None:
    made = await outboxes.dispatch("", "job", "/x", '{"n": 1}', '{"max_retries": 0}')
    assert made["status"] == "pending" and made["payload"] == {"n": 1} and made["max_retries"] == 0
    await put(outboxes, Status.FAILED, "more:b")
    rows, counts = await outboxes.listed("", "", 0)
    assert {row["id"].table for row in rows} == {"job", "more"}
    assert counts == {("job", "pending"): 1, ("more", "failed"): 1}
    rows, _ = await outboxes.listed("", "failed", 10)
    assert [row["id"].key for row in rows] == ["b"]
    assert (await outboxes.listed("late", "", 0)) == ([], {})
    wrong: list[tuple[Any, Code]] = [
        (outboxes.dispatch("job:x", "user", "/x", "", ""), Code.NOT_FOUND),
        (outboxes.dispatch("user:x", "job", "/x", "", ""), Code.NOT_FOUND),
        (outboxes.dispatch("more:x", "job", "/x", "", ""), Code.INVALID),
        (outboxes.dispatch("x", "job", "x", "", ""), Code.INVALID),
        (outboxes.dispatch("x", "job", "/x", "{", ""), Code.INVALID),
        (outboxes.dispatch("x", "job", "/x", "", '{"status": "success"}'), Code.INVALID),
        (outboxes.dispatch("more:b", "more", "/x", "", ""), Code.CONFLICT),
        (outboxes.listed("user", "", 0), Code.NOT_FOUND),
        (outboxes.listed("job", "odd", 0), Code.INVALID),
        (outboxes.shown("job:none"), Code.NOT_FOUND),
        (outboxes.shown("; REMOVE TABLE job"), Code.INVALID),
    ]
    for asked, code in wrong:
        with pytest.raises(Fault) as refused:
            await asked
        assert refused.value.code is code, refused.value


async def test_backends_are_asked_how_they_are_as_often_as_is_set() -> None:
    settings = load(SchedulerSettings, flags={"health_check_interval_secs": 1}).settings
    async with job_backend() as served:
        stated = [
            Backend(name="well", base_url=served.url, healthcheck="/up"),
            Backend(name="gone", base_url="http://127.0.0.1:1", healthcheck="/up"),
            Backend(name="mute", base_url=served.url),
        ]
        backends = Backends(stated, settings.health_check_interval_secs)
        task = asyncio.create_task(backends.run())
        try:
            await eventually(
                lambda: {each.state for each in backends.status()} == {"healthy", "unreachable", "unknown"}
            )
            first = {each.name: each for each in backends.status()}
            assert first["mute"].checked_age_seconds == -1 and first["gone"].detail
            ages = [0.0]

            def asked_again() -> bool:
                ages.append({each.name: each for each in backends.status()}["well"].checked_age_seconds)
                return ages[-1] < ages[-2]

            await eventually(asked_again, 5.0, what="the next check")
            assert backends.replace('[{"name": "other", "url": "http://h"}]') == 1
            with pytest.raises(Fault):
                backends.replace('[{"name": "other"}]')
            assert [each.name for each in backends.status()] == ["other"]
        finally:
            task.cancel()


def test_what_was_put_outlives_the_scheduler_until_others_are_configured() -> None:
    store, stated = MemoryDatastore(), '[{"name": "mail", "url": "http://mail"}]'
    configured = [BACKEND, Backend(name="old", base_url="http://old")]
    begun = Backends(configured, 1, store=store)
    assert begun.replace(stated) == 2
    store.append(Append(store.take_epoch(), store.head_seq, [], [], [begun.kept(stated)]))

    def names(*backends: Backend) -> list[str]:
        return [each.name for each in Backends(backends, 1, store=store).status()]

    assert names(*configured) == ["shop", "mail"]
    assert names(BACKEND, Backend(name="new", base_url="http://new")) == ["shop", "new"]


async def test_figures_of_the_outboxes_are_shown_with_their_backends(fresh_database: FreshDatabase) -> None:
    database = await fresh_database()
    figures = OutboxFigures(database, ["job", "late"])
    await database.query(
        f"DEFINE TABLE job SCHEMALESS; {statements.definitions('job', schemafull=False)}"
        "CREATE |job:3| SET status = 'pending'; CREATE |job:2| SET status = 'processing';"
    )
    here = {"running": 1, "breaker": "closed", "error": NONE, "error_at": NONE}
    there = {"running": 1, "breaker": "open", "error": "no answer", "error_at": Datetime(5_000_000_000)}
    for name, outbox in (("one", here), ("two", there), ("odd", 7)):
        row = {"outboxes": {"job": outbox}, "id": RecordId("_00_runner", name)}
        await database.query("CREATE $row.id CONTENT $row; UPDATE $row.id SET seen = time::now()", {"row": row})
    await database.query("CREATE _00_runner:old SET seen = time::now() - 1h, outboxes = { job: { running: 9 } }")
    looking = asyncio.create_task(figures.run())
    try:
        expected = Figures({"pending": 3, "processing": 2}, 2, 2, "open", "no answer", 5.0)
        await eventually(lambda: figures.of("job") == expected, 10.0, what="the figures")
        assert figures.of("late") == Figures() and figures.metrics()["running_jobs"] == 2
        assert figures.metrics()[key_of("jobs", table="job", status="pending")] == 3
    finally:
        looking.cancel()


@pytest.mark.parametrize("model", [SspSettings, SchedulerSettings])
def test_backends_come_from_every_documented_place(model: Any, tmp_path: Path) -> None:
    file = tmp_path / "sp00ky.yml"
    file.write_text(
        "apps:\n  mail:\n    type: backend\n    baseUrl: http://mail\n    method: {type: outbox, table: letter}\n"
    )
    env = {
        "SPKY_JOB_CONFIG": '{"job_tables": {"job": {"base_url": "http://shop"}}}',
        "SPKY_SCHEDULER_BACKENDS": '[{"name": "pay", "url": "http://pay", "healthcheck": "/up", "table": "payment"}]',
    }
    assert {each.table for each in load(model, env=env, file=file).settings.job_backends()} == {
        "job", "payment", "letter"
    }  # fmt: skip
    apps = '{"mail": {"type": "backend", "baseUrl": "http://mail", "method": {"type": "outbox", "table": "letter"}}}'
    assert [each.table for each in load(model, env={"SPKY_APPS": apps}).settings.job_backends()] == ["letter"]
    assert load(model).settings.job_backends() == ()
    with pytest.raises(Fault, match="not JSON"):
        load(model, flags={"backends": "["}).settings.job_backends()
    for wrong, said in (("x", "not JSON"), ("[1]", "not a mapping")):
        with pytest.raises(Fault, match=said):
            load(model, flags={"apps": wrong}).settings.job_backends()


def test_job_tables_add_to_what_may_be_looked_at() -> None:
    settings = load(SchedulerSettings, env={"SPKY_SCHEDULER_JOB_TABLES": "a, b"}).settings
    assert settings.job_tables == ("a", "b")
