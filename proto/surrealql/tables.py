"""Which tables a query can read.

Invariant: a change to a table that is not in the answer cannot change the query's result. Where that cannot be proven
from the text the answer is None, "any": a path of two steps may follow a record link into a table that only the data
knows, and a parameter may hold a record. Reading too much costs a needless re-run; too little would be a wrong view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.ast import Expr, Idiom, Literal, Part, Select
from sp00ky.proto.values.kinds import Bound, Range, RecordId, Table, Value

# Functions whose arguments name what they read, or that read beyond their arguments
READING_PATHS: Final = ("search::", "schema::", "fn::", "api::", "http::", "eval::", "file::", "sequence::")
READING_CALLS: Final = frozenset({"type::field", "type::fields", "record::exists", "record::refs", "record::is_edge"})
READING_METHODS: Final = frozenset({"exists", "refs", "is_edge", "chain"})
ROW_PARAMS: Final = frozenset({"this", "parent"})


class _Unknown(Exception):
    """Some table that the text does not name."""


def tables_read(select: Select) -> frozenset[str] | None:
    """Names of all tables the query can read; None if they cannot be told from its text."""
    reads = _Reads()
    try:
        reads.select(select)
    except _Unknown:
        return None
    return frozenset(reads.tables)


@dataclass(slots=True)
class _Reads:
    tables: set[str] = field(default_factory=set)

    def select(self, select: Select) -> None:
        if select.fetch:
            raise _Unknown
        for target in select.targets:
            self.target(target)
        for column in select.fields:
            if not isinstance(column.expr, ast.Star):
                self.expr(column.expr)
        for expr in (select.where, select.limit, select.start, select.version, select.timeout):
            if expr is not None:
                self.expr(expr)
        for path in (*(select.group or ()), *(key.expr for key in select.order)):
            self.expr(path)

    def target(self, target: ast.Target) -> None:
        match target:
            case ast.TableTarget(name) | Literal(Table(name)):
                self.tables.add(name)
            case Literal(RecordId(table, _)) | ast.RecordIdExpr(table, _):
                self.tables.add(table)
                self.expr(target)
            case ast.Array(items):
                for item in items:
                    self.target(item)
            case ast.Subquery(select):
                self.select(select)
            case ast.Object():
                self.expr(target)
            case ast.Call("type::table", (Literal(str() as name),)):
                self.tables.add(name)
            case ast.Call("type::record", (Literal(str() as name), key)) if ":" not in name:
                self.tables.add(name)
                self.expr(key)
            case _:
                raise _Unknown

    def expr(self, expr: Expr) -> None:
        match expr:
            case Literal(value):
                self.tables.update(_tables_in(value))
            case ast.RecordIdExpr(table, key):
                self.tables.add(table)
                self.expr(key)
            case Idiom():
                self.path(expr)
            case ast.Subquery(select):
                self.select(select)
            case ast.Call(name, args):
                if name in READING_CALLS or name.startswith(READING_PATHS):
                    raise _Unknown
                self.all(args)
            case ast.Array(items) | ast.SetLiteral(items):
                self.all(items)
            case ast.Object(pairs):
                self.all(tuple(item for _, item in pairs))
            case ast.Unary(_, operand) | ast.Cast(_, operand):
                self.expr(operand)
            case ast.Binary(_, left, right):
                self.all((left, right))
            case ast.RangeExpr(begin, end):
                self.all(tuple(bound for bound in (begin, end) if bound is not None))
            case ast.Apply(callee, args):
                self.all((callee, *args))
            case ast.Closure(_, body) | ast.TypedClosure(body=body):
                self.expr(body)
            case ast.Block(statements):
                self.all(statements)
            case ast.Let(_, value):
                self.expr(value)
            case ast.For(_, over, body):
                self.all((over, body))
            case ast.Leave(_, value, fetch):
                if fetch:
                    raise _Unknown
                if value is not None:
                    self.expr(value)
            case ast.IfElse(branches, otherwise):
                self.all(tuple(part for branch in branches for part in branch))
                if otherwise is not None:
                    self.expr(otherwise)
            case ast.Param() | ast.Hole() | ast.Document():
                pass

    def all(self, exprs: tuple[Expr, ...]) -> None:
        for expr in exprs:
            self.expr(expr)

    # --- paths -------------------------------------------------------------------------------------------------------

    def path(self, idiom: Idiom) -> None:
        """`free` steps lead to a value already read; the next one may cross into another table."""
        free = self._head(idiom)
        for part in idiom.parts:
            free = self._step(part, free)

    def _head(self, idiom: Idiom) -> int:
        """How many steps may be taken from the head: its own fields, when it is a row or built in the query."""
        head = idiom.head
        match head:
            case None | ast.Object():
                pass
            case ast.Param(name):
                return 1 if name in ROW_PARAMS else 0
            case Literal(RecordId()):
                self.expr(head)
            case ast.Subquery(select):
                self.select(select)
                return 0 if select.value else 1
            case _:
                self.expr(head)
                return 0
        return 1

    def _step(self, part: Part, free: int) -> int:
        match part:
            case ast.FieldPart("id") if free:
                return free
            case ast.FieldPart() | ast.AllPart():
                return self._crossed(free)
            case ast.IndexPart(index):
                self.expr(index)
                return free if isinstance(index, Literal) and isinstance(index.value, int) else self._crossed(free)
            case ast.WherePart(cond):
                crossed = self._crossed(free)
                self.expr(cond)
                return crossed
            case ast.DestructurePart(items):
                crossed = self._crossed(free)
                for _, path in items:
                    if path is not None:
                        self.path(path)
                return crossed
            case ast.MethodPart(name, args):
                if name.lower() in READING_METHODS:
                    raise _Unknown
                self.all(args)
                return free
            case ast.GraphPart():
                self._graph(part)
                return 1
            case ast.GraphQuery(step, keys):
                self._graph(step)
                self.all(tuple(key for key in keys if key is not None))
                return 0
            case ast.LastPart() | ast.OptionalPart() | ast.FlattenPart():
                return free
            case ast.RecursePart() | ast.RepeatPart():
                raise _Unknown

    def _crossed(self, free: int) -> int:
        if free == 0:
            raise _Unknown
        return free - 1

    def _graph(self, part: ast.GraphPart) -> None:
        if not part.tables:
            raise _Unknown
        self.tables.update(part.tables)
        for expr in (part.cond, part.limit, part.start, *(key.expr for key in part.order)):
            if expr is not None:
                self.expr(expr)
        for column in part.fields:
            if not isinstance(column.expr, ast.Star):
                self.expr(column.expr)


def _tables_in(value: Value) -> Iterator[str]:
    match value:
        case RecordId(table, key):
            yield table
            yield from _tables_in(key)
        case list():
            for item in value:
                yield from _tables_in(item)
        case dict():
            for item in value.values():
                yield from _tables_in(item)
        case Range(begin, end):
            for bound in (begin, end):
                if isinstance(bound, Bound):
                    yield from _tables_in(bound.value)
