"""Idioms: `author.name`, `tags[0]`, `items[WHERE n > 1].price`, `->likes->post.title`, `name.uppercase()`.

A path is walked part by part with one bit of state: once `.field`, `.*` or `.{…}` has met an array, the path has
*fanned out*, and every later part is applied to each element. It fans out once: an array inside an element is then one
value to an index or a method, while fields still reach through it.

    [{a: [1, 2]}, {a: [3]}].a[0]   = [1, 3]        fanned out at `.a`
    [[1, 2], [3]][0]               = [1, 2]        an index alone does not fan out

A field of a record id is the field of that record, NONE if there is no such record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Geometry, Range, RecordId, SurrealSet, Value
from sp00ky.proto.values.text import geojson
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole import functions, graph
from sp00ky.proto.whole.scope import NotPlain, Scope, record_row

_Step: TypeAlias = Callable[[Value], Value]


def walk(value: Value, parts: tuple[ast.Part, ...], row: Value, scope: Scope) -> Value:
    """The value at `parts`, from `value`. `row` is what index expressions and method arguments see."""
    fanned = may_branch = False  # may_branch: the value is an array of records that a graph step has found
    optional = False
    for part in parts:
        kind = type(part)
        if kind is ast.OptionalPart:
            if value is NONE or value is None:
                return value
            optional = True
            continue
        if kind is ast.GraphPart and type(value) is list and not may_branch:
            raise NotPlain("a graph step from an array")
        step = _step(part, row, scope)
        if fanned:
            if kind is ast.AllPart and not all(type(item) in (list, dict, RecordId) for item in value):
                raise NotPlain("`.*` after a path has fanned out to something other than records")
            value = [step(item) for item in value]
        elif type(value) is list and kind in _FANNING:
            if optional:
                raise NotPlain("an array after `.?`")
            fanned = True
            value = [
                item if kind is ast.AllPart and type(item) not in (RecordId, SurrealSet) else step(item)
                for item in value
            ]
        else:
            value = step(value)
        may_branch = not fanned and (kind is ast.GraphPart or (may_branch and kind is ast.WherePart))
    return value


_FANNING = frozenset({ast.FieldPart, ast.AllPart, ast.DestructurePart})


def _step(part: ast.Part, row: Value, scope: Scope) -> _Step:
    match part:
        case ast.FieldPart(name):
            return lambda value: field(value, name, scope)
        case ast.AllPart():
            return lambda value: _all(value, scope)
        case ast.IndexPart(index):
            key = expressions.evaluate(index, row, scope)
            return lambda value: _index(value, key)
        case ast.LastPart():
            return _last
        case ast.WherePart(cond):
            return lambda value: _where(value, cond, scope)
        case ast.DestructurePart(fields):
            return lambda value: _destructure(value, fields, scope)
        case ast.MethodPart(name, args):
            values = [expressions.argument(arg, row, scope) for arg in args]
            return lambda value: functions.call_method(name, value, values)
        case ast.GraphPart():
            return lambda value: graph.step(value, part, scope)
        case _:
            raise NotPlain(f"idiom part {type(part).__name__}")


def field(value: Value, name: str, scope: Scope) -> Value:
    """`value.name`; through arrays, and through a record id to its record."""
    kind = type(value)
    if kind is dict:
        return value.get(name, NONE)
    if kind is RecordId:
        found = record_row(value, scope)
        return NONE if found is None else found.get(name, NONE)
    if kind is list:
        return [field(item, name, scope) for item in value]
    if kind is Geometry:
        return geojson(value).get(name, NONE)
    return NONE


def _all(value: Value, scope: Scope) -> Value:
    match value:
        case dict() | list():
            return value
        case RecordId():
            found = record_row(value, scope)
            return NONE if found is None else found
        case SurrealSet() | Geometry():
            raise NotPlain("`.*` of a set or a geometry")
        case _:
            return NONE


def _index(value: Value, key: Value) -> Value:
    """NONE from anything that has no such element; a negative index has none."""
    if type(value) is RecordId:
        value = value.key if type(value.key) is list else NONE
    if type(value) is SurrealSet:
        value = list(value.values)
    if type(value) is list:
        if type(key) is Range:
            return _slice(value, key)
        if type(key) is int:
            return value[key] if 0 <= key < len(value) else NONE
        if type(key) is str or key is NONE or key is None:
            return NONE
    elif type(value) is dict:
        if type(key) in (str, int):
            return value.get(str(key), NONE)
        if key is NONE or key is None:
            return NONE
    elif value is NONE or value is None or type(value) in (str, int, float):
        return NONE
    raise NotPlain("an index of this kind")


def _slice(items: list[Value], bounds: Range) -> Value:
    """NONE, not a shorter slice, if a bound lies outside."""
    begin, end = 0, len(items)
    for bound in (bounds.begin, bounds.end):
        if bound is not None and type(bound.value) is not int:
            raise NotPlain("a slice by something other than integers")
    if bounds.begin is not None:
        begin = bounds.begin.value + (not bounds.begin.inclusive)
    if bounds.end is not None:
        end = bounds.end.value + bounds.end.inclusive
    return items[begin:end] if 0 <= begin <= end <= len(items) else NONE


def _last(value: Value) -> Value:
    if type(value) is SurrealSet:
        value = list(value.values)
    if type(value) is list:
        return value[-1] if value else NONE
    return value


def _where(value: Value, cond: ast.Expr, scope: Scope) -> list[Value]:
    items = value if type(value) is list else [value]
    return [item for item in items if order.truthy(expressions.evaluate(cond, item, scope))]


def _destructure(value: Value, fields: tuple[tuple[str, ast.Idiom | None], ...], scope: Scope) -> Value:
    if type(value) is RecordId:
        value = record_row(value, scope)
        if value is None:
            return NONE
    if type(value) is list:
        return [_destructure(item, fields, scope) for item in value]
    if type(value) is not dict:
        return NONE
    result: dict[str, Value] = {}
    for name, idiom in fields:
        result[name] = field(value, name, scope) if idiom is None else walk(value, idiom.parts, value, scope)
    return result
