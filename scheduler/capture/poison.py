"""What cannot be applied, and why: the draft of a dead letter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sp00ky.proto.database import QueryError
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import PackError, pack
from sp00ky.proto.values.text import record_id_text, to_surql
from sp00ky.scheduler.changes import NAME_CHARS_MAX

CONTENT_CHARS_MAX: Final = 64 * 1024
_REASON_CHARS_MAX: Final = 1000

Record = tuple[str, bytes]  # (table, packed key)


@dataclass(frozen=True, slots=True)
class Poison:
    """`records`: those it is about, as far as known; `names`: the same as text; `content`: what was to be applied, as
    text, cut; `size`: its bytes as far as known."""

    reason: str
    tables: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    names: tuple[str, ...] = ()
    content: str = ""
    size: int = 0


def is_unencodable(error: Exception) -> bool:
    """Whether the database had an answer and could not put it on the wire: something in it, a regex say, has no form
    there, and takes the whole answer with it."""
    return isinstance(error, QueryError) and error.index == -1 and "Failed to encode" in error.message


def poison_of(item: Value, error: Exception) -> Poison:
    """A change of the feed, or a record of the database, that has no form in the mesh."""
    record_id = _id_in(item)
    content = cut_text(item)
    reason = f"{type(error).__name__}: {error}"[:_REASON_CHARS_MAX]
    if record_id is None:
        return Poison(reason, content=content, size=len(content))
    try:
        known = (record_id.table, pack(record_id.key))
        records: tuple[Record, ...] = (known,) if len(record_id.table) <= NAME_CHARS_MAX else ()
    except (PackError, ValueError, RecursionError):
        records = ()
    return Poison(reason, (record_id.table,), records, (name_of(record_id),), content, len(content))


def name_of(record_id: RecordId) -> str:
    try:
        return record_id_text(record_id)[:_REASON_CHARS_MAX]
    except (ValueError, TypeError, RecursionError):
        return f"{record_id.table}:?"


def cut_text(item: Value) -> str:
    for written in (to_surql, repr):
        try:
            return written(item)[:CONTENT_CHARS_MAX]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return "?"


def _id_in(item: Value) -> RecordId | None:
    """Of a change of the feed in any of its formats, or of a record."""
    if not isinstance(item, Mapping):
        return None
    for name in ("current", "update", "delete"):
        inner = item.get(name)
        if isinstance(inner, Mapping) and isinstance(inner.get("id"), RecordId):
            item = inner
            break
    found = item.get("id")
    return found if isinstance(found, RecordId) else None
