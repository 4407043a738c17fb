"""Values written out: numbers, quoted things, record ids, objects.

A record id whose key is constant is one `Literal`; one with a field or parameter in its key is a `RecordIdExpr`. Arrays
and objects stay nodes of their own also when constant; only keys are folded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from sp00ky.proto.surrealql.ast import Array, Expr, Literal, Object, RangeExpr
from sp00ky.proto.surrealql.cursor import Sight
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.folding import record_of
from sp00ky.proto.surrealql.geometry import geometry_of, is_finite
from sp00ky.proto.surrealql.kinds import KindReader
from sp00ky.proto.surrealql.literals import (
    INT_MAX,
    INT_MIN,
    Number,
    bytes_of,
    datetime_of,
    duration_of,
    file_of,
    number_of,
    uuid_of,
)
from sp00ky.proto.surrealql.tokens import NUMBER_WORDS, Token, TokenKind
from sp00ky.proto.values.kinds import NONE, Value

NUMBER_KEY: Final = re.compile(r"[0-9A-Za-z_]+")
NEGATIVE_KEY: Final = re.compile(r"([0-9_]+)([A-Za-z]?)")
KEY_DIGITS_MAX: Final = 64  # longer ones are not tried


@dataclass(slots=True)
class ValueReader(KindReader):
    # --- one token ---------------------------------------------------------------------------------------------------

    def number(self, token: Token) -> Expr:
        number = number_of(token.text)
        if number is not None:
            return Literal(number)
        duration = duration_of(token.text)
        if duration is not None:
            return Literal(duration)
        if token.text.replace("_", "").isdigit():
            raise self.error(token, f"{token.text} does not fit in 64 bits", "write it as a decimal: 1dec")
        raise self.error(token, f"{token.text} is neither a number nor a duration")

    def number_behind_sign(self) -> Number:
        """A number where nothing else may stand: its sign touches it."""
        sign = self.take() if self.at("-", "+") else None
        token = self.token
        number = number_of(token.text, sign is not None and sign.text == "-")
        if token.kind is not TokenKind.NUMBER or number is None or (sign is not None and not self.touching()):
            raise self.unexpected("expected a number")
        self.take()
        return number

    def string(self, token: Token) -> Expr:
        value: Value | None
        match token.prefix:
            case "r":
                return self._record_string(token)
            case "f":
                value, expected = file_of(token.value), "a file, such as f'bucket:/path'"
            case "d":
                value = datetime_of(token.value)
                expected = "a datetime, such as d'2025-01-31T12:00:00Z'"
            case "u":
                value = uuid_of(token.value)
                expected = "a UUID"
            case "b":
                value = bytes_of(token.value)
                expected = "bytes in hexadecimal"
            case _:
                value, expected = token.value, ""
        if value is None:
            raise self.error(token, f"{token.text} is not {expected}")
        return Literal(value)

    def _record_string(self, token: Token) -> Expr:
        """What follows the key inside the quotes is not looked at, as in SurrealDB."""
        inner = type(self)(token.value, nesting=self.nesting)
        try:
            record = inner.record_id(ranges=False)
        except ParseError as error:
            raise self.error(token, f"{token.text} is not a record id", error.message, type(error)) from None
        self.sightings.extend(replace(sighting, start=token.start) for sighting in inner.sightings)
        if inner.aside is not None:
            self.set_aside(token, "a quoted record id with more than a key in it")
        return record

    # --- record ids --------------------------------------------------------------------------------------------------

    def record_id(self, ranges: bool = True) -> Expr:
        table = self.identifier()
        if not self.touching() or not self.at(":"):
            raise self.unexpected("expected : and a key", "a record id has no space around its colon")
        self.take()
        return self._record_key_after_colon(table, ranges)

    def record_key_or_range(self, table: str, edges: bool = False) -> Expr:
        self.expect(":")
        return self._record_key_after_colon(table, True, edges)

    def _record_key_after_colon(self, table: str, ranges: bool, edges: bool = False) -> Expr:
        """`edges`: of a graph step, which lets the `..` stand apart from the key before it."""
        if self.token.text in NUMBER_WORDS:
            raise self.unexpected("expected a record key", f"quote it: {table}:⟨key⟩")
        begin = None if self.at("..") else self._record_key(table, quoted=not ranges)
        begin_inclusive = not (ranges and self.eat_touching(">"))
        if not begin_inclusive and not (self.touching() and self.at("..")):
            raise self.unexpected("expected ..", "put a space before > to compare a record id")
        if not (ranges and (edges or self.touching()) and self.eat("..")):
            if begin is None:
                raise self.unexpected("expected a record key")
            return record_of(table, begin)
        inclusive = self.eat_touching("=")
        if self.touching() and self.at("+"):
            raise self.unexpected("expected a record key", "put a space before + to add to a range")
        open_end = not inclusive and not (self.touching() and self._starts_key())
        end = None if open_end else self._record_key(table)
        return record_of(table, RangeExpr(begin, end, begin_inclusive, inclusive))

    def _starts_key(self) -> bool:
        kind = self.token.kind
        if self.token.text in NUMBER_WORDS:
            return False
        return kind in (TokenKind.WORD, TokenKind.QUOTED, TokenKind.NUMBER, TokenKind.STRING) or self.at("{", "[", "-")

    def _record_key(self, table: str, quoted: bool = False) -> Expr:
        if not self.touching():
            raise self.unexpected("expected a record key", "a record id has no space around its colon")
        token = self.take()
        if token.kind is TokenKind.WORD and self.at("(") and token.keyword in ("RAND", "ULID", "UUID"):
            self.set_aside(token, "a new record key")
            self.sighted(Sight.NEW_KEY, token.text.lower(), token)
            self.expect("(")
            self.expect(")")
            return Literal(NONE)
        if token.kind in (TokenKind.WORD, TokenKind.QUOTED):
            return Literal(token.value)
        if token.kind is TokenKind.NUMBER:
            return self._number_key(token, quoted)
        if token.kind is TokenKind.STRING and token.prefix == "u":
            return self.string(token)
        if token.kind is TokenKind.SIGN:
            if token.text == "[":
                return Array(self.items("]", token))
            if token.text == "{":
                return self.object_after(token, key=True)
            if token.text == "-" and self.token.kind is TokenKind.NUMBER:
                return self._negative_key(self.take(), quoted)
        self.index -= token.kind is not TokenKind.END
        if token.kind is TokenKind.PARAM:
            hint = f"make the record id with type::record('{table}', {token.text})"
            raise self.unexpected("expected a record key", hint)
        raise self.unexpected("expected a record key")

    def _number_key(self, token: Token, quoted: bool) -> Expr:
        """Digits are an int key while they fit; what sticks to them makes it a string (`a:1abc`)."""
        match = NUMBER_KEY.match(token.text)
        assert match is not None, "a number begins with a digit"
        text = match.group()
        if text != token.text and not quoted:
            raise self.error(token, f"{token.text} is not a record key", "quote it: table:⟨key⟩")
        if self.token.kind is TokenKind.QUOTED and self.touching() and text.replace("_", "").isdigit():
            return Literal(
                text + self.take().text
            )  # SurrealDB takes a quoted name that sticks to digits, quotes and all
        return _fitting_key(text) if text.isdigit() else Literal(text)

    def _negative_key(self, token: Token, quoted: bool) -> Expr:
        """One letter may stick to the digits: SurrealDB makes it a string then, and loses the letter."""
        match = NEGATIVE_KEY.match(token.text)
        assert match is not None, "a number begins with a digit"
        digits, letter = match.groups()
        if match.end() != len(token.text) and not quoted:
            raise self.error(token, f"-{token.text} is not a record key", "quote it: table:⟨key⟩")
        return Literal(f"-{digits}") if letter else _fitting_key("-" + digits.replace("_", ""))

    # --- objects -----------------------------------------------------------------------------------------------------

    def object_after(self, opened: Token, key: bool = False) -> Expr:
        """`key`: the key of a record id, which is never a geometry."""
        items: list[tuple[str, Expr]] = []
        while not self.eat("}"):
            name = self.object_key()
            self.expect(":")
            items.append((name, self.expression()))
            if not self.eat(","):
                self.close("}", opened)
                break
        geometry = None if key else geometry_of(tuple(items))
        if geometry is None or any(self._is_derived(item) for _, item in items):
            return Object(tuple(items))
        if not is_finite(geometry):
            self.set_aside(opened, "a point that is not finite")
        return Literal(geometry)

    def _is_derived(self, item: Expr) -> bool:
        return id(item) in self.derived or (isinstance(item, Array) and any(map(self._is_derived, item.items)))


def _fitting_key(digits: str) -> Literal:
    number = int(digits) if len(digits) <= KEY_DIGITS_MAX else INT_MAX + 1
    return Literal(number if INT_MIN <= number <= INT_MAX else digits)
