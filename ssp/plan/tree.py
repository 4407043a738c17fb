"""Walks over trees of `proto.surrealql.ast`: every node, and a copy with some nodes replaced.

A node is any frozen dataclass of the tree; tuples are descended into, values are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from operator import is_
from typing import TypeVar

from sp00ky.proto.surrealql.ast import Binary, Expr, FieldPart, Idiom, Literal

T = TypeVar("T")


def walk(node: object) -> Iterator[object]:
    """The node and all nodes below it, parents first."""
    if isinstance(node, tuple):
        for item in node:
            yield from walk(item)
    elif is_dataclass(node) and not isinstance(node, type):
        yield node
        if not isinstance(node, Literal):
            for each in fields(node):
                yield from walk(getattr(node, each.name))


def rewrite(node: T, change: Callable[[object], object]) -> T:
    """A copy in which `change` was applied to every node, children first; it answers the node itself to keep it."""
    if isinstance(node, tuple):
        items = tuple(rewrite(item, change) for item in node)
        return node if all(map(is_, items, node)) else items  # type: ignore[return-value]
    if not is_dataclass(node) or isinstance(node, type):
        return node
    if isinstance(node, Literal):
        return change(node)  # type: ignore[return-value]
    below = {each.name: getattr(node, each.name) for each in fields(node)}
    changed = {name: rewrite(value, change) for name, value in below.items()}
    if any(changed[name] is not value for name, value in below.items()):
        node = replace(node, **changed)
    return change(node)  # type: ignore[return-value]


def conjuncts(expr: Expr | None) -> tuple[Expr, ...]:
    """The terms of a conjunction, in order; none for None. σ(a AND b) = σ(a) ∘ σ(b)."""
    if expr is None:
        return ()
    if isinstance(expr, Binary) and expr.op == "AND":
        return (*conjuncts(expr.left), *conjuncts(expr.right))
    return (expr,)


def conjunction(terms: tuple[Expr, ...]) -> Expr | None:
    """The inverse of `conjuncts`."""
    result: Expr | None = None
    for term in terms:
        result = term if result is None else Binary("AND", result, term)
    return result


def field_of(expr: Expr) -> str | None:
    """The name, if the expression is a field of the row and no more."""
    match expr:
        case Idiom(head=None, parts=(FieldPart(name=name),)):
            return name
        case _:
            return None
