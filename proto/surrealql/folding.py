"""Trees made plainer, where that loses nothing.

Braces around one expression, and the name of a constant, matter only to a column that SurrealDB names by its text
(`SELECT { a } FROM t` has the column `{ a }`); anywhere else the tree holds the expression and the value themselves.

A chain of one operator, `a OR b OR c …`, is read to the left and so as deep as it is long. Where the operator is
associative, also in which operand it evaluates and yields, a long chain is hung up by its middle instead:

    ((a ∘ b) ∘ c) ∘ d = (a ∘ b) ∘ (c ∘ d)     for ∘ one of AND, OR, ??, ?:
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Final, TypeVar

from sp00ky.proto.surrealql.ast import (
    Array,
    Binary,
    Block,
    Call,
    Expr,
    Field,
    For,
    GraphPart,
    GraphQuery,
    Idiom,
    Leave,
    Let,
    Literal,
    Object,
    Param,
    RangeExpr,
    RecordIdExpr,
    Select,
    Star,
)
from sp00ky.proto.values.kinds import Bound, Range, RecordId, Table, Value

ASSOCIATIVE: Final = ("AND", "OR", "??", "?:")
CHAIN_MAX: Final = 32  # longer than the left edge of any balanced tree of a text of 64 KiB
T = TypeVar("T")


def folded_block(statements: tuple[Expr, ...]) -> Expr:
    """One plain expression in braces is that expression."""
    if len(statements) == 1 and not isinstance(statements[0], Let | For | Leave):
        return statements[0]
    return Block(statements)


def named_by_text(expr: Expr) -> bool:
    """Whether SurrealDB names a column without alias by the text of all of it; a call goes by its function's name, and
    a path by the fields in it."""
    match expr:
        case Call() | Param():
            return False
        case Idiom(None | Param() | Idiom(), parts):
            return any(isinstance(part, GraphPart | GraphQuery) for part in parts)
        case _:
            return True


def plain(node: T) -> T:
    """The tree with no brace around a single expression, and constants as their values; but for the columns of a SELECT
    in it that are named by their text."""
    if isinstance(node, tuple):
        return tuple(plain(item) for item in node)  # type: ignore[return-value]
    if not is_dataclass(node) or isinstance(node, type):
        return node
    if isinstance(node, Literal):
        return _unspelled(node) if node.spelling else node  # type: ignore[return-value]
    if isinstance(node, For):
        return replace(node, over=plain(node.over), body=Block(plain(node.body.statements)))
    if isinstance(node, Field) and node.alias is None and not isinstance(node.expr, Star) and named_by_text(node.expr):
        return node
    made = replace(node, **{each.name: plain(getattr(node, each.name)) for each in fields(node)})
    match made:
        case Block(statements):
            return folded_block(statements)  # type: ignore[return-value]
        case RecordIdExpr(table, key):
            return record_of(table, key)  # type: ignore[return-value]
        case Select(fields=columns, value=True):
            return replace(made, fields=_unnamed(columns))
        case GraphQuery(step, value=True):
            return replace(made, step=replace(step, fields=_unnamed(step.fields)))
    return made


def _unnamed(columns: tuple[Field, ...]) -> tuple[Field, ...]:
    """The column of SELECT VALUE has no name."""
    return tuple(Field(plain(column.expr), column.alias) for column in columns)


def _unspelled(literal: Literal) -> Expr:
    """A mock is an array of record ids."""
    if isinstance(literal.value, list):
        return Array(tuple(map(Literal, literal.value)))
    return Literal(literal.value)


def depth_of(tree: object, most: int) -> int:
    """How many levels of nodes a tree has, more than `most` not told apart; found without recursion."""
    deepest = 1
    waiting: list[tuple[object, int]] = [(tree, 1)]
    while waiting and deepest <= most:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting.extend((child, depth + is_dataclass(child)) for child in _children(node))
    return deepest


def _children(node: object) -> Iterator[object]:
    if isinstance(node, tuple):
        yield from node
    elif is_dataclass(node) and not isinstance(node, Literal):
        yield from (getattr(node, attribute.name) for attribute in fields(node))


def balanced(chain: Binary) -> Expr:
    """The chain at the left edge, hung up by its middle if it is long."""
    if chain.op not in ASSOCIATIVE:
        return chain
    terms: list[Expr] = []
    left: Expr = chain
    while isinstance(left, Binary) and left.op == chain.op:
        terms.append(left.right)
        left = left.left
    terms.append(left)
    terms.reverse()
    return chain if len(terms) <= CHAIN_MAX else _hung_up(chain.op, terms, 0, len(terms))


def _hung_up(operator: str, terms: list[Expr], begin: int, end: int) -> Expr:
    if end - begin == 1:
        return terms[begin]
    middle = (begin + end) // 2
    return Binary(operator, _hung_up(operator, terms, begin, middle), _hung_up(operator, terms, middle, end))


def record_of(table: str, key: Expr) -> Expr:
    """A record id whose key is constant is one value."""
    constant, value = constant_of(key)
    if constant:
        return Literal(RecordId(table, value))
    return RecordIdExpr(table, key)


def constant_of(expr: Expr) -> tuple[bool, Value]:
    """Whether an expression is written out in full, and its value then."""
    match expr:
        case Literal(value):
            return not isinstance(value, Table), value
        case Array(items):
            found = [constant_of(item) for item in items]
            return all(constant for constant, _ in found), [value for _, value in found]
        case Object(pairs):
            entries = [(name, constant_of(item)) for name, item in pairs]
            return all(pair[0] for _, pair in entries), {name: pair[1] for name, pair in entries}
        case RangeExpr(begin, end, begin_inclusive, end_inclusive):
            low = (True, None) if begin is None else constant_of(begin)
            high = (True, None) if end is None else constant_of(end)
            bounds = Range(
                None if begin is None else Bound(low[1], begin_inclusive),
                None if end is None else Bound(high[1], end_inclusive),
            )
            return low[0] and high[0], bounds
        case _:
            return False, None
