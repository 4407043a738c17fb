"""SurrealDB's text of a record, `<string>$this`, written fast: what every stored record is digested by.

The common kinds are written here, four times as fast as by `text.py`, which is asked for all that is rare: other kinds,
strings with something to escape, numbers with an exponent, years of other than four digits, odd names and ids.

Invariant: `record_text(value) == raw_text(value)` for every object (tests/properties/test_record_text.py).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from sp00ky.proto.values.kinds import Datetime, RecordId, Value
from sp00ky.proto.values.text import datetime_text, inner_text, raw_text

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_DAY_NS: Final = 86_400_000_000_000


def record_text(record: Value) -> str:
    return _object(record) if type(record) is dict else raw_text(record)


def _object(record: dict[str, Value]) -> str:
    if not record:
        return "{  }"
    parts = [_name(name) + _text(record[name]) for name in sorted(record)]
    return "{ " + ", ".join(parts) + " }"


def _text(value: Value) -> str:
    kind = type(value)
    if kind is str:
        plain = value.isprintable() and "'" not in value and "\\" not in value
        return f"'{value}'" if plain else inner_text(value)
    if kind is int:
        return str(value)
    if kind is RecordId:
        return id_text(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is dict:
        return _object(value)
    if kind is list:
        return "[" + ", ".join(map(_text, value)) + "]"
    if kind is float:
        text = repr(value)
        plain = "e" not in text and "n" not in text
        return (text[:-2] if text.endswith(".0") else text) + "f" if plain else inner_text(value)
    if kind is Datetime:
        return _datetime(value)
    return inner_text(value)


def id_text(record_id: RecordId) -> str:
    """`<string>id`."""
    key = record_id.key
    if type(key) is int:
        return f"{_table(record_id.table)}{key}"
    return _table(record_id.table) + _key(key) if type(key) is str else inner_text(record_id)


def _datetime(value: Datetime) -> str:
    days, rest = divmod(value.ns, _DAY_NS)
    seconds, nanos = divmod(rest, 1_000_000_000)
    if nanos:
        return inner_text(value)
    minutes, second = divmod(seconds, 60)
    return f"d'{_day(days)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}Z'"


@lru_cache(maxsize=4_096)
def _day(days: int) -> str:
    return datetime_text(Datetime(days * _DAY_NS)).partition("T")[0]


@lru_cache(maxsize=4_096)
def _name(name: str) -> str:
    """A field's name, with what parts it from its value."""
    return inner_text({name: 0})[2:-3]


@lru_cache(maxsize=4_096)
def _table(name: str) -> str:
    """A record id up to its key."""
    return inner_text(RecordId(name, 0))[:-1]


def _key(key: str) -> str:
    plain = _WORD.match(key) and key not in ("NaN", "Infinity")
    return key if plain else inner_text(RecordId("t", key))[2:]


__all__ = ["id_text", "record_text"]
