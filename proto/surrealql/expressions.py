"""Expressions: SurrealDB's operators by binding power, and every kind of value.

The loop is Pratt's ("Top down operator precedence", 1973): an operator is taken while it binds tighter than `above`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sp00ky.proto.surrealql.ast import (
    Apply,
    Array,
    Binary,
    Call,
    Cast,
    Document,
    Expr,
    FieldPart,
    Idiom,
    Literal,
    Param,
    RangeExpr,
    Subquery,
    Unary,
)
from sp00ky.proto.surrealql.blocks import STATEMENTS, BlockReader
from sp00ky.proto.surrealql.cursor import Sight
from sp00ky.proto.surrealql.errors import Refused
from sp00ky.proto.surrealql.folding import CHAIN_MAX, balanced
from sp00ky.proto.surrealql.geometry import is_finite, point_of
from sp00ky.proto.surrealql.idioms import ARROWS
from sp00ky.proto.surrealql.literals import CONSTANTS, constant_spelling, duration_of, number_of
from sp00ky.proto.surrealql.operators import (
    DISTANCES,
    EQUALITY,
    INFIX,
    PREFIX,
    RANGE,
    RELATION,
    UNCHAINED,
    chain_of,
)
from sp00ky.proto.surrealql.tokens import NUMBER_WORDS, Token, TokenKind
from sp00ky.proto.values.kinds import NONE, Regex, Table
from sp00ky.proto.values.text import to_surql

# What may not stand inside a query. SurrealDB reserves these words wherever a value may begin
WRITES: Final = frozenset(
    {"CREATE", "UPDATE", "UPSERT", "DELETE", "RELATE", "INSERT", "DEFINE", "REMOVE", "REBUILD", "ALTER"}
)
REFUSED: Final = WRITES | {"INFO", "SLEEP", "EXPLAIN"}
FOREIGN_PATHS: Final = frozenset({"MOD", "SILO", "ML"})
MATCH_REFERENCE_MAX: Final = 255
NEIGHBOURS_MAX: Final = 2**32 - 1


@dataclass(slots=True)
class ExpressionReader(BlockReader):
    def expression(self, above: int = 0) -> Expr:
        with self.deeper():
            left, whole = self._operand()
            chained = 0
            while True:
                if self.at("("):
                    left = Apply(left, self.arguments())
                elif self._at_range():
                    if above >= RANGE:
                        return self._hung_up(left, chained)
                    left = self._range_from(left, whole)
                else:
                    operator, binding, width = self._infix()
                    if binding <= above:
                        return self._hung_up(left, chained)
                    if not isinstance(left, Binary) or left.op != operator:
                        left, chained = self._hung_up(left, chained), 0
                    left = self._infixed(left, whole, operator, binding, width)
                    chained += 1
                whole = False

    def _hung_up(self, left: Expr, chained: int) -> Expr:
        if chained < CHAIN_MAX or not isinstance(left, Binary):
            return left
        found = balanced(left)
        self.balanced |= found is not left
        return found

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
        if token.text == "<" and self.source.startswith("<-", token.start):
            raise self.error(token, "unexpected <-, expected an operator", "put a space between < and -")
        if token.text in ("+=", "-=", "+?="):
            raise self.error(token, f"unexpected {token.text}, expected an operator", "a query assigns nothing")
        operator, binding = INFIX.get(token.text, ("", 0))
        return operator, binding, 1

    def _infixed(self, left: Expr, whole: bool, operator: str, binding: int, width: int) -> Expr:
        token = self.token
        self._check_chain(token, operator, None if whole else left)
        if operator == "@@":
            operator = self._matches_sign()
        elif operator == "<|":
            operator = self._neighbour_sign()
        self.index += width
        bracketed = self.at("(")
        right = self.expression(binding)
        self._check_chain(token, operator, None if bracketed else right)
        return Binary(operator, left, right)

    def _check_chain(self, token: Token, operator: str, beside: Expr | None) -> None:
        level = chain_of(operator) if operator != "==" else 0
        if level in UNCHAINED and isinstance(beside, Binary) and chain_of(beside.op) == level:
            raise self.error(token, f"{token.text} may not stand beside a comparison", "say with ( ) which comes first")

    def _matches_sign(self) -> str:
        """`@@`, `@1@`, `@OR@`, `@1,OR@`. AND is what is meant without a word."""
        self.take()
        if self.eat("@"):
            return "@@"
        parts: list[str] = []
        if self.token.kind is TokenKind.NUMBER:
            parts.append(str(self._small_number(MATCH_REFERENCE_MAX)))
        if not parts or self.eat(","):
            if self.eat_word("OR"):
                parts.append("OR")
            elif not self.eat_word("AND"):
                raise self.unexpected("expected AND, OR or a number")
        self.expect("@")
        return f"@{','.join(parts)}@"

    def _neighbour_sign(self) -> str:
        """`<|3|>`, and behind a comma the size of the search, `40`, or the distance, `COSINE`, `MINKOWSKI 3`."""
        self.take()
        text = str(self._small_number(NEIGHBOURS_MAX))
        if self.eat(","):
            text += (
                f",{self._distance()}"
                if self.token.kind is TokenKind.WORD
                else f",{self._small_number(NEIGHBOURS_MAX)}"
            )
        self.expect("|")
        if not self.eat_touching(">"):
            raise self.unexpected("expected |>")
        return f"<|{text}|>"

    def _distance(self) -> str:
        name = self.token.keyword
        if name not in DISTANCES:
            raise self.unexpected("expected a distance", "such as EUCLIDEAN, COSINE or MANHATTAN")
        self.take()
        if name != "MINKOWSKI":
            return name
        return f"{name} {to_surql(self.number_behind_sign())}"

    def _small_number(self, most: int) -> int:
        number = number_of(self.token.text) if self.token.kind is TokenKind.NUMBER else None
        if not isinstance(number, int) or number > most:
            raise self.unexpected("expected a whole number", f"up to {most}")
        self.take()
        return number

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
            if isinstance(begin, RangeExpr) and not whole and begin != RangeExpr(None, None):
                raise self.error(token, "a range may not follow a range", "say with ( ) which comes first")
            return RangeExpr(begin, None, begin_inclusive)
        return RangeExpr(begin, self.expression(RANGE), begin_inclusive, inclusive)

    def _starts_value(self, token: Token) -> bool:
        if token.kind is TokenKind.SIGN:
            return token.text in ("(", "[", "{", "|", "||", "-", "+", "<", "->", "<-", "<->", "<~", "..", "/")
        return token.kind is not TokenKind.END and token.text != "Infinity"

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
                return self.path_after(self.closure_or_mock(token))
            case "@" if self.at(".", "[", *ARROWS):
                return self.path_after(Document())
            case "@":
                return Idiom(Document(), (*self.dot_part(), *self.parts()))
        self.index -= 1
        raise self.unexpected("expected an expression")

    def _bracketed(self, opened: Token) -> Expr:
        inner = self.expression()
        if self.at(",") and isinstance(inner, Literal) and type(inner.value) in (int, float):
            self.take()
            inner = self._point(opened, inner)
        self.close(")", opened)
        return inner

    def _point(self, opened: Token, longitude: Expr) -> Expr:
        number = self.token
        latitude = self.number_behind_sign()
        if isinstance(latitude, Decimal):
            raise self.error(number, "expected a number that is no decimal")
        point = point_of(longitude, Literal(latitude))
        assert point is not None, "two numbers are a point"
        if not is_finite(point):
            self.set_aside(opened, "a point that is not finite")
        return self.derive(Literal(point))

    # --- words -------------------------------------------------------------------------------------------------------

    def _word(self, token: Token) -> Expr:
        keyword = token.keyword
        if token.text in NUMBER_WORDS:
            self.take()
            return self.path_after(Literal(math.nan if token.text == "NaN" else math.inf))
        if keyword in ("NONE", "NULL", "TRUE", "FALSE"):
            self.take()
            values = {"NONE": NONE, "NULL": None, "TRUE": True, "FALSE": False}
            return self.path_after(Literal(values[keyword]))
        if keyword == "SELECT":
            self.take()
            return self.path_after(Subquery(self.select_after_keyword()))
        if keyword == "IF":
            self.take()
            return self.path_after(self.if_else())
        if keyword == "FUNCTION" or (keyword in FOREIGN_PATHS and self.ahead_is("::")):
            name = "a script function" if keyword == "FUNCTION" else f"{keyword.lower()}::"
            raise self.error(token, name, kind=Refused)
        if keyword in REFUSED and not (keyword == "SLEEP" and self.ahead_is("(")):
            raise self.error(token, keyword, kind=Refused)
        if keyword in STATEMENTS:
            return self.path_after(self.statement_after_keyword(self.take()))
        return self._named(token)

    # --- names -------------------------------------------------------------------------------------------------------

    def _named(self, token: Token) -> Expr:
        if self.ahead_is("::") or self.ahead_is("("):
            return self.path_after(self.call_or_constant(token))
        if self.ahead_is(":"):
            return self.path_after(self.record_id())
        self.take()
        parts = self.parts()
        if self.bare_is_table and not parts:
            return Literal(Table(token.value))
        return Idiom(None, (FieldPart(token.value), *parts))

    def call_or_constant(self, token: Token) -> Expr:
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
            raise self.error(token, f"there is no constant {name}", "a function has ( ) behind its name")
        return self.derive(Literal(CONSTANTS[name], constant_spelling(name) if self.faithful else ""))
