"""`duration::*`: a duration in whole units, and durations of them. A year has 365 days."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from sp00ky.proto.values.kinds import Duration, Value
from sp00ky.proto.whole.functions import DURATION, WHOLE, function
from sp00ky.proto.whole.numbers import I64_MAX, duration_of
from sp00ky.proto.whole.times import DAY, HOUR, MINUTE, SECOND

_UNITS = {
    "nanos": 1,
    "micros": 10**3,
    "millis": 10**6,
    "secs": SECOND,
    "mins": MINUTE,
    "hours": HOUR,
    "days": DAY,
    "weeks": 7 * DAY,
    "years": 365 * DAY,
}


def _in(size: int) -> Callable[[Duration], Value]:
    """What does not fit an int is a decimal."""

    def run(value: Duration) -> Value:
        count = value.ns // size
        return count if count <= I64_MAX else Decimal(count)

    return run


def _of(size: int) -> Callable[[int], Duration]:
    return lambda count: duration_of(count * size)


for _name, _size in _UNITS.items():
    function(f"duration::{_name}", kinds=(DURATION,))(_in(_size))
    if _name != "years":
        function(f"duration::from_{_name}", kinds=(WHOLE,))(_of(_size))
