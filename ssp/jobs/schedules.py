"""Makes jobs when schedules are due: each SSP that runs jobs looks once a second, and when the next is due.

Nobody is elected. The rows decide (`proto/jobs/schedule_rows.py`): whoever moves a schedule's `next_at` on makes the
job in the same transaction, everybody else finds it moved. What a due time becomes is `turn` of
`proto/jobs/schedule.py`, which is pure; the time is the database's. A schedule that cannot be kept is told in its row
and costs the others nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from sp00ky.proto.database import Database, QueryError, cause_of
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Fault
from sp00ky.proto.jobs import schedule_rows
from sp00ky.proto.jobs.lifecycle import Signal, sources
from sp00ky.proto.jobs.schedule import Grid, Missed, Turn, job_id, turn
from sp00ky.proto.values.kinds import NONE, Datetime, Duration, RecordId, Value

LOOK_S: Final = 1.0
RETRY_S_MAX: Final = 5.0
FAILED_S: Final = 60  # until a schedule that cannot be read is looked at again

log = logging.getLogger(__name__)


class Served(Protocol):
    """The outbox of a table, as it is run here. `keep_s`: how long a cancelled row stays."""

    @property
    def is_prepared(self) -> bool: ...

    @property
    def keep_s(self) -> int: ...

    def wake(self) -> None: ...


@dataclass(slots=True)
class Counted:
    due: int = 0  # of which the row says whether it made a job
    missed: int = 0
    refused: int = 0


class Schedules:
    """`run` is the loop. `declared`: rows of our configuration; `now`: SurrealQL that gives the time."""

    def __init__(
        self, database: Database, declared: Sequence[Value], served: Mapping[str, Served], now: str = schedule_rows.NOW
    ) -> None:
        self._database = database
        self._declared = list(declared)
        self._served = served
        self._now = now
        self.counted = Counted()

    async def run(self) -> None:
        """Ends only by cancellation."""
        failures, is_declared = 0, False
        while True:
            try:
                if not is_declared:
                    await self.declare()
                is_declared = True
                pause = await self.look()
                failures = 0
            except Fault as fault:
                failures += 1
                pause = min(RETRY_S_MAX, 0.1 * 2 ** min(failures, 6)) * (0.5 + random.random() / 2)
                log.warning("schedules are not looked at, will retry: %s", fault)
            await asyncio.sleep(pause)

    async def declare(self) -> None:
        """The rows become those of our configuration; of SSPs that differ the last to start has its way."""
        text, params = f"BEGIN; {schedule_rows.DECLARE} COMMIT;", {"declared": self._declared}
        await self._database.query(text, params, conflict_retries=8)

    async def look(self) -> float:
        """Carry out what is due; seconds until the next look. Raises Fault."""
        _, rows, coming, now = await self._database.query(schedule_rows.find_due(self._now))
        for row in rows:
            await self._carry_out(row, _moment(now))
        if not coming:
            return LOOK_S
        pause: float = (coming[0].ns - now.ns) / 1e9
        return max(0.0, min(LOOK_S, pause))

    async def _carry_out(self, row: Mapping[str, Value], now: datetime) -> None:
        definition = row.get("definition")
        try:
            if not isinstance(definition, Mapping):
                raise ValueError("the row has no definition")
            grid = Grid.of(str(definition.get("cadence")), str(definition.get("timezone") or "UTC"))
            policy = Missed(str(definition.get("missed") or Missed.ONCE))
        except ValueError as error:
            await self._fail(row, str(error), now + timedelta(seconds=FAILED_S))
            return
        due = row.get("next_at")
        if not isinstance(due, Datetime):
            plan = {"id": row["id"], "next": _datetime(grid.after(now))}
            await self._database.query(schedule_rows.PLAN, plan, conflict_retries=3)
            return
        served = self._served.get(str(definition.get("table")))
        if served is None or not served.is_prepared:
            return  # others run that table, or nobody has made it yet
        what = turn(grid, policy, _moment(due), now)
        try:
            await self._write(row, definition, what, served.keep_s)
        except QueryError as error:
            if error.retryable or schedule_rows.MOVED in error.message:
                return  # somebody else was quicker
            await self._fail(row, f"the job was refused: {error.message}"[:500], what.next_at)
            return
        served.wake()

    async def _write(self, row: Mapping[str, Value], definition: Mapping[str, Value], what: Turn, keep_s: int) -> None:
        """Raises QueryError where it was not ours to do, Fault."""
        params: dict[str, Value] = {
            "id": row["id"],
            "due": row["next_at"],
            "definition": definition,
            "at": row["next_at"] if what.runs is None else _datetime(what.runs),
            "next": _datetime(what.next_at),
            "missed": what.missed,
        }
        if what.runs is not None:
            params |= {
                "job": RecordId(str(definition["table"]), job_id(str(row["id"].key), what.runs)),
                "row": schedule_rows.job_row(definition),
                "last": row.get("last_job", NONE),
                "concurrency": str(definition.get("concurrency") or "skip"),
                "from": sources(Signal.KILLED),
                "keep": Duration(keep_s * 1_000_000_000),
            }
        failpoint("schedules.before_fire")
        text = schedule_rows.PASS if what.runs is None else schedule_rows.FIRE
        if (failure := cause_of(await self._database.query_raw(text, params))) is not None:
            raise failure
        failpoint("schedules.fired")
        self.counted.missed += what.missed
        self.counted.due += what.runs is not None

    async def _fail(self, row: Mapping[str, Value], reason: str, next_at: datetime) -> None:
        self.counted.refused += 1
        log.warning("schedule %s: %s", row["id"].key, reason)
        told = {"id": row["id"], "error": reason, "due": row.get("next_at", NONE), "next": _datetime(next_at)}
        await self._database.query(schedule_rows.FAIL, told, conflict_retries=3)

    def metrics(self) -> dict[str, float]:
        return {
            "schedules_due_total": self.counted.due,
            "schedules_missed_total": self.counted.missed,
            "schedules_failed_total": self.counted.refused,
        }


def _moment(at: Datetime) -> datetime:
    return datetime.fromtimestamp(at.seconds, UTC) + timedelta(microseconds=at.nanos // 1000)


def _datetime(moment: datetime) -> Datetime:
    return Datetime.of(int(moment.timestamp()), moment.microsecond * 1000)
