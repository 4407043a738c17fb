"""Paths: fields, indexes, filters, methods, destructuring, recursion, steps along graph edges.

SurrealDB has three grammars for a path, each narrower than the last: after a value (`path_after`), plain
(`plain_idiom`: AS, FETCH) and basic (`basic_idiom`: ORDER BY, GROUP BY, SPLIT), where only fields, `*`, `$` and numbers
may stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sp00ky.proto.surrealql.ast import (
    AllPart,
    DestructurePart,
    Expr,
    Field,
    FieldPart,
    GraphPart,
    Idiom,
    IndexPart,
    LastPart,
    Literal,
    MethodPart,
    OptionalPart,
    OrderKey,
    Part,
    RecursePart,
    WherePart,
)
from sp00ky.proto.surrealql.cursor import Cursor, Sight
from sp00ky.proto.surrealql.literals import number_of
from sp00ky.proto.surrealql.printer import print_parts
from sp00ky.proto.surrealql.tokens import Token, TokenKind
from sp00ky.proto.values.kinds import Range

ARROWS: Final = ("->", "<-", "<->", "<~")
CONTINUES: Final = (*ARROWS, "[", ".", "...", "…")


@dataclass(slots=True)
class IdiomReader(Cursor):
    def field_list(self) -> tuple[Field, ...]:
        raise NotImplementedError  # SelectReader has it; a graph step may hold a whole SELECT

    def order_keys(self, columns: tuple[Field, ...] | None) -> tuple[OrderKey, ...]:
        raise NotImplementedError

    def record_key_or_range(self, table: str) -> Expr:
        raise NotImplementedError

    # --- whole paths -------------------------------------------------------------------------------------------------

    def path_after(self, head: Expr) -> Expr:
        """`head` itself when no part follows. A path goes on; any other value becomes the head of one."""
        parts = self.parts()
        if not parts:
            return head
        return Idiom(head, tuple(parts))

    def plain_idiom(self) -> Idiom:
        start: Part = self.graph_part() if self.at(*ARROWS) else FieldPart(self.identifier())
        return Idiom(None, (start, *self.parts()))

    def basic_idiom(self) -> Idiom:
        parts: list[Part] = [FieldPart(self.identifier())]
        while self.at(".", "["):
            opened = self.take()
            if opened.text == ".":
                parts.append(AllPart() if self.eat("*") else FieldPart(self.identifier()))
                continue
            parts.append(self._basic_index())
            self.close("]", opened)
        return Idiom(None, tuple(parts))

    def _basic_index(self) -> Part:
        if self.eat("*"):
            return AllPart()
        if self.eat("$"):
            return LastPart()
        self.eat("+")
        number = number_of(self.token.text) if self.token.kind is TokenKind.NUMBER else None
        if number is None:
            raise self.unexpected("expected $, * or a number")
        self.take()
        return IndexPart(Literal(number))

    def parts(self) -> list[Part]:
        parts: list[Part] = []
        while self.at(*CONTINUES):
            parts.extend(self._part())
        return parts

    def _part(self) -> list[Part]:
        token = self.token
        if token.text in ARROWS:
            return [self.graph_part()]
        self.take()
        if token.text in ("...", "…"):
            self.set_aside(token, "flattening with …")
            return []
        return [self._bracket_part(token)] if token.text == "[" else self._dot_part()

    # --- parts -------------------------------------------------------------------------------------------------------

    def _bracket_part(self, opened: Token) -> Part:
        part: Part
        if self.at("*") and self.ahead_is("]"):
            self.take()
            part = AllPart()
        elif self.eat("$"):
            part = LastPart()
        elif self.eat("?") or self.eat_word("WHERE"):
            with self.bare_as(table=False):
                part = WherePart(self.expression())
        else:
            part = IndexPart(self.expression())
        self.close("]", opened)
        return part

    def _dot_part(self) -> list[Part]:
        token = self.token
        if self.eat("?"):
            return [OptionalPart()]
        if self.eat("*"):
            return [AllPart()]
        if self.eat("@"):
            self.set_aside(token, "the repetition .@")
            return []
        if self.eat("{"):
            number = self.token.kind is TokenKind.NUMBER
            bounded = number or (self.touching() and self.at(".."))
            return self._recurse_part(token) if bounded else [self._destructure_part(token)]
        name = self.identifier()
        if not self.at("("):
            return [FieldPart(name)]
        args = self.arguments()
        self.sighted(Sight.METHOD, name.lower(), token, len(args))
        return [MethodPart(name, args)]

    def arguments(self) -> tuple[Expr, ...]:
        opened = self.token
        self.expect("(")
        return self.items(")", opened)

    def items(self, closing: str, opened: Token) -> tuple[Expr, ...]:
        """Expressions up to the closing sign; a comma may follow the last."""
        found: list[Expr] = []
        while not self.eat(closing):
            found.append(self.expression())
            if not self.eat(","):
                self.close(closing, opened)
                break
        return tuple(found)

    def _destructure_part(self, opened: Token) -> Part:
        fields: list[tuple[str, Idiom | None]] = []
        while not self.eat("}"):
            fields.append(self._destructured())
            if not self.eat(","):
                self.close("}", opened)
                break
        return DestructurePart(tuple(fields))

    def _destructured(self) -> tuple[str, Idiom | None]:
        name = self.identifier()
        start = self.token
        if self.eat(":"):
            with self.bare_as(table=False):
                value = self.expression()
            if not isinstance(value, Idiom):
                self.set_aside(start, "destructuring to a computed value")
                return name, None
            return name, None if value == Idiom(None, (FieldPart(name),)) else value
        if self.eat("."):
            with self.deeper():
                rest = self._dot_part()
            if len(rest) != 1 or not isinstance(rest[0], AllPart | DestructurePart):
                raise self.error(start, "expected .* or a destructuring", "name a deeper field as name: path")
            return name, Idiom(None, (FieldPart(name), rest[0]))
        return name, None

    def _recurse_part(self, opened: Token) -> list[Part]:
        """`{1..3+path}` and, in round brackets, the path that is repeated; kept as text."""
        first = self.index
        if self.token.kind is TokenKind.NUMBER:
            self._whole_number()
            if not self.touching() and self.at(".."):
                raise self.unexpected("expected }")
        if self.eat("..") and self.touching() and self.token.kind is TokenKind.NUMBER:
            self._whole_number()
        if self.eat("+"):
            self._recurse_instruction()
        self.close("}", opened)
        text = "{" + "".join(token.text for token in self.tokens[first : self.index])
        if self.at("("):
            bracket = self.take()
            with self.deeper():
                nested = self.parts()
            self.close(")", bracket)
            if self.aside is None:
                text += f"({print_parts(tuple(nested))})"
        return [RecursePart(text)]

    def _whole_number(self) -> None:
        if not self.token.text.isdigit():
            raise self.unexpected("expected a whole number")
        self.take()

    def _recurse_instruction(self) -> None:
        token = self.token
        name = self.identifier().lower()
        if name == "shortest":
            self.expect("=")
            self.set_aside(token, "the recursion +shortest")
            if self.token.kind is TokenKind.PARAM:
                self.sighted(Sight.PARAM, self.token.value, self.token)
                self.take()
            else:
                table = self.identifier()
                self.record_key_or_range(table)
        elif name not in ("path", "collect"):
            raise self.error(token, f"unknown recursion +{name}", "there are +path, +collect and +shortest")
        while self.eat("+"):
            option = self.token
            if self.identifier().lower() != "inclusive":
                raise self.error(option, f"unknown recursion option +{option.text}", "there is +inclusive")

    # --- graph -------------------------------------------------------------------------------------------------------

    def graph_part(self) -> GraphPart:
        direction = self.take().text
        opened = self.token
        if self.eat("?"):
            return GraphPart(direction, ())
        if self.eat("("):
            with self.deeper(), self.bare_as(table=False):
                return self._graph_step(direction, opened)
        return GraphPart(direction, (self._graph_table(),))

    def _graph_table(self, in_brackets: bool = False) -> str:
        name = self.identifier()
        token = self.token
        if self.touching() and self.at(":"):
            self.set_aside(token, "a range of edges")
            edges = self.record_key_or_range(name)
            if isinstance(edges, Literal) and not isinstance(edges.value.key, Range):
                hint = "filter with (table WHERE id = …)"
                raise self.error(token, "a graph step takes a table or a range of ids", hint)
        if in_brackets and self.eat_word("FIELD"):
            self.set_aside(token, "FIELD in a graph step")
            self.identifier()
        return name

    def _graph_step(self, direction: str, opened: Token) -> GraphPart:
        fields: tuple[Field, ...] = ()
        start = self.token
        selecting = self.eat_word("SELECT")
        if selecting:
            if self.at_word("VALUE"):
                self.set_aside(start, "SELECT VALUE in a graph step")
                self.take()
                self.expression()
            else:
                fields = self.field_list()
            self.expect_word("FROM")
        tables: list[str] = []
        if not self.eat("?"):
            tables.append(self._graph_table(in_brackets=True))
            while self.eat(","):
                tables.append(self._graph_table(in_brackets=True))
        cond = self.expression() if self.eat_word("WHERE") else None
        order: tuple[OrderKey, ...] = ()
        if selecting and self.at_word("SPLIT", "GROUP"):
            self._skip_grouping()
        if selecting and self.eat_word("ORDER"):
            order = self.order_keys(fields or None)
        limit, begin = self.limit_and_start()
        alias = self._graph_alias()
        self.close(")", opened)
        return GraphPart(direction, tuple(tables), cond, order, limit, begin, alias, fields)

    def _skip_grouping(self) -> None:
        token = self.take()
        self.set_aside(token, f"{token.keyword} in a graph step")
        self.eat_word("ON", "BY")
        if token.keyword == "GROUP" and self.eat_word("ALL"):
            return
        self.basic_idiom()
        while self.eat(","):
            self.basic_idiom()

    def _graph_alias(self) -> str | None:
        token = self.token
        if not self.eat_word("AS"):
            return None
        idiom = self.plain_idiom()
        if len(idiom.parts) > 1 or not isinstance(idiom.parts[0], FieldPart):
            self.set_aside(token, "a path as the alias of a graph step")
            return None
        return idiom.parts[0].name

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
