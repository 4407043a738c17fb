"""`time::format`: the specifiers of the chrono crate, in English and UTC.

`%` is followed by an optional `-`, `_` or `0`, which takes away the padding of a number or sets it, and by the
specifier. A pattern with anything else after a `%` is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sp00ky.proto.values.kinds import Datetime
from sp00ky.proto.whole.functions import DATETIME, TEXT, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain
from sp00ky.proto.whole.times import HOUR, MINUTE, SECOND, civil, iso_week

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_SPECIFIER = re.compile(r"%(?:([-_0]?)([A-Za-z])|(%|\+|\.[369]?f|[369]f|:{1,3}z)|)")


@function("time::format", kinds=(DATETIME, TEXT))
def format_moment(moment: Datetime, pattern: str) -> str:
    return _SPECIFIER.sub(lambda match: _written(moment, match), pattern)


def _written(moment: Datetime, match: re.Match[str]) -> str:
    padding, letter, special = match.groups()
    if special is not None:
        return _special(moment, special)
    if letter in _NUMBERS:
        width, blank, number = _NUMBERS[letter]
        return _padded(number(moment), width, padding or blank)
    if letter in _YEARS:
        return _year(_YEARS[letter](moment), padding)
    if not padding and letter in _NAMES:
        return _NAMES[letter](moment)
    if not padding and letter in _SHORT_FOR:
        return format_moment(moment, _SHORT_FOR[letter])
    raise EvaluationError("a pattern that time::format does not know")


def _padded(number: int, width: int, padding: str) -> str:
    if padding == "-":
        return str(number)
    return f"{number:{width}d}" if padding == "_" else f"{number:0{width}d}"


def _year(year: int, padding: str) -> str:
    """Years before 0 or after 9999 have a sign."""
    if padding == "-" or not 0 <= year <= 9999:
        sign = "+" if year > 9999 else ""
        return f"{sign}{year}" if padding == "-" or year > 9999 else f"{year:5d}" if padding == "_" else f"{year:05d}"
    return f"{year:4d}" if padding == "_" else f"{year:04d}"


def _special(moment: Datetime, specifier: str) -> str:
    nanos = moment.nanos
    match specifier:
        case "%":
            return "%"
        case "+":
            return format_moment(moment, "%Y-%m-%dT%H:%M:%S%.f+00:00")
        case ":z" | "::z" | ":::z":
            return {":z": "+00:00", "::z": "+00:00:00", ":::z": "+00"}[specifier]
        case ".f":
            digits = 0 if nanos == 0 else 3 if nanos % 10**6 == 0 else 6 if nanos % 10**3 == 0 else 9
            return "" if digits == 0 else f".{_fraction(nanos, digits)}"
        case _:
            dot = "." if specifier[0] == "." else ""
            return dot + _fraction(nanos, int(specifier[-2]))


def _fraction(nanos: int, digits: int) -> str:
    return f"{nanos:09d}"[:digits]


def _century(moment: Datetime) -> int:
    year = civil(moment)[0]
    if not 0 <= year <= 9999:
        raise NotPlain("the century of this year")
    return year // 100


def _hour_of_twelve(moment: Datetime) -> int:
    return (moment.ns // HOUR - 1) % 12 + 1


def _week_from(moment: Datetime, weekday: int) -> int:
    """Weeks that begin on this day (Sunday 0); the days before the first one are in week 0."""
    found = civil(moment)[1]
    return (found.timetuple().tm_yday + 6 - (found.isoweekday() - weekday) % 7) // 7


_NUMBERS: dict[str, tuple[int, str, Callable[[Datetime], int]]] = {
    "C": (2, "", _century),
    "y": (2, "", lambda moment: civil(moment)[0] % 100),
    "g": (2, "", lambda moment: iso_week(moment)[0] % 100),
    "q": (1, "", lambda moment: (civil(moment)[1].month + 2) // 3),
    "m": (2, "", lambda moment: civil(moment)[1].month),
    "d": (2, "", lambda moment: civil(moment)[1].day),
    "e": (2, "_", lambda moment: civil(moment)[1].day),
    "j": (3, "", lambda moment: civil(moment)[1].timetuple().tm_yday),
    "U": (2, "", lambda moment: _week_from(moment, 0)),
    "W": (2, "", lambda moment: _week_from(moment, 1)),
    "V": (2, "", lambda moment: iso_week(moment)[1]),
    "u": (1, "", lambda moment: civil(moment)[1].isoweekday()),
    "w": (1, "", lambda moment: civil(moment)[1].isoweekday() % 7),
    "H": (2, "", lambda moment: moment.ns // HOUR % 24),
    "k": (2, "_", lambda moment: moment.ns // HOUR % 24),
    "I": (2, "", _hour_of_twelve),
    "l": (2, "_", _hour_of_twelve),
    "M": (2, "", lambda moment: moment.ns // MINUTE % 60),
    "S": (2, "", lambda moment: moment.ns // SECOND % 60),
    "f": (9, "", lambda moment: moment.nanos),
    "s": (9, "-", lambda moment: moment.seconds),
}
_YEARS: dict[str, Callable[[Datetime], int]] = {
    "Y": lambda moment: civil(moment)[0],
    "G": lambda moment: iso_week(moment)[0],
}
_NAMES: dict[str, Callable[[Datetime], str]] = {
    "a": lambda moment: _DAYS[civil(moment)[1].weekday()][:3],
    "A": lambda moment: _DAYS[civil(moment)[1].weekday()],
    "b": lambda moment: _MONTHS[civil(moment)[1].month - 1][:3],
    "h": lambda moment: _MONTHS[civil(moment)[1].month - 1][:3],
    "B": lambda moment: _MONTHS[civil(moment)[1].month - 1],
    "p": lambda moment: "PM" if moment.ns // HOUR % 24 >= 12 else "AM",
    "P": lambda moment: "pm" if moment.ns // HOUR % 24 >= 12 else "am",
    "Z": lambda moment: "UTC",
    "z": lambda moment: "+0000",
    "n": lambda moment: "\n",
    "t": lambda moment: "\t",
}
_SHORT_FOR = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "v": "%e-%b-%Y",
    "R": "%H:%M",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "r": "%I:%M:%S %p",
}
