"""What a row of `_00_query`, or its absence, asks for: every case by itself."""

from __future__ import annotations

from typing import Any

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import NONE, Duration, RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.registering.rows import (
    Forget,
    Kept,
    Refuse,
    Register,
    Replace,
    TakeOver,
    Unregister,
    decide,
    decide_absent,
    key_of_row,
    row_id,
    spec_of,
)

ANN = RecordId("user", "ann")
SURQL = "SELECT * FROM item WHERE n < $max"
HOSTILE = ("a'b", 'a"b', "a`b", "a⟨b⟩", "a\nb", "🦊", "123", "1.5", "null", "a:b", "_00_query:x", " ", "[1, user:ann]")


def row(key: Value = "v", **fields: Any) -> dict[str, Value]:
    """As the database answers: fields that are not there are NONE."""
    absent = dict.fromkeys(("auth", "access", "claims", "clientId", "format", "params", "ttl", "surql"), NONE)
    found = {**absent, "registration": 0, "surql": SURQL, "params": {"max": 3}, **fields}
    return {"id": RecordId("_00_query", key), **found}


def kept(key: Value = "v", *, foreign: bool = False, **changed: Any) -> Kept:
    """The view that a like row has registered."""
    fields = {"auth": key[1]} if isinstance(key, list) else {}
    spec = spec_of(row(key, **fields))
    spec.registered_seq = 7
    for name, value in changed.items():
        setattr(spec, name, value)
    return Kept(spec, foreign)


def refused(command: object) -> Fault:
    assert isinstance(command, Refuse), command
    return command.fault


def test_a_new_row_registers_what_it_says() -> None:
    asked = decide(row(clientId="c", ttl=Duration(90 * 10**9), format="flat"), None)
    assert isinstance(asked, Register)
    spec = asked.spec
    assert (spec.key.id, spec.key.auth_id, spec.surql, unpack(spec.params)) == ("v", "", SURQL, {"max": 3})
    assert (spec.client_id, spec.ttl_ms, spec.format, spec.by_row, spec.auth) == ("c", 90_000, "flat", True, b"")


def test_g2_a_users_row_registers_as_the_user_that_the_database_wrote() -> None:
    asked = decide(row(["v", ANN], auth=ANN, access="account", claims={"role": "editor"}), None)
    assert isinstance(asked, Register)
    assert asked.spec.key == common_pb2.ViewKey(id="v", auth_id="user:ann")
    assert unpack(asked.spec.auth) == {"id": ANN, "access": "account", "claims": {"role": "editor"}}


@pytest.mark.parametrize(
    ("key", "auth"),
    [(["v", ANN], NONE), (["v", ANN], RecordId("user", "bob")), ("v", ANN), (["v", RecordId("user", 1)], ANN)],
)
def test_g2_a_row_whose_key_and_user_differ_is_refused(key: Value, auth: Value) -> None:
    fault = refused(decide(row(key, auth=auth), None))
    assert fault.code is Code.INVALID and "auth of view" in fault.message


@pytest.mark.parametrize("key", [123, ["v"], ["v", 1], [1, ANN], {"v": 1}, ["v", ANN, 1]])
def test_a_row_of_another_key_is_refused(key: Value) -> None:
    fault = refused(decide(row(key), None))
    assert "key of a query" in fault.message and "fn::query::register" in fault.hint


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ids_are_ids(name: str) -> None:
    for key in (name, [name, RecordId("user", name)]):
        asked = decide(row(key, auth=key[1] if isinstance(key, list) else NONE), None)
        assert isinstance(asked, Register)
        view = ViewKey(asked.spec.key.id, asked.spec.key.auth_id)
        assert view == key_of_row(key) and row_id(view) == RecordId("_00_query", key)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"surql": NONE}, "no surql"),
        ({"surql": "SELECT * FROM"}, "column 14"),
        ({"surql": "DELETE item"}, "DELETE"),
        ({"surql": "SELECT * FROM item", "params": {"auth": 1}}, "$auth"),
        ({"params": {"n": 2**63}}, "2^63"),
        ({"params": {"n": "x" * 1024 * 1024}}, "larger than"),
        ({"surql": "SELECT * FROM item WHERE a = '" + "x" * 65536 + "'"}, "longer than"),
        ({"ttl": Duration(2**64 * 10**7)}, "ttl"),
        ({"clientId": "c" * 513}, "at most 512"),
        ({"format": "f" * 65}, "at most 64"),
        ({"bytes": 5_000_000}, "5000000 bytes"),
    ],
)
def test_what_can_be_no_view_is_refused_with_its_reason(fields: dict[str, Any], said: str) -> None:
    asked = decide(row(**fields), None)
    fault = refused(asked)
    assert said.lower() in f"{fault.message} {fault.hint}".lower()
    assert isinstance(asked, Refuse) and asked.ends is None
    again = decide(row(**fields), kept())
    assert isinstance(again, Refuse) and again.ends == ViewKey("v"), "what it was until now ends"


def test_a_row_that_is_registered_asks_for_nothing() -> None:
    assert decide(row(), kept()) is None
    assert decide(row(["v", ANN], auth=ANN, claims={"later": 1}), kept(["v", ANN])) is None, "claims are the first ones"


def test_another_ttl_or_client_renews_and_another_text_replaces() -> None:
    renewed = decide(row(ttl=Duration(10**9), clientId="d"), kept())
    assert isinstance(renewed, Register) and (renewed.spec.ttl_ms, renewed.spec.client_id) == (1000, "d")
    for other in ({"surql": "SELECT * FROM item"}, {"params": {"max": 4}}):
        assert isinstance(decide(row(**other), kept()), Replace)


def test_a_clients_row_over_a_view_that_came_another_way_takes_it_over() -> None:
    taken = decide(row(), kept(by_row=False))
    assert isinstance(taken, TakeOver) and taken.spec.by_row and taken.spec.registered_seq == 7


def test_a_row_that_an_ssp_over_http_wrote_in_its_own_form_is_that_view() -> None:
    written = row(params={"max": "3"})
    taken = decide(written, kept(by_row=False, foreign=True))
    assert isinstance(taken, TakeOver) and unpack(taken.spec.params) == {"max": 3}


@pytest.mark.parametrize("registration", [5, 7, -1, NONE])
def test_a_row_of_the_mesh_registers_nothing_and_renews_nothing(registration: Value) -> None:
    written = row(registration=registration, surql="SELECT 1")
    assert decide(written, None) is None, "no view rises from what was unregistered"
    assert decide(written, kept(by_row=False)) is None
    assert decide(written, kept()) == Unregister(ViewKey("v")), "the client's row that made it is gone"


@pytest.mark.parametrize(
    ("by_row", "registration", "ends"),
    [(True, None, True), (True, 0, True), (True, 6, True),
     (False, None, False), (False, 0, False), (False, 6, False), (False, 7, True)],
)  # fmt: skip
def test_a_row_that_is_gone_ends_its_own_registration_and_no_other(
    by_row: bool, registration: int | None, ends: bool
) -> None:
    asked = decide_absent("v", kept(by_row=by_row), registration)
    assert asked == (Unregister(ViewKey("v")) if ends else None)


def test_a_row_that_is_gone_and_was_no_view_is_forgotten() -> None:
    assert decide_absent(123, None, 0) == Forget(123)


def test_a_ttl_of_less_than_a_millisecond_is_not_for_ever() -> None:
    assert spec_of(row(ttl=Duration(0))).ttl_ms == spec_of(row(ttl=Duration(1))).ttl_ms == 1
    assert spec_of(row(ttl=NONE)).ttl_ms == 0


def test_params_of_no_fields_are_none() -> None:
    assert spec_of(row(params={})).params == spec_of(row(params=NONE)).params == b""
    assert spec_of(row(params={"b": 1, "a": 2})).params == pack({"a": 2, "b": 1})
