"""`<kind> value`: SurrealQL's conversions.

A kind is canonical text such as `int`, `array<string, 2>`, `none | int` (an option), `record<a | b>` or a literal; it
is compiled once. `a | b` is the first of its kinds that the value can be cast to. What SurrealDB refuses is an
EvaluationError; text that it may read more leniently than this module is NotPlain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import (
    NONE,
    Bound,
    Datetime,
    Duration,
    Geometry,
    Range,
    RecordId,
    SurrealSet,
    Table,
    Value,
)
from sp00ky.proto.values.literal import LiteralError, read_value
from sp00ky.proto.values.text import display
from sp00ky.proto.whole import decimals, readers
from sp00ky.proto.whole.numbers import I64_MAX, I64_MIN, is_number
from sp00ky.proto.whole.numbers import to_float as number_to_float
from sp00ky.proto.whole.operators import make_set
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

Caster: TypeAlias = Callable[[Value], Value]

RANGE_ITEMS_MAX = 100_000
KINDS_MAX = 1_000  # compiled kinds kept

_PARAMETRIC = re.compile(r"(\w+)<(.*)>\Z")
_GEOMETRIES = {
    "point": "Point",
    "line": "LineString",
    "polygon": "Polygon",
    "multipoint": "MultiPoint",
    "multiline": "MultiLineString",
    "multipolygon": "MultiPolygon",
    "collection": "GeometryCollection",
}
_LITERALS = frozenset({int, float, str, bool, Duration})
_BRACKETS = {"<": 1, "[": 1, "{": 1, ">": -1, "]": -1, "}": -1}


def cast(kind: str, value: Value) -> Value:
    """The value as `kind`."""
    return _compiled(kind)(value)


@lru_cache(KINDS_MAX)
def _compiled(kind: str) -> Caster:
    kind = kind.strip()
    simple = _CASTS.get(kind)
    if simple is not None:
        return simple
    kinds = _split(kind, "|")
    if len(kinds) > 1:
        return _either([_compiled(name) for name in kinds])
    match = _PARAMETRIC.match(kind)
    if match is not None:
        return _parametric(*match.groups())
    return _literal(kind)


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators that stand in no brackets or quotes."""
    parts, depth, quote, begin = [], 0, "", 0
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[at - 1] != "\\" else quote
        elif letter in "'\"`":
            quote = letter
        elif letter == separator and depth == 0:
            parts.append(text[begin:at])
            begin = at + 1
        else:
            depth += _BRACKETS.get(letter, 0)
    return [part.strip() for part in [*parts, text[begin:]]]


def _either(casters: list[Caster]) -> Caster:
    def to_either(value: Value) -> Value:
        for caster in casters:
            try:
                return caster(value)
            except EvaluationError:
                continue
        raise _refused("any of several kinds", value)

    return to_either


def _parametric(outer: str, inner: str) -> Caster:
    match outer:
        case "option":
            return _either([to_none, _compiled(inner)])
        case "array" | "set":
            element, *size = _split(inner, ",")
            return _collection(outer, _compiled(element), int(size[0]) if size else None)
        case "record":
            return _record_of(frozenset(name.strip("`") for name in _split(inner, "|")))
        case "geometry":
            return _geometry_of(frozenset(_GEOMETRIES.get(name, "") for name in _split(inner, "|")))
        case _:
            raise NotPlain(f"cast <{outer}<{inner}>>")


def _collection(kind: str, element: Caster, size: int | None) -> Caster:
    def to_collection(value: Value) -> Value:
        if kind == "array":
            result: Value = [element(item) for item in to_array(value)]
        else:
            result = make_set(element(item) for item in to_set(value))
        if size is not None and len(result) != size:
            raise EvaluationError(f"not {size} elements")
        return result

    return to_collection


def _record_of(tables: frozenset[str]) -> Caster:
    def to_record_of(value: Value) -> RecordId:
        record = to_record(value)
        if record.table not in tables:
            raise EvaluationError("not a record of this table")
        return record

    return to_record_of


def _geometry_of(shapes: frozenset[str]) -> Caster:
    if "" in shapes:
        raise NotPlain("cast to a feature")

    def to_geometry_of(value: Value) -> Geometry:
        geometry = to_geometry(value)
        if geometry.kind not in shapes:
            raise EvaluationError("not a geometry of this shape")
        return geometry

    return to_geometry_of


def _literal(kind: str) -> Caster:
    """Only the value itself, numbers as they compare."""
    try:
        literal = read_value(kind)
    except LiteralError:
        raise NotPlain(f"cast <{kind}>") from None
    if type(literal) not in _LITERALS:
        raise NotPlain(f"cast <{kind}>")

    def to_literal(value: Value) -> Value:
        if Decimal in (type(value), type(literal)):
            raise NotPlain("a decimal as a literal")
        if order.equal(value, literal):
            return value
        raise _refused(kind, value)

    return to_literal


def _refused(kind: str, value: Value) -> EvaluationError:
    return EvaluationError(f"a {type(value).__name__} cannot be cast to {kind}")


def to_bool(value: Value) -> bool:
    if type(value) is bool:
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise _refused("bool", value)


def to_int(value: Value) -> int:
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value) and value == math.trunc(value):
        return max(I64_MIN, min(I64_MAX, int(value)))  # SurrealDB saturates
    if type(value) is Decimal and value == value.to_integral_value() and I64_MIN <= value <= I64_MAX:
        return int(value)
    if type(value) is str and (number := readers.read_int(value)) is not None:
        return number
    raise _refused("int", value)


def to_float(value: Value) -> float:
    if is_number(value):
        return number_to_float(value)
    if type(value) is str and (number := readers.read_float(value)) is not None:
        return number
    raise _refused("float", value)


def to_decimal(value: Value) -> Decimal:
    if type(value) is int or type(value) is Decimal:
        return Decimal(value)
    if type(value) is float and (found := decimals.from_float(value)) is not None:
        return found
    if type(value) is str and (number := readers.read_decimal(value)) is not None:
        return number
    raise _refused("decimal", value)


def to_number(value: Value) -> Value:
    if is_number(value):
        return value
    if type(value) is str:
        if (whole := readers.read_int(value)) is not None:
            return whole
        if (number := readers.read_float(value)) is not None:
            return number
    raise _refused("number", value)


def to_string(value: Value) -> str:
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise _refused("string", value) from None
    return display(value)


def to_datetime(value: Value) -> Datetime:
    if type(value) is Datetime:
        return value
    if type(value) is str and (found := readers.read_moment(value)) is not None:
        return found
    raise _refused("datetime", value)


def to_duration(value: Value) -> Duration:
    if type(value) is Duration:
        return value
    if type(value) is str and (found := readers.read_duration(value)) is not None:
        return found
    raise _refused("duration", value)


def to_uuid(value: Value) -> UUID:
    if type(value) is UUID:
        return value
    if type(value) is str and (found := readers.read_uuid(value)) is not None:
        return found
    raise _refused("uuid", value)


def to_record(value: Value) -> RecordId:
    if type(value) is RecordId:
        return value
    if type(value) is str and (found := readers.read_record(value)) is not None:
        return found
    raise _refused("record", value)


def to_array(value: Value) -> list[Value]:
    if type(value) is list:
        return value
    if type(value) is SurrealSet:
        return list(value.values)
    if type(value) is Range:
        return list(range_integers(value))
    if type(value) is bytes:
        return list(value)
    raise _refused("array", value)


def range_integers(bounds: Range) -> range:
    """The integers of a range that is closed on both sides, at most RANGE_ITEMS_MAX of them."""
    if bounds.begin is None or bounds.end is None:
        raise EvaluationError("an open range as an array")
    begin, end = _whole(bounds.begin.value), _whole(bounds.end.value)
    items = range(begin + (not bounds.begin.inclusive), end + bounds.end.inclusive)
    if len(items) > RANGE_ITEMS_MAX:
        raise NotPlain("a long range as an array")
    return items


def _whole(value: Value) -> int:
    if is_number(value):
        return to_int(value)
    raise EvaluationError("a range of something other than integers as an array")


def to_set(value: Value) -> SurrealSet:
    return value if type(value) is SurrealSet else make_set(to_array(value))


def to_object(value: Value) -> dict[str, Value]:
    if type(value) is dict:
        return value
    raise _refused("object", value)


def to_bytes(value: Value) -> bytes:
    if type(value) is bytes:
        return value
    if type(value) is str:
        return value.encode()
    if type(value) is list and all(map(is_number, value)):
        numbers = [to_int(item) for item in value]
        if all(0 <= number <= 255 for number in numbers):
            return bytes(numbers)
    raise _refused("bytes", value)


def to_geometry(value: Value) -> Geometry:
    if type(value) is Geometry:
        return value
    if type(value) is dict:
        raise NotPlain("an object as a geometry")
    raise _refused("geometry", value)


def to_range(value: Value) -> Range:
    if type(value) is Range:
        return value
    if type(value) is list and len(value) == 2:
        return Range(Bound(value[0], True), Bound(value[1], False))
    raise _refused("range", value)


def to_table(value: Value) -> Table:
    if type(value) is Table:
        return value
    if type(value) is str:
        return Table(value)
    raise NotPlain("a table of something other than its name")


def to_none(value: Value) -> Value:
    if value is NONE:
        return value
    raise _refused("none", value)


def to_null(value: Value) -> Value:
    if value is None:
        return value
    raise _refused("null", value)


def _unknown(kind: str) -> Caster:
    def refuse(value: Value) -> Value:
        raise NotPlain(f"cast <{kind}>")

    return refuse


_CASTS: dict[str, Caster] = {
    "any": lambda value: value,
    "bool": to_bool,
    "int": to_int,
    "float": to_float,
    "decimal": to_decimal,
    "number": to_number,
    "string": to_string,
    "datetime": to_datetime,
    "duration": to_duration,
    "uuid": to_uuid,
    "record": to_record,
    "array": to_array,
    "set": to_set,
    "object": to_object,
    "bytes": to_bytes,
    "geometry": to_geometry,
    "point": _geometry_of(frozenset({"Point"})),
    "range": to_range,
    "table": to_table,
    "none": to_none,
    "null": to_null,
    "regex": _unknown("regex"),
    "file": _unknown("file"),
    "function": _unknown("function"),
}
