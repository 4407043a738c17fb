"""A value as SurrealDB's HTTP endpoint `/sql` writes it in JSON, and JSON as a value.

One way and not back: JSON has no record ids, datetimes, durations, uuids, decimals, ranges or files (they become the
strings SurrealDB prints), no bytes (an array of numbers), no sets (arrays), no NONE and no NaN (null). A NONE inside an
object stays, as null. Object keys are in ascending order; a geometry is a GeoJSON object, its keys in order as well.

Source: SurrealDB's `Value::into_json_value` (surrealdb/types/src/value/into_json.rs at 728db44), which is what `/sql`
encodes by serde_json; the same function stands behind `encoding::json::encode`, with which the tests compare.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sp00ky.proto.values.kinds import (
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
from sp00ky.proto.values.text import datetime_text, decimal_text, duration_text, geojson, json_text

_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_SMALLEST_FIXED, _LARGEST_FIXED = 1e-4, 1e15  # between these, orjson and SurrealDB write a float alike
_PADDED_EXPONENT = re.compile(r"e([+-])0+(?=\d)")


class JsonError(ValueError):
    """Text that is not JSON, or a Python type that is no value."""


def encode_json(value: Value) -> bytes:
    """The value's JSON, no white space, exactly SurrealDB's bytes."""
    try:
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise JsonError(f"value has no JSON form: {error}") from error


def from_json(data: bytes | str) -> Value:
    """JSON as a value: null is NULL, strings stay strings, a number is an int if it is written as one, else a float.
    An integer beyond 64 bits becomes a float, as in SurrealDB. Raises JsonError."""
    try:
        return _bounded(orjson.loads(data))
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise JsonError(f"not JSON: {error}") from error


def float_json(value: float) -> str:
    """serde_json's text of a float: shortest digits, an exponent below 1e-5 and from 1e16 on; NaN and infinity null."""
    if not math.isfinite(value):
        return "null"
    text = repr(value)
    if 1e-5 <= abs(value) < _SMALLEST_FIXED:
        return format(Decimal(text), "f")
    return _PADDED_EXPONENT.sub(r"e\1", text)


def _plain(value: Value) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is float:
        if value == 0 or _SMALLEST_FIXED <= abs(value) < _LARGEST_FIXED:
            return value
        return orjson.Fragment(float_json(value))
    if kind is dict:
        return {name: _plain(item) for name, item in value.items()}
    if kind is list:
        return [_plain(item) for item in value]
    convert = _CONVERT.get(kind)
    if convert is None:
        raise JsonError(f"value of type {kind.__name__} has no JSON form")
    return convert(value)


def _bounded(value: Any) -> Value:
    if type(value) is int and not -(2**63) <= value < 2**63:
        return float(value)
    if type(value) is dict:
        return {name: _bounded(item) for name, item in value.items()}
    if type(value) is list:
        return [_bounded(item) for item in value]
    return value


_CONVERT: dict[type, Any] = {
    NoneKind: lambda value: None,
    RecordId: json_text,
    Datetime: datetime_text,
    Duration: duration_text,
    Decimal: decimal_text,
    UUID: str,
    bytes: list,
    SurrealSet: lambda value: [_plain(item) for item in value.values],
    Range: json_text,
    Geometry: lambda value: _plain(geojson(value)),
    Table: lambda value: value.name,
    File: json_text,
    Regex: json_text,
}
