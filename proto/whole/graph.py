"""Graph steps: `->likes`, `<-wrote`, `<->knows`, with a condition and a limit.

SurrealDB keeps an index entry at both ends of an edge, for the edge's record, and at the edge for both its ends. Here
the same is read off the tables: an edge is a record whose `in` and `out` are record ids. `->t` from a record is then,
in order of table and id, every edge in `t` that starts at it, and if the record is an edge itself, its `out` when that
is in `t`; `<-t` is the mirror image, and `<->t` is `<-t` followed by `->t`.

`Adjacency` remembers the edges of a table by their ends for the length of one evaluation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.scope import NotPlain, Scope, Source, record_row

_Edges = dict[Hashable, list[RecordId]]


class Adjacency:
    """A `Source` that remembers, for each table asked for, which edges start and end where."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._edges: dict[tuple[str, str], _Edges] = {}

    def rows(self, table: str) -> Iterable[tuple[RecordId, dict[str, Value]]]:
        return self._source.rows(table)

    def get(self, record: RecordId) -> dict[str, Value] | None:
        return self._source.get(record)

    def edges(self, table: str, end: str, record: RecordId) -> list[RecordId]:
        """The edges in `table` whose `end` ("in" or "out") is `record`, in id order."""
        found = self._edges.get((table, end))
        if found is None:
            found = self._edges[table, end] = self._read(table, end)
        return found.get(order.hash_key(record), [])

    def _read(self, table: str, end: str) -> _Edges:
        found: _Edges = defaultdict(list)
        for record, row in self._source.rows(table):
            if is_edge(row):
                found[order.hash_key(row[end])].append(record)
        return dict(found)


def with_adjacency(scope: Scope) -> Scope:
    if scope.source is None or isinstance(scope.source, Adjacency):
        return scope
    return replace(scope, source=Adjacency(scope.source))


def is_edge(row: dict[str, Value]) -> bool:
    return isinstance(row.get("in"), RecordId) and isinstance(row.get("out"), RecordId)


def step(value: Value, part: ast.GraphPart, scope: Scope) -> Value:
    """The record ids one step on; from every element of an array, one after the other. NONE from no record."""
    if part.direction not in _DIRECTIONS or not part.tables:
        raise NotPlain(f"graph step {part.direction}{'' if part.tables else '?'}")
    if part.order or part.alias or part.fields:
        raise NotPlain("a graph step with a projection or an order")
    if type(value) is dict:
        value = value.get("id", NONE)
        if type(value) is not RecordId:
            return []
    if type(value) is list:
        if not all(type(item) in (RecordId, dict) for item in value):
            raise NotPlain("a graph step from an array of something other than records")
        return [found for item in value for found in step(item, part, scope)]
    if type(value) is not RecordId:
        return NONE
    found = [
        record
        for direction in _DIRECTIONS[part.direction]
        for table in part.tables
        for record in _neighbours(value, direction, table, scope)
    ]
    return _limited(found, part, scope)


_DIRECTIONS = {"->": ("out",), "<-": ("in",), "<->": ("in", "out")}


def _neighbours(record: RecordId, towards: str, table: str, scope: Scope) -> list[RecordId]:
    """`towards` "out": along the arrow, from a record to edges that have it as `in`, from an edge to its `out`."""
    source = with_adjacency(scope).source
    if not isinstance(source, Adjacency):
        raise NotPlain("a graph step, without tables to follow it in")
    found = list(source.edges(table, "in" if towards == "out" else "out", record))
    row = source.get(record)
    if row is not None and is_edge(row) and row[towards].table == table:
        found.append(row[towards])
        found.sort(key=order.sort_key)
    return found


def _limited(found: list[RecordId], part: ast.GraphPart, scope: Scope) -> list[RecordId]:
    if part.cond is not None:
        found = [record for record in found if _holds(record, part.cond, scope)]
    start = 0 if part.start is None else expressions.whole_number(part.start, NONE, scope, "START")
    end = None if part.limit is None else start + expressions.whole_number(part.limit, NONE, scope, "LIMIT")
    return found[start:end]


def _holds(record: RecordId, cond: ast.Expr, scope: Scope) -> bool:
    row = record_row(record, scope)
    return row is not None and order.truthy(expressions.evaluate(cond, row, scope))
