"""Reads rows of `_00_query` so that no row stands in the way of another, whatever is in it.

The database says first which rows there are and how large each is, and only then are they read: several at a time, as
long as they are not more than `BATCH_BYTES_MAX` together, so that an answer is a small part of a frame. The database
refuses rows that are too large (deploy/surreal/views.surql); one that is there all the same, stored before it did or
past its rules (`OPTION IMPORT`), is never sent: it comes with its size (`bytes`) in place of its fields, and is
refused for that. A row whose size cannot be found, since it has no form on the wire, is passed over.

Invariant: what a row holds makes no reading of others fail. What fails for another reason raises.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.registering import statements
from sp00ky.scheduler.registering.rows import BY_CLIENT
from sp00ky.scheduler.registering.specs import ROW_BYTES_MAX

ROWS_MAX: Final = 200  # whose sizes are asked for in one request, and which are carried out at a time
BATCH_BYTES_MAX: Final = ROW_BYTES_MAX

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Read:
    """`rows` that there are, in the order asked for; `unreadable`: packed keys of rows that were passed over."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    unreadable: set[bytes] = field(default_factory=set)


async def read_rows(database: Database, ids: Sequence[RecordId]) -> Read:
    """At most ROWS_MAX rows by id. Of a row that the mesh made, which asks for nothing, only whose it is. Raises
    Fault."""
    read = Read()
    sized = await _sized(database, ids, read)
    small = [row for row in sized if row["registration"] == BY_CLIENT and row["bytes"] <= ROW_BYTES_MAX]
    whole: dict[bytes, Mapping[str, Any]] = {}
    for batch in _batches(small):
        rows: Sequence[Mapping[str, Any]] = (await database.query(statements.ROWS, {"rows": batch}))[0]
        whole.update((pack(row["id"].key), row) for row in rows)
    is_small = {pack(row["id"].key) for row in small}
    for row in sized:
        key = pack(row["id"].key)
        if key in whole or key not in is_small:  # else it was deleted meanwhile
            read.rows.append(whole.get(key, row))
    return read


async def read_all(database: Database) -> AsyncIterator[Read]:
    """All rows, page by page. Raises Fault."""
    variables: dict[str, Value] = {"rows_max": ROWS_MAX}
    ids: list[RecordId] = (await database.query(statements.FIRST_PAGE, variables))[0]
    while ids:
        yield await read_rows(database, ids)
        ids = (await database.query(statements.NEXT_PAGE, variables | {"after": ids[-1]}))[0]


async def _sized(database: Database, ids: Sequence[RecordId], read: Read) -> list[Mapping[str, Any]]:
    """Each with its size; one by one where one of them has none."""
    [answer] = await database.query_raw(statements.SIZES, {"rows": ids})
    if answer.ok:
        return list(answer.result)
    if statements.HAS_NO_SIZE not in answer.error:
        raise QueryError(answer.error, answer.kind, 0)
    if len(ids) == 1:
        log.warning("row %s is passed over, since it cannot be read: %s", ids[0], answer.error)
        read.unreadable.add(pack(ids[0].key))
        return []
    middle = len(ids) // 2
    return [*await _sized(database, ids[:middle], read), *await _sized(database, ids[middle:], read)]


def _batches(sized: Sequence[Mapping[str, Any]]) -> list[list[RecordId]]:
    batches: list[list[RecordId]] = []
    total = 0
    for row in sized:
        total += row["bytes"]
        if not batches or total > BATCH_BYTES_MAX:
            batches.append([])
            total = row["bytes"]
        batches[-1].append(row["id"])
    return batches
