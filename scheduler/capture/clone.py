"""The records of a table of the database, chunk by chunk: the clone of a new store, and every comparison.

Ids are read in the database's order by keyset pages, and handed out in chunks that follow the size of what came before:
a scan that begins in the middle of a table costs the database all that lies before it, a read by id does not, and no
kind of id needs escaping.

A first clone keeps, per table, the last id whose chunk is durable. What the feed told of meanwhile is durable with it
(`alignment.py`), so a clone that was interrupted goes on behind that id, if the feed can be read on from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.datastore.datastore import Datastore, MetaWrite

CHUNK_ROWS_MAX: Final = 1000
REMOVED_ROWS_MAX: Final = 10_000  # in one transaction
CLONE_META: Final = b"capture/clone"  # there while a first clone is unfinished
_TABLE_META: Final = b"capture/clone/"
_DONE: Final = True
SMALL_TABLES_MAX: Final = 100  # that are read in one request
SMALL_ROWS_MAX: Final = 100
_CHUNK_ROWS_FIRST: Final = 100
_CHUNK_BYTES: Final = 4 * 1024 * 1024
_ID_PAGE: Final = 50_000


class CloneProgress:
    """Of a first clone. `mark` returns what to commit with the chunk that it speaks of."""

    def __init__(self, store: Datastore) -> None:
        self._store = store

    @property
    def is_open(self) -> bool:
        return self._store.meta(CLONE_META) is not None

    def is_done(self, table: str) -> bool:
        return self._value(table) is _DONE

    def after(self, table: str) -> RecordId | None:
        """The last id whose chunk is durable; None: from the beginning."""
        value = self._value(table)
        return None if value is None else RecordId(table, value[0])

    def mark(self, table: str, last: RecordId | None) -> MetaWrite:
        """`last`: None when the table is done."""
        return MetaWrite(_TABLE_META + table.encode(), pack(_DONE if last is None else [last.key]))

    def begin(self) -> list[MetaWrite]:
        return [*self.end(), MetaWrite(CLONE_META, pack(True))]

    def end(self) -> list[MetaWrite]:
        return [MetaWrite(name, None) for name, _ in self._store.metas(CLONE_META)]

    def _value(self, table: str) -> Value:
        packed = self._store.meta(_TABLE_META + table.encode())
        return None if packed is None else unpack(packed)


async def small_tables(database: Database, names: Sequence[str]) -> dict[str, Sequence[RecordId]]:
    """The ids of those of these tables that have few."""
    texts = (f"SELECT VALUE id FROM {escape_ident(name)} LIMIT {SMALL_ROWS_MAX + 1}" for name in names)
    results = await database.query_raw("; ".join(texts))
    found: dict[str, Sequence[RecordId]] = {}
    for name, result in zip(names, results, strict=True):
        if not result.ok and result.kind != "NotFound":
            raise QueryError(result.error, result.kind, 0)
        ids = result.result or () if result.ok else ()
        if len(ids) <= SMALL_ROWS_MAX:
            found[name] = ids
    return found


class Chunks:
    """The ids of a table after one, in chunks; tell `weighed` what the last one came to before asking for the next."""

    def __init__(self, database: Database, table: str, after: RecordId | None = None) -> None:
        self._database, self._table, self._after = database, table, after
        self._rows = _CHUNK_ROWS_FIRST

    def weighed(self, size: int) -> None:
        wanted = CHUNK_ROWS_MAX if size == 0 else self._rows * _CHUNK_BYTES // size
        self._rows = max(1, min(wanted, CHUNK_ROWS_MAX, self._rows * 4))

    async def __aiter__(self) -> AsyncIterator[Sequence[RecordId]]:
        while ids := await self._page():
            self._after = ids[-1]
            begin = 0
            while begin < len(ids):
                chunk = ids[begin : begin + self._rows]
                begin += len(chunk)
                yield chunk

    async def _page(self) -> Sequence[RecordId]:
        condition = "" if self._after is None else "WHERE id > $after "
        text = f"SELECT VALUE id FROM {escape_ident(self._table)} {condition}ORDER BY id LIMIT {_ID_PAGE}"
        return list(await rows_of(self._database, text, {"after": self._after}))


def removals(table: str, store: Datastore) -> Iterator[list[common_pb2.Change]]:
    """Deletes of all rows of the replica's table, in transactions of at most `REMOVED_ROWS_MAX`."""
    at, after = store.head_seq, b""
    changes: list[common_pb2.Change] = []
    while page := store.scan(table, at, after, CHUNK_ROWS_MAX):
        after = page[-1].key
        changes += [common_pb2.Change(table=table, op=common_pb2.OP_DELETE, key=row.key) for row in page]
        if len(changes) >= REMOVED_ROWS_MAX:
            yield changes
            changes = []
    if changes:
        yield changes


def replica_keys(table: str, store: Datastore) -> Iterator[list[bytes]]:
    """The keys of the replica's rows, page by page, at the head of now."""
    at, after = store.head_seq, b""
    while page := store.scan(table, at, after, CHUNK_ROWS_MAX):
        after = page[-1].key
        yield [row.key for row in page]


async def absent(database: Database, table: str, keys: Sequence[bytes]) -> list[bytes]:
    """Those of these keys that the database's table does not have."""
    if not keys:
        return []
    ids = [RecordId(table, unpack(key)) for key in keys]
    found = {pack(each.key) for each in await rows_of(database, "SELECT VALUE id FROM $ids", {"ids": ids})}
    return [key for key in keys if key not in found]


async def rows_of(database: Database, text: str, variables: Mapping[str, Value]) -> Sequence[Value]:
    """The first statement's rows; none if the table was removed just now."""
    try:
        rows: Sequence[Value] = (await database.query(text, variables))[0]
    except QueryError as error:
        if error.code is Code.NOT_FOUND:
            return ()
        raise
    return rows
