"""The fast text of a record is the text: for every kind of value, every hostile name and id."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from sp00ky.proto.values.kinds import Datetime, RecordId, Value
from sp00ky.proto.values.record_text import id_text, record_text
from sp00ky.proto.values.text import raw_text, record_id_text

from tests.harness.values import names, record_ids, values


@example({"id": RecordId("NaN", "Infinity"), "_": RecordId("_1", "_1"), "1x": RecordId("a b", "1e5")})
@example({"a": 1e16, "b": -0.0, "c": 1e-7, "d": float("nan"), "e": float("inf"), "f": 123456789.5, "g": 2.0})
@example({"a": Datetime(0), "b": Datetime(-1), "c": Datetime.of(-62_167_219_201, 0), "d": Datetime.of(10**12, 0)})
@example({"a": "it's", "b": 'q"', "c": "\\", "d": "\x7f", "e": "\u2028", "f": "😀", "g": "`", "h": "\xad"})
@given(st.dictionaries(names, values, max_size=5))
def test_the_fast_text_is_the_text(record: dict[str, Value]) -> None:
    assert record_text(record) == raw_text(record)


@given(record_ids)
def test_the_fast_text_of_an_id_is_its_text(record_id: RecordId) -> None:
    assert id_text(record_id) == record_id_text(record_id)
