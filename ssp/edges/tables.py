"""The tables of edges: which one a view's edges lie in, how one is made, and when it goes.

In the mode `dedicated` a user's edges lie in a table of the user's own, which that record alone may select from; its
name comes from `proto/edge_tables.py`. The transaction that registers a user's view makes the table, if it is not
there, and writes the user's row of `_00_reader`. A view's row of `_00_view` names its table as long as the view is
registered.

A table is removed in one transaction that finds no view naming it and deletes the row of `_00_reader`, which every
registering and every removing of a view of that user writes as well. So the database puts the three in order, and
refuses one of two at the same time: no table goes in which somebody writes, whichever SSP does. It stays
`KEPT_SECONDS` after the last view, since a client's LIVE query goes with it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.edge_tables import SHARED, dedicated_table, edge_table
from sp00ky.proto.faults import Fault
from sp00ky.proto.values.kinds import Duration, RecordId
from sp00ky.proto.values.text import escape_ident, to_surql
from sp00ky.ssp.edges.outbox import user_of
from sp00ky.ssp.engine.events import ViewKey

KEPT_SECONDS = 300.0
SWEEP_SECONDS = 60.0
TABLES_A_SWEEP_MAX = 16

# What each means is said of the shared table, in deploy/surreal/edges.surql. Fewer fields are defined: nobody but the
# mesh writes here, and each costs 5 % of an edge.
_DEFINE = """
DEFINE TABLE IF NOT EXISTS {table} TYPE RELATION IN _00_query SCHEMALESS COMMENT 'members of views of one user'
    PERMISSIONS FOR select WHERE $auth = {user} FOR create, update, delete NONE;
DEFINE FIELD IF NOT EXISTS updatedAt ON {table} TYPE datetime DEFAULT time::now();
DEFINE INDEX IF NOT EXISTS {index} ON {table} FIELDS in;
"""

UNUSED = "SELECT VALUE id FROM _00_reader WHERE emptied < time::now() - $kept LIMIT $tables_max"

REMOVE = """
BEGIN;
LET $unused = (DELETE $reader WHERE emptied < time::now() - $kept RETURN BEFORE);
IF array::is_empty($unused) OR !array::is_empty((SELECT VALUE id FROM _00_view WHERE edges = $table LIMIT 1)) {
    THROW 'sp00ky: in use'
};
REMOVE TABLE IF EXISTS $table;
COMMIT;
"""
_IN_USE = "sp00ky: in use"

log = logging.getLogger(__name__)


class EdgeTables:
    """Which table each view's edges lie in."""

    def __init__(self, *, dedicated: bool) -> None:
        self.dedicated = dedicated

    def table_of(self, key: ViewKey) -> str:
        return _table_of(key.auth_id, self.dedicated)


@lru_cache(65_536)
def _table_of(auth_id: str, dedicated: bool) -> str:
    return edge_table(user_of(auth_id) if auth_id else None, dedicated=dedicated)


def define(auth: RecordId) -> str:
    """Statements that make a user's own table."""
    table = dedicated_table(auth)
    return _DEFINE.format(table=escape_ident(table), index=escape_ident(f"{table}_in"), user=to_surql(auth))


def reader_row(auth: RecordId) -> RecordId:
    """One row per user who has a table of edges; its key is the table's name."""
    return RecordId("_00_reader", dedicated_table(auth))


class TableSweep:
    """Removes the tables that no view has used for a while; any SSP may, in either mode."""

    def __init__(self, database: Database, kept_seconds: float = KEPT_SECONDS) -> None:
        self._database = database
        self._kept = Duration(int(kept_seconds * 1e9))
        self.removed = 0

    async def run(self) -> None:
        """Sweep every minute; ends only by cancellation."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Fault as fault:
                log.info("tables of edges not looked through: %s", fault)

    async def sweep(self) -> int:
        """How many tables were removed, of at most `TABLES_A_SWEEP_MAX`. Raises Fault."""
        found = (await self._database.query(UNUSED, {"kept": self._kept, "tables_max": TABLES_A_SWEEP_MAX}))[0]
        removed = 0
        for reader in found:
            assert str(reader.key).startswith(f"{SHARED}_"), reader
            try:
                await self._database.query(REMOVE, {"reader": reader, "table": reader.key, "kept": self._kept})
            except QueryError as error:
                if not error.retryable and _IN_USE not in error.message:
                    raise
            else:
                removed += 1
        self.removed += removed
        return removed
