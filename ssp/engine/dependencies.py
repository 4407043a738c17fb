"""What each view depends on: the tables that it reads, and where it was evaluated whole, which records of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import unpack
from sp00ky.ssp.circuit.column import Column
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.circuit.traced import TracedResult
from sp00ky.ssp.circuit.tracing import RECORD
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.tables import Tables
from sp00ky.ssp.plan.nodes import Incremental
from sp00ky.ssp.views.registry import Registry, View

RECORDS_MAX: Final = 100  # named of one view; counted are all
ROWS_MAX: Final = 10_000  # that are looked at to see what they read


@dataclass(frozen=True, slots=True)
class ViewDependencies:
    """`tables` None: any, or not known yet. `records`: those that it asked for by id when it was evaluated, the first
    RECORDS_MAX in order of table and key; `record_count` of all."""

    key: ViewKey
    tables: frozenset[str] | None
    records: tuple[RecordId, ...] = ()
    record_count: int = 0


@dataclass(frozen=True, slots=True)
class Dependencies:
    tables_held: tuple[str, ...]
    views: tuple[ViewDependencies, ...]


def dependencies_of(registry: Registry, tables: Tables) -> Dependencies:
    views = [_of(registry.views[key], tables) for key in sorted(registry.views)]
    return Dependencies(tuple(sorted(tables.held)), tuple(views))


def _of(view: View, tables: Tables) -> ViewDependencies:
    named = view.plan.tables if view.plan is not None else None
    read = frozenset(named or ()) | view.needs
    match view.holder:
        case TracedResult() as traced:
            asked = ((table, key) for table, kind, key in traced.locations if kind is RECORD)
            found = sorted((table, key) for table, key in asked if isinstance(key, bytes))
            records = tuple(RecordId(table, unpack(key)) for table, key in found[:RECORDS_MAX])
            read |= {table for table, _, _ in traced.locations}
            return ViewDependencies(view.key, read, records, len(found))
        case Members():
            return ViewDependencies(view.key, read | _linked(view, tables))
        case _:
            return ViewDependencies(view.key, read if named is not None else None)


def _linked(view: View, tables: Tables) -> set[str]:
    """The tables that the rows of a circuit's table read for its columns."""
    arrangement = tables.held.get(view.table)
    names = view.plan.columns if isinstance(view.plan, Incremental) else ()
    columns = [arrangement.columns.get(name) for name in names] if arrangement is not None else []
    return {table for column in columns if isinstance(column, Column) for table in column.tables_read(ROWS_MAX)}
