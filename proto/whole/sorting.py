"""`array::sort`, `array::max`, `array::min`: SurrealDB's order. (Its orders of text, `sort_natural` and `sort_lexical`,
are another crate's and not here.)

SurrealDB's sort keeps equal items as they stand only in short arrays: equal items that look different (1 and 1.0) in a
long one are NotPlain.
"""

from __future__ import annotations

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Datetime, Duration, Value
from sp00ky.proto.whole.functions import ANY, ARRAY, function
from sp00ky.proto.whole.scope import NotPlain

_Items = list[Value]

_ALIKE = frozenset({str, int, bool, Datetime, Duration})  # equal values of these look the same
STABLE_MAX = 20  # items that Rust's unstable sort puts in order by insertion


def _sorted(items: _Items, descending: bool) -> _Items:
    kinds = {type(item) for item in items}
    telling = len(kinds) > 1 or not kinds <= _ALIKE
    if len(items) > STABLE_MAX and telling and len(set(map(order.sort_key, items))) < len(items):
        raise NotPlain("a long array of equal items that may look different, sorted")
    return sorted(items, key=order.sort_key, reverse=descending)


def _descends(wanted: tuple[Value, ...]) -> bool:
    """`'desc'` or false; anything else is ascending."""
    return bool(wanted) and (wanted[0] is False or wanted[0] == "desc")


@function("array::sort", kinds=(ARRAY, ANY), optional=1)
def sort(items: _Items, *wanted: Value) -> _Items:
    return _sorted(items, _descends(wanted))


@function("array::sort::asc", kinds=(ARRAY,))
def sort_ascending(items: _Items) -> _Items:
    return _sorted(items, descending=False)


@function("array::sort::desc", kinds=(ARRAY,))
def sort_descending(items: _Items) -> _Items:
    return _sorted(items, descending=True)


@function("array::max", kinds=(ARRAY,))
def largest(items: _Items) -> Value:
    if not items:
        return NONE
    keys = [order.sort_key(item) for item in items]
    return items[len(keys) - 1 - keys[::-1].index(max(keys))]  # SurrealDB keeps the last of equal values


@function("array::min", kinds=(ARRAY,))
def smallest(items: _Items) -> Value:
    return min(items, key=order.sort_key) if items else NONE
