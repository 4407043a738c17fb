"""JSON is byte for byte what the engine's own conversion writes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from sp00ky.proto.values.json import JsonError, encode_json, from_json
from sp00ky.proto.values.kinds import NONE, Bound, Datetime, Geometry, Range, RecordId, SurrealSet, Table, Value

from tests.harness import values as strategies
from tests.harness.oracle import Oracle


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NONE, "null"),
        ({"b": 1, "a": NONE, "é": None}, '{"a":null,"b":1,"é":null}'),
        (1.0, "1.0"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.5e300, "1.5e+300"),
        (1e-5, "0.00001"),
        (1.25e-5, "0.0000125"),
        (1e-6, "1e-6"),
        (float("nan"), "null"),
        (-0.0, "-0.0"),
        (Decimal("1E+3"), '"1000"'),
        ('\x00\x08\x0c\n\x7f"/é', '"\\u0000\\b\\f\\n\x7f\\"/é"'),
        (b"ab", "[97,98]"),
        (Datetime(120 * 10**3), '"1970-01-01T00:00:00.000120Z"'),
        (SurrealSet((1, 2)), "[1,2]"),
        (Range(Bound(1, True), Bound("a", False)), "\"1..'a'\""),
        (RecordId("t", "a b"), '"t:`a b`"'),
        (RecordId("1a", 1), '"`1a`:1"'),
        (RecordId("t", "NaN"), '"t:NaN"'),
        (RecordId("t", Range(Bound(1, False), Bound("x", True))), '"t:>1..=x"'),
        (Table("x y"), '"x y"'),
        (Geometry("Point", (1.5, 2.0)), '{"coordinates":[1.5,2.0],"type":"Point"}'),
    ],
)
def test_forms(value: Value, text: str, oracle: Oracle) -> None:
    assert encode_json(value).decode() == text == oracle.ask("RETURN encoding::json::encode($v)", v=value)


@settings(max_examples=120, deadline=None)
@given(value=strategies.values)
def test_any_value_encodes_as_in_the_engine(oracle: Oracle, value: Value) -> None:
    assert encode_json([value]).decode() == oracle.ask("RETURN encoding::json::encode([$v])", v=value)


def test_reading_types_nothing() -> None:
    value = from_json('{"id":"person:1","n":1,"f":1.0,"at":"2020-01-01T00:00:00Z","x":null,"l":[true]}')
    assert value == {"id": "person:1", "n": 1, "f": 1.0, "at": "2020-01-01T00:00:00Z", "x": None, "l": [True]}
    assert type(value["n"]) is int and type(value["f"]) is float
    assert from_json(b"[18446744073709551615]") == [1.8446744073709552e19]


def test_what_is_no_json_is_refused() -> None:
    for text in ("", "{", "nan", "[1,]", '"\ud800"'.encode("utf-8", "surrogatepass"), "[" * 5000):
        with pytest.raises(JsonError):
            from_json(text)
    with pytest.raises(JsonError):
        encode_json(object())
