"""`<kind> value`: SurrealQL's conversions. What SurrealDB refuses, and what is not known here, is NotPlain."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from sp00ky.proto.values.cbor import CborError, duration_from_text
from sp00ky.proto.values.kinds import NONE, Datetime, Duration, Range, RecordId, SurrealSet, Value
from sp00ky.proto.values.literal import LiteralError, read_datetime, read_record_id
from sp00ky.proto.values.text import display
from sp00ky.proto.whole.operators import I64_MAX, I64_MIN, is_number, make_set
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

RANGE_ITEMS_MAX = 100_000

_INT = re.compile(r"[+-]?\d+\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_FLOAT_WORDS = re.compile(r"([+-]?)(inf|infinity|nan)\Z", re.IGNORECASE)
_DECIMAL = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,8})?\Z", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_PARAMETRIC = re.compile(r"(\w+)<(.*)>\Z")
_FLOAT_DIGITS_SURE = 15  # a float that prints in so many digits is that decimal to SurrealDB too


def cast(kind: str, value: Value) -> Value:
    """The value as `kind`, canonical text such as `int`, `array<string>`, `option<int>`, `int | string`."""
    kind = kind.replace(" ", "")
    simple = _CASTS.get(kind)
    if simple is not None:
        return simple(value)
    if kind.startswith("none|") and kind.count("|") == 1:
        return NONE if value is NONE else cast(kind.removeprefix("none|"), value)
    match = _PARAMETRIC.match(kind)
    if match is not None and "|" not in kind and "," not in kind:
        outer, inner = match.groups()
        return _parametric(outer, inner, value)
    raise NotPlain(f"cast <{kind}>")


def _parametric(outer: str, inner: str, value: Value) -> Value:
    match outer:
        case "option":
            return NONE if value is NONE else cast(inner, value)
        case "array":
            return [cast(inner, item) for item in to_array(value)]
        case "set":
            return make_set(cast(inner, item) for item in to_set(value))
        case "record":
            record = to_record(value)
            if record.table != inner:
                raise EvaluationError(f"not a record of {inner}")
            return record
        case _:
            raise NotPlain(f"cast <{outer}<{inner}>>")


def _refused(kind: str, value: Value) -> EvaluationError:
    return EvaluationError(f"a {type(value).__name__} cannot be cast to {kind}")


def to_bool(value: Value) -> bool:
    if type(value) is bool:
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise _refused("bool", value)


def to_int(value: Value) -> int:
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value) and value == math.trunc(value):
        return max(I64_MIN, min(I64_MAX, int(value)))  # SurrealDB saturates
    if type(value) is Decimal and value == value.to_integral_value() and I64_MIN <= value <= I64_MAX:
        return int(value)
    if type(value) is str and _INT.match(value) and I64_MIN <= int(value) <= I64_MAX:
        return int(value)
    raise _refused("int", value)


def to_float(value: Value) -> float:
    if type(value) is float:
        return value
    if type(value) is int or type(value) is Decimal:
        return float(value)
    if type(value) is str and (number := float_of_text(value)) is not None:
        return number
    raise _refused("float", value)


def float_of_text(text: str) -> float | None:
    """What Rust's `f64::from_str` reads."""
    if _FLOAT.match(text):
        return float(text)
    words = _FLOAT_WORDS.match(text)
    if words is None:
        return None
    size = math.nan if words[2].lower() == "nan" else math.inf
    return -size if words[1] == "-" else size


def to_decimal(value: Value) -> Decimal:
    if type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    if type(value) is float and math.isfinite(value) and (value or math.copysign(1.0, value) > 0):
        exact = Decimal(repr(value))
        digits = exact.as_tuple()
        places = -digits.exponent if isinstance(digits.exponent, int) else 0
        if len(digits.digits) <= _FLOAT_DIGITS_SURE and 0 <= places <= _FLOAT_DIGITS_SURE:
            return exact.normalize() + 0
        raise NotPlain("a float of many digits as a decimal")
    if type(value) is str and _DECIMAL.match(value):
        return Decimal(value)
    raise _refused("decimal", value)


def to_number(value: Value) -> Value:
    if is_number(value):
        return value
    if type(value) is str:
        if _INT.match(value) and I64_MIN <= int(value) <= I64_MAX:
            return int(value)
        if (number := float_of_text(value)) is not None:
            return number
    raise _refused("number", value)


def to_string(value: Value) -> str:
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise NotPlain("bytes that are no UTF-8 as a string") from None
    return display(value)


def to_datetime(value: Value) -> Datetime:
    if type(value) is Datetime:
        return value
    if type(value) is str:
        try:
            return read_datetime(f"{value}T00:00:00Z" if _DATE.match(value) else value)
        except LiteralError:
            pass
    raise _refused("datetime", value)


def to_duration(value: Value) -> Duration:
    if type(value) is Duration:
        return value
    if type(value) is str:
        try:
            return duration_from_text(value)
        except CborError:
            pass
    raise _refused("duration", value)


def to_uuid(value: Value) -> UUID:
    if type(value) is UUID:
        return value
    if type(value) is str and _UUID.match(value):
        return UUID(value)
    raise _refused("uuid", value)


def to_record(value: Value) -> RecordId:
    if type(value) is RecordId:
        return value
    if type(value) is str:
        try:
            return read_record_id(value)
        except LiteralError:
            pass
    raise _refused("record", value)


def to_array(value: Value) -> list[Value]:
    if type(value) is list:
        return value
    if type(value) is SurrealSet:
        return list(value.values)
    if type(value) is Range:
        return list(range_integers(value))
    raise _refused("array", value)


def range_integers(bounds: Range) -> range:
    """The integers of a range that is closed on both sides, at most RANGE_ITEMS_MAX of them."""
    if bounds.begin is None or bounds.end is None:
        raise NotPlain("an open range as an array")
    begin, end = bounds.begin.value, bounds.end.value
    if type(begin) is not int or type(end) is not int:
        raise NotPlain("a range of something other than integers as an array")
    items = range(begin + (not bounds.begin.inclusive), end + bounds.end.inclusive)
    if len(items) > RANGE_ITEMS_MAX:
        raise NotPlain("a long range as an array")
    return items


def to_set(value: Value) -> SurrealSet:
    return value if type(value) is SurrealSet else make_set(to_array(value))


def to_object(value: Value) -> dict[str, Value]:
    if type(value) is dict:
        return value
    raise _refused("object", value)


def to_bytes(value: Value) -> bytes:
    if type(value) is bytes:
        return value
    if type(value) is str:
        return value.encode()
    raise _refused("bytes", value)


_CASTS: dict[str, Callable[[Value], Value]] = {
    "any": lambda value: value,
    "bool": to_bool,
    "int": to_int,
    "float": to_float,
    "decimal": to_decimal,
    "number": to_number,
    "string": to_string,
    "datetime": to_datetime,
    "duration": to_duration,
    "uuid": to_uuid,
    "record": to_record,
    "array": to_array,
    "set": to_set,
    "object": to_object,
    "bytes": to_bytes,
}
