"""SurrealQL's operators on two values. AND, OR, ?? and ?: are in `expr.py`: they may not evaluate their right side.

Arithmetic on integers is 64-bit and fails on overflow; a division that fails is NaN; a float follows IEEE 754, which
Python's operators do not where they raise. Decimals have 96 bits in SurrealDB: a result that would have to be rounded,
and any mixture of float and decimal, is NotPlain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from uuid import UUID

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import Datetime, Duration, Geometry, Range, SurrealSet, Table, Value
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

I64_MIN, I64_MAX = -(2**63), 2**63 - 1
_DURATION_MAX_NS = 2**64 * 10**9 - 1
_NAN = float("nan")
_DECIMALS = Context(prec=28, traps=[Inexact, InvalidOperation, Overflow])
_NUMBERS = frozenset({int, float, Decimal})


def int64(value: int) -> int:
    """The value, if it is one of SurrealDB's integers."""
    if not I64_MIN <= value <= I64_MAX:
        raise EvaluationError("integer overflow")
    return value


def is_number(value: Value) -> bool:
    return type(value) in _NUMBERS


def make_set(values: Iterable[Value]) -> SurrealSet:
    """Sorted, without duplicates."""
    unique: dict[tuple[object, ...], Value] = {}
    for value in values:
        unique.setdefault(order.sort_key(value), value)
    return SurrealSet(tuple(unique[key] for key in sorted(unique)))


# --- arithmetic ------------------------------------------------------------------------------------------------------


def add(a: Value, b: Value) -> Value:
    match a, b:
        case (str(), str()):
            return a + b
        case (Datetime(), Duration()) | (Duration(), Datetime()):
            return Datetime(a.ns + b.ns)
        case (Duration(), Duration()):
            return _duration(a.ns + b.ns)
        case (list(), list()):
            return a + b
        case (list(), SurrealSet()):
            return [*a, *b.values]
        case (SurrealSet(), list() | SurrealSet()):
            return make_set([*a.values, *b])
        case (dict(), dict()):
            return {**a, **b}
    return _arithmetic("add", a, b, lambda x, y: x + y)


def subtract(a: Value, b: Value) -> Value:
    match a, b:
        case (Datetime(), Datetime()):
            return _duration(a.ns - b.ns)
        case (Datetime(), Duration()):
            return Datetime(a.ns - b.ns)
        case (Duration(), Datetime()):
            return Datetime(b.ns - a.ns)
        case (Duration(), Duration()):
            return _duration(a.ns - b.ns)
        case (list(), list() | SurrealSet()):
            gone = {order.hash_key(item) for item in b}
            return [item for item in a if order.hash_key(item) not in gone]
        case (SurrealSet(), list() | SurrealSet()):
            gone = {order.hash_key(item) for item in b}
            return SurrealSet(tuple(item for item in a.values if order.hash_key(item) not in gone))
    return _arithmetic("subtract", a, b, lambda x, y: x - y)


def multiply(a: Value, b: Value) -> Value:
    if type(a) is Duration:
        if type(b) is int and 0 <= b < 2**32:
            return _duration(a.ns * b)
        raise NotPlain("a duration multiplied by a number that is not a small integer")
    return _arithmetic("multiply", a, b, lambda x, y: x * y)


def divide(a: Value, b: Value) -> Value:
    if type(a) is Duration:
        if type(b) is int and 0 < b < 2**32:
            return Duration(a.ns // b)
        raise NotPlain("a duration divided by something other than a small integer")
    if not (is_number(a) and is_number(b)):
        return _NAN
    if type(a) is int and type(b) is int:
        if b == 0 or (a == I64_MIN and b == -1):
            return _NAN
        return _truncated(a, b)
    if Decimal in (type(a), type(b)):
        raise NotPlain("division of decimals")
    return _float_divide(float(a), float(b))


def remainder(a: Value, b: Value) -> Value:
    _require_numbers("take the remainder of", a, b)
    if type(a) is int and type(b) is int:
        if b == 0 or (a == I64_MIN and b == -1):
            raise EvaluationError("remainder by zero")
        return a - b * _truncated(a, b)
    if Decimal in (type(a), type(b)):
        raise NotPlain("the remainder of decimals")
    x, y = float(a), float(b)
    return _NAN if y == 0 or math.isinf(x) or math.isnan(x) or math.isnan(y) else math.fmod(x, y)


def power(a: Value, b: Value) -> Value:
    _require_numbers("raise", a, b)
    if Decimal in (type(a), type(b)):
        raise NotPlain("a power of decimals")
    if type(a) is int and type(b) is int:
        if b < 0 and a not in (1, -1):
            raise EvaluationError("an integer raised to a negative power")
        if a in (0, 1, -1):
            return a ** (b % 2 if a == -1 else min(b, 1) if b >= 0 else 1)
        if b >= 64:
            raise EvaluationError("integer overflow")
        return int64(a**b)
    try:
        result = float(a) ** float(b)
    except (OverflowError, ZeroDivisionError):
        raise NotPlain("a power beyond the floats") from None
    return _NAN if isinstance(result, complex) else result


def negate(a: Value) -> Value:
    if type(a) is int:
        return int64(-a)
    if is_number(a):
        return -a
    raise EvaluationError("cannot negate what is no number")


def _arithmetic(verb: str, a: Value, b: Value, apply: Callable[[Value, Value], Value]) -> Value:
    _require_numbers(verb, a, b)
    kinds = {type(a), type(b)}
    if kinds == {int}:
        return int64(apply(a, b))
    if Decimal not in kinds:
        return _float_apply(float(a), float(b), apply)
    if float in kinds:
        raise NotPlain("arithmetic of a float with a decimal")
    return decimal_result(verb, Decimal(a), Decimal(b))


def decimal_result(verb: str, a: Decimal, b: Decimal) -> Decimal:
    """Exact, or NotPlain."""
    try:
        match verb:
            case "add":
                result = _DECIMALS.add(a, b)
            case "subtract":
                result = _DECIMALS.subtract(a, b)
            case _:
                result = _DECIMALS.multiply(a, b)
    except (Inexact, InvalidOperation, Overflow):
        raise NotPlain("a decimal beyond 28 digits") from None
    exponent = result.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -28:
        raise NotPlain("a decimal beyond 28 places")
    if not result:
        return Decimal(0) if verb == "multiply" else abs(result)
    return result


def _float_apply(a: float, b: float, apply: Callable[[Value, Value], Value]) -> float:
    return float(apply(a, b))  # + - * of floats never raise in Python


def _float_divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return _NAN
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _require_numbers(verb: str, a: Value, b: Value) -> None:
    if not (is_number(a) and is_number(b)):
        raise EvaluationError(f"cannot {verb} {type(a).__name__} and {type(b).__name__}")


def _duration(ns: int) -> Duration:
    if not 0 <= ns <= _DURATION_MAX_NS:
        raise EvaluationError("a duration below zero or too long")
    return Duration(ns)


# --- containment -----------------------------------------------------------------------------------------------------


def contains(a: Value, b: Value) -> bool:
    """`a CONTAINS b`, `b IN a`."""
    match a:
        case list() | SurrealSet():
            return any(order.equal(item, b) for item in a)
        case str():
            return type(b) is str and b in a
        case dict():
            return type(b) is str and b in a
        case UUID():
            return type(b) is str and b in str(a)
        case Range():
            return in_range(a, b)
        case Geometry() if type(b) is Geometry:
            raise NotPlain("containment of geometries")
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
        raise NotPlain("containment of geometries")
    if type(a) is str and all(type(item) is str for item in b):
        return fold(item in a for item in b)
    if type(a) not in (list, SurrealSet):
        return fold(False for _ in b)
    have = {order.hash_key(item) for item in a}
    return fold(order.hash_key(item) in have for item in b)


def all_equal(a: Value, b: Value) -> bool:
    return all(order.equal(item, b) for item in a) if type(a) in (list, SurrealSet) else order.equal(a, b)


def any_equal(a: Value, b: Value) -> bool:
    return any(order.equal(item, b) for item in a) if type(a) in (list, SurrealSet) else order.equal(a, b)


def _geometric(a: Value, b: Value) -> bool:
    """INTERSECTS, and NOT OUTSIDE: only geometries can."""
    if type(a) is Geometry and type(b) is Geometry:
        raise NotPlain("intersection of geometries")
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
    "=": order.equal,
    "!=": order.not_equal,
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
    if Table in (type(a), type(b)):
        raise NotPlain("a table as an operand")
    return apply(a, b)
