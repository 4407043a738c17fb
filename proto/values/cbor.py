"""SurrealDB's CBOR, the encoding of its RPC protocol, to and from our kinds.

The framing is cbor2's (C). The tags are SurrealDB's: 6 NONE · 7 table · 8 record · 9/37 uuid · 10 decimal · 12
datetime [s, ns] · 13/14 duration · 49 range · 50/51 bounds · 55 file · 56 set · 88–94 geometry. CBOR null is NULL.
The official SDK's codec is not used: it is plain Python (28 µs a row of 7 fields against 7) and its decode stops the
event loop for as long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import cbor2
from cbor2 import CBORTag
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
    SurrealSet,
    Table,
    Value,
)
from sp00ky.proto.values.order import sort_key

_ATOMS = frozenset({str, int, bool, float, bytes, type(None)})
_NONE_TAG = CBORTag(6, None)
_I64 = range(-(2**63), 2**63)
_GEOMETRY_TAGS = {
    "Point": 88,
    "LineString": 89,
    "Polygon": 90,
    "MultiPoint": 91,
    "MultiLineString": 92,
    "MultiPolygon": 93,
    "GeometryCollection": 94,
}
_DURATION_PART = re.compile(r"(\d+)(ns|us|µs|μs|ms|s|m|h|d|w|y)")
_UNIT_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
    "w": 7 * 86400 * 10**9,
    "y": 365 * 86400 * 10**9,
}


class CborError(ValueError):
    """Bytes that are no SurrealDB value, or a value SurrealDB cannot take (an integer beyond 64 bits, a regex)."""


def encode(value: Value) -> bytes:
    """CBOR bytes of a value; raises CborError."""
    return cbor2.dumps(_tagged(value))


def decode(data: bytes) -> Value:
    """The value of these CBOR bytes; raises CborError."""
    try:
        return cbor2.loads(data, tag_hook=_untag)
    except (cbor2.CBORDecodeError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise CborError(f"not a SurrealDB CBOR value: {error}") from error


def duration_from_text(text: str) -> Duration:
    """`1h30m` → Duration; raises CborError."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise CborError(f"not a duration: {text!r}")
    return Duration(sum(int(number) * _UNIT_NS[unit] for number, unit in parts))


def _tagged(value: Value) -> Any:
    kind = type(value)
    if kind is int and value not in _I64:
        raise CborError(f"integer {value} does not fit SurrealDB's 64 bits")
    if kind in _ATOMS:
        return value
    if kind is dict:
        return {name: _tagged(item) for name, item in value.items()}
    if kind is list or kind is tuple:
        return [_tagged(item) for item in value]
    tag = _TAGS.get(kind)
    if tag is None:
        raise CborError(f"value of type {kind.__name__} cannot be sent to SurrealDB")
    return tag(value)


def _geometry_tag(value: Geometry) -> CBORTag:
    if value.kind == "Point":
        return CBORTag(88, list(value.coordinates))
    if value.kind == "GeometryCollection":
        return CBORTag(94, [_geometry_tag(part) for part in value.coordinates])
    inner = {"LineString": "Point", "Polygon": "LineString", "MultiPoint": "Point"}.get(value.kind)
    inner = inner or {"MultiLineString": "LineString", "MultiPolygon": "Polygon"}[value.kind]
    return CBORTag(_GEOMETRY_TAGS[value.kind], [_geometry_tag(Geometry(inner, part)) for part in value.coordinates])


_TAGS: dict[type, Callable[[Any], CBORTag]] = {
    NoneKind: lambda value: _NONE_TAG,
    RecordId: lambda value: CBORTag(8, [value.table, _tagged(value.key)]),
    Datetime: lambda value: CBORTag(12, [value.seconds, value.nanos]),
    Duration: lambda value: CBORTag(14, list(divmod(value.ns, 1_000_000_000))),
    Decimal: lambda value: CBORTag(10, str(value)),
    UUID: lambda value: CBORTag(37, value.bytes),
    SurrealSet: lambda value: CBORTag(56, [_tagged(item) for item in value.values]),
    Range: lambda value: CBORTag(49, [_tagged(value.begin), _tagged(value.end)]),
    Bound: lambda value: CBORTag(50 if value.inclusive else 51, _tagged(value.value)),
    Geometry: _geometry_tag,
    Table: lambda value: CBORTag(7, value.name),
    File: lambda value: CBORTag(55, [value.bucket, value.key]),
}


def _seconds(parts: Any) -> tuple[int, int]:
    seconds = parts[0] if len(parts) > 0 else 0  # trailing zero parts are left out on this wire
    return seconds, parts[1] if len(parts) > 1 else 0


def _datetime_from_text(text: Any) -> Datetime:
    moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Datetime.of(int(moment.replace(microsecond=0).timestamp()), moment.microsecond * 1000)


def _coordinates(parts: Any) -> tuple[Any, ...]:
    return tuple(part.coordinates if isinstance(part, Geometry) else part for part in parts)


_UNTAG: dict[int, Callable[[Any], Value]] = {
    0: _datetime_from_text,
    6: lambda value: NONE,
    7: Table,
    8: lambda value: RecordId(value[0], value[1]),
    9: UUID,
    10: Decimal,
    12: lambda value: Datetime.of(*_seconds(value)),
    13: lambda value: duration_from_text(value) if isinstance(value, str) else Duration.of(*_seconds(value)),
    14: lambda value: Duration.of(*_seconds(value)),
    37: lambda value: value if isinstance(value, UUID) else UUID(bytes=value),
    49: lambda value: Range(*(bound if isinstance(bound, Bound) else None for bound in value)),
    50: lambda value: Bound(value, True),
    51: lambda value: Bound(value, False),
    55: lambda value: File(value[0], value[1]),
    # In the order of values, which is not the order on the wire: there a table's name follows record ids.
    56: lambda value: SurrealSet(tuple(sorted(value, key=sort_key))),
    88: lambda value: Geometry("Point", tuple(value)),
    89: lambda value: Geometry("LineString", _coordinates(value)),
    90: lambda value: Geometry("Polygon", _coordinates(value)),
    91: lambda value: Geometry("MultiPoint", _coordinates(value)),
    92: lambda value: Geometry("MultiLineString", _coordinates(value)),
    93: lambda value: Geometry("MultiPolygon", _coordinates(value)),
    94: lambda value: Geometry("GeometryCollection", tuple(value)),
}


def _untag(tag: CBORTag, *_: object) -> Value:
    untag = _UNTAG.get(tag.tag)
    if untag is None:
        raise CborError(f"unknown CBOR tag {tag.tag}")
    return untag(_mutable(tag.value))


def _mutable(value: Any) -> Any:
    """cbor2 decodes what stands under a tag into hashable twins (tuple, frozendict); ours are lists and dicts."""
    if isinstance(value, tuple):
        return [_mutable(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _mutable(item) for name, item in value.items()}
    return value
