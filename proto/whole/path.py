"""Idioms: `author.name`, `tags[0]`, `items[WHERE n > 1].price`, `->likes->post.title`, `name.uppercase()`.

A path is walked part by part. Where `.field`, `.*` or `.{…}` meets an array and more parts follow, the path *fans out*:
all that follows is taken from each element. It fans out once, so that an array inside an element is then one value to
an index or a method, while fields still reach through it.

    [{a: [1, 2]}, {a: [3]}].a[0]   = [1, 3]        fanned out at `.a`
    [[1, 2], [3]][0]               = [1, 2]        an index alone does not fan out

Graph steps in a row are one step; from an array that they have not found themselves a path fans out at them as well,
unless there is but one and it is the last: then its results stand in one flat array.

What stands inside a part sees three values: conditions, destructured fields and arguments of methods are evaluated on
the value at that point, an index and a closure on the row that the whole path began at, which is also `$parent`.

A field of a record id is the field of its key, if that is an object with such a field, else the field of that record,
NONE if there is no such record.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Geometry, Range, RecordId, SurrealSet, Value
from sp00ky.proto.values.text import geojson
from sp00ky.proto.whole import effort, graph, methods, recursion
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope, record_row


def walk(value: Value, parts: tuple[ast.Part, ...], row: Value, scope: Scope) -> Value:
    """The value at `parts`, from `value`. `row` is what the path stands in."""
    steps = _steps(parts)
    previous: _Step | None = None
    looked_up = False  # the value is an array that a traversal has found, perhaps filtered since
    for place, step in enumerate(steps):
        if type(value) is list:
            more = place + 1 < len(steps)
            if more and type(step) in _MAPPING:
                return _mapped(value, steps[place:], row, scope)
            apart = type(previous) not in (_Traversal, ast.FlattenPart)
            if type(step) is _Traversal and apart and (more or step.fused):
                found = [_straight(item, steps[place:], row, scope) for item in value]
                return _flat(found) if looked_up else found
        value = _apply(step, value, row, scope)
        effort.read(value)
        if type(step) in (_Traversal, ast.FlattenPart):
            looked_up = looked_up or type(value) is list
        elif type(step) is not ast.WherePart:
            looked_up = False
        previous = step
    return value


@dataclass(frozen=True, slots=True)
class _Traversal:
    steps: tuple[graph.Step, ...]

    @property
    def fused(self) -> bool:
        return len(self.steps) > 1


@dataclass(frozen=True, slots=True)
class _IfThere:
    """The rest of a path after `.?`."""

    rest: tuple[_Step, ...]


@dataclass(frozen=True, slots=True)
class _Recursion:
    part: ast.RecursePart
    steps: tuple[_Step, ...]
    is_tree: bool  # there is a `.@` in the steps


_Step: TypeAlias = ast.Part | _Traversal | _IfThere | _Recursion
_MAPPING = frozenset({ast.FieldPart, ast.AllPart, ast.DestructurePart})
_GRAPH = frozenset({ast.GraphPart, ast.GraphQuery})
_GATHERED = frozenset({*_GRAPH, ast.OptionalPart, ast.RecursePart})


def _steps(parts: tuple[ast.Part, ...]) -> tuple[_Step, ...]:
    """Graph steps in a row are one, a filter after them sees one flat array, and what follows `.?` belongs to it."""
    if not any(type(part) in _GATHERED for part in parts):
        return parts
    steps: list[_Step] = []
    for place, part in enumerate(parts):
        last = steps[-1] if steps else None
        if isinstance(part, ast.OptionalPart):
            steps.append(_IfThere(_steps(parts[place + 1 :])))
            break
        if isinstance(part, ast.RecursePart):
            repeated, after = _repeated(part, parts[place + 1 :])
            steps.append(_Recursion(part, _steps(repeated), _repeats(repeated)))
            return (*steps, *_steps(after))
        if isinstance(part, ast.GraphPart | ast.GraphQuery):
            if type(last) is _Traversal:
                steps[-1] = _Traversal((*last.steps, part))
            else:
                steps.append(_Traversal((part,)))
            continue
        if type(part) is ast.WherePart and type(last) is _Traversal:
            steps.append(ast.FlattenPart())
        steps.append(part)
    return tuple(steps)


def _repeated(part: ast.RecursePart, rest: tuple[ast.Part, ...]) -> tuple[tuple[ast.Part, ...], tuple[ast.Part, ...]]:
    """The parts that a recursion repeats, and those that come after it: all up to a `.@`, if none are in brackets."""
    if part.path:
        return part.path, rest
    place = rest.index(ast.RepeatPart()) + 1 if ast.RepeatPart() in rest else len(rest)
    return rest[:place], rest[place:]


def _repeats(parts: tuple[ast.Part, ...]) -> bool:
    found = _count_repeats(parts)
    if found > 1:
        raise NotPlain("more than one .@ in a recursion")
    return found == 1


def _count_repeats(parts: tuple[ast.Part, ...]) -> int:
    inner = [path.parts for part in parts if isinstance(part, ast.DestructurePart) for _, path in part.fields if path]
    return parts.count(ast.RepeatPart()) + sum(map(_count_repeats, inner))


def _mapped(items: list[Value], steps: tuple[_Step, ...], row: Value, scope: Scope) -> list[Value]:
    """The rest of the path from each element; `.*` reads the record of a record id and is nothing to other elements."""
    effort.read(items)
    if type(steps[0]) is not ast.AllPart:
        return [_straight(item, steps, row, scope) for item in items]
    return [_straight(item, steps if type(item) is RecordId else steps[1:], row, scope) for item in items]


def _straight(value: Value, steps: tuple[_Step, ...], row: Value, scope: Scope) -> Value:
    """Each step on the value of the one before: within an element a path does not fan out again."""
    for step in steps:
        value = _apply(step, value, row, scope)
        effort.read(value)
    return value


def _apply(step: _Step, value: Value, row: Value, scope: Scope) -> Value:
    match step:
        case ast.FieldPart(name):
            return field(value, name, scope)
        case ast.AllPart():
            return _all(value, scope)
        case ast.IndexPart(index):
            start = scope.began_at(row)
            return _index(value, expressions.evaluate(index, start, scope))
        case ast.LastPart():
            return _last(value)
        case ast.WherePart(cond):
            return _where(value, cond, scope.along(row))
        case ast.DestructurePart(fields):
            return _destructure(value, fields, scope.along(row))
        case ast.MethodPart(name, args):
            inner = scope.along(row)
            return methods.call_method(name, value, [expressions.argument(arg, value, inner) for arg in args])
        case ast.FlattenPart():
            return _flat(value) if type(value) is list else value
        case _Traversal(steps):
            return graph.traverse(value, steps, scope.began_at(row), scope)
        case _Recursion(part, steps, is_tree):
            follow = partial(_followed, steps, row)
            return recursion.recurse(value, part, follow, is_tree, scope.along(row) if is_tree else scope)
        case ast.RepeatPart():
            if scope.repeat is None:
                raise EvaluationError(".@ outside a recursion")
            return scope.repeat(value)
        case _IfThere(rest):
            return value if value is NONE or value is None else _straight(value, rest, row, scope)
        case _:
            raise NotPlain(f"idiom part {type(step).__name__}")


def _followed(steps: tuple[_Step, ...], row: Value, value: Value, scope: Scope) -> Value:
    return _straight(value, steps, row, scope)


def _flat(items: list[Value]) -> list[Value]:
    return [inner for item in items for inner in (item if type(item) is list else [item])]


def field(value: Value, name: str, scope: Scope) -> Value:
    """`value.name`; through arrays, and through a record id to its record."""
    kind = type(value)
    if kind is dict:
        return value.get(name, NONE)
    if kind is RecordId:
        if type(value.key) is dict and name in value.key:
            return value.key[name]
        found = record_row(value, scope)
        return NONE if found is None else found.get(name, NONE)
    if kind is list:
        return [field(item, name, scope) for item in value]
    if kind is Geometry:
        return geojson(value).get(name, NONE)
    return NONE


def _all(value: Value, scope: Scope) -> Value:
    match value:
        case list():
            return [_all(item, scope) if type(item) is RecordId else item for item in value]
        case dict():
            return value
        case RecordId():
            found = record_row(value, scope)
            return NONE if found is None else found
        case Geometry():
            raise NotPlain("`.*` of a geometry")
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
    with effort.outermost():
        return [item for item in items if _holds(cond, item, scope)]


def _holds(cond: ast.Expr, item: Value, scope: Scope) -> bool:
    effort.looked()
    return order.truthy(expressions.evaluate(cond, item, scope))


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
        if idiom is not None and idiom.parts == (ast.FieldPart(name), ast.AllPart()):
            whole = _all(field(value, name, scope), scope)
            if type(whole) is dict:  # `a.*` leaves out what is no object
                result[name] = whole
            continue
        if idiom is not None and idiom.head is not None:
            raise NotPlain("destructuring to a computed value")  # its `$parent` is the row around
        result[name] = field(value, name, scope) if idiom is None else walk(value, idiom.parts, value, scope)
    return result
