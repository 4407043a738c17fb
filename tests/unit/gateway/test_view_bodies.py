"""Registrations and reads, translated without a server."""

from __future__ import annotations

import orjson
import pytest
from sp00ky.gateway.errors import status_of
from sp00ky.gateway.exchange import CBOR, JSON, Answer, Asked
from sp00ky.gateway.translate.proxy import query_answer, query_request
from sp00ky.gateway.translate.views import (
    debug_answer,
    explain_request,
    first_read_request,
    get_answer,
    get_request,
    register_answer,
    register_request,
    unregister_request,
)
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import common_pb2, proxy_pb2, views_pb2
from sp00ky.proto.values.cbor import encode
from sp00ky.proto.values.kinds import Datetime, RecordId
from sp00ky.proto.values.pack import pack, unpack

from tests.harness.fake_mesh import token, view_response

VIEW = {"id": "v1", "surql": "SELECT * FROM person", "clientId": "c1", "ttl": "30s"}


def asked(body: object = None, media_type: str = JSON, **options: object) -> Asked:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Asked("scheduler", media_type=media_type, body=data, **options)  # type: ignore[arg-type]


def reading(view_id: str, **query: str) -> Asked:
    return Asked("scheduler", path={"id": view_id}, query=query)


def decoded(answer: Answer) -> dict[str, object]:
    value = orjson.loads(answer.body)
    assert isinstance(value, dict)
    return value


def test_both_documented_spellings_are_one_registration() -> None:
    snake = {"query_id": "v1", "view_plan": "SELECT * FROM person", "client_id": "c1", "ttl": "30s"}
    camel = register_request(asked(VIEW))
    assert camel == register_request(asked(snake))
    assert (camel.spec.key.id, camel.spec.client_id, camel.spec.ttl_ms) == ("v1", "c1", 30_000)


def test_only_id_and_query_are_needed() -> None:
    spec = register_request(asked({"id": "v", "surql": "SELECT * FROM t"})).spec
    assert (spec.ttl_ms, spec.params, spec.client_id, spec.format) == (0, b"", "", "")


@pytest.mark.parametrize(
    ("params", "packed"),
    [
        ({"min": 3}, {"min": 3}),
        ("{ author: user:ada, at: d'1970-01-01T00:00:00Z' }", {"author": RecordId("user", "ada"), "at": Datetime(0)}),
        (None, None),
        ({}, None),
    ],
)
def test_params_are_json_or_the_text_of_a_surrealql_object(params: object, packed: object) -> None:
    found = register_request(asked({**VIEW, "params": params})).spec.params
    assert (unpack(found) if found else None) == packed


def test_cbor_params_are_exact() -> None:
    body = encode({**VIEW, "params": {"author": RecordId("user", 1)}})
    assert unpack(register_request(asked(body, CBOR)).spec.params) == {"author": RecordId("user", 1)}


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("30s", 30_000), ("1h30m", 5_400_000), ("1ns", 1), ("0s", 0), ("", 0), (None, 0)]
)
def test_a_ttl_is_a_duration_text(text: str | None, milliseconds: int) -> None:
    assert register_request(asked({**VIEW, "ttl": text})).spec.ttl_ms == milliseconds


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": None}, '"id" (or query_id, queryId) is missing'),
        ({"id": ""}, '"id" is empty'),
        ({"id": 5}, '"id" is a number'),
        ({"id": "x" * 2000}, "longer than"),
        ({"id": "_00_query:"}, "empty"),
        ({"surql": None}, '"surql"'),
        ({"surql": {"op": "scan"}}, '"surql" is an object'),
        ({"ttl": "soon"}, '"ttl" is "soon"'),
        ({"ttl": 30}, '"ttl" is a number'),
        ({"ttl": "99999999999999999999y"}, '"ttl"'),
        ({"params": [1]}, '"params" is an array'),
        ({"params": "{ a: "}, '"params" is not a SurrealQL object'),
        ({"params": "[1]"}, '"params" is an array'),
        ({"params": "{ a: rand::int(1) }"}, '"params" is not a SurrealQL object'),
        ({"rows": "many"}, '"rows"'),
        ({"auth": ""}, "auth is empty"),
        ({"auth": {}}, "auth is not the record id of a user"),
        ({"auth": ["user:1"]}, "auth is not the record id of a user"),
        ({"auth": True}, "auth is not the record id of a user"),
        ({"auth": "nobody"}, "auth is no record id"),
        ({"auth": "user:1; DELETE note"}, "auth is no record id"),
        ({"params": {"auth": "user:1"}}, "params have $auth"),
        ({"params": "{ token: { role: 'admin' } }"}, "params have $token"),
        ({"auth": {"id": "u"}}, "auth is no record id"),
        ({"auth": "user:1..2"}, "auth is not the record id of a user"),
        ({"auth": 5}, "auth is not the record id of a user"),
        ({"auth": {"access": "account"}}, "auth is not the record id of a user"),
        ({"auth": {"id": "user:1", "access": 5}}, "access of auth is not text"),
        ({"auth": {"id": "user:1", "claims": "a"}}, "claims of auth are not an object"),
        ({"auth": {"id": "user:1", "role": "admin"}}, 'auth has "role"'),
        ({"auth": f"user:{'x' * 600}"}, "auth has an id of"),
        ({"clientId": 9}, '"clientId" is a number'),
    ],
)
def test_a_registration_of_the_wrong_shape_names_the_field(change: dict[str, object], words: str) -> None:
    with pytest.raises(Fault) as caught:
        register_request(asked({**VIEW, **change}))
    missing_or_of_another_kind = None in change.values() or ('" is a' in words)
    status = 422 if missing_or_of_another_kind else 400
    assert (status_of(caught.value), words in caught.value.message) == (status, True), caught.value.message


def test_a_user_of_too_many_claims_is_too_large() -> None:
    stated = {"id": "user:1", "claims": {"roles": ["reader"] * 20_000}}
    for request, body in ((register_request, VIEW), (explain_request, {"surql": VIEW["surql"]})):
        with pytest.raises(Fault) as caught:
            request(asked({**body, "auth": stated}))
        assert (status_of(caught.value), "auth has" in caught.value.message) == (413, True), caught.value.message


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("", "auth is empty"),
        ("nobody", "auth is no record id"),
        ("user:1..2", "auth is not the record id of a user"),
        ('{"id": "user:1"}', "auth is no record id"),
        (f"user:{'x' * 600}", "auth has an id of"),
    ],
)
def test_a_read_as_nobody_is_refused(user: str, words: str) -> None:
    """Not answered with the view that a service has under the same id."""
    with pytest.raises(Fault) as caught:
        get_request(reading("v", auth=user))
    assert (status_of(caught.value), words in caught.value.message) == (400, True), caught.value.message


@pytest.mark.parametrize("field", ["surql", "clientId", "auth", "format", "ttl"])
def test_half_a_surrogate_pair_is_refused_in_any_field(field: str) -> None:
    body = orjson.dumps({**VIEW, field: "@"}).replace(b'"@"', b'"\\ud800"')
    with pytest.raises(Fault) as caught:
        register_request(asked(body))
    assert "surrogate" in caught.value.message


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("abc", "abc"),
        ("_00_query:abc", "abc"),
        ("_00_query:⟨a-b⟩", "a-b"),
        ("_00_query:`a-b`", "a-b"),
        ("_00_query:123", "123"),
        ("_00_query:a b", "a b"),
        ("other:abc", "other:abc"),
    ],
)
def test_a_view_has_one_id_whatever_its_prefix(text: str, canonical: str) -> None:
    assert get_request(reading(text)).key.id == canonical
    assert unregister_request(asked({"id": text})).key.id == canonical
    assert register_request(asked({**VIEW, "id": text})).spec.key.id == canonical


def test_one_client_gives_a_view_up_or_it_ends() -> None:
    assert unregister_request(asked({"id": "v", "client_id": "me"})).client_id == "me"
    assert unregister_request(asked({"id": "v"})).client_id == ""


def test_answers_repeat_the_id_as_its_client_wrote_it() -> None:
    response = views_pb2.RegisterViewResponse(query_id="abc", ssp_id="s")
    assert decoded(register_answer(asked({**VIEW, "id": "_00_query:abc"}), response))["query_id"] == "_00_query:abc"
    assert decoded(get_answer(reading("_00_query:abc"), view_response()))["id"] == "_00_query:abc"


def test_a_registration_with_rows_reads_at_its_own_revision() -> None:
    response = views_pb2.RegisterViewResponse(revision=token(7))
    assert first_read_request(asked(VIEW), response) is None
    request = first_read_request(asked({**VIEW, "rows": 1}), response)
    assert request is not None
    assert (request.consistency, request.revision, request.rows) == (
        common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH,
        token(7),
        True,
    )


@pytest.mark.parametrize(
    ("query", "consistency", "revision"),
    [
        ({}, common_pb2.CONSISTENCY_MINIMIZE_LATENCY, ""),
        ({"revision": token(3)}, common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH, token(3)),
        (
            {"consistency": "at_exact_snapshot", "revision": token(3)},
            common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT,
            token(3),
        ),
        ({"consistency": "fully_consistent"}, common_pb2.CONSISTENCY_FULLY_CONSISTENT, ""),
        ({"consistency": "minimize_latency", "revision": token(3)}, common_pb2.CONSISTENCY_MINIMIZE_LATENCY, ""),
    ],
)
def test_a_read_says_how_fresh(query: dict[str, str], consistency: int, revision: str) -> None:
    request = get_request(reading("v", **query))
    assert (request.consistency, request.revision) == (consistency, revision)


@pytest.mark.parametrize(
    "query",
    [
        {"consistency": "eventual"},
        {"consistency": "at_least_as_fresh"},
        {"consistency": "at_exact_snapshot"},
        {"revision": "v1.nonsense"},
        {"rows": "2"},
    ],
)
def test_a_read_that_makes_no_sense_is_400(query: dict[str, str]) -> None:
    with pytest.raises(Fault) as caught:
        get_request(reading("v", **query))
    assert status_of(caught.value) == 400


def test_rows_are_in_the_body_only_when_asked_for() -> None:
    assert "rows" not in decoded(get_answer(reading("v1"), view_response()))
    assert decoded(get_answer(reading("v1", rows="1"), view_response()))["rows"] == [{"name": "Ada", "age": 36}]


def test_a_failed_view_answers_its_error() -> None:
    failed = views_pb2.GetViewResponse(state=views_pb2.VIEW_STATE_FAILED, error="no such table")
    body = decoded(get_answer(reading("v1", rows="1"), failed))
    assert (body["state"], body["error"], body["mode"], body["rows"]) == ("failed", "no such table", None, None)


def test_a_debug_reading_has_the_documented_fields() -> None:
    body = decoded(debug_answer(reading("v1"), view_response()))
    assert body["cache"] == [{"key": "person:2", "weight": 1}, {"key": "person:1", "weight": 1}]
    assert body["subquery_cache"] == [{"key": "note:9", "parent_key": "person:2", "alias": "notes"}]
    assert (body["view_id"], body["cache_size"], body["last_hash"], body["format"]) == ("v1", 2, "abc123", "Streaming")


def test_explain_takes_params_too() -> None:
    request = explain_request(asked({"surql": "SELECT * FROM t", "params": {"a": 1}}))
    assert (request.surql, request.params_json) == ("SELECT * FROM t", '{"a":1}')


def test_a_proxy_query_carries_exact_vars_and_answers_surrealdbs_json() -> None:
    request = query_request(asked({"query": "SELECT * FROM t", "vars": {"a": "x"}, "revision": token(3)}))
    assert (request.query, unpack(request.vars), request.revision) == ("SELECT * FROM t", {"a": "x"}, token(3))
    response = proxy_pb2.QueryResponse(result=pack([{"id": RecordId("t", 1), "at": Datetime(0)}]), revision=token(3))
    answer = query_answer(asked({}), response)
    assert orjson.loads(answer.body) == [{"id": "t:1", "at": "1970-01-01T00:00:00Z"}]
    assert answer.headers == {"Spky-Revision": token(3)}
