"""The database's schema as far as the mesh acts on it: which tables there are, and what of them is not stored.

A table with COMPUTED fields, or defined `AS SELECT`, holds more than its records' own bytes: what such a table shows
can change without a change of the table in the feed. So each table is a row of `_00_schema` in the replica, and a
change of one is an entry of the log like any other; views are planned by those rows.

Invariant: `_00_schema` holds exactly the captured tables: those of the database but the mesh's own and those that keep
nothing (`DROP`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sp00ky.proto.database import Database, cause_of
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.capture.feed import MESH_PREFIX
from sp00ky.scheduler.datastore.datastore import Datastore, Row

SCHEMA_TABLE: Final = "_00_schema"
_TABLES_A_REQUEST: Final = 200


@dataclass(frozen=True, slots=True)
class TableSchema:
    """`number`: the database's own for this table; another one under the same name is another table.

    `indexed`: a LIMIT without ORDER BY may take rows in an index's order; `computed`: names of COMPUTED fields, always
    top-level; `feeds`: derived tables that select from this one."""

    name: str
    number: int
    dropped: bool = False
    derived: bool = False
    indexed: bool = False
    computed: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()


Schema = Mapping[str, TableSchema]


async def read_schema(database: Database) -> Schema:
    """The tables by name, without the mesh's own. Raises Fault if the database cannot be asked."""
    tables = tables_of((await database.query("INFO FOR DB STRUCTURE"))[0])
    schema: dict[str, TableSchema] = {}
    for begin in range(0, len(tables), _TABLES_A_REQUEST):
        chunk = tables[begin : begin + _TABLES_A_REQUEST]
        asked = ";".join(f"INFO FOR TABLE {escape_ident(table['name'])} STRUCTURE" for table in chunk)
        results = await database.query_raw(asked)
        failure = cause_of(results)
        if failure is not None and failure.code is not Code.NOT_FOUND:
            raise failure
        for table, result in zip(chunk, results, strict=True):
            if result.ok:  # else it was removed just now
                schema[table["name"]] = table_schema(table, result.result)
    return schema


def tables_of(info: Mapping[str, Value]) -> list[Mapping[str, Value]]:
    """Of INFO FOR DB STRUCTURE: the tables that are not the mesh's own."""
    return [table for table in info["tables"] if not table["name"].startswith(MESH_PREFIX)]


def table_schema(table: Mapping[str, Value], info: Mapping[str, Value]) -> TableSchema:
    """Of a table's line in INFO FOR DB STRUCTURE and its own INFO FOR TABLE STRUCTURE."""
    return TableSchema(
        name=table["name"],
        number=table.get("id", 0),
        dropped=bool(table.get("drop")),
        derived=bool(table.get("view") or False),
        indexed=bool(info["indexes"]),
        computed=tuple(field["name"] for field in info["fields"] if field.get("computed", NONE) not in (NONE, None)),
        feeds=tuple(view["name"] for view in info["tables"]),
    )


def captured(schema: Schema) -> Schema:
    return {name: table for name, table in schema.items() if not table.dropped}


def fed_by(schema: Schema, tables: Iterable[str]) -> set[str]:
    """The derived tables that select from these, over any number of steps."""
    found: set[str] = set()
    waiting = list(tables)
    while waiting:
        table = schema.get(waiting.pop())
        for name in table.feeds if table is not None else ():
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def schema_changes(schema: Schema, stored: Iterable[Row]) -> list[common_pb2.Change]:
    """What turns the stored rows of `_00_schema` into this schema."""
    before = {row.key: row.packed for row in stored}
    changes = []
    for table in captured(schema).values():
        key = pack(table.name)
        facts = {"computed": bool(table.computed), "derived": table.derived, "indexed": table.indexed}
        packed = pack({"name": table.name, **facts})
        old = before.pop(key, None)
        if old != packed:
            op = common_pb2.OP_CREATE if old is None else common_pb2.OP_UPDATE
            changes.append(common_pb2.Change(table=SCHEMA_TABLE, op=op, key=key, packed=packed))
    changes += [common_pb2.Change(table=SCHEMA_TABLE, op=common_pb2.OP_DELETE, key=key) for key in before]
    return changes


def stored_schema(store: Datastore) -> dict[str, Row]:
    """The rows of `_00_schema` at the head, by the table they name."""
    rows: dict[str, Row] = {}
    after = b""
    while page := store.scan(SCHEMA_TABLE, store.head_seq, after):
        after = page[-1].key
        rows.update((unpack(row.key), row) for row in page)
    return rows
