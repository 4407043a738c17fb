"""FROM and WHERE: the rows that a query is made of, and which rows SurrealDB asks at all.

WHERE may be an error on a row, and is then the error of the query, unless LIMIT has ended the reading before. SurrealDB
reads in batches and asks WHERE of all rows of a batch; then it looks whether it has enough.

* Of one table alone, without GROUP, OR at the top of WHERE, or ORDER BY other than `id`, LIMIT and START are applied as
  it is read: the first batch are START + LIMIT rows. With SPLIT the same is done with LIMIT alone, before the rows are
  split, and START and LIMIT are applied once more afterwards: `SPLIT tags LIMIT 1 START 5` finds its sixth tag only in
  the first row.
* Otherwise a batch is 500 rows of a table, a record, a whole range of records, or a whole array.

The rows of a sub-select, and what a function makes of other than constants, are rows as they are: NONE too, and an id
is not yet its record. Of anything else in FROM, NONE and NULL are no rows, and an id is its record, if there is one.

ORDER BY `id` alone, of one table, is how the table is read: not by an alias of that name. `id DESC` as the first of
several keys has the table read backwards as well, and then it is sorted. Where `id` must be equal to a constant, only
that record is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Final

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Range, RecordId, Table, Value
from sp00ky.proto.whole import access, effort, operators
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.constants import SHAPES_MAX, as_literal, given, known
from sp00ky.proto.whole.rules import may_fail
from sp00ky.proto.whole.scope import EvaluationError, Hiding, NotPlain, Scope, record_row, tables_of, with_id

BATCH_ROWS: Final = 500
_ID: Final = ast.Idiom(None, (ast.FieldPart("id"),))

_Rows = list[Value]


@dataclass(frozen=True, slots=True)
class Cut:
    """START and LIMIT. `limit` None: all."""

    start: int
    limit: int | None

    @property
    def enough(self) -> int | None:
        return None if self.limit is None else self.start + self.limit

    def of(self, rows: _Rows) -> _Rows:
        return rows[self.start : self.enough]


@dataclass(frozen=True, slots=True)
class Kept:
    """`is_cut`: START and LIMIT have been applied."""

    rows: _Rows
    is_cut: bool = False


def cut_of(select: ast.Select, scope: Scope) -> Cut:
    limit = None if select.limit is None else expressions.whole_number(select.limit, scope.parent, scope, "LIMIT")
    start = 0 if select.start is None else expressions.whole_number(select.start, scope.parent, scope, "START")
    return Cut(start, limit)


def kept(select: ast.Select, scope: Scope) -> Kept:
    """The rows of FROM for which WHERE holds, in the order in which they are read."""
    cut = cut_of(select, scope)
    table = _only_table(select, scope)
    if table is None or not _cuts_while_reading(select) or _point(select.where, table, scope) is not None:
        enough = cut.enough if select.group is None and (not select.order or is_read_in_order(select, scope)) else None
        exact = not select.split and not any(isinstance(target, ast.Subquery) for target in select.targets)
        asked = _Asked(select.where, enough, exact and not isinstance(scope.source, Hiding), scope)
        return Kept(asked.of(_batches(select, scope, asked)))
    if select.split:
        cut = Cut(0, cut.limit)
    asked = _Asked(select.where, cut.enough, not isinstance(scope.source, Hiding), scope)
    found = asked.of(_chunks(_table(table, select, scope, asked), cut.enough)) if cut.limit else []
    return Kept(cut.of(found), is_cut=not select.split)


def source_rows(select: ast.Select, scope: Scope) -> Iterator[Value]:
    """The rows of FROM, target by target; where WHERE allows it, not those that it would leave out."""
    asked = _Asked(select.where, None, True, scope)
    return (row for batch in _batches(select, scope, asked) for row in batch)


def is_read_in_order(select: ast.Select, scope: Scope) -> bool:
    """Whether the rows come from FROM as ORDER BY wants them, whatever the result calls `id`."""
    if not is_by_id(select) or select.group is not None or select.split:
        return False
    return _reading_order(select, scope) == ("backward" if select.order[0].descending else "forward")


def _cuts_while_reading(select: ast.Select) -> bool:
    if select.limit is None or select.group is not None or (select.order and not is_by_id(select)):
        return False
    has_or = isinstance(select.where, ast.Binary) and select.where.op == "OR"
    return bool(select.split) or not has_or


def is_by_id(select: ast.Select) -> bool:
    """ORDER BY id alone."""
    return len(select.order) == 1 and select.order[0] == ast.OrderKey(_ID, select.order[0].descending)


def _is_backward(select: ast.Select) -> bool:
    return bool(select.order) and select.order[0].expr == _ID and select.order[0].descending


def _reading_order(select: ast.Select, scope: Scope) -> str:
    """How the rows of FROM follow each other by their records' ids: "forward", "backward", or "" if they do not."""
    if len(select.targets) != 1:
        return ""
    if _only_table(select, scope) is not None:
        return "backward" if _is_backward(select) else "forward"
    (target,) = select.targets
    if isinstance(target, ast.Subquery):
        inner, below = target.select, scope.within(scope.parent)
        in_order = inner.group is None and not inner.split and (not inner.order or is_read_in_order(inner, below))
        return _reading_order(inner, below) if in_order else ""
    assert not isinstance(target, ast.TableTarget), "a table is the only table"
    value = expressions.evaluate(target, scope.parent, scope)
    return "forward" if type(value) is RecordId and type(value.key) is Range else ""


def _only_table(select: ast.Select, scope: Scope) -> str | None:
    if len(select.targets) != 1:
        return None
    (target,) = select.targets
    if isinstance(target, ast.TableTarget):
        return target.name
    if not isinstance(target, ast.Param | ast.Call):
        return None
    value = expressions.evaluate(target, scope.parent, scope)
    return value.name if type(value) is Table else None


# --- WHERE -----------------------------------------------------------------------------------------------------------


class _Asked:
    """WHERE, asked of batch after batch until there are `enough` rows. Not `exact`: SurrealDB's batches are unknown."""

    def __init__(self, where: ast.Expr | None, enough: int | None, exact: bool, scope: Scope) -> None:
        self._where = where
        self._enough = enough
        self._exact = exact
        self._scope = scope
        self._fails = where is not None and enough is not None and _may_fail(where)

    @property
    def reads_all(self) -> bool:
        """Whether the rows that WHERE would leave out count, because they fill batches."""
        return self._fails

    def of(self, batches: Iterable[Iterable[Value]]) -> _Rows:
        found: _Rows = []
        for batch in batches:
            for row in batch:
                if self._holds(row, len(found)):
                    found.append(row)
                if not self._fails and self._has_enough(found):
                    return found
            if self._exact and self._has_enough(found):
                return found
        return found

    def _has_enough(self, found: _Rows) -> bool:
        return self._enough is not None and len(found) >= self._enough

    def _holds(self, row: Value, found: int) -> bool:
        effort.looked()
        if self._where is None:
            return True
        try:
            return order.truthy(expressions.evaluate(self._where, row, self._scope))
        except EvaluationError as error:
            if not self._exact and self._enough is not None and found >= min(self._enough, 1):
                raise NotPlain("an error in a row that LIMIT may leave out") from error
            raise


@lru_cache(SHAPES_MAX)
def _may_fail(where: ast.Expr) -> bool:
    return may_fail(where)


def _point(where: ast.Expr | None, table: str, scope: Scope) -> RecordId | None:
    """The record that the first conjunct `id = record` names."""
    for conjunct in [] if where is None else access.conjuncts(where):
        if isinstance(conjunct, ast.Binary) and conjunct.op in ("=", "=="):
            for side, other in ((conjunct.left, conjunct.right), (conjunct.right, conjunct.left)):
                value = known(other, scope.params) if side == _ID and not isinstance(other, ast.Param) else None
                if type(value) is RecordId and value.table == table and type(value.key) is not Range:
                    return value
    return None


# --- FROM ------------------------------------------------------------------------------------------------------------


def _batches(select: ast.Select, scope: Scope, asked: _Asked) -> Iterator[Iterable[Value]]:
    for target in select.targets:
        if isinstance(target, ast.TableTarget):
            yield from _chunks(_table(target.name, select, scope, asked), BATCH_ROWS)
        else:
            value = expressions.evaluate(target, scope.parent, scope)
            if type(value) is Table:
                yield from _chunks(_table(value.name, select, scope, asked), BATCH_ROWS)
            elif isinstance(target, ast.Subquery):
                yield value if type(value) is list and not target.select.only else [value]
            elif given(target, scope.params):
                yield _rows_of(as_literal(value), select, scope, asked)
            elif isinstance(target, ast.Call) and (type(value) is list or value is NONE or value is None):
                yield value if type(value) is list else [value]
            else:
                yield _rows_of(value, select, scope, asked)


def _chunks(rows: Iterable[Value], first: int | None) -> Iterator[Iterable[Value]]:
    remaining = iter(rows)
    size = BATCH_ROWS if first is None else min(first, BATCH_ROWS)
    while chunk := list(islice(remaining, size)):
        yield chunk
        size = BATCH_ROWS


def _table(name: str, select: ast.Select, scope: Scope, asked: _Asked) -> Iterable[Value]:
    if select.where == ast.Literal(False):
        return []
    point = _point(select.where, name, scope)
    if point is not None:
        row = record_row(point, scope)
        return [] if row is None else [row]
    source = tables_of(scope, "a table")
    rows = source.rows(name) if asked.reads_all else access.table_rows(name, select.where, scope)
    if _is_backward(select):
        rows = reversed(list(rows))
    return (with_id(record, content) for record, content in rows)


def _rows_of(value: Value, select: ast.Select, scope: Scope, asked: _Asked) -> Iterator[Value]:
    for item in value if type(value) is list else [value]:
        yield from _row_of(item, select, scope, asked)


def _row_of(value: Value, select: ast.Select, scope: Scope, asked: _Asked) -> Iterator[Value]:
    """NONE and NULL are no rows; a record that does not exist is none either."""
    if type(value) is RecordId:
        if type(value.key) is Range:
            yield from _record_range(value.table, value.key, scope)
        elif (found := record_row(value, scope)) is not None:
            yield found
    elif type(value) is Table:
        yield from _table(value.name, replace(select, order=()), scope, asked)
    elif value is not NONE and value is not None:
        yield value


def _record_range(table: str, bounds: Range, scope: Scope) -> Iterator[Value]:
    for record, content in tables_of(scope, "a range of records").rows(table):
        if operators.in_range(bounds, record.key):
            yield with_id(record, content)
