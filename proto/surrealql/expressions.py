"""Expressions: SurrealDB's operators by binding power, and every kind of value.

The loop is Pratt's ("Top down operator precedence", 1973): an operator is taken while it binds tighter than `above`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sp00ky.proto.surrealql.ast import (
    Array,
    Binary,
    Call,
    Cast,
    Closure,
    Expr,
    FieldPart,
    Idiom,
    IfElse,
    Literal,
    Param,
    RangeExpr,
    Subquery,
    Unary,
)
from sp00ky.proto.surrealql.cursor import Sight
from sp00ky.proto.surrealql.errors import Refused
from sp00ky.proto.surrealql.idioms import ARROWS
from sp00ky.proto.surrealql.literals import CONSTANTS, duration_of, number_of
from sp00ky.proto.surrealql.operators import CHAIN, EQUALITY, INFIX, PREFIX, RANGE, RELATION, UNCHAINED
from sp00ky.proto.surrealql.tokens import Token, TokenKind
from sp00ky.proto.surrealql.values import ValueReader
from sp00ky.proto.values.kinds import NONE, Regex, Table

# What may not stand inside a query. SurrealDB reserves these words wherever a value may begin
WRITES: Final = frozenset(
    {"CREATE", "UPDATE", "UPSERT", "DELETE", "RELATE", "INSERT", "DEFINE", "REMOVE", "REBUILD", "ALTER"}
)
REFUSED: Final = WRITES | {"INFO", "SLEEP", "EXPLAIN"}
FOREIGN_PATHS: Final = frozenset({"MOD", "SILO", "ML"})


@dataclass(slots=True)
class ExpressionReader(ValueReader):
    def expression(self, above: int = 0) -> Expr:
        with self.deeper():
            left, whole = self._operand()
            while True:
                if self.at("("):
                    left = self._call_of(left)
                elif self._at_range():
                    if above >= RANGE:
                        return left
                    left = self._range_from(left, whole)
                else:
                    operator, binding, width = self._infix()
                    if binding <= above:
                        return left
                    left = self._infixed(left, whole, operator, binding, width)
                whole = False

    # --- operators ---------------------------------------------------------------------------------------------------

    def _operand(self) -> tuple[Expr, bool]:
        """An expression without infix operators, and whether it is whole: not to be torn apart by a tighter one."""
        token = self.token
        if token.kind is TokenKind.SIGN and token.text in ("!", "+", "-", "..", "<"):
            return self._prefixed(token), False
        return self._prime(), True

    def _prefixed(self, token: Token) -> Expr:
        self.take()
        if token.text in ("+", "-") and self.token.kind is TokenKind.NUMBER and self.touching():
            return self._signed_number(token)
        if token.text == "..":
            inclusive = self.eat_touching("=")
            if not inclusive and not (self.touching() and self._starts_value(self.token)):
                return RangeExpr(None, None)
            return RangeExpr(None, self.expression(RANGE), end_inclusive=inclusive)
        if token.text == "<":
            kind = self.kind()
            self.close(">", token)
            return Cast(kind, self.expression(PREFIX))
        return Unary(token.text, self.expression(PREFIX))

    def _signed_number(self, sign: Token) -> Expr:
        token = self.take()
        number = number_of(token.text, negative=sign.text == "-")
        if number is not None:
            return self.path_after(Literal(number))
        duration = duration_of(token.text)
        if duration is None:
            raise self.error(token, f"{token.text} is no number")
        return self.path_after(Unary(sign.text, Literal(duration)))

    def _infix(self) -> tuple[str, int, int]:
        """Canonical operator, binding and number of tokens of the operator here; binding 0 when there is none."""
        token = self.token
        if token.kind is TokenKind.WORD:
            word = token.keyword
            if word == "IS":
                negated = self.ahead().keyword == "NOT"
                return ("!=", EQUALITY, 2) if negated else ("=", EQUALITY, 1)
            if word == "NOT":
                if self.ahead().keyword != "IN":
                    return "", 0, 0
                return "NOT IN", RELATION, 2
            operator, binding = INFIX.get(word, ("", 0))
            return operator, binding, 1
        if token.kind is TokenKind.REGEX and self.retake_slash():
            return self._infix()
        if token.kind is not TokenKind.SIGN:
            return "", 0, 0
        if token.text == "@":
            return "@@", EQUALITY, 0
        if token.text == "<|":
            return "<|", RELATION, 0
        if token.text in ("+=", "-=", "+?="):
            raise self.error(token, f"unexpected {token.text}, expected an operator", "a query assigns nothing")
        operator, binding = INFIX.get(token.text, ("", 0))
        return operator, binding, 1

    def _infixed(self, left: Expr, whole: bool, operator: str, binding: int, width: int) -> Expr:
        token = self.token
        self._check_chain(token, operator, None if whole else left)
        if operator == "@@":
            self._matches_sign()
        elif operator == "<|":
            self._neighbour_sign()
        self.index += width
        bracketed = self.at("(")
        right = self.expression(binding)
        self._check_chain(token, operator, None if bracketed else right)
        return Binary(operator, left, right)

    def _check_chain(self, token: Token, operator: str, beside: Expr | None) -> None:
        level = CHAIN.get(operator)
        if level in UNCHAINED and isinstance(beside, Binary) and CHAIN.get(beside.op) == level:
            raise self.error(token, f"{token.text} may not stand beside a comparison", "say with ( ) which comes first")

    def _matches_sign(self) -> None:
        """`@@`, and `@1@`, `@AND@`, `@1,OR@`, which the tree does not hold."""
        token = self.take()
        if self.eat("@"):
            return
        self.set_aside(token, "a numbered match @…@")
        if self.token.kind is TokenKind.NUMBER:
            self.take()
            if not self.eat(","):
                self.expect("@")
                return
        if not self.eat_word("AND", "OR"):
            raise self.unexpected("expected AND, OR or a number")
        self.expect("@")

    def _neighbour_sign(self) -> None:
        token = self.take()
        self.set_aside(token, "the nearest neighbour operator <|…|>")
        while not self.at("|"):
            if self.token.kind not in (TokenKind.NUMBER, TokenKind.WORD) and not self.at(","):
                raise self.unexpected("expected |>")
            self.take()
        self.take()
        if not self.eat_touching(">"):
            raise self.unexpected("expected |>")

    def _call_of(self, callee: Expr) -> Expr:
        self.set_aside(self.token, "a call of a value")
        self.arguments()
        return callee

    # --- ranges ------------------------------------------------------------------------------------------------------

    def _at_range(self) -> bool:
        """`..`, or `>` with `..` right behind it."""
        if self.at(".."):
            return True
        return self.at(">") and self.ahead_is("..") and self.token.end == self.ahead().start

    def _range_from(self, begin: Expr, whole: bool) -> Expr:
        token = self.token
        begin_inclusive = not self.eat(">")
        self.take()
        inclusive = self.eat_touching("=")
        if not inclusive and not (self.touching() and self._starts_value(self.token)):
            if isinstance(begin, RangeExpr) and not whole:
                raise self.error(token, "a range may not follow a range", "say with ( ) which comes first")
            return RangeExpr(begin, None, begin_inclusive)
        return RangeExpr(begin, self.expression(RANGE), begin_inclusive, inclusive)

    def _starts_value(self, token: Token) -> bool:
        if token.kind is TokenKind.SIGN:
            return token.text in ("(", "[", "{", "|", "||", "-", "+", "!", "<", "@", "->", "<-", "<->", "<~", "..", "/")
        return token.kind is not TokenKind.END

    # --- values ------------------------------------------------------------------------------------------------------

    def _prime(self) -> Expr:
        token = self.token
        if token.kind is TokenKind.WORD:
            return self._word(token)
        if token.kind is TokenKind.QUOTED:
            return self._named(token)
        if token.kind is TokenKind.SIGN:
            return self._signed(token)
        self.take()
        if token.kind is TokenKind.NUMBER:
            return self.path_after(self.number(token))
        if token.kind is TokenKind.STRING:
            return self.path_after(self.string(token))
        if token.kind is TokenKind.REGEX:
            return self.path_after(Literal(Regex(token.value)))
        if token.kind is TokenKind.PARAM:
            self.sighted(Sight.PARAM, token.value, token)
            return self.path_after(Param(token.value))
        self.index -= token.kind is not TokenKind.END
        raise self.unexpected("expected an expression")

    def _signed(self, token: Token) -> Expr:
        if token.text == "/" and self.retake_slash():
            return self._prime()
        if token.text in ARROWS:
            return Idiom(None, (self.graph_part(), *self.parts()))
        self.take()
        match token.text:
            case "(":
                return self.path_after(self._bracketed(token))
            case "[":
                return self.path_after(Array(self.items("]", token)))
            case "{":
                return self.path_after(self.braced(token))
            case "|" | "||":
                return self.path_after(self._closure_or_mock(token))
            case "@":
                self.set_aside(token, "the document @")
                if not self.at(".", "[", *ARROWS):
                    self.identifier()
                return self.path_after(Literal(NONE))
        self.index -= 1
        raise self.unexpected("expected an expression")

    def _bracketed(self, opened: Token) -> Expr:
        inner = self.expression()
        if self.at(",") and isinstance(inner, Literal) and type(inner.value) in (int, float):
            self.take()
            self.set_aside(opened, "a point")
            self.eat("-", "+")
            if self.token.kind is not TokenKind.NUMBER:
                raise self.unexpected("expected a number")
            self.take()
        self.close(")", opened)
        return inner

    def _closure_or_mock(self, opened: Token) -> Expr:
        params: list[str] = []
        if opened.text == "|":
            if self.token.kind is not TokenKind.PARAM:
                return self.mock(opened)
            while not self.eat("|"):
                params.append(self._closure_param())
                if not self.eat(","):
                    self.close("|", opened)
                    break
        if self.at("->"):
            self.set_aside(self.take(), "a closure with a type")
            self.kind()
            if not self.at("{"):
                raise self.unexpected("expected {")
        return Closure(tuple(params), self.expression())

    def _closure_param(self) -> str:
        token = self.take()
        if token.kind is not TokenKind.PARAM:
            self.index -= 1
            raise self.unexpected("expected a parameter")
        if self.eat(":"):
            bracketed = self.eat("<")
            kind = self.kind() if bracketed else self.single_kind()
            if bracketed:
                self.expect(">")
            if kind != "any":
                self.set_aside(token, "a closure with a type")
        return token.value

    # --- words -------------------------------------------------------------------------------------------------------

    def _word(self, token: Token) -> Expr:
        keyword = token.keyword
        if token.text in ("Infinity", "NaN"):
            self.take()
            if token.text == "NaN":
                self.set_aside(token, "NaN")
            return self.path_after(Literal(float("inf")))
        if keyword in ("NONE", "NULL", "TRUE", "FALSE"):
            self.take()
            values = {"NONE": NONE, "NULL": None, "TRUE": True, "FALSE": False}
            return self.path_after(Literal(values[keyword]))
        if keyword == "SELECT":
            self.take()
            return self.path_after(Subquery(self.select_after_keyword()))
        if keyword == "IF":
            self.take()
            return self.path_after(self._if_else())
        if keyword == "FUNCTION" or (keyword in FOREIGN_PATHS and self.ahead_is("::")):
            name = "a script function" if keyword == "FUNCTION" else f"{keyword.lower()}::"
            raise self.error(token, name, kind=Refused)
        if keyword in REFUSED and not (keyword == "SLEEP" and self.ahead_is("(")):
            raise self.error(token, keyword, kind=Refused)
        if keyword in ("FOR", "LET", "RETURN", "THROW", "CONTINUE", "BREAK"):
            return self._block_statement(self.take())
        return self._named(token)

    def _block_statement(self, token: Token) -> Expr:
        """Statements that only steer a block: read for what they mention, not held."""
        self.set_aside(token, token.keyword)
        if token.keyword in ("FOR", "LET"):
            bracket = self.token
            opened = token.keyword == "FOR" and self.eat("(")
            if self.take().kind is not TokenKind.PARAM:
                self.index -= 1
                raise self.unexpected("expected a parameter")
            if token.keyword == "LET":
                if self.eat(":"):
                    self.kind()
                self.expect("=")
            else:
                self.expect_word("IN")
            self.expression()
            if opened:
                self.close(")", bracket)
            if token.keyword == "FOR":
                self.block()
        elif token.keyword in ("RETURN", "THROW"):
            self.expression()
        return Literal(NONE)

    def _if_else(self) -> Expr:
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
            return self.block()
        if not last:
            self.expect_word("THEN")
        body = self.expression()
        self.eat(";")
        return body

    # --- names -------------------------------------------------------------------------------------------------------

    def _named(self, token: Token) -> Expr:
        if self.ahead_is("::") or self.ahead_is("("):
            return self.path_after(self._path(token))
        if self.ahead_is(":"):
            return self.path_after(self.record_id())
        self.take()
        parts = self.parts()
        if self.bare_is_table and not parts:
            return Literal(Table(token.value))
        return Idiom(None, (FieldPart(token.value), *parts))

    def _path(self, token: Token) -> Expr:
        """`name(…)`, `space::name(…)`, or the constant `space::NAME`. SurrealDB's own names know no case."""
        names = [self.identifier()]
        while self.eat("::"):
            names.append(self.identifier())
        name = "::".join(names)
        name = name if names[0].lower() == "fn" else name.lower()
        if self.at("("):
            args = self.arguments()
            self.sighted(Sight.CALL, name, token, len(args))
            return Call(name, args)
        if name not in CONSTANTS:
            self.set_aside(token, name)
            return Literal(NONE)
        self.unnamed = True
        return Literal(CONSTANTS[name])
