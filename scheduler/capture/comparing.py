"""What only whole reads can find: the schema, derived tables, and tables that are in doubt.

Invariant: a table is forgotten from `stale` only when the changes that its comparison came to are durable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Final

from sp00ky.proto.database import Database
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import PackError, pack, unpack
from sp00ky.scheduler.capture.alignment import Alignment
from sp00ky.scheduler.capture.clone import (
    CHUNK_ROWS_MAX,
    SMALL_ROWS_MAX,
    SMALL_TABLES_MAX,
    Chunks,
    absent,
    removals,
    replica_keys,
    small_tables,
)
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.pace import Pace
from sp00ky.scheduler.capture.poison import Record
from sp00ky.scheduler.capture.progress import NUMBERS_META, UNKNOWN_META
from sp00ky.scheduler.capture.schema import TableSchema, captured, read_schema, schema_changes, stored_schema
from sp00ky.scheduler.datastore.datastore import MetaWrite

ALIGNED_CHANGES_MAX: Final = 100_000  # held in memory for one transaction; more are committed in parts
_ROUNDS_MAX: Final = 3

log = logging.getLogger(__name__)


class Comparing:
    """`split`: comparisons that were too large for one transaction, so that a reader may have seen a part; `readings`:
    of the schema."""

    def __init__(self, database: Database, offering: Offering, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._offering = offering
        self._now_s = now_s
        self.split = 0
        self._pace = Pace()
        self.readings = 0

    @property
    def schema_is_due(self) -> bool:
        """To be read at the next sweep: its turn has come, or there is something that cannot be told without it."""
        offering = self._offering
        if offering.unknown_tables or offering.new_tables:
            return True
        return self._pace.is_due(self._now_s(), asked=offering.has_news)

    async def refresh_schema(self) -> None:
        """Bring `_00_schema` up to date. A table that is gone loses its rows here, since the feed says nothing of it;
        one that is new, or another under its name, is stale."""
        offering, store = self._offering, self._offering.sink.store
        began, offering.has_news = self._now_s(), False
        schema = await read_schema(self._database)
        self._pace.has_read(began, self._now_s())
        self.readings += 1
        tables, stored = captured(schema), stored_schema(store)
        kept_nothing = {name for name, table in schema.items() if table.dropped and store.count(name)}
        removed = (stored.keys() | offering.unknown_tables) - tables.keys()  # the feed told of it, and it is not there
        for name in removed | kept_nothing:
            for changes in removals(name, store):
                await offering.offer([changes])
        before = unpack(store.meta(NUMBERS_META) or pack({}))
        # the feed may yet tell of one that was removed since, under the name of another
        offering.new_tables = {name for name, table in tables.items() if before.get(name) != table.number}
        offering.stale |= offering.new_tables
        changes = schema_changes(schema, stored.values())
        if changes or offering.unknown_tables or before.keys() - tables.keys():
            numbers = {name: number for name, number in before.items() if name in tables}
            meta = [MetaWrite(NUMBERS_META, pack(numbers)), MetaWrite(UNKNOWN_META, None)]
            await offering.offer([changes] if changes else [], meta)
            offering.unknown_tables.clear()
        offering.schema = schema

    def numbers_meta(self, names: Iterable[str]) -> MetaWrite:
        """To commit with the comparison of these tables: until then they are new, or others under their names."""
        known = unpack(self._offering.sink.store.meta(NUMBERS_META) or pack({}))
        schema = self._offering.schema
        return MetaWrite(NUMBERS_META, pack(known | {name: schema[name].number for name in names}))

    async def compare_stale(self, alignment: Alignment) -> None:
        """Align the tables in doubt and the derived ones whose sources changed, and commit."""
        offering = self._offering
        compared: set[str] = set()
        try:
            for _ in range(_ROUNDS_MAX):  # what is folded meanwhile may make a derived table stale again
                names = {name for name in offering.stale if name in offering.schema}
                if not names:
                    break
                compared |= names
                offering.stale -= names
                ordered = sorted(names)
                for begin in range(0, len(ordered), SMALL_TABLES_MAX):
                    some = ordered[begin : begin + SMALL_TABLES_MAX]
                    small = await self.read_small(alignment, some)
                    for name in (name for name in some if name not in small):
                        await self._compare(alignment, offering.schema[name])
            await alignment.commit([self.numbers_meta(compared)] if compared else ())
        except BaseException:
            offering.stale |= compared
            raise
        offering.stale &= offering.schema.keys() | offering.unknown_tables

    async def read_small(self, alignment: Alignment, names: Sequence[str]) -> Set[str]:
        """Align those of these tables that have few records, here and there, all together; which these were."""
        offering, store = self._offering, self._offering.sink.store
        done: set[str] = set()
        waiting: list[Record] = []
        for name, ids in (await small_tables(self._database, names)).items():
            table = offering.schema[name]
            if store.count(name) > SMALL_ROWS_MAX or table.dropped:
                continue
            records = records_of(alignment, ids)
            for keys in (alignment.keys(name), *replica_keys(name, store)):
                records += [(name, key) for key in keys]
            if len(waiting) + len(records) > CHUNK_ROWS_MAX:
                await alignment.read(waiting)
                waiting = []
            waiting += records
            done.add(name)
        await alignment.read(waiting)
        return done

    async def _compare(self, alignment: Alignment, table: TableSchema) -> None:
        if table.dropped:
            return
        store = self._offering.sink.store
        chunks = Chunks(self._database, table.name)
        async for ids in chunks:
            size = alignment.bytes_read
            await alignment.read(records_of(alignment, ids))
            chunks.weighed(alignment.bytes_read - size)
            await self._maybe_split(alignment)
        for keys in (alignment.keys(table.name), *replica_keys(table.name, store)):
            gone = await absent(self._database, table.name, keys)
            if gone:
                await alignment.read((table.name, key) for key in gone)
                await self._maybe_split(alignment)

    async def _maybe_split(self, alignment: Alignment) -> None:
        if len(alignment) > ALIGNED_CHANGES_MAX:
            self.split += 1
            log.warning("a comparison of more than %d changes is committed in parts", ALIGNED_CHANGES_MAX)
            await alignment.commit()


def records_of(alignment: Alignment, ids: Iterable[RecordId]) -> list[Record]:
    """Those with a form here; the others are dead letters of the alignment."""
    records: list[Record] = []
    for record_id in ids:
        try:
            records.append((record_id.table, pack(record_id.key)))
        except (PackError, RecursionError) as error:
            alignment.refuse({"id": record_id}, error)
    return records
