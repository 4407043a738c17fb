"""Documents in SurrealDB: a row of `_00_crdt` each, written together with the record's own field.

`state` is a snapshot in base64, `rev` counts the mesh's writes. A write is one transaction that throws unless row and
state are what was read (compare-and-set), so of two SSPs one merges again. A client that writes `state` itself replaces
what it may not have seen; an event keeps that in `_00_crdt_push` within the client's own transaction, and whoever reads
the row next merges it again. So nothing that was acknowledged is ever only in one place that others may overwrite.

Values travel as parameters; the one name in a text is the field's, escaped.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from blake3 import blake3
from sp00ky.proto.database import Database, cause_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.text import escape_ident, record_id_text
from sp00ky.ssp.crdt.declared import Kind

TABLE: Final = "_00_crdt"
_CONFLICT: Final = "can be retried"  # another transaction wrote what this one read
_MOVED: Final = "sp00ky: moved"
_NO_RECORD: Final = "sp00ky: no record"
_TAKEN: Final = "already contains"  # the unique index: another made the row first

_LOAD: Final = """
LET $row = (SELECT id, state, rev, kind, base, base_at FROM _00_crdt
    WHERE record_id = $record AND field = $field LIMIT 1)[0];
LET $pushes = (SELECT id, state FROM _00_crdt_push WHERE row = $row.id);
RETURN [$row, $pushes];
"""
_EXPECTED: Final = """
BEGIN;
LET $now = (SELECT rev, state FROM ONLY $row);
IF ($now.rev ?? 0) != $rev OR crypto::blake3($now.state ?? '') != $sum { THROW 'sp00ky: moved' };
"""
_SAVE: Final = """
LET $touched = (UPDATE $record SET %s = $value RETURN VALUE id);
IF array::is_empty($touched) { THROW 'sp00ky: no record' };
UPSERT $row MERGE $content RETURN NONE;
DELETE $pushes RETURN NONE;
COMMIT;
"""
_SHOW: Final = """
IF (SELECT VALUE id FROM ONLY $record) = NONE { THROW 'sp00ky: no record' };
UPSERT $row MERGE $content RETURN NONE;
COMMIT;
"""
_PUSHED: Final = "SELECT id, row, row.record_id AS record, row.field AS field FROM _00_crdt_push LIMIT $rows"
# NONE is less than any time: without the first bound this would delete every document.
_EXPIRE: Final = """
DELETE _00_crdt WHERE shown_at > d'1970-01-01T00:00:00Z' AND shown_at < time::now() - $age
    AND string::starts_with(field, '_cursor_') RETURN NONE
"""


class Place(NamedTuple):
    """Where a document is."""

    record: RecordId
    field: str

    def __str__(self) -> str:
        return f'"{self.field}" of {record_id_text(self.record)}'


class Mark(NamedTuple):
    """A version that history is kept from once it is old enough: Loro's frontiers, and unix seconds."""

    frontiers: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Stored:
    """A row without its state, of which `sum` is the digest and `size` the characters. `pushed`: rows of what clients
    have overwritten."""

    row: RecordId
    rev: int
    sum: str
    size: int = 0
    kind: str = ""
    mark: Mark | None = None
    pushed: Sequence[RecordId] = ()


def digest(state: str) -> str:
    """As SurrealDB's crypto::blake3."""
    return blake3(state.encode()).hexdigest()


class Moved(Exception):
    """Row or state are not what was read."""


class Declined(Fault):
    """The database took neither state nor value: its own rules refuse the value, or there is no such record."""


def decoded(text: str) -> bytes:
    """Of base64. Raises Fault INVALID."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Fault(Code.INVALID, f"the update is not base64: {error}") from None


def row_of(place: Place) -> RecordId:
    """The row that we make; one that a client made may be called otherwise."""
    name = f"{record_id_text(place.record)}\0{place.field}"
    return RecordId(TABLE, blake3(name.encode()).hexdigest(32 // 2))


class Store:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, place: Place) -> tuple[Stored, list[str]]:
        """The row, and the states to be merged: its own first, if it has one. Raises Fault UNAVAILABLE, TIMEOUT."""
        named = {"record": place.record, "field": place.field}
        [row, pushes] = (await self._database.query(_LOAD, named))[-1]
        if not isinstance(row, Mapping):
            return Stored(row_of(place), 0, digest("")), []
        at, base = row.get("base_at"), row.get("base")
        mark = Mark(base, float(at)) if isinstance(base, bytes) and isinstance(at, int | float) else None
        state = _text(row.get("state"))
        stored = Stored(
            row=row["id"],
            rev=_whole(row.get("rev")),
            sum=digest(state),
            size=len(state),
            kind=_text(row.get("kind")),
            mark=mark,
            pushed=[push["id"] for push in pushes],
        )
        return stored, [text for text in (state, *(_text(push.get("state")) for push in pushes)) if text]

    async def save(
        self, place: Place, was: Stored, *, state: bytes, kind: Kind, value: Value, peer: str, mark: Mark | None
    ) -> Stored:
        """Write state and value together. Raises Moved, Declined, or Fault UNAVAILABLE or TIMEOUT: then it may or may
        not be written."""
        text = base64.b64encode(state).decode()
        content = {
            "record_id": place.record,
            "field": place.field,
            "state": text,
            "rev": was.rev + 1,
            "kind": str(kind),
            "peer": peer,
            "base": mark.frontiers if mark else NONE,
            "base_at": mark.at if mark else NONE,
        }
        surql = _EXPECTED + _SAVE % escape_ident(place.field)
        await self._written(surql, place, was, content, value=value, pushes=list(was.pushed))
        return Stored(was.row, was.rev + 1, digest(text), len(text), str(kind), mark)

    async def show(self, place: Place, was: Stored, state: bytes) -> None:
        """Write what is ephemeral: no value, and gone after its time. Raises as `save`."""
        content = {
            "record_id": place.record,
            "field": place.field,
            "state": base64.b64encode(state).decode(),
            "rev": was.rev + 1,
        }
        await self._written(_EXPECTED + _SHOW, place, was, content)

    async def _written(self, surql: str, place: Place, was: Stored, content: Value, **more: Value) -> None:
        expected = {"row": was.row, "rev": was.rev, "sum": was.sum, "record": place.record, "content": content}
        results = await self._database.query_raw(surql, {**expected, **more})
        error = cause_of(results)
        if error is None:
            return
        said = " ".join(result.error for result in results)
        if _CONFLICT in said or _MOVED in said or (_TAKEN in said and TABLE in error.message):
            raise Moved
        if _NO_RECORD in said:
            message = f"{record_id_text(place.record)} does not exist"
            raise Declined(Code.NOT_FOUND, message, "create the record first")
        raise Declined(Code.INVALID, f"SurrealDB refuses {place}: {error.message}"[:500])

    async def pushed(self, rows_max: int) -> Sequence[tuple[RecordId, Place | None]]:
        """What clients overwrote and nobody has merged yet: its row, and where it belongs unless that is gone."""
        [rows] = await self._database.query(_PUSHED, {"rows": rows_max})
        return [(row["id"], _place(row.get("record"), row.get("field"))) for row in rows]

    async def drop_pushed(self, pushes: Sequence[RecordId]) -> None:
        await self._database.query("DELETE $pushes RETURN NONE", {"pushes": list(pushes)}, conflict_retries=3)

    async def expire(self, age: Value) -> None:
        """Delete what is ephemeral and was not written for `age`, a duration."""
        await self._database.query(_EXPIRE, {"age": age}, conflict_retries=3)


def _place(record: Value, field: Value) -> Place | None:
    return Place(record, field) if isinstance(record, RecordId) and isinstance(field, str) else None


def _whole(value: Value) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""
