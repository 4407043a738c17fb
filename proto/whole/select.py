"""The plain evaluator of SELECT: read every row, keep, split, group, order, cut, project.

Rows come in id order, and that is the order of a result without ORDER BY. ORDER BY is stable over it, as SurrealDB's is
for a LIMIT up to 1,000; without a LIMIT its sort leaves rows of equal keys in no particular order. ORDER BY sees a
field's computed value if it names that field's alias, and otherwise the stored row, in which links are not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Range, RecordId, SurrealSet, Table, Value
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole import graph, group, operators, project
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope, record_row, with_id

_Rows = list[Value]


def run_select(select: ast.Select, scope: Scope) -> Value:
    """The result of a SELECT: an array, or with ONLY its one element or NONE. Raises NotPlain."""
    if select.order_rand or select.version is not None or select.explain:
        raise NotPlain("ORDER BY RAND(), VERSION or EXPLAIN")
    scope = graph.with_adjacency(scope)
    rows = list(source_rows(select.targets, scope))
    if select.where is not None:
        where = select.where
        rows = [row for row in rows if order.truthy(expressions.evaluate(where, row, scope))]
    for idiom in select.split:
        rows = _split(rows, project.plain_path(idiom, "SPLIT"))
    results = _grouped(select, rows, scope) if select.group is not None else _ordinary(select, rows, scope)
    if select.fetch:
        results = [_fetched(select, result, scope) for result in results]
    return _single(results) if select.only else results


def source_rows(targets: Iterable[ast.Target], scope: Scope) -> Iterator[Value]:
    """The rows of FROM, target by target."""
    for target in targets:
        if isinstance(target, ast.TableTarget):
            yield from _table(target.name, scope)
        else:
            yield from _rows_of(expressions.evaluate(target, scope.parent, scope), scope)


def _table(name: str, scope: Scope) -> Iterator[Value]:
    if scope.source is None:
        raise NotPlain("a table, without tables to read")
    for record, content in scope.source.rows(name):
        yield with_id(record, content)


def _rows_of(value: Value, scope: Scope) -> Iterator[Value]:
    if type(value) is Range or _holds_set(value):
        raise NotPlain("FROM a range, or a value with a set in it")  # SurrealDB makes an array of a set here
    if type(value) is list:
        for item in value:
            yield from _row_of(item, scope)
    else:
        yield from _row_of(value, scope)


def _holds_set(value: Value) -> bool:
    if type(value) is list:
        return any(_holds_set(item) for item in value)
    if type(value) is dict:
        return any(_holds_set(item) for item in value.values())
    return type(value) is SurrealSet


def _row_of(value: Value, scope: Scope) -> Iterator[Value]:
    """NONE and NULL are no rows; a record that does not exist is none either."""
    if type(value) is RecordId:
        if type(value.key) is Range:
            yield from _record_range(value.table, value.key, scope)
        elif (found := record_row(value, scope)) is not None:
            yield found
    elif type(value) is Table:
        yield from _table(value.name, scope)
    elif value is not NONE and value is not None:
        yield value


def _record_range(table: str, bounds: Range, scope: Scope) -> Iterator[Value]:
    if scope.source is None:
        raise NotPlain("a range of records, without tables to read")
    for record, content in scope.source.rows(table):
        if operators.in_range(bounds, record.key):
            yield with_id(record, content)


def _split(rows: _Rows, path: project.Path) -> _Rows:
    """One row per element of the array at the path; a row without elements stays as it is."""
    result: _Rows = []
    for row in rows:
        if type(row) is not dict:
            raise NotPlain("SPLIT of a row that is no object")
        items = project.extract(row, tuple(ast.FieldPart(name) for name in path))
        items = list(items.values) if type(items) is SurrealSet else items
        if type(items) is not list or not items:
            result.append(row)
            continue
        for item in items:
            copy = dict(row)
            project.put(copy, path, item)
            result.append(copy)
    return result


# --- without GROUP ---------------------------------------------------------------------------------------------------


def _ordinary(select: ast.Select, rows: _Rows, scope: Scope) -> _Rows:
    for key in reversed(select.order):
        see = _sight(key, select, scope)
        rows = _sorted(rows, key, see)
    rows = _cut(select, rows, scope)
    if select.value:
        if len(select.fields) != 1 or isinstance(select.fields[0].expr, ast.Star):
            raise NotPlain("SELECT VALUE of other than one expression")
        expr = select.fields[0].expr
        return [expressions.evaluate(expr, _omitted(select, row), scope) for row in rows]
    return [_omitted(select, project.project(select.fields, row, scope)) for row in rows]


def _sight(key: ast.OrderKey, select: ast.Select, scope: Scope) -> Callable[[Value], Value]:
    """What an ORDER BY key sees of a row."""
    for field in select.fields:
        if field.alias is not None and field.alias == key.expr and not isinstance(field.expr, ast.Star):
            expr = field.expr
            return lambda row: expressions.evaluate(expr, row, scope)
    selected = select.value or any(
        field.expr == key.expr or isinstance(field.expr, ast.Star) for field in select.fields
    )
    if not selected or key.expr.head is not None:
        raise NotPlain("ORDER BY of what is not selected")
    return _stored(key.expr.parts)


def _stored(parts: tuple[ast.Part, ...]) -> Callable[[Value], Value]:
    return lambda row: project.extract(row, parts)


def _sorted(rows: _Rows, key: ast.OrderKey, see: Callable[[Value], Value]) -> _Rows:
    if key.collate or key.numeric:
        raise NotPlain("ORDER BY … COLLATE or NUMERIC")
    return sorted(rows, key=lambda row: order.sort_key(see(row)), reverse=key.descending)


def _cut(select: ast.Select, rows: _Rows, scope: Scope) -> _Rows:
    start = 0 if select.start is None else expressions.whole_number(select.start, scope.parent, scope, "START")
    if select.limit is None:
        return rows[start:]
    return rows[start : start + expressions.whole_number(select.limit, scope.parent, scope, "LIMIT")]


def _omitted(select: ast.Select, value: Value) -> Value:
    """OMIT: of the stored row with VALUE, else of the result. SurrealDB may omit what an alias stands for as well."""
    for idiom in select.omit:
        if idiom.head is not None or any(field.alias is not None for field in select.fields):
            raise NotPlain("OMIT beside an alias")
        value = project.omit(value, idiom.parts)
    return value


# --- GROUP, FETCH, ONLY ----------------------------------------------------------------------------------------------


def _grouped(select: ast.Select, rows: _Rows, scope: Scope) -> _Rows:
    results: list[Any] = list(group.grouped(select, rows, scope))
    names = {project.output_path(field) for field in select.fields}
    for key in reversed(select.order):
        path = project.plain_path(key.expr, "ORDER BY")
        if path not in names:
            raise NotPlain("ORDER BY of what is not selected")
        results = _sorted(results, key, _stored(key.expr.parts))
    return [_omitted(select, row) for row in _cut(select, results, scope)]


def _fetched(select: ast.Select, result: Value, scope: Scope) -> Value:
    if select.value:
        raise NotPlain("FETCH with SELECT VALUE")
    for idiom in select.fetch:
        if idiom.head is not None:
            raise NotPlain("FETCH of something other than names")
        result = project.fetch(result, idiom.parts, scope)
    return result


def _single(results: _Rows) -> Value:
    if len(results) > 1:
        raise EvaluationError("ONLY with several results")
    return results[0] if results else NONE
