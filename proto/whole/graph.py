"""Graph steps: `->likes`, `<-wrote`, `<->knows`, `->?`, `->likes:1..5`, `->(likes WHERE … LIMIT …)`,
`->(SELECT … FROM likes …)`.

SurrealDB keeps an index entry at both ends of an edge, for the edge's record, and at the edge for both its ends. Here
the same is read off the tables: an edge is a record whose `in` and `out` are record ids. `->t` from a record is then,
in order of table and id, every edge in `t` that starts at it, and if the record is an edge itself, its `out` when that
is in `t`; `<-t` is the mirror image, and `<->t` is `<-t` followed by `->t`.

Steps in a row are one traversal: each is taken from all that the one before it found, and its LIMIT counts them all.
Two bare steps in one direction, `->likes->post`, are read by SurrealDB off the entries of the edges alone: they lead to
the far ends of the edges, and not to edges that start at an edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Range, RecordId, Value
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole import operators
from sp00ky.proto.whole.scope import Hiding, NotPlain, Scope, record_row, tables_of

Step: TypeAlias = ast.GraphPart | ast.GraphQuery

_DIRECTIONS = {"->": ("out",), "<-": ("in",), "<->": ("in", "out")}


def is_edge(row: dict[str, Value]) -> bool:
    return isinstance(row.get("in"), RecordId) and isinstance(row.get("out"), RecordId)


def traverse(value: Value, steps: tuple[Step, ...], document: Value, scope: Scope) -> Value:
    """What the steps lead to from a record or an object with an id: an array. From an array, all that is found from
    its elements; NONE from anything else. `document` is `$parent` in the conditions."""
    if type(value) is list:
        return [found for item in value for found in _as_list(traverse(item, steps, document, scope))]
    if type(value) not in (RecordId, dict):
        return NONE
    inner = replace(scope, parent=document)
    found: list[Value] = [value]
    place = 0
    while place < len(steps):
        step = steps[place]
        if place + 1 < len(steps) and _is_pair(step, steps[place + 1]):
            found = [end for record in _records(found) for end in _far_ends(record, step, steps[place + 1], scope)]
            place += 2
        else:
            found = _stage(found, step, inner)
            place += 1
    return found


def _as_list(value: Value) -> list[Value]:
    return value if type(value) is list else [value]


def _records(values: Iterable[Value]) -> Iterable[RecordId]:
    """Where steps may start from: record ids, and the ids of objects."""
    for value in values:
        record = value.get("id", NONE) if type(value) is dict else value
        if type(record) is RecordId:
            yield record


# --- one step --------------------------------------------------------------------------------------------------------


def _stage(values: list[Value], step: Step, scope: Scope) -> list[Value]:
    query = step if isinstance(step, ast.GraphQuery) else ast.GraphQuery(step)
    if query.step.direction not in _DIRECTIONS or any(query.referrers):
        raise NotPlain(f"graph step {query.step.direction}")
    found = [target for record in _records(values) for target in _seen_targets(record, query, scope)]
    if query.step.cond is not None:
        found = [record for record in found if _holds(record, query.step.cond, scope)]
    if query.step.fields or query.group is not None:
        return _selected(found, query, scope)
    if query.split:
        raise NotPlain("SPLIT in a graph step without SELECT")
    return _limited(found, query.step, scope)


def _seen_targets(record: RecordId, query: ast.GraphQuery, scope: Scope) -> list[RecordId]:
    """To a user SurrealDB reads from one record no more than START and LIMIT ask for, seen or not, where there is no
    WHERE."""
    step = query.step
    if not isinstance(scope.source, Hiding) or step.limit is None or step.cond is not None or step.fields:
        return _targets(record, query, scope)
    bounds = (step.start, "START"), (step.limit, "LIMIT")
    read = sum(expressions.whole_number(expr, NONE, scope, name) for expr, name in bounds if expr is not None)
    everything = replace(scope, source=scope.source.everything())
    return [target for target in _targets(record, query, everything)[:read] if _is_shown(target, scope)]


def _targets(record: RecordId, query: ast.GraphQuery, scope: Scope) -> list[RecordId]:
    found: list[RecordId] = []
    for towards in _DIRECTIONS[query.step.direction]:
        if not query.step.tables:
            everywhere = tables_of(scope, "a graph step").tables()
            ends = [end for table in everywhere for end in _neighbours(record, towards, table, scope)]
            found.extend(sorted(ends, key=order.sort_key))
        for place, table in enumerate(query.step.tables):
            bounds = query.keys[place] if query.keys else None
            ends = _neighbours(record, towards, table, scope)
            found.extend(ends if bounds is None else _within(ends, bounds, scope))
    return found


def _neighbours(record: RecordId, towards: str, table: str, scope: Scope) -> list[RecordId]:
    """`towards` "out": along the arrow, from a record to edges that have it as `in`, from an edge to its `out`."""
    found = [edge for edge, _ in _edges(record, towards, table, scope)]
    row = _stored(record, scope)
    if row is not None and is_edge(row) and row[towards].table == table and _is_shown(row[towards], scope):
        found.append(row[towards])
        found.sort(key=order.sort_key)
    return found


def _stored(record: RecordId, scope: Scope) -> dict[str, Value] | None:
    """The ends of an edge that is at hand are found from it, whether or not the user sees it."""
    source = tables_of(scope, "a graph step")
    return source.everything().get(record) if isinstance(source, Hiding) else source.get(record)


def _is_shown(end: RecordId, scope: Scope) -> bool:
    """To a user a graph step shows records that are there, to the database's owner also what was one."""
    return not isinstance(scope.source, Hiding) or scope.source.get(end) is not None


def _edges(record: RecordId, towards: str, table: str, scope: Scope) -> list[tuple[RecordId, dict[str, Value]]]:
    here = "in" if towards == "out" else "out"
    rows = tables_of(scope, "a graph step").rows_where(table, here, record)
    return [(edge, row) for edge, row in rows if is_edge(row)]


def _within(found: list[RecordId], bounds: ast.RangeExpr, scope: Scope) -> list[RecordId]:
    keys = expressions.evaluate(bounds, scope.parent, scope)
    assert type(keys) is Range, "a range expression is a range"
    return [record for record in found if operators.in_range(keys, record.key)]


def _holds(record: RecordId, cond: ast.Expr, scope: Scope) -> bool:
    row = record_row(record, scope)
    return row is not None and order.truthy(expressions.evaluate(cond, row, scope))


def _limited(found: list[RecordId], part: ast.GraphPart, scope: Scope) -> list[Value]:
    start = 0 if part.start is None else expressions.whole_number(part.start, NONE, scope, "START")
    end = None if part.limit is None else start + expressions.whole_number(part.limit, NONE, scope, "LIMIT")
    return list(found[start:end])


def _selected(found: list[RecordId], query: ast.GraphQuery, scope: Scope) -> list[Value]:
    """`->(SELECT … FROM …)`: a SELECT whose rows are the records found."""
    from sp00ky.proto.whole.select import finish  # a SELECT holds steps and a step a SELECT

    part = query.step
    select = ast.Select(
        part.fields,
        (),
        value=query.value,
        split=query.split,
        group=query.group,
        order=part.order,
        order_rand=query.order_rand,
        limit=part.limit,
        start=part.start,
    )
    rows = [row for record in found if (row := record_row(record, scope)) is not None]
    selected = finish(select, rows, scope)
    assert type(selected) is list, "without ONLY the result is an array"
    return selected


# --- two steps at once -----------------------------------------------------------------------------------------------


def _is_pair(first: Step, second: Step) -> bool:
    direction = _bare_direction(first)
    return direction in ("->", "<-") and direction == _bare_direction(second)


def _bare_direction(step: Step) -> str:
    """The direction of a step that has nothing but tables, else nothing."""
    if not isinstance(step, ast.GraphPart) or not step.tables:
        return ""
    return step.direction if step == ast.GraphPart(step.direction, step.tables) else ""


def _far_ends(record: RecordId, first: Step, second: Step, scope: Scope) -> Iterable[RecordId]:
    """In the order of what the first step finds: of an edge the far end, if it is in a table of the second step; of
    the record's own end, if it is an edge itself, what the second step finds from there."""
    assert isinstance(first, ast.GraphPart) and isinstance(second, ast.GraphPart), "only bare steps make a pair"
    (towards,) = _DIRECTIONS[first.direction]
    for table in first.tables:
        ends = {order.hash_key(edge): row[towards] for edge, row in _edges(record, towards, table, scope)}
        for found in _neighbours(record, towards, table, scope):
            end = ends.get(order.hash_key(found))
            if end is None:
                for target in second.tables:
                    yield from _neighbours(found, towards, target, scope)
            elif end.table in second.tables and _is_shown(end, scope):
                yield end
