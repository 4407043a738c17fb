"""What SurrealDB reads from text in a cast: `<int> '5'`, `<datetime> '2020-01-01'`, `<record> 'a:1'`.

None is text that it refuses. Where its readers are more lenient than what is written here, the text is NotPlain.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from uuid import UUID

from sp00ky.proto.surrealql.literals import number_of
from sp00ky.proto.values.cbor import CborError, duration_from_text
from sp00ky.proto.values.kinds import Datetime, Duration, RecordId
from sp00ky.proto.values.literal import LiteralError, read_datetime, read_record_id
from sp00ky.proto.whole import decimals
from sp00ky.proto.whole.numbers import I64_MAX, I64_MIN, datetime_of, duration_of
from sp00ky.proto.whole.scope import NotPlain

_INT = re.compile(r"[+-]?\d+\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_FLOAT_WORDS = re.compile(r"([+-]?)(inf|infinity|nan)\Z", re.IGNORECASE)
_DECIMAL = re.compile(r"[+-]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d{1,2})?\Z", re.ASCII)
_DECIMAL_DIGITS_MAX = 28
_UUID_PLAIN = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_UUID = re.compile(rf"(?:{_UUID_PLAIN}|[0-9a-fA-F]{{32}}|\{{{_UUID_PLAIN}\}}|(?:urn:uuid:|URN:UUID:){_UUID_PLAIN})\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_DATETIME = re.compile(
    r"([+-]?\d{4,6}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?(?:[Zz]|([+-](?:[01]\d|2[0-3]):[0-5]\d))\Z", re.ASCII
)
_NO_DATETIME = re.compile(r"[^-]*\Z|[^:]*\Z|.*\d\d:\d\d(?::\d\d)?\Z", re.DOTALL)
_RECORD = re.compile(r"[A-Za-z_]\w*:(?:\d{1,18}\Z|[A-Za-z_]\w*\Z|[\[{`⟨])", re.ASCII)
_NO_RECORD = re.compile(r"[^:]*\Z|[\w ]*:\Z", re.ASCII)
_COUNT = re.compile(r"\d+", re.ASCII)
_COUNT_MAX = 2**64 - 1


def read_int(text: str) -> int | None:
    return int(text) if _INT.match(text) and I64_MIN <= int(text) <= I64_MAX else None


def read_float(text: str) -> float | None:
    """What Rust's `f64::from_str` reads."""
    if _FLOAT.match(text):
        return float(text)
    words = _FLOAT_WORDS.match(text)
    if words is None:
        return None
    size = math.nan if words[2].lower() == "nan" else math.inf
    return -size if words[1] == "-" else size


def read_decimal(text: str) -> Decimal | None:
    if not _DECIMAL.match(text):
        return None
    found = Decimal(text.replace("_", ""))
    for part in (Decimal(re.split("[eE]", text.replace("_", ""))[0]), found):
        _, mantissa, scale = decimals.parts(part)
        if len(str(mantissa)) > _DECIMAL_DIGITS_MAX or scale > decimals.SCALE_MAX:
            return _long_decimal(text)
    return decimals.normalized(found) if found else Decimal(0)


def _long_decimal(text: str) -> Decimal | None:
    """One that must be rounded: as the literal is."""
    if re.search(r"[eE]", text):
        raise NotPlain("a long decimal with an exponent")
    digits = text.lstrip("+-").replace("_", "").removesuffix(".")
    found = number_of(f"{'0' if digits[0] == '.' else ''}{digits}dec", text[0] == "-")
    return found if type(found) is Decimal else None


def read_moment(text: str) -> Datetime | None:
    text = text.rstrip(" ")
    if _DATE.match(text):
        text = f"{text}T00:00:00Z"
    match = _DATETIME.match(text)
    if match is None:
        if _NO_DATETIME.match(text):
            return None
        raise NotPlain("a datetime of this form")
    day, time, fraction, zone = match.groups()
    try:
        return datetime_of(read_datetime(f"{day}T{time}{(fraction or '')[:10]}{zone or 'Z'}").ns)
    except LiteralError:
        return None


def read_duration(text: str) -> Duration | None:
    try:
        found = duration_from_text(text)
    except CborError:
        return None
    return duration_of(found.ns) if max(map(int, _COUNT.findall(text))) <= _COUNT_MAX else None


def read_uuid(text: str) -> UUID | None:
    return UUID(text.lower()) if _UUID.match(text) else None


def read_record(text: str) -> RecordId | None:
    """SurrealDB reads a record id off the front of the text, and passes over what follows it."""
    if _NO_RECORD.match(text):
        return None
    if _RECORD.match(text) and ".." not in text:
        try:
            return read_record_id(text)
        except LiteralError:
            pass
    raise NotPlain("a record id of this form")
