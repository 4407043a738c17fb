"""`/view/{id}/why` ↔ `ViewService.WhyView`.

The record stands in the address: `?record=person:1`, percent-encoded where it has to be. Whose view it is, too. A user
who asks with his own token is told less than a service: nothing of records that he may not read (`for_user`). What is
not there is left out of the answer: a window where there is none, values of a term that are not for telling.
"""

from __future__ import annotations

from collections.abc import Mapping

from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.answers import Decider, Why, WhyTerm, WhyValue, WhyWindow
from sp00ky.gateway.translate.fields import ASKED_AUTH, NAME, Field
from sp00ky.gateway.translate.views import asked_key, member_body
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import views_pb2

RECORD = Field("record", "record id, percent-encoded where it has to be, for example person:1", NAME, required=True)
WHY_QUERY = (RECORD, ASKED_AUTH)

DECIDERS: Mapping[int, Decider | None] = {
    views_pb2.WHY_DECIDER_UNSPECIFIED: None,
    views_pb2.WHY_DECIDER_CONDITIONS: "conditions",
    views_pb2.WHY_DECIDER_NESTED: "nested",
    views_pb2.WHY_DECIDER_TERM: "term",
    views_pb2.WHY_DECIDER_PERMISSION: "permission",
    views_pb2.WHY_DECIDER_FROM: "from",
    views_pb2.WHY_DECIDER_MISSING: "missing",
    views_pb2.WHY_DECIDER_WINDOW: "window",
    views_pb2.WHY_DECIDER_ROWS: "rows",
    views_pb2.WHY_DECIDER_UNKNOWN: "unknown",
}


def why_request(asked: Asked) -> views_pb2.WhyViewRequest:
    """Raises Fault INVALID. What is no record id is the SSP's to say."""
    record = asked.query.get(RECORD.name, "")
    if not record:
        raise Fault(Code.INVALID, 'the address has no "record"', "add ?record=<record id>, for example person:1")
    return views_pb2.WhyViewRequest(key=asked_key(asked), record=record, for_user=asked.viewer is not None)


def why_answer(asked: Asked, response: views_pb2.WhyViewResponse) -> Answer:
    body: Why = {
        "id": asked.path["id"],
        "revision": response.revision,
        "ssp_id": response.ssp_id,
        "record": response.record,
        "in_view": response.in_view,
        "decider": DECIDERS.get(response.decider),
        "sentence": response.sentence,
        "terms": [_term(term) for term in response.terms],
    }
    if response.position:
        body["position"] = response.position
    if response.HasField("window"):
        body["window"] = _window(response.window)
    if response.below:
        body["below"] = [member_body(member) for member in response.below]
    return json_answer(body, revision=response.revision)


def _term(term: views_pb2.WhyTerm) -> WhyTerm:
    body: WhyTerm = {"text": term.text, "origin": term.origin, "holds": term.holds}
    if term.values:
        body["values"] = [_value(value) for value in term.values]
    return body


def _value(value: views_pb2.WhyValue) -> WhyValue:
    body: WhyValue = {"text": value.text, "value": value.value}
    if value.through:
        body["through"] = list(value.through)
    return body


def _window(window: views_pb2.WhyWindow) -> WhyWindow:
    body: WhyWindow = {"rank": window.rank, "passing": window.passing, "start": window.start}
    if window.HasField("limit"):
        body["limit"] = window.limit
    if window.boundary:
        body["boundary"] = window.boundary
    if window.order:
        body["order"] = [{"text": key.text, "value": key.value, "boundary": key.boundary} for key in window.order]
    return body
