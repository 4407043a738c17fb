"""The plain evaluator of SELECT: read the rows, keep, split, group, order, cut, project.

Each step is a module: `reading` (FROM, WHERE and what ends the reading), `group`, `ordering`, `project`. Rows come in
id order, and that is the order of a result without ORDER BY. What SurrealDB is known to do is done, also where it is
odd; what is not known is NotPlain.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values.kinds import NONE, NoneKind, RecordId, SurrealSet, Value
from sp00ky.proto.whole import constants, group, names, ordering, project, reading
from sp00ky.proto.whole.permitted import Permitted
from sp00ky.proto.whole.reading import source_rows
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope, record_row

_Rows = list[Value]
_VALUE_KINDS = frozenset({list, str, int, float, Decimal, bool, NoneKind, type(None)})


def run_select(select: ast.Select, scope: Scope) -> Value:
    """The result of a SELECT: an array, or with ONLY its one element or NONE. Raises NotPlain."""
    select = _folded(select, scope)
    return _finished(select, reading.kept(select, scope), scope)


def chosen(select: ast.Select, scope: Scope) -> list[Value]:
    """The rows that a SELECT without GROUP is made of, in its order: after WHERE, SPLIT, ORDER BY, START and LIMIT."""
    assert select.group is None, "the rows of a group are no result"
    _check_permitted(select, scope)
    select = _folded(select, scope)
    arranged = _arranged(select, reading.kept(select, scope), project.Computed(select.fields), scope)
    rows = (record_row(row, scope) if type(row) is RecordId else row for _, row in arranged)
    return [row for row in rows if row is not None]


def finish(select: ast.Select, rows: list[Value], scope: Scope) -> Value:
    """The result of a SELECT whose WHERE holds for these rows, in the order of FROM: all that follows WHERE."""
    return _finished(select, reading.Kept(rows), scope)


def _folded(select: ast.Select, scope: Scope) -> ast.Select:
    where = constants.folded(select.where, scope.params)
    return select if where is select.where else replace(select, where=where)


def _finished(select: ast.Select, kept: reading.Kept, scope: Scope) -> Value:
    if select.order_rand or select.version is not None or select.explain:
        raise NotPlain("ORDER BY RAND(), VERSION or EXPLAIN")
    _check_permitted(select, scope)
    if select.group is None:
        computed = project.Computed(select.fields)
        arranged = _arranged(select, kept, computed, scope)
        results = project.shaped(select, [row for row, _ in arranged], computed, scope)
    elif group.is_counting(select):
        results = group.counted(select, len(kept.rows), scope)
    else:
        results = _groups(select, group.grouped(select, _split(select, kept.rows), scope), scope)
    if select.fetch:
        results = [_fetched(select, result, scope) for result in results]
    return _single(select, results, scope) if select.only else results


def finish_groups(select: ast.Select, outputs: list[Value], rows: int, scope: Scope) -> Value:
    """The result of a SELECT with GROUP of these groups, one output each, in their order: all that follows GROUP but
    FETCH. `rows`: how many there are in all groups."""
    counting = group.is_counting(select)
    results = group.counted(select, rows, scope) if counting else _groups(select, outputs, scope)
    return _single(select, results, scope) if select.only else results


def _check_permitted(select: ast.Select, scope: Scope) -> None:
    if isinstance(scope.source, Permitted):
        scope.source.check(select, scope)


def _arranged(
    select: ast.Select, kept: reading.Kept, computed: project.Computed, scope: Scope
) -> list[tuple[Value, Value]]:
    """(the row with what ORDER BY has computed, the row): split, ordered and cut."""
    rows = _split(select, kept.rows)
    if select.order and not reading.is_read_in_order(select, scope):
        pairs = ordering.in_order(select, rows, computed, scope)
    else:
        pairs = [(row, row) for row in rows]
    return pairs if kept.is_cut else reading.cut_of(select, scope).of(pairs)


def _split(select: ast.Select, rows: _Rows) -> _Rows:
    for idiom in select.split:
        rows = _split_at(rows, names.plain_path(idiom, "SPLIT"))
    return rows


def _split_at(rows: _Rows, path: names.Path) -> _Rows:
    """One row per element of the array at the path; a row without elements stays as it is."""
    result: _Rows = []
    for row in rows:
        if type(row) is list:
            raise NotPlain("SPLIT of a row that is an array")
        if type(row) is not dict:
            result.append(row)
            continue
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


# --- GROUP, FETCH, ONLY ----------------------------------------------------------------------------------------------


def _groups(select: ast.Select, outputs: _Rows, scope: Scope) -> _Rows:
    results = ordering.grouped_in_order(select, outputs, scope)
    for idiom in select.omit:
        if idiom.head is not None:
            raise NotPlain("OMIT of something other than names")
    return [project.omitted(select, row) for row in reading.cut_of(select, scope).of(results)]


def _fetched(select: ast.Select, result: Value, scope: Scope) -> Value:
    for idiom in select.fetch:
        if idiom.head is not None:
            raise NotPlain("FETCH of something other than names")
        result = project.fetch(result, idiom.parts, scope)
    return result


def _single(select: ast.Select, results: _Rows, scope: Scope) -> Value:
    """No row of a table or a record is NONE, no row of values alone an error."""
    if len(results) > 1 or (not results and all(_is_value(target, scope) for target in select.targets)):
        raise EvaluationError("ONLY with other than one result")
    return results[0] if results else NONE


def _is_value(target: ast.Target, scope: Scope) -> bool:
    if isinstance(target, ast.Array):
        return True
    if not isinstance(target, ast.Literal | ast.Param | ast.Call):
        return False
    return type(constants.known(target, scope.params)) in _VALUE_KINDS


__all__ = ["chosen", "finish", "finish_groups", "run_select", "source_rows"]
