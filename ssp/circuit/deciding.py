"""One condition on one record, asked again by hand: whether it holds, what its parts are, and what was read for them.

The circuit knows that a record passes, not why. A term of a conjunction is therefore evaluated once more by the twin,
`proto.whole`, on the same tables, and so is each of its parts: fields, paths, parameters, calls and sub-selects. What a
part reads of other records is noted, so that a link that leads nowhere is named.

A user's view is asked with the user's eyes: records and fields that he may not see are not there. The terms of a
permission rule are the exception, as in SurrealDB: they see everything, and so nothing of what they saw is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.ast import Expr, Literal
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.order import truthy
from sp00ky.proto.values.text import record_id_text, to_surql
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.permitted import Permitted
from sp00ky.proto.whole.rules import OF_A_RULE, TableRules
from sp00ky.proto.whole.scope import NotPlain, Row, Scope, Source
from sp00ky.ssp.circuit.arrangement import Record
from sp00ky.ssp.circuit.tracing import TableMissing

TEXT_CHARS_MAX = 400  # of a value as it is shown
THROUGH_MAX = 20  # reads that are named for one value


class Origin(StrEnum):
    PERMISSION = "permission"
    FROM = "from"
    WHERE = "where"


@dataclass(frozen=True, slots=True)
class Seen:
    """A part of a term as SurrealQL, its value, and the other records and tables that were read for it."""

    text: str
    value: str
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    text: str
    origin: Origin
    holds: bool
    seen: tuple[Seen, ...] = ()


@dataclass(slots=True)
class Noted:
    """What was read, in words; each once, in the order of the first time."""

    absent: str  # said of a record that is not found
    lines: dict[str, None] = field(default_factory=dict)

    def record(self, record: RecordId, found: Record | None) -> None:
        self.lines[f"{record_id_text(record)} {'is there' if found is not None else self.absent}"] = None

    def rows(self, rows: Iterable[Row], of: str) -> list[Row]:
        found = list(rows)
        self.lines[f"{len(found)} of {of}"] = None
        return found


class NotedTables:
    """Tables whose reads are noted."""

    def __init__(self, source: Source, noted: Noted) -> None:
        self._source = source
        self._noted = noted

    def rows(self, table: str) -> list[Row]:
        return self._noted.rows(self._source.rows(table), table)

    def get(self, record: RecordId) -> Record | None:
        found = self._source.get(record)
        self._noted.record(record, found)
        return found

    def rows_where(self, table: str, field: str, value: Value) -> list[Row]:
        return self._noted.rows(self._source.rows_where(table, field, value), _where(table, field, value))

    def tables(self) -> Iterable[str]:
        return self._source.tables()


class NotedPermitted(Permitted):
    """The same as a user sees them: what a rule reads is not noted."""

    def __init__(
        self, source: Source, rules: Callable[[str], TableRules], params: Mapping[str, Value], noted: Noted
    ) -> None:
        super().__init__(source, rules, params)
        self._noted = noted

    def rows(self, table: str) -> list[Row]:
        return self._noted.rows(super().rows(table), table)

    def get(self, record: RecordId) -> Record | None:
        found = super().get(record)
        self._noted.record(record, found)
        return found

    def rows_where(self, table: str, field: str, value: Value) -> list[Row]:
        return self._noted.rows(super().rows_where(table, field, value), _where(table, field, value))


def _where(table: str, field: str, value: Value) -> str:
    return f"{table} where {field} = {shown(value)}"


class Asker:
    """Asks terms of records, with the eyes of the view: `rules` None for a service's, which sees everything."""

    def __init__(
        self, source: Source, params: Mapping[str, Value], rules: Callable[[str], TableRules] | None = None
    ) -> None:
        self._source = source
        self._params = params
        self._rules = rules
        self.scope = self._scope(Noted(""))

    def _scope(self, noted: Noted) -> Scope:
        if self._rules is None:
            return Scope(self._params, NotedTables(self._source, noted))
        return Scope(self._params, NotedPermitted(self._source, self._rules, self._params, noted))

    def ask(self, term: Expr, origin: Origin, row: Value, written: Expr | None = None) -> Term:
        """`written`: the term as it stood in the text, if planning has changed it. Raises NotPlain, TableMissing."""
        text = print_node(written or term)
        try:
            holds = truthy(evaluate(term, row, self.scope))
        except NotPlain as error:
            raise NotPlain(f"`{text}` on it: {error}") from error
        return Term(text, origin, holds, tuple(self._parts(term, written or term, row)))

    def ask_rule(self, term: Expr, row: Value) -> Term:
        """A term of the rule of the record's table, of the record as it is stored. Raises NotPlain, TableMissing."""
        scope = Scope({**self._params, **dict.fromkeys(OF_A_RULE, NONE)}, self._source)
        text = print_node(term)
        try:
            return Term(text, Origin.PERMISSION, truthy(evaluate(term, row, scope)))
        except NotPlain:  # what it says is of values that are not for telling
            raise NotPlain(f"the rule `{text}` of its table, on it") from None

    def _parts(self, term: Expr, written: Expr, row: Value) -> Iterator[Seen]:
        for part, text in dict(zip(parts_of(term), map(print_node, parts_of(written)), strict=True)).items():
            noted = Noted("is not there" if self._rules is None else "is not there, or not for this user")
            try:
                value = evaluate(part, row, self._scope(noted))
            except (NotPlain, TableMissing):
                continue  # the term was decided without it: `a OR b` where a holds
            lines = tuple(noted.lines)
            more = (f"and {len(lines) - THROUGH_MAX} more",) if len(lines) > THROUGH_MAX else ()
            yield Seen(text, shown(value), (*lines[:THROUGH_MAX], *more))


def parts_of(term: Expr) -> Iterator[Expr]:
    """The parts whose values tell how the term came out: what operators and functions are applied to."""
    match term:
        case Literal() | ast.Closure() | ast.TypedClosure():
            return
        case ast.Binary(left=left, right=right):
            yield from parts_of(left)
            yield from parts_of(right)
        case ast.Unary(operand=operand) | ast.Cast(operand=operand):
            yield from parts_of(operand)
        case ast.Call(args=args):
            yield term
            for arg in args:
                yield from parts_of(arg)
        case ast.Array(items=items) | ast.SetLiteral(items=items):
            for item in items:
                yield from parts_of(item)
        case _:
            yield term


def shown(value: Value) -> str:
    """The value as SurrealQL, cut if it is long."""
    text = to_surql(value)
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]}…"
