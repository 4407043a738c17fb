"""Schedules as rows of `_00_schedule`, and the one transaction that turns a due time into a job.

A row holds the definition, which the configuration owns, and the clock (`next_at`, and what became of the last due
time), which belongs to whoever runs schedules. `next_at` is the guard: it is moved from the due time to the next one in
the transaction that creates the job, and where it is not what was read, nothing happens. So of any number of runners,
and over any crash, a due time makes one job or is skipped once. All times are the database's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.jobs.lifecycle import Status
from sp00ky.proto.jobs.schedule import SCHEDULES_MAX, Schedule, seconds_of
from sp00ky.proto.jobs.statements import KILL
from sp00ky.proto.values.kinds import NONE, RecordId, Value

TABLE: Final = "_00_schedule"
NOW: Final = "time::now()"
MOVED: Final = "sp00ky: moved"
_UNFINISHED: Final = f"['{Status.PENDING}', '{Status.PROCESSING}']"

# The definition of a row that is there already replaces it whole; its clock stays unless the times are others.
DECLARE: Final = f"""
FOR $each IN $declared {{
    LET $was = (SELECT VALUE definition FROM ONLY $each.id);
    UPSERT $each.id SET definition = $each.definition, origin = 'configuration', error = NONE,
        next_at = IF $was.cadence = $each.definition.cadence AND $was.timezone = $each.definition.timezone
            {{ next_at }} ELSE {{ NONE }} RETURN NONE;
}};
DELETE {TABLE} WHERE origin = 'configuration' AND id NOT IN $declared.id RETURN NONE;
"""
PLAN: Final = "UPDATE $id SET next_at = $next WHERE next_at = NONE RETURN NONE"
FAIL: Final = "UPDATE $id SET error = $error, last = 'error', next_at = $next WHERE next_at = $due RETURN NONE"
_GUARD: Final = f"""
BEGIN;
LET $won = (UPDATE $id SET next_at = $next, last_at = $at, missed = (missed ?? 0) + $missed, error = NONE
    WHERE next_at = $due AND definition = $definition RETURN VALUE id);
IF array::is_empty($won) {{ THROW '{MOVED}' }};
"""
# `$last`: the job that the schedule made last. Its guard is `next_at` as well: it changes with it alone.
FIRE: Final = f"""{_GUARD}
LET $busy = $last != NONE AND (SELECT VALUE status FROM ONLY $last) IN {_UNFINISHED};
IF $busy AND $concurrency = 'skip' {{
    UPDATE $id SET last = 'skipped', skipped = (skipped ?? 0) + 1 RETURN NONE;
}} ELSE {{
    IF $busy AND $concurrency = 'replace' {{ {KILL.replace("$id", "$last").strip()}; }};
    IF !record::exists($job) {{ CREATE $job CONTENT $row RETURN NONE; }};
    UPDATE $id SET last = 'made', made = (made ?? 0) + 1, last_job = $job RETURN NONE;
}};
COMMIT;
"""
PASS: Final = f"{_GUARD} UPDATE $id SET last = 'missed' RETURN NONE; COMMIT;"
LISTED: Final = f"""
SELECT id, definition, next_at, last_at, last, last_job, last_job.status AS status, made, skipped, missed, error
FROM {TABLE} ORDER BY id LIMIT {SCHEDULES_MAX}
"""


def find_due(now: str = NOW) -> str:
    """Rows that are due or have no next time yet; when the next is due; and the time."""
    enabled = "definition.enabled != false"
    return (
        f"LET $now = {now};"
        f"SELECT * FROM {TABLE} WHERE {enabled} AND (next_at = NONE OR next_at <= $now) LIMIT {SCHEDULES_MAX};"
        f"SELECT VALUE next_at FROM {TABLE} WHERE {enabled} AND next_at > $now ORDER BY next_at LIMIT 1;"
        f"RETURN $now;"
    )


def declared(schedules: Sequence[Schedule], backends: Sequence[Backend]) -> list[Value]:
    """The rows of a configuration."""
    tables = {backend.name: backend.table for backend in backends}
    return [
        {"id": RecordId(TABLE, schedule.name), "definition": _definition(schedule, tables[schedule.backend])}
        for schedule in schedules
    ]


def _definition(schedule: Schedule, table: str) -> Mapping[str, Value]:
    return {
        "table": table,
        "backend": schedule.backend,
        "path": schedule.route,
        "payload": schedule.payload,
        "cadence": schedule.cadence,
        "timezone": schedule.timezone,
        "concurrency": str(schedule.concurrency),
        "missed": str(schedule.missed),
        "max_retries": schedule.retry.max,
        "retry_strategy": schedule.retry.strategy,
        "timeout": seconds_of(schedule.timeout) if schedule.timeout else NONE,
        "enabled": schedule.enabled,
    }


def job_row(definition: Mapping[str, Value]) -> Mapping[str, Value]:
    """What a due time puts into the outbox."""
    names = ("path", "payload", "max_retries", "retry_strategy", "timeout")
    stated = {name: definition.get(name) for name in names}
    return {
        "status": Status.PENDING.value,
        **{name: value for name, value in stated.items() if value not in (None, NONE)},
    }
