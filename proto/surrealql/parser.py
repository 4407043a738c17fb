"""The SELECT statement, and the two ways in: `parse_select` and `parse_expr`.

Grammar (SurrealDB 3.2; clauses in this order, each at most once):

    SELECT [VALUE] fields [OMIT paths] FROM [ONLY] targets [WITH INDEX … | NOINDEX] [WHERE expr] [SPLIT [ON] paths]
    [GROUP [BY] paths | GROUP ALL] [ORDER [BY] keys | RAND()] [LIMIT [BY] expr] [START [AT] expr] [FETCH paths]
    [VERSION expr] [TIMEOUT expr] [TEMPFILES] [EXPLAIN [FULL]]

SurrealDB also demands, at parse time, that what SPLIT, GROUP BY and ORDER BY name is selected; so it is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Final

from sp00ky.proto.surrealql.ast import (
    Call,
    Expr,
    Field,
    FieldPart,
    Idiom,
    Literal,
    OrderKey,
    Select,
    Star,
    TableTarget,
    Target,
)
from sp00ky.proto.surrealql.cursor import Sight, Sighting
from sp00ky.proto.surrealql.errors import NoNode, error_at
from sp00ky.proto.surrealql.expressions import ExpressionReader
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.surrealql.tokens import Token, TokenKind
from sp00ky.proto.values.kinds import Table

TREE_DEPTH_MAX: Final = 100  # walks over a tree may recurse; longer chains of operators are not held
ASCENDING: Final = ("ASC", "ASCENDING")
DESCENDING: Final = ("DESC", "DESCENDING")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says. `aside`: what it says beyond the tree; `select` is then not the whole query."""

    select: Select
    sightings: tuple[Sighting, ...]
    aside: NoNode | None


def parse_select(text: str) -> Select:
    """The tree of one SELECT; a `;` may end it. Raises `ParseError`, and `NoNode` for what trees do not hold."""
    reading = read_select(text)
    if reading.aside is not None:
        raise reading.aside
    return reading.select


def parse_expr(text: str) -> Expr:
    """The tree of one expression; bare names are fields. Raises as `parse_select`."""
    reader = SelectReader(text)
    expr = reader.expression()
    reader.finish()
    _check_depth(reader, expr)
    if reader.aside is not None:
        raise reader.aside
    return expr


def read_select(text: str) -> Reading:
    """As `parse_select`, but goes on past what trees do not hold, and says what it met. Raises `ParseError`."""
    reader = SelectReader(text)
    while reader.eat(";"):
        pass
    reader.expect_word("SELECT")
    select = reader.select_after_keyword()
    while reader.eat(";"):
        pass
    reader.finish()
    _check_depth(reader, select)
    return Reading(select, tuple(reader.sightings), reader.aside)


@dataclass(slots=True)
class SelectReader(ExpressionReader):
    def finish(self) -> None:
        if self.token.kind is TokenKind.END and self.lexical is None:
            return
        hint = ""
        if self.at_word("PARALLEL"):
            hint = "SurrealDB 3 has no PARALLEL: leave it out"
        raise self.unexpected("expected the end of the query", hint)

    def select_after_keyword(self) -> Select:
        with self.deeper(), self.bare_as(table=False):
            return self._select()

    def _select(self) -> Select:
        value = self.at_word("VALUE")
        columns = (self._value_field(),) if self.eat_word("VALUE") else self.field_list()
        omit = self._omitted() if self.eat_word("OMIT") else ()
        self.expect_word("FROM")
        only = self.eat_word("ONLY")
        targets = self._targets()
        with_index = self._with_index() if self.eat_word("WITH") else None
        where = self.expression() if self.eat_word("WHERE") else None
        split_token = self.token
        split = self._split(columns) if self.eat_word("SPLIT") else ()
        group = self._group(columns, split_token if split else None) if self.eat_word("GROUP") else None
        order, order_rand = self._order(columns, value) if self.eat_word("ORDER") else ((), False)
        limit, start = self.limit_and_start()
        fetch = self._fetched() if self.eat_word("FETCH") else ()
        version = self._version()
        timeout = self.expression() if self.eat_word("TIMEOUT") else None
        tempfiles = self.eat_word("TEMPFILES")
        return Select(
            columns,
            targets,
            value=value,
            only=only,
            omit=omit,
            with_index=with_index,
            where=where,
            split=split,
            group=group,
            order=order,
            order_rand=order_rand,
            limit=limit,
            start=start,
            fetch=fetch,
            version=version,
            timeout=timeout,
            tempfiles=tempfiles,
            explain=self._explain(),
        )

    # --- columns -----------------------------------------------------------------------------------------------------

    def field_list(self) -> tuple[Field, ...]:
        found = [self._field()]
        while self.eat(","):
            found.append(self._field())
        return tuple(found)

    def _field(self) -> Field:
        if self.eat("*"):
            return Field(Star())
        token = self.token
        before, self.unnamed = self.unnamed, False
        expr = self.expression()
        alias = self.plain_idiom() if self.eat_word("AS") else None
        if self.unnamed and alias is None:
            self.set_aside(token, "a column named by its own text")
        self.unnamed = before
        return Field(expr, alias)

    def _value_field(self) -> Field:
        before = self.unnamed
        expr = self.expression()
        self.unnamed = before
        alias = Idiom(None, (FieldPart(self.identifier()),)) if self.eat_word("AS") else None
        return Field(expr, alias)

    def _omitted(self) -> tuple[Idiom, ...]:
        return self._paths(self._omitted_path)

    def _omitted_path(self) -> Idiom | None:
        token = self.token
        expr = self.expression()
        if isinstance(expr, Idiom) and expr.head is None:
            return expr
        self.set_aside(token, "OMIT of a computed field")
        return None

    def _paths(self, read: object) -> tuple[Idiom, ...]:
        assert callable(read)
        found = [read()]
        while self.eat(","):
            found.append(read())
        return tuple(path for path in found if path is not None)

    # --- FROM and WITH -----------------------------------------------------------------------------------------------

    def _targets(self) -> tuple[Target, ...]:
        with self.bare_as(table=True):
            found = [self._target()]
            while self.eat(","):
                found.append(self._target())
        return tuple(found)

    def _target(self) -> Target:
        expr = self.expression()
        if isinstance(expr, Literal) and isinstance(expr.value, Table):
            return TableTarget(expr.value.name)
        return expr

    def _with_index(self) -> tuple[str, ...]:
        if self.eat_word("NOINDEX"):
            return ()
        if self.eat_word("NO"):
            self.expect_word("INDEX")
            return ()
        if not self.eat_word("INDEX"):
            raise self.unexpected("expected INDEX or NOINDEX")
        names = [self.identifier()]
        while self.eat(","):
            names.append(self.identifier())
        return tuple(names)

    # --- SPLIT, GROUP, ORDER -----------------------------------------------------------------------------------------

    def _split(self, columns: tuple[Field, ...]) -> tuple[Idiom, ...]:
        self.eat_word("ON")
        return self._paths(lambda: self._selected_path("SPLIT", columns))

    def _group(self, columns: tuple[Field, ...], split: Token | None) -> tuple[Idiom, ...]:
        if split is not None:
            raise self.error(split, "SPLIT and GROUP exclude each other", "group the result of a sub-select")
        if self.eat_word("ALL"):
            return ()
        self.eat_word("BY")
        return self._paths(lambda: self._selected_path("GROUP BY", columns))

    def _selected_path(self, clause: str, columns: tuple[Field, ...]) -> Idiom:
        token = self.token
        path = self.basic_idiom()
        if not _is_selected(path, columns, prefix=clause == "GROUP BY"):
            message = f"{clause} names {print_node(path)}, which is not selected"
            raise self.error(token, message, "select the field, or an expression with it as alias")
        return path

    def _order(self, columns: tuple[Field, ...], value: bool) -> tuple[tuple[OrderKey, ...], bool]:
        self.eat_word("BY")
        token = self.token
        if self.eat_word("RAND"):
            self.expect("(")
            self.expect(")")
            self.sighted(Sight.CLAUSE, "ORDER BY RAND()", token)
            return (), True
        return self._order_keys(None if value else columns), False

    def order_keys(self, columns: tuple[Field, ...] | None) -> tuple[OrderKey, ...]:
        self.eat_word("BY")
        return self._order_keys(columns)

    def _order_keys(self, columns: tuple[Field, ...] | None) -> tuple[OrderKey, ...]:
        found = [self._order_key(columns)]
        while self.eat(","):
            found.append(self._order_key(columns))
        return tuple(found)

    def _order_key(self, columns: tuple[Field, ...] | None) -> OrderKey:
        path = self.basic_idiom() if columns is None else self._selected_path("ORDER BY", columns)
        collate = self.eat_word("COLLATE")
        numeric = self.eat_word("NUMERIC")
        descending = self.eat_word(*DESCENDING)
        if not descending:
            self.eat_word(*ASCENDING)
        return OrderKey(path, descending, collate, numeric)

    # --- the tail ----------------------------------------------------------------------------------------------------

    def _fetched(self) -> tuple[Idiom, ...]:
        return self._paths(self._fetched_path)

    def _fetched_path(self) -> Idiom | None:
        token = self.token
        if token.kind is TokenKind.PARAM or (token.keyword == "TYPE" and self.ahead_is("::")):
            self.set_aside(token, "FETCH of a computed path")
            self.expression()
            return None
        return self.plain_idiom()

    def _version(self) -> Expr | None:
        token = self.token
        if not self.eat_word("VERSION"):
            return None
        self.sighted(Sight.CLAUSE, "VERSION", token)
        return self.expression()

    def _explain(self) -> str:
        token = self.token
        if not self.eat_word("EXPLAIN"):
            return ""
        self.sighted(Sight.CLAUSE, "EXPLAIN", token)
        return "EXPLAIN FULL" if self.eat_word("FULL") else "EXPLAIN"


def _is_selected(path: Idiom, columns: tuple[Field, ...], prefix: bool) -> bool:
    for column in columns:
        if isinstance(column.expr, Star) or column.alias == path:
            return True
        if isinstance(column.expr, Idiom) and column.expr.head is None:
            parts = column.expr.parts
            if parts == path.parts or (prefix and parts[: len(path.parts)] == path.parts):
                return True
        if isinstance(column.expr, Call) and path.parts == (FieldPart(column.expr.name),):
            return True
    return False


def _check_depth(reader: SelectReader, tree: object) -> None:
    """Long chains (`a OR b OR c …`) are read without recursion; the tree they make would not be."""
    waiting: list[tuple[object, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > TREE_DEPTH_MAX:
            break
        waiting.extend((child, depth + is_dataclass(child)) for child in _children(node))
    else:
        return
    message = "a chain of more operators than a query tree holds"
    aside = error_at(reader.source, 0, message, kind=NoNode)
    if reader.aside is None and isinstance(aside, NoNode):
        reader.aside = aside


def _children(node: object) -> Iterator[object]:
    if isinstance(node, tuple):
        yield from node
    elif is_dataclass(node) and not isinstance(node, Literal):
        yield from (getattr(node, attribute.name) for attribute in fields(node))
