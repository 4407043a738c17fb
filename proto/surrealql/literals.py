"""Numbers, durations, datetimes and the like: one token's text to one value, by SurrealQL's rules.

Each function gets the text and answers the value, or None when the text is not of that kind; the caller knows the
position and says what was expected. Nothing is rounded silently but floats, which are IEEE doubles in both.
"""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sp00ky.proto.values.kinds import Datetime, Duration, File

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
DECIMAL_MAX: Final = 2**96  # the mantissa of SurrealDB's decimal has 96 bits
DECIMAL_PLACES: Final = 28
DECIMAL_DIGITS_MAX: Final = 1024  # longer texts are refused, not rounded
DURATION_SECONDS_MAX: Final = 2**64 - 1

NUMBER: Final = re.compile(r"([0-9][0-9_]*)(\.[0-9][0-9_]*)?([eE][+-]?[0-9][0-9_]*)?(f|dec)?")
DURATION: Final = re.compile(r"(?:[0-9]+(?:ns|us|µs|ms|[smhdwy]))+")
DURATION_PART: Final = re.compile(r"([0-9]+)(ns|us|µs|ms|[smhdwy])")
UNIT_NS: Final = MappingProxyType(
    {
        "ns": 1,
        "us": 1_000,
        "µs": 1_000,
        "ms": 1_000_000,
        "s": 1_000_000_000,
        "m": 60 * 1_000_000_000,
        "h": 3_600 * 1_000_000_000,
        "d": 86_400 * 1_000_000_000,
        "w": 7 * 86_400 * 1_000_000_000,
        "y": 365 * 86_400 * 1_000_000_000,
    }
)
DATETIME: Final = re.compile(
    r"([+-]?)([0-9]{4,7})-([0-9]{2,3})-([0-9]{2,3})(?:[Tt ]([0-9]{2,3}):([0-9]{2,3}):([0-9]{2,3})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2,3}):([0-9]{2,3})).*)?",
    re.DOTALL,
)
UUID_TEXT: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
FILE: Final = re.compile(r"([A-Za-z0-9_.-]+):(/[A-Za-z0-9_./-]*)")
SECONDS: Final = range(-8_334_601_228_800, 8_210_266_876_800)  # from the epoch, all offsets added
YEARS: Final = range(-262_143, 262_143)  # chrono's range, which SurrealDB uses

CONSTANTS: Final = MappingProxyType(
    {
        "math::e": math.e,
        "math::frac_1_pi": 1 / math.pi,
        "math::frac_1_sqrt_2": 0.7071067811865476,
        "math::frac_2_pi": 2 / math.pi,
        "math::frac_2_sqrt_pi": 1.1283791670955126,
        "math::frac_pi_2": math.pi / 2,
        "math::frac_pi_3": 1.0471975511965979,
        "math::frac_pi_4": math.pi / 4,
        "math::frac_pi_6": 0.5235987755982989,
        "math::frac_pi_8": math.pi / 8,
        "math::inf": math.inf,
        "math::infinity": math.inf,
        "math::ln_10": 2.302585092994046,
        "math::ln_2": 0.6931471805599453,
        "math::log10_2": 0.3010299956639812,
        "math::log10_e": 0.4342944819032518,
        "math::log2_10": 3.321928094887362,
        "math::log2_e": 1.4426950408889634,
        "math::neg_inf": -math.inf,
        "math::neg_infinity": -math.inf,
        "math::pi": math.pi,
        "math::sqrt_2": 1.4142135623730951,
        "math::tau": math.tau,
        "time::epoch": Datetime(0),
        "time::minimum": Datetime(-8_334_601_228_800 * 10**9),
        "time::maximum": Datetime(8_210_266_876_799_999_999_999),
        "duration::max": Duration(2**64 * 10**9 - 1),
    }
)
FULL_NAMES: Final = MappingProxyType({"inf": "infinity", "neg_inf": "neg_infinity"})

Number = int | float | Decimal


def number_of(text: str, negative: bool = False) -> Number | None:
    """`1_000`, `1.5`, `1e3`, `2f`, `2dec`; None for other text and for an int or decimal out of range."""
    match = NUMBER.fullmatch(text)
    if match is None:
        return None
    whole, fraction, exponent, suffix = (group or "" for group in match.groups())
    plain = ("-" if negative else "") + (whole + fraction + exponent).replace("_", "")
    if suffix == "dec":
        found = _decimal(("-" if negative else "") + (whole + fraction).replace("_", ""), exponent.replace("_", ""))
        return None if found is None else _without_zeros(found)
    if suffix == "f" or fraction or exponent:
        return float(plain)
    if len(plain) > len(str(INT_MIN)) + 64:
        plain = plain[:1] + plain[1:].lstrip("0")
    if len(plain) > len(str(INT_MIN)):
        return None
    number = int(plain)
    return number if INT_MIN <= number <= INT_MAX else None


def _decimal(digits: str, exponent: str) -> Decimal | None:
    """To the 28 places and 96 bits that SurrealDB has, halves away from zero; the exponent is applied afterwards."""
    if len(digits) > DECIMAL_DIGITS_MAX:
        return None
    context = Context(prec=DECIMAL_DIGITS_MAX + DECIMAL_PLACES, rounding=ROUND_HALF_UP)
    exact = Decimal(digits)
    places = min(DECIMAL_PLACES, -int(exact.as_tuple().exponent))
    rounded = (exact.quantize(Decimal((0, (1,), -scale)), context=context) for scale in range(places, -1, -1))
    value = next((found for found in rounded if _mantissa(found) < DECIMAL_MAX), None)
    if value is None or not exponent:
        return value
    shift = int(exponent[1:]) if len(exponent) < 5 else DECIMAL_MAX
    if abs(shift) > DECIMAL_PLACES:
        return None
    shifted = value.scaleb(shift, context)
    if int(shifted.as_tuple().exponent) > 0:
        shifted = shifted.quantize(Decimal(1), context=context)
    fits = int(shifted.as_tuple().exponent) >= -DECIMAL_PLACES and _mantissa(shifted) < DECIMAL_MAX
    return shifted if fits else None


def _without_zeros(value: Decimal) -> Decimal:
    """`1.50dec` is 1.5dec, however it was written."""
    sign, digits, exponent = value.as_tuple()
    scale = -int(exponent)
    while scale > 0 and digits[-1] == 0:
        digits, scale = digits[:-1] or (0,), scale - 1
    return Decimal((sign, digits, -scale))


def _mantissa(value: Decimal) -> int:
    return int("".join(map(str, value.as_tuple().digits)))


def constant_spelling(name: str) -> str:
    """As SurrealDB prints the constant: `math::PI`, `math::NEG_INFINITY` for `math::neg_inf`."""
    space, _, own = name.partition("::")
    return f"{space}::{FULL_NAMES.get(own, own).upper()}"


def duration_of(text: str) -> Duration | None:
    """`1h30m`: any units in any order, summed."""
    if not DURATION.fullmatch(text) or len(text) > 512:
        return None
    total = sum(int(amount) * UNIT_NS[unit] for amount, unit in DURATION_PART.findall(text))
    return Duration(total) if total // UNIT_NS["s"] <= DURATION_SECONDS_MAX else None


def datetime_of(text: str) -> Datetime | None:
    """ISO 8601 as SurrealQL takes it: a date alone, or a date and time with `Z` or an offset, and then anything."""
    match = DATETIME.fullmatch(text)
    if match is None:
        return None
    sign, year_text, month, day, hour, minute, second, fraction, _, zone, zone_hour, zone_minute = match.groups()
    year = int(sign + year_text)
    days = _days_from_epoch(year, int(month), int(day))
    if days is None or year not in YEARS:
        return None
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 59 or int(zone_hour or 0) > 23 or int(zone_minute or 0) > 59:
        return None
    offset = (int(zone_hour or 0) * 3600 + int(zone_minute or 0) * 60) * (-1 if zone == "-" else 1)
    total = days * 86_400 + hours * 3600 + minutes * 60 + seconds - offset
    if total not in SECONDS:
        return None
    return Datetime(total * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0")))


def _days_from_epoch(year: int, month: int, day: int) -> int | None:
    """Days of the proleptic Gregorian calendar, which repeats every 400 years, any sign of the year."""
    cycles, within = divmod(year - 2000, 400)
    try:
        return date(2000 + within, month, day).toordinal() - date(1970, 1, 1).toordinal() + cycles * 146_097
    except ValueError:
        return None


def uuid_of(text: str) -> UUID | None:
    """Nor is it looked at what follows this one."""
    match = UUID_TEXT.match(text)
    return UUID(match.group()) if match else None


def file_of(text: str) -> File | None:
    """`bucket:/path`."""
    match = FILE.fullmatch(text)
    return None if match is None else File(match.group(1), match.group(2))


def bytes_of(text: str) -> bytes | None:
    even = len(text) % 2 == 0
    return bytes.fromhex(text) if even and re.fullmatch(r"[0-9A-Fa-f]*", text) else None
