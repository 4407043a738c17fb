"""What may enter: every form becomes the one exact form, and what cannot is named by index and field."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.v1.common_pb2 import OP_CREATE, OP_DELETE, OP_UPDATE, Change
from sp00ky.proto.values.kinds import NONE, Bound, Datetime, Duration, Range, RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler import intake
from sp00ky.scheduler.changes import CanonicalChange, canonical_change, split
from sp00ky.scheduler.intake import Freshness

PERSON_1 = RecordId("person", 1)


def canonical(changes: list[Change]) -> list[CanonicalChange]:
    """The changes as they are taken in; what their bytes say is what their fields say."""
    taken = intake.canonical([change.SerializeToString() for change in changes])
    for change in taken:
        assert canonical_change(Change.FromString(change.encoded)) == change
    return taken


def op_of(change: CanonicalChange) -> int:
    return Change.FromString(change.encoded).op


@pytest.mark.parametrize(
    ("change", "record"),
    [
        (Change(id="person:1", json='{"n": 1}'), {"id": PERSON_1, "n": 1}),
        (Change(id="1", json='{"id": "person:1", "at": "2024-01-01"}'), {"id": PERSON_1, "at": "2024-01-01"}),
        (Change(key=pack(1), json='{"id": "1"}'), {"id": PERSON_1}),
        (Change(key=pack(1), json='{"id": 1}'), {"id": PERSON_1}),
        (
            Change(id="person:1", surql="{ at: d'2024-01-01T00:00:00Z', best: person:2, none: NONE }"),
            {"id": PERSON_1, "at": Datetime.of(1704067200, 0), "best": RecordId("person", 2), "none": NONE},
        ),
        (Change(key=pack(1), packed=pack({"deep": [{"x": [1]}]})), {"id": PERSON_1, "deep": [{"x": [1]}]}),
    ],
)  # fmt: skip
def test_every_form_becomes_the_exact_one(change: Change, record: dict[str, object]) -> None:
    change.table, change.op = "person", OP_UPDATE
    made = canonical([change])[0]
    assert made.packed is not None and unpack(made.packed) == record
    assert (made.table, op_of(made), made.key) == ("person", OP_UPDATE, pack(1))
    assert not Change.FromString(made.encoded).id


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (Change(op=OP_CREATE, id="1", json="{}"), "table"),
        (Change(table="_00_query", op=OP_CREATE, id="1", json="{}"), "table"),
        (Change(table="t" * 256, op=OP_CREATE, id="1", json="{}"), "table"),
        (Change(table="t", id="1", json="{}"), "op"),
        (Change(table="t", op=9, id="1", json="{}"), "op"),
        (Change(table="t", op=OP_CREATE, json="{}"), "id"),
        (Change(table="t", op=OP_CREATE, id="u:1", json="{}"), "id"),
        (Change(table="t", op=OP_CREATE, key=b"\xc1", json="{}"), "key"),
        (Change(table="t", op=OP_CREATE, key=pack(1.5), json="{}"), "key"),
        (Change(table="t", op=OP_CREATE, key=pack(True), json="{}"), "key"),
        (Change(table="t", op=OP_CREATE, id="1"), "record"),
        (Change(table="t", op=OP_CREATE, id="1", json="[]"), "json"),
        (Change(table="t", op=OP_CREATE, id="1", json="{"), "json"),
        (Change(table="t", op=OP_CREATE, id="1", json='{"id": "2"}'), "json.id"),
        (Change(table="t", op=OP_CREATE, id="1", json='{"id": 2.5}'), "json.id"),
        (Change(table="t", op=OP_CREATE, id="1", json='{"x": ' + "[" * 200 + "]" * 200 + "}"), "json"),
        (Change(table="t", op=OP_CREATE, id="1", json='{"x": ' + "[" * 50_000 + "]" * 50_000 + "}"), "json"),
        (Change(table="t", op=OP_CREATE, id="1", surql="{ x: rand() }"), "surql"),
        (Change(table="t", op=OP_CREATE, id="1", packed=b"\x81"), "packed"),
        (Change(table="t", op=OP_CREATE, key=pack(1), packed=msgspec.msgpack.encode({1: 2})), "packed"),
        (Change(table="t", op=OP_CREATE, id="1", json="{}", idempotency_key="k" * 256), "idempotency_key"),
        (Change(table="t", op=OP_CREATE, id="1", json="{}", source=common_pb2.Source(stamp=1)), "source"),
    ],
)
def test_what_cannot_be_applied_is_named(change: Change, field: str) -> None:
    good = Change(table="t", op=OP_CREATE, id="1", json="{}")
    with pytest.raises(Fault) as refused:
        canonical([good, change])
    assert refused.value.code is Code.INVALID
    assert refused.value.details == {"index": "1", "field": field}
    assert "change 1" in refused.value.message


def test_a_record_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "RECORD_BYTES_MAX", 100)
    for form in ({"json": '{"x": "' + "y" * 101 + '"}'}, {"packed": pack({"id": RecordId("t", 1), "x": "y" * 101})}):
        with pytest.raises(Fault, match="larger than 100 bytes"):
            canonical([Change(table="t", op=OP_CREATE, key=pack(1), **form)])


@pytest.mark.parametrize("carried", [{"json": '{"whatever": 1}'}, {"packed": pack({"id": RecordId("t", 1)})}, {}])
def test_a_delete_carries_no_record(carried: dict[str, str]) -> None:
    for named in ({"id": "t:1"}, {"key": pack(1)}):
        made = canonical([Change(table="t", op=OP_DELETE, **named, **carried)])[0]
        assert made.packed is None and op_of(made) == OP_DELETE
        assert Change.FromString(made.encoded).WhichOneof("record") is None


def test_what_is_no_change_is_named_by_its_index() -> None:
    good = Change(table="t", op=OP_CREATE, id="1", json="{}").SerializeToString()
    for broken in (b"\x0a\x05t", b"\xff", b"\x0a\x01\xff\x10\x01\x1a\x01\x01"):
        with pytest.raises(Fault, match="change 1 is no change") as refused:
            intake.canonical([good, broken])
        assert refused.value.code is Code.INVALID
    with pytest.raises(Fault, match="change 0: table is missing"):
        intake.canonical([b""])


LINKS = st.builds(RecordId, st.sampled_from(["t", "other"]), st.one_of(st.integers(-300, 300), st.text(max_size=3)))
KEYS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(), st.uuids(), st.lists(st.integers(-5, 5), max_size=2))
TIMES = st.builds(Datetime.of, st.integers(-(10**9), 10**9), st.integers(0, 999_999_999))
ATOMS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.text(),
    st.floats(allow_nan=False),
    st.none(),
    st.just(NONE),
    KEYS,
    LINKS,
    TIMES,
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.dictionaries(st.text(max_size=3).filter(lambda name: name != "id"), VALUES, max_size=4)


@settings(max_examples=150, deadline=None)
@given(KEYS, FIELDS, st.booleans())
def test_canonical_is_a_fixed_point(
    key: int | str | UUID | list[int], fields: dict[str, object], with_id: bool
) -> None:
    record = {**fields, "id": RecordId("t", key)} if with_id else fields
    once = canonical([Change(table="t", op=OP_CREATE, key=pack(key), packed=pack(record))])[0]
    assert once.packed is not None and unpack(once.packed) == {**fields, "id": RecordId("t", key)}
    assert once.packed == pack(unpack(once.packed))
    assert intake.canonical([once.encoded])[0] == once


@settings(max_examples=300, deadline=None)
@given(LINKS, FIELDS, st.integers(0, 400), st.integers(-1, 255), st.sampled_from(["", "k1"]))
def test_what_is_taken_as_it_came_is_what_building_it_gives(
    record_id: RecordId, fields: dict[str, object], place: int, damage: int, idempotency_key: str
) -> None:
    """The short way in takes nothing that the long way would refuse, or would have changed; whatever the bytes."""
    packed = bytearray(pack({**fields, "id": record_id}))
    if damage >= 0:
        packed[place % len(packed)] = damage
    change = Change(
        table=record_id.table,
        op=OP_UPDATE,
        key=pack(record_id.key),
        packed=bytes(packed),
        idempotency_key=idempotency_key,
    )
    data = change.SerializeToString()
    taken = intake._exact(data)
    if taken is not None:
        assert taken == intake._made_exact(data, 0)


@settings(max_examples=300, deadline=None)
@given(FIELDS, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3), st.integers(0, 60))
def test_a_change_split_in_place_is_what_a_parser_reads(
    fields: dict[str, object], damages: list[tuple[int, int]], cut: int
) -> None:
    packed = pack({**fields, "id": PERSON_1})
    whole = Change(table="person", op=OP_UPDATE, key=pack(1), packed=packed, idempotency_key="k").SerializeToString()
    data = bytearray(whole[: len(whole) - cut])
    for place, byte in damages:
        if data:
            data[place % len(data)] = byte
    parts = split(bytes(data))
    if parts is not None:
        head, key, record, idempotency_key = parts
        parsed = Change.FromString(bytes(data))
        rebuilt = Change(table=head.table, op=parsed.op, key=key, idempotency_key=idempotency_key)
        if record is not None:
            rebuilt.packed = record
        assert parsed == rebuilt and head.is_delete == (parsed.op == OP_DELETE)
    else:
        assert cut or damages


def test_the_forms_that_most_records_have_are_taken_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat or nested, with times and links, of any length: without building a value."""
    monkeypatch.setattr(intake, "_made_exact", None)
    at = Datetime.of(1704067200, 5)
    for fields in (
        {"n": 1},
        {"at": at, "best": RecordId("person", "ann"), "none": NONE, "uuid": UUID(int=7)},
        {"deep": [{"x": [1, at]}], "tags": ["a"]},
        {"long": "x" * 200},
        {"long": "x" * 20_000},
    ):
        for key in (1, -5, "ann"):
            record = pack({**fields, "id": RecordId("person", key)})
            change = Change(table="person", op=OP_UPDATE, key=pack(key), packed=record, idempotency_key="k1")
            assert canonical([change])[0].packed == record


@pytest.mark.parametrize(
    "packed",
    [
        msgspec.msgpack.encode({"n": 1, "id": msgspec.msgpack.Ext(2, b"\x92\xa1t\x01")}),  # keys not in order
        msgspec.msgpack.encode({"id": msgspec.msgpack.Ext(2, b"\x92\xa1t\xd0\x01"), "n": 1}),  # key not minimal
        b"\x82\xa2id\xc7\x04\x02\x92\xa1t\x01\xa1n\xd0\x01",  # int not minimal
    ],
)  # fmt: skip
def test_what_is_not_canonical_is_made_so(packed: bytes) -> None:
    made = canonical([Change(table="t", op=OP_CREATE, key=pack(1), packed=packed)])[0]
    assert made.packed == pack({"id": RecordId("t", 1), "n": 1})


def test_a_record_that_smuggles_another_id_is_refused() -> None:
    other = pack({"id": RecordId("t", 2), "x": b"\xa2id" + pack(RecordId("t", 1))})
    with pytest.raises(Fault, match="names another record"):
        canonical([Change(table="t", op=OP_CREATE, key=pack(1), packed=other)])


def sourced(key: int, stamp: int, epoch: int = 1) -> CanonicalChange:
    source = common_pb2.Source(epoch=epoch, stamp=stamp)
    return canonical_change(Change(table="t", op=OP_UPDATE, key=pack(key), packed=pack({}), source=source))


def test_g5_a_captured_change_is_folded_once() -> None:
    stored = {pack(1): (1, 10)}
    freshness = Freshness(lambda table, key: stored.get(key, (0, 0)))
    old, same, new = sourced(1, 9), sourced(1, 10), sourced(1, 11)
    assert freshness.sift([[old], [same, new], [new]]) == [[new]]
    assert freshness.sift([[sourced(1, 11)], [sourced(1, 1, epoch=2)]]) == [[sourced(1, 1, epoch=2)]]


def test_one_commit_may_change_a_record_twice() -> None:
    freshness = Freshness(lambda table, key: (0, 0))
    twice = [sourced(1, 5), sourced(1, 5)]
    assert freshness.sift([twice]) == [twice]
    assert freshness.sift([twice]) == []


def test_a_change_without_a_source_stands_and_its_row_has_no_stamp() -> None:
    plain = [canonical_change(Change(table="t", op=OP_UPDATE, key=pack(1), packed=pack({})))]
    freshness = Freshness(lambda table, key: (9, 9))
    assert freshness.sift([[sourced(1, 1)], plain, [sourced(1, 1)]]) == [plain, [sourced(1, 1)]]


@pytest.mark.parametrize(
    ("key", "record", "field"),
    [
        (2**63, None, "key"),
        (2**64 - 1, {}, "key"),
        ([2**63], {}, "key"),
        (1, {"n": 2**63}, "packed"),
        (1, {"n": [{"m": 2**64 - 1}]}, "packed"),
        (1, {"n": RecordId("t", 2**63)}, "packed"),
        (1, {"n": Range(Bound(2**63, True), NONE)}, "packed"),
    ],
)
def test_an_integer_that_surrealdb_has_not_is_refused(key: Value, record: dict[str, Value] | None, field: str) -> None:
    change = Change(table="t", op=OP_DELETE if record is None else OP_UPDATE, key=pack(key))
    if record is not None:
        change.packed = pack({"id": RecordId("t", key), **record})
    with pytest.raises(Fault) as caught:
        canonical([change])
    assert caught.value.code is Code.INVALID and caught.value.details["field"] == field


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), "ρ" * 9, b"\xcf\xff", 2**32, Duration(2**64 * 10**9 - 1)])
def test_what_only_looks_like_such_an_integer_is_taken(value: Value) -> None:
    change = Change(table="t", op=OP_UPDATE, key=pack(1), packed=pack({"id": RecordId("t", 1), "n": value}))
    assert canonical([change])[0].packed == change.packed
