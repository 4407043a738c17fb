"""`time::*` without a clock: the parts of a datetime, datetimes of parts, rounding and grouping.

Datetimes are UTC and of the years -262143 to 262142. Python's calendar knows 9999 of those: a day is moved by whole
cycles of 400 years, after which both dates and weekdays repeat. Rounding works on nanoseconds in 64 bits, and fails on
what has none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

from sp00ky.proto.values.kinds import NONE, Datetime, Duration, Value
from sp00ky.proto.values.literal import days_from_civil
from sp00ky.proto.whole.functions import ARRAY, DATETIME, DURATION, INT, TEXT, WHOLE, function
from sp00ky.proto.whole.numbers import I64_MAX, I64_MIN, datetime_of
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

SECOND, MINUTE, HOUR = 10**9, 60 * 10**9, 3600 * 10**9
DAY = 24 * HOUR
_CYCLE_DAYS, _CYCLE_YEARS = 146_097, 400
_UUID_EPOCH = 0x01B21DD213814000  # 1582-10-15, in ticks of 100 ns before 1970
_ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_UUID = frozenset({UUID})
_NANOS_MAX = 2 * SECOND  # beyond a second: a leap second


def civil(moment: Datetime) -> tuple[int, date]:
    """The year, and the date in a year that is like it."""
    cycles, day = divmod(moment.ns // DAY, _CYCLE_DAYS)
    found = date(1970, 1, 1) + timedelta(days=day)
    return found.year + cycles * _CYCLE_YEARS, found


def iso_week(moment: Datetime) -> tuple[int, int]:
    """The year that the week belongs to, and its number."""
    year, found = civil(moment)
    calendar = found.isocalendar()
    return year + calendar.year - found.year, calendar.week


# --- parts -----------------------------------------------------------------------------------------------------------

_PARTS: dict[str, Callable[[Datetime], int | bool]] = {
    "year": lambda moment: civil(moment)[0],
    "month": lambda moment: civil(moment)[1].month,
    "day": lambda moment: civil(moment)[1].day,
    "hour": lambda moment: moment.ns // HOUR % 24,
    "minute": lambda moment: moment.ns // MINUTE % 60,
    "second": lambda moment: moment.ns // SECOND % 60,
    "wday": lambda moment: civil(moment)[1].isoweekday(),
    "week": lambda moment: iso_week(moment)[1],
    "yday": lambda moment: civil(moment)[1].timetuple().tm_yday,
    "unix": lambda moment: moment.seconds,
    "millis": lambda moment: moment.ns // 10**6,
    "micros": lambda moment: moment.ns // 10**3,
    "nano": lambda moment: moment.ns if I64_MIN <= moment.ns <= I64_MAX else 0,
    "is_leap_year": lambda moment: days_in_month(civil(moment)[0], 2) == 29,
}
for _name, _part in _PARTS.items():
    function(f"time::{_name}", kinds=(DATETIME,))(_part)


def days_in_month(year: int, month: int) -> int:
    return days_from_civil(year + month // 12, month % 12 + 1, 1) - days_from_civil(year, month, 1)


# --- datetimes of parts ----------------------------------------------------------------------------------------------


def _of_count(size: int) -> Callable[[int], Datetime]:
    return lambda count: datetime_of(count * size)


for _name, _size in (("unix", SECOND), ("secs", SECOND), ("millis", 10**6), ("micros", 10**3), ("nanos", 1)):
    function(f"time::from_{_name}", kinds=(WHOLE,))(_of_count(_size))


@function("time::from_uuid", kinds=(_UUID,))
def from_uuid(value: UUID) -> Datetime:
    version = value.int >> 76 & 0xF
    low, middle, high = value.fields[:3]
    match version:
        case 1:
            ticks = (high & 0xFFF) << 48 | middle << 32 | low
        case 6:
            ticks = low << 28 | middle << 12 | high & 0xFFF
        case 7:
            return datetime_of((value.int >> 80) * 10**6)
        case _:
            raise EvaluationError("a uuid without a time")
    return datetime_of((ticks - _UUID_EPOCH) % 2**64 * 100)


@function("time::from_ulid", kinds=(TEXT,))
def from_ulid(text: str) -> Datetime:
    letters = [_ULID.find(letter) for letter in text.upper()] if text.isascii() else []
    if len(letters) != 26 or -1 in letters:
        raise EvaluationError("not a ulid")
    value = 0
    for letter in letters:
        value = (value << 5 | letter) % 2**128
    return datetime_of((value >> 80) * 10**6)


def _setter(unit: str, low: int, high: int) -> None:
    @function(f"time::set_{unit}", kinds=(DATETIME, INT))
    def run(moment: Datetime, value: int) -> Datetime:
        if not low <= value <= high:
            raise EvaluationError(f"time::set_{unit} out of range")
        year, found = civil(moment)
        parts = {"year": year, "month": found.month, "day": found.day, unit: value}
        if parts["day"] > days_in_month(parts["year"], parts["month"]):
            raise EvaluationError("a day that the month does not have")
        days = days_from_civil(parts["year"], parts["month"], parts["day"])
        return datetime_of(days * DAY + _time_of_day(moment, unit, value))


def _time_of_day(moment: Datetime, unit: str, value: int) -> int:
    sizes = {"hour": (HOUR, DAY), "minute": (MINUTE, HOUR), "second": (SECOND, MINUTE), "nanosecond": (1, SECOND)}
    time = moment.ns % DAY
    if unit not in sizes:
        return time
    if unit == "nanosecond" and value >= SECOND:
        raise NotPlain("a leap second")
    size, period = sizes[unit]
    return time - time % period // size * size + value * size


_setter("year", -262_143, 262_142)
_setter("month", 1, 12)
_setter("day", 1, 31)
_setter("hour", 0, 23)
_setter("minute", 0, 59)
_setter("second", 0, 59)
_setter("nanosecond", 0, _NANOS_MAX - 1)


# --- rounding --------------------------------------------------------------------------------------------------------


@function("time::floor", kinds=(DATETIME, DURATION))
def floor(moment: Datetime, step: Duration) -> Datetime:
    return datetime_of(moment.ns - _past(moment, step))


@function("time::ceil", kinds=(DATETIME, DURATION))
def ceil(moment: Datetime, step: Duration) -> Datetime:
    past = _past(moment, step)
    return datetime_of(moment.ns - past + step.ns) if past else moment


@function("time::round", kinds=(DATETIME, DURATION))
def round_moment(moment: Datetime, step: Duration) -> Datetime:
    """Halves upwards."""
    past = _past(moment, step)
    return datetime_of(moment.ns + (step.ns - past if past and step.ns - past <= past else -past))


def _past(moment: Datetime, step: Duration) -> int:
    """Nanoseconds since the last step, counted from 1970."""
    if step.ns == 0:
        return 0
    if step.ns > I64_MAX or not I64_MIN <= moment.ns <= I64_MAX:
        raise EvaluationError("rounding beyond 64 bits of nanoseconds")
    return moment.ns % step.ns


@function("time::group", kinds=(DATETIME, TEXT))
def group(moment: Datetime, unit: str) -> Datetime:
    """The moment cut down to its year, month, day, hour, minute or second."""
    size = {"day": DAY, "hour": HOUR, "minute": MINUTE, "second": SECOND}.get(unit)
    if size is not None:
        return Datetime(moment.ns - moment.ns % size)
    year, found = civil(moment)
    if unit not in ("year", "month"):
        raise EvaluationError(f"time::group by {unit}")
    return Datetime(days_from_civil(year, 1 if unit == "year" else found.month, 1) * DAY)


# --- arrays ----------------------------------------------------------------------------------------------------------


@function("time::max", kinds=(ARRAY,))
def latest(items: list[Value]) -> Value:
    return max(_moments(items)) if items else NONE


@function("time::min", kinds=(ARRAY,))
def earliest(items: list[Value]) -> Value:
    return min(_moments(items)) if items else NONE


def _moments(items: list[Value]) -> list[Datetime]:
    if not all(type(item) is Datetime for item in items):
        raise EvaluationError("time::min or time::max of something other than datetimes")
    return items
