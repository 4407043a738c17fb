"""GROUP BY and GROUP ALL, plainly: gather rows by key, then one output row per group, in the order of the keys.

A field of the list is, in a group: a key (its value), an expression over aggregates (each aggregate over the group's
rows, and then the expression on these alone: a field beside them is NONE), or anything else (the array of its values, a
row each). GROUP ALL is one group, to the database's owner also of no rows.

An error in a group is sometimes the error of the query and sometimes NONE or NULL in its place: it is NotPlain, except
where a key or a column is known to become NONE.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, RecordId, Table, Value
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.aggregates import AGGREGATES, joined
from sp00ky.proto.whole.names import output_path
from sp00ky.proto.whole.permitted import groups_nothing
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope

_Rows = list[Value]
_ROW_PARAMS = frozenset({"this", "parent", "self"})
_COUNTED = (ast.TableTarget, ast.Literal, ast.RecordIdExpr, ast.Param)


@dataclass(frozen=True, slots=True)
class Slot:
    """What is gathered of a group's rows for one aggregate, or for a field that is the array of its values (no call):
    the argument of each row."""

    argument: ast.Expr
    call: ast.Call | None = None

    def result(self, values: list[Value], scope: Scope) -> Value:
        """Of the values of all rows, in the order of the rows."""
        if self.call is None:
            return values
        if self.call.name == "array::join":
            separator = expressions.evaluate(self.call.args[1], {}, scope) if len(self.call.args) == 2 else ""
            return joined(values, separator)
        return AGGREGATES[self.call.name](values)


class Grouping:
    """What a SELECT with GROUP makes of its rows, row by row and group by group. Raises EvaluationError for what is no
    query, and NotPlain."""

    def __init__(self, select: ast.Select) -> None:
        assert select.group is not None, "no GROUP in this SELECT"
        self._value = select.value
        self.keys = [_key_expression(idiom, select.fields) for idiom in select.group]
        self.slots: list[Slot] = []
        self._columns = []
        for field in select.fields:
            if isinstance(field.expr, ast.Star):
                raise EvaluationError("GROUP with *")
            if any(type(node) is ast.Param and node.name in _ROW_PARAMS for node in _nodes(field.expr)):
                raise EvaluationError("$this or $parent in a group")
            self._columns.append(_Column(field, select.group, self.slots))

    def key(self, row: Value, scope: Scope) -> list[Value]:
        return [_or_none(expr, row, scope) for expr in self.keys]

    def arguments(self, row: Value, scope: Scope) -> list[Value]:
        """What each slot gathers of the row."""
        return [_or_none(slot.argument, row, scope) for slot in self.slots]

    def output(self, key: _Rows, results: _Rows, scope: Scope) -> Value:
        """The row of a group, of its key and the results of the slots."""
        if self._value:
            return self._columns[0].value(key, results, scope)
        row: dict[str, Value] = {}
        for column in self._columns:
            _put(row, output_path(column.field), column.value(key, results, scope))
        return row


def key_of(values: _Rows) -> Hashable:
    """Equal for rows of one group."""
    return tuple(map(order.hash_key, values))


def place_of(values: _Rows) -> tuple[Any, ...]:
    """Sorts groups as SurrealDB does."""
    return tuple(map(order.sort_key, values))


def grouped(select: ast.Select, rows: _Rows, scope: Scope) -> list[Value]:
    """The output rows of a SELECT with GROUP, before ORDER BY, START and LIMIT."""
    grouping = Grouping(select)
    if not grouping.keys and not rows and not groups_nothing(select, scope):
        return []
    groups: dict[Hashable, tuple[_Rows, list[_Rows]]] = {} if grouping.keys else {(): ([], [])}
    for row in rows:
        key = grouping.key(row, scope)
        groups.setdefault(key_of(key), (key, []))[1].append(grouping.arguments(row, scope))
    outputs = []
    for key, gathered in sorted(groups.values(), key=lambda group: place_of(group[0])):
        results = [slot.result([each[at] for each in gathered], scope) for at, slot in enumerate(grouping.slots)]
        outputs.append(grouping.output(key, results, scope))
    return outputs


def _key_expression(idiom: ast.Idiom, columns: tuple[ast.Field, ...]) -> ast.Expr:
    """What a GROUP BY name stands for: the last field with that alias, else itself."""
    aliased = [field.expr for field in columns if field.alias == idiom and not isinstance(field.expr, ast.Star)]
    return aliased[-1] if aliased else idiom


class _Column:
    """What a field is in a group. `place` of its key, if it is one; `post`: the expression with its aggregates
    replaced by names for the results of their slots, None for a slot itself, the `first`."""

    def __init__(self, field: ast.Field, keys: tuple[ast.Idiom, ...], slots: list[Slot]) -> None:
        assert not isinstance(field.expr, ast.Star), "refused above"
        self.field = field
        self.place = next((place for place, key in enumerate(keys) if key == field.expr), None)
        if self.place is None and field.alias is not None:
            self.place = next((place for place, key in enumerate(keys) if key == field.alias), None)
        if self.place is not None:
            return
        self.first = len(slots)
        calls: list[ast.Call] = []
        self.post: ast.Expr | None = _extracted(field.expr, calls)
        if calls:
            slots += map(_slot, calls)
        else:
            self.post = None
            slots.append(Slot(field.expr))
        self.count = len(slots) - self.first

    def value(self, key: _Rows, results: _Rows, scope: Scope) -> Value:
        if self.place is not None:
            return key[self.place]
        if self.post is None:
            return results[self.first]
        named = {_name(place): results[self.first + place] for place in range(self.count)}
        try:
            return expressions.evaluate(self.post, named, scope)
        except EvaluationError as error:
            raise NotPlain(f"an error beside aggregates: {error.name}") from error


def _slot(call: ast.Call) -> Slot:
    if call.name == "count" and not call.args:
        return Slot(ast.Literal(True), call)
    if len(call.args) == 1 or (call.name == "array::join" and len(call.args) == 2):
        return Slot(call.args[0], call)
    raise NotPlain(f"aggregate {call.name} of other than one argument")


def _put(target: dict[str, Value], path: tuple[str, ...], value: Value) -> None:
    """Set the value at the path; what is no object on the way is replaced."""
    for name in path[:-1]:
        inner = target.get(name, NONE)
        target[name] = dict(inner) if type(inner) is dict else {}
        target = target[name]
    target[path[-1]] = value


# --- aggregates ------------------------------------------------------------------------------------------------------


def _name(place: int) -> str:
    return f"_a{place}"


def _is_aggregate(node: object) -> bool:
    return type(node) is ast.Call and (node.name in AGGREGATES or node.name == "array::join")


def _extracted(node: Any, calls: list[ast.Call]) -> Any:
    """The tree with its aggregates replaced by names; those in sub-selects are left as they are. SurrealDB does not
    know one inside another: the inner is the function on one value; but array::distinct of one is a function itself."""
    if _is_aggregate(node) and not (node.name == "array::distinct" and node.args and _is_aggregate(node.args[0])):
        calls.append(node)
        return ast.Idiom(None, (ast.FieldPart(_name(len(calls) - 1)),))
    if isinstance(node, tuple):
        return tuple(_extracted(item, calls) for item in node)
    if isinstance(node, ast.Idiom):
        if any(_is_aggregate(inner) for part in node.parts for inner in _nodes(part)):
            raise NotPlain("an aggregate inside a path")
        return replace(node, head=_extracted(node.head, calls))
    if not is_dataclass(node) or isinstance(node, ast.Literal | ast.Subquery | type):
        return node
    changed = {each.name: _extracted(getattr(node, each.name), calls) for each in fields(node)}
    return type(node)(**changed)


def _or_none(expr: ast.Expr, row: Value, scope: Scope) -> Value:
    """The value for a row; an error in a function or in arithmetic on plain fields is NONE in a group."""
    try:
        return expressions.evaluate(expr, row, scope)
    except EvaluationError as error:
        if all(type(node) in _ERRORS_ARE_NONE or isinstance(node, str | tuple) for node in _nodes(expr)):
            return NONE
        raise NotPlain(f"an error in a group: {error.name}") from error


_ERRORS_ARE_NONE = frozenset({ast.Call, ast.Binary, ast.Idiom, ast.FieldPart, ast.Literal, ast.Param, type(None)})


def _nodes(tree: object) -> Iterator[object]:
    """Every node, those of sub-selects too."""
    yield tree
    if isinstance(tree, tuple):
        for item in tree:
            yield from _nodes(item)
    elif is_dataclass(tree) and not isinstance(tree, ast.Literal | type):
        for each in fields(tree):
            yield from _nodes(getattr(tree, each.name))


# --- counting --------------------------------------------------------------------------------------------------------


def is_counting(select: ast.Select) -> bool:
    """`SELECT count() FROM one GROUP ALL` is answered by counting keys: START and LIMIT do not count then, and VALUE
    is an object."""
    bare = select.where is None and not (select.order or select.split or select.omit or select.order_rand)
    return (
        bare
        and select.group == ()
        and [field.expr for field in select.fields] == [ast.Call("count", ())]
        and len(select.targets) == 1
        and isinstance(select.targets[0], _COUNTED)
        and (not isinstance(select.targets[0], ast.Literal) or type(select.targets[0].value) is RecordId)
    )


def counted(select: ast.Select, rows: int, scope: Scope) -> list[Value]:
    """The result, of so many rows."""
    (target,) = select.targets
    value = expressions.evaluate(target, scope.parent, scope) if isinstance(target, ast.Param) else None
    if isinstance(target, ast.Param) and type(value) not in (Table, RecordId):
        raise EvaluationError("count() of a parameter that is no table")
    if not rows and not groups_nothing(select, scope):
        return []
    (field,) = select.fields
    return [{".".join(output_path(field)): rows}]
