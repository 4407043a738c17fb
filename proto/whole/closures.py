"""`array::*` that ask a closure of each item, or whether it is a value.

The closure of `map`, `fold` and `reduce` is given the item's index as well, the others' is not. (`set::*` is
`sets.py`, where no closure is.)
"""

from __future__ import annotations

from collections.abc import Callable

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole.arrays import same
from sp00ky.proto.whole.functions import ANY, ANY_OR_CLOSURE, ARRAY, CLOSURE, Lambda, function

_Items = list[Value]


def predicate(check: Value) -> Callable[[Value], bool]:
    """A closure as it is, a value as "is it"."""
    if type(check) is Lambda:
        return lambda item: order.truthy(check(item))
    return lambda item: same(item, check)


@function("array::all", kinds=(ARRAY, ANY_OR_CLOSURE), optional=1)
def all_truthy(items: _Items, *check: Value) -> bool:
    return all(map(predicate(check[0]) if check else order.truthy, items))


@function("array::any", kinds=(ARRAY, ANY_OR_CLOSURE), optional=1)
def any_truthy(items: _Items, *check: Value) -> bool:
    return any(map(predicate(check[0]) if check else order.truthy, items))


@function("array::filter", kinds=(ARRAY, ANY_OR_CLOSURE))
def array_filter(items: _Items, check: Value) -> _Items:
    return list(filter(predicate(check), items))


@function("array::filter_index", kinds=(ARRAY, ANY_OR_CLOSURE))
def filter_index(items: _Items, check: Value) -> _Items:
    holds = predicate(check)
    return [place for place, item in enumerate(items) if holds(item)]


@function("array::find", kinds=(ARRAY, ANY_OR_CLOSURE))
def find(items: _Items, check: Value) -> Value:
    return next(filter(predicate(check), items), NONE)


@function("array::find_index", kinds=(ARRAY, ANY_OR_CLOSURE))
def find_index(items: _Items, check: Value) -> Value:
    holds = predicate(check)
    return next((place for place, item in enumerate(items) if holds(item)), NONE)


@function("array::fold", kinds=(ARRAY, ANY, CLOSURE))
def fold(items: _Items, start: Value, combine: Lambda) -> Value:
    for index, item in enumerate(items):
        start = combine(start, item, index)
    return start


@function("array::reduce", kinds=(ARRAY, CLOSURE))
def reduce(items: _Items, combine: Lambda) -> Value:
    if not items:
        return NONE
    total = items[0]
    for index, item in enumerate(items[1:]):
        total = combine(total, item, index)
    return total


@function("array::map", kinds=(ARRAY, CLOSURE))
def array_map(items: _Items, change: Lambda) -> _Items:
    return [change(item, index) for index, item in enumerate(items)]
