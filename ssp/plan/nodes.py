"""The plan: how a query's result is kept current. The first of three ways that a query allows is its plan.

`Incremental`: relational operators over one table, `Scan → Filter → Order → Window → Project` or `Scan → Filter →
Group → Project`, each with its input; a missing clause is a missing node. Constants are holes: all queries that differ
in constants only share the plan up to `Project`. Links, graph steps and sub-selects are columns of the scan where they
decide membership (`terms.py`), and traced by member where they are shown.

`Traced`: evaluated whole on the tables held here, and again when something is touched that the evaluation has read. It
is exact at every revision, and costs what the query costs for each change that touches it, and nothing for others.

`Reevaluated`: run on SurrealDB when a table it reads has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sp00ky.proto.surrealql.ast import Expr, Field, Idiom, Select
from sp00ky.proto.values.kinds import RecordId, Value


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
    """An expression over the row (an alias of the projection is resolved to what it stands for).

    `stored`: a path into the row that follows no links."""

    expr: Expr
    descending: bool = False
    stored: bool = False


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
class Group:
    """The rows gathered by these keys; no keys: all of them."""

    input: Node
    keys: tuple[Idiom, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """What a reader sees of each row."""

    input: Node
    fields: tuple[Field, ...]
    value: bool


Node: TypeAlias = Scan | Filter | Order | Window | Group | Project


@dataclass(frozen=True, slots=True)
class User:
    """Who a view is for: what he may not read is not there. `params` are $auth, $access and $token."""

    id: RecordId
    params: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Incremental:
    """A plan that a circuit keeps. `shape` names the circuit, `binding` the group in it.

    `shows`: the result holds more than the members' own records. `restricted`: what is read beyond the table's own rows
    depends on the user; `own`: and something is, so that the circuit is that user's alone. `tables` None: only the data
    knows which are read."""

    text: str
    select: Select  # as written: what rows are projected by, and what the naive twin runs
    params: Mapping[str, Value]
    table: str
    root: Project
    shape: str
    binding: tuple[Value, ...]
    columns: Mapping[str, Expr]
    tables: frozenset[str] | None
    shows: bool = False
    restricted: bool = False
    own: bool = False
    user: User | None = None


@dataclass(frozen=True, slots=True)
class Traced:
    """A query that is evaluated whole, here, when something that it has read is touched."""

    text: str
    select: Select
    params: Mapping[str, Value]
    tables: frozenset[str] | None
    reason: str  # why it is not kept by a circuit
    user: User | None = None


@dataclass(frozen=True, slots=True)
class Reevaluated:
    """A query that is run on SurrealDB when a table it reads has changed."""

    text: str
    select: Select | None  # None: accepted, but not parsed
    params: Mapping[str, Value]
    tables: frozenset[str] | None  # None: any table
    reason: str
    ids_surql: str  # the query with each row's record id; empty: its rows have none


Plan: TypeAlias = Incremental | Traced | Reevaluated
