"""Every kind of value comes back from every encoding, and from the engine itself, as it went in."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.values import cbor, pack
from sp00ky.proto.values.kinds import NONE, NoneKind, Range, RecordId, Value
from sp00ky.proto.values.text import parse_record_id, record_id_text, to_surql

from tests.harness import values as strategies
from tests.harness.oracle import Oracle, exact


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.mark.parametrize("value", strategies.ONE_OF_EACH.values(), ids=strategies.ONE_OF_EACH.keys())
def test_each_kind_survives_every_codec(value: Value, oracle: Oracle) -> None:
    assert exact(pack.unpack(pack.pack(value))) == exact(value)
    assert exact(cbor.decode(cbor.encode(value))) == exact(value)
    assert exact(oracle.ask("RETURN $v", v=value)) == exact(value)


@pytest.mark.parametrize("value", strategies.ONE_OF_EACH.values(), ids=strategies.ONE_OF_EACH.keys())
def test_each_kind_survives_being_stored(value: Value, oracle: Oracle) -> None:
    oracle.ask("CREATE stored CONTENT { id: $id, v: $v, inner: { v: $v }, list: [$v] }", id=exact(value), v=value)
    [row] = oracle.ask("SELECT * FROM stored WHERE id = $id", id=RecordId("stored", exact(value)))
    assert exact(row["list"]) == exact([value])
    assert exact(row.get("v", NONE)) == exact(value)
    assert exact(row["inner"].get("v", NONE)) == exact(value)


@settings(max_examples=150, deadline=None)
@given(strategies.values)
def test_pack_and_cbor_round_trip(value: Value) -> None:
    assert exact(pack.unpack(pack.pack(value))) == exact(value)
    assert exact(cbor.decode(cbor.encode(value))) == exact(value)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(strategies.names, strategies.values, min_size=2, max_size=4))
def test_packed_bytes_do_not_depend_on_the_order_of_fields(value: dict[str, Value]) -> None:
    turned = dict(reversed(value.items()))
    assert pack.pack(turned) == pack.pack(value)


@settings(max_examples=100, deadline=None)
@given(st.lists(strategies.values, min_size=2, max_size=6))
def test_no_packed_value_is_a_prefix_of_another(items: list[Value]) -> None:
    packed = {pack.pack(item) for item in items}
    assert not [(a, b) for a in packed for b in packed if a != b and b.startswith(a)]


@settings(max_examples=60, deadline=None)
@given(value=st.lists(strategies.values, min_size=1, max_size=8))
def test_the_engine_returns_what_it_was_given(oracle: Oracle, value: list[Value]) -> None:
    assert exact(oracle.ask("RETURN $v", v=value)) == exact(value)


@settings(max_examples=60, deadline=None)
@given(value=st.lists(strategies.values, min_size=1, max_size=4))
def test_a_literal_evaluates_to_its_value(oracle: Oracle, value: list[Value]) -> None:
    for item in value:
        text = to_surql(item)
        assert exact(oracle.ask(f"RETURN [{text}]")) == exact([item]), text


@settings(max_examples=60, deadline=None)
@given(records=st.lists(strategies.record_ids, min_size=1, max_size=6))
def test_record_ids_print_as_the_engine_prints_them_and_read_back(oracle: Oracle, records: list[RecordId]) -> None:
    texts = [record_id_text(record) for record in records]
    assert oracle.ask("RETURN $records.map(|$r| <string>$r)", records=records) == texts
    for record, text in zip(records, texts, strict=True):
        assert exact(parse_record_id(text)) == exact(record)


def test_bytes_that_are_no_value_are_refused() -> None:
    for data in (b"", b"\xc1", b"\x92\x01", b"\x01\x01", b"\xc7\x01\x63\x00"):
        with pytest.raises(pack.PackError):
            pack.unpack(data)
    for data in (b"", b"\xff", b"\xd8\x63\x01", b"\x82\x01"):
        with pytest.raises(cbor.CborError):
            cbor.decode(data)


@settings(max_examples=150, deadline=None)
@given(
    value=st.sampled_from([*strategies.ONE_OF_EACH.values()]),
    places=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_damaged_bytes_raise_the_codec_s_own_error_or_are_a_value(value: Value, places: list[tuple[int, int]]) -> None:
    for encode, decode, error in (
        (pack.pack, pack.unpack, pack.PackError),
        (cbor.encode, cbor.decode, cbor.CborError),
    ):
        data = bytearray(encode(value))
        for place, byte in places:
            data[place % len(data)] = byte
        with contextlib.suppress(error):
            decode(bytes(data))


def test_what_no_codec_takes_is_refused() -> None:
    deep: Value = []
    for _ in range(pack.DEPTH_MAX + 1):
        deep = [deep]
    for value in (object(), 2**64, deep, {1: 2}):
        with pytest.raises((pack.PackError, cbor.CborError)):
            pack.pack(value)
    for value in (object(), 2**63):
        with pytest.raises(cbor.CborError):
            cbor.encode(value)


def test_none_is_one_object_in_every_encoding() -> None:
    assert pack.unpack(pack.pack([NONE]))[0] is NONE
    assert cbor.decode(cbor.encode([NONE]))[0] is NONE
    assert isinstance(NONE, NoneKind)
    assert Range(None, None) == cbor.decode(cbor.encode(Range(None, None)))
