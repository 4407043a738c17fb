"""A place in a list of tokens, and what was seen on the way.

The parser reads all of SurrealQL's SELECT, also what the tree cannot hold: `set_aside` remembers the first such thing
and reading goes on with a placeholder, so that every call, parameter and clause of the text is still *sighted*, with
its position, for `admit.py`. (Positions are not kept in the tree.)

Invariant: every recursion passes through `deeper`, so no text can exhaust Python's stack; a level costs at most ten
frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sp00ky.proto.surrealql.ast import Expr, Select
from sp00ky.proto.surrealql.errors import NoNode, ParseError, error_at, position_of
from sp00ky.proto.surrealql.lexer import rescan, scan
from sp00ky.proto.surrealql.tokens import NUMBER_WORDS, Token, TokenKind

NESTING_MAX: Final = 50  # SurrealDB itself stops at 20 nested queries or brackets
PRINTED_NESTING: Final = 20  # printing puts brackets that the text did not have: beyond, it is tried whether it reads


RESCANS_MAX: Final = 64  # each reads the rest of the text again


class Sight(StrEnum):
    CALL = "call"  # name is the path in lower case, fn:: paths as written
    METHOD = "method"
    PARAM = "param"
    CLAUSE = "clause"  # EXPLAIN, VERSION, ORDER BY RAND()
    NEW_KEY = "new key"  # a:rand(), a:ulid(), a:uuid()
    MOCK = "mock"  # |a:10|, record ids with new keys; name is the table


@dataclass(frozen=True, slots=True)
class Sighting:
    """`arguments` counts those of a call."""

    sight: Sight
    name: str
    start: int
    arguments: int = 0


@dataclass(slots=True)
class Cursor(ABC):
    source: str
    tokens: list[Token] = field(init=False)
    index: int = 0
    nesting: int = 0
    deepest: int = 0
    bare_is_table: bool = False  # in FROM a bare name is a table
    faithful: bool = False  # in a column whose text may be its name: braces and names of constants are kept
    balanced: bool = False  # a long chain of operators in it has been balanced, and has another text now
    derived: dict[int, Expr] = field(default_factory=dict)  # by id: constants by name, and what braces are folded to
    sightings: list[Sighting] = field(default_factory=list)
    aside: NoNode | None = None

    lexical: ParseError | None = None  # why the tokens end where they do, if not with the text
    rescans: int = 0

    def __post_init__(self) -> None:
        self.tokens, self.lexical = scan(self.source)

    @abstractmethod
    def expression(self, above: int = 0) -> Expr:
        """An expression of operators that bind tighter than `above`."""

    @abstractmethod
    def select_after_keyword(self) -> Select:
        """A SELECT whose first word has been taken."""

    # --- looking -----------------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def ahead(self, distance: int = 1) -> Token:
        return self.tokens[min(self.index + distance, len(self.tokens) - 1)]

    def at(self, *signs: str) -> bool:
        return self.token.kind is TokenKind.SIGN and self.token.text in signs

    def ahead_is(self, sign: str, distance: int = 1) -> bool:
        token = self.ahead(distance)
        return token.kind is TokenKind.SIGN and token.text == sign

    def touching(self) -> bool:
        """Nothing stands between the last token taken and this one."""
        return self.index > 0 and self.tokens[self.index - 1].end == self.token.start

    def at_word(self, *keywords: str) -> bool:
        return self.token.keyword in keywords

    # --- taking ------------------------------------------------------------------------------------------------------

    def take(self) -> Token:
        token = self.token
        if token.kind is not TokenKind.END:
            self.index += 1
        return token

    def eat(self, *signs: str) -> bool:
        if self.at(*signs):
            self.index += 1
            return True
        return False

    def eat_touching(self, sign: str) -> bool:
        return self.touching() and self.eat(sign)

    def eat_word(self, *keywords: str) -> bool:
        if self.token.keyword in keywords:
            self.index += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.eat(sign):
            raise self.unexpected(f"expected {sign}")

    def close(self, sign: str, opened: Token) -> None:
        if not self.eat(sign):
            line, column = position_of(self.source, opened.start)
            raise self.unexpected(f"expected {sign}", f"to close {opened.text} of line {line}, column {column}")

    def expect_word(self, keyword: str) -> None:
        if not self.eat_word(keyword):
            raise self.unexpected(f"expected {keyword}")

    def identifier(self) -> str:
        if self.token.kind in (TokenKind.WORD, TokenKind.QUOTED) and self.token.text not in NUMBER_WORDS:
            return self.take().value
        raise self.unexpected("expected an identifier")

    def retake_slash(self) -> bool:
        """Takes the `/` here the other way, as regex or as sign; whether it could be."""
        again = rescan(self.source, self.tokens, self.index)
        if again is None:
            return False
        self.rescans += 1
        if self.rescans > RESCANS_MAX:
            raise self.error(self.token, f"more than {RESCANS_MAX} ambiguous /", "put ( ) around what is divided")
        self.tokens, self.lexical = again
        return True

    # --- saying ------------------------------------------------------------------------------------------------------

    def error(self, token: Token, message: str, hint: str = "", kind: type[ParseError] = ParseError) -> ParseError:
        return error_at(self.source, token.start, message, hint, kind)

    def unexpected(self, expected: str, hint: str = "") -> ParseError:
        token = self.token
        if token.kind is TokenKind.END and self.lexical is not None:
            return self.lexical
        found = "end of query" if token.kind is TokenKind.END else shortened(token.text)
        return self.error(token, f"unexpected {found}, {expected}", hint)

    def set_aside(self, token: Token, name: str) -> None:
        """The tree has no node for `name`: remembered once, reading goes on."""
        if self.aside is None:
            error = self.error(token, f"{name} is not held in a query tree", kind=NoNode)
            assert isinstance(error, NoNode)
            self.aside = error

    def sighted(self, sight: Sight, name: str, token: Token, arguments: int = 0) -> None:
        self.sightings.append(Sighting(sight, name, token.start, arguments))

    def derive(self, expr: Expr) -> Expr:
        """Marks what is not written out in full: no part of a geometry, which has to be."""
        self.derived[id(expr)] = expr
        return expr

    @contextmanager
    def deeper(self) -> Iterator[None]:
        self.nesting += 1
        self.deepest = max(self.deepest, self.nesting)
        if self.nesting > NESTING_MAX:
            raise self.error(self.token, f"nested deeper than {NESTING_MAX} levels")
        yield
        self.nesting -= 1

    @contextmanager
    def bare_as(self, table: bool) -> Iterator[None]:
        before, self.bare_is_table = self.bare_is_table, table
        yield
        self.bare_is_table = before


def shortened(text: str) -> str:
    return text if len(text) <= 24 else text[:21] + "..."
