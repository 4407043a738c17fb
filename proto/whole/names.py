"""The name a column gets: its alias, else what SurrealDB makes of the expression.

A path is its own place in the result, `a.b` and `->likes->post` nested, whatever else stands in it: `a[0].b` goes to
`a.b`. A call and a parameter are their names. Everything else is one name, SurrealDB's text of the expression
(`spelled.py`).
"""

from __future__ import annotations

from typing import TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.whole import spelled
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.proto.whole.spelled import unknown

Path: TypeAlias = tuple[str, ...]


def output_path(field: ast.Field) -> Path:
    """Where a field's value goes: its alias, else the name SurrealDB derives from the expression."""
    if field.alias is not None:
        return alias_path(field.alias)
    assert not isinstance(field.expr, ast.Star), "`*` has no path"
    return _derived(field.expr)


def alias_path(alias: ast.Idiom) -> Path:
    """`AS a.b`; other parts are not in the place."""
    return _places(alias.parts)


def plain_path(idiom: ast.Idiom, what: str) -> Path:
    """The names of an idiom that is nothing but names."""
    names = [part.name for part in idiom.parts if isinstance(part, ast.FieldPart)]
    if idiom.head is not None or len(names) != len(idiom.parts):
        raise NotPlain(f"{what} that is not made of names alone")
    return tuple(names)


def _derived(expr: ast.Expr) -> Path:
    match expr:
        case ast.Idiom(None, parts):
            return _places(parts)
        case ast.Idiom(ast.Idiom(None, first), parts):
            return ("".join(_shown(part) for part in (*first, *parts)).removeprefix("."),)
        case ast.Idiom(ast.Document(), parts):
            return _places(parts)
        case ast.Idiom(head, parts) if head is not None:
            return (spelled.head(head) + "".join(_shown(part) for part in parts),)
        case ast.Param(name) | ast.Call(name):
            return (name,)
    return (spelled.text(expr),)


def _places(parts: tuple[ast.Part, ...]) -> Path:
    for part in parts:
        if isinstance(part, ast.GraphPart) and part.alias is not None:
            return (part.alias,)
        if isinstance(part, ast.GraphQuery) and part.alias is not None:
            return alias_path(part.alias) if len(part.alias.parts) == 1 else unknown("a path as a step's alias")
    names = tuple(name for part in parts if (name := _shown(part).removeprefix(".")))
    return names or unknown("a path without names")


def _shown(part: ast.Part) -> str:
    """What of a part is seen in a column's name."""
    match part:
        case ast.FieldPart(name):
            return f".{name}"
        case ast.GraphPart():
            return spelled.step(part)
        case ast.GraphQuery():
            return unknown("a SELECT in a graph step")
        case _:
            return ""
