"""SurrealQL's operators on two values. AND, OR, ?? and ?: are in `expr.py`: they may not evaluate their right side.

`+` and `-` of text and collections, containment and the table of all operators are here; arithmetic is `numbers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import Geometry, Range, Regex, SurrealSet, Value
from sp00ky.proto.whole import geometries, numbers, regexes
from sp00ky.proto.whole.numbers import I64_MAX, I64_MIN, divide, int64, is_number, multiply, negate, power, remainder
from sp00ky.proto.whole.scope import NotPlain

TEXT_MAX: Final = 1 << 22  # letters that `+` makes


def make_set(values: Iterable[Value]) -> SurrealSet:
    """Sorted, without duplicates."""
    unique: dict[tuple[object, ...], Value] = {}
    for value in values:
        unique.setdefault(order.sort_key(value), value)
    return SurrealSet(tuple(unique[key] for key in sorted(unique)))


# --- collections ----------------------------------------------------------------------------------------------------


def add(a: Value, b: Value) -> Value:
    match a, b:
        case (str(), str()):
            if len(a) + len(b) > TEXT_MAX:
                raise NotPlain("a string that is very long")
            return a + b
        case (list(), list()):
            return a + b
        case (list(), SurrealSet()):
            return [*a, *b.values]
        case (SurrealSet(), list() | SurrealSet()):
            return make_set([*a.values, *b])
        case (dict(), dict()):
            return {**a, **b}
    return numbers.add(a, b)


def subtract(a: Value, b: Value) -> Value:
    match a, b:
        case (list(), list() | SurrealSet()):
            gone = {order.hash_key(item) for item in b}
            return [item for item in a if order.hash_key(item) not in gone]
        case (SurrealSet(), list() | SurrealSet()):
            gone = {order.hash_key(item) for item in b}
            return SurrealSet(tuple(item for item in a.values if order.hash_key(item) not in gone))
    return numbers.subtract(a, b)


# --- containment -----------------------------------------------------------------------------------------------------


def contains(a: Value, b: Value) -> bool:
    """`a CONTAINS b`, `b IN a`."""
    match a:
        case list():
            return any(equal(item, b) for item in a)
        case SurrealSet():
            return order.sort_key(b) in map(order.sort_key, a)
        case str():
            return type(b) is str and b in a
        case dict():
            return type(b) is str and b in a
        case UUID():
            return type(b) is str and b in str(a)
        case Range():
            return in_range(a, b)
        case Geometry() if type(b) is Geometry:
            return geometries.contains(a, b)
        case _:
            return False


def in_range(bounds: Range, value: Value) -> bool:
    key = order.sort_key(value)
    if bounds.begin is not None:
        begin = order.sort_key(bounds.begin.value)
        if begin > key or (begin == key and not bounds.begin.inclusive):
            return False
    if bounds.end is not None:
        end = order.sort_key(bounds.end.value)
        if end < key or (end == key and not bounds.end.inclusive):
            return False
    return True


def contains_all(a: Value, b: Value) -> bool:
    return _contains_each(a, b, all)


def contains_any(a: Value, b: Value) -> bool:
    return _contains_each(a, b, any)


def _contains_each(a: Value, b: Value, fold: Callable[[Iterable[bool]], bool]) -> bool:
    if type(b) is str:
        return type(a) is str and b in a
    if type(b) not in (list, SurrealSet):
        return False
    if type(a) is Geometry:
        return fold(contains(a, item) for item in b)
    if type(a) is str and all(type(item) is str for item in b):
        return fold(item in a for item in b)
    if type(a) not in (list, SurrealSet):
        return fold(False for _ in b)
    if Regex in {type(item) for item in (*a, *b)}:
        return fold(any(equal(item, other) for other in a) for item in b)
    have = {order.hash_key(item) for item in a}
    return fold(order.hash_key(item) in have for item in b)


def equal(a: Value, b: Value) -> bool:
    """`=`: a regex equals every text that it matches."""
    match a, b:
        case (Regex(), str()):
            return regexes.matches(a.pattern, b)
        case (str(), Regex()):
            return regexes.matches(b.pattern, a)
    return order.equal(a, b)


def all_equal(a: Value, b: Value) -> bool:
    return all(equal(item, b) for item in a) if type(a) in (list, SurrealSet) else equal(a, b)


def any_equal(a: Value, b: Value) -> bool:
    return any(equal(item, b) for item in a) if type(a) in (list, SurrealSet) else equal(a, b)


def _geometric(a: Value, b: Value) -> bool:
    """INTERSECTS, and NOT OUTSIDE: only geometries can."""
    if type(a) is Geometry and type(b) is Geometry:
        return geometries.intersects(a, b)
    return False


def exactly_equal(a: Value, b: Value) -> bool:
    return order.hash_key(a) == order.hash_key(b)


BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": remainder,
    "**": power,
    "=": equal,
    "!=": lambda a, b: not equal(a, b),
    "==": exactly_equal,
    "*=": all_equal,
    "?=": any_equal,
    "<": order.less,
    "<=": order.less_equal,
    ">": order.greater,
    ">=": order.greater_equal,
    "IN": lambda a, b: contains(b, a),
    "NOT IN": lambda a, b: not contains(b, a),
    "CONTAINS": contains,
    "CONTAINSNOT": lambda a, b: not contains(a, b),
    "CONTAINSALL": contains_all,
    "CONTAINSANY": contains_any,
    "CONTAINSNONE": lambda a, b: not contains_any(a, b),
    "ALLINSIDE": lambda a, b: contains_all(b, a),
    "ANYINSIDE": lambda a, b: contains_any(b, a),
    "NONEINSIDE": lambda a, b: not contains_any(b, a),
    "OUTSIDE": lambda a, b: not _geometric(a, b),
    "INTERSECTS": _geometric,
}


def binary(op: str, a: Value, b: Value) -> Value:
    """NotPlain for an operator that needs an index or that SurrealDB no longer has."""
    apply = BINARY.get(op)
    if apply is None:
        raise NotPlain(f"operator {op}")
    return apply(a, b)


__all__ = [
    "BINARY",
    "I64_MAX",
    "I64_MIN",
    "add",
    "all_equal",
    "any_equal",
    "binary",
    "contains",
    "contains_all",
    "contains_any",
    "divide",
    "equal",
    "exactly_equal",
    "in_range",
    "int64",
    "is_number",
    "make_set",
    "multiply",
    "negate",
    "power",
    "remainder",
    "subtract",
]
