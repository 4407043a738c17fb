"""`set::*`: a set is sorted, and holds of equal values the one that came first."""

from __future__ import annotations

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, SurrealSet, Value
from sp00ky.proto.values.text import raw_text
from sp00ky.proto.whole.closures import predicate
from sp00ky.proto.whole.functions import ANY, ANY_OR_CLOSURE, CLOSURE, SET, TEXT, WHOLE, Lambda, function
from sp00ky.proto.whole.operators import make_set
from sp00ky.proto.whole.slices import sliced


def _several(value: Value) -> list[Value]:
    """What is to be added or removed: the items of a collection, or the one value."""
    return list(value) if type(value) in (list, SurrealSet) else [value]


def _keys(items: SurrealSet | list[Value]) -> set[order.SortKey]:
    return {order.sort_key(item) for item in items}


def _without(items: SurrealSet, gone: set[order.SortKey]) -> SurrealSet:
    return SurrealSet(tuple(item for item in items if order.sort_key(item) not in gone))


@function("set::add", kinds=(SET, ANY))
def add(items: SurrealSet, value: Value) -> SurrealSet:
    return make_set([*items, *_several(value)])


@function("set::remove", kinds=(SET, ANY))
def remove(items: SurrealSet, value: Value) -> SurrealSet:
    return _without(items, _keys(_several(value)))


@function("set::union", kinds=(SET, SET))
def union(left: SurrealSet, right: SurrealSet) -> SurrealSet:
    return make_set([*left, *right])


@function("set::intersect", kinds=(SET, SET))
def intersect(left: SurrealSet, right: SurrealSet) -> SurrealSet:
    have = _keys(right)
    return SurrealSet(tuple(item for item in left if order.sort_key(item) in have))


@function("set::complement", kinds=(SET, SET))
def complement(left: SurrealSet, right: SurrealSet) -> SurrealSet:
    return _without(left, _keys(right))


@function("set::difference", kinds=(SET, SET))
def difference(left: SurrealSet, right: SurrealSet) -> SurrealSet:
    """What is in one of them only."""
    return make_set([*_without(left, _keys(right)), *_without(right, _keys(left))])


@function("set::len", kinds=(SET,))
def length(items: SurrealSet) -> int:
    return len(items)


@function("set::is_empty", kinds=(SET,))
def is_empty(items: SurrealSet) -> bool:
    return not items.values


@function("set::contains", kinds=(SET, ANY))
def contains(items: SurrealSet, value: Value) -> bool:
    return order.sort_key(value) in _keys(items)


@function("set::at", kinds=(SET, WHOLE))
def at(items: SurrealSet, index: int) -> Value:
    return items.values[index] if -len(items) <= index < len(items) else NONE


@function("set::first", "set::min", kinds=(SET,))
def first(items: SurrealSet) -> Value:
    return items.values[0] if items.values else NONE


@function("set::last", "set::max", kinds=(SET,))
def last(items: SurrealSet) -> Value:
    return items.values[-1] if items.values else NONE


@function("set::flatten", kinds=(SET,))
def flatten(items: SurrealSet) -> SurrealSet:
    return make_set(inner for item in items for inner in _several(item))


@function("set::join", kinds=(SET, TEXT))
def join(items: SurrealSet, separator: str) -> str:
    return separator.join([raw_text(item) for item in items])


@function("set::slice", kinds=(SET, ANY, WHOLE), optional=2)
def set_slice(items: SurrealSet, *bounds: Value) -> SurrealSet:
    begin, end = sliced(len(items), bounds)
    return SurrealSet(items.values[begin:end])


# --- with a closure; unlike an array's, it is given no index ---------------------------------------------------------


@function("set::all", kinds=(SET, ANY_OR_CLOSURE), optional=1)
def all_truthy(items: SurrealSet, *check: Value) -> bool:
    return all(map(predicate(check[0]) if check else order.truthy, items))


@function("set::any", kinds=(SET, ANY_OR_CLOSURE), optional=1)
def any_truthy(items: SurrealSet, *check: Value) -> bool:
    return any(map(predicate(check[0]) if check else order.truthy, items))


@function("set::filter", kinds=(SET, ANY_OR_CLOSURE))
def set_filter(items: SurrealSet, check: Value) -> SurrealSet:
    return SurrealSet(tuple(filter(predicate(check), items)))


@function("set::find", kinds=(SET, ANY_OR_CLOSURE))
def find(items: SurrealSet, check: Value) -> Value:
    return next(filter(predicate(check), items), NONE)


@function("set::fold", kinds=(SET, ANY, CLOSURE))
def fold(items: SurrealSet, start: Value, combine: Lambda) -> Value:
    for item in items:
        start = combine(start, item)
    return start


@function("set::reduce", kinds=(SET, CLOSURE))
def reduce(items: SurrealSet, combine: Lambda) -> Value:
    if not items.values:
        return NONE
    total = items.values[0]
    for item in items.values[1:]:
        total = combine(total, item)
    return total


@function("set::map", kinds=(SET, CLOSURE))
def set_map(items: SurrealSet, change: Lambda) -> SurrealSet:
    return make_set(map(change, items))
