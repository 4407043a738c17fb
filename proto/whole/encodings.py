"""`encoding::*` and `bytes::*`: base64 and JSON; CBOR is left to SurrealDB."""

from __future__ import annotations

import base64
import binascii
import re

from sp00ky.proto.values import json
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.functions import ANY, BYTES, TEXT, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_BOOL = frozenset({bool})
_BASE64 = re.compile(r"([A-Za-z0-9+/]*)(={0,2})\Z")
_JSON_NUMBER = re.compile(r"(-?\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?")
_DIGITS_MAX, _EXPONENT_MAX = 15, 22  # within these a float is exact however it is read; SurrealDB's reader is not
_JSON_DEPTH_MAX = 100


@function("bytes::len", kinds=(BYTES,))
def length(data: bytes) -> int:
    return len(data)


@function("encoding::base64::encode", kinds=(BYTES, _BOOL), optional=1)
def base64_encode(data: bytes, padded: bool = False) -> str:
    text = base64.b64encode(data).decode()
    return text if padded else text.rstrip("=")


@function("encoding::base64::decode", kinds=(TEXT,))
def base64_decode(text: str) -> bytes:
    """Padding may be left out, in part as well; bits that encode nothing must be zero."""
    match = _BASE64.match(text)
    if match is None:
        raise EvaluationError("not base64")
    digits, padding = match.groups()
    missing = -len(digits) % 4
    if missing == 3 or len(padding) > missing:
        raise EvaluationError("not base64")
    try:
        data = base64.b64decode(digits + "=" * missing, validate=True)
    except binascii.Error:
        raise EvaluationError("not base64") from None
    if base64_encode(data) != digits:
        raise EvaluationError("not base64")
    return data


@function("encoding::json::encode", kinds=(ANY,))
def json_encode(value: Value) -> str:
    return json.encode_json(value).decode()


@function("encoding::json::decode", kinds=(TEXT,))
def json_decode(text: str) -> Value:
    sure = all(_read_alike(match) for match in _JSON_NUMBER.finditer(text))
    if not sure or "\\u" in text or text.count("[") + text.count("{") > _JSON_DEPTH_MAX:
        raise NotPlain("JSON that is not read alike everywhere")
    try:
        return json.from_json(text)
    except json.JsonError:
        raise EvaluationError("not JSON") from None


def _read_alike(number: re.Match[str]) -> bool:
    """SurrealDB's reader multiplies digits by a power of ten, and makes minus zero a float."""
    whole, fraction, exponent = number.groups()
    if exponent is None and fraction is None:
        return len(whole) <= _DIGITS_MAX and whole != "-0"
    digits, places = f"{whole.lstrip('-')}{fraction or ''}", len(fraction or "")
    return (
        len(digits) <= _DIGITS_MAX
        and len(exponent or "") <= 4
        and (-_EXPONENT_MAX <= int(exponent or 0) - places <= _EXPONENT_MAX)
    )
