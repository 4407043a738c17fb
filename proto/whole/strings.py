"""`string::*` on characters. Notations are in `validity.py`, versions in `semvers.py`, distances in `distances.py`, and
HTML and slugs in `markup.py`.

Lengths and positions count code points, as SurrealDB's do; its limit on what a function may make counts bytes.
"""

from __future__ import annotations

from sp00ky.proto.values.kinds import Regex, Value
from sp00ky.proto.values.text import raw_text
from sp00ky.proto.whole import characters, regexes
from sp00ky.proto.whole.functions import ANY, TEXT, WHOLE, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain
from sp00ky.proto.whole.slices import sliced

BYTES_MAX = 2**20

_TEXT_OR_REGEX = frozenset({str, Regex})


def limited(text: str) -> str:
    """A result, unless SurrealDB finds it too long."""
    if len(text) > BYTES_MAX // 4 and len(text.encode()) > BYTES_MAX:
        raise EvaluationError("a string that is too long")
    return text


@function("string::capitalize", kinds=(TEXT,))
def capitalize(text: str) -> str:
    return characters.capitalized(text)


@function("string::concat", kinds=(), rest=ANY)
def concat(*values: Value) -> str:
    return limited("".join([raw_text(value) for value in values]))


@function("string::contains", kinds=(TEXT, TEXT))
def contains(text: str, part: str) -> bool:
    return part in text


@function("string::ends_with", kinds=(TEXT, TEXT))
def ends_with(text: str, part: str) -> bool:
    return text.endswith(part)


@function("string::starts_with", kinds=(TEXT, TEXT))
def starts_with(text: str, part: str) -> bool:
    return text.startswith(part)


@function("string::join", kinds=(ANY,), rest=ANY)
def join(separator: Value, *values: Value) -> str:
    return limited(raw_text(separator).join([raw_text(value) for value in values]))


@function("string::len", kinds=(TEXT,))
def length(text: str) -> int:
    return len(text)


@function("string::lowercase", kinds=(TEXT,))
def lowercase(text: str) -> str:
    return characters.cased(text).lower()


@function("string::uppercase", kinds=(TEXT,))
def uppercase(text: str) -> str:
    return characters.cased(text).upper()


@function("string::matches", kinds=(TEXT, ANY))
def matches(text: str, pattern: Value) -> bool:
    if type(pattern) not in _TEXT_OR_REGEX:
        raise EvaluationError("string::matches with something other than a pattern")
    return regexes.matches(pattern.pattern if type(pattern) is Regex else pattern, text)


@function("string::repeat", kinds=(TEXT, WHOLE))
def repeat(text: str, count: int) -> str:
    if count < 0:
        raise EvaluationError("string::repeat less than no times")
    if len(text) * count > BYTES_MAX:
        raise EvaluationError("a string that is too long")
    return limited(text * count) if text else ""


@function("string::replace", kinds=(TEXT, ANY, TEXT))
def replace(text: str, old: Value, new: str) -> str:
    if type(old) is Regex:
        return limited(regexes.replace(old.pattern, text, new))
    if type(old) is not str:
        raise EvaluationError("string::replace of something other than text or a pattern")
    if len(new) > BYTES_MAX // (len(text) + 1):
        raise NotPlain("string::replace of this length")
    return limited(text.replace(old, new))


@function("string::reverse", kinds=(TEXT,))
def reverse(text: str) -> str:
    return text[::-1]


@function("string::slice", kinds=(TEXT, ANY, WHOLE), optional=2)
def string_slice(text: str, *bounds: Value) -> str:
    begin, end = sliced(len(text), bounds)
    return text[begin:end]


@function("string::split", kinds=(TEXT, TEXT))
def split(text: str, separator: str) -> list[Value]:
    return ["", *text, ""] if not separator else list(text.split(separator))


@function("string::trim", kinds=(TEXT,))
def trim(text: str) -> str:
    return text.strip(characters.WHITE_SPACE)


@function("string::words", kinds=(TEXT,))
def words(text: str) -> list[Value]:
    return list(characters.words(text))


@function("string::is_alphanum", kinds=(TEXT,))
def is_alphanum(text: str) -> bool:
    return bool(text) and all(map(characters.is_alphanumeric, text))


@function("string::is_alpha", kinds=(TEXT,))
def is_alpha(text: str) -> bool:
    return bool(text) and all(map(characters.is_alphabetic, text))


@function("string::is_ascii", kinds=(TEXT,))
def is_ascii(text: str) -> bool:
    return bool(text) and text.isascii()


@function("string::is_numeric", kinds=(TEXT,))
def is_numeric(text: str) -> bool:
    return bool(text) and all(map(characters.is_numeric, text))
