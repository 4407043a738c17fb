"""A query's shape: its tree with the constants lifted out, and the constants.

Views that differ only in constants share one circuit. Invariant: two queries with the same `key` have the same lifted
tree, and `fill(lifted.select, lifted.binding)` means what the query means under its parameters.

Lifted are literals and parameters wherever a value is computed; a constant list or object is lifted whole, so that its
length is no part of the shape. What decides a plan stays: tables, functions and their `type::` arguments, index
numbers, `$this` and `$parent`, parameters of closures, VERSION, TIMEOUT. A record id in FROM keeps its table and lifts
its key. A column without alias is named by SurrealDB after its own text, so nothing is lifted from it; parameters in it
stay, and their values go into the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.ast import Expr, Hole, Idiom, Literal, Part, Select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import NONE, Range, RecordId, Table, Value
from sp00ky.proto.values.text import to_surql

STRUCTURAL_PARAMS: Final = frozenset({"this", "parent", "self"})
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lifted:
    """`binding[i]` is the value of `Hole(i)`. `kept`: parameters that stayed in the tree, with their values."""

    select: Select
    key: str
    binding: tuple[Value, ...]
    kept: tuple[tuple[str, Value], ...] = ()


def lift(select: Select, params: Mapping[str, Value]) -> Lifted:
    """The shape of a query under its parameters; a missing one is NONE, as in SurrealDB. Equal shapes, equal keys."""
    lifter = _Lifter(params)
    lifted = lifter.select(select)
    kept = tuple(sorted(lifter.kept.items()))
    tail = "".join(f" ${name}={to_surql(value)}" for name, value in kept)
    return Lifted(lifted, print_node(lifted) + tail, tuple(lifter.binding), kept)


@dataclass(slots=True)
class _Lifter:
    params: Mapping[str, Value]
    binding: list[Value] = field(default_factory=list)
    kept: dict[str, Value] = field(default_factory=dict)
    bound: tuple[str, ...] = ()  # parameters of the closures around this place
    keeping: bool = False  # inside a column that is named by its text

    def select(self, select: Select) -> Select:
        """Clauses in the order of the text, so that holes are numbered as a reader would."""
        return replace(
            select,
            fields=tuple(self.column(column, select.value) for column in select.fields),
            omit=self.fixed_paths(select.omit),
            targets=tuple(self.target(target) for target in select.targets),
            where=self.maybe(select.where),
            order=tuple(self.order_key(key) for key in select.order),
            limit=self.maybe(select.limit),
            start=self.maybe(select.start),
            fetch=self.fixed_paths(select.fetch),
            version=self.fixed(select.version),
            timeout=self.fixed(select.timeout),
        )

    def column(self, column: ast.Field, value: bool) -> ast.Field:
        if isinstance(column.expr, ast.Star):
            return column
        before = self.keeping
        self.keeping = before or (column.alias is None and not value)
        lifted = self.expr(column.expr)
        self.keeping = before
        alias = column.alias if column.alias is None else self.fixed_paths((column.alias,))[0]
        return ast.Field(lifted, alias)

    def order_key(self, key: ast.OrderKey) -> ast.OrderKey:
        return replace(key, expr=self.path(key.expr))

    def target(self, target: ast.Target) -> ast.Target:
        if isinstance(target, ast.Param) and self._is_given(target.name) and not self.keeping:
            target = _target_of(self.params.get(target.name, NONE))
        match target:
            case Literal(RecordId(table, key)) if not isinstance(key, Range) and not self.keeping:
                return ast.RecordIdExpr(table, self.hole(key))
            case ast.RecordIdExpr(table, key) if self._constant(key)[0] and not self.keeping:
                return ast.RecordIdExpr(table, self.hole(self._constant(key)[1]))
            case ast.TableTarget() | Literal():
                return target
            case ast.Array(items):
                return ast.Array(tuple(_as_expr(self.target(item)) for item in items))
            case _:
                return self.expr(target)

    # --- expressions -------------------------------------------------------------------------------------------------

    def expr(self, expr: Expr) -> Expr:
        constant, value = self._constant(expr)
        if constant and not self.keeping:
            return self.hole(value)
        match expr:
            case ast.Param(name):
                if self._is_given(name):
                    self.kept[name] = self.params.get(name, NONE)
                return expr
            case Literal() | Hole():
                return expr
            case ast.Array(items):
                return ast.Array(self.all(items))
            case ast.SetLiteral(items):
                return ast.SetLiteral(self.all(items))
            case ast.Object(pairs):
                return ast.Object(tuple((name, self.expr(item)) for name, item in pairs))
            case ast.RecordIdExpr(table, key):
                return ast.RecordIdExpr(table, self.expr(key))
            case ast.RangeExpr(begin, end):
                return replace(expr, begin=self.maybe(begin), end=self.maybe(end))
            case ast.Unary(op, operand):
                return ast.Unary(op, self.expr(operand))
            case ast.Binary(op, left, right):
                return ast.Binary(op, self.expr(left), self.expr(right))
            case ast.Cast(kind, operand):
                return ast.Cast(kind, self.expr(operand))
            case ast.Call(name, args):
                return ast.Call(name, self.arguments(name, args))
            case ast.Apply(callee, args):
                return ast.Apply(self.expr(callee), self.all(args))
            case ast.Closure(names, body):
                return ast.Closure(names, self.within(names, body))
            case ast.TypedClosure(names, _, _, body):
                return replace(expr, body=self.within(names, body))
            case ast.Block() | ast.Let() | ast.For() | ast.Leave():
                return self.statement(expr)
            case ast.Document():
                return expr
            case ast.IfElse(branches, otherwise):
                lifted = tuple((self.expr(cond), self.expr(body)) for cond, body in branches)
                return ast.IfElse(lifted, self.maybe(otherwise))
            case ast.Subquery(select):
                return ast.Subquery(self.select(select))
            case Idiom():
                return self.path(expr)

    def arguments(self, name: str, args: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """The first of `type::table`, `type::record`, `type::field` decides what is read: its value is structure."""
        if not name.startswith("type::") or self.keeping:
            return self.all(args)
        first = [self._constant(arg) for arg in args[:1]]
        head = tuple(
            Literal(value) if constant else self.expr(arg)
            for (constant, value), arg in zip(first, args[:1], strict=True)
        )
        return head + self.all(args[1:])

    def within(self, names: tuple[str, ...], body: Expr) -> Expr:
        before, self.bound = self.bound, self.bound + names
        lifted = self.expr(body)
        self.bound = before
        return lifted

    def statement(self, expr: ast.Block | ast.Let | ast.For | ast.Leave) -> Expr:
        """What LET names is bound for the rest of the block around it."""
        match expr:
            case ast.Block(statements):
                before, lifted = self.bound, []
                for each in statements:
                    lifted.append(self.expr(each))
                    self.bound += (each.name,) if isinstance(each, ast.Let) else ()
                self.bound = before
                return ast.Block(tuple(lifted))
            case ast.Let(_, value):
                return replace(expr, value=self.expr(value))
            case ast.For(name, over, body):
                lifted_over = self.expr(over)
                inside = self.within((name,), body)
                assert isinstance(inside, ast.Block), "a block stays one"
                return ast.For(name, lifted_over, inside)
            case ast.Leave(_, value, fetch):
                return replace(expr, value=self.maybe(value), fetch=self.fixed_paths(fetch))

    def maybe(self, expr: Expr | None) -> Expr | None:
        return None if expr is None else self.expr(expr)

    def fixed(self, expr: Expr | None) -> Expr | None:
        return None if expr is None else self.unlifted(expr)

    def unlifted(self, expr: Expr) -> Expr:
        before, self.keeping = self.keeping, True
        kept = self.expr(expr)
        self.keeping = before
        return kept

    def fixed_paths(self, paths: tuple[Idiom, ...]) -> tuple[Idiom, ...]:
        before, self.keeping = self.keeping, True
        kept = tuple(self.path(path) for path in paths)
        self.keeping = before
        return kept

    def all(self, exprs: tuple[Expr, ...]) -> tuple[Expr, ...]:
        return tuple(self.expr(expr) for expr in exprs)

    def hole(self, value: Value) -> Hole:
        self.binding.append(value)
        return Hole(len(self.binding) - 1)

    def _is_given(self, name: str) -> bool:
        return name not in STRUCTURAL_PARAMS and name not in self.bound

    def _constant(self, expr: Expr) -> tuple[bool, Value]:
        match expr:
            case Literal(Table()):
                return False, None
            case Literal(value):
                return True, value
            case ast.Param(name) if self._is_given(name):
                return True, self.params.get(name, NONE)
            case ast.RecordIdExpr(table, key):
                constant, value = self._constant(key)
                return constant, RecordId(table, value)
            case ast.Array(items):
                found = [self._constant(item) for item in items]
                return all(constant for constant, _ in found), [value for _, value in found]
            case ast.Object(pairs):
                entries = {name: self._constant(item) for name, item in pairs}
                constant = all(constant for constant, _ in entries.values())
                return constant, {name: value for name, (_, value) in entries.items()}
            case _:
                return False, None

    # --- paths -------------------------------------------------------------------------------------------------------

    def path(self, idiom: Idiom) -> Idiom:
        head = None if idiom.head is None else self.expr(idiom.head)
        return Idiom(head, tuple(self.part(part) for part in idiom.parts))

    def part(self, part: Part) -> Part:
        match part:
            case ast.IndexPart(index):
                return ast.IndexPart(self.expr(index) if isinstance(index, ast.Param) else self.unlifted(index))
            case ast.WherePart(cond):
                return ast.WherePart(self.expr(cond))
            case ast.MethodPart(name, args):
                return ast.MethodPart(name, self.all(args))
            case ast.DestructurePart(items):
                return ast.DestructurePart(
                    tuple((name, None if path is None else self.path(path)) for name, path in items)
                )
            case ast.GraphPart():
                return self.step(part, value=False)
            case ast.GraphQuery(step, keys):
                kept = tuple(None if key is None else self.range_of_keys(key) for key in keys)
                alias = part.alias if part.alias is None else self.fixed_paths((part.alias,))[0]
                return replace(part, step=self.step(step, part.value), keys=kept, alias=alias)
            case _:
                return part

    def step(self, part: ast.GraphPart, value: bool) -> ast.GraphPart:
        return replace(
            part,
            fields=tuple(self.column(column, value) for column in part.fields),
            cond=self.maybe(part.cond),
            order=tuple(self.order_key(key) for key in part.order),
            limit=self.maybe(part.limit),
            start=self.maybe(part.start),
        )

    def range_of_keys(self, key: ast.RangeExpr) -> ast.RangeExpr:
        """Constants stay: a hole is no text of a key."""
        return replace(key, begin=self.fixed(key.begin), end=self.fixed(key.end))


def _target_of(value: Value) -> ast.Target:
    """A parameter in FROM is what it holds: a table, records, or any value."""
    match value:
        case Table(name):
            return ast.TableTarget(name)
        case list():
            return ast.Array(tuple(_as_expr(_target_of(item)) for item in value))
        case _:
            return Literal(value)


def _as_expr(target: ast.Target) -> Expr:
    return Literal(Table(target.name)) if isinstance(target, ast.TableTarget) else target


def fill(node: T, binding: tuple[Value, ...]) -> T:
    """The tree with every hole filled by its constant: `lift` undone, up to literals for parameters."""
    from dataclasses import fields, is_dataclass

    def filled(item: object) -> object:
        if isinstance(item, Hole):
            return Literal(binding[item.index])
        if isinstance(item, tuple):
            return tuple(filled(part) for part in item)
        if is_dataclass(item) and not isinstance(item, Literal | type):
            changed = {attribute.name: filled(getattr(item, attribute.name)) for attribute in fields(item)}
            record = type(item)(**changed)
            if isinstance(record, ast.RecordIdExpr) and isinstance(record.key, Literal):
                return Literal(RecordId(record.table, record.key.value))
            return record
        return item

    done = filled(node)
    assert isinstance(done, type(node))
    return done
