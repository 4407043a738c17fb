"""What stands in braces or steers what does: blocks and their statements, IF, FOR, LET, RETURN, closures, mocks.

SurrealDB takes a statement wherever it takes a value (`1 + RETURN 2`), so these are expressions here too. `;` parts the
statements of a block, except that SurrealDB lets the first one go without if nothing before the brace says that a block
is to come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sp00ky.proto.surrealql.ast import (
    Array,
    Block,
    Closure,
    Expr,
    For,
    IfElse,
    Leave,
    Let,
    Literal,
    Object,
    SetLiteral,
    TypedClosure,
)
from sp00ky.proto.surrealql.cursor import Sight
from sp00ky.proto.surrealql.folding import folded_block
from sp00ky.proto.surrealql.literals import INT_MAX, INT_MIN
from sp00ky.proto.surrealql.spelling import print_name
from sp00ky.proto.surrealql.tokens import Token, TokenKind
from sp00ky.proto.surrealql.values import ValueReader
from sp00ky.proto.values.kinds import NONE, RecordId, Value

STATEMENTS: Final = ("FOR", "LET", "RETURN", "THROW", "CONTINUE", "BREAK")
MOCKS_MAX: Final = 256  # `|t:1..1000000|` is read, but not written out


@dataclass(slots=True)
class BlockReader(ValueReader):
    # --- braces ------------------------------------------------------------------------------------------------------

    def braced(self, opened: Token) -> Expr:
        """After `{`: an object, a set or a block of statements."""
        if self.at("}"):
            self.take()
            return Object(())
        if self.eat(","):
            self.close("}", opened)
            return SetLiteral(())
        token = self.token
        keyish = token.kind in (TokenKind.WORD, TokenKind.QUOTED, TokenKind.STRING, TokenKind.NUMBER)
        if keyish and self.ahead_is(":"):
            return self.object_after(opened)
        if self.at(";"):
            return self._folded(self._statements_after(opened, []))
        assigning = token.kind is TokenKind.PARAM and self.ahead_is("=")
        first = self.expression()
        if self.eat(","):
            return SetLiteral((first, *self.items("}", opened)))
        if assigning:
            raise self._no_assignment(token)
        return self._folded(self._statements_after(opened, [first]))

    def block(self) -> tuple[Expr, ...]:
        """The statements between braces that can hold nothing else."""
        opened = self.token
        self.expect("{")
        if self.at("}"):
            self.take()
            return ()
        return self._statements_after(opened, [])

    def _statements_after(self, opened: Token, statements: list[Expr]) -> tuple[Expr, ...]:
        while not self.eat("}"):
            if self.eat(";"):
                continue
            statements.append(self._statement())
            if not self.at(";"):
                self.close("}", opened)
                break
        return tuple(statements)

    def _statement(self) -> Expr:
        token = self.token
        if token.kind is TokenKind.PARAM and self.ahead_is("="):
            raise self._no_assignment(token)
        return self.expression()

    def _no_assignment(self, token: Token) -> Exception:
        return self.error(token, f"unexpected {token.text} =, expected a statement", f"say LET {token.text} = …")

    def _folded(self, statements: tuple[Expr, ...]) -> Expr:
        return Block(statements) if self.faithful else self.derive(folded_block(statements))

    # --- statements --------------------------------------------------------------------------------------------------

    def statement_after_keyword(self, token: Token) -> Expr:
        match token.keyword:
            case "LET":
                return self._let()
            case "FOR":
                name = self._param_name()
                self.expect_word("IN")
                over = self.expression()
                return For(name, over, Block(self.block()))
            case "RETURN":
                value = self.expression()
                return Leave("RETURN", value, self.fetched() if self.eat_word("FETCH") else ())
            case "THROW":
                return Leave("THROW", self.expression())
            case _:
                return Leave(token.keyword)

    def _let(self) -> Let:
        name = self._param_name()
        kind = self.kind() if self.eat(":") else ""
        self.expect("=")
        return Let(name, self.expression(), kind)

    def _param_name(self) -> str:
        if self.token.kind is not TokenKind.PARAM:
            raise self.unexpected("expected a parameter")
        return self.take().value

    # --- IF ----------------------------------------------------------------------------------------------------------

    def if_else(self) -> Expr:
        branches: list[tuple[Expr, Expr]] = []
        otherwise: Expr | None = None
        worded = False
        while True:
            cond = self.expression()
            if not branches:
                worded = self.at_word("THEN")
            branches.append((cond, self._branch(worded)))
            if not self.eat_word("ELSE"):
                break
            if not self.eat_word("IF"):
                otherwise = self._branch(worded, last=True)
                break
        if worded:
            self.expect_word("END")
        return IfElse(tuple(branches), otherwise)

    def _branch(self, worded: bool, last: bool = False) -> Expr:
        if not worded:
            return self._folded(self.block())
        if not last:
            self.expect_word("THEN")
        body = self.expression()
        self.eat(";")
        return body

    # --- bars --------------------------------------------------------------------------------------------------------

    def closure_or_mock(self, opened: Token) -> Expr:
        params: list[str] = []
        kinds: list[str] = []
        if opened.text == "|":
            if self.token.kind is not TokenKind.PARAM:
                return self._mock(opened)
            while not self.eat("|"):
                params.append(self._param_name())
                kinds.append(self._param_kind())
                if not self.eat(","):
                    self.close("|", opened)
                    break
        if self.eat("->"):
            returns = self.kind()
            return TypedClosure(tuple(params), tuple(kinds), returns, folded_block(self.block()))
        body = self.expression()
        if any(kind != "any" for kind in kinds):
            return TypedClosure(tuple(params), tuple(kinds), "", body)
        return Closure(tuple(params), body)

    def _param_kind(self) -> str:
        if not self.eat(":"):
            return "any"
        if not self.eat("<"):
            return self.single_kind()
        kind = self.kind()
        self.expect(">")
        return kind

    def _mock(self, opened: Token) -> Expr:
        """`|t:1..3|` is the array of those record ids; `|t:3|` is of new ones."""
        table = self.identifier()
        self.expect(":")
        begin = None if self.at("..") else self._mock_number()
        exclusive = begin is not None and self.eat(">")
        if not self.eat(".."):
            self.sighted(Sight.MOCK, table, opened)
            self.set_aside(opened, "a mock of new record ids")
            self.close("|", opened)
            return Literal(NONE)
        inclusive = self.eat("=")
        end = None if self.at("|") and not inclusive else self._mock_number()
        self.close("|", opened)
        first = (INT_MIN if begin is None else begin) + exclusive
        beyond = (INT_MAX if end is None else end) + (inclusive or end is None)
        if beyond - first > MOCKS_MAX:
            self.set_aside(opened, f"a mock of more than {MOCKS_MAX} record ids")
            return Literal(NONE)
        records: list[Value] = [RecordId(table, number) for number in range(first, beyond)]
        if not self.faithful:
            return Array(tuple(map(Literal, records)))
        bounds = f"{'' if begin is None else begin}{'>' * exclusive}..{'=' * inclusive}{'' if end is None else end}"
        return Literal(records, f"|{print_name(table)}:{bounds}|")

    def _mock_number(self) -> int:
        number = self.number_behind_sign()
        if not isinstance(number, int):
            raise self.error(self.tokens[self.index - 1], "expected a whole number")
        return number


__all__ = ["STATEMENTS", "BlockReader"]
