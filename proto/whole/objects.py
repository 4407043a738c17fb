"""`object::*`, `record::*`, `type::*`, `crypto::*`, `encoding::*`, `not`."""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal

from sp00ky.proto.values import order
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import (
    NONE,
    UUID,
    Datetime,
    Duration,
    Geometry,
    Range,
    RecordId,
    SurrealSet,
    Table,
    Value,
)
from sp00ky.proto.whole import casts
from sp00ky.proto.whole.functions import ANY, ARRAY, BYTES, OBJECT, RECORD, TEXT, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_Object = dict[str, Value]


@function("not", kinds=(ANY,))
def negation(value: Value) -> bool:
    return not order.truthy(value)


# --- object ----------------------------------------------------------------------------------------------------------


@function("object::entries", kinds=(OBJECT,))
def entries(value: _Object) -> list[Value]:
    return [[name, value[name]] for name in sorted(value)]


@function("object::from_entries", kinds=(ARRAY,))
def from_entries(items: list[Value]) -> _Object:
    result: _Object = {}
    for item in items:
        if type(item) is not list or len(item) != 2 or type(item[0]) is not str:
            raise EvaluationError("object::from_entries of something other than [name, value]")
        result[item[0]] = item[1]
    return result


@function("object::extend", kinds=(OBJECT, OBJECT))
def extend(left: _Object, right: _Object) -> _Object:
    return {**left, **right}


@function("object::is_empty", kinds=(OBJECT,))
def is_empty(value: _Object) -> bool:
    return not value


@function("object::keys", kinds=(OBJECT,))
def keys(value: _Object) -> list[Value]:
    return sorted(value)


@function("object::len", kinds=(OBJECT,))
def length(value: _Object) -> int:
    return len(value)


@function("object::values", kinds=(OBJECT,))
def values(value: _Object) -> list[Value]:
    return [value[name] for name in sorted(value)]


@function("object::remove", kinds=(OBJECT, frozenset({str, list})))
def remove(value: _Object, names: Value) -> _Object:
    gone = names if type(names) is list else [names]
    if not all(type(name) is str for name in gone):
        raise EvaluationError("object::remove of something other than names")
    return {name: item for name, item in value.items() if name not in gone}


# --- record ----------------------------------------------------------------------------------------------------------


@function("record::id", "meta::id", kinds=(RECORD,))
def record_key(record: RecordId) -> Value:
    return record.key


@function("record::tb", "record::table", "meta::tb", kinds=(RECORD,))
def record_table(record: RecordId) -> str:
    return record.table


# --- type ------------------------------------------------------------------------------------------------------------

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
}


@function("type::of", kinds=(ANY,))
def type_of(value: Value) -> str:
    name = _NAMES.get(type(value))
    if name is None:
        raise NotPlain("type::of of this kind")
    return name


def _is(*kinds: type) -> frozenset[type]:
    return frozenset(kinds)


_PREDICATES = {
    "array": _is(list),
    "bool": _is(bool),
    "bytes": _is(bytes),
    "datetime": _is(Datetime),
    "decimal": _is(Decimal),
    "duration": _is(Duration),
    "float": _is(float),
    "geometry": _is(Geometry),
    "int": _is(int),
    "none": _is(type(NONE)),
    "null": _is(type(None)),
    "number": _is(int, float, Decimal),
    "object": _is(dict),
    "range": _is(Range),
    "set": _is(SurrealSet),
    "string": _is(str),
    "uuid": _is(UUID),
}


def _register_predicates() -> None:
    for name, kinds in _PREDICATES.items():
        function(f"type::is_{name}", kinds=(ANY,))(lambda value, kinds=kinds: type(value) in kinds)


_register_predicates()


@function("type::is_record", kinds=(ANY, TEXT), optional=1)
def is_record(value: Value, table: str | None = None) -> bool:
    return type(value) is RecordId and (table is None or value.table == table)


@function("type::array", kinds=(ANY,))
def as_array(value: Value) -> Value:
    return casts.to_array(value)


@function("type::bool", kinds=(ANY,))
def as_bool(value: Value) -> Value:
    return casts.to_bool(value)


@function("type::datetime", kinds=(ANY,))
def as_datetime(value: Value) -> Value:
    return casts.to_datetime(value)


@function("type::decimal", kinds=(ANY,))
def as_decimal(value: Value) -> Value:
    return casts.to_decimal(value)


@function("type::duration", kinds=(ANY,))
def as_duration(value: Value) -> Value:
    return casts.to_duration(value)


@function("type::float", kinds=(ANY,))
def as_float(value: Value) -> Value:
    return casts.to_float(value)


@function("type::int", kinds=(ANY,))
def as_int(value: Value) -> Value:
    return casts.to_int(value)


@function("type::number", kinds=(ANY,))
def as_number(value: Value) -> Value:
    return casts.to_number(value)


@function("type::string", kinds=(ANY,))
def as_string(value: Value) -> Value:
    return casts.to_string(value)


@function("type::uuid", kinds=(ANY,))
def as_uuid(value: Value) -> Value:
    return casts.to_uuid(value)


@function("type::record", kinds=(frozenset({str, RecordId, Table}), ANY), optional=1)
def as_record(table: Value, *key: Value) -> RecordId:
    if not key:
        return casts.to_record(table)
    name = table.name if type(table) is Table else table
    if type(name) is not str or type(key[0]) not in (int, str, UUID, list, dict) or key[0] == "":
        raise NotPlain("type::record with a key of this kind")
    return RecordId(name, key[0])


# --- crypto, encoding ------------------------------------------------------------------------------------------------


@function("crypto::md5", kinds=(TEXT,))
def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@function("crypto::sha1", kinds=(TEXT,))
def sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@function("crypto::sha256", kinds=(TEXT,))
def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@function("crypto::sha512", kinds=(TEXT,))
def sha512(text: str) -> str:
    return hashlib.sha512(text.encode()).hexdigest()


@function("encoding::base64::encode", kinds=(BYTES,))
def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


@function("encoding::json::encode", kinds=(ANY,))
def to_json(value: Value) -> str:
    return encode_json(value).decode()
