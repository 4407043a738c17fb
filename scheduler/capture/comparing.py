"""What only whole reads can find: the schema, derived tables, and records or tables that are in doubt.

Invariant: a table is forgotten from `stale`, a record from `suspects`, only when the changes that its comparison came
to are durable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sp00ky.proto.database import Database
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.clone import CHUNK_ROWS_MAX, differences, removals, reread
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.progress import NUMBERS_META
from sp00ky.scheduler.capture.schema import captured, read_schema, schema_changes, stored_schema
from sp00ky.scheduler.datastore.datastore import MetaWrite

log = logging.getLogger(__name__)


class Comparing:
    def __init__(self, database: Database, offering: Offering) -> None:
        self._database = database
        self._offering = offering

    async def refresh_schema(self) -> None:
        """Bring `_00_schema` up to date. A table that is gone loses its rows here, since the feed says nothing of it;
        one that is new under an old name, or had rows from elsewhere, is stale."""
        offering, store = self._offering, self._offering.sink.store
        schema = await read_schema(self._database)
        tables, stored = captured(schema), stored_schema(store)
        kept_nothing = {name for name, table in schema.items() if table.dropped and store.count(name)}
        for name in (stored.keys() - tables.keys()) | kept_nothing:
            for changes in removals(name, store):
                await offering.offer([changes])
        numbers = {name: table.number for name, table in tables.items()}
        before = unpack(store.meta(NUMBERS_META) or pack({}))
        for name, table in tables.items():
            is_replaced = before.get(name, table.number) != table.number
            has_other_rows = name not in stored and store.count(name) > 0 and name not in offering.unknown_tables
            if is_replaced or has_other_rows or (table.derived and name not in stored):
                offering.stale.add(name)
        changes = schema_changes(schema, stored.values())
        if changes or numbers != before:
            await offering.offer([changes] if changes else [], [MetaWrite(NUMBERS_META, pack(numbers))])
        offering.schema = schema
        offering.unknown_tables.clear()

    async def compare_stale(self) -> bool:
        """Compare the tables in doubt and the derived ones whose sources changed; whether there was anything."""
        offering = self._offering
        if offering.everything_stale:
            offering.stale |= offering.schema.keys()
            offering.everything_stale = False
        stale = sorted(offering.stale)
        await self.compare(stale)
        return bool(stale)

    async def compare(self, names: Iterable[str]) -> None:
        offering = self._offering
        for name in names:
            table = offering.schema.get(name)
            if table is None and name in offering.unknown_tables:
                continue  # still in doubt: the schema that has it is read with the next sweep
            offering.stale.discard(name)
            if table is None or table.dropped:
                continue
            try:
                async for changes in differences(self._database, table, offering.sink.store):
                    await offering.offer([changes])
                    if not table.derived:
                        offering.repairs += len(changes)
            except BaseException:
                offering.stale.add(name)
                raise

    async def reread_suspects(self) -> bool:
        """Read the records in doubt again and log what differs; whether there were any. What was in doubt together is
        mended together, as one transaction: it mostly comes of one."""
        offering = self._offering
        suspects = sorted(offering.suspects)
        for begin in range(0, len(suspects), CHUNK_ROWS_MAX):
            chunk = suspects[begin : begin + CHUNK_ROWS_MAX]
            changes: list[common_pb2.Change] = []
            for name in sorted({table for table, _ in chunk}):
                changes += await self._reread(name, [key for table, key in chunk if table == name])
            if changes:
                await offering.offer([changes])
                offering.repairs += len(changes)
            offering.suspects.difference_update(chunk)
        return bool(suspects)

    async def _reread(self, name: str, keys: Iterable[bytes]) -> list[common_pb2.Change]:
        """What differs of these records of a table."""
        table = self._offering.schema.get(name)
        if table is None:
            return []
        ids = [RecordId(name, unpack(key)) for key in keys]
        changes: list[common_pb2.Change] = await reread(self._database, table, ids, self._offering.sink.store)
        if changes:
            log.warning("%d of %d records of table %s in doubt were repaired", len(changes), len(ids), name)
        return changes
