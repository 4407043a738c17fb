"""How many jobs there are, and how those who run them are: what SurrealDB says, looked at every few seconds.

Counting reads every row of an outbox table, so a look is followed by a pause of PAUSE_PER_SECOND times what it took:
however large the tables, counting costs the database at most one part in so many. What is shown is that old, and
nothing is shown of a table that cannot be read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.database import Database, cause_of
from sp00ky.proto.faults import Fault
from sp00ky.proto.jobs.lifecycle import Status
from sp00ky.proto.jobs.statements import count_jobs
from sp00ky.proto.measures import key_of
from sp00ky.proto.values.kinds import Datetime, Value

LOOK_S: Final = 2.0
PAUSE_PER_SECOND: Final = 20.0
RUNNER_S: Final = 6  # one that was not heard of for so long runs nothing
_RUNNERS: Final = f"SELECT outboxes FROM _00_runner WHERE seen > time::now() - {RUNNER_S}s"
_WORST: Final = ("closed", "half_open", "open")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one outbox table. `breaker`: the worst of those who run it, empty where nobody does; `error_at`: unix
    seconds."""

    jobs: Mapping[str, int] = field(default_factory=dict)
    runners: int = 0
    running: int = 0
    breaker: str = ""
    error: str = ""
    error_at: float = 0.0


NOTHING: Final = Figures()


class OutboxFigures:
    """`run` is the loop; it ends by cancellation."""

    def __init__(self, database: Database | None, tables: Sequence[str]) -> None:
        self._database = database
        self._tables = list(dict.fromkeys(tables))
        self._figures: Mapping[str, Figures] = {}

    def of(self, table: str) -> Figures:
        return self._figures.get(table, NOTHING)

    async def run(self) -> None:
        while self._database is not None and self._tables:
            begun = time.monotonic()
            try:
                self._figures = await self._look(self._database)
            except Fault as fault:
                log.info("jobs are not counted: %s", fault)
            await asyncio.sleep(max(LOOK_S, PAUSE_PER_SECOND * (time.monotonic() - begun)))

    async def _look(self, database: Database) -> Mapping[str, Figures]:
        """Raises Fault."""
        counted: dict[str, Mapping[str, int]] = {}
        for table in self._tables:
            results = await database.query_raw(count_jobs(table))
            if cause_of(results) is None:  # else the application has not made it yet
                counted[table] = {str(each["status"]): int(each["jobs"]) for each in results[0].result}
        told = await database.query_raw(_RUNNERS)
        rows = [row.get("outboxes") for row in told[0].result] if told[0].ok else []
        return {table: _figures(jobs, rows, table) for table, jobs in counted.items()}

    def metrics(self) -> dict[str, float]:
        found: dict[str, float] = {"running_jobs": 0}
        for table, figures in self._figures.items():
            found |= {key_of("jobs", table=table, status=status): figures.jobs.get(status, 0) for status in Status}
            found["running_jobs"] += figures.jobs.get(Status.PROCESSING, 0)
        return found


def _figures(jobs: Mapping[str, int], rows: Sequence[Value], table: str) -> Figures:
    """Rows may be of another version: what is not there, or odd, counts as nothing."""
    outboxes = [row[table] for row in rows if isinstance(row, Mapping) and isinstance(row.get(table), Mapping)]
    breakers = [each["breaker"] for each in outboxes if each.get("breaker") in _WORST]
    errors = [(each["error_at"].ns / 1e9, str(each.get("error"))) for each in outboxes if _has_error(each)]
    error_at, error = max(errors, default=(0.0, ""))
    running = [each["running"] for each in outboxes if isinstance(each.get("running"), int)]
    breaker = max(breakers, key=_WORST.index, default="")
    return Figures(jobs, len(outboxes), sum(running), breaker, error, error_at)


def _has_error(outbox: Mapping[str, Value]) -> bool:
    return isinstance(outbox.get("error_at"), Datetime) and bool(outbox.get("error"))
