"""`array::*`: the items as they stand; what asks a closure is `closures.py`, what puts them in order `sorting.py`.

Items are the same if their values are: unlike `=`, no function here takes a regex for the texts that it matches.
"""

from __future__ import annotations

from collections.abc import Iterable

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.text import raw_text
from sp00ky.proto.whole.effort import repeated
from sp00ky.proto.whole.functions import ANY, ARRAY, TEXT, WHOLE, function
from sp00ky.proto.whole.numbers import I64_MAX
from sp00ky.proto.whole.scope import EvaluationError, NotPlain
from sp00ky.proto.whole.slices import sliced, wanted_range

_Items = list[Value]
ITEMS_MAX = 100_000
MADE_MAX = 16_384  # items that SurrealDB surely makes; it has a limit in bytes


def distinct(items: Iterable[Value]) -> _Items:
    """The first of each equal value, in order."""
    found: dict[object, Value] = {}
    for item in items:
        found.setdefault(order.hash_key(item), item)
    return list(found.values())


def same(left: Value, right: Value) -> bool:
    return order.hash_key(left) == order.hash_key(right)


@function("array::add", kinds=(ARRAY, ANY))
def add(items: _Items, value: Value) -> _Items:
    new = value if type(value) is list else [value]
    result, held = list(items), set(map(order.hash_key, items))
    for item in new:
        key = order.hash_key(item)
        if key not in held:
            held.add(key)
            result.append(item)
    return result


@function("array::append", "array::push", kinds=(ARRAY, ANY))
def append(items: _Items, value: Value) -> _Items:
    return [*items, value]


@function("array::at", kinds=(ARRAY, WHOLE))
def at(items: _Items, index: int) -> Value:
    return items[index] if -len(items) <= index < len(items) else NONE


@function("array::clump", kinds=(ARRAY, WHOLE))
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


@function("array::difference", kinds=(ARRAY, ARRAY))
def difference(left: _Items, right: _Items) -> _Items:
    rest, result = _Rest(right), []
    for item in left:
        if not rest.take(item):
            result.append(item)
    return result + rest.items()


class _Rest:
    """What is left of an array while equal items are taken from it, the first of each first."""

    def __init__(self, items: _Items) -> None:
        self._items: dict[int, Value] = dict(enumerate(items))
        self._places: dict[object, list[int]] = {}
        for place in range(len(items) - 1, -1, -1):
            self._places.setdefault(order.hash_key(items[place]), []).append(place)

    def take(self, item: Value) -> bool:
        places = self._places.get(order.hash_key(item))
        if not places:
            return False
        del self._items[places.pop()]
        return True

    def items(self) -> _Items:
        return list(self._items.values())


@function("array::distinct", kinds=(ARRAY,))
def array_distinct(items: _Items) -> _Items:
    return distinct(items)


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


@function("array::group", kinds=(ARRAY,))
def group(items: _Items) -> _Items:
    return distinct(flatten(items))


@function("array::intersect", kinds=(ARRAY, ARRAY))
def intersect(left: _Items, right: _Items) -> _Items:
    rest = _Rest(right)
    return [item for item in left if rest.take(item)]


@function("array::is_empty", kinds=(ARRAY,))
def is_empty(items: _Items) -> bool:
    return not items


@function("array::join", kinds=(ARRAY, TEXT))
def join(items: _Items, separator: str) -> str:
    return separator.join([raw_text(item) for item in items])


@function("array::len", kinds=(ARRAY,))
def length(items: _Items) -> int:
    return len(items)


@function("array::matches", kinds=(ARRAY, ANY))
def matches(items: _Items, value: Value) -> _Items:
    return [same(item, value) for item in items]


@function("array::pop", kinds=(ARRAY,))
def pop(items: _Items) -> Value:
    return items[-1] if items else NONE


@function("array::prepend", kinds=(ARRAY, ANY))
def prepend(items: _Items, value: Value) -> _Items:
    return [value, *items]


@function("array::remove", kinds=(ARRAY, WHOLE))
def remove(items: _Items, index: int) -> _Items:
    if not -len(items) <= index < len(items):
        return items
    index %= len(items)
    return items[:index] + items[index + 1 :]


@function("array::reverse", kinds=(ARRAY,))
def reverse(items: _Items) -> _Items:
    return items[::-1]


@function("array::swap", kinds=(ARRAY, WHOLE, WHOLE))
def swap(items: _Items, left: int, right: int) -> _Items:
    size = len(items)
    if not (-size <= left < size and -size <= right < size):
        raise EvaluationError("array::swap out of range")
    result = list(items)
    result[left], result[right] = result[right], result[left]
    return result


@function("array::union", kinds=(ARRAY, ARRAY))
def union(left: _Items, right: _Items) -> _Items:
    return distinct(left + right)


@function("array::windows", kinds=(ARRAY, WHOLE))
def windows(items: _Items, size: int) -> _Items:
    if size < 1:
        raise EvaluationError("array::windows of less than 1")
    repeated(items, max(0, len(items) - size + 1))
    return [items[start : start + size] for start in range(len(items) - size + 1)]


@function("array::concat", kinds=(), rest=ARRAY)
def concat(*arrays: _Items) -> _Items:
    result = [item for items in arrays for item in items]
    _limit(len(result))
    return result


def _limit(size: int) -> None:
    if size > MADE_MAX:
        raise NotPlain("an array of this length")


@function("array::insert", kinds=(ARRAY, ANY, WHOLE), optional=1)
def insert(items: _Items, value: Value, index: int | None = None) -> _Items:
    if index is None:
        return [*items, value]
    if index < 0:
        index += len(items)
    if not 0 <= index <= len(items):
        return items
    return [*items[:index], value, *items[index:]]


@function("array::repeat", kinds=(ANY, WHOLE))
def repeat(value: Value, count: int) -> _Items:
    if count < 0:
        raise EvaluationError("array::repeat less than no times")
    _limit(count)
    repeated(value, count)
    return [value] * count


@function("array::range", kinds=(ANY, WHOLE), optional=1)
def integers(*bounds: Value) -> _Items:
    wanted = wanted_range(bounds)
    if wanted.begin is None or wanted.end is None:
        raise EvaluationError("array::range without an end")
    span = range(wanted.begin.value + (not wanted.begin.inclusive), wanted.end.value + wanted.end.inclusive)
    _limit(span.stop - span.start)
    return list(span)


@function("array::sequence", kinds=(WHOLE, WHOLE), optional=1)
def sequence(first_or_size: int, size: int | None = None) -> _Items:
    """Integers from an offset, 0 if there is but one argument; none beyond the last of 64 bits."""
    begin, count = (0, first_or_size) if size is None else (first_or_size, size)
    _limit(count)
    return list(range(begin, min(begin + max(count, 0), I64_MAX + 1)))


@function("array::slice", kinds=(ARRAY, ANY, WHOLE), optional=2)
def array_slice(items: _Items, *bounds: Value) -> _Items:
    begin, end = sliced(len(items), bounds)
    return items[begin:end]


@function("array::fill", kinds=(ARRAY, ANY, ANY, WHOLE), optional=2)
def fill(items: _Items, value: Value, *bounds: Value) -> _Items:
    begin, end = sliced(len(items), bounds)
    wanted = wanted_range(bounds)
    if begin < len(items) < end and wanted.end is not None and wanted.end.inclusive:
        raise EvaluationError("array::fill to an item behind the last")  # SurrealDB panics
    return [value if begin <= place < end else item for place, item in enumerate(items)]


@function("array::transpose", kinds=(ARRAY,))
def transpose(items: _Items) -> _Items:
    rows = [item if type(item) is list else [item] for item in items]
    height = max((len(row) for row in rows), default=0)
    repeated(NONE, height * len(rows))
    return [[row[place] if place < len(row) else NONE for row in rows] for place in range(height)]
