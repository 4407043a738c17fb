"""`math::*` and `count`. Decimals stay out of everything that rounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import SurrealSet, Value
from sp00ky.proto.whole import operators
from sp00ky.proto.whole.functions import ANY, ARRAY, INT, NUMBER, REAL, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

EXACT_MAX = 2**53  # integers beyond are not exact as floats


def numbers(items: list[Value]) -> list[Value]:
    """The items, which must all be numbers. (The aggregates of the same names pass over everything else.)"""
    if not all(map(operators.is_number, items)):
        raise EvaluationError("a math function of something other than numbers")
    return items


@function("count", kinds=(ANY,), optional=1)
def count(*values: Value) -> int:
    """How many elements are true, of an array; whether it is, of anything else; 1 of nothing."""
    if not values:
        return 1
    value = values[0]
    if type(value) in (list, SurrealSet):
        return sum(1 for item in value if order.truthy(item))
    return int(order.truthy(value))


@function("math::sum", kinds=(ARRAY,))
def total(items: list[Value]) -> Value:
    """From the left; an int until the first float."""
    result: Value = 0
    for item in numbers(items):
        result = operators.add(result, item)  # SurrealDB wraps on overflow here; we stop
    return result


@function("math::product", kinds=(ARRAY,))
def product(items: list[Value]) -> Value:
    result: Value = 1
    for item in numbers(items):
        result = operators.multiply(result, item)
    return result


@function("math::mean", kinds=(ARRAY,))
def mean(items: list[Value]) -> float:
    found = numbers(items)
    if not found:
        return math.nan
    whole = total(found)
    if type(whole) is Decimal:
        raise NotPlain("math::mean of decimals")
    if type(whole) is int and abs(whole) > EXACT_MAX:
        raise NotPlain("math::mean of large integers")
    return float(whole) / len(found)


@function("math::max", kinds=(ARRAY,))
def largest(items: list[Value]) -> Value:
    found = numbers(items)
    if not found:
        return -math.inf
    best = found[0]
    for item in found[1:]:
        if order.greater_equal(item, best):
            best = item
    return best


@function("math::min", kinds=(ARRAY,))
def smallest(items: list[Value]) -> Value:
    found = numbers(items)
    return min(found, key=order.sort_key) if found else math.inf


@function("math::abs", kinds=(NUMBER,))
def absolute(value: Value) -> Value:
    return operators.int64(abs(value)) if type(value) is int else abs(value)


@function("math::ceil", kinds=(REAL,))
def ceil(value: Value) -> Value:
    return value if type(value) is int else _rounded(value, math.ceil)


@function("math::floor", kinds=(REAL,))
def floor(value: Value) -> Value:
    return value if type(value) is int else _rounded(value, math.floor)


@function("math::round", kinds=(REAL,))
def round_half_away(value: Value) -> Value:
    if type(value) is int:
        return value
    return _rounded(
        value, lambda number: math.trunc(number + math.copysign(0.5, number)) if abs(number) < 2**52 else number
    )


def _rounded(value: float, to: Callable[[float], float]) -> float:
    if not math.isfinite(value):
        return value
    result = float(to(value))
    if value != 0 and abs(abs(value) % 1 - 0.5) < 1e-9 and abs(value) % 1 != 0.5:
        raise NotPlain("rounding next to a half")
    return math.copysign(result, value) if result == 0 else result


@function("math::sqrt", kinds=(REAL,))
def square_root(value: Value) -> float:
    return math.nan if value < 0 else math.sqrt(value)


@function("math::sign", kinds=(INT,))
def sign(value: int) -> int:
    return (value > 0) - (value < 0)


@function("math::pow", kinds=(REAL, REAL))
def power(base: Value, exponent: Value) -> Value:
    return operators.power(base, exponent)


@function("math::clamp", kinds=(INT, INT, INT))
def clamp(value: int, low: int, high: int) -> int:
    if low > high:
        raise EvaluationError("math::clamp with its bounds the wrong way round")
    return min(max(value, low), high)


@function("math::spread", kinds=(ARRAY,))
def spread(items: list[Value]) -> Value:
    if not numbers(items):
        return math.nan
    return operators.subtract(largest(items), smallest(items))
