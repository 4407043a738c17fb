"""`time::*` and `duration::*` without a clock."""

from __future__ import annotations

from datetime import date

from sp00ky.proto.values.kinds import Datetime, Duration, Value
from sp00ky.proto.values.literal import days_from_civil
from sp00ky.proto.whole import operators
from sp00ky.proto.whole.functions import ARRAY, DATETIME, DURATION, INT, function
from sp00ky.proto.whole.scope import NotPlain

_SECOND, _MINUTE, _HOUR = 10**9, 60 * 10**9, 3600 * 10**9
_DAY = 24 * _HOUR
_WEEK, _YEAR = 7 * _DAY, 365 * _DAY


def _date(moment: Datetime) -> date:
    try:
        return date.fromordinal(moment.ns // _DAY + date(1970, 1, 1).toordinal())
    except (ValueError, OverflowError):
        raise NotPlain("a year outside 1 to 9999") from None


@function("time::year", kinds=(DATETIME,))
def year(moment: Datetime) -> int:
    return _date(moment).year


@function("time::month", kinds=(DATETIME,))
def month(moment: Datetime) -> int:
    return _date(moment).month


@function("time::day", kinds=(DATETIME,))
def day(moment: Datetime) -> int:
    return _date(moment).day


@function("time::hour", kinds=(DATETIME,))
def hour(moment: Datetime) -> int:
    return moment.ns // _HOUR % 24


@function("time::minute", kinds=(DATETIME,))
def minute(moment: Datetime) -> int:
    return moment.ns // _MINUTE % 60


@function("time::second", kinds=(DATETIME,))
def second(moment: Datetime) -> int:
    return moment.ns // _SECOND % 60


@function("time::wday", kinds=(DATETIME,))
def weekday(moment: Datetime) -> int:
    return _date(moment).isoweekday()


@function("time::week", kinds=(DATETIME,))
def week(moment: Datetime) -> int:
    return _date(moment).isocalendar().week


@function("time::yday", kinds=(DATETIME,))
def day_of_year(moment: Datetime) -> int:
    return _date(moment).timetuple().tm_yday


@function("time::unix", kinds=(DATETIME,))
def unix(moment: Datetime) -> int:
    return moment.seconds


@function("time::millis", kinds=(DATETIME,))
def millis(moment: Datetime) -> int:
    return moment.ns // 10**6


@function("time::micros", kinds=(DATETIME,))
def micros(moment: Datetime) -> int:
    return moment.ns // 10**3


@function("time::nano", kinds=(DATETIME,))
def nano(moment: Datetime) -> int:
    return operators.int64(moment.ns)


@function("time::from_unix", kinds=(INT,))
def from_unix(seconds: int) -> Datetime:
    return Datetime(seconds * _SECOND)


@function("time::from_secs", kinds=(INT,))
def from_secs(seconds: int) -> Datetime:
    return Datetime(seconds * _SECOND)


@function("time::from_millis", kinds=(INT,))
def from_millis(value: int) -> Datetime:
    return Datetime(value * 10**6)


@function("time::from_micros", kinds=(INT,))
def from_micros(value: int) -> Datetime:
    return Datetime(value * 10**3)


@function("time::from_nanos", kinds=(INT,))
def from_nanos(value: int) -> Datetime:
    return Datetime(value)


@function("time::floor", kinds=(DATETIME, DURATION))
def floor(moment: Datetime, step: Duration) -> Datetime:
    if step.ns == 0:
        raise NotPlain("time::floor to nothing")
    return Datetime(moment.ns - moment.ns % step.ns)


@function("time::max", kinds=(ARRAY,))
def latest(items: list[Value]) -> Datetime:
    return Datetime(max(moment.ns for moment in _moments(items)))


@function("time::min", kinds=(ARRAY,))
def earliest(items: list[Value]) -> Datetime:
    return Datetime(min(moment.ns for moment in _moments(items)))


def _moments(items: list[Value]) -> list[Datetime]:
    if not items or not all(type(item) is Datetime for item in items):
        raise NotPlain("time::min or time::max of something other than datetimes")
    return items


@function("time::group", kinds=(DATETIME, frozenset({str})))
def group(moment: Datetime, unit: str) -> Datetime:
    """The moment cut down to its year, month, day, hour, minute or second."""
    size = {"day": _DAY, "hour": _HOUR, "minute": _MINUTE, "second": _SECOND}.get(unit)
    if size is not None:
        return Datetime(moment.ns - moment.ns % size)
    found = _date(moment)
    if unit == "year":
        return Datetime(days_from_civil(found.year, 1, 1) * _DAY)
    if unit == "month":
        return Datetime(days_from_civil(found.year, found.month, 1) * _DAY)
    raise NotPlain(f"time::group by {unit}")


def _register_durations() -> None:
    units = {
        "nanos": 1,
        "micros": 10**3,
        "millis": 10**6,
        "secs": _SECOND,
        "mins": _MINUTE,
        "hours": _HOUR,
        "days": _DAY,
        "weeks": _WEEK,
        "years": _YEAR,
    }
    for name, size in units.items():
        function(f"duration::{name}", kinds=(DURATION,))(lambda value, size=size: operators.int64(value.ns // size))
        if name != "years":
            function(f"duration::from_{name}", kinds=(INT,))(lambda count, size=size: _made(count, size))


def _made(count: int, size: int) -> Duration:
    if count < 0:
        raise NotPlain("a duration below zero")
    return Duration(count * size)


_register_durations()
