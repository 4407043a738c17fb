"""WHERE with its constants folded, as SurrealDB does before it runs a query.

At every depth of WHERE, but not in its sub-selects,

    x AND true = true AND x = x OR false = false OR x = x
    x AND false = false AND x = x IN [] = false               x OR true = true OR x = true

where the boolean, or the empty array, may be a literal, a parameter, or what a function makes of such. It shows: an
operand that is gone is no error, and what is left is not the bool that AND and OR would have yielded, so that
`(n AND true) = 2` holds where n is 2.

A parameter is put in as a literal, and as a literal a set is an array: `tags = $set` holds of arrays. So it is in FROM.
It is put in before the arguments of closures are, under their name too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values.kinds import UUID, Datetime, Duration, NoneKind, Range, RecordId, SurrealSet, Value
from sp00ky.proto.whole import functions, operators
from sp00ky.proto.whole.rules import may_fail, nodes
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

Params: TypeAlias = Mapping[str, Value]
SHAPES_MAX: Final = 4_096
VALUES_MAX: Final = 256
OF_THE_ROW: Final = frozenset({"this", "parent", "self"})
_PLAIN_KINDS = frozenset({bool, int, float, Decimal, str, UUID, Datetime, Duration, NoneKind, type(None)})
_FALSE, _TRUE = ast.Literal(False), ast.Literal(True)


class _Unknown:
    """Stands for the value of what is no constant."""


_UNKNOWN: Final = _Unknown()


def folded(where: ast.Expr | None, params: Params) -> ast.Expr | None:
    """The condition that SurrealDB asks of the rows; an equal tree if there is nothing to fold."""
    if where is None or not (_may_fold(where) or gives_sets(where, params)):
        return where
    result: ast.Expr = _fold(where, params)
    return result


def gives_sets(where: ast.Expr, params: Params) -> bool:
    """Whether a parameter in the condition is, or holds, a set."""
    return any(name in params and _holds_set(_Same(params[name])) for name in _given(where))


@lru_cache(SHAPES_MAX)
def _given(where: ast.Expr) -> frozenset[str]:
    found = nodes(where, in_subquery=False)
    return frozenset(node.name for node in found if isinstance(node, ast.Param)) - OF_THE_ROW


class _Same:
    """A value that equals itself only, for a cache: it may be large, and is asked about for each sub-select."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value


@lru_cache(VALUES_MAX)
def _holds_set(given: _Same) -> bool:
    return holds_set(given.value)


def holds_set(value: Value) -> bool:
    if type(value) is list:
        return any(map(holds_set, value))
    if type(value) is dict:
        return any(map(holds_set, value.values()))
    return type(value) is SurrealSet


def as_literal(value: Value) -> Value:
    """The value of a parameter as a query has it: with arrays for sets."""
    if type(value) is list or type(value) is SurrealSet:
        return [as_literal(item) for item in value]
    if type(value) is dict:
        return {name: as_literal(item) for name, item in value.items()}
    return value


def given(target: ast.Expr, params: Params) -> bool:
    """Whether FROM is known before the query runs: a parameter, or a function of such and of constants."""
    match target:
        case ast.Param(name):
            return name in params and name not in OF_THE_ROW
        case ast.Call(_, args):
            return all(given(arg, params) or known(arg, params) is not _UNKNOWN for arg in args)
    return False


@lru_cache(SHAPES_MAX)
def is_seen_folded(where: ast.Expr) -> bool:
    """Whether folding may show, whatever the parameters are: by an error that is none, or by the value of an AND or OR
    of which more is asked than whether it is true."""
    return _may_fold(where) and (may_fail(where) or any(map(_may_shorten, _inside(where))))


def _inside(where: ast.Expr) -> Iterator[object]:
    """The nodes that do not merely decide whether the condition is true."""
    match where:
        case ast.Binary("AND" | "OR", left, right):
            yield from _inside(left)
            yield from _inside(right)
        case ast.Unary("!" | "!!", operand):
            yield from _inside(operand)
        case ast.Binary("IN", left, right):
            yield from nodes((left, right), in_subquery=False)
        case _:
            yield from nodes(where, in_subquery=False)


def known(expr: ast.Expr, params: Params) -> Value | _Unknown:
    """The value that SurrealDB knows before it runs the query."""
    match expr:
        case ast.Literal(value, ""):
            return _literal(value)
        case ast.Param(name) if name not in OF_THE_ROW and name in params:
            return _literal(as_literal(params[name]))
        case ast.Array(items):
            values = [known(item, params) for item in items]
            return _UNKNOWN if _UNKNOWN in values else values
        case ast.Object(pairs) if pairs:
            named = {name: known(item, params) for name, item in pairs}
            return _UNKNOWN if _UNKNOWN in named.values() else named
        case ast.RecordIdExpr(table, key):
            value = known(key, params)
            return _UNKNOWN if value is _UNKNOWN or type(value) is Range else RecordId(table, value)
        case ast.Call(name, args):
            return _called(name, [known(arg, params) for arg in args])
        case ast.Binary("+" | "-" as op, left, right):
            return _operated(op, known(left, params), known(right, params))
    return _UNKNOWN


def _literal(value: Value) -> Value | _Unknown:
    """Regexes, bytes, sets, geometries and ranges are not looked into."""
    if type(value) is list:
        inside = list(value)
    elif type(value) is dict:
        inside = list(value.values())
    elif type(value) is RecordId:
        inside = [value.key]
    else:
        return value if type(value) in _PLAIN_KINDS else _UNKNOWN
    return _UNKNOWN if any(_literal(item) is _UNKNOWN for item in inside) else value


def _called(name: str, args: list[Any]) -> Value | _Unknown:
    if _UNKNOWN in args or name not in functions.plain_functions():
        return _UNKNOWN
    try:
        return _literal(functions.call(name, args))
    except NotPlain:
        return _UNKNOWN  # an error is one when it is evaluated


def _operated(op: str, left: Any, right: Any) -> Value | _Unknown:
    if left is _UNKNOWN or right is _UNKNOWN:
        return _UNKNOWN
    try:
        return _literal(operators.binary(op, left, right))
    except EvaluationError:
        return _UNKNOWN


# --- the rewriting ---------------------------------------------------------------------------------------------------


def _fold(node: Any, params: Params) -> Any:
    """From the leaves up."""
    if isinstance(node, tuple):
        return tuple(_fold(item, params) for item in node)
    if not is_dataclass(node) or isinstance(node, ast.Literal | ast.Subquery | type):
        return node
    if isinstance(node, ast.Closure) and any(name in params for name in node.params):
        raise NotPlain("a closure whose argument has the name of a parameter")
    if isinstance(node, ast.Param) and node.name in params and holds_set(params[node.name]):
        return ast.Literal(as_literal(params[node.name]))
    changed = type(node)(**{each.name: _fold(getattr(node, each.name), params) for each in fields(node)})
    return _shorter(changed, params) if isinstance(changed, ast.Binary) else changed


def _shorter(node: ast.Binary, params: Params) -> ast.Expr:
    if node.op == "IN":
        return _FALSE if _is_empty(node.right, params) else node
    if node.op not in ("AND", "OR"):
        return node
    sides = _truth(node.left, params), _truth(node.right, params)
    if (node.op == "OR") in sides:
        return _TRUE if node.op == "OR" else _FALSE
    if sides[0] is not None:
        return node.right
    return node.left if sides[1] is not None else node


def _truth(expr: ast.Expr, params: Params) -> bool | None:
    """The value of an operand that is known to be a bool."""
    value = params.get(expr.name) if type(expr) is ast.Param and expr.name not in OF_THE_ROW else known(expr, params)
    return value if type(value) is bool else None


def _is_empty(expr: ast.Expr, params: Params) -> bool:
    value = params.get(expr.name) if type(expr) is ast.Param and expr.name not in OF_THE_ROW else known(expr, params)
    return type(value) is list and not value


@lru_cache(SHAPES_MAX)
def _may_fold(where: ast.Expr) -> bool:
    """Whether there is a closure, or anything that might be a constant beside AND, OR and IN."""
    return any(map(_may_shorten, nodes(where, in_subquery=False)))


def _may_shorten(node: object) -> bool:
    match node:
        case ast.Closure():
            return True
        case ast.Binary("AND" | "OR", left, right):
            return _may_be_known(left) or _may_be_known(right)
        case ast.Binary("IN", _, right):
            return right == ast.Array(()) or (_may_be_known(right) and type(right) not in (ast.Array, ast.Literal))
    return False


def _may_be_known(expr: ast.Expr) -> bool:
    match expr:
        case ast.Literal() | ast.Param():
            return True
        case ast.Array(items) | ast.Call(_, items):
            return all(map(_may_be_known, items))
        case ast.Object(pairs):
            return all(_may_be_known(item) for _, item in pairs)
        case ast.Binary("+" | "-", left, right):
            return _may_be_known(left) and _may_be_known(right)
        case ast.Binary():
            return _may_shorten(expr)
    return False
