"""`type::*`: what kind a value is, and the value as another kind, mostly as a cast would have it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from sp00ky.proto.values.kinds import (
    NONE,
    UUID,
    Bound,
    Datetime,
    Duration,
    File,
    Geometry,
    Range,
    RecordId,
    Regex,
    SurrealSet,
    Table,
    Value,
)
from sp00ky.proto.values.text import raw_text
from sp00ky.proto.whole import casts
from sp00ky.proto.whole.functions import ANY, TEXT, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_NAMES: dict[type, str] = {
    type(NONE): "none",
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    Decimal: "decimal",
    str: "string",
    bytes: "bytes",
    Datetime: "datetime",
    Duration: "duration",
    UUID: "uuid",
    list: "array",
    SurrealSet: "set",
    dict: "object",
    RecordId: "record",
    Range: "range",
    Regex: "regex",
    Table: "table",
    File: "file",
}
_GEOMETRIES = {
    "Point": "point",
    "LineString": "line",
    "Polygon": "polygon",
    "MultiPoint": "multipoint",
    "MultiLineString": "multiline",
    "MultiPolygon": "multipolygon",
    "GeometryCollection": "collection",
}
_NUMBERS = frozenset({"int", "float", "decimal"})


def _kind(value: Value) -> str:
    return _NAMES.get(type(value), "geometry")


@function("type::of", kinds=(ANY,))
def type_of(value: Value) -> str:
    return f"geometry<{_GEOMETRIES[value.kind]}>" if type(value) is Geometry else _kind(value)


_PREDICATES = (
    *("array", "bool", "bytes", "datetime", "decimal", "duration", "float", "geometry", "int", "none", "null"),
    *("object", "range", "set", "string", "uuid"),
)
_CASTS = (*("array", "bool", "bytes", "datetime", "decimal", "duration", "float", "int", "number", "string", "uuid"),)


def _register_predicates() -> None:
    for kind in _PREDICATES:
        function(f"type::is_{kind}", kinds=(ANY,))(lambda value, kind=kind: _kind(value) == kind)
    for shape, name in _GEOMETRIES.items():
        function(f"type::is_{name}", kinds=(ANY,))(
            lambda value, shape=shape: type(value) is Geometry and value.kind == shape
        )


_register_predicates()


@function("type::is_number", kinds=(ANY,))
def is_number(value: Value) -> bool:
    return _kind(value) in _NUMBERS


@function("type::is_record", kinds=(ANY, TEXT), optional=1)
def is_record(value: Value, table: str | None = None) -> bool:
    return type(value) is RecordId and (table is None or value.table == table)


def _caster(kind: str) -> Callable[[Value], Value]:
    return lambda value: casts.cast(kind, value)


for _name in _CASTS:
    function(f"type::{_name}", kinds=(ANY,))(_caster(_name))


@function("type::set", kinds=(ANY,))
def as_set(value: Value) -> SurrealSet:
    if type(value) in (list, SurrealSet):
        return casts.to_set(value)
    raise EvaluationError("no set")  # `<set>` takes a range as well


@function("type::string_lossy", kinds=(ANY,))
def string_lossy(value: Value) -> str:
    return value.decode(errors="replace") if type(value) is bytes else casts.to_string(value)


@function("type::range", kinds=(ANY,))
def as_range(value: Value) -> Range:
    if type(value) is Range:
        return value
    if type(value) is list and len(value) == 2:
        return Range(Bound(value[0], True), Bound(value[1], False))
    raise EvaluationError("no range")


@function("type::point", kinds=(ANY,))
def as_point(value: Value) -> Geometry:
    if type(value) is Geometry and value.kind == "Point":
        return value
    if type(value) is list and len(value) == 2 and all(map(is_number, value)):
        return Geometry("Point", (_coordinate(value[0]), _coordinate(value[1])))
    raise EvaluationError("no point")


def _coordinate(number: Value) -> float:
    result = float(number)
    if type(number) is Decimal and Decimal(result) != number:
        raise NotPlain("a decimal that is no float as a coordinate")
    return result


@function("type::geometry", kinds=(ANY,))
def as_geometry(value: Value) -> Geometry:
    if type(value) is Geometry:
        return value
    if type(value) is dict:
        raise NotPlain("type::geometry of an object")
    raise EvaluationError("no geometry")


@function("type::table", kinds=(ANY,))
def as_table(value: Value) -> Table:
    match value:
        case Table():
            return value
        case RecordId():
            return Table(value.table)
        case str():
            return Table(value)
    raise EvaluationError("no table")


@function("type::record", kinds=(ANY, ANY), optional=1)
def as_record(table: Value, *key: Value) -> RecordId:
    """`type::record('a:1')`, `type::record('a', 1)`; `type::record(a:1, 'a')` only checks the table."""
    if table == "":
        raise EvaluationError("a record of no table")
    if not key:
        return casts.to_record(table)
    if type(table) is RecordId and type(key[0]) is str:
        if table.table != key[0]:
            raise EvaluationError("a record of another table")
        return table
    return RecordId(raw_text(table), _key(key[0]))


def _key(value: Value) -> Value:
    match value:
        case RecordId():
            return value.key
        case list() | dict() | UUID():
            return value
        case bool():
            return raw_text(value)
        case int():
            return value
        case float() | Decimal() | Range():
            raise NotPlain(f"type::record with a {type(value).__name__} as its key")
    text = raw_text(value)
    if not text:
        raise EvaluationError("a record with no key")
    return text
