"""Schedules: when a job is to be made again, and what to do about the times that nobody was there.

A schedule is due at times of a grid, `cron` in a timezone or `every` so many seconds after the last due time, never
after the last run: a run that takes long moves nothing. The grid alone says which times there are, so whoever computes
the job of one finds the same id for it (`job_id`), and it is made once whoever makes it.

Several due times that have passed are one: the latest counts, the others are missed. Whether a time that passed more
than LATE_S ago is still worth a run is the schedule's to say (`missed`: `once` or `skip`).

Cron is read by cronsim as Debian's cron reads it: a time that the clock skips in spring is run at the change, one that
it repeats in autumn is run once, unless the hour is a wildcard. (croniter runs the latter twice.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import orjson
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs.backend import TIMEOUT_S_MAX, Backend
from sp00ky.proto.jobs.lifecycle import RETRIES_MAX

EVERY_S_MIN: Final = 1
EVERY_S_MAX: Final = 366 * 86_400
LATE_S: Final = 60  # a run that begins later has missed its time
MISSED_MAX: Final = 1_000  # counted at once
SCHEDULES_MAX: Final = 1_000
PAYLOAD_BYTES_MAX: Final = 64 * 1024
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_SPAN: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_UNIT_S: Final = (86_400, 3_600, 60, 1)


class Concurrency(StrEnum):
    """What a due time does while the schedule's last job has not ended."""

    SKIP = "skip"
    ALLOW = "allow"
    REPLACE = "replace"  # the last job is cancelled


class Missed(StrEnum):
    ONCE = "once"  # one run makes up for all
    SKIP = "skip"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Retry(_Part):
    max: int = Field(default=3, ge=0, le=RETRIES_MAX)
    strategy: Literal["linear", "exponential"] = "linear"


class Schedule(_Part):
    """`every`: text like 90s, 5m, 1h30m, or seconds. `route`: the path of its jobs at `backend`."""

    name: str = Field(pattern=f"^{_NAME}$", max_length=100)
    backend: str
    route: str = Field(pattern="^/")
    cron: str = ""
    every: str | int = ""
    timezone: str = "UTC"
    payload: Any = None
    concurrency: Concurrency = Concurrency.SKIP
    missed: Missed = Missed.ONCE
    retry: Retry = Retry()
    timeout: str | int = ""
    enabled: bool = True

    @model_validator(mode="after")
    def _is_one(self) -> Schedule:
        if bool(self.cron) == bool(self.every):
            raise ValueError("a schedule has either cron or every")
        if len(orjson.dumps(self.payload)) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"the payload has more than {PAYLOAD_BYTES_MAX} bytes")
        if self.timeout and not 1 <= seconds_of(self.timeout) <= TIMEOUT_S_MAX:
            raise ValueError(f"timeout is from 1 s to {TIMEOUT_S_MAX:g} s")
        assert self.grid is not None  # raises where it is none
        return self

    @property
    def grid(self) -> Grid:
        return Grid.of(self.cadence, self.timezone)

    @property
    def cadence(self) -> str:
        return self.cron or f"every {seconds_of(self.every)}s"


def seconds_of(span: str | int) -> int:
    """Of 90, 90s, 5m, 1h30m. Raises ValueError."""
    text = f"{span}s" if isinstance(span, int) or span.isdecimal() else span
    found = _SPAN.fullmatch(text)
    if not text or found is None:
        raise ValueError(f'"{text}" is no span of time, which is like 90s, 5m or 1h30m')
    return sum(int(number or 0) * unit for number, unit in zip(found.groups(), _UNIT_S, strict=True))


@dataclass(frozen=True, slots=True)
class Grid:
    """The due times of a schedule; all of them whole seconds in UTC. `every_s` 0: by `cron`."""

    every_s: int
    cron: str
    zone: ZoneInfo

    @classmethod
    def of(cls, cadence: str, timezone: str) -> Grid:
        """Of a cadence as a row keeps it: `every 90s`, or five fields. Raises ValueError."""
        try:
            zone = ZoneInfo(timezone)
        except (OSError, ValueError, LookupError):  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f'"{timezone}" is no timezone, which is like Europe/Berlin') from None
        if cadence.startswith("every "):
            every_s = seconds_of(cadence.removeprefix("every "))
            if not EVERY_S_MIN <= every_s <= EVERY_S_MAX:
                raise ValueError(f"every is from {EVERY_S_MIN} s to {EVERY_S_MAX} s")
            return cls(every_s, "", zone)
        if len(cadence.split()) != 5:
            raise ValueError(f'"{cadence[:64]}" is no cron expression of five fields')
        try:
            next(CronSim(cadence, datetime(2000, 1, 1, tzinfo=zone)))
        except CronSimError as error:
            raise ValueError(f'cron "{cadence[:64]}": {error}') from None
        except StopIteration:
            raise ValueError(f'cron "{cadence[:64]}" is never due') from None
        return cls(0, cadence, zone)

    def after(self, moment: datetime) -> datetime:
        """The first due time after a due time, or after the moment that the schedule begins at."""
        if self.every_s:
            return moment.replace(microsecond=0) + timedelta(seconds=self.every_s)
        return next(CronSim(self.cron, moment.astimezone(self.zone))).astimezone(UTC)

    def passed(self, due: datetime, now: datetime) -> tuple[datetime, int]:
        """The latest due time from `due` to `now`, and how many came before it: at most MISSED_MAX of cron."""
        if self.every_s:
            missed = int((now - due).total_seconds()) // self.every_s
            return due + timedelta(seconds=missed * self.every_s), missed
        missed, latest = 0, due
        while (coming := self.after(latest)) <= now and missed < MISSED_MAX:
            latest, missed = coming, missed + 1
        if missed == MISSED_MAX:  # long away: from the other end
            until = (now + timedelta(seconds=1)).astimezone(self.zone)
            latest = next(CronSim(self.cron, until, reverse=True)).astimezone(UTC)
        return latest, missed


@dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of a schedule that is due: the time that is run, None: none; those that were missed; the next."""

    runs: datetime | None
    missed: int
    next_at: datetime


def turn(grid: Grid, missed: Missed, due: datetime, now: datetime) -> Turn:
    """Of a schedule that was due at `due`, which is not after `now`."""
    assert due <= now, "a schedule is run when it is due"
    latest, before = grid.passed(due, now)
    next_at = max(grid.after(latest), grid.after(now)) if not grid.every_s else grid.after(latest)
    if missed is Missed.SKIP and (now - latest).total_seconds() > LATE_S:
        return Turn(None, before + 1, next_at)
    return Turn(latest, before, next_at)


def job_id(name: str, due: datetime) -> str:
    """The key of the job that a schedule makes for a due time."""
    return f"{name}_{due.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def schedules_of(stated: Any, backends: Sequence[Backend]) -> tuple[Schedule, ...]:
    """The mapping of names to schedules, from a file or as JSON. Raises Fault INVALID, naming the schedule."""
    if isinstance(stated, str) and stated:
        try:
            stated = orjson.loads(stated)
        except orjson.JSONDecodeError as error:
            raise Fault(Code.INVALID, f"schedules are not JSON: {error}") from None
    if not stated:
        return ()
    if not isinstance(stated, Mapping) or len(stated) > SCHEDULES_MAX:
        raise Fault(Code.INVALID, f"schedules are a mapping of names to schedules, at most {SCHEDULES_MAX}")
    return tuple(_checked(str(name), fields, backends) for name, fields in stated.items())


def _checked(name: str, fields: Any, backends: Sequence[Backend]) -> Schedule:
    said = f'schedule "{name}"'
    if not isinstance(fields, Mapping):
        raise Fault(Code.INVALID, f"{said} is not a mapping")
    try:
        schedule = Schedule(**{**fields, "name": name})
    except (ValidationError, TypeError) as error:
        if isinstance(error, TypeError):  # a key that is no text, or a payload without a JSON form
            raise Fault(Code.INVALID, f"{said}: {error}") from None
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise Fault(Code.INVALID, f"{said}{', ' if place else ''}{place}: {message}") from None
    found = next((backend for backend in backends if backend.name == schedule.backend), None)
    if found is None or not found.table:
        known = ", ".join(backend.name for backend in backends if backend.table) or "none"
        raise Fault(
            Code.INVALID,
            f'{said}: backend "{schedule.backend}" has no outbox table',
            f"backends that have one: {known}",
        )
    if schedule.timeout and not found.timeout_overridable:
        hint = "set timeout_overridable of the backend, or leave timeout out"
        raise Fault(Code.INVALID, f'{said}: backend "{found.name}" does not let its jobs state a timeout', hint)
    return schedule
