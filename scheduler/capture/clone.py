"""A table of the database compared with the replica's, as changes: the clone of a new store, and every repair.

Ids are read first, in the database's order by keyset pages, then the records by their ids in chunks that follow the
size of what came before: a scan that begins in the middle of a table costs the database all that lies before it, a read
by id does not, and no kind of id needs escaping. COMPUTED fields are left out, as they are in the feed.

Invariant: with nobody writing, the replica's table equals the database's once these changes are folded. With writers,
what they did meanwhile is in the feed behind the position taken before the comparison began.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence, Set
from typing import Final

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import PackError, pack
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.capture.schema import TableSchema
from sp00ky.scheduler.datastore.datastore import Datastore

CHUNK_ROWS_MAX: Final = 1000
_CHUNK_ROWS_FIRST: Final = 100
_CHUNK_BYTES: Final = 4 * 1024 * 1024
_ID_PAGE: Final = 50_000

log = logging.getLogger(__name__)


async def differences(
    database: Database, table: TableSchema, store: Datastore
) -> AsyncIterator[list[common_pb2.Change]]:
    """Chunks of changes that make the replica's table equal; the consumer folds each before it asks for the next."""
    is_new = store.count(table.name) == 0
    present: set[bytes] = set()  # kept only if there is something that may have to go
    after: RecordId | None = None
    while ids := await _read_ids(database, table.name, after):
        after = ids[-1]
        begin, rows = 0, _CHUNK_ROWS_FIRST
        while begin < len(ids):
            records = await read_records(database, table, ids[begin : begin + rows])
            begin += rows
            rows = _next_rows(rows, sum(map(len, records.values())))
            if not is_new:
                present.update(records)
            if changes := _upserts(table.name, records, store):
                yield changes
    if not is_new:
        for changes in removals(table.name, store, present):
            yield changes


def removals(table: str, store: Datastore, present: Set[bytes] = frozenset()) -> Iterator[list[common_pb2.Change]]:
    """Deletes of the replica's rows whose keys are not present, page by page."""
    with store.holding(store.head_seq) as at:
        after = b""
        while page := store.scan(table, at, after, CHUNK_ROWS_MAX):
            after = page[-1].key
            gone = [row.key for row in page if row.key not in present]
            if gone:
                yield [common_pb2.Change(table=table, op=common_pb2.OP_DELETE, key=key) for key in gone]


async def reread(
    database: Database, table: TableSchema, ids: Sequence[RecordId], store: Datastore
) -> list[common_pb2.Change]:
    """What makes these records of the replica equal to the database's."""
    records = await read_records(database, table, ids)
    changes = _upserts(table.name, records, store)
    for record_id in ids:
        key = pack(record_id.key)
        if key not in records and store.get(table.name, key) is not None:
            changes.append(common_pb2.Change(table=table.name, op=common_pb2.OP_DELETE, key=key))
    return changes


async def read_records(database: Database, table: TableSchema, ids: Sequence[RecordId]) -> dict[bytes, bytes]:
    """Packed key → packed record of those that exist; one that has no packed form is left out, and said."""
    rows = await _rows_of(database, "SELECT * FROM $ids", {"ids": list(ids)})
    records: dict[bytes, bytes] = {}
    for row in rows:
        try:
            record = {name: value for name, value in row.items() if name not in table.computed}
            records[pack(record["id"].key)] = pack(record)
        except (PackError, KeyError, AttributeError) as error:
            log.error("record %r of table %r cannot be captured: %s", row, table.name, error)
    return records


async def _read_ids(database: Database, table: str, after: RecordId | None) -> list[RecordId]:
    condition = "" if after is None else "WHERE id > $after "
    text = f"SELECT VALUE id FROM {escape_ident(table)} {condition}ORDER BY id LIMIT {_ID_PAGE}"
    return list(await _rows_of(database, text, {"after": after}))


async def _rows_of(database: Database, text: str, variables: Mapping[str, Value]) -> Sequence[Value]:
    try:
        rows: Sequence[Value] = (await database.query(text, variables))[0]
    except QueryError as error:
        if error.code is Code.NOT_FOUND:  # the table was removed just now
            return ()
        raise
    return rows


def _next_rows(rows: int, size: int) -> int:
    wanted = CHUNK_ROWS_MAX if size == 0 else rows * _CHUNK_BYTES // size
    return max(1, min(wanted, CHUNK_ROWS_MAX, rows * 4))


def _upserts(table: str, records: Mapping[bytes, bytes], store: Datastore) -> list[common_pb2.Change]:
    changes = []
    for key, packed in records.items():
        row = store.get(table, key)
        if row is None or row.packed != packed:
            op = common_pb2.OP_CREATE if row is None else common_pb2.OP_UPDATE
            changes.append(common_pb2.Change(table=table, op=op, key=key, packed=packed))
    return changes
