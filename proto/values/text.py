"""Values as SurrealQL text: the literal that evaluates to the value, and the text SurrealDB itself prints.

There is one escaping function, `escape`, and three styles around it, since SurrealDB has two printers that differ in
rare names, and neither prints a literal for every value:

* LITERAL (`to_surql`): parses back to exactly the value, wherever an expression may stand.
* CAST (`display`, `record_id_text`): what `<string>value` gives.
* JSON: what the HTTP answer holds for kinds that JSON lacks (`json.py`).

Source: every form was taken from core 3.2 (`tests/unit/values/test_text.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sp00ky.proto.values.kinds import (
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
from sp00ky.proto.values.literal import LiteralError, read_record_id

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PLAIN_KEY = re.compile(r"[0-9_]*[A-Za-z][A-Za-z0-9_]*\Z")  # digits and underscores alone are quoted
_SPECIAL = re.compile(r"[\0\r\t\n\x08\x0c\\'\"`]")
_ESCAPES = {"\0": "\\0", "\r": "\\r", "\t": "\\t", "\n": "\\n", "\x08": "\\u{8}", "\x0c": "\\f", "\\": "\\\\"}
_NUMBER_WORDS = frozenset({"NaN", "Infinity"})
# Words that SurrealDB itself quotes where a name stands (found by trying every keyword, in lower case) ...
_KEYWORDS = """after all alter before begin break by cancel commit continue create define delete diff false for function
if info insert kill let live none null option rebuild relate remove return select sequence show sleep table throw true
update upsert use value where rand"""
# ... and those that it leaves bare although they may be taken for something else.
_AMBIGUOUS = """explain infinity nan and or not in is contains inside outside intersects from only as fn ml mod this
self group order limit start fetch split omit with version timeout parallel tempfiles containsnot containsall
containsany containsnone allinside anyinside noneinside"""
_RESERVED_TABLES = frozenset(_KEYWORDS.split())
_RESERVED = _RESERVED_TABLES | frozenset(_AMBIGUOUS.split())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = (
    ("y", 31_536_000_000_000_000),
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("µs", 1_000),
    ("ns", 1),
)


class TextError(ValueError):
    """Text that is no record id, or a value that has no SurrealQL text."""


def escape(text: str, quote: str) -> str:
    """`text` between two `quote`s (`'`, `"` or a backtick), escaped. The only escaping there is."""
    body = _SPECIAL.sub(lambda match: _escaped(match.group(), quote), text)
    return f"{quote}{body}{quote}"


def _escaped(character: str, quote: str) -> str:
    return f"\\{quote}" if character == quote else _ESCAPES.get(character, character)


def quote_string(text: str) -> str:
    """A string literal; double quotes if the text holds a single one."""
    return escape(text, '"' if "'" in text else "'")


def escape_ident(name: str) -> str:
    """A name (field, table, alias) as it may stand anywhere in a query; with backticks if it must."""
    if _PLAIN.match(name) and name.lower() not in _RESERVED:
        return name
    return escape(name, "`")


def _escape_table_value(name: str) -> str:
    plain = _PLAIN.match(name) and name.lower() not in _RESERVED_TABLES and name not in _NUMBER_WORDS
    return name if plain else escape(name, "`")


def _escape_key(text: str) -> str:
    return text if _PLAIN_KEY.match(text) and text not in _NUMBER_WORDS else escape(text, "`")


def _escape_key_json(text: str) -> str:
    return text if _PLAIN_KEY.match(text) else escape(text, "`")


def _escape_table_json(name: str) -> str:
    return name if _PLAIN.match(name) else escape(name, "`")


def _escape_field(name: str) -> str:
    return name if _PLAIN.match(name) and name not in _NUMBER_WORDS else escape(name, '"')


def _escape_field_json(name: str) -> str:
    return name if _PLAIN.match(name) else escape(name, '"')


@dataclass(frozen=True, slots=True)
class _Style:
    table: Callable[[str], str]  # the table of a record id
    key: Callable[[str], str]
    field: Callable[[str], str]
    literal: bool = False
    json: bool = False  # floats of geometries with their `f`; a range of keys from an excluded one as `>1..5`


_CAST = _Style(_escape_key, _escape_key, _escape_field)
_JSON = _Style(_escape_table_json, _escape_key_json, _escape_field_json, json=True)
_LITERAL = _Style(escape_ident, _escape_key, _escape_field, literal=True)


def to_surql(value: Value) -> str:
    """The literal that evaluates to the value, in an expression. Raises TextError for a Python type that is no value.

    A File needs SurrealDB's `files` capability to be parsed."""
    return _text(value, _LITERAL)


def display(value: Value) -> str:
    """What `<string>value` gives: strings, uuids, datetimes and decimals bare, all else as inside an array."""
    match value:
        case str():
            return value
        case UUID():
            return str(value)
        case Datetime():
            return datetime_text(value)
        case Decimal():
            return decimal_text(value)
        case bytes():
            return value.decode(errors="replace")
        case _:
            return _text(value, _CAST)


def raw_text(value: Value) -> str:
    """What array::join and string::concat make of a value: strings, uuids and datetimes bare."""
    return display(value) if isinstance(value, str | UUID | Datetime) else _text(value, _CAST)


def inner_text(value: Value) -> str:
    """What `<string>[value]` has between its brackets."""
    return _text(value, _CAST)


def json_text(value: Value) -> str:
    """The text SurrealDB's JSON answers hold for a record id, range, regex or file."""
    return _text(value, _JSON)


def record_id_text(record: RecordId) -> str:
    """`<string>record`: person:1, person:`a b`, person:[1, 'a'], person:u'…'."""
    return _record(record, _CAST)


def parse_record_id(text: str, table_hint: str = "") -> RecordId:
    """The record id of this text: `person:1` (an int that fits 64 bits), `person:abc`, person:`a b` or person:⟨a b⟩,
    arrays, objects, u'…' and ranges of them.

    With a hint, text that is no record id is a key of that table: `abc` is person:abc, `5` is person:5 and
    `person:a-b` has the string key `a-b`. Without one it raises TextError."""
    try:
        return read_record_id(text)
    except LiteralError as error:
        if not table_hint:
            raise TextError(f"not a record id: {text!r}: {error}") from error
    key = text.removeprefix(f"{table_hint}:")
    if not key:
        raise TextError(f"not a record id: {text!r}: the key is empty")
    try:
        return RecordId(table_hint, read_record_id(f"t:{key}").key)
    except LiteralError:
        return RecordId(table_hint, key)


# --- the kinds -------------------------------------------------------------------------------------------------------


def datetime_text(value: Datetime) -> str:
    """RFC 3339 in UTC with 0, 3, 6 or 9 digits of fraction; years outside 0–9999 with a sign, year 0 is 1 BC."""
    days, rest = divmod(value.seconds, 86_400)
    cycles, day = divmod(days, 146_097)  # 400 years each, so that Python's years 1–9999 are enough
    date = _EPOCH + timedelta(days=day)
    year = date.year + 400 * cycles
    hour, rest = divmod(rest, 3600)
    nanos = value.nanos
    fraction = ""
    if nanos:
        digits = 3 if nanos % 1_000_000 == 0 else 6 if nanos % 1000 == 0 else 9
        fraction = f".{nanos // 10 ** (9 - digits):0{digits}d}"
    written = f"{year:04d}" if 0 <= year <= 9999 else f"{'+' if year > 0 else '-'}{abs(year):04d}"
    return f"{written}-{date.month:02d}-{date.day:02d}T{hour:02d}:{rest // 60:02d}:{rest % 60:02d}{fraction}Z"


def duration_text(value: Duration) -> str:
    """Whole units from years (of 365 days) to nanoseconds, no months: `1h30m`, `0ns`."""
    rest, parts = value.ns, []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0ns"


def float_text(value: float) -> str:
    """The shortest digits that read back as the value, never an exponent, no trailing `.0`; NaN, Infinity."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = format(Decimal(repr(value)), "f")
    return text[:-2] if text.endswith(".0") else text


def decimal_text(value: Decimal) -> str:
    """All places, no exponent. (A decimal that was read has no trailing zeros, one that was computed may.)"""
    return format(value, "f")


def geojson(value: Geometry) -> dict[str, Value]:
    """The geometry as the object SurrealDB turns it into: `{type, coordinates}` or `{type, geometries}`."""
    if value.kind == "GeometryCollection":
        return {"type": value.kind, "geometries": [geojson(part) for part in value.coordinates]}
    return {"type": value.kind, "coordinates": _lists(value.coordinates)}


def _lists(coordinates: Any) -> Any:
    return [_lists(item) for item in coordinates] if isinstance(coordinates, tuple) else coordinates


def _text(value: Value, style: _Style) -> str:
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TextError(f"value of type {type(value).__name__} has no SurrealQL text")
    return writer(value, style)


def _float(value: float, style: _Style) -> str:
    text = float_text(value)
    return text if text[-1].isalpha() else f"{text}f"


def _record(value: RecordId, style: _Style) -> str:
    return f"{style.table(value.table)}:{_key(value.key, style)}"


def _key(key: Value, style: _Style) -> str:
    if isinstance(key, str):
        return style.key(key)
    if isinstance(key, Range):
        text = _joined(key, lambda bound: _key(bound, style))
        if style.json and key.begin is not None and not key.begin.inclusive:
            return ">" + text.replace(">..", "..", 1)
        return text
    return _text(key, style)


def _range(value: Range, style: _Style) -> str:
    if not style.literal:
        return _joined(value, lambda bound: _text(bound, style))
    return _joined(value, lambda bound: f"({_text(bound, style)})")


def _joined(value: Range, write: Callable[[Value], str]) -> str:
    begin = "" if value.begin is None else write(value.begin.value) + ("" if value.begin.inclusive else ">")
    end = "" if value.end is None else ("=" if value.end.inclusive else "") + write(value.end.value)
    return f"{begin}..{end}"


def _array(value: list[Value], style: _Style) -> str:
    return "[" + ", ".join([_text(item, style) for item in value]) + "]"


def _set(value: SurrealSet, style: _Style) -> str:
    items = [_text(item, style) for item in value.values]
    if style.literal and items and isinstance(value.values[0], RecordId):
        items[0] = f"({items[0]})"  # `{a:1, …}` would be an object
    return "{" + ", ".join(items) + (",}" if len(items) < 2 else "}")


def _object(value: dict[str, Value], style: _Style) -> str:
    if not value:
        return "{  }"
    fields = [f"{style.field(name)}: {_text(value[name], style)}" for name in sorted(value)]
    return "{ " + ", ".join(fields) + " }"


def _geometry(value: Geometry, style: _Style) -> str:
    if value.kind == "Point" and not style.literal:
        return f"({_coordinates(value.coordinates, style)[1:-1]})"
    if value.kind == "GeometryCollection":
        parts = ", ".join(_geometry(part, style) for part in value.coordinates)
        return f"{{ type: 'GeometryCollection', geometries: [{parts}] }}"
    return f"{{ type: '{value.kind}', coordinates: {_coordinates(value.coordinates, style)} }}"


def _coordinates(item: Any, style: _Style) -> str:
    if isinstance(item, tuple):
        return f"[{', '.join([_coordinates(inner, style) for inner in item])}]"
    return float_text(float(item)) + ("f" if style.literal or style.json else "")  # an integer -0 is 0


def _table(value: Table, style: _Style) -> str:
    if style.literal:
        return f"type::table({quote_string(value.name)})"
    return style.table(value.name) if style.json else _escape_table_value(value.name)


def _file(value: File, style: _Style) -> str:
    return f'f"{_file_part(value.bucket, "-_.")}:{_file_part(value.key, "-_./")}"'


def _file_part(text: str, plain: str) -> str:
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in plain) else f"\\{letter}" for letter in text
    )


_WRITERS: dict[type, Callable[[Any, _Style], str]] = {
    NoneKind: lambda value, style: "NONE",
    type(None): lambda value, style: "NULL",
    bool: lambda value, style: "true" if value else "false",
    int: lambda value, style: str(value),
    float: _float,
    Decimal: lambda value, style: f"{decimal_text(value)}dec",
    str: lambda value, style: quote_string(value),
    Duration: lambda value, style: duration_text(value),
    Datetime: lambda value, style: f"d'{datetime_text(value)}'",
    UUID: lambda value, style: f"u'{value}'",
    list: _array,
    SurrealSet: _set,
    dict: _object,
    Geometry: _geometry,
    bytes: lambda value, style: f'b"{value.hex().upper()}"',
    Table: _table,
    RecordId: _record,
    File: _file,
    Regex: lambda value, style: "/" + (value.pattern.replace("/", "\\/") if style.literal else value.pattern) + "/",
    Range: _range,
    Bound: lambda value, style: _text(value.value, style),
}

__all__ = [
    "TextError",
    "datetime_text",
    "decimal_text",
    "display",
    "duration_text",
    "escape",
    "escape_ident",
    "float_text",
    "geojson",
    "inner_text",
    "json_text",
    "parse_record_id",
    "quote_string",
    "raw_text",
    "record_id_text",
    "to_surql",
]
