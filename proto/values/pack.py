"""The one exact encoding of a value inside the mesh: MessagePack with extension types, object keys in ascending order.

Two equal values have equal bytes, so bytes serve as keys and are what digests are taken of. A packed value delimits
itself: no packed value is a proper prefix of another, so packed record keys can be concatenated with anything.

Extension codes: 1 NONE · 2 record id · 3 datetime · 4 duration · 5 decimal · 6 uuid · 7 set · 8 range · 9 bound
included · 10 bound excluded · 11 geometry · 12 table · 13 file · 14 regex.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from sys import intern
from typing import Any
from uuid import UUID

import msgspec
from msgspec.msgpack import Ext
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

DEPTH_MAX = 128  # nesting of arrays and objects; SurrealDB itself refuses deeper input

_ATOMS = frozenset({str, int, bool, float, bytes, type(None)})
_encoder = msgspec.msgpack.Encoder(order="sorted")
_NONE_EXT = Ext(1, b"")
_NESTING = frozenset({2, 7, 8, 9, 10, 11, 13})  # extensions around packed values
_maybe_beyond_i64 = re.compile(rb"\xcf[\x80-\xff]").search  # a uint64 with its highest bit, or text that looks so
_plain_decode = msgspec.msgpack.Decoder().decode
_TIME = struct.Struct(">qI")
_unpack_time = _TIME.unpack


class PackError(ValueError):
    """A value that has no packed form: an unknown Python type, an integer beyond 64 bits, nesting beyond DEPTH_MAX."""


def pack(value: Value) -> bytes:
    """The value's bytes; raises PackError."""
    try:
        return _encoder.encode(value if type(value) in _ATOMS else _prepare(value, DEPTH_MAX))
    except (OverflowError, UnicodeEncodeError, TypeError) as error:
        raise PackError(f"value has no packed form: {error}") from error


def unpack(data: bytes) -> Value:
    """The value of these bytes; raises PackError if they are not one packed value."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ValueError, TypeError, ArithmeticError, RecursionError, struct.error) as error:
        raise PackError(f"not a packed value: {error}") from error


def holds_only_i64(data: bytes) -> bool:
    """Whether every integer in this packed value is one that SurrealDB has: MessagePack goes on to 2^64 - 1.

    Asked of what callers send packed; every other way into the mesh has no such integer."""
    return _maybe_beyond_i64(data) is None or _is_i64(_plain_decode(data))


def _is_i64(value: Any) -> bool:
    match value:
        case int():
            return value < 1 << 63
        case Ext():
            return value.code not in _NESTING or _is_i64(_plain_decode(value.data))
        case dict():
            return all(map(_is_i64, value.values()))
        case list():
            return all(map(_is_i64, value))
        case _:
            return True


def _prepare(value: Value, depth: int) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if depth == 0:
        raise PackError(f"value nests deeper than {DEPTH_MAX}")
    if kind is dict:
        return {name: item if type(item) in _ATOMS else _prepare(item, depth - 1) for name, item in value.items()}
    if kind is list or kind is tuple:
        return [item if type(item) in _ATOMS else _prepare(item, depth - 1) for item in value]
    encode = _EXTENSIONS.get(kind)
    if encode is None:
        raise PackError(f"value of type {kind.__name__} has no packed form")
    return encode(value, depth - 1)


def _nested(code: int, value: Value, depth: int) -> Ext:
    return Ext(code, _encoder.encode(_prepare(value, depth)))


_EXTENSIONS: dict[type, Any] = {
    NoneKind: lambda value, depth: _NONE_EXT,
    RecordId: lambda value, depth: _nested(2, [value.table, value.key], depth),
    Datetime: lambda value, depth: Ext(3, _TIME.pack(value.seconds, value.nanos)),
    Duration: lambda value, depth: Ext(4, struct.pack(">QI", *divmod(value.ns, 1_000_000_000))),
    Decimal: lambda value, depth: Ext(5, str(value).encode()),
    UUID: lambda value, depth: Ext(6, value.bytes),
    SurrealSet: lambda value, depth: _nested(7, list(value.values), depth),
    Range: lambda value, depth: _nested(8, [value.begin, value.end], depth),
    Bound: lambda value, depth: _nested(9 if value.inclusive else 10, value.value, depth),
    Geometry: lambda value, depth: _nested(11, [value.kind, value.coordinates], depth),
    Table: lambda value, depth: Ext(12, value.name.encode()),
    File: lambda value, depth: _nested(13, [value.bucket, value.key], depth),
    Regex: lambda value, depth: Ext(14, value.pattern.encode()),
}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _extension(code: int, payload: memoryview) -> Value:
    if code == 2:  # the kinds that nearly every record has come first
        table, key = _decode_record_id(payload)
        return RecordId(intern(table), key)
    if code == 3:
        seconds, nanos = _unpack_time(payload)
        return Datetime(seconds * 1_000_000_000 + nanos)
    data = bytes(payload)
    match code:
        case 1:
            return NONE
        case 4:
            return Duration.of(*struct.unpack(">QI", data))
        case 5:
            return Decimal(data.decode())
        case 6:
            return UUID(bytes=data)
        case 7:
            return SurrealSet(tuple(_decoder.decode(data)))
        case 8:
            return Range(*_decoder.decode(data))
        case 9 | 10:
            return Bound(_decoder.decode(data), code == 9)
        case 11:
            kind, coordinates = _decoder.decode(data)
            return Geometry(kind, _tuples(coordinates))
        case 12:
            return Table(data.decode())
        case 13:
            return File(*_decoder.decode(data))
        case 14:
            return Regex(data.decode())
        case _:
            raise ValueError(f"unknown extension type {code}")


_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ext_hook=_extension)
_decode_record_id = msgspec.msgpack.Decoder(tuple[str, Any], ext_hook=_extension).decode
