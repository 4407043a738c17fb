"""Schedules: which times they are due at, and that a due time makes one job, whoever looks and whatever happens.

The time is a row of the database, so that all who look share it and the test moves it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs import statements
from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.jobs.schedule import LATE_S, MISSED_MAX, Grid, Missed, schedules_of, turn
from sp00ky.proto.jobs.schedule_rows import declared
from sp00ky.proto.values.kinds import Datetime
from sp00ky.ssp.jobs.schedules import Schedules

from tests.conftest import FreshDatabase

BACKEND = Backend(name="shop", table="job", base_url="http://127.0.0.1:1", timeout_overridable=True)
BEGIN = datetime(2026, 3, 28, 12, tzinfo=UTC)
CLOCK = "(SELECT VALUE at FROM ONLY clock:now)"


@dataclasses.dataclass
class Table:
    """The outbox, as a runner would have it."""

    is_prepared: bool = True
    keep_s: int = 60
    woken: int = 0

    def wake(self) -> None:
        self.woken += 1


class Scene:
    def __init__(self, fresh: FreshDatabase, database: Database) -> None:
        self._fresh, self.database, self.now = fresh, database, BEGIN
        self.table = Table()

    async def at(self, now: datetime) -> None:
        self.now = now
        at = Datetime.of(int(now.timestamp()), 0)
        await self.database.query("UPSERT clock:now SET at = $at", {"at": at})

    async def wait(self, seconds: float) -> None:
        await self.at(self.now + timedelta(seconds=seconds))

    async def ssp(self, **stated: dict[str, Any]) -> Schedules:
        """Another SSP with these schedules, that has looked once: what is not planned yet is, then."""
        rows = declared(schedules_of(stated, [BACKEND]), [BACKEND])
        found = Schedules(await self._fresh(self.database.namespace), rows, {"job": self.table}, CLOCK)
        await found.declare()
        await found.look()
        return found

    async def jobs(self) -> list[dict[str, Any]]:
        return list((await self.database.query("SELECT * FROM job ORDER BY id"))[0])

    async def keys(self) -> list[str]:
        return [str(job["id"].key) for job in await self.jobs()]

    async def row(self, name: str = "tick") -> dict[str, Any]:
        return (await self.database.query("SELECT * FROM ONLY type::record('_00_schedule', $name)", {"name": name}))[0]


@pytest.fixture
async def scene(fresh_database: FreshDatabase) -> AsyncIterator[Scene]:
    database = await fresh_database()
    await install(database)
    await database.query(f"DEFINE TABLE job SCHEMALESS; {statements.definitions('job', schemafull=False)}")
    found = Scene(fresh_database, database)
    await found.at(BEGIN)
    yield found


def tick(**stated: Any) -> dict[str, dict[str, Any]]:
    return {"tick": {"every": "10s", "backend": "shop", "route": "/tick", **stated}}


# --- which times ---


@pytest.mark.parametrize(
    ("cadence", "timezone", "due"),
    [
        ("every 90s", "UTC", ["12:01:30", "12:03:00", "12:04:30"]),
        ("*/20 * * * *", "UTC", ["12:20:00", "12:40:00", "13:00:00"]),
        ("30 2 * * *", "Europe/Berlin", ["01:00:00", "00:30:00", "00:30:00"]),  # 02:30 is skipped on the 29th
        ("0 9 * * 1", "America/New_York", ["13:00:00", "13:00:00", "13:00:00"]),
    ],
)
def test_a_schedule_is_due_at_the_times_of_its_grid(cadence: str, timezone: str, due: list[str]) -> None:
    grid, moment, found = Grid.of(cadence, timezone), BEGIN, []
    for _ in due:
        moment = grid.after(moment)
        found.append(f"{moment:%H:%M:%S}")
    assert found == due


def test_an_hour_that_the_clock_repeats_is_run_once() -> None:
    grid = Grid.of("30 2 * * *", "Europe/Berlin")
    first = grid.after(datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert grid.after(first) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("cadence", ["every 10s", "* * * * *"])
@pytest.mark.parametrize("steps", [0, 1, 7, MISSED_MAX + 5])
def test_times_that_have_passed_are_one(cadence: str, steps: int) -> None:
    grid = Grid.of(cadence, "UTC")
    step = grid.after(BEGIN) - BEGIN
    now = BEGIN + steps * step + step / 2
    found = turn(grid, Missed.ONCE, BEGIN, now)
    assert (found.runs, found.next_at) == (BEGIN + steps * step, BEGIN + (steps + 1) * step)
    assert found.missed == (steps if grid.every_s else min(steps, MISSED_MAX))


def test_what_is_late_is_run_or_not_as_the_schedule_says() -> None:
    grid = Grid.of("0 3 * * *", "UTC")
    due = grid.after(BEGIN)
    in_time, late = due + timedelta(seconds=LATE_S), due + timedelta(seconds=LATE_S + 1)
    assert turn(grid, Missed.SKIP, due, in_time).runs == due
    skipped = turn(grid, Missed.SKIP, due, late)
    assert (skipped.runs, skipped.missed, skipped.next_at) == (None, 1, due + timedelta(days=1))
    assert turn(grid, Missed.ONCE, due, late).runs == due


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"every": "0s"}, "every is from 1 s"),
        ({"every": "soon"}, '"soon" is no span of time'),
        ({"every": "367d"}, "every is from 1 s"),
        ({"cron": "0 3 * * *"}, "either cron or every"),
        ({"every": "", "cron": "61 * * * *"}, "cron"),
        ({"every": "", "cron": "* * * * * *"}, "five fields"),
        ({"every": "", "cron": "0 0 31 2 *"}, "cron"),
        ({"timezone": "Mars/Olympus"}, '"Mars/Olympus" is no timezone'),
        ({"timezone": "../../etc/passwd"}, "is no timezone"),
        ({"backend": "none"}, 'backend "none" has no outbox table'),
        ({"route": "tick"}, "route"),
        ({"concurrency": "often"}, "concurrency"),
        ({"retry": {"max": 101}}, "retry.max"),
        ({"payload": "x" * 70_000}, "payload"),
        ({"odd": 1}, "odd"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused_by_name(stated: dict[str, Any], said: str) -> None:
    with pytest.raises(Fault) as refused:
        schedules_of(tick(**stated), [BACKEND])
    assert refused.value.code is Code.INVALID
    assert refused.value.message.startswith('schedule "tick"') and said in refused.value.message
    assert schedules_of(tick(every=90), [BACKEND])[0].cadence == "every 90s"


def test_a_timeout_that_the_backend_would_not_heed_is_refused() -> None:
    stern = BACKEND.model_copy(update={"timeout_overridable": False})
    with pytest.raises(Fault, match="does not let its jobs state a timeout"):
        schedules_of(tick(timeout="5s"), [stern])


# --- what becomes of them ---


async def test_a_due_time_makes_one_job_whoever_looks(scene: Scene) -> None:
    stated = tick(payload={"n": 1}, retry={"max": 0, "strategy": "exponential"}, timeout="2m")
    ssps = [await scene.ssp(**stated) for _ in range(4)]
    assert await scene.jobs() == []
    for _ in range(5):
        await scene.wait(10)
        await asyncio.gather(*(ssp.look() for ssp in ssps))
        await scene.database.query("UPDATE job SET status = 'success'")
    assert await scene.keys() == [f"tick_20260328T1200{second}Z" for second in (10, 20, 30, 40, 50)]
    first = (await scene.jobs())[0]
    assert {name: first[name] for name in ("path", "payload", "max_retries", "retry_strategy", "timeout")} == {
        "path": "/tick", "payload": {"n": 1}, "max_retries": 0, "retry_strategy": "exponential", "timeout": 120,
    }  # fmt: skip
    row = await scene.row()
    assert (row["made"], row["missed"], row["last"]) == (5, 0, "made")
    assert sum(ssp.counted.due for ssp in ssps) == 5 and scene.table.woken == 5


async def test_schedules_outlive_whoever_runs_them(scene: Scene) -> None:
    """Killed between two due times, and started again with the same configuration: the clock goes on."""
    ssp = await scene.ssp(**tick())
    await scene.wait(10)
    await ssp.look()
    await scene.wait(4)
    again = await scene.ssp(**tick(payload={"n": 2}))
    await scene.wait(6)
    await again.look()
    assert (await scene.row())["skipped"] == 1, "the first has not ended"
    await scene.database.query("UPDATE job SET status = 'success'")
    await scene.wait(10)
    await again.look()
    assert await scene.keys() == ["tick_20260328T120010Z", "tick_20260328T120030Z"]
    assert (await scene.jobs())[1]["payload"] == {"n": 2}


@pytest.mark.parametrize(("missed", "made", "counted"), [("once", 1, 2), ("skip", 0, 3)])
async def test_times_that_nobody_was_there_for(scene: Scene, missed: str, made: int, counted: int) -> None:
    ssp = await scene.ssp(**tick(every="1h", missed=missed))
    await scene.wait(3 * 3600 + 1800)
    await ssp.look()
    await ssp.look()
    row = await scene.row()
    assert (len(await scene.jobs()), row["missed"]) == (made, counted)
    assert row["next_at"].ns // 10**9 == int((BEGIN + timedelta(hours=4)).timestamp())


@pytest.mark.parametrize(
    ("concurrency", "statuses"),
    [("skip", ["processing"]), ("allow", ["processing", "pending"]), ("replace", ["cancelled", "pending"])],
)
async def test_a_job_that_has_not_ended_when_the_next_is_due(
    scene: Scene, concurrency: str, statuses: list[str]
) -> None:
    ssp = await scene.ssp(**tick(concurrency=concurrency))
    await scene.wait(10)
    await ssp.look()
    await scene.database.query("UPDATE job SET status = 'processing', lease_epoch = 1")
    await scene.wait(10)
    await ssp.look()
    jobs = await scene.jobs()
    assert [job["status"] for job in jobs] == statuses
    assert jobs[0]["lease_epoch"] == (2 if concurrency == "replace" else 1), "a replaced one is fenced"


async def test_the_configuration_owns_its_rows_and_no_others(scene: Scene) -> None:
    await scene.database.query(
        "CREATE _00_schedule:mine SET definition = "
        "{ table: 'job', path: '/mine', cadence: 'every 10s', timezone: 'UTC' }"
    )
    first = await scene.ssp(**tick(), other=tick()["tick"])
    planned = (await scene.row())["next_at"]
    await scene.wait(3)
    second = await scene.ssp(**tick())
    assert not await scene.row("other")
    assert (await scene.row())["next_at"] == planned, "the same times: the clock goes on"
    await scene.ssp(**tick(every="20s"))
    assert (await scene.row())["next_at"].ns - planned.ns == 13 * 10**9, "other times: it starts anew"
    await scene.wait(30)
    await asyncio.gather(first.look(), second.look())
    assert {key.partition("_")[0] for key in await scene.keys()} == {"tick", "mine"}


async def test_a_schedule_that_is_off_makes_nothing(scene: Scene) -> None:
    ssp = await scene.ssp(**tick(enabled=False))
    await scene.wait(100)
    await ssp.look()
    assert await scene.jobs() == []


async def test_a_row_that_cannot_be_kept_says_why_and_costs_the_others_nothing(scene: Scene) -> None:
    await scene.database.query("CREATE _00_schedule:broken SET definition = { table: 'job', cadence: 'now and then' }")
    ssp = await scene.ssp(**tick())
    assert "five fields" in (await scene.row("broken"))["error"]
    await scene.database.query("DEFINE FIELD OVERWRITE payload ON job TYPE any ASSERT $value != 'no'")
    picky = await scene.ssp(**tick(payload="no"), well=tick()["tick"])
    await scene.wait(10)
    await picky.look()
    row = await scene.row()
    assert "the job was refused" in row["error"] and row["last"] == "error"
    assert row["next_at"].ns // 10**9 == int(scene.now.timestamp()) + 10
    assert await scene.keys() == ["well_20260328T120010Z"]
    assert picky.counted.refused == 1 and ssp.counted.refused == 1


async def test_a_table_that_is_not_there_yet_is_waited_for(scene: Scene) -> None:
    scene.table.is_prepared = False
    ssp = await scene.ssp(**tick())
    await scene.wait(25)
    await ssp.look()
    assert await scene.jobs() == []
    scene.table.is_prepared = True
    await ssp.look()
    assert await scene.keys() == ["tick_20260328T120020Z"]
