"""The shape of a result row: the name a field gets, setting and taking out values by path, OMIT and FETCH."""

from __future__ import annotations

from typing import TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.text import inner_text
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.scope import NotPlain, Scope, record_row

Path: TypeAlias = tuple[str, ...]

# Operators that SurrealDB prints between two operands as we write them.
_PRINTED = frozenset({"=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"})


def project(fields: tuple[ast.Field, ...], row: Value, scope: Scope) -> Value:
    """The row as the field list shapes it: `*` first, then the fields in order, each at its path."""
    starred = any(type(field.expr) is ast.Star for field in fields)
    if len(fields) == 1 and starred:
        return row
    if type(row) is not dict:
        raise NotPlain("fields of a row that is no object")
    result: dict[str, Value] = dict(row) if starred else {}
    for field in fields:
        if not isinstance(field.expr, ast.Star):
            put(result, output_path(field), expressions.evaluate(field.expr, row, scope))
    return result


def output_path(field: ast.Field) -> Path:
    """Where a field's value goes: its alias, else the name SurrealDB derives from the expression."""
    if field.alias is not None:
        return plain_path(field.alias, "an alias")
    assert not isinstance(field.expr, ast.Star), "`*` has no path"
    return _derived(field.expr)


def plain_path(idiom: ast.Idiom, what: str) -> Path:
    """The names of an idiom that is nothing but names."""
    names = [part.name for part in idiom.parts if isinstance(part, ast.FieldPart)]
    if idiom.head is not None or len(names) != len(idiom.parts):
        raise NotPlain(f"{what} that is not made of names alone")
    return tuple(names)


def _derived(expr: ast.Expr) -> Path:
    match expr:
        case ast.Idiom(None, parts):
            names = tuple(_part_name(part) for part in parts if isinstance(part, ast.FieldPart | ast.GraphPart))
            if names:
                return names
        case ast.Param(name):
            return (name,)
        case ast.Call(name):
            return (name,)
        case ast.Idiom(ast.Param(name), parts) if all(isinstance(part, ast.FieldPart) for part in parts):
            return ("".join([f"${name}", *(f".{part.name}" for part in parts if isinstance(part, ast.FieldPart))]),)
    return (_text(expr),)


def _part_name(part: ast.FieldPart | ast.GraphPart) -> str:
    if isinstance(part, ast.FieldPart):
        return part.name
    if part.cond is None and part.limit is None and part.start is None and len(part.tables) == 1:
        return f"{part.direction}{part.tables[0]}"
    raise NotPlain("a graph step with a condition and without an alias")


def _text(expr: ast.Expr) -> str:
    """SurrealDB's own text of an expression, for the few forms where there is no doubt about it."""
    match expr:
        case ast.Literal(value) if type(value) in (bool, int, float, str, type(None), type(NONE)):
            return inner_text(value)
        case ast.Idiom(None, (ast.FieldPart(name),)) if name.isidentifier() and name.isascii():
            return name
        case ast.Binary(op, left, right) if op in _PRINTED and not isinstance(left, ast.Binary):
            if not isinstance(right, ast.Binary):
                return f"{_text(left)} {op} {_text(right)}"
    raise NotPlain("a field without an alias")


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
    """The value without what stands at the path. An array is entered by `[*]` only."""
    if not parts:
        return value
    part, rest = parts[0], parts[1:]
    if isinstance(part, ast.AllPart):
        return [omit(item, rest) for item in value] if type(value) is list else value
    if not isinstance(part, ast.FieldPart):
        raise NotPlain("OMIT of something other than names")
    if type(value) is not dict or part.name not in value:
        return value
    if rest:
        return {**value, part.name: omit(value[part.name], rest)}
    return {name: item for name, item in value.items() if name != part.name}


def fetch(value: Value, parts: tuple[ast.Part, ...], scope: Scope) -> Value:
    """The value with every record id on the path and at its end replaced by the record, NONE if there is none."""
    if type(value) is RecordId:
        found = record_row(value, scope)
        value = NONE if found is None else found
    if type(value) is list:
        rest = parts[1:] if parts and isinstance(parts[0], ast.AllPart) else parts
        return [fetch(item, rest, scope) for item in value]
    if not parts or type(value) is not dict:
        return value
    part = parts[0]
    if isinstance(part, ast.AllPart):
        return fetch(value, parts[1:], scope)
    if not isinstance(part, ast.FieldPart):
        raise NotPlain("FETCH of something other than names")
    if part.name not in value:
        return value
    return {**value, part.name: fetch(value[part.name], parts[1:], scope)}
