"""The edges as SurrealDB holds them, whichever table they lie in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sp00ky.proto.database import Database
from sp00ky.proto.edge_tables import SHARED, edge_table
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.text import display, escape_ident, parse_record_id


@dataclass(frozen=True, slots=True)
class StoredEdge:
    table: str
    view: str
    user: str  # whose view it is; empty: nobody's
    member: str
    version: int


def query_row(view: str, user: str = "") -> RecordId:
    """The row of `_00_query` that the view's edges start at."""
    return RecordId("_00_query", [view, parse_record_id(user)] if user else view)


def table_of(user: str = "", *, dedicated: bool = True) -> str:
    return edge_table(parse_record_id(user) if user else None, dedicated=dedicated)


async def edge_tables(database: Database) -> list[str]:
    """Every table of edges that there is."""
    (tables,) = await database.query("RETURN object::keys((INFO FOR DB).tables)")
    return [name for name in tables if name == SHARED or name.startswith(f"{SHARED}_")]


async def stored_edges(database: Database, tables: Iterable[str] | None = None) -> list[StoredEdge]:
    """All edges of these tables (by default of all) at one moment."""
    names = list(await edge_tables(database) if tables is None else tables)
    text = "; ".join(f"SELECT in, out, version FROM {escape_ident(name)}" for name in names)
    answers = (await database.query(f"BEGIN; {text}; COMMIT"))[1:-1]
    return [_stored(name, row) for name, rows in zip(names, answers, strict=True) for row in rows]


async def edges_of(database: Database, view: str, user: str = "", *, dedicated: bool = True) -> dict[str, int]:
    """Member → version."""
    found = await stored_edges(database, [table_of(user, dedicated=dedicated)])
    return {edge.member: edge.version for edge in found if (edge.view, edge.user) == (view, user)}


def _stored(table: str, row: dict[str, object]) -> StoredEdge:
    start, member, version = row["in"], row["out"], row["version"]
    assert isinstance(start, RecordId) and isinstance(version, int)
    key = start.key
    view, user = (key[0], display(key[1])) if isinstance(key, list) else (key, "")
    return StoredEdge(table, str(view), user, display(member), version)
