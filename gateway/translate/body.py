"""The body of a request as values: JSON, or SurrealDB's CBOR where exact kinds matter.

JSON here is the strict one: UTF-8 without a mark, no NaN or Infinity, no repeated names, integers of 64 bits, finite
numbers, bounded nesting. Whatever is none of it is the caller's fault (400), never ours: every way in which a decoder
can fail ends as a `Fault` here.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NoReturn

import orjson
from sp00ky.gateway.errors import Misshapen, Refused
from sp00ky.gateway.exchange import CBOR, JSON, Asked
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values import cbor
from sp00ky.proto.values.kinds import RecordId, SurrealSet, Value
from sp00ky.proto.values.literal import LiteralError, read_value
from sp00ky.proto.values.pack import PackError, pack

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


def _unrepeated(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    value = dict(pairs)
    if len(value) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated = counts.most_common(1)[0][0]
        raise ValueError(f"name {repeated[:64]!r} is repeated")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unrepeated, parse_constant=_no_constant)


def parse_json(data: bytes, asked: Asked, where: str = "body") -> Value:
    """One JSON document. `where` names it in the fault: "body", "line 3"."""
    try:
        text = data.decode()
        if text.startswith("\ufeff"):
            raise ValueError("it begins with a byte order mark")
        value = _decoder.decode(text)
        if "\\ud" in text or "\\uD" in text:
            orjson.loads(data)  # refuses half a surrogate pair, which no encoder after us would take
    except RecursionError:
        raise Fault(Code.INVALID, f"{where} nests deeper than {asked.limits.nesting_max}") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, too many digits, and ours
        raise Fault(Code.INVALID, f"{where} is not JSON: {error}") from None
    _require_plain(value, asked.limits.nesting_max, where)
    return value


def _require_plain(value: Value, depth: int, where: str) -> None:
    """Numbers that a value can hold, nesting within the limit. The one walk over every record: kept flat for speed."""
    kind = type(value)
    if kind is not dict and kind is not list:
        value = (value,)
    elif depth == 0:
        raise Fault(Code.INVALID, f"{where} nests too deep")
    for item in value.values() if kind is dict else value:
        inner = type(item)
        if inner is dict or inner is list:
            _require_plain(item, depth - 1, where)
        elif inner is int:
            if not _INT_MIN <= item <= _INT_MAX:
                hint = "send it as text, or as a decimal in CBOR"
                raise Fault(Code.INVALID, f"{where} has an integer beyond 64 bits", hint)
        elif inner is float and not math.isfinite(item):
            raise Fault(Code.INVALID, f"{where} has a number beyond the range of a float")


def parse_cbor(data: bytes, asked: Asked) -> Value:
    """One SurrealDB CBOR value that can be packed."""
    try:
        value = cbor.decode(data)
        _require_names(value, asked.limits.nesting_max)
        pack(value)
    except Fault:
        raise
    except (
        Exception
    ) as error:  # a tag may hold anything, so what decodes it may raise anything: none of it is our fault
        raise Fault(Code.INVALID, f"body is not SurrealDB CBOR: {type(error).__name__}: {error}") from None
    return value


def _require_names(value: Value, depth: int) -> None:
    """CBOR maps may have keys of any kind, objects have names."""
    kind = type(value)
    if kind in (dict, list, SurrealSet, RecordId) and depth == 0:
        raise Fault(Code.INVALID, "body nests too deep")
    if kind is dict:
        for name, item in value.items():
            if type(name) is not str:
                raise Fault(Code.INVALID, f"body has an object with {kind_name(name)} for a name")
            _require_names(item, depth - 1)
    elif kind is list or kind is SurrealSet:
        for item in value:
            _require_names(item, depth - 1)
    elif kind is RecordId:
        if type(value.table) is not str:
            raise Fault(Code.INVALID, f"body has a record id with {kind_name(value.table)} for a table")
        _require_names(value.key, depth - 1)


def require_media_type(asked: Asked, *accepted: str) -> str:
    """The request's media type; raises 415. The documented SSP reads JSON without being told so."""
    untold = asked.media_type in {"", "application/octet-stream"}
    given = JSON if untold and asked.api == "ssp" else asked.media_type
    if given not in accepted:
        shown = f'"{given[:64]}"' if given else "absent"
        raise Refused(415, f"content type is {shown}", f"send Content-Type: {' or '.join(accepted)}")
    return given


def parse_object(asked: Asked) -> dict[str, Value]:
    """The body as one object, JSON or CBOR."""
    media_type = require_media_type(asked, JSON, CBOR)
    value = parse_cbor(asked.body, asked) if media_type == CBOR else parse_json(asked.body, asked)
    if type(value) is not dict:
        raise Misshapen(f"body is {kind_name(value)}, not an object")
    return value


def field_text(body: Mapping[str, Value], *names: str, required: bool = True) -> str:
    """The first of these names that the body has, as text; "" if it may be absent."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if type(value) is not str:
            raise Misshapen(f'field "{name}" is {kind_name(value)}, not text')
        if value or not required:
            return value
        raise Fault(Code.INVALID, f'field "{name}" is empty')
    if required:
        also = f" (or {', '.join(names[1:])})" if len(names) > 1 else ""
        raise Misshapen(f'field "{names[0]}"{also} is missing')
    return ""


def field_flag(value: Value, name: str) -> bool:
    """`1`, `0`, `true`, `false`, as JSON or as text; absent is false."""
    if value is None or value == "":
        return False
    text = str(value).lower() if isinstance(value, bool | int | str) else ""
    if text not in {"0", "1", "true", "false"}:
        raise Fault(Code.INVALID, f'"{name}" is neither 0 nor 1')
    return text in {"1", "true"}


def field_object(body: Mapping[str, Value], *names: str) -> dict[str, Value]:
    """The first of these names as an object: JSON, or text holding a SurrealQL object; {} if absent."""
    for name in names:
        value = body.get(name)
        if value is None or value == "":
            continue
        if type(value) is str:
            value = _surql_value(value, name)
        if type(value) is not dict:
            raise Misshapen(f'field "{name}" is {kind_name(value)}, not an object')
        return value
    return {}


def _surql_value(text: str, name: str) -> Value:
    try:
        return read_value(text)
    except (LiteralError, RecursionError) as error:
        raise Fault(Code.INVALID, f'field "{name}" is not a SurrealQL object: {error}', "use literals only") from None


def packed(value: Value, name: str) -> bytes:
    """The value's exact bytes; "" for an empty object."""
    try:
        return pack(value) if value else b""
    except PackError as error:
        raise Fault(Code.INVALID, f'field "{name}" cannot be stored: {error}') from None


def kind_name(value: Value) -> str:
    """What a value is, in the words of JSON."""
    kinds = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "text"}
    kinds |= {list: "an array", dict: "an object"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def split_lines(data: bytes) -> Sequence[tuple[int, bytes]]:
    """(number from 1, line) of each line that is not blank."""
    lines = ((number, line.strip(b" \t\r")) for number, line in enumerate(data.split(b"\n"), 1))
    return [(number, line) for number, line in lines if line]
