"""ORDER BY.

A key is the first field with that alias, or that field itself; else a path of the stored row, in which links are not
followed. A field that is more than a name of the row is computed into the row before it is sorted, under its alias
(`project.Computed`), and there every other field sees it: `SELECT n + 1 AS n, n * 2 AS m FROM t ORDER BY n` doubles
n + 1. The sort is stable over the order of FROM, as SurrealDB's is for a LIMIT up to 1,000, or up to 20 rows; beyond
that its sort leaves rows of equal keys in no particular order, and if that is seen in the result it is NotPlain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole import collation, project, reading
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.scope import NotPlain, Scope

_STABLE_ROWS: Final = 20  # rows up to which SurrealDB sorts stably
_STABLE_TAKEN: Final = 1_000  # START + LIMIT up to which it does
_STORED = frozenset({ast.FieldPart, ast.IndexPart, ast.LastPart})


def in_order(select: ast.Select, rows: list[Value], names: project.Computed, scope: Scope) -> list[tuple[Value, Value]]:
    """(the row with what is computed for the order, the row) in the order of the keys."""
    keys = paths(select, names)
    pairs = [(project.computed(row, names.of_order, scope), row) for row in rows]
    seen = [
        [comparison(key)(project.extract(row, path)) for row, _ in pairs]
        for key, path in zip(select.order, keys, strict=True)
    ]
    whole = scope.parent is NONE and select.limit is None and select.start is None  # then ties are the reader's
    places = _sorted(select.order, seen, whole or _keeps_ties(select, len(rows), scope))
    return [pairs[place] for place in places]


def _sorted(keys: Sequence[ast.OrderKey], seen: Sequence[Sequence[Any]], may_tie: bool) -> list[int]:
    """The places of the rows in the order of the keys, of each what is `seen` of the rows; ties as they came."""
    places = list(range(len(seen[0]))) if seen else []
    for key, values in reversed(list(zip(keys, seen, strict=True))):
        places.sort(key=values.__getitem__, reverse=key.descending)
    if not may_tie and any(all(each[one] == each[two] for each in seen) for one, two in pairwise(places)):
        raise NotPlain("ORDER BY of equal rows without a small LIMIT, whose order SurrealDB leaves open")
    return places


def _keeps_ties(select: ast.Select, rows: int, scope: Scope) -> bool:
    """Whether SurrealDB's sort is stable: of few rows, or where few are taken."""
    if rows <= _STABLE_ROWS:
        return True
    enough = reading.cut_of(select, scope).enough
    return enough is not None and enough <= _STABLE_TAKEN


def paths(select: ast.Select, names: project.Computed) -> list[tuple[ast.Part, ...]]:
    """Where in the row each key is, once `names.of_order` is computed into it."""
    return [_path(key, select, names) for key in select.order]


def comparison(key: ast.OrderKey) -> Callable[[Value], Any]:
    return collation.sort_key(key.collate, key.numeric) if key.collate or key.numeric else order.sort_key


def _path(key: ast.OrderKey, select: ast.Select, names: project.Computed) -> tuple[ast.Part, ...]:
    field = _named(key.expr, select)
    if field is None:
        if all(type(part) in _STORED for part in key.expr.parts):
            return key.expr.parts
        return _computed(key.expr, None, names)
    assert not isinstance(field.expr, ast.Star), "`*` has no name"
    name = project.simple_name(field.expr)
    if name is not None:
        return (ast.FieldPart(name),)
    return _computed(field.expr, _flat(key.expr), names)


def _computed(expr: ast.Expr, alias: str | None, names: project.Computed) -> tuple[ast.Part, ...]:
    name = names.name_of(expr, alias)
    names.of_order[name] = expr
    return (ast.FieldPart(name),)


def _flat(alias: ast.Idiom) -> str:
    """An alias of several parts is computed under its text."""
    return project.simple_name(alias) or print_node(alias)


def _named(key: ast.Idiom, select: ast.Select) -> ast.Field | None:
    """The field that ORDER BY means."""
    for field in select.fields:
        if isinstance(field.expr, ast.Star):
            continue
        if field.alias == key or (field.alias is None and field.expr == key and project.simple_name(key) is not None):
            return field
    return None


def grouped_in_order(select: ast.Select, results: list[Value], scope: Scope) -> list[Value]:
    """The rows of a GROUP, whose keys are expressions on them."""
    if not select.order:
        return results
    seen = [[comparison(key)(expressions.evaluate(key.expr, row, scope)) for row in results] for key in select.order]
    return [results[place] for place in _sorted(select.order, seen, _keeps_ties(select, len(results), scope))]
