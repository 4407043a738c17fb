"""Reads back the literals that `text.py` writes: what may stand in a record id's key, and nothing that computes.

Not SurrealQL's expression grammar (that is `proto/surrealql`): a record id arrives as text from HTTP and from events,
and its key may hold any constant. The text is a stranger's: every failure is a LiteralError, nesting is bounded, and no
form is guessed.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from uuid import UUID

from sp00ky.proto.values.cbor import CborError, duration_from_text
from sp00ky.proto.values.kinds import NONE, Bound, Datetime, Range, RecordId, SurrealSet, Value

DEPTH_MAX = 64

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9_]+")
_INT = re.compile(r"[+-]?\d+\Z")
_SIGNED_INT = re.compile(r"[+-]?\d+(?![A-Za-z0-9_])")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:f|dec)?(?![A-Za-z0-9_µμ])")
_DURATION = re.compile(r"(?:\d+(?:ns|us|µs|μs|ms|s|m|h|d|w|y))+(?![A-Za-z0-9_])")
_DATETIME = re.compile(
    r"([+-]?\d{4,6})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z",
)
_SPACE = re.compile(r"\s*")
_ESCAPE = re.compile(r"\\(u\{[0-9A-Fa-f]{1,6}\}|.)", re.DOTALL)
_ESCAPED = {"0": "\0", "r": "\r", "t": "\t", "n": "\n", "b": "\x08", "f": "\x0c"}
_I64 = range(-(2**63), 2**63)
_WORDS: dict[str, Value] = {
    "none": NONE,
    "null": None,
    "true": True,
    "false": False,
    "nan": float("nan"),
    "infinity": float("inf"),
}


class LiteralError(ValueError):
    """Text that is not the literal asked for."""


def read_record_id(text: str) -> RecordId:
    """`table:key`, the whole text."""
    reader = _Reader(text)
    record = reader.record()
    reader.end()
    return record


def read_value(text: str) -> Value:
    """One literal, the whole text."""
    reader = _Reader(text)
    value = reader.value(0)
    reader.end()
    return value


def read_datetime(text: str) -> Datetime:
    """RFC 3339 → Datetime, any year, up to nine digits of fraction."""
    match = _DATETIME.match(text)
    if match is None:
        raise LiteralError(f"not a datetime: {text!r}")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (1 <= month <= 12 and hour <= 23 and minute <= 59 and second <= 59):
        raise LiteralError(f"not a datetime: {text!r}")
    days = days_from_civil(year, month, day)
    following = days_from_civil(year + month // 12, month % 12 + 1, 1)
    if day < 1 or days >= following:
        raise LiteralError(f"not a datetime: {text!r}")
    zone = match[8]
    offset = 0 if zone == "Z" else (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    return Datetime.of(seconds, int((match[7] or "0").ljust(9, "0")))


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant, "chrono-compatible date algorithms")."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


class _Reader:
    """A cursor over the text; each method reads one construct and leaves the cursor behind it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def end(self) -> None:
        self._skip()
        if self._at != len(self._text):
            raise self._error("nothing more")

    def record(self) -> RecordId:
        self._skip()
        table = self._quoted_name() if self._peek() in "`⟨" else self._match(_WORD)
        if table is None:
            raise self._error("a table name")
        self._take(":")
        return RecordId(table, self._key(0))

    def value(self, depth: int) -> Value:
        if depth > DEPTH_MAX:
            raise LiteralError(f"nested deeper than {DEPTH_MAX}")
        self._skip()
        lead = self._peek()
        if lead == "[":
            return self._array(depth)
        if lead == "{":
            return self._braces(depth)
        if lead in "'\"":
            return self._string()
        if lead in "dub" and self._peek(1) in ("'", '"'):
            return self._prefixed()
        if lead in "`⟨" or lead.isalpha() or lead == "_":
            return self._word_or_record(depth)
        return self._number()

    def _error(self, expected: str) -> LiteralError:
        return LiteralError(f"expected {expected} at character {self._at + 1}")

    def _peek(self, ahead: int = 0) -> str:
        return self._text[self._at + ahead : self._at + ahead + 1] or "\n"

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None, "a pattern that may be empty always matches"
        self._at = match.end()

    def _take(self, token: str) -> None:
        if not self._accept(token):
            raise self._error(f"`{token}`")

    def _accept(self, token: str) -> bool:
        found = self._text.startswith(token, self._at)
        self._at += len(token) if found else 0
        return found

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return match.group()

    def _name(self) -> str:
        if self._peek() in "`⟨":
            return self._quoted_name()
        name = self._match(_NAME)
        if name is None:
            raise self._error("a name")
        return name

    def _quoted_name(self) -> str:
        close = "`" if self._text[self._at] == "`" else "⟩"
        self._at += 1
        return self._until(close)

    def _until(self, close: str) -> str:
        """The text up to an unescaped `close`, escapes undone."""
        parts: list[str] = []
        while True:
            letter = self._text[self._at : self._at + 1]
            if not letter:
                raise self._error(f"`{close}`")
            if letter == close:
                self._at += 1
                return "".join(parts)
            if letter == "\\":
                parts.append(self._escape())
            else:
                parts.append(letter)
                self._at += 1

    def _escape(self) -> str:
        token = self._match(_ESCAPE)
        if token is None:
            raise self._error("an escape")
        body = token[1:]
        if body.startswith("u{"):
            code = int(body[2:-1], 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise self._error("a Unicode scalar value")
            return chr(code)
        return _ESCAPED.get(body, body)

    def _string(self) -> str:
        quote = self._text[self._at]
        self._at += 1
        return self._until(quote)

    def _prefixed(self) -> Value:
        prefix = self._text[self._at]
        self._at += 1
        body = self._string()
        try:
            if prefix == "d":
                return read_datetime(body)
            return UUID(body) if prefix == "u" else bytes.fromhex(body)
        except ValueError as error:
            raise LiteralError(f"not a literal: {prefix}{body!r}") from error

    def _key(self, depth: int) -> Value:
        begin = None if self._text.startswith("..", self._at) else self._simple_key(depth)
        exclusive = begin is not None and self._text.startswith(">..", self._at)
        if not exclusive and not self._text.startswith("..", self._at):
            return begin
        self._at += 3 if exclusive else 2
        inclusive = self._accept("=")
        open_end = self._at == len(self._text) or self._text[self._at] in ",]})"
        end = None if open_end and not inclusive else Bound(self._simple_key(depth), inclusive)
        return Range(None if begin is None else Bound(begin, not exclusive), end)

    def _simple_key(self, depth: int) -> Value:
        lead = self._peek()
        if lead in "[{" or (lead == "u" and self._peek(1) in "'\""):
            return self.value(depth + 1)
        if lead in "`⟨":
            return self._quoted_name()
        number = self._match(_SIGNED_INT)
        if number is not None:
            if int(number) in _I64:
                return int(number)
            if number[0] in "+-":
                raise self._error("an integer of 64 bits")
            return number
        word = self._match(_WORD)
        if word is None:
            raise self._error("a key")
        return word

    def _word_or_record(self, depth: int) -> Value:
        start = self._at
        name = self._name()
        if self._accept(":"):
            return RecordId(name, self._key(depth + 1))
        if self._text[start] not in "`⟨" and name.lower() in _WORDS:
            return _WORDS[name.lower()]
        raise LiteralError(f"not a literal: {name}")

    def _array(self, depth: int) -> list[Value]:
        self._at += 1
        items: list[Value] = []
        while not self._closed("]"):
            items.append(self.value(depth + 1))
            self._separator("]")
        return items

    def _closed(self, close: str) -> bool:
        self._skip()
        return self._accept(close)

    def _separator(self, close: str) -> None:
        self._skip()
        if not self._text.startswith(close, self._at):
            self._take(",")

    def _braces(self, depth: int) -> Value:
        """An object, or a set: `{,}`, `{1,}`, `{1, 2}`."""
        self._at += 1
        self._skip()
        if self._accept(","):
            self._skip()
            self._take("}")
            return SurrealSet(())
        fields: dict[str, Value] = {}
        while not self._closed("}"):
            start = self._at
            name = self._field_name()
            self._skip()
            if name is None or not self._accept(":"):
                self._at = start
                if fields:
                    raise self._error("a field")
                return self._set(depth)
            fields[name] = self.value(depth + 1)
            self._separator("}")
        return fields

    def _field_name(self) -> str | None:
        lead = self._peek()
        if lead in "'\"":
            return self._string()
        if lead == "`":
            return self._quoted_name()
        return self._match(_WORD)

    def _set(self, depth: int) -> SurrealSet:
        items: list[Value] = []
        while not self._closed("}"):
            items.append(self.value(depth + 1))
            self._separator("}")
        return SurrealSet(tuple(items))

    def _number(self) -> Value:
        duration = self._match(_DURATION)
        if duration is not None:
            try:
                return duration_from_text(duration)
            except CborError as error:
                raise LiteralError(str(error)) from error
        if self._accept("-Infinity"):
            return float("-inf")
        number = self._match(_NUMBER)
        if number is None:
            raise self._error("a value")
        if number.endswith("dec"):
            try:
                return Decimal(number[:-3])
            except InvalidOperation as error:
                raise LiteralError(f"not a decimal: {number}") from error
        if _INT.match(number):
            if int(number) not in _I64:
                raise LiteralError(f"integer {number} does not fit 64 bits")
            return int(number)
        return float(number.removesuffix("f"))
