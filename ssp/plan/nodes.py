"""The plan: what a query does, as relational operators over one table; or that it is run whole, and why.

`Scan → Filter → Order → Window → Project`, each with its input; a missing clause is a missing node. Constants are
holes: all queries that differ in constants only share the plan up to `Project`, which is applied when a view is read
and decides nothing about membership. Joins, nests and groups will be further nodes with inputs of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sp00ky.proto.surrealql.ast import Expr, Field, Select
from sp00ky.proto.values.kinds import Value


@dataclass(frozen=True, slots=True)
class Scan:
    """Every record of a table, in record id order."""

    table: str


@dataclass(frozen=True, slots=True)
class Filter:
    """The rows for which `cond` is true."""

    input: Node
    cond: Expr


@dataclass(frozen=True, slots=True)
class SortKey:
    """An expression over the row (an alias of the projection is resolved to what it stands for)."""

    expr: Expr
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """The rows by several keys, ties in the order of the input."""

    input: Node
    keys: tuple[SortKey, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Rows `start … start + limit` of the input's order; None: from the first, to the last."""

    input: Node
    start: Expr | None
    limit: Expr | None


@dataclass(frozen=True, slots=True)
class Project:
    """What a reader sees of each row."""

    input: Node
    fields: tuple[Field, ...]
    value: bool


Node: TypeAlias = Scan | Filter | Order | Window | Project


@dataclass(frozen=True, slots=True)
class Incremental:
    """A plan that a circuit keeps. `shape` names the circuit, `binding` the group in it."""

    text: str
    select: Select  # as written: what rows are projected by, and what the naive twin runs
    params: Mapping[str, Value]
    table: str
    root: Project
    shape: str
    binding: tuple[Value, ...]

    @property
    def tables(self) -> frozenset[str]:
        return frozenset({self.table})


@dataclass(frozen=True, slots=True)
class Reevaluated:
    """A query that is run on SurrealDB when a table it reads has changed."""

    text: str
    select: Select | None  # None: accepted, but not parsed
    params: Mapping[str, Value]
    tables: frozenset[str] | None  # None: any table
    reason: str
    ids_surql: str  # the query with each row's record id; empty: its rows have none


Plan: TypeAlias = Incremental | Reevaluated
