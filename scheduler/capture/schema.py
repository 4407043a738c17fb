"""The database's schema as far as the mesh acts on it: which tables there are, what of them is not stored, who sees it.

A table with COMPUTED fields, or defined `AS SELECT`, holds more than its records' own bytes: what such a table shows
can change without a change of the table in the feed. What a user sees of a table changes with its PERMISSIONS. So each
table is a row of `_00_schema` in the replica, and a change of one is an entry of the log like any other; views are
planned by those rows:

    {name, computed, derived, indexes: [[field, …]], select, fields: [{name, select}]}

`select` is "FULL", "NONE" or a rule: the text of its expression, as the database writes it. `fields` names, in the
database's order, those that not everyone sees; a name is a path, `tags.*` or `items.*.price`, with names in backticks
where they need it.

Invariant: `_00_schema` holds exactly the captured tables: those of the database but the mesh's own, those that keep
nothing (`DROP`), and those whose names are longer than the mesh takes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sp00ky.proto.database import Database, cause_of
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.capture.feed import MESH_PREFIX
from sp00ky.scheduler.changes import NAME_CHARS_MAX
from sp00ky.scheduler.datastore.datastore import Datastore, Row

SCHEMA_TABLE: Final = "_00_schema"
EVERYONE: Final = "FULL"
NOBODY: Final = "NONE"
# The mesh's own tables are left out by the database: there is one of edges for every user with a view, and to put those
# on the wire and take them apart again is most of what a reading would cost.
TABLES_TEXT: Final = f"SELECT * FROM (INFO FOR DB STRUCTURE).tables WHERE !string::starts_with(name, '{MESH_PREFIX}')"
_TABLES_A_REQUEST: Final = 200
_TOLD_MAX: Final = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableSchema:
    """`number`: the database's own for this table; another one under the same name is another table.

    `indexes`: the fields of each, in whose order rows may be taken; `computed`: names of COMPUTED fields, always
    top-level; `feeds`: derived tables that select from this one; `select`, `fields`: PERMISSIONS FOR select, of the
    table and of the fields (name, rule) that not everyone sees."""

    name: str
    number: int
    dropped: bool = False
    derived: bool = False
    indexes: tuple[tuple[str, ...], ...] = ()
    computed: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    select: str = NOBODY
    fields: tuple[tuple[str, str], ...] = ()


Schema = Mapping[str, TableSchema]


async def read_schema(database: Database) -> Schema:
    """The tables by name, without the mesh's own. Raises Fault if the database cannot be asked."""
    tables = of_fair_name((await database.query(TABLES_TEXT))[0])
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


def of_fair_name(tables: Sequence[Mapping[str, Value]]) -> list[Mapping[str, Value]]:
    """The tables whose names the mesh takes."""
    for name in (table["name"] for table in tables if len(table["name"]) > NAME_CHARS_MAX):
        _tell_left_out(name)
    return [table for table in tables if len(table["name"]) <= NAME_CHARS_MAX]


@lru_cache(_TOLD_MAX)
def _tell_left_out(name: str) -> None:
    """Once a name, as the schema is read again and again."""
    log.error("table %s… is not captured: its name has %d characters, above %d", name[:64], len(name), NAME_CHARS_MAX)


def table_schema(table: Mapping[str, Value], info: Mapping[str, Value]) -> TableSchema:
    """Of a table's line in INFO FOR DB STRUCTURE and its own INFO FOR TABLE STRUCTURE."""
    return TableSchema(
        name=table["name"],
        number=table.get("id", 0),
        dropped=bool(table.get("drop")),
        derived=bool(table.get("view") or False),
        indexes=tuple(tuple(map(str, index["cols"])) for index in info["indexes"] if index["index"] in _BY_VALUE),
        computed=computed_fields(info),
        feeds=tuple(view["name"] for view in info["tables"]),
        select=_select_rule(table),
        fields=tuple((field["name"], rule) for field in info["fields"] if (rule := _select_rule(field)) != EVERYONE),
    )


def computed_fields(info: Mapping[str, Value]) -> tuple[str, ...]:
    """Of INFO FOR TABLE STRUCTURE."""
    return tuple(field["name"] for field in info["fields"] if field.get("computed", NONE) not in (NONE, None))


_BY_VALUE = (
    "",
    "UNIQUE",
)  # kinds of index that comparisons and ORDER BY are answered by; not full text, vectors, counts


def _select_rule(defined: Mapping[str, Value]) -> str:
    """PERMISSIONS FOR select of a table or a field: true, false or the text of an expression in INFO … STRUCTURE."""
    match defined["permissions"]["select"]:
        case True:
            return EVERYONE
        case False:
            return NOBODY
        case rule:
            return str(rule) if rule != EVERYONE else f"({rule})"  # a field that is called FULL


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
        packed = pack(schema_row(table))
        old = before.pop(key, None)
        if old != packed:
            op = common_pb2.OP_CREATE if old is None else common_pb2.OP_UPDATE
            changes.append(common_pb2.Change(table=SCHEMA_TABLE, op=op, key=key, packed=packed))
    changes += [common_pb2.Change(table=SCHEMA_TABLE, op=common_pb2.OP_DELETE, key=key) for key in before]
    return changes


def schema_row(table: TableSchema) -> dict[str, Value]:
    """What `_00_schema` says of a table."""
    return {
        "name": table.name,
        "computed": bool(table.computed),
        "derived": table.derived,
        "indexes": [list(columns) for columns in table.indexes],
        "select": table.select,
        "fields": [{"name": name, "select": rule} for name, rule in table.fields],
    }


def stored_schema(store: Datastore) -> dict[str, Row]:
    """The rows of `_00_schema` at the head, by the table they name."""
    rows: dict[str, Row] = {}
    after = b""
    while page := store.scan(SCHEMA_TABLE, store.head_seq, after):
        after = page[-1].key
        rows.update((unpack(row.key), row) for row in page)
    return rows
