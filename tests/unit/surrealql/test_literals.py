"""Number, duration and datetime texts against values that SurrealDB 3.2 gives for them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sp00ky.proto.surrealql.literals import bytes_of, datetime_of, duration_of, number_of, uuid_of
from sp00ky.proto.values.kinds import Datetime, Duration

HOUR = 3_600_000_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("01", 1),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("2f", 2.0),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert number_of(text) == value
    assert type(number_of(text)) is type(value)


@pytest.mark.parametrize("text", [str(2**63), "1a", "1h", "1" * 5000, "1e", f"{2**96}dec"])
def test_texts_that_are_no_number(text: str) -> None:
    assert number_of(text) is None


def test_the_least_integer_has_a_sign() -> None:
    assert number_of("9223372036854775808", negative=True) == -(2**63)
    assert number_of("1.50dec") == Decimal("1.50")


@pytest.mark.parametrize(
    ("text", "ns"),
    [("1h30m", HOUR * 3 // 2), ("1h1h", HOUR * 2), ("1us", 1000), ("1µs", 1000), ("0ns", 0), ("1y", HOUR * 24 * 365)],
)
def test_durations(text: str, ns: int) -> None:
    assert duration_of(text) == Duration(ns)


@pytest.mark.parametrize("text", ["1", "1.5h", "1h30", "99999999999999999999y", "1x"])
def test_texts_that_are_no_duration(text: str) -> None:
    assert duration_of(text) is None


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-02", 24 * HOUR),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("-0001-01-01T00:00:00Z", -62_198_755_200 * 10**9),
        ("+010000-01-01T00:00:00Z", 253_402_300_800 * 10**9),
    ],
)
def test_datetimes(text: str, ns: int) -> None:
    assert datetime_of(text) == Datetime(ns)


@pytest.mark.parametrize(
    "text", ["2024-02-30", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "2024", "2024-01-01T00:00:60Z"]
)
def test_texts_that_are_no_datetime(text: str) -> None:
    assert datetime_of(text) is None


def test_bytes_and_uuids() -> None:
    assert bytes_of("00fF") == b"\x00\xff"
    assert bytes_of("0") is None
    assert bytes_of("0 0 ") is None
    assert uuid_of("018f5d0e000070008000000000000000") is None
    assert str(uuid_of("018F5D0E-0000-7000-8000-000000000000")) == "018f5d0e-0000-7000-8000-000000000000"
