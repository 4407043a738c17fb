"""The SELECT statement, and the two ways in: `parse_select` and `parse_expr`.

Grammar (SurrealDB 3.2; clauses in this order, each at most once):

    SELECT [VALUE] fields [OMIT paths] FROM [ONLY] targets [WITH INDEX … | NOINDEX] [WHERE expr] [SPLIT [ON] paths]
    [GROUP [BY] paths | GROUP ALL] [ORDER [BY] keys | RAND()] [LIMIT [BY] expr] [START [AT] expr] [FETCH paths]
    [VERSION expr] [TIMEOUT expr] [TEMPFILES] [EXPLAIN [FULL]]

SurrealDB also demands, at parse time, that what SPLIT, GROUP BY and ORDER BY name is selected; so it is checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sp00ky.proto.surrealql.ast import (
    Call,
    Expr,
    Field,
    FieldPart,
    Idiom,
    Literal,
    Node,
    OrderKey,
    Param,
    Select,
    Star,
    TableTarget,
    Target,
)
from sp00ky.proto.surrealql.cursor import PRINTED_NESTING, Sight, Sighting
from sp00ky.proto.surrealql.errors import NoNode, ParseError, Refused
from sp00ky.proto.surrealql.expressions import ExpressionReader
from sp00ky.proto.surrealql.folding import depth_of, named_by_text, plain
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.surrealql.selected import Selected
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
    reader.check_held(expr, reader.tokens[0])
    if reader.aside is not None:
        raise reader.aside
    return expr


def read_select(text: str) -> Reading:
    """As `parse_select`, but goes on past what trees do not hold, and says what it met. Raises `ParseError`."""
    reader = SelectReader(text)
    reader.skip_semicolons()
    first = reader.token
    reader.expect_word("SELECT")
    select = reader.select_after_keyword()
    behind = reader.token
    reader.skip_semicolons()
    try:
        reader.finish()
    except ParseError:
        if _is_expression(text):
            message, hint = "an operator behind the SELECT", "a view is one SELECT: compute in its columns"
            raise reader.error(behind, message, hint, Refused) from None
        raise
    reader.check_held(select, first)
    return Reading(select, tuple(reader.sightings), reader.aside)


def _is_expression(text: str) -> bool:
    """Whether a SELECT is the first operand of an expression: `SELECT * FROM t GROUP ALL + 1`."""
    reader = SelectReader(text)
    try:
        reader.skip_semicolons()
        reader.expression()
        reader.skip_semicolons()
        reader.finish()
    except ParseError:
        return False
    return True


@dataclass(slots=True)
class SelectReader(ExpressionReader):
    def skip_semicolons(self) -> None:
        while self.eat(";"):
            pass

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
        columns = (self.value_field(),) if self.eat_word("VALUE") else self.field_list()
        omit = self._omitted() if self.eat_word("OMIT") else ()
        self.expect_word("FROM")
        only = self.eat_word("ONLY")
        targets = self._targets()
        with_index = self._with_index() if self.eat_word("WITH") else None
        where = self.expression() if self.eat_word("WHERE") else None
        split_token = self.token
        split = self.split_clause(columns)
        group = self.group_clause(columns, split_token if split else None)
        order, order_rand = self.order_clause(columns, value)
        limit, start = self.limit_and_start()
        fetch = self.fetched() if self.eat_word("FETCH") else ()
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
        if self.faithful:
            return Field(self.expression(), self._alias())
        token = self.token
        self.faithful, self.balanced = True, False
        expr = self.expression()
        self.faithful = False
        alias = self._alias()
        if alias is None and named_by_text(expr):
            if self.balanced:
                self.set_aside(token, "a column named by a long chain of operators")
            return Field(expr)
        return Field(plain(expr) if self.check_depth(expr, token) <= TREE_DEPTH_MAX else expr, alias)

    def _alias(self) -> Idiom | None:
        return self.plain_idiom() if self.eat_word("AS") else None

    def check_held(self, tree: Select | Expr, token: Token) -> None:
        """What is not held is not printed either, so a held tree always reads back from its text."""
        depth = self.check_depth(tree, token)
        if self.aside is None and max(depth, self.deepest) > PRINTED_NESTING:
            again = SelectReader(print_node(tree))
            try:
                again.expression()
            except ParseError:
                self.set_aside(token, "nesting as deep as this")

    def check_depth(self, tree: Node, token: Token) -> int:
        """Walks over a tree recurse: a long chain (`a + b + c …`) is read without recursion, but not held."""
        depth = depth_of(tree, TREE_DEPTH_MAX)
        if depth > TREE_DEPTH_MAX:
            self.set_aside(token, "a chain of more operators than fit")
        return depth

    def value_field(self) -> Field:
        expr = self.expression()
        alias = Idiom(None, (FieldPart(self.identifier()),)) if self.eat_word("AS") else None
        return Field(expr, alias)

    def _omitted(self) -> tuple[Idiom, ...]:
        return self._paths(self._omitted_path)

    def _omitted_path(self) -> Idiom:
        expr = self.expression()
        return expr if isinstance(expr, Idiom) else Idiom(expr, ())

    def _paths(self, read: Callable[[], Idiom]) -> tuple[Idiom, ...]:
        found = [read()]
        while self.eat(","):
            found.append(read())
        return tuple(found)

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

    def split_clause(self, columns: tuple[Field, ...]) -> tuple[Idiom, ...]:
        if not self.eat_word("SPLIT"):
            return ()
        self.eat_word("ON")
        selected = Selected.of(columns)
        return self._paths(lambda: self._selected_path("SPLIT", selected))

    def group_clause(self, columns: tuple[Field, ...], split: Token | None) -> tuple[Idiom, ...] | None:
        if not self.eat_word("GROUP"):
            return None
        if split is not None:
            raise self.error(split, "SPLIT and GROUP exclude each other", "group the result of a sub-select")
        if self.eat_word("ALL"):
            return ()
        self.eat_word("BY")
        selected = Selected.of(columns)
        return self._paths(lambda: self._selected_path("GROUP BY", selected))

    def _selected_path(self, clause: str, selected: Selected) -> Idiom:
        token = self.token
        path = self.basic_idiom()
        if selected.holds(path, prefix=clause == "GROUP BY"):
            return path
        if not selected.computes(path, self._read_text):
            message = f"{clause} names {print_node(path)}, which is not selected"
            raise self.error(token, message, "select the field, or an expression with it as alias")
        self.set_aside(token, f"{clause} of a column by its text")
        return path

    def _read_text(self, text: str) -> Expr | None:
        """A name that is the text of an expression."""
        inner = SelectReader(text, nesting=self.nesting, faithful=True)
        try:
            expr = inner.expression()
            inner.finish()
        except ParseError:
            return None
        return expr

    def order_clause(self, columns: tuple[Field, ...], value: bool) -> tuple[tuple[OrderKey, ...], bool]:
        if not self.eat_word("ORDER"):
            return (), False
        self.eat_word("BY")
        token = self.token
        if self.eat_word("RAND"):
            self.expect("(")
            self.expect(")")
            self.sighted(Sight.CLAUSE, "ORDER BY RAND()", token)
            return (), True
        return self._order_keys(None if value else Selected.of(columns)), False

    def _order_keys(self, selected: Selected | None) -> tuple[OrderKey, ...]:
        found = [self._order_key(selected)]
        while self.eat(","):
            found.append(self._order_key(selected))
        return tuple(found)

    def _order_key(self, selected: Selected | None) -> OrderKey:
        path = self.basic_idiom() if selected is None else self._selected_path("ORDER BY", selected)
        collate = self.eat_word("COLLATE")
        numeric = self.eat_word("NUMERIC")
        descending = self.eat_word(*DESCENDING)
        if not descending:
            self.eat_word(*ASCENDING)
        return OrderKey(path, descending, collate, numeric)

    # --- the tail ----------------------------------------------------------------------------------------------------

    def fetched(self) -> tuple[Idiom, ...]:
        """Once the name `type` stands in front, SurrealDB takes any expression there, and for the paths that follow."""
        found: list[Idiom] = []
        computed = False
        while not found or self.eat(","):
            computed = computed or self.at_word("TYPE")
            found.append(self._computed_path() if computed else self._fetched_path())
        return tuple(found)

    def _fetched_path(self) -> Idiom:
        token = self.token
        if token.kind is TokenKind.PARAM:
            self.sighted(Sight.PARAM, token.value, self.take())
            return Idiom(Param(token.value), ())
        return self.plain_idiom()

    def _computed_path(self) -> Idiom:
        token = self.token
        path = self.expression()
        if isinstance(path, Idiom) and path.head is None:
            return path
        if not isinstance(path, Call | Param):
            self.set_aside(token, "FETCH of what is computed")
        return Idiom(path, ())

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
