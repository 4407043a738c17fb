"""Which rows of a table WHERE lets pass at most, read without reading the others.

A conjunct `field = expr`, `field IN expr`, `id = expr` or `id IN expr` whose `expr` is the same for every row names the
rows by a value: they are read by it, in id order. The whole WHERE is still applied to them, so a read is only ever too
wide. SurrealDB evaluates conjuncts from the left, and an error in one is the error of the query; so only conjuncts are
used to whose left nothing can fail on a row that is not read.

SurrealDB itself looks rows up by an index where there is one, which answers otherwise than the comparison for some
values: `INDEXED`, a function that no query can name, is how a plan asks for a row without them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from typing import Final

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Range, RecordId, Regex, SurrealSet, Table, Value
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.functions import ANY, function
from sp00ky.proto.whole.scope import NotPlain, Row, Scope, Source, tables_of

INDEXED: Final = "\0indexed"

# Operators that answer for any two values.
_NEVER_FAIL = frozenset({"=", "!=", "==", "<", "<=", ">", ">=", "IN", "NOT IN", "AND", "OR", "??", "?:"})
_UNINDEXED = frozenset({Regex, Table, Range})  # these are compared otherwise than by `order.hash_key`


def table_rows(table: str, where: ast.Expr | None, scope: Scope) -> Iterable[Row]:
    """The rows of a table, in id order; of those that `where` cannot hold for as few as may be."""
    source = tables_of(scope, "a table")
    for conjunct in _usable(where):
        for name, expr, many in _lookups(conjunct, scope):
            values = _values(expr, many, scope)
            if values is not None:
                return _by_id(table, values, source) if name == "id" else _by_field(table, name, values, source)
    return source.rows(table)


def _usable(where: ast.Expr | None) -> Iterator[ast.Expr]:
    """The conjuncts from the left, as far as nothing before them can fail."""
    for conjunct in [] if where is None else conjuncts(where):
        yield conjunct
        if not _never_fails(conjunct):
            return


def conjuncts(expr: ast.Expr) -> Iterator[ast.Expr]:
    if type(expr) is ast.Binary and expr.op == "AND":
        yield from conjuncts(expr.left)
        yield from conjuncts(expr.right)
    else:
        yield expr


def _never_fails(expr: ast.Expr) -> bool:
    match expr:
        case ast.Literal() | ast.Param():
            return True
        case ast.Idiom(None, parts):
            return all(type(part) is ast.FieldPart for part in parts)
        case ast.Array(items):
            return all(_never_fails(item) for item in items)
        case ast.Binary(op, left, right):
            return op in _NEVER_FAIL and _never_fails(left) and _never_fails(right)
        case _:
            return False


def _lookups(conjunct: ast.Expr, scope: Scope) -> Iterator[tuple[str, ast.Expr, bool]]:
    """(field, expression, whether any element of its value will do) for each way to use the conjunct."""
    if type(conjunct) is not ast.Binary or conjunct.op not in ("=", "==", "IN"):
        return
    sides = [(conjunct.left, conjunct.right)]
    if conjunct.op != "IN":
        sides.append((conjunct.right, conjunct.left))
    for field, expr in sides:
        match field:
            case ast.Idiom(None, (ast.FieldPart(name),)) if is_constant(expr) and not _own_parent(expr, scope):
                yield name, expr, conjunct.op == "IN"


def _own_parent(expr: ast.Expr, scope: Scope) -> bool:
    """Outside every other query a row is its own `$parent`."""
    return scope.parent is NONE and ast.Param("parent") in _nodes(expr, in_subquery=False)


def is_constant(expr: ast.Target | None) -> bool:
    """Whether the value is the same for every row. Of sub-selects only those are known to be that have neither
    `$parent` nor anything outside their own rows that would be read from ours."""
    return not any(_reads_row(node) for node in _nodes(expr, in_subquery=False))


def _reads_row(node: object) -> bool:
    match node:
        case ast.Idiom(None, _) | ast.Param("this") | ast.Document():
            return True
        case ast.Idiom(_, parts):
            return ast.Param("parent") in _nodes(parts, in_subquery=True)  # of a path, `$parent` is where it began
        case ast.Subquery(select):
            inner = list(_nodes(select, in_subquery=True))
            outside = (*select.targets, select.limit, select.start)
            return ast.Param("parent") in inner or not all(map(is_constant, outside))
        case _:
            return False


def _nodes(tree: object, in_subquery: bool) -> Iterator[object]:
    """The nodes of a tree; those inside a sub-select only if asked for."""
    yield tree
    if isinstance(tree, tuple):
        for item in tree:
            yield from _nodes(item, in_subquery)
    elif is_dataclass(tree) and type(tree) is not ast.Literal and (in_subquery or type(tree) is not ast.Subquery):
        for attribute in fields(tree):
            yield from _nodes(getattr(tree, attribute.name), in_subquery)


def _values(expr: ast.Expr, many: bool, scope: Scope) -> list[Value] | None:
    """The values a field may have; None if they cannot be looked up by."""
    try:
        value = expressions.evaluate(expr, NONE, replace(scope, isolated=True))
    except NotPlain:
        return None  # it may be that no row comes so far
    if many and type(value) not in (list, SurrealSet):
        return None
    values = list(value) if many else [value]
    return None if any(item is NONE or type(item) in _UNINDEXED for item in values) else values


def _by_id(table: str, values: list[Value], source: Source) -> list[Row]:
    records = [value for value in values if type(value) is RecordId and value.table == table]
    if any(type(record.key) is Range for record in records):
        raise NotPlain("a range of records as an id")
    rows = [(record, source.get(record)) for record in sorted(_distinct(records), key=order.sort_key)]
    return [(record, row) for record, row in rows if row is not None]


def _by_field(table: str, field: str, values: list[Value], source: Source) -> Iterable[Row]:
    if len(values) == 1:
        return source.rows_where(table, field, values[0])
    distinct = _distinct(values)
    rows = [row for value in distinct for row in source.rows_where(table, field, value)]
    rows.sort(key=lambda row: order.sort_key(row[0]))
    return rows


def _distinct(values: list[Value]) -> list[Value]:
    """The first of each that are equal."""
    found: dict[object, Value] = {}
    for value in values:
        found.setdefault(order.hash_key(value), value)
    return list(found.values())


# --- what SurrealDB's indexes answer otherwise ------------------------------------------------------------------------


@function(INDEXED, kinds=(ANY,), rest=ANY)
def indexed(value: Value, *compared: Value) -> bool:
    """True, for a field's value and the constants that it is compared with. NotPlain for an array, each of whose
    elements is an entry; for NaN; and for a float and a decimal together, which an index tells apart."""
    if type(value) is list:
        raise NotPlain("an array in a field with an index")
    if type(value) is float and (math.isnan(value) or _among(compared, Decimal)):
        raise NotPlain("a float in a field with an index, compared with a decimal, or NaN")
    if type(value) is Decimal and _among(compared, float):
        raise NotPlain("a decimal in a field with an index, compared with a float")
    return True


def _among(compared: Iterable[Value], kind: type) -> bool:
    """Whether one of the constants, or of the elements of one, is of this kind."""
    return any(type(each) is kind or (type(each) is list and _among(each, kind)) for each in compared)
