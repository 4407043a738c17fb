"""`count` and `math::*` of an array: sums, extremes, ranks and spreads.

The functions take a plain list, so that GROUP can call them with the values of a group. The order of operations is
SurrealDB's, to the last bit: sums run from the left, and a mean starts from the float 0.0. Integers wrap on overflow.
What is said of ranks is true of the array in SurrealDB's order of numbers, equal ones in the order they came.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, SurrealSet, Value
from sp00ky.proto.whole import decimals, operators
from sp00ky.proto.whole.functions import ANY, ARRAY, NUMBER, WHOLE, function
from sp00ky.proto.whole.numbers import (
    NAN,
    arithmetic,
    divide,
    float_divide,
    is_number,
    power,
    signed_nan,
    to_float,
    wrapped,
)
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_EPSILON = math.ulp(1.0)


def numbers(items: list[Value]) -> list[Value]:
    """The items, which must all be numbers. (The aggregates of the same names pass over everything else.)"""
    if not all(map(is_number, items)):
        raise EvaluationError("a math function of something other than numbers")
    return items


def ranked(items: list[Value]) -> list[Value]:
    """The numbers in ascending order."""
    return sorted(numbers(items), key=order.sort_key)


@function("count", kinds=(ANY,), optional=1)
def count(*values: Value) -> int:
    """How many elements are true, of an array; whether it is, of anything else; 1 of nothing."""
    if not values:
        return 1
    value = values[0]
    if type(value) in (list, SurrealSet):
        return sum(1 for item in value if order.truthy(item))
    return int(order.truthy(value))


# --- sums ------------------------------------------------------------------------------------------------------------


@function("math::sum", kinds=(ARRAY,))
def total(items: list[Value]) -> Value:
    """An int until the first float."""
    result: Value = 0
    for item in numbers(items):
        result = arithmetic("+", result, item, wrapped)
    return result


@function("math::product", kinds=(ARRAY,))
def product(items: list[Value]) -> Value:
    result: Value = 1
    for item in numbers(items):
        result = arithmetic("*", result, item, wrapped)
    return result


@function("math::mean", kinds=(ARRAY,))
def mean(items: list[Value]) -> Value:
    if not numbers(items):
        return NAN
    result: Value = 0.0
    for item in items:
        result = operators.add(result, item)
    return _shared(result, len(items))


@function("math::variance", kinds=(ARRAY,))
def variance(items: list[Value]) -> Value:
    """Of a sample: one less than its size divides."""
    if len(numbers(items)) < 2:
        return 0.0 if items else NAN
    middle = mean(items)
    result: Value = 0.0
    for item in items:
        result = operators.add(result, power(arithmetic("-", item, middle, wrapped), 2))
    return _shared(result, len(items) - 1)


@function("math::stddev", kinds=(ARRAY,))
def deviation(items: list[Value]) -> Value:
    found = variance(items)
    if type(found) is not Decimal:
        return found if math.isnan(found) else math.sqrt(found)
    root = decimals.square_root(found)
    if root is None:
        raise NotPlain("the square root of this decimal")
    return root


def _shared(sum_: Value, parts: int) -> Value:
    return divide(sum_, Decimal(parts)) if type(sum_) is Decimal else float_divide(sum_, float(parts))


# --- extremes --------------------------------------------------------------------------------------------------------


@function("math::max", kinds=(ARRAY,))
def largest(items: list[Value]) -> Value:
    """The last of equal ones."""
    return max(reversed(items), key=order.sort_key) if numbers(items) else -math.inf


@function("math::min", kinds=(ARRAY,))
def smallest(items: list[Value]) -> Value:
    return min(items, key=order.sort_key) if numbers(items) else math.inf


@function("math::spread", kinds=(ARRAY,))
def spread(items: list[Value]) -> Value:
    return arithmetic("-", largest(items), smallest(items), wrapped) if numbers(items) else NAN


@function("math::mode", kinds=(ARRAY,))
def mode(items: list[Value]) -> Value:
    """The most frequent number, the largest of those; as it came first."""
    groups: dict[tuple[object, ...], list[Value]] = {}
    for item in numbers(items):
        groups.setdefault(order.sort_key(item), []).append(item)
    return max(sorted(groups.items(), reverse=True), key=lambda group: len(group[1]))[1][0] if groups else NAN


@function("math::top", kinds=(ARRAY, WHOLE))
def top(items: list[Value], size: int) -> list[Value]:
    return _extreme(items, size, lambda a, b: a >= b)


@function("math::bottom", kinds=(ARRAY, WHOLE))
def bottom(items: list[Value], size: int) -> list[Value]:
    return _extreme(items, size, lambda a, b: a <= b)


Key: TypeAlias = tuple[object, ...]
Slot: TypeAlias = tuple[Key, Value]


def _extreme(items: list[Value], size: int, behind: Callable[[Key, Key], bool]) -> list[Value]:
    """What is left in a binary heap of this size, in the order it lies there: that of Rust's `BinaryHeap`."""
    if size <= 0:
        raise EvaluationError("less than one number")
    heap: list[Slot] = []
    for item in numbers(items):
        heap.append((order.sort_key(item), item))
        _rise(heap, len(heap) - 1, behind)
        if len(heap) > size:
            _drop_first(heap, behind)
    return [item for _, item in heap]


def _rise(heap: list[Slot], at: int, behind: Callable[[Key, Key], bool]) -> None:
    slot = heap[at]
    while at > 0 and not behind(slot[0], heap[(at - 1) // 2][0]):
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = slot


def _drop_first(heap: list[Slot], behind: Callable[[Key, Key], bool]) -> None:
    """The last slot takes the first place, goes down to the bottom along the greater children, and rises again."""
    slot = heap.pop()
    at, child = 0, 1
    while child < len(heap):
        if child + 1 < len(heap) and behind(heap[child][0], heap[child + 1][0]):
            child += 1
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    heap[at] = slot
    _rise(heap, at, behind)


# --- ranks -----------------------------------------------------------------------------------------------------------


@function("math::median", kinds=(ARRAY,))
def median(items: list[Value]) -> Value:
    return _median(ranked(items)) if items else NONE


@function("math::percentile", kinds=(ARRAY, NUMBER))
def percentile(items: list[Value], share: Value) -> float:
    """Between the two neighbours, if there is none at this share."""
    return _percentile(ranked(items), to_float(share))


@function("math::nearestrank", kinds=(ARRAY, NUMBER))
def nearest_rank(items: list[Value], share: Value) -> Value:
    row, at = ranked(items), to_float(share)
    if not row or not 0.0 <= at <= 100.0:
        return NAN
    return row[min(int(len(row) * (at * (1.0 / 100.0))), len(row) - 1)]


@function("math::interquartile", kinds=(ARRAY,))
def interquartile(items: list[Value]) -> float:
    row = ranked(items)
    return signed_nan(_percentile(row, 75.0) - _percentile(row, 25.0), _percentile(row, 75.0))


@function("math::midhinge", kinds=(ARRAY,))
def midhinge(items: list[Value]) -> float:
    row = ranked(items)
    return (_percentile(row, 75.0) + _percentile(row, 25.0)) / 2.0


@function("math::trimean", kinds=(ARRAY,))
def trimean(items: list[Value]) -> float:
    return (midhinge(items) + _median(ranked(items))) * 0.5


def _median(row: list[Value]) -> float:
    if not row:
        return NAN
    half = len(row) // 2
    return to_float(row[half]) if len(row) % 2 else (to_float(row[half - 1]) + to_float(row[half])) / 2.0


def _percentile(row: list[Value], share: float) -> float:
    if not row or not 0.0 <= share <= 100.0:
        return NAN
    position = (len(row) - 1) * share * (1.0 / 100.0)
    below = math.floor(position)
    low, fraction = to_float(row[below]), position - below
    return low if fraction <= _EPSILON else low + (to_float(row[math.ceil(position)]) - low) * fraction
