"""`array::boolean_*` and `array::logical_*`: two arrays item by item, the shorter one filled up.

The boolean ones give true or false; the logical ones give one of the two items, as AND and OR do, and NULL where the
shorter array has none.
"""

from __future__ import annotations

from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.order import truthy
from sp00ky.proto.whole.functions import ARRAY, function

_Items = list[Value]


def _pairs(left: _Items, right: _Items) -> list[tuple[Value, Value]]:
    size = max(len(left), len(right))
    return list(zip(left + [NONE] * (size - len(left)), right + [NONE] * (size - len(right)), strict=True))


@function("array::boolean_and", kinds=(ARRAY, ARRAY))
def boolean_and(left: _Items, right: _Items) -> _Items:
    return [truthy(a) and truthy(b) for a, b in _pairs(left, right)]


@function("array::boolean_or", kinds=(ARRAY, ARRAY))
def boolean_or(left: _Items, right: _Items) -> _Items:
    return [truthy(a) or truthy(b) for a, b in _pairs(left, right)]


@function("array::boolean_xor", kinds=(ARRAY, ARRAY))
def boolean_xor(left: _Items, right: _Items) -> _Items:
    return [truthy(a) != truthy(b) for a, b in _pairs(left, right)]


@function("array::boolean_not", kinds=(ARRAY,))
def boolean_not(items: _Items) -> _Items:
    return [not truthy(item) for item in items]


@function("array::logical_and", kinds=(ARRAY, ARRAY))
def logical_and(left: _Items, right: _Items) -> _Items:
    both = [b if truthy(a) else a for a, b in zip(left, right, strict=False)]
    if len(left) < len(right):
        return both + [None] * (len(right) - len(left))
    return both + [None if truthy(a) else a for a in left[len(right) :]]


@function("array::logical_or", kinds=(ARRAY, ARRAY))
def logical_or(left: _Items, right: _Items) -> _Items:
    both = [a if truthy(a) else b for a, b in zip(left, right, strict=False)]
    if len(left) < len(right):
        return both + right[len(left) :]
    return both + [a if truthy(a) else None for a in left[len(right) :]]


@function("array::logical_xor", kinds=(ARRAY, ARRAY))
def logical_xor(left: _Items, right: _Items) -> _Items:
    both = [_exclusive(a, b) for a, b in zip(left, right, strict=False)]
    if len(left) < len(right):
        return both + [b if truthy(b) else None for b in right[len(left) :]]
    return both + left[len(right) :]


def _exclusive(a: Value, b: Value) -> Value:
    """The one that is as true as the answer; the left one if both are."""
    answer = truthy(a) != truthy(b)
    if truthy(a) == answer:
        return a
    return b if truthy(b) == answer else answer
