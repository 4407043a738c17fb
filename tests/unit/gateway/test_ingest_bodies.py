"""What `/ingest` makes of a body, without a server: shapes, places named in faults, what is never accepted."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.gateway.errors import status_of
from sp00ky.gateway.exchange import CBOR, JSON, NDJSON, Asked, Limits
from sp00ky.gateway.translate.ingest import ingest_request
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import common_pb2, ingest_pb2
from sp00ky.proto.values.cbor import encode
from sp00ky.proto.values.kinds import Datetime, RecordId
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.proto.values.text import parse_record_id

ADA = {"table": "person", "op": "CREATE", "id": "person:ada", "record": {"name": "Ada", "age": 36}}


def asked(body: object, media_type: str = JSON, **options: object) -> Asked:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Asked("scheduler", media_type=media_type, body=data, **options)  # type: ignore[arg-type]


def refused(body: object, media_type: str = JSON, **options: object) -> Fault:
    with pytest.raises(Fault) as caught:
        ingest_request(asked(body, media_type, **options))
    return caught.value


def one(body: object, media_type: str = JSON) -> common_pb2.Change:
    (change,) = ingest_request(asked(body, media_type)).changes
    return change


def test_an_object_is_one_change_whose_record_stays_json() -> None:
    change = one(ADA)
    assert (change.table, change.op, unpack(change.key)) == ("person", common_pb2.OP_CREATE, "ada")
    assert json.loads(change.json) == ADA["record"]
    assert not change.HasField("packed") and not change.HasField("source")


@pytest.mark.parametrize(
    ("given_id", "key"),
    [
        ("person:ada", "ada"),
        ("ada", "ada"),
        ("person:1", 1),
        ("1", 1),
        ("person:⟨1⟩", "1"),
        ("person:`a b`", "a b"),
        ("person:[1, 'x']", [1, "x"]),
        ("a-b", "a-b"),
    ],
)
def test_an_id_is_a_record_id_or_a_bare_key(given_id: str, key: object) -> None:
    assert one({**ADA, "id": given_id}).key == pack(key)


@pytest.mark.parametrize("op", ["create", "Create", "CREATE"])
def test_an_op_is_read_in_any_case(op: str) -> None:
    assert one({**ADA, "op": op}).op == common_pb2.OP_CREATE


def test_a_deletion_needs_no_record_and_sends_none() -> None:
    for body in (
        {"table": "t", "op": "DELETE", "id": "t:1"},
        {**ADA, "op": "DELETE"},
        {**ADA, "op": "DELETE", "record": None},
    ):
        assert one(body).WhichOneof("record") is None


def test_unknown_and_documented_extra_fields_are_ignored() -> None:
    assert one({**ADA, "job_assignee": None, "hash": "", "later": [1]}) == one(ADA)


def test_an_array_is_one_transaction_and_lines_are_their_own() -> None:
    lines = b"\n".join((orjson.dumps(ADA), b"  ", orjson.dumps({**ADA, "id": "person:2"}), b""))
    array, ndjson = ingest_request(asked([ADA, ADA])), ingest_request(asked(lines, NDJSON))
    assert (array.atomic, len(array.changes)) == (True, 2)
    assert (ndjson.atomic, len(ndjson.changes)) == (False, 2)


def test_cbor_is_exact() -> None:
    record = {"at": Datetime(1), "author": RecordId("user", 7)}
    change = one(encode({"table": "t", "op": "UPDATE", "id": RecordId("t", [1, "x"]), "record": record}), CBOR)
    assert unpack(change.packed) == record
    assert unpack(change.key) == [1, "x"]


def test_an_idempotency_key_names_each_change() -> None:
    request = ingest_request(asked([ADA, ADA], idempotency_key="k"))
    assert [change.idempotency_key for change in request.changes] == ["k/0", "k/1"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'"text"', "text, not an object"),
        (b"null", "null, not an object"),
        (b"[]", "no change"),
        (b"[1]", "index 0 is a number"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (b'{"table": NaN}', "NaN"),
        (b'{"a": 1} {"a": 1}', "not JSON"),
        (b'{"table": "a", "table": "b"}', "'table' is repeated"),
        ({**ADA, "op": "MERGE"}, 'op "MERGE"'),
        ({**ADA, "op": 1}, '"op" is a number'),
        ({**ADA, "table": ""}, '"table" is empty'),
        ({**ADA, "id": 7}, '"id" is a number'),
        ({**ADA, "id": "other:1"}, 'names table "other"'),
        ({**ADA, "record": [1]}, '"record" is an array'),
        ({"table": "t", "op": "CREATE", "id": "t:1"}, '"record" is missing'),
        ([ADA, {**ADA, "op": ""}], "index 1"),
        (b'{"table":"t","op":"CREATE","id":"t:1","record":{"a":1e400}}', "range of a float"),
        (b'{"table":"t","op":"CREATE","id":"t:1","record":{"a":9223372036854775808}}', "64 bits"),
        (b'{"table":"t","op":"CREATE","id":"t:1","record":{"a":' + b"9" * 5000 + b"}}", "not JSON"),
        (b'{"table":"t","op":"CREATE","id":"t:1","record":{"a":"\\ud800"}}', "surrogate"),
        (b'{"table":"t","op":"CREATE","id":"\\uD83D","record":{}}', "surrogate"),
        (b'{"table":"t","op":"\\udc00","id":"1","record":{}}', "surrogate"),
        (b"[" * 100_000 + b"]" * 100_000, "nests"),
        (b'{"table":"t","op":"CREATE","id":"t:1","record":' + b'{"a":' * 200 + b"1" + b"}" * 201, "nests"),
    ],
)
def test_i1_what_is_no_change_is_refused_with_its_place(body: object, words: str) -> None:
    fault = refused(body)
    assert (status_of(fault), words in fault.message) == (400, True), fault.message


def test_a_bad_line_is_named_by_its_number_and_refuses_all() -> None:
    lines = orjson.dumps(ADA) + b"\n\n" + orjson.dumps({**ADA, "op": "nope"})
    assert refused(lines, NDJSON).message.startswith("line 3: op")
    assert "line 2 is not JSON" in refused(orjson.dumps(ADA) + b"\n{", NDJSON).message


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json2"])
def test_another_content_type_is_415(media_type: str) -> None:
    assert status_of(refused(ADA, media_type)) == 415


def test_the_documented_ssp_reads_json_without_a_content_type() -> None:
    assert ingest_request(Asked("ssp", body=orjson.dumps(ADA))).changes


def test_g6_more_changes_than_the_limit_are_413() -> None:
    limits = Limits(changes_max=2)
    assert len(ingest_request(asked([ADA] * 2, limits=limits)).changes) == 2
    assert status_of(refused([ADA] * 3, limits=limits)) == 413
    assert status_of(refused(b"\n".join([orjson.dumps(ADA)] * 3), NDJSON, limits=limits)) == 413


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(record=st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=5))
def test_every_json_record_arrives_as_it_was_sent(record: dict[str, object]) -> None:
    assert json.loads(one({**ADA, "record": record}).json) == record


@settings(max_examples=200, deadline=None)
@given(
    key=st.from_regex(r"[A-Za-z0-9_]{1,22}", fullmatch=True)
    | st.sampled_from(["true", "NONE", "rand", "u", "d", "00", "1e5", "NaN"])
)
def test_the_short_way_to_a_key_is_the_parsers(key: str) -> None:
    assert one({**ADA, "id": f"person:{key}"}).key == pack(parse_record_id(f"person:{key}", "person").key)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=60) | JSON_VALUES.map(orjson.dumps), media_type=st.sampled_from([JSON, NDJSON, CBOR]))
def test_i1_any_bytes_are_changes_or_a_fault_of_the_caller(body: bytes, media_type: str) -> None:
    try:
        assert isinstance(ingest_request(asked(body, media_type)), ingest_pb2.IngestRequest)
    except Fault as fault:
        assert 400 <= status_of(fault) < 500
