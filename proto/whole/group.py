"""GROUP BY and GROUP ALL, plainly: gather rows by key, then one output row per group, in the order of the keys.

A field of the list is, in a group: a key (its value), an expression over aggregates (each aggregate over the group's
rows), or anything else (the array of its values, a row each). GROUP ALL is one group, also of no rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole import arrays, maths, operators, times
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.project import Path, output_path, plain_path, put
from sp00ky.proto.whole.scope import NotPlain, Scope

_Rows = list[Value]

AGGREGATES: dict[str, Callable[[list[Value]], Value]] = {
    "array::group": lambda values: values,
    "array::distinct": arrays.distinct,
    "count": maths.count,
    "math::max": lambda values: _largest(_numbers(values)),
    "math::mean": lambda values: maths.mean(_numbers(values)),
    "math::min": lambda values: maths.smallest(_numbers(values)),
    "math::sum": lambda values: maths.total(_numbers(values)),
    "time::max": times.latest,
    "time::min": times.earliest,
}
# Aggregates of SurrealDB that are not computed here: as plain functions of one row they would mean something else.
_OTHER_AGGREGATES = frozenset(
    {
        "array::first",
        "array::last",
        "math::bottom",
        "math::interquartile",
        "math::median",
        "math::mode",
        "math::midhinge",
        "math::nearestrank",
        "math::percentile",
        "math::product",
        "math::spread",
        "math::stddev",
        "math::top",
        "math::trimean",
        "math::variance",
    }
)


def _numbers(values: list[Value]) -> list[Value]:
    """An aggregate passes over what is no number; the function of the same name fails."""
    return [value for value in values if operators.is_number(value)]


def _largest(values: list[Value]) -> Value:
    """The first of the largest."""
    return max(values, key=order.sort_key) if values else -math.inf


def grouped(select: ast.Select, rows: _Rows, scope: Scope) -> list[dict[str, Value]]:
    """The output rows of a SELECT with GROUP."""
    assert select.group is not None, "no GROUP in this SELECT"
    if select.value or any(isinstance(field.expr, ast.Star) for field in select.fields):
        raise NotPlain("GROUP with VALUE or *")
    keys = [_key_expression(idiom, select.fields) for idiom in select.group]
    if not keys:
        return [_output(select, set(), rows, scope)]
    groups: dict[object, _Rows] = {}
    ordered: dict[object, object] = {}
    for row in rows:
        values = [expressions.evaluate(key, row, scope) for key in keys]
        hashed = tuple(order.hash_key(value) for value in values)
        groups.setdefault(hashed, []).append(row)
        ordered.setdefault(hashed, tuple(order.sort_key(value) for value in values))
    wanted = sorted(groups, key=lambda hashed: ordered[hashed])  # type: ignore[arg-type, return-value]
    key_paths = {output_path(field) for field in select.fields if field.expr in keys}
    return [_output(select, key_paths, groups[hashed], scope) for hashed in wanted]


def _key_expression(idiom: ast.Idiom, fields: tuple[ast.Field, ...]) -> ast.Expr:
    """What a GROUP BY name stands for: the field with that alias, or the field that is that idiom."""
    path = plain_path(idiom, "GROUP BY")
    for field in fields:
        if not isinstance(field.expr, ast.Star) and (field.expr == idiom or output_path(field) == path):
            return field.expr
    raise NotPlain("GROUP BY of what is not selected")


def _output(select: ast.Select, key_paths: set[Path], rows: _Rows, scope: Scope) -> dict[str, Value]:
    result: dict[str, Value] = {}
    for field in select.fields:
        assert not isinstance(field.expr, ast.Star), "refused above"
        path = output_path(field)
        if path in key_paths:
            value = expressions.evaluate(field.expr, rows[0], scope)
        elif has_aggregate(field.expr):
            value = expressions.evaluate(_aggregated(field.expr, rows, scope), NONE, scope)
        else:
            value = [expressions.evaluate(field.expr, row, scope) for row in rows]
        put(result, path, value)
    return result


def has_aggregate(expr: Any) -> bool:
    """Whether an aggregate stands somewhere in the expression, sub-selects not counted."""
    match expr:
        case ast.Call(name, args):
            if name in _OTHER_AGGREGATES:
                raise NotPlain(f"aggregate {name}")
            return name in AGGREGATES or any(has_aggregate(arg) for arg in args)
        case ast.Binary(_, left, right):
            return has_aggregate(left) or has_aggregate(right)
        case ast.Unary(_, operand) | ast.Cast(_, operand):
            return has_aggregate(operand)
        case ast.Array(items):
            return any(has_aggregate(item) for item in items)
        case ast.Object(items):
            return any(has_aggregate(item) for _, item in items)
        case ast.IfElse() | ast.Subquery() | ast.Closure():
            raise NotPlain(f"{type(expr).__name__} in a group")
        case ast.Idiom(head, parts):
            if any(isinstance(part, ast.MethodPart) for part in parts) or (head is not None and has_aggregate(head)):
                raise NotPlain("a method in a group")
            return False
        case _:
            return False


def _aggregated(expr: ast.Expr, rows: _Rows, scope: Scope) -> ast.Expr:
    """The expression with each aggregate replaced by its value over the rows."""
    match expr:
        case ast.Call(name, args) if name in AGGREGATES:
            return ast.Literal(_aggregate(name, args, rows, scope))
        case ast.Call(_, args):
            return replace(expr, args=tuple(_aggregated(arg, rows, scope) for arg in args))
        case ast.Binary(_, left, right):
            return replace(expr, left=_aggregated(left, rows, scope), right=_aggregated(right, rows, scope))
        case ast.Unary() | ast.Cast():
            return replace(expr, operand=_aggregated(expr.operand, rows, scope))
        case ast.Array(items):
            return ast.Array(tuple(_aggregated(item, rows, scope) for item in items))
        case ast.Object(items):
            return ast.Object(tuple((name, _aggregated(item, rows, scope)) for name, item in items))
        case ast.Idiom():
            raise NotPlain("a field beside an aggregate in one expression")
        case _:
            return expr


def _aggregate(name: str, args: tuple[ast.Expr, ...], rows: _Rows, scope: Scope) -> Value:
    if name == "count" and not args:
        return len(rows)
    if len(args) != 1 or has_aggregate(args[0]):
        raise NotPlain(f"aggregate {name} of other than one plain argument")
    return AGGREGATES[name]([expressions.evaluate(args[0], row, scope) for row in rows])
