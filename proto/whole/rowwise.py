"""Whether a SELECT over one table can be kept row by row: WHERE asked of each row alone, in any order, as it is
written; ORDER BY by what the fields are on the row; and each row shown without the others.

Mostly it can. `why_not_rowwise` knows the queries of which SurrealDB, as it runs them, makes something else; those must
be run whole (`select.run_select`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole import constants, ordering, project, reading
from sp00ky.proto.whole.rules import nodes


def why_not_rowwise(select: ast.Select, params: Mapping[str, Value]) -> str:
    """The first reason; empty if there is none."""
    if select.where is not None and constants.is_seen_folded(select.where):
        return "a constant beside AND, OR or IN"
    if select.where is not None and constants.gives_sets(select.where, params):
        return "a set as a parameter"
    if reading.is_by_id(select) and any(_takes_the_name(field, "id") for field in select.fields):
        return "ORDER BY id, which the result calls otherwise"
    if _shows_order(select):
        return "a field that sees what ORDER BY computes"
    if _is_moved_beside_star(select) and not isinstance(select.targets[0], ast.TableTarget):
        return "a field under another name beside *"  # where FROM is a range, it counts whether there is WHERE
    return ""


_ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "**"})
_SAFE = re.compile(r"count|not|type::is_\w+")


def is_perhaps_an_error(term: ast.Expr) -> bool:
    """Whether the condition may be an error on some row."""
    return any(map(_fails, nodes(term)))


def _fails(node: object) -> bool:
    match node:
        case ast.Call(name, _):
            return not _SAFE.fullmatch(name)
        case ast.Binary(op, _, _):
            return op in _ARITHMETIC
        case ast.Unary(op, _):
            return op not in ("!", "!!")
        case ast.Select():
            return node.only
    return isinstance(node, ast.MethodPart | ast.Cast | ast.RecordIdExpr | ast.RecursePart)


def _takes_the_name(field: ast.Field, name: str) -> bool:
    return field.alias is not None and project.simple_name(field.alias) == name and field.expr != field.alias


def _shows_order(select: ast.Select) -> bool:
    """Whether what is computed into the row for ORDER BY may be seen by anything but the field that it is."""
    names = project.Computed(select.fields)
    ordering.paths(select, names)
    if not names.of_order:
        return False
    if select.value:
        return bool(select.omit)
    by_name = project.is_by_name(select)
    if not by_name and any(isinstance(field.expr, ast.Star) for field in select.fields):
        return True
    others = [field.expr for field in select.fields if not by_name or field.expr not in names.of_order.values()]
    return any(_may_read(node, names) for expr in others for node in nodes(expr))


def _may_read(node: object, names: project.Computed) -> bool:
    match node:
        case ast.Idiom(None, (ast.FieldPart(name), *_)):
            return name in names.of_order
        case ast.Param("this" | "parent") | ast.Document() | ast.Closure():
            return True
    return False


def _is_moved_beside_star(select: ast.Select) -> bool:
    stars = any(isinstance(field.expr, ast.Star) for field in select.fields)
    return stars and any(
        project.simple_name(field.expr) is not None and field.alias not in (None, field.expr) for field in select.fields
    )


__all__ = ["is_perhaps_an_error", "why_not_rowwise"]
