"""SurrealDB's total order over values, and its equality, as plain Python keys.

`sort_key(a) < sort_key(b)` exactly where SurrealQL says `a < b`; `hash_key(a) == hash_key(b)` exactly where it says
`a = b`. Kinds come first, in this order: NONE, NULL, bool, number, string, duration, datetime, uuid, array, set,
object, geometry, bytes, table, record, file, regex, range. Within a kind: numbers by value whatever their type, NaN
above +infinity, strings by code point, arrays and sets item by item, objects as sorted (name, value) pairs, records by
table then key, ranges by bound (open < included < excluded).

A key is a tuple that begins with the rank of the kind, so keys of different kinds never compare their second items.

Two exceptions to the sentences above, both SurrealDB's own: a regex equals every string it matches (`equal` does so, a
key cannot), and a decimal is compared with a float digit by digit in base 9,007,199,254,740,000 with the float's
rounding, so that `0.1f = 0.1dec` (`_float_digits`).

A record id that holds a range is ordered by that range; SurrealDB compares one's begin with the other's end.

Source: order and equality of every pair below were taken from core 3.2 (`tests/properties/test_order.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, TypeAlias
from uuid import UUID

from sp00ky.proto.values.kinds import (
    NONE,
    Bound,
    Datetime,
    Duration,
    File,
    Geometry,
    NoneKind,
    Range,
    RecordId,
    Regex,
    SurrealSet,
    Table,
    Value,
)

SortKey: TypeAlias = tuple[Any, ...]

# Ranks of the kinds. A negative NaN has a rank of its own: it sorts below -infinity.
_NONE, _NULL, _BOOL, _NEGATIVE_NAN, _NUMBER, _STRING = 0, 1, 2, 2.5, 3, 4
_DURATION, _DATETIME, _UUID, _ARRAY, _SET, _OBJECT = 5, 6, 7, 8, 9, 10
_GEOMETRY, _BYTES, _TABLE, _RECORD, _FILE, _REGEX, _RANGE = 11, 12, 13, 14, 15, 16, 17

_GEOMETRIES = ("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection")
_DIGIT_BASE = 9_007_199_254_740_000  # how SurrealDB takes a fraction apart to compare a float with a decimal
_DIGITS_MAX = 12
_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)
_WHOLE_ABOVE = 2**53  # every float from here on is a whole number


def sort_key(value: Value) -> SortKey:
    """A key that Python's `<` and `==` order as SurrealDB orders values. TypeError for a type that is no value."""
    kind = type(value)
    if kind is str:
        return (_STRING, value)
    if kind is int:
        return (_NUMBER, value)
    make = _SORT_KEYS.get(kind)
    if make is None:
        raise TypeError(f"value of type {kind.__name__} has no place in SurrealDB's order")
    return make(value)


def hash_key(value: Value) -> Hashable:
    """A key that is equal for values that are equal in SurrealQL, and only for those."""
    kind = type(value)
    if kind is str or kind is int:
        return value  # type: ignore[no-any-return]
    make = _HASH_KEYS.get(kind)
    if make is None:
        raise TypeError(f"value of type {kind.__name__} has no equality in SurrealQL")
    return make(value)


def compare(left: Value, right: Value) -> int:
    """-1, 0 or 1."""
    a, b = sort_key(left), sort_key(right)
    return (a > b) - (a < b)


def equal(left: Value, right: Value) -> bool:
    """SurrealQL's `=`."""
    a, b = type(left), type(right)
    if a is b and (a is str or a is int):
        return bool(left == right)
    if a is Regex and b is str:
        return re.search(left.pattern, right) is not None
    if a is str and b is Regex:
        return re.search(right.pattern, left) is not None
    return hash_key(left) == hash_key(right)


def not_equal(left: Value, right: Value) -> bool:
    return not equal(left, right)


def less(left: Value, right: Value) -> bool:
    return sort_key(left) < sort_key(right)


def less_equal(left: Value, right: Value) -> bool:
    return sort_key(left) <= sort_key(right)


def greater(left: Value, right: Value) -> bool:
    return sort_key(left) > sort_key(right)


def greater_equal(left: Value, right: Value) -> bool:
    return sort_key(left) >= sort_key(right)


def truthy(value: Value) -> bool:
    """What counts as true in WHERE, AND, `!`: no kind but those named here is ever true."""
    kind = type(value)
    if kind is bool:
        return bool(value)
    if kind in _TRUTHY_IF_FILLED:
        return bool(value)  # NaN is true: it is not 0
    if kind is Duration:
        return bool(value.ns > 0)
    return kind in _ALWAYS_TRUTHY


_TRUTHY_IF_FILLED = frozenset({int, float, Decimal, str, list, dict, SurrealSet, bytes})
_ALWAYS_TRUTHY = frozenset({UUID, RecordId, Geometry, Datetime})


# --- numbers ---------------------------------------------------------------------------------------------------------


def _float_sort_key(value: float) -> SortKey:
    if math.isnan(value):
        return (_NUMBER, math.inf, 1) if math.copysign(1.0, value) > 0 else (_NEGATIVE_NAN,)
    return (_NUMBER, value)


def _decimal_sort_key(value: Decimal) -> SortKey:
    """Like the equal float's key if there is one, else just above the float below it."""
    if value == value.to_integral_value():
        return (_NUMBER, int(value))
    if abs(value) >= _WHOLE_ABOVE:
        return (_NUMBER, value)
    nearest = float(value)
    side = compare_float_decimal(nearest, value)
    if side == 0:
        return (_NUMBER, nearest)
    return (_NUMBER, nearest if side < 0 else math.nextafter(nearest, -math.inf), 1, value)


def _float_hash_key(value: float) -> Hashable:
    return (_NEGATIVE_NAN, math.copysign(1.0, value)) if math.isnan(value) else value


def _decimal_hash_key(value: Decimal) -> Hashable:
    if value == value.to_integral_value():
        return int(value)
    if abs(value) < _WHOLE_ABOVE and compare_float_decimal(float(value), value) == 0:
        return float(value)
    return (_NUMBER, value)


def compare_float_decimal(left: float, right: Decimal) -> int:
    """-1, 0 or 1, as SurrealDB decides it: whole parts, then digits in base `_DIGIT_BASE`, twelve at most, where the
    float's product rounds to 53 bits and the decimal's to 28 places."""
    if not math.isfinite(left):
        return 1 if math.copysign(1.0, left) > 0 else -1
    whole, decimal_whole = math.trunc(left), math.trunc(right)
    if whole != decimal_whole:
        return 1 if whole > decimal_whole else -1
    fraction, decimal_fraction = left - whole, right - decimal_whole
    for _ in range(_DIGITS_MAX):
        fraction *= _DIGIT_BASE
        decimal_fraction = _EXACT.multiply(decimal_fraction, Decimal(_DIGIT_BASE))
        digit, decimal_digit = math.trunc(fraction), math.trunc(decimal_fraction)
        if digit != decimal_digit:
            return 1 if digit > decimal_digit else -1
        fraction -= digit
        decimal_fraction -= decimal_digit
        if not fraction or not decimal_fraction:
            break
    if not fraction:
        return (decimal_fraction < 0) - (decimal_fraction > 0)
    return (1 if fraction > 0 else -1) if not decimal_fraction else 0


# --- the other kinds -------------------------------------------------------------------------------------------------


def _record_sort_key(value: RecordId) -> SortKey:
    return (_RECORD, value.table, *sort_key(value.key))


def _object_sort_key(value: dict[str, Value]) -> SortKey:
    return (_OBJECT, tuple([(name, sort_key(value[name])) for name in sorted(value)]))


def _bound_sort_key(bound: Bound | None) -> SortKey:
    if bound is None:
        return (0,)
    return (1 if bound.inclusive else 2, sort_key(bound.value))


def _geometry_sort_key(value: Geometry) -> SortKey:
    if value.kind == "GeometryCollection":
        return (_GEOMETRY, 6, tuple(_geometry_sort_key(part) for part in value.coordinates))
    return (_GEOMETRY, _GEOMETRIES.index(value.kind), tuple(_points(value.kind, value.coordinates)))


def _points(kind: str, coordinates: tuple[Any, ...]) -> list[tuple[float, float]]:
    """The points in the order they are compared in: a polygon's holes before its outline."""
    match kind:
        case "Point":
            return [coordinates]
        case "LineString" | "MultiPoint":
            return list(coordinates)
        case "Polygon":
            return [point for ring in (*coordinates[1:], *coordinates[:1]) for point in ring]
        case "MultiLineString":
            return [point for line in coordinates for point in line]
        case _:
            return [point for polygon in coordinates for point in _points("Polygon", polygon)]


_SORT_KEYS: dict[type, Callable[[Any], SortKey]] = {
    NoneKind: lambda value: (_NONE,),
    type(None): lambda value: (_NULL,),
    bool: lambda value: (_BOOL, value),
    int: lambda value: (_NUMBER, value),
    float: _float_sort_key,
    Decimal: _decimal_sort_key,
    str: lambda value: (_STRING, value),
    Duration: lambda value: (_DURATION, value.ns),
    Datetime: lambda value: (_DATETIME, value.ns),
    UUID: lambda value: (_UUID, value.int),
    list: lambda value: (_ARRAY, tuple([sort_key(item) for item in value])),
    SurrealSet: lambda value: (_SET, tuple([sort_key(item) for item in value.values])),
    dict: _object_sort_key,
    Geometry: _geometry_sort_key,
    bytes: lambda value: (_BYTES, value),
    Table: lambda value: (_TABLE, value.name),
    RecordId: _record_sort_key,
    File: lambda value: (_FILE, value.bucket, value.key),
    Regex: lambda value: (_REGEX, value.pattern),
    Range: lambda value: (_RANGE, _bound_sort_key(value.begin), _bound_sort_key(value.end)),
}

_HASH_KEYS: dict[type, Callable[[Any], Hashable]] = {
    NoneKind: lambda value: NONE,
    type(None): lambda value: None,
    bool: lambda value: (_BOOL, value),
    int: lambda value: value,
    float: _float_hash_key,
    Decimal: _decimal_hash_key,
    str: lambda value: value,
    Duration: lambda value: (_DURATION, value.ns),
    Datetime: lambda value: (_DATETIME, value.ns),
    UUID: lambda value: value,
    list: lambda value: (_ARRAY, *[hash_key(item) for item in value]),
    SurrealSet: lambda value: (_SET, *[hash_key(item) for item in value.values]),
    dict: lambda value: (_OBJECT, *[(name, hash_key(value[name])) for name in sorted(value)]),
    Geometry: lambda value: (_GEOMETRY, value.kind, value.coordinates),
    bytes: lambda value: (_BYTES, value),
    Table: lambda value: (_TABLE, value.name),
    RecordId: lambda value: (_RECORD, value.table, hash_key(value.key)),
    File: lambda value: (_FILE, value.bucket, value.key),
    Regex: lambda value: (_REGEX, value.pattern),
    Range: lambda value: (_RANGE, _bound_hash_key(value.begin), _bound_hash_key(value.end)),
}


def _bound_hash_key(bound: Bound | None) -> Hashable:
    return None if bound is None else (bound.inclusive, hash_key(bound.value))
