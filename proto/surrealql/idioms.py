"""Paths: fields, indexes, filters, methods, destructuring, recursion.

SurrealDB has three grammars for a path, each narrower than the last: after a value (`path_after`), plain
(`plain_idiom`: AS, FETCH) and basic (`basic_idiom`: ORDER BY, GROUP BY, SPLIT), where only fields, `*`, `$` and numbers
may stand.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Final

from sp00ky.proto.surrealql.ast import (
    AllPart,
    DestructurePart,
    Expr,
    FieldPart,
    FlattenPart,
    GraphPart,
    GraphQuery,
    Idiom,
    IndexPart,
    LastPart,
    Literal,
    MethodPart,
    OptionalPart,
    Param,
    Part,
    RecursePart,
    RepeatPart,
    WherePart,
)
from sp00ky.proto.surrealql.cursor import Cursor, Sight
from sp00ky.proto.surrealql.literals import number_of
from sp00ky.proto.surrealql.tokens import Token, TokenKind
from sp00ky.proto.values.kinds import Table

ARROWS: Final = ("->", "<-", "<->", "<~")
CONTINUES: Final = (*ARROWS, "[", ".", "...", "…")


@dataclass(slots=True)
class IdiomReader(Cursor):
    @abstractmethod
    def graph_part(self) -> GraphPart | GraphQuery:
        """A step along edges; the arrow is the next token."""

    @abstractmethod
    def record_key_or_range(self, table: str, edges: bool = False) -> Expr:
        """A record id whose table has been taken; the colon is the next token."""

    # --- whole paths -------------------------------------------------------------------------------------------------

    def path_after(self, head: Expr) -> Expr:
        """`head` itself when no part follows, else the path from it. `(a.b)[0]` is not `a.b[0]` if `a` is an array."""
        parts = self.parts()
        if not parts:
            return head
        if isinstance(head, Literal) and isinstance(head.value, Table):
            return Idiom(None, (FieldPart(head.value.name), *parts))
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
            return [FlattenPart()]
        return [self._bracket_part(token)] if token.text == "[" else self.dot_part()

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

    def dot_part(self) -> list[Part]:
        token = self.token
        if self.eat("?"):
            return [OptionalPart()]
        if self.eat("*"):
            return [AllPart()]
        if self.eat("@"):
            return [RepeatPart()]
        if self.eat("{"):
            number = self.token.kind is TokenKind.NUMBER
            bounded = number or (self.touching() and self.at(".."))
            return self._recurse_part() if bounded else [self._destructure_part(token)]
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
            if not isinstance(value, Idiom) or value == Idiom(None, (FieldPart(name), AllPart())):
                return name, Idiom(value, ())  # `a: a.*` is not `a.*`, which leaves out what is no object
            return name, None if value == Idiom(None, (FieldPart(name),)) else value
        if self.eat("."):
            with self.deeper():
                rest = self.dot_part()
            if len(rest) != 1 or not isinstance(rest[0], AllPart | DestructurePart):
                raise self.error(start, "expected .* or a destructuring", "name a deeper field as name: path")
            return name, Idiom(None, (FieldPart(name), rest[0]))
        return name, None

    def _recurse_part(self) -> list[Part]:
        """`{1..3+path}` and, in round brackets, the path that is repeated."""
        low = self._whole_number() if self.token.kind is TokenKind.NUMBER else None
        if low is not None and not self.touching() and self.at(".."):
            raise self.unexpected("expected }")
        high = low
        if self.eat(".."):
            high = self._whole_number() if self.touching() and self.token.kind is TokenKind.NUMBER else None
        instruction, target, inclusive = self._recurse_instruction() if self.eat("+") else ("", None, False)
        self.expect("}")
        nested: list[Part] = []
        if self.at("("):
            bracket = self.take()
            with self.deeper():
                nested = self.parts()
            self.close(")", bracket)
        return [RecursePart(low, high, instruction, target, inclusive, tuple(nested))]

    def _whole_number(self) -> int:
        if not self.token.text.isdigit():
            raise self.unexpected("expected a whole number")
        return int(self.take().text)

    def _recurse_instruction(self) -> tuple[str, Expr | None, bool]:
        token = self.token
        name = self.identifier().lower()
        target: Expr | None = None
        if name == "shortest":
            self.expect("=")
            target = self._recurse_target()
        elif name not in ("path", "collect"):
            raise self.error(token, f"unknown recursion +{name}", "there are +path, +collect and +shortest")
        inclusive = False
        while self.eat("+"):
            option = self.token
            if self.identifier().lower() != "inclusive":
                raise self.error(option, f"unknown recursion option +{option.text}", "there is +inclusive")
            inclusive = True
        return name, target, inclusive

    def _recurse_target(self) -> Expr:
        if self.token.kind is TokenKind.PARAM:
            self.sighted(Sight.PARAM, self.token.value, self.token)
            return Param(self.take().value)
        return self.record_key_or_range(self.identifier())
