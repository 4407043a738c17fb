"""The shape of a result row: the list of fields, setting and taking out values by path, OMIT and FETCH.

SurrealDB makes a row in one of two ways.

* *By name*, if every field is a name of the row, or goes to one name, and OMIT has plain names: what is no name of the
  row is computed into the row first, under its alias, or under `_e0`, `_e1`, … if a name that is shown has it already;
  then the names are taken over one by one. Beside `*` a field under another name is *moved*, in the row as it is by
  then: `SELECT *, s AS t, s` has NONE for `s`. A row that is no object stays what it is if nothing is computed.
* *By path* otherwise, and where FROM is one record and nothing else is asked: each field is evaluated and put at its
  path. Nothing is moved.

What ORDER BY has computed (`ordering.py`) is in the row already, under its name, and every expression sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values.kinds import NONE, Geometry, RecordId, Value
from sp00ky.proto.values.text import geojson
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.names import Path, output_path
from sp00ky.proto.whole.scope import NotPlain, Scope, record_row


class Computed:
    """The names under which expressions are computed into the row. One is computed once for each alias."""

    def __init__(self, fields: tuple[ast.Field, ...]) -> None:
        read = [simple_name(field.expr) for field in fields]
        self._taken = {name for name in read if name is not None}
        self._fields = fields
        self._names: dict[tuple[ast.Expr, str | None], str] = {}
        self.of_order: dict[str, ast.Expr] = {}

    def name_of(self, expr: ast.Expr, alias: str | None) -> str:
        """The name for this expression under this alias."""
        name = self._names.get((expr, alias))
        if name is None:
            name = self._names[expr, alias] = self._free(alias)
            self._taken.add(name)
        return name

    def _free(self, alias: str | None) -> str:
        if alias is not None and alias not in self._taken:
            return alias
        shown = {output_path(field)[0] for field in self._fields if not isinstance(field.expr, ast.Star)}
        synthetic = (f"_e{number}" for number in count())
        return next(name for name in synthetic if name not in self._taken and name not in shown)

    def has(self, name: str) -> bool:
        return name in self._names.values()


def computed(row: Value, columns: Mapping[str, ast.Expr], scope: Scope) -> Value:
    """The row with these values in it; each is evaluated on the row without them."""
    if not columns:
        return row
    values = {name: expressions.evaluate(columns[name], row, scope) for name in sorted(columns)}
    there = _seen(row, scope)
    return {**(there if type(there) is dict else {}), **values}


def _seen(row: Value, scope: Scope) -> Value:
    """The row as names are taken from it: of a record id its record, NONE if there is none."""
    if type(row) is RecordId:
        return _record(row, scope)
    return geojson(row) if type(row) is Geometry else row


def simple_name(expr: ast.Expr | ast.Star) -> str | None:
    """The name that the expression is, if it is nothing else."""
    match expr:
        case ast.Idiom(None, (ast.FieldPart(name),)):
            return name
    return None


def shaped(select: ast.Select, rows: list[Value], names: Computed, scope: Scope) -> list[Value]:
    """The result rows. `rows` hold what ORDER BY has computed under `names`."""
    for idiom in select.omit:
        if idiom.head is not None:
            raise NotPlain("OMIT of something other than names")
    if not rows:
        return []
    if select.value:
        return _values(select, rows, names, scope)
    if not is_by_name(select):
        there = [row for row in rows if not (_has_star(select.fields) and _is_lost(row, scope))]
        return [omitted(select, _by_path(select.fields, row, scope)) for row in there]
    columns, moves = _moves(select.fields, names)
    gone = [idiom.parts[0].name for idiom in select.omit if isinstance(idiom.parts[0], ast.FieldPart)]
    starred = _has_star(select.fields)
    there = rows if columns else [row for row in rows if not _is_lost(row, scope)]
    return [_by_name(_seen(computed(row, columns, scope), scope), starred, moves, gone) for row in there]


def _is_lost(row: Value, scope: Scope) -> bool:
    """Whether the row is the id of no record."""
    return type(row) is RecordId and _record(row, scope) is NONE


def _has_star(fields: tuple[ast.Field, ...]) -> bool:
    return any(isinstance(field.expr, ast.Star) for field in fields)


def _values(select: ast.Select, rows: list[Value], names: Computed, scope: Scope) -> list[Value]:
    """SELECT VALUE. OMIT is of the row that the expression sees."""
    if len(select.fields) != 1 or isinstance(select.fields[0].expr, ast.Star):
        raise NotPlain("SELECT VALUE of other than one expression")
    expr, alias = select.fields[0].expr, select.fields[0].alias
    name = simple_name(alias) if alias is not None else None
    if name is not None and names.has(name) and alias not in select.omit:
        expr = ast.Idiom(None, (ast.FieldPart(name),))
    return [expressions.evaluate(expr, omitted(select, row), scope) for row in rows]


def omitted(select: ast.Select, row: Value) -> Value:
    for idiom in select.omit:
        row = omit(row, idiom.parts)
    return row


def is_by_name(select: ast.Select) -> bool:
    """Whether the row is made by names, not by paths."""
    if any(simple_name(idiom) is None for idiom in select.omit) or _is_of_one_record(select):
        return False
    return not any(_needs_path(field) for field in select.fields)


def _needs_path(field: ast.Field) -> bool:
    if isinstance(field.expr, ast.Star):
        return False
    if field.alias is not None:
        return len(field.alias.parts) > 1
    return isinstance(field.expr, ast.Idiom) and len(output_path(field)) > 1


def _is_of_one_record(select: ast.Select) -> bool:
    """Whether FROM is a record id, or a range of them, and all else that there is are fields, OMIT and LIMIT."""
    (target, *more) = select.targets or (None,)
    asked = select.where is not None or select.order or select.group is not None or select.split or select.fetch
    if more or asked or select.order_rand or select.with_index is not None:
        return False
    return isinstance(target, ast.RecordIdExpr) or (isinstance(target, ast.Literal) and type(target.value) is RecordId)


def _by_path(fields: tuple[ast.Field, ...], row: Value, scope: Scope) -> Value:
    there = _record(row, scope)
    if len(fields) == 1 and _has_star(fields):
        return there
    result: dict[str, Value] = dict(there) if _has_star(fields) and type(there) is dict else {}
    for field in fields:
        if not isinstance(field.expr, ast.Star):
            put(result, output_path(field), expressions.evaluate(field.expr, row, scope))
    return result


_Move: TypeAlias = tuple[str, str]  # from a name of the row, to a name of the result


def _moves(fields: tuple[ast.Field, ...], names: Computed) -> tuple[dict[str, ast.Expr], list[_Move]]:
    """What is computed into the row besides that of ORDER BY, and the names that are taken over."""
    columns: dict[str, ast.Expr] = {}
    moves: list[_Move] = []
    for field in fields:
        if isinstance(field.expr, ast.Star):
            continue
        (target,) = output_path(field)
        name = simple_name(field.expr)
        if name is None:
            name = names.name_of(field.expr, target)
            if name not in names.of_order:
                columns[name] = field.expr
        moves.append((name, target))
    return columns, moves


def _by_name(row: Value, starred: bool, moves: list[_Move], gone: list[str]) -> Value:
    if type(row) is not dict or (starred and not moves and not gone):
        return row
    result: dict[str, Value] = dict(row) if starred else {}
    for name, target in moves:
        if not starred or name == target:
            result[target] = (result if starred else row).get(name, NONE)
        else:
            result[target] = result.pop(name, NONE)
    for name in gone:
        result.pop(name, None)
    return result


def project(fields: tuple[ast.Field, ...], row: Value, scope: Scope) -> Value:
    """One row as the field list shapes it."""
    (result,) = shaped(ast.Select(fields, ()), [row], Computed(fields), scope)
    return result


def put(target: dict[str, Value], path: Path, value: Value) -> None:
    """Set the value at the path, in every element of an array on the way; what is no object there is replaced.

    Copies what it changes: rows are shared."""
    name, rest = path[0], path[1:]
    target[name] = value if not rest else _with(target.get(name, NONE), rest, value)


def _with(inner: Value, path: Path, value: Value) -> Value:
    if type(inner) is list:
        return [_with(item, path, value) for item in inner]
    copy = dict(inner) if type(inner) is dict else {}
    put(copy, path, value)
    return copy


def extract(row: Value, path: tuple[ast.Part, ...]) -> Value:
    """The value at a path without following records: what ORDER BY sees of a stored row."""
    for part in path:
        if isinstance(part, ast.FieldPart):
            row = _extract_field(row, part.name)
        elif isinstance(part, ast.LastPart):
            row = row[-1] if type(row) is list and row else NONE
        elif isinstance(part, ast.IndexPart) and isinstance(part.index, ast.Literal) and type(part.index.value) is int:
            place = part.index.value
            row = row[place] if type(row) is list and 0 <= place < len(row) else NONE
        else:
            raise NotPlain("ORDER BY of something other than names and indexes")
    return row


def _extract_field(row: Value, name: str) -> Value:
    if type(row) is dict:
        return row.get(name, NONE)
    if type(row) is list:
        return [item.get(name, NONE) if type(item) is dict else NONE for item in row]
    return NONE


def omit(value: Value, parts: tuple[ast.Part, ...]) -> Value:
    """The value without what stands at the path. An array is entered by `[*]` and an index only, which empty it and
    leave NONE in its place."""
    part, rest = parts[0], parts[1:]
    if isinstance(part, ast.AllPart):
        return _omit_all(value, rest)
    if isinstance(part, ast.DestructurePart):
        for name, path in part.fields:
            value = omit(value, (ast.FieldPart(name), *(() if path is None else path.parts[1:])))
        return value
    if isinstance(part, ast.IndexPart) and isinstance(part.index, ast.Literal):
        place = part.index.value
        if type(place) is not int or type(value) is not list or not 0 <= place < len(value):
            return value
        return [*value[:place], omit(value[place], rest) if rest else NONE, *value[place + 1 :]]
    if isinstance(part, ast.LastPart):
        return value
    if not isinstance(part, ast.FieldPart):
        raise NotPlain("OMIT of something other than names")
    if type(value) is not dict or part.name not in value:
        return value
    if rest:
        return {**value, part.name: omit(value[part.name], rest)}
    return {name: item for name, item in value.items() if name != part.name}


def _omit_all(value: Value, rest: tuple[ast.Part, ...]) -> Value:
    if type(value) is list:
        return [omit(item, rest) for item in value] if rest else []
    if type(value) is dict:
        return {name: omit(item, rest) for name, item in value.items()} if rest else {}
    return value


def fetch(value: Value, parts: tuple[ast.Part, ...], scope: Scope) -> Value:
    """The value with every record id on the path and at its end replaced by the record, NONE if there is none."""
    if not parts:
        return [_record(item, scope) for item in value] if type(value) is list else _record(value, scope)
    value = _record(value, scope)
    part, rest = parts[0], parts[1:]
    match part, value:
        case ast.FieldPart(name), dict() if name in value:
            return {**value, name: fetch(value[name], rest, scope)}
        case ast.FieldPart(), list():
            return [fetch(item, parts, scope) for item in value]
        case ast.AllPart(), list():
            return [fetch(item, rest, scope) for item in value]
        case ast.AllPart(), dict():
            return {name: fetch(item, rest, scope) for name, item in value.items()}
        case ast.LastPart(), list() if value:
            return [*value[:-1], fetch(value[-1], rest, scope)]
        case ast.IndexPart(), _:
            return _fetch_indexed(value, part, rest, scope)
    return value


def _fetch_indexed(value: Value, part: ast.IndexPart, rest: tuple[ast.Part, ...], scope: Scope) -> Value:
    if not isinstance(part.index, ast.Literal) or type(part.index.value) not in (int, str):
        raise NotPlain("FETCH of a computed element")
    place = part.index.value
    if type(value) is list and type(place) is int and 0 <= place < len(value):
        return [*value[:place], fetch(value[place], rest, scope), *value[place + 1 :]]
    if type(value) is dict and str(place) in value:
        return {**value, str(place): fetch(value[str(place)], rest, scope)}
    return value


def _record(value: Value, scope: Scope) -> Value:
    if type(value) is not RecordId:
        return value
    found = record_row(value, scope)
    return NONE if found is None else found
