"""`array::*` and `set::*`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.text import raw_text
from sp00ky.proto.whole.functions import ANY, ANY_OR_CLOSURE, ARRAY, CLOSURE, INT, TEXT, Lambda, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_Items = list[Value]
ITEMS_MAX = 100_000


def distinct(items: Iterable[Value]) -> _Items:
    """The first of each equal value, in order."""
    found: dict[object, Value] = {}
    for item in items:
        found.setdefault(order.hash_key(item), item)
    return list(found.values())


def _has(items: _Items, value: Value) -> bool:
    return any(order.equal(item, value) for item in items)


def _predicate(check: Value) -> Callable[[Value], bool]:
    """A closure as it is, a value as "equals it"."""
    if type(check) is not Lambda:
        return lambda item: order.equal(item, check)
    if check.arity != 1:
        raise NotPlain("a predicate of other than one parameter")
    return lambda item: order.truthy(check(item))


@function("array::add", kinds=(ARRAY, ANY))
def add(items: _Items, value: Value) -> _Items:
    new = value if type(value) is list else [value]
    result = list(items)
    for item in new:
        if not _has(result, item):
            result.append(item)
    return result


@function("array::all", kinds=(ARRAY, ANY_OR_CLOSURE), optional=1)
def all_truthy(items: _Items, *check: Value) -> bool:
    return all(map(_predicate(check[0]) if check else order.truthy, items))


@function("array::any", kinds=(ARRAY, ANY_OR_CLOSURE), optional=1)
def any_truthy(items: _Items, *check: Value) -> bool:
    return any(map(_predicate(check[0]) if check else order.truthy, items))


@function("array::append", "array::push", kinds=(ARRAY, ANY))
def append(items: _Items, value: Value) -> _Items:
    return [*items, value]


@function("array::at", kinds=(ARRAY, INT))
def at(items: _Items, index: int) -> Value:
    return items[index] if -len(items) <= index < len(items) else NONE


@function("array::clump", kinds=(ARRAY, INT))
def clump(items: _Items, size: int) -> _Items:
    if size < 1:
        raise EvaluationError("array::clump by less than 1")
    return [items[start : start + size] for start in range(0, len(items), size)]


@function("array::combine", kinds=(ARRAY, ARRAY))
def combine(left: _Items, right: _Items) -> _Items:
    if len(left) * len(right) > ITEMS_MAX:
        raise NotPlain("array::combine of long arrays")
    return [[a, b] for a in left for b in right]


@function("array::complement", kinds=(ARRAY, ARRAY))
def complement(left: _Items, right: _Items) -> _Items:
    gone = {order.hash_key(item) for item in right}
    return [item for item in left if order.hash_key(item) not in gone]


@function("array::concat", kinds=(ARRAY, ARRAY))
def concat(left: _Items, right: _Items) -> _Items:
    return left + right


@function("array::difference", kinds=(ARRAY, ARRAY))
def difference(left: _Items, right: _Items) -> _Items:
    rest, result = list(right), []
    for item in left:
        place = _place(rest, item)
        if place is None:
            result.append(item)
        else:
            del rest[place]
    return result + rest


def _place(items: _Items, value: Value) -> int | None:
    return next((place for place, item in enumerate(items) if order.equal(item, value)), None)


@function("array::distinct", kinds=(ARRAY,))
def array_distinct(items: _Items) -> _Items:
    return distinct(items)


@function("array::filter", kinds=(ARRAY, ANY_OR_CLOSURE))
def array_filter(items: _Items, check: Value) -> _Items:
    return list(filter(_predicate(check), items))


@function("array::find", kinds=(ARRAY, ANY_OR_CLOSURE))
def find(items: _Items, check: Value) -> Value:
    return next(filter(_predicate(check), items), NONE)


@function("array::find_index", kinds=(ARRAY, ANY_OR_CLOSURE))
def find_index(items: _Items, check: Value) -> Value:
    holds = _predicate(check)
    return next((place for place, item in enumerate(items) if holds(item)), NONE)


@function("array::filter_index", kinds=(ARRAY, ANY_OR_CLOSURE))
def filter_index(items: _Items, check: Value) -> _Items:
    holds = _predicate(check)
    return [place for place, item in enumerate(items) if holds(item)]


@function("array::first", kinds=(ARRAY,))
def first(items: _Items) -> Value:
    return items[0] if items else NONE


@function("array::last", kinds=(ARRAY,))
def last(items: _Items) -> Value:
    return items[-1] if items else NONE


@function("array::flatten", kinds=(ARRAY,))
def flatten(items: _Items) -> _Items:
    result: _Items = []
    for item in items:
        if type(item) is list:
            result.extend(item)
        else:
            result.append(item)
    return result


@function("array::fold", kinds=(ARRAY, ANY, CLOSURE))
def fold(items: _Items, start: Value, combine_two: Lambda) -> Value:
    for index, item in enumerate(items):
        start = combine_two(start, item, index)
    return start


@function("array::reduce", kinds=(ARRAY, CLOSURE))
def reduce(items: _Items, combine_two: Lambda) -> Value:
    if not items:
        return NONE
    total = items[0]
    for index, item in enumerate(items[1:]):
        total = combine_two(total, item, index)
    return total


@function("array::group", kinds=(ARRAY,))
def group(items: _Items) -> _Items:
    return distinct(flatten(items))


@function("array::insert", kinds=(ARRAY, ANY, INT), optional=1)
def insert(items: _Items, value: Value, index: int | None = None) -> _Items:
    if index is None:
        return [*items, value]
    if index < 0:
        index += len(items)
    if not 0 <= index <= len(items):
        return items
    return [*items[:index], value, *items[index:]]


@function("array::intersect", kinds=(ARRAY, ARRAY))
def intersect(left: _Items, right: _Items) -> _Items:
    rest, result = list(right), []
    for item in left:
        place = _place(rest, item)
        if place is not None:
            result.append(item)
            del rest[place]
    return result


@function("array::is_empty", kinds=(ARRAY,))
def is_empty(items: _Items) -> bool:
    return not items


@function("array::join", kinds=(ARRAY, TEXT))
def join(items: _Items, separator: str) -> str:
    return separator.join([raw_text(item) for item in items])


@function("array::len", kinds=(ARRAY,))
def length(items: _Items) -> int:
    return len(items)


@function("array::map", kinds=(ARRAY, CLOSURE))
def array_map(items: _Items, change: Lambda) -> _Items:
    return [change(item, index) for index, item in enumerate(items)]


@function("array::matches", kinds=(ARRAY, ANY))
def matches(items: _Items, value: Value) -> _Items:
    return [order.equal(item, value) for item in items]


@function("array::max", kinds=(ARRAY,))
def largest(items: _Items) -> Value:
    if not items:
        return NONE
    keys = [order.sort_key(item) for item in items]
    return items[len(keys) - 1 - keys[::-1].index(max(keys))]  # SurrealDB keeps the last of equal values


@function("array::min", kinds=(ARRAY,))
def smallest(items: _Items) -> Value:
    return min(items, key=order.sort_key) if items else NONE


@function("array::pop", kinds=(ARRAY,))
def pop(items: _Items) -> Value:
    return items[-1] if items else NONE


@function("array::prepend", kinds=(ARRAY, ANY))
def prepend(items: _Items, value: Value) -> _Items:
    return [value, *items]


@function("array::remove", kinds=(ARRAY, INT))
def remove(items: _Items, index: int) -> _Items:
    if not -len(items) <= index < len(items):
        return items
    index %= len(items)
    return items[:index] + items[index + 1 :]


@function("array::repeat", kinds=(ANY, INT))
def repeat(value: Value, count: int) -> _Items:
    if not 0 <= count <= ITEMS_MAX:
        raise NotPlain("array::repeat of this length")
    return [value] * count


@function("array::reverse", kinds=(ARRAY,))
def reverse(items: _Items) -> _Items:
    return items[::-1]


@function("array::slice", kinds=(ARRAY, INT, INT), optional=2)
def array_slice(items: _Items, start: int = 0, end: int | None = None) -> _Items:
    return items[start:] if end is None else items[start:end]


@function("array::sort", "array::sort::asc", kinds=(ARRAY,))
def sort(items: _Items) -> _Items:
    return sorted(items, key=order.sort_key)


@function("array::sort::desc", kinds=(ARRAY,))
def sort_descending(items: _Items) -> _Items:
    return sorted(items, key=order.sort_key, reverse=True)


@function("array::swap", kinds=(ARRAY, INT, INT))
def swap(items: _Items, left: int, right: int) -> _Items:
    size = len(items)
    if not (-size <= left < size and -size <= right < size):
        raise EvaluationError("array::swap out of range")
    result = list(items)
    result[left], result[right] = result[right], result[left]
    return result


@function("array::transpose", kinds=(ARRAY,))
def transpose(items: _Items) -> _Items:
    rows = [item if type(item) is list else [item] for item in items]
    height = max((len(row) for row in rows), default=0)
    return [[row[place] if place < len(row) else NONE for row in rows] for place in range(height)]


@function("array::union", kinds=(ARRAY, ARRAY))
def union(left: _Items, right: _Items) -> _Items:
    return distinct(left + right)


@function("array::windows", kinds=(ARRAY, INT))
def windows(items: _Items, size: int) -> _Items:
    if size < 1:
        raise EvaluationError("array::windows of less than 1")
    return [items[start : start + size] for start in range(len(items) - size + 1)]


@function("array::boolean_and", kinds=(ARRAY, ARRAY))
def boolean_and(left: _Items, right: _Items) -> _Items:
    return [order.truthy(a) and order.truthy(b) for a, b in _pairs(left, right)]


@function("array::boolean_or", kinds=(ARRAY, ARRAY))
def boolean_or(left: _Items, right: _Items) -> _Items:
    return [order.truthy(a) or order.truthy(b) for a, b in _pairs(left, right)]


@function("array::boolean_xor", kinds=(ARRAY, ARRAY))
def boolean_xor(left: _Items, right: _Items) -> _Items:
    return [order.truthy(a) != order.truthy(b) for a, b in _pairs(left, right)]


@function("array::boolean_not", kinds=(ARRAY,))
def boolean_not(items: _Items) -> _Items:
    return [not order.truthy(item) for item in items]


def _pairs(left: _Items, right: _Items) -> list[tuple[Value, Value]]:
    size = max(len(left), len(right))
    return list(zip(left + [NONE] * (size - len(left)), right + [NONE] * (size - len(right)), strict=True))
