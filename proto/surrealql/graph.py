"""Steps along graph edges and references: `->likes`, `<-(wrote, liked WHERE x LIMIT 3)`, `<~(comment FIELD post)`.

What most steps say is a `GraphPart`; ranges of edges, referring fields and the rarer clauses of a step that is a whole
SELECT make it a `GraphQuery`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from sp00ky.proto.surrealql.ast import (
    Expr,
    Field,
    FieldPart,
    GraphPart,
    GraphQuery,
    Idiom,
    Literal,
    OrderKey,
    RangeExpr,
    RecordIdExpr,
)
from sp00ky.proto.surrealql.idioms import IdiomReader
from sp00ky.proto.surrealql.tokens import Token
from sp00ky.proto.values.kinds import Bound, Range

PLAIN_STEP: Final = GraphPart("->", ())


@dataclass(slots=True)
class _Subjects:
    """What stands after the arrow: tables, each with a range of keys or the field that refers, where one is said."""

    tables: list[str] = field(default_factory=list)
    keys: list[RangeExpr | None] = field(default_factory=list)
    referrers: list[str | None] = field(default_factory=list)

    def rarities(self) -> GraphQuery:
        return GraphQuery(
            PLAIN_STEP,
            keys=tuple(self.keys) if any(key is not None for key in self.keys) else (),
            referrers=tuple(self.referrers) if any(name is not None for name in self.referrers) else (),
        )


@dataclass(slots=True)
class GraphReader(IdiomReader):
    def field_list(self) -> tuple[Field, ...]:
        raise NotImplementedError  # SelectReader has it; a graph step may hold a whole SELECT

    def value_field(self) -> Field:
        raise NotImplementedError

    def order_clause(self, columns: tuple[Field, ...], value: bool) -> tuple[tuple[OrderKey, ...], bool]:
        raise NotImplementedError

    def split_clause(self, columns: tuple[Field, ...]) -> tuple[Idiom, ...]:
        raise NotImplementedError

    def group_clause(self, columns: tuple[Field, ...], split: Token | None) -> tuple[Idiom, ...] | None:
        raise NotImplementedError

    def fetched(self) -> tuple[Idiom, ...]:
        raise NotImplementedError

    def graph_part(self) -> GraphPart | GraphQuery:
        direction = self.take().text
        opened = self.token
        if self.eat("?"):
            return GraphPart(direction, ())
        if self.eat("("):
            with self.deeper(), self.bare_as(table=False):
                return self._graph_step(direction, opened)
        subjects = _Subjects()
        self._graph_subject(subjects)
        return _step(GraphPart(direction, tuple(subjects.tables)), subjects.rarities())

    def _graph_subject(self, subjects: _Subjects, in_brackets: bool = False) -> None:
        name = self.identifier()
        subjects.tables.append(name)
        subjects.keys.append(self._edge_range(name) if self.touching() and self.at(":") else None)
        subjects.referrers.append(self.identifier() if in_brackets and self.eat_word("FIELD") else None)

    def _edge_range(self, table: str) -> RangeExpr:
        token = self.token
        edges = self.record_key_or_range(table, edges=True)
        if isinstance(edges, RecordIdExpr) and isinstance(edges.key, RangeExpr):
            return edges.key
        if isinstance(edges, Literal) and isinstance(edges.value.key, Range):
            return _range_expr(edges.value.key)
        hint = "filter with (table WHERE id = …)"
        raise self.error(token, "a graph step takes a table or a range of ids", hint)

    def _graph_step(self, direction: str, opened: Token) -> GraphPart | GraphQuery:
        fields: tuple[Field, ...] = ()
        value = False
        selecting = self.eat_word("SELECT")
        if selecting:
            value = self.eat_word("VALUE")
            fields = (self.value_field(),) if value else self.field_list()
            self.expect_word("FROM")
        subjects = _Subjects()
        if not self.eat("?"):
            self._graph_subject(subjects, in_brackets=True)
            while self.eat(","):
                self._graph_subject(subjects, in_brackets=True)
        cond = self.expression() if self.eat_word("WHERE") else None
        rare = replace(subjects.rarities(), value=value)
        order: tuple[OrderKey, ...] = ()
        if selecting:
            splitting = self.token
            split = self.split_clause(fields)
            group = self.group_clause(fields, splitting if split else None)
            order, order_rand = self.order_clause(fields, value)
            rare = replace(rare, split=split, group=group, order_rand=order_rand)
        limit, start = self.limit_and_start()
        alias = self.plain_idiom() if self.eat_word("AS") else None
        self.close(")", opened)
        name = _single_name(alias)
        step = GraphPart(direction, tuple(subjects.tables), cond, order, limit, start, name, fields)
        return _step(step, rare if name is not None else replace(rare, alias=alias))

    # --- LIMIT and START ---------------------------------------------------------------------------------------------

    def limit_and_start(self) -> tuple[Expr | None, Expr | None]:
        """LIMIT [BY] and START [AT], in either order."""
        limit: Expr | None = None
        start: Expr | None = None
        if self.at_word("START"):
            start = self._start()
            limit = self._limit()
        else:
            limit = self._limit()
            start = self._start()
        return limit, start

    def _limit(self) -> Expr | None:
        if not self.eat_word("LIMIT"):
            return None
        self.eat_word("BY")
        return self.expression()

    def _start(self) -> Expr | None:
        if not self.eat_word("START"):
            return None
        self.eat_word("AT")
        return self.expression()


def _step(step: GraphPart, rare: GraphQuery) -> GraphPart | GraphQuery:
    return step if rare == GraphQuery(PLAIN_STEP) else replace(rare, step=step)


def _single_name(alias: Idiom | None) -> str | None:
    if alias is not None and len(alias.parts) == 1 and isinstance(alias.parts[0], FieldPart):
        return alias.parts[0].name
    return None


def _range_expr(bounds: Range) -> RangeExpr:
    return RangeExpr(
        _bound(bounds.begin),
        _bound(bounds.end),
        bounds.begin is None or bounds.begin.inclusive,
        bounds.end is not None and bounds.end.inclusive,
    )


def _bound(bound: Bound | None) -> Literal | None:
    return None if bound is None else Literal(bound.value)
