"""A fault crosses the wire as google.rpc details, whole or cut to what every peer takes."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto.details import DOMAIN, FACTS_BYTES_MAX, TEXT_MAX, TRAILER, fault_in, trailers
from sp00ky.proto.faults import FIELD, RESOURCE_NAME, RESOURCE_TYPE, RETRY_AFTER_MS, Code, Fault

TEXT = st.text(max_size=60)
FACTS = st.dictionaries(
    st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=8), TEXT, max_size=4
)


def sent(fault: Fault) -> status_pb2.Status:
    return status_pb2.Status.FromString(dict(trailers(fault))[TRAILER])


def detail(fault: Fault, kind: Any) -> Any:
    """The detail of this kind; None without one."""
    found = kind()
    return found if any(each.Unpack(found) for each in sent(fault).details) else None


@given(st.sampled_from(Code), TEXT, TEXT, FACTS)
def test_a_fault_is_read_back_as_it_was(code: Code, message: str, hint: str, facts: dict[str, str]) -> None:
    facts.pop("hint", None)
    read = fault_in(dict(trailers(Fault(code, message, hint, facts))))
    assert read is not None
    assert (read.code, read.message, read.hint, read.details) == (code, message, hint, facts)


@given(st.text(min_size=1), st.dictionaries(st.sampled_from("abcdef"), st.text(max_size=3000), max_size=6))
def test_it_never_outgrows_what_peers_take(text: str, facts: dict[str, str]) -> None:
    fault = Fault(Code.INVALID, text * 4000, text * 4000, facts)
    assert len(sent(fault).SerializeToString()) < 2 * 4 * (TEXT_MAX + 1) + FACTS_BYTES_MAX + 400
    read = fault_in(dict(trailers(fault)))
    assert read is not None and read.message.endswith("…") and read.details.items() <= facts.items()


def test_facts_are_left_out_longest_first() -> None:
    facts = {"floor": "1", "nearest": "x" * FACTS_BYTES_MAX, "head": "2"}
    read = fault_in(dict(trailers(Fault(Code.REVISION_GONE, "gone", "", facts))))
    assert read is not None and read.details == {"floor": "1", "head": "2"}


def test_each_kind_of_detail_stands_where_clients_look_for_it() -> None:
    busy = Fault(Code.OVERLOADED, "full", "later", {RETRY_AFTER_MS: "1500", "queued": "7"})
    info = detail(busy, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, info.metadata["queued"]) == ("SPKY_OVERLOADED", DOMAIN, "7")
    assert info.metadata["hint"] == "later"
    assert detail(busy, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 1500
    wrong = Fault(Code.INVALID, "change 3: key is empty", "", {FIELD: "key", "index": "3"})
    (violation,) = detail(wrong, error_details_pb2.BadRequest).field_violations
    assert (violation.field, violation.description) == ("changes[3].key", "change 3: key is empty")
    (violation,) = detail(Fault(Code.UNSUPPORTED_QUERY, "RANDOM"), error_details_pb2.BadRequest).field_violations
    assert violation.field == "surql"
    gone = Fault(Code.NOT_FOUND, "no view", "", {RESOURCE_TYPE: "view", RESOURCE_NAME: "v"})
    resource = detail(gone, error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("view", "v")
    for kind in (error_details_pb2.RetryInfo, error_details_pb2.BadRequest, error_details_pb2.ResourceInfo):
        assert detail(Fault(Code.INTERNAL, "x"), kind) is None


@pytest.mark.parametrize(
    "packed", [None, "text", b"", b"\xff\xff", sent(Fault(Code.FENCED, "x")).SerializeToString()[:-9]]
)
def test_what_others_send_is_no_fault_of_ours(packed: object) -> None:
    assert fault_in({TRAILER: packed} if packed is not None else {}) is None


def test_details_of_another_domain_or_a_later_code_are_not_ours() -> None:
    for reason, domain in (("SPKY_FENCED", "example.com"), ("SPKY_NEVER_HEARD_OF", DOMAIN)):
        status = status_pb2.Status(code=3)
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
        assert fault_in({TRAILER: status.SerializeToString()}) is None
