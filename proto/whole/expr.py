"""The plain evaluator of expressions: one row, one answer, nothing remembered.

It is the naive twin that the circuit's compiled predicates are tested against, and it computes what `/proxy/query` and
exact reads return. Null semantics are SurrealDB's: AND, OR, ?? and ?: yield one of their operands, not a bool; a field
that is not there is NONE; NONE and NULL are ordinary, comparable values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values.kinds import NONE, UUID, Bound, Range, RecordId, Value
from sp00ky.proto.values.order import truthy
from sp00ky.proto.whole import casts, effort, functions, operators, path
from sp00ky.proto.whole.functions import Lambda
from sp00ky.proto.whole.numbers import I64_MAX
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope, Source

# Parameters that the database itself sets: without a value here they are unknown, not NONE.
_OF_THE_SESSION = frozenset(
    {"auth", "access", "session", "token", "value", "before", "after", "event", "input", "self", "request", "reference"}
)
_KEY_KINDS = frozenset({int, str, UUID, list, dict, Range})


def evaluate(expr: ast.Expr, row: Value, scope: Scope) -> Value:
    """The value of an expression on a row. Raises NotPlain (EvaluationError where SurrealDB fails as well)."""
    evaluator = _EVALUATORS.get(type(expr))
    if evaluator is None:
        raise NotPlain(f"expression {type(expr).__name__}")
    return evaluator(expr, row, scope)


def argument(expr: ast.Expr, row: Value, scope: Scope) -> Value | Lambda:
    """The value of an expression, or the closure it is: closures stand in argument lists only."""
    return _closure(expr, row, scope) if type(expr) is ast.Closure else evaluate(expr, row, scope)


def whole_number(expr: ast.Expr, row: Value, scope: Scope, clause: str) -> int:
    """The value of LIMIT or START: the whole part of a number, 0 for NONE and NULL."""
    value = evaluate(expr, row, scope)
    if value is NONE or value is None:
        return 0
    if type(value) not in (int, float, Decimal) or not abs(value) <= I64_MAX:  # NaN is not
        raise EvaluationError(f"{clause} of something other than a number")
    if int(value) < 0:
        raise EvaluationError(f"{clause} below zero")
    return int(value)


def _literal(expr: ast.Literal, row: Value, scope: Scope) -> Value:
    return expr.value


def _param(expr: ast.Param, row: Value, scope: Scope) -> Value:
    name = expr.name
    if name == "this":
        return row
    if name == "parent":
        return scope.began_at(row) if scope.parent is NONE and not scope.isolated else scope.parent
    if name in scope.params:
        return scope.params[name]
    if name in _OF_THE_SESSION:
        raise NotPlain(f"parameter ${name}")
    return NONE


def _array(expr: ast.Array, row: Value, scope: Scope) -> list[Value]:
    items = [evaluate(item, row, scope) for item in expr.items]
    effort.made(items)
    return items


def _set(expr: ast.SetLiteral, row: Value, scope: Scope) -> Value:
    value = operators.make_set(evaluate(item, row, scope) for item in expr.items)
    effort.made(value)
    return value


def _object(expr: ast.Object, row: Value, scope: Scope) -> dict[str, Value]:
    names = {name for name, _ in expr.items}
    if names in ({"type", "coordinates"}, {"type", "geometries"}):
        raise NotPlain("an object that may be a geometry")
    fields = {name: evaluate(item, row, scope) for name, item in expr.items}
    effort.made(fields)
    return fields


def _record(expr: ast.RecordIdExpr, row: Value, scope: Scope) -> RecordId:
    key = evaluate(expr.key, row, scope)
    if type(key) not in _KEY_KINDS:
        raise EvaluationError("a record key of this kind")
    return RecordId(expr.table, key)


def _range(expr: ast.RangeExpr, row: Value, scope: Scope) -> Range:
    begin = None if expr.begin is None else Bound(evaluate(expr.begin, row, scope), expr.begin_inclusive)
    end = None if expr.end is None else Bound(evaluate(expr.end, row, scope), expr.end_inclusive)
    return Range(begin, end)


def _unary(expr: ast.Unary, row: Value, scope: Scope) -> Value:
    value = evaluate(expr.operand, row, scope)
    match expr.op:
        case "!":
            return not truthy(value)
        case "!!":
            return truthy(value)
        case "-":
            return operators.negate(value)
        case "+" if type(value) in (int, float, Decimal):
            return value
        case _:
            raise NotPlain(f"prefix {expr.op}")


def _binary(expr: ast.Binary, row: Value, scope: Scope) -> Value:
    left = evaluate(expr.left, row, scope)
    match expr.op:
        case "AND":
            return evaluate(expr.right, row, scope) if truthy(left) else left
        case "OR" | "?:":
            return left if truthy(left) else evaluate(expr.right, row, scope)
        case "??":
            return evaluate(expr.right, row, scope) if left is NONE or left is None else left
    right = evaluate(expr.right, row, scope)
    effort.read(left)
    effort.read(right)
    value = operators.binary(expr.op, left, right)
    effort.made(value)
    return value


def _cast(expr: ast.Cast, row: Value, scope: Scope) -> Value:
    value = casts.cast(expr.kind, evaluate(expr.operand, row, scope))
    effort.made(value)
    return value


def _call(expr: ast.Call, row: Value, scope: Scope) -> Value:
    return functions.call(expr.name, [argument(arg, row, scope) for arg in expr.args])


def _closure(expr: ast.Closure, row: Value, scope: Scope) -> Lambda:
    row = scope.began_at(row)

    def apply(values: list[Value]) -> Value:
        given = dict(zip(expr.params, values, strict=False))
        missing = dict.fromkeys(expr.params[len(values) :], NONE)
        return evaluate(expr.body, row, replace(scope, params={**scope.params, **given, **missing}, isolated=True))

    return Lambda(apply, len(expr.params))


def _if_else(expr: ast.IfElse, row: Value, scope: Scope) -> Value:
    for condition, body in expr.branches:
        if truthy(evaluate(condition, row, scope)):
            return evaluate(body, row, scope)
    return NONE if expr.otherwise is None else evaluate(expr.otherwise, row, scope)


def _block(expr: ast.Block, row: Value, scope: Scope) -> Value:
    """`{ a }` is a; the braces are kept where they are seen in a column's name."""
    if len(expr.statements) != 1 or isinstance(expr.statements[0], ast.Let | ast.For | ast.Leave):
        raise NotPlain("a block of statements")
    return evaluate(expr.statements[0], row, scope)


def _subquery(expr: ast.Subquery, row: Value, scope: Scope) -> Value:
    from sp00ky.proto.whole.select import run_select  # a SELECT holds expressions and an expression a SELECT

    with effort.evaluation:
        found = run_select(expr.select, scope.within(row))
        effort.read(found)
    return found


def _document(expr: ast.Document, row: Value, scope: Scope) -> Value:
    """`@`: the record itself."""
    start = scope.began_at(row)
    return start.get("id", NONE) if type(start) is dict else NONE


def _idiom(expr: ast.Idiom, row: Value, scope: Scope) -> Value:
    if expr.head is not None:
        with effort.evaluation:
            return path.walk(evaluate(expr.head, row, scope), expr.parts, row, scope)
    first = expr.parts[0]
    if len(expr.parts) == 1 and type(first) is ast.FieldPart and type(row) is dict:
        return row.get(first.name, NONE)
    with effort.evaluation:
        return path.walk(row, expr.parts, row, scope)


_EVALUATORS: dict[type, Callable[[Any, Value, Scope], Value]] = {
    ast.Literal: _literal,
    ast.Param: _param,
    ast.Array: _array,
    ast.SetLiteral: _set,
    ast.Object: _object,
    ast.RecordIdExpr: _record,
    ast.RangeExpr: _range,
    ast.Unary: _unary,
    ast.Binary: _binary,
    ast.Cast: _cast,
    ast.Call: _call,
    ast.IfElse: _if_else,
    ast.Block: _block,
    ast.Subquery: _subquery,
    ast.Document: _document,
    ast.Idiom: _idiom,
}

__all__ = ["EvaluationError", "NotPlain", "Scope", "Source", "evaluate", "whole_number"]
