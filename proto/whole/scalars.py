"""`math::*` of one number. (`maths.py` has those of an array.)

Sines, logarithms and powers are the C library's, here as in SurrealDB: the last bit is that of the machine. Arguments
outside a function's domain give NaN, of either sign as the C library does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole import decimals, numbers
from sp00ky.proto.whole.functions import NUMBER, WHOLE, function
from sp00ky.proto.whole.numbers import FATAL, INVALID, NAN, to_decimal, to_float, wrapped
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_PLACES_MAX = 65_535
_FLOAT_PLACES_MAX = 1_100  # every float is exact before that


@function("math::abs", kinds=(NUMBER,))
def absolute(value: Value) -> Value:
    if type(value) is int:
        return numbers.int64(abs(value))
    return value.copy_abs() if type(value) is Decimal else abs(value)


@function("math::ceil", kinds=(NUMBER,))
def ceil(value: Value) -> Value:
    return _rounded(value, math.ceil, decimals.ceil)


@function("math::floor", kinds=(NUMBER,))
def floor(value: Value) -> Value:
    return _rounded(value, math.floor, decimals.floor)


@function("math::round", kinds=(NUMBER,))
def round_number(value: Value) -> Value:
    """Floats to the neighbour away from zero, decimals to the even one."""
    return _rounded(value, decimals.round_half_away, decimals.rounded)


def _rounded(value: Value, to: Callable[[float], float], decimal: Callable[[Decimal], Decimal]) -> Value:
    if type(value) is int:
        return value
    if type(value) is Decimal:
        return decimal(value)
    return math.copysign(float(to(value)), value) if math.isfinite(value) else value


@function("math::fixed", kinds=(NUMBER, WHOLE))
def fixed(value: Value, count: int) -> Value:
    if count <= 0:
        raise EvaluationError("math::fixed to less than one place")
    if type(value) is Decimal:
        return decimals.rounded(value, count)
    if count > _PLACES_MAX:
        raise EvaluationError(f"math::fixed to this many places, which {FATAL}")
    if type(value) is int:
        return value
    if math.isnan(value):
        return NAN
    return float(f"{value:.{min(count, _FLOAT_PLACES_MAX)}f}")


@function("math::sqrt", kinds=(NUMBER,))
def square_root(value: Value) -> Value:
    if order.less(value, 0):
        return NAN
    if type(value) is not Decimal:
        return math.sqrt(value)
    if value.is_signed():
        return Decimal(0)
    root = decimals.square_root(value)
    if root is None:
        raise NotPlain("the square root of this decimal")
    return root


@function("math::sign", kinds=(NUMBER,))
def sign(value: Value) -> Value:
    if type(value) is float:
        return NAN if math.isnan(value) else math.copysign(1.0, value)
    result = (value > 0) - (value < 0)
    return Decimal(result) if type(value) is Decimal else result


@function("math::pow", kinds=(NUMBER, NUMBER))
def power(base: Value, exponent: Value) -> Value:
    return numbers.power(base, exponent)


@function("math::clamp", kinds=(NUMBER, NUMBER, NUMBER))
def clamp(value: Value, low: Value, high: Value) -> Value:
    """The kind is the value's, if that is no integer between integers."""
    if order.greater(low, high):
        raise EvaluationError("math::clamp with its bounds the wrong way round")
    if type(value) is Decimal:
        least, most = to_decimal(low), to_decimal(high)
        if least > most:
            raise EvaluationError(f"math::clamp between bounds that are no decimals, which {FATAL}")
        return least if value < least else min(value, most)
    if {type(value), type(low), type(high)} == {int}:
        return max(low, min(high, value))
    bottom, top = to_float(low), to_float(high)
    if not bottom <= top:
        raise EvaluationError(f"math::clamp between bounds that are no numbers, which {FATAL}")
    found = float(value)
    return bottom if found < bottom else top if found > top else found


# --- angles and logarithms -------------------------------------------------------------------------------------------


def _of_float(name: str, apply: Callable[[float], float], outside: float = NAN) -> None:
    """`outside` is what the C library makes of an argument that Python refuses."""

    def run(value: Value) -> float:
        argument = to_float(value)
        if math.isnan(argument):
            return argument
        try:
            return apply(argument)
        except ValueError:
            return outside

    function(f"math::{name}", kinds=(NUMBER,))(run)


def _logarithm(apply: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: -math.inf if value == 0 else apply(value)


def _cotangent(value: float) -> float:
    return numbers.float_divide(1.0, math.tan(value))


_of_float("acos", math.acos)
_of_float("asin", math.asin)
_of_float("atan", math.atan)
_of_float("acot", lambda value: math.pi / 2 - math.atan(value))
_of_float("cos", math.cos, INVALID)
_of_float("sin", math.sin, INVALID)
_of_float("tan", math.tan, INVALID)
_of_float("cot", _cotangent, INVALID)
_of_float("deg2rad", lambda value: value * (math.pi / 180))
_of_float("rad2deg", lambda value: value * (180 / math.pi))
_of_float("ln", _logarithm(math.log))
_of_float("log2", _logarithm(math.log2))
_of_float("log10", _logarithm(math.log10))


@function("math::log", kinds=(NUMBER, NUMBER))
def logarithm(value: Value, base: Value) -> float:
    return numbers.float_divide(_natural(to_float(value)), _natural(to_float(base)))


def _natural(value: float) -> float:
    if value == 0:
        return -math.inf
    return NAN if value < 0 else math.log(value)


# --- between two numbers ---------------------------------------------------------------------------------------------


@function("math::lerp", kinds=(NUMBER, NUMBER, NUMBER))
def lerp(begin: Value, end: Value, factor: Value) -> Value:
    if type(factor) is Decimal:
        start = to_decimal(begin)
        return _between(start, _apply("-", to_decimal(end), start), factor)
    first = to_float(begin)
    return _between(first, _apply("-", to_float(end), first), to_float(factor))


@function("math::lerpangle", kinds=(NUMBER, NUMBER, NUMBER))
def lerp_angle(begin: Value, end: Value, factor: Value) -> Value:
    """The arc is what is left of 360 degrees, never more than half of them, and always counted upwards."""
    if type(factor) is Decimal:
        start = to_decimal(begin)
        way = _apply("-", to_decimal(end), start)
        turns = decimals.floor(numbers.divide(way, Decimal(360)))
        rest = _apply("-", way, _apply("*", turns, Decimal(360)))
        stop = _apply("+", start, _apply("-", Decimal(360), rest) if rest > 180 else rest)
        return _between(start, _apply("-", stop, start), factor)
    first, last = to_float(begin), to_float(end)
    if not math.isfinite(last - first):
        raise NotPlain("math::lerpangle beyond the floats")
    wound = last - first - math.floor((last - first) / 360.0) * 360.0
    wound = min(max(wound, 0.0), 360.0)
    target = first + (360.0 - wound if wound > 180.0 else wound)
    return _between(first, target - first, to_float(factor))


def _between(start: Value, way: Value, factor: Value) -> Value:
    return _apply("+", start, _apply("*", factor, way))


def _apply(sign: str, a: Value, b: Value) -> Value:
    return numbers.arithmetic(sign, a, b, wrapped)
