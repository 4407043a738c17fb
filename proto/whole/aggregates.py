"""The functions that stand for a whole group in a SELECT with GROUP: `count(author)`, `math::sum(n)`, ….

They are other than the functions of the same names on one value: what is no number, or no datetime, is passed over;
`math::variance` is Welford's; what there is none of is NaN, an infinity, or NONE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Datetime, Value
from sp00ky.proto.values.text import raw_text
from sp00ky.proto.whole import numbers
from sp00ky.proto.whole.scope import NotPlain


def _numbers(values: list[Value]) -> list[Value]:
    return [value for value in values if numbers.is_number(value)]


def _sum(values: list[Value]) -> Value:
    """Whole numbers wrap round at the ends of 64 bits."""
    total: Value = 0
    for value in _numbers(values):
        total = wrapped(total + value) if type(total) is type(value) is int else numbers.add(total, value)
    return total


def wrapped(total: int) -> int:
    """As 64 bits with a sign hold it."""
    return (total + _HALF) % (2 * _HALF) - _HALF


_HALF: Final = 1 << 63


def _mean(values: list[Value]) -> Value:
    found = _numbers(values)
    return numbers.to_float(_sum(found)) / len(found) if found else math.nan


def _smallest(values: list[Value]) -> Value:
    found = _numbers(values)
    return min(found, key=order.sort_key) if found else math.inf


def _largest(values: list[Value]) -> Value:
    """The first of the largest."""
    found = _numbers(values)
    return max(found, key=order.sort_key) if found else -math.inf


def _variance(values: list[Value]) -> float:
    count, mean, squares = 0, 0.0, 0.0
    for value in map(numbers.to_float, _numbers(values)):
        count += 1
        delta = value - mean
        mean += delta / count
        squares += delta * (value - mean)
    if count < 2:
        return 0.0 if count else math.nan
    return squares / (count - 1)


def _deviation(values: list[Value]) -> float:
    variance = _variance(values)
    return math.sqrt(variance) if variance >= 0 else math.nan


def _median(values: list[Value]) -> Value:
    found = sorted(_numbers(values), key=order.sort_key)
    if not found:
        return NONE
    middle = len(found) // 2
    if len(found) % 2:
        return found[middle]
    return (numbers.to_float(found[middle - 1]) + numbers.to_float(found[middle])) / 2


def _earliest(values: list[Value]) -> Value:
    return min((value for value in values if type(value) is Datetime), default=NONE)


def _latest(values: list[Value]) -> Value:
    return max((value for value in values if type(value) is Datetime), default=NONE)


def _distinct(values: list[Value]) -> list[Value]:
    """The first of each; SurrealDB tells values apart by their hashes, in which 0.1 and 0.1dec differ."""
    found: dict[object, Value] = {}
    for value in values:
        if _holds_decimal(value):
            raise NotPlain("array::distinct of decimals")
        found.setdefault(order.hash_key(value), value)
    return list(found.values())


def _holds_decimal(value: Value) -> bool:
    if type(value) is list:
        return any(map(_holds_decimal, value))
    if type(value) is dict:
        return any(map(_holds_decimal, value.values()))
    return type(value) is Decimal and value != value.to_integral_value()


def joined(values: list[Value], separator: Value) -> str:
    """`array::join`."""
    return raw_text(separator).join(map(raw_text, values))


AGGREGATES: Final[dict[str, Callable[[list[Value]], Value]]] = {
    "array::distinct": _distinct,
    "array::group": lambda values: values,
    "count": lambda values: sum(map(order.truthy, values)),
    "math::max": _largest,
    "math::mean": _mean,
    "math::median": _median,
    "math::min": _smallest,
    "math::stddev": _deviation,
    "math::sum": _sum,
    "math::variance": _variance,
    "time::max": _latest,
    "time::min": _earliest,
}
