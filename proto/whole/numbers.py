"""Arithmetic: `+ - * / % **` and the prefix `-` on numbers, durations and datetimes.

Integers have 64 bits and fail on overflow, but a division that fails is NaN. Floats follow IEEE 754, where Python's
operators raise. Next to a decimal every other number becomes one (a float that has none counts as zero), except under
`**`, where the base decides. NaN has a sign here, since negative NaN sorts below all numbers: an operation that is
invalid on x86 makes a negative one, NaN as an operand stays as it is, and SurrealDB's own NaN is positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

from sp00ky.proto.values.kinds import Datetime, Duration, Value
from sp00ky.proto.whole import decimals
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

I64_MIN, I64_MAX = -(2**63), 2**63 - 1
FATAL = "SurrealDB does not survive"  # it panics: a query that we evaluate must not go there
NAN = math.nan
INVALID = math.copysign(math.nan, -1.0)  # what an invalid operation of the processor gives
_U32_MAX = 2**32 - 1
_SECOND = 10**9
_DURATION_MAX_NS = 2**64 * _SECOND - 1
_DATETIME_NS = range(-8_334_601_228_800 * _SECOND, 8_210_266_876_800 * _SECOND)  # the years -262143 to 262142
_NUMBERS = frozenset({int, float, Decimal})


def int64(value: int) -> int:
    """The value, if it is one of SurrealDB's integers."""
    if not I64_MIN <= value <= I64_MAX:
        raise EvaluationError("integer overflow")
    return value


def wrapped(value: int) -> int:
    """The value modulo 2**64: aggregates do not notice an overflow."""
    return (value - I64_MIN) % 2**64 + I64_MIN


def is_number(value: Value) -> bool:
    return type(value) in _NUMBERS


def to_float(value: Value) -> float:
    return decimals.to_float(value) if type(value) is Decimal else float(value)


def to_decimal(value: Value) -> Decimal:
    """Zero for a float that has no decimal."""
    if type(value) is float:
        found = decimals.from_float(value)
        return Decimal(0) if found is None else found
    return Decimal(value)


def datetime_of(ns: int) -> Datetime:
    if ns not in _DATETIME_NS:
        raise EvaluationError("a datetime beyond the years")
    return Datetime(ns)


def duration_of(ns: int) -> Duration:
    if not 0 <= ns <= _DURATION_MAX_NS:
        raise EvaluationError("a duration below zero or too long")
    return Duration(ns)


# --- operators -------------------------------------------------------------------------------------------------------


def add(a: Value, b: Value) -> Value:
    match a, b:
        case (Datetime(), Duration()) | (Duration(), Datetime()):
            return datetime_of(a.ns + b.ns)
        case (Duration(), Duration()):
            return duration_of(a.ns + b.ns)
    return arithmetic("+", a, b)


def subtract(a: Value, b: Value) -> Value:
    match a, b:
        case (Datetime(), Datetime()):
            return duration_of(a.ns - b.ns)
        case (Datetime(), Duration()):
            return datetime_of(a.ns - b.ns)
        case (Duration(), Datetime()):
            return datetime_of(b.ns - a.ns)
        case (Duration(), Duration()):
            return duration_of(a.ns - b.ns)
    return arithmetic("-", a, b)


def multiply(a: Value, b: Value) -> Value:
    if type(a) is Duration and is_number(b):
        return _longer(a, b)
    return arithmetic("*", a, b)


def divide(a: Value, b: Value) -> Value:
    if type(a) is Duration and is_number(b):
        shorter = _shorter(a, b)
        return NAN if shorter is None else shorter
    if not (is_number(a) and is_number(b)):
        return NAN
    kinds = {type(a), type(b)}
    if kinds == {int}:
        return NAN if b == 0 or (a == I64_MIN and b == -1) else _truncated(a, b)
    if Decimal in kinds:
        quotient = decimals.divide(to_decimal(a), to_decimal(b))
        return NAN if quotient is None else quotient
    return float_divide(float(a), float(b))


def remainder(a: Value, b: Value) -> Value:
    _require_numbers("%", a, b)
    kinds = {type(a), type(b)}
    if kinds == {int}:
        if b == 0 or (a == I64_MIN and b == -1):
            raise EvaluationError("remainder by zero")
        return a - b * _truncated(a, b)
    if Decimal in kinds:
        rest = decimals.remainder(to_decimal(a), to_decimal(b))
        if rest is None:
            raise EvaluationError("remainder by zero")
        return rest
    x, y = float(a), float(b)
    return signed_nan(NAN if y == 0 or math.isinf(x) or math.isnan(x) or math.isnan(y) else math.fmod(x, y), x, y)


def power(a: Value, b: Value) -> Value:
    _require_numbers("**", a, b)
    if type(a) is Decimal:
        return _decimal_power(a, b)
    if type(a) is int and type(b) is int:
        return _integer_power(a, b)
    return float_power(to_float(a), to_float(b))


def negate(a: Value) -> Value:
    if type(a) is int:
        return int64(-a)
    if type(a) is Decimal:
        return a.copy_negate()
    if type(a) is float:
        return -a
    raise EvaluationError("cannot negate what is no number")


def arithmetic(sign: str, a: Value, b: Value, integer: Callable[[int], int] = int64) -> Value:
    """`+`, `-` or `*` of two numbers; `integer` deals with an overflow (`wrapped`: unchecked, in functions)."""
    _require_numbers(sign, a, b)
    kinds = {type(a), type(b)}
    if kinds == {int}:
        return integer(_PLAIN[sign](a, b))
    if Decimal in kinds:
        result = _DECIMAL[sign](to_decimal(a), to_decimal(b))
        if result is None:
            raise EvaluationError("decimal overflow" if integer is int64 else f"decimal overflow, which {FATAL}")
        return result
    x, y = float(a), float(b)
    return signed_nan(_PLAIN[sign](x, y), x, y)


_PLAIN: dict[str, Callable[[Value, Value], Value]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
}
_DECIMAL = {"+": decimals.add, "-": decimals.subtract, "*": decimals.multiply}


def _require_numbers(sign: str, a: Value, b: Value) -> None:
    if not (is_number(a) and is_number(b)):
        raise EvaluationError(f"no {type(a).__name__} {sign} {type(b).__name__}")


# --- floats ----------------------------------------------------------------------------------------------------------


def signed_nan(result: float, *operands: float) -> float:
    """The result; if it is NaN, the operand that is, or the processor's."""
    if not math.isnan(result):
        return result
    return next(filter(math.isnan, operands), INVALID)


def float_divide(a: float, b: float) -> float:
    if b != 0:
        return signed_nan(a / b, a, b)
    if a == 0 or math.isnan(a):
        return signed_nan(NAN, a, b)
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def float_power(a: float, b: float) -> float:
    try:
        return signed_nan(math.pow(a, b), a, b)
    except OverflowError:
        odd = b == math.trunc(b) and abs(b) < 2.0**53 and int(b) % 2 == 1
        return -math.inf if a < 0 and odd else math.inf
    except ValueError:  # zero to a negative power, or a negative base to a fraction
        if a == 0:
            odd = b == math.trunc(b) and abs(b) < 2.0**53 and int(b) % 2 == 1
            return math.copysign(math.inf, a) if odd else math.inf
        return INVALID


# --- integers and decimals -------------------------------------------------------------------------------------------


def _truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _integer_power(a: int, b: int) -> int:
    if a in (1, -1):
        return a if b % 2 else 1
    if b < 0:
        raise EvaluationError("an integer raised to a negative power")
    if a == 0:
        return int(b == 0)
    if b >= 64:
        raise EvaluationError("integer overflow")
    return int64(a**b)


def _decimal_power(a: Decimal, b: Value) -> Decimal:
    exponent = decimals.from_float(b) if type(b) is float else Decimal(b)
    if exponent is None:
        raise EvaluationError("a decimal to a power that is no decimal")
    result: Decimal | None = None
    if type(b) is not int and (not exponent or not a or a == 1):
        result = Decimal(1 if a or not exponent else 0)
    elif exponent == exponent.to_integral_value():
        if type(b) is int or abs(exponent) <= _U32_MAX:
            result = decimals.integer_power(a, int(exponent))
    else:
        raise NotPlain("a decimal to a power that is no integer")
    if result is None:
        raise EvaluationError("decimal overflow")
    return result


# --- durations -------------------------------------------------------------------------------------------------------


def _longer(a: Duration, b: Value) -> Duration:
    if b < 0 or (type(b) is float and not math.isfinite(b)):
        raise EvaluationError("a duration times a negative number")
    if type(b) is int:
        if b > _U32_MAX:
            raise EvaluationError("a duration times a number beyond 32 bits")
        return duration_of(a.ns * b)
    if type(b) is float:
        return duration_of(_of_seconds(_seconds(a) * b))
    product = decimals.multiply(_nanoseconds(a), b)
    if product is None:
        raise EvaluationError(f"a duration times a decimal of this size, which {FATAL}")
    return duration_of(int(product))


def _shorter(a: Duration, b: Value) -> Duration | None:
    if b <= 0 or math.isnan(b):
        return None
    if type(b) is int:
        return Duration(a.ns // b) if b <= _U32_MAX else None
    if type(b) is float:
        seconds = float_divide(_seconds(a), b) if math.isfinite(b) else math.inf
        ns = _of_seconds(seconds)
        return Duration(ns) if ns <= _DURATION_MAX_NS else None
    quotient = decimals.divide(_nanoseconds(a), b)
    if quotient is None:
        raise EvaluationError(f"a duration divided by a decimal of this size, which {FATAL}")
    return Duration(int(quotient)) if quotient <= _DURATION_MAX_NS else None


def _seconds(a: Duration) -> float:
    return float(a.ns // _SECOND) + float(a.ns % _SECOND) / 1e9


def _of_seconds(seconds: float) -> int:
    """Nanoseconds, halves to even; of infinity, more than a duration holds."""
    return round(Fraction(seconds) * _SECOND) if math.isfinite(seconds) else _DURATION_MAX_NS + 1


def _nanoseconds(a: Duration) -> Decimal:
    if a.ns >= 2**96:
        raise NotPlain("a duration of this length with a decimal")
    return Decimal(a.ns)
