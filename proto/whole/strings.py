"""`string::*`: what depends on the Unicode tables of one version, or on a dialect of regular expressions, is not here.

Lengths and positions count code points, as SurrealDB's do.
"""

from __future__ import annotations

import re

from sp00ky.proto.values.kinds import UUID, Value
from sp00ky.proto.values.text import raw_text
from sp00ky.proto.whole.functions import ANY, INT, TEXT, function
from sp00ky.proto.whole.scope import NotPlain

LENGTH_MAX = 1_000_000

_DIGITS = re.compile(r"[+-]?[0-9]+\Z")


def _ascii(text: str) -> str:
    """Letter case and classes beyond ASCII depend on the version of Unicode."""
    if not text.isascii():
        raise NotPlain("letters beyond ASCII")
    return text


@function("string::capitalize", kinds=(TEXT,))
def capitalize(text: str) -> str:
    return re.sub(r"(?:^|(?<=\s))\S", lambda match: match.group().upper(), _ascii(text))


@function("string::concat", kinds=(ANY,) * 16, optional=15)
def concat(*values: Value) -> str:
    return "".join([raw_text(value) for value in values])


@function("string::contains", kinds=(TEXT, TEXT))
def contains(text: str, part: str) -> bool:
    return part in text


@function("string::ends_with", kinds=(TEXT, TEXT))
def ends_with(text: str, part: str) -> bool:
    return text.endswith(part)


@function("string::starts_with", kinds=(TEXT, TEXT))
def starts_with(text: str, part: str) -> bool:
    return text.startswith(part)


@function("string::join", kinds=(ANY,) * 16, optional=14)
def join(separator: Value, *values: Value) -> str:
    return raw_text(separator).join([raw_text(value) for value in values])


@function("string::len", kinds=(TEXT,))
def length(text: str) -> int:
    return len(text)


@function("string::lowercase", kinds=(TEXT,))
def lowercase(text: str) -> str:
    return _ascii(text).lower()


@function("string::uppercase", kinds=(TEXT,))
def uppercase(text: str) -> str:
    return _ascii(text).upper()


@function("string::repeat", kinds=(TEXT, INT))
def repeat(text: str, count: int) -> str:
    if count < 0 or len(text) * count > LENGTH_MAX:
        raise NotPlain("string::repeat of this length")
    return text * count


@function("string::replace", kinds=(TEXT, TEXT, TEXT))
def replace(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


@function("string::reverse", kinds=(TEXT,))
def reverse(text: str) -> str:
    return text[::-1]


@function("string::slice", kinds=(TEXT, INT, INT), optional=2)
def string_slice(text: str, start: int = 0, end: int | None = None) -> str:
    return text[start:] if end is None else text[start:end]


@function("string::split", kinds=(TEXT, TEXT))
def split(text: str, separator: str) -> list[Value]:
    return ["", *text, ""] if not separator else list(text.split(separator))


@function("string::trim", kinds=(TEXT,))
def trim(text: str) -> str:
    return _ascii(text).strip(" \t\n\r\x0b\x0c")


@function("string::words", kinds=(TEXT,))
def words(text: str) -> list[Value]:
    return list(re.split(r"[ \t\n\r\x0b\x0c]+", trim(text))) if trim(text) else []


@function("string::is_alphanum", kinds=(TEXT,))
def is_alphanum(text: str) -> bool:
    return bool(text) and _ascii(text).isalnum()


@function("string::is_alpha", kinds=(TEXT,))
def is_alpha(text: str) -> bool:
    return bool(text) and _ascii(text).isalpha()


@function("string::is_ascii", kinds=(TEXT,))
def is_ascii(text: str) -> bool:
    return bool(text) and text.isascii()


@function("string::is_numeric", kinds=(TEXT,))
def is_numeric(text: str) -> bool:
    return bool(text) and _ascii(text).isdigit()


@function("string::is_hexadecimal", kinds=(TEXT,))
def is_hexadecimal(text: str) -> bool:
    return re.fullmatch(r"[0-9A-Fa-f]+", text) is not None


@function("string::is_uuid", kinds=(TEXT,))
def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) is None:
        raise NotPlain("string::is_uuid of an unusual form")
    return True
