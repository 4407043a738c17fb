"""Values written out: numbers, quoted things, record ids, objects, sets, blocks, and the names of kinds.

A record id whose key is constant is one `Literal`; one with a field or parameter in its key is a `RecordIdExpr`. Arrays
and objects stay nodes of their own also when constant; only keys are folded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sp00ky.proto.surrealql.ast import Array, Expr, Literal, Object, RangeExpr, RecordIdExpr, SetLiteral
from sp00ky.proto.surrealql.cursor import Sight
from sp00ky.proto.surrealql.idioms import IdiomReader
from sp00ky.proto.surrealql.literals import (
    INT_MAX,
    INT_MIN,
    bytes_of,
    datetime_of,
    duration_of,
    number_of,
    uuid_of,
)
from sp00ky.proto.surrealql.printer import print_name
from sp00ky.proto.surrealql.tokens import Token, TokenKind
from sp00ky.proto.values.kinds import NONE, Bound, Range, RecordId, Table, Value

_KINDS = """
any array bool bytes datetime decimal duration file float function geometry int none null number object option point
range record regex set string table uuid
"""
KINDS: Final = frozenset(_KINDS.split())
GEOMETRIES: Final = frozenset(
    {"point", "line", "polygon", "multipoint", "multiline", "multipolygon", "collection", "feature"}
)
NAMED_INSIDE: Final = frozenset({"record", "table", "geometry", "file"})  # kind<name | name>
NESTED_INSIDE: Final = frozenset({"array", "set", "option"})  # kind<kind>, arrays and sets with a size


@dataclass(slots=True)
class ValueReader(IdiomReader):
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

    def string(self, token: Token) -> Expr:
        match token.prefix:
            case "r":
                return self._record_string(token)
            case "f":
                self.set_aside(token, "a file")
                return Literal(NONE)
            case "d":
                value: Value | None = datetime_of(token.value)
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
        inner = type(self)(token.value)
        try:
            record = inner.record_id(ranges=False)
        except Exception as error:
            raise self.error(token, f"{token.text} is not a record id", getattr(error, "message", "")) from None
        if inner.token.kind is not TokenKind.END:
            self.set_aside(token, "a record id with a tail")
        return record

    # --- record ids --------------------------------------------------------------------------------------------------

    def record_id(self, ranges: bool = True) -> Expr:
        table = self.identifier()
        if not self.touching() or not self.at(":"):
            raise self.unexpected("expected : and a key", "a record id has no space around its colon")
        self.take()
        return self._record_key_after_colon(table, ranges)

    def record_key_or_range(self, table: str) -> Expr:
        self.expect(":")
        return self._record_key_after_colon(table, ranges=True)

    def _record_key_after_colon(self, table: str, ranges: bool) -> Expr:
        begin = None if self.at("..") else self._record_key(table)
        begin_inclusive = not (ranges and self.eat_touching(">"))
        if not begin_inclusive and not (self.touching() and self.at("..")):
            raise self.unexpected("expected ..", "put a space before > to compare a record id")
        if not (ranges and self.touching() and self.eat("..")):
            if begin is None:
                raise self.unexpected("expected a record key")
            return _record(table, begin)
        inclusive = self.eat_touching("=")
        open_end = not inclusive and not (self.touching() and self._starts_key())
        end = None if open_end else self._record_key(table)
        return _record(table, RangeExpr(begin, end, begin_inclusive, inclusive))

    def _starts_key(self) -> bool:
        kind = self.token.kind
        return kind in (TokenKind.WORD, TokenKind.QUOTED, TokenKind.NUMBER, TokenKind.STRING) or self.at("{", "[", "-")

    def _record_key(self, table: str) -> Expr:
        if not self.touching():
            raise self.unexpected("expected a record key", "a record id has no space around its colon")
        token = self.take()
        if token.kind is TokenKind.WORD and self.at("(") and token.keyword in ("RAND", "ULID", "UUID"):
            self.set_aside(token, "a new record key")
            self.sighted(Sight.NEW_KEY, token.text.lower(), token)
            self.arguments()
            return Literal(NONE)
        if token.kind in (TokenKind.WORD, TokenKind.QUOTED):
            return Literal(token.value)
        if token.kind is TokenKind.NUMBER:
            return self._number_key(token, "")
        if token.kind is TokenKind.STRING and token.prefix == "u":
            return self.string(token)
        if token.kind is TokenKind.SIGN:
            if token.text == "[":
                return Array(self.items("]", token))
            if token.text == "{":
                return self._object(token)
            if token.text == "-" and self.token.kind is TokenKind.NUMBER:
                return self._number_key(self.take(), "-")
        self.index -= token.kind is not TokenKind.END
        if token.kind is TokenKind.PARAM:
            hint = f"make the record id with type::record('{table}', {token.text})"
            raise self.unexpected("expected a record key", hint)
        raise self.unexpected("expected a record key")

    def _number_key(self, token: Token, sign: str) -> Expr:
        """Digits are an int key while they fit; what sticks to them makes it a string (`a:1abc`)."""
        text = token.text
        if not text.replace("_", "a").isalnum() or not text.isascii() or (sign and not text.isdigit()):
            raise self.error(token, f"{sign}{text} is not a record key", "quote it: table:⟨key⟩")
        if text.isdigit() and len(text) <= 64:
            number = int(sign + text)
            if INT_MIN <= number <= INT_MAX:
                return Literal(number)
        return Literal(sign + text)

    # --- braces ------------------------------------------------------------------------------------------------------

    def braced(self, opened: Token) -> Expr:
        """After `{`: an object, a set or a block of statements."""
        if self.at("}"):
            self.take()
            return Object(())
        if self.eat(","):
            self.close("}", opened)
            return SetLiteral(())
        keyish = self.token.kind in (TokenKind.WORD, TokenKind.QUOTED, TokenKind.STRING, TokenKind.NUMBER)
        if keyish and self.ahead_is(":"):
            return self._object(opened)
        if self.at(";"):
            return self._block_after(opened, [])
        first = self.expression()
        if self.eat(","):
            return SetLiteral((first, *self.items("}", opened)))
        return self._block_after(opened, [first])

    def block(self) -> Expr:
        opened = self.token
        self.expect("{")
        return self._block_after(opened, [])

    def _block_after(self, opened: Token, statements: list[Expr]) -> Expr:
        """A block of one expression is that expression; the tree holds no other."""
        while not self.eat("}"):
            if self.eat(";"):
                continue
            statements.append(self.expression())
            if not self.at(";"):
                self.close("}", opened)
                break
        self.unnamed = True
        if len(statements) == 1:
            return statements[0]
        self.set_aside(opened, "a block of statements")
        return Literal(NONE)

    def _object(self, opened: Token) -> Expr:
        items: list[tuple[str, Expr]] = []
        while not self.eat("}"):
            token = self.take()
            if token.kind is TokenKind.STRING and token.prefix not in ("", "s"):
                raise self.error(token, f"{token.text} is not an object key")
            if token.kind not in (TokenKind.WORD, TokenKind.QUOTED, TokenKind.STRING, TokenKind.NUMBER):
                self.index -= token.kind is not TokenKind.END
                raise self.unexpected("expected an object key")
            self.expect(":")
            items.append((token.value, self.expression()))
            if not self.eat(","):
                self.close("}", opened)
                break
        if any(name == "type" for name, _ in items) and any(name == "coordinates" for name, _ in items):
            self.set_aside(opened, "a geometry")
        return Object(tuple(items))

    def mock(self, opened: Token) -> Expr:
        self.set_aside(opened, "a mock |table:n|")
        self.identifier()
        self.expect(":")
        while not self.at("|"):
            if self.token.kind is not TokenKind.NUMBER and not self.at("..", ">", "=", "-"):
                raise self.unexpected("expected a number or |")
            self.take()
        self.take()
        return Literal(NONE)

    # --- kinds -------------------------------------------------------------------------------------------------------

    def kind(self) -> str:
        """The inside of `<…>`, as canonical text."""
        names = [self.single_kind()]
        while self.eat("|"):
            names.append(self.single_kind())
        return " | ".join(names)

    def single_kind(self) -> str:
        token = self.token
        with self.deeper():
            if token.kind is not TokenKind.WORD or token.text.lower() in ("true", "false"):
                return self._literal_kind(token)
            name = self.take().text.lower()
            if name not in KINDS:
                self.index -= 1
                raise self.unexpected("expected the name of a kind")
            if not self.at("<"):
                return name
            opened = self.take()
            if name in NAMED_INSIDE:
                inside = self._names_inside(GEOMETRIES if name == "geometry" else None)
            elif name in NESTED_INSIDE:
                inside = self._kind_inside(name)
            else:
                raise self.error(opened, f"the kind {name} takes no <…>")
            self.close(">", opened)
            return f"none | {inside}" if name == "option" else f"{name}<{inside}>"

    def _names_inside(self, allowed: frozenset[str] | None) -> str:
        names: list[str] = []
        while not names or self.eat("|"):
            if allowed is not None and self.token.text.lower() not in allowed:
                raise self.unexpected("expected the name of a geometry")
            names.append(print_name(self.identifier()))
        return " | ".join(names)

    def _kind_inside(self, name: str) -> str:
        inside = self.kind()
        if name != "option" and self.eat(","):
            size = self.take()
            if not size.text.isdigit():
                raise self.error(size, "expected a size")
            return f"{inside}, {size.text}"
        return inside

    def _literal_kind(self, token: Token) -> str:
        """A cast to a literal kind, `<1 | 'a'>`; read past, not held."""
        self.set_aside(token, "a literal kind")
        if self.eat("[", "{"):
            closing = "]" if token.text == "[" else "}"
            while not self.eat(closing):
                if closing == "}":
                    self.take()
                    self.expect(":")
                self.kind()
                self.eat(",")
            return ""
        self.eat("-", "+")
        if self.token.kind not in (TokenKind.WORD, TokenKind.STRING, TokenKind.NUMBER):
            raise self.unexpected("expected the name of a kind")
        self.take()
        return ""


def _record(table: str, key: Expr) -> Expr:
    constant, value = constant_of(key)
    if constant:
        return Literal(RecordId(table, value))
    return RecordIdExpr(table, key)


def constant_of(expr: Expr) -> tuple[bool, Value]:
    """Whether an expression is written out in full, and its value then."""
    match expr:
        case Literal(value):
            return not isinstance(value, Table), value
        case Array(items):
            found = [constant_of(item) for item in items]
            return all(constant for constant, _ in found), [value for _, value in found]
        case Object(pairs):
            entries = [(name, constant_of(item)) for name, item in pairs]
            return all(pair[0] for _, pair in entries), {name: pair[1] for name, pair in entries}
        case RangeExpr(begin, end, begin_inclusive, end_inclusive):
            low = (True, None) if begin is None else constant_of(begin)
            high = (True, None) if end is None else constant_of(end)
            bounds = Range(
                None if begin is None else Bound(low[1], begin_inclusive),
                None if end is None else Bound(high[1], end_inclusive),
            )
            return low[0] and high[0], bounds
        case _:
            return False, None
