"""What an expression needs besides its row, and the same expression with what it needs made local.

An expression over the rows of a query is one of

    alone      its row's own fields, constants and pure functions: decided on the record at hand
    row-free   no part of the row: one value for the whole query (`$auth.company`, a sub-select without `$parent`)
    foreign    the row and other records: a link, a graph step, a sub-select with `$parent`

`Localizer` rewrites a condition so that as much of it as possible is alone: a foreign part that no parameter reaches
becomes a *column*, a derived field of the table that all circuits share; a row-free part becomes a *dynamic*, a
constant that may change. `author.name = $name` is then a field compared with a constant, and found by hash.

A column is evaluated for every row, also where SurrealDB would not have come to it (`tags AND tags.len() > 1`), so only
expressions that cannot fail are made columns. What is left foreign is evaluated where the condition is, in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Final

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.ast import Binary, Expr, FieldPart, Idiom, Literal, Param, Select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.plan.alone import why_not_alone
from sp00ky.ssp.plan.tree import walk

DERIVED: Final = "\0"  # first character of a column's and a dynamic's name: no field or parameter begins so
ROW_PARAMS: Final = frozenset({"this", "self"})
STRUCTURAL: Final = ROW_PARAMS | {"parent"}
LOGICAL: Final = frozenset({"AND", "OR", "=", "!=", "==", "<", "<=", ">", ">=", "IN", "NOT IN", "??", "?:"})
_CONTAINING: Final = frozenset(
    {"CONTAINS", "CONTAINSNOT", "CONTAINSALL", "CONTAINSANY", "CONTAINSNONE", "ALLINSIDE", "ANYINSIDE", "NONEINSIDE"}
)
_OPEN: Final = LOGICAL | _CONTAINING  # operators whose sides are made local one by one
_NEVER_FAILING_CALLS: Final = frozenset({"count", "type::is_array", "type::is_string", "type::is_record", "not"})
_SAFE_PARTS: Final = (FieldPart, ast.AllPart, ast.LastPart, ast.OptionalPart)


@dataclass(frozen=True, slots=True)
class Dynamic:
    """A binding's constant that is computed, and computed again when what it read changes."""

    expr: Expr
    params: tuple[tuple[str, Value], ...]
    ruling: bool = False  # of a permission rule: reads what the user may not


# --- questions -------------------------------------------------------------------------------------------------------


def reads_row(node: object) -> bool:
    """Whether the value depends on the row of the query in which the expression stands."""
    match node:
        case Idiom(head=None):
            return True
        case Idiom(head=head, parts=parts):
            return reads_row(head) or any(reads_row(part) for part in parts)
        case Param(name=name):
            return name in ROW_PARAMS
        case ast.WherePart() | ast.DestructurePart() | ast.GraphPart() | ast.RecursePart():
            return False  # on the way of a path: their row is what the path has come to
        case ast.Subquery(select=select):
            return _reads_outer(select)
        case _:
            return any(reads_row(child) for child in _children(node))


def _reads_outer(select: Select) -> bool:
    """A sub-select sees the row around it as `$parent`, and in FROM, LIMIT and START directly."""
    outside = (select.targets, select.limit, select.start)
    return reads_row(outside) or _mentions_parent(tuple(getattr(select, each.name) for each in fields(select)))


def _mentions_parent(node: object) -> bool:
    match node:
        case Param(name=name):
            return name == "parent"
        case ast.Subquery():
            return False  # its $parent is a row of the query it stands in
        case _:
            return any(_mentions_parent(child) for child in _children(node))


def _children(node: object) -> Iterator[object]:
    if isinstance(node, tuple):
        yield from node
    elif is_dataclass(node) and not isinstance(node, Literal | type):
        for each in fields(node):
            yield getattr(node, each.name)


def given_params(node: object, bound: frozenset[str] = frozenset()) -> frozenset[str]:
    """Names of the parameters that whoever registered the query has given."""
    match node:
        case Param(name=name):
            return frozenset() if name in STRUCTURAL or name in bound else frozenset({name})
        case ast.Closure(params=names, body=body):
            return given_params(body, bound | set(names))
        case _:
            return frozenset().union(*(given_params(child, bound) for child in _children(node)))


def never_fails(node: object) -> bool:
    """Whether SurrealDB can evaluate it on every row: paths, comparisons, and sub-selects of these."""
    match node:
        case Literal() | Param() | ast.Hole() | ast.Star() | ast.TableTarget() | None:
            return True
        case Idiom(head=head, parts=parts):
            return never_fails(head) and all(never_fails(part) for part in parts)
        case ast.IndexPart(index=index):
            return isinstance(index, Literal) and type(index.value) is int
        case ast.GraphPart():
            return (
                not node.fields and never_fails((node.cond, node.order)) and node.limit is None and node.start is None
            )
        case ast.WherePart(cond=cond):
            return never_fails(cond)
        case ast.DestructurePart(fields=items):
            return all(never_fails(path) for _, path in items)
        case Binary(op=op, left=left, right=right):
            return op in LOGICAL and never_fails(left) and never_fails(right)
        case ast.Unary(op=op, operand=operand):
            return op in ("!", "!!") and never_fails(operand)
        case ast.Call(name=name, args=args):
            return (name in _NEVER_FAILING_CALLS and never_fails(args)) or _counts(node)
        case ast.Array(items=items):
            return never_fails(items)
        case ast.Object(items=pairs):
            return all(never_fails(item) for _, item in pairs)
        case ast.Subquery(select=select):
            return _plain_select(select) and never_fails(
                (select.fields, select.targets, select.where, select.order, select.limit, select.start)
            )
        case ast.Field(expr=expr):
            return never_fails(expr)
        case ast.OrderKey(expr=expr):
            return never_fails(expr)
        case tuple():
            return all(never_fails(item) for item in node)
        case _:
            return isinstance(node, _SAFE_PARTS)


def _counts(call: ast.Call) -> bool:
    """`array::len((SELECT …))`: a sub-select is always an array."""
    match call:
        case ast.Call(name="array::len", args=(ast.Subquery(select=select) as inner,)):
            return not select.only and never_fails(inner)
        case _:
            return False


def _plain_select(select: Select) -> bool:
    whole_numbers = all(
        each is None or (isinstance(each, Literal) and type(each.value) is int) for each in (select.limit, select.start)
    )
    odd = select.only or select.split or select.group is not None or select.fetch or select.omit or select.order_rand
    return whole_numbers and not odd and select.version is None and not select.explain


# --- the rewrite -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Localizer:
    """Collects the columns and dynamics that its `local` expressions refer to.

    `columns_allowed` False: foreign parts stay where they are (what they read depends on the user)."""

    params: Mapping[str, Value]
    columns_allowed: bool = True
    columns: dict[str, Expr] = field(default_factory=dict)  # name → over the table's row
    dynamics: dict[str, Dynamic] = field(default_factory=dict)  # name → row-free

    def local(self, expr: Expr, *, ruling: bool = False) -> Expr:
        """The expression with columns and dynamics in place of what is not alone, as far as that can be."""
        if not why_not_alone(expr):
            return expr
        if not reads_row(expr):
            return self._dynamic(expr, ruling)
        match expr:
            case Binary(op=op, left=left, right=right) if op in _OPEN:
                return Binary(op, self.local(left, ruling=ruling), self.local(right, ruling=ruling))
            case ast.Unary(op=op, operand=operand):
                return ast.Unary(op, self.local(operand, ruling=ruling))
        if (self.columns_allowed or ruling) and not given_params(expr) and never_fails(expr):
            return self._column(expr)
        match expr:
            case Binary(op=op, left=left, right=right):
                return Binary(op, self.local(left, ruling=ruling), self.local(right, ruling=ruling))
            case ast.Call(args=args) if not any(isinstance(arg, ast.Closure) for arg in args):
                return replace(expr, args=tuple(self.local(arg, ruling=ruling) for arg in args))
            case ast.Array(items=items):
                return ast.Array(tuple(self.local(item, ruling=ruling) for item in items))
        return expr

    def _column(self, expr: Expr) -> Expr:
        name = DERIVED + print_node(expr)
        self.columns[name] = expr
        return Idiom(None, (FieldPart(name),))

    def _dynamic(self, expr: Expr, ruling: bool) -> Expr:
        used = given_params(expr)
        known = tuple(sorted((name, value) for name, value in self.params.items() if name in used))
        name = f"{DERIVED}{len(self.dynamics)}"
        self.dynamics[name] = Dynamic(expr, known, ruling)
        return Param(name)


def is_local(expr: Expr | None) -> bool:
    """Whether a condition that was made local needs nothing but its row and constants now."""
    return expr is None or not why_not_alone(expr)


def columns_in(node: object) -> frozenset[str]:
    """The columns that an expression refers to."""
    found = (each.name for each in walk(node) if isinstance(each, FieldPart))
    return frozenset(name for name in found if name.startswith(DERIVED))
