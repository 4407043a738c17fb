"""SurrealQL text of values: what core 3.2 prints, captured here and asked of the engine as well."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from sp00ky.proto.values.kinds import (
    NONE,
    Bound,
    Datetime,
    Duration,
    File,
    Geometry,
    Range,
    RecordId,
    SurrealSet,
    Table,
)
from sp00ky.proto.values.literal import LiteralError, read_datetime, read_record_id, read_value
from sp00ky.proto.values.text import (
    TextError,
    datetime_text,
    display,
    duration_text,
    escape_ident,
    float_text,
    inner_text,
    parse_record_id,
    record_id_text,
    to_surql,
)

from tests.harness.oracle import Oracle, exact

HOSTILE_KEYS = {
    "abc": "t:abc",
    "123": "t:`123`",
    "-5": "t:`-5`",
    "1a": "t:1a",
    "1_2": "t:`1_2`",
    "_": "t:`_`",
    "a b": "t:`a b`",
    "a'b": "t:`a'b`",
    "a`b": r"t:`a\`b`",
    "a⟨b⟩c": "t:`a⟨b⟩c`",
    "a\nb\t\r\0": r"t:`a\nb\t\r\0`",
    "a\\b": r"t:`a\\b`",
    "\x08\x0c": r"t:`\u{8}\f`",
    "😀": "t:`😀`",
    "": "t:``",
    "none": "t:none",
    "NaN": "t:`NaN`",
    "1e5": "t:1e5",
    "ulid()": "t:`ulid()`",
}


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.mark.parametrize(("key", "text"), HOSTILE_KEYS.items())
def test_hostile_string_keys(key: str, text: str, oracle: Oracle) -> None:
    record = RecordId("t", key)
    assert record_id_text(record) == text == oracle.ask("RETURN <string>$r", r=record)
    assert parse_record_id(text) == record


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (RecordId("t", 1), "t:1"),
        (RecordId("t", -(2**63)), "t:-9223372036854775808"),
        (RecordId("t", [1, "a", 1.5]), "t:[1, 'a', 1.5f]"),
        (RecordId("t", {"a b": 1, "x": RecordId("u", "y z")}), 't:{ "a b": 1, x: u:`y z` }'),
        (RecordId("t", {}), "t:{  }"),
        (RecordId("t", UUID(int=5)), "t:u'00000000-0000-0000-0000-000000000005'"),
        (RecordId("t", Range(Bound("a", False), Bound("b c", True))), "t:a>..=`b c`"),
        (RecordId("t", Range(None, None)), "t:.."),
        (RecordId("a b", 1), "`a b`:1"),
        (RecordId("1a", 1), "1a:1"),
        (RecordId("select", 1), "select:1"),
    ],
)
def test_record_ids(record: RecordId, text: str, oracle: Oracle) -> None:
    assert record_id_text(record) == text == oracle.ask("RETURN <string>$r", r=record)
    assert exact(parse_record_id(text)) == exact(record)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("person:⟨a b⟩", RecordId("person", "a b")),
        ("person:⟨1⟩", RecordId("person", "1")),
        ("⟨a b⟩:1", RecordId("a b", 1)),
        ("person:01", RecordId("person", 1)),
        ("person:9223372036854775808", RecordId("person", "9223372036854775808")),
        ("person:true", RecordId("person", "true")),
        ("person:[1, 'a', [NONE, null]]", RecordId("person", [1, "a", [NONE, None]])),
        ("person:{ a: 1, 'b c': d'1970-01-01T00:00:01Z' }", RecordId("person", {"a": 1, "b c": Datetime(10**9)})),
        ("person:[1h30m, 1.5, 2dec, {1, 2}, {,}, b'ff']",
         RecordId("person", [Duration(5400 * 10**9), 1.5, Decimal(2), SurrealSet((1, 2)), SurrealSet(()), b"\xff"])),
        ("person:1..=5", RecordId("person", Range(Bound(1, True), Bound(5, True)))),
    ],
)  # fmt: skip
def test_record_ids_are_read(text: str, record: RecordId) -> None:
    assert exact(parse_record_id(text)) == exact(record)


@pytest.mark.parametrize(
    "text",
    ["", "person", "person:", ":1", "person:a-b", "person:1:2", "person:é", "person:'a'", "a b:1", "person:[1",
     "person:`a", "person:{a 1}", "person:[u'x']", "person:1 2", "person:[d'2020-02-30T00:00:00Z']",
     "person:-9223372036854775809", "person:" + "[" * 500],
)  # fmt: skip
def test_what_is_no_record_id_is_refused(text: str) -> None:
    with pytest.raises(TextError):
        parse_record_id(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [("abc", "abc"), ("5", 5), ("person:5", 5), ("person:a-b", "a-b"), ("a-b", "a-b"), ("[1]", [1]), ("é", "é"),
     ("018f0000-0000-7000-8000-000000000000", "018f0000-0000-7000-8000-000000000000")],
)  # fmt: skip
def test_a_hint_turns_a_bare_key_into_a_record(text: str, key: object) -> None:
    assert parse_record_id(text, "person") == RecordId("person", key)


def test_a_hint_does_not_hide_another_table() -> None:
    assert parse_record_id("animal:5", "person") == RecordId("animal", 5)
    with pytest.raises(TextError):
        parse_record_id("person:", "person")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1f"),
        (1e30, "1000000000000000000000000000000f"),
        (1e-7, "0.0000001f"),
        (-0.0, "-0f"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.5"), "1.5dec"),
        (Decimal("1E+3"), "1000dec"),
        ("a'b\"c", '"a\'b\\"c"'),
        (b"ab", 'b"6162"'),
        (Datetime(120 * 10**6), "d'1970-01-01T00:00:00.120Z'"),
        (SurrealSet(()), "{,}"),
        (SurrealSet((1,)), "{1,}"),
        (SurrealSet((1, 2)), "{1, 2}"),
        (Geometry("Point", (1.5, 2.0)), "(1.5, 2)"),
        (Table("select"), "`select`"),
        ({"b": NONE, "a b": None}, '{ "a b": NULL, b: NONE }'),
    ],
)
def test_values_print_as_in_the_engine(value: object, text: str, oracle: Oracle) -> None:
    assert inner_text(value) == text
    assert oracle.ask("RETURN <string>[$v]", v=value) == f"[{text}]"
    assert display(value) == oracle.ask("RETURN <string>$v", v=value)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (253_402_300_800 * 10**9, "+10000-01-01T00:00:00Z"),
        (-62_167_219_201 * 10**9, "-0001-12-31T23:59:59Z"),
        (-62_135_596_801 * 10**9, "0000-12-31T23:59:59Z"),
    ],
)
def test_datetimes_print_and_read_back(ns: int, text: str) -> None:
    assert datetime_text(Datetime(ns)) == text
    assert read_datetime(text) == Datetime(ns)


def test_a_datetime_with_an_offset_is_utc() -> None:
    assert read_datetime("2020-01-01T02:00:00.5+02:00") == Datetime(1577836800 * 10**9 + 5 * 10**8)
    for text in ("2020-13-01T00:00:00Z", "2021-02-29T00:00:00Z", "2020-01-01", "2020-01-01T24:00:00Z", "x"):
        with pytest.raises(LiteralError):
            read_datetime(text)


def test_durations_and_floats() -> None:
    assert duration_text(Duration(0)) == "0ns"
    assert duration_text(Duration(2**64 * 10**9 - 1)) == "584942417355y3w5d7h15s999ms999µs999ns"
    assert float_text(1e22 / 3) == "3333333333333333500000"


@pytest.mark.parametrize(
    ("name", "text"),
    [("name", "name"), ("a b", "`a b`"), ("1a", "`1a`"), ("select", "`select`"), ("VALUE", "`VALUE`"), ("", "``"),
     ("a`b\\", r"`a\`b\\`"), ("é", "`é`")],
)  # fmt: skip
def test_names_are_quoted_where_they_must_be(name: str, text: str, oracle: Oracle) -> None:
    assert escape_ident(name) == text
    if name:
        assert oracle.ask(f"SELECT VALUE {text} FROM [$row]", row={name: 5}) == [5]


def test_a_literal_never_ends_early(oracle: Oracle) -> None:
    attack = "'; REMOVE TABLE t; --"
    for value in (attack, {attack: 1}, RecordId(attack, attack), [attack], Table(attack)):
        assert exact(oracle.ask(f"RETURN [{to_surql(value)}]")) == exact([value])


def test_what_has_no_text_is_refused() -> None:
    with pytest.raises(TextError):
        to_surql(object())
    assert to_surql(File("b", "/k a")) == 'f"b:/k\\ a"'


def test_literals_are_read_whole() -> None:
    assert read_value(" [1, 'a' , { b: -2.5f }] ") == [1, "a", {"b": -2.5}]
    assert read_value("-Infinity") == float("-inf")
    assert read_record_id("a:1") == RecordId("a", 1)
    for text in ("[1,,2]", "{a: 1, 2}", "{1, a: 2}", "'\\u{110000}'", "'a", "1 2", "foo", "99999999999999999999"):
        with pytest.raises(LiteralError):
            read_value(text)
