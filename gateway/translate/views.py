"""`/view/*`, `/query/register`, `/views` ↔ `ViewService`.

A view's id is text. `_00_query:abc`, the record that stands for the view in SurrealDB, and `abc` are the same view: the
mesh knows it as `abc`, and an answer repeats the id as its client wrote it. A view of a user is named by its id and the
user's: `auth` stands in the body of a POST, and as `?auth=user:1` in the address of a GET.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson
from sp00ky.gateway.errors import Misshapen
from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.answers import (
    DebuggedView,
    Explanation,
    Member,
    Mode,
    Moved,
    Registered,
    State,
    View,
    ViewSummary,
)
from sp00ky.gateway.translate.body import kind_name, packed, parse_object
from sp00ky.gateway.translate.consistency import asked_consistency
from sp00ky.gateway.translate.fields import (
    ANYTHING,
    ASKED_AUTH,
    AUTH,
    CONSISTENCY,
    NAME,
    OBJECT_OR_TEXT,
    REVISION,
    ROWS,
    Body,
    Field,
)
from sp00ky.gateway.translate.proxy import encode_packed
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2, views_pb2
from sp00ky.proto.values.cbor import CborError, duration_from_text
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import Duration, RecordId, Value
from sp00ky.proto.values.text import parse_record_id
from sp00ky.proto.viewer import auth_id_of, canonical_auth_id, check_params, pack_viewer, viewer_of

QUERY_TABLE = "_00_query"
_U64_MAX = 2**64 - 1

ID = Field("id", "the client's name of the view", NAME, ("query_id", "queryId"), required=True)
SURQL = Field("surql", "the query: one SELECT", NAME, ("view_plan", "surreal_ql", "viewPlan"), required=True)
EXPLAINED = Field("surql", "the query: one SELECT", NAME, ("query", "view_plan"), required=True)
CLIENT_ID = Field("clientId", "whose edges these are", also=("client_id",))
LEAVING_CLIENT = replace(CLIENT_ID, about="who gives the view up; without it the view ends, whoever else holds it")
PARAMS = Field("params", "parameters: an object, or text holding a SurrealQL object", OBJECT_OR_TEXT)
TTL = Field("ttl", "how long the view lives without a heartbeat, for example 30s; absent: for ever")
FORMAT = Field("format", "accepted, as documented", also=("resultFormat", "result_format"))
LAST_ACTIVE_AT = Field("lastActiveAt", "accepted, as documented", ANYTHING, ("last_active_at",))
REGISTER_BODY = Body((ID, SURQL, CLIENT_ID, PARAMS, TTL, LAST_ACTIVE_AT, FORMAT, AUTH, ROWS), closed=True)
OLDER_REGISTER_BODY = Body(
    (
        replace(ID, name="query_id", also=("id", "queryId")),
        replace(SURQL, name="view_plan", also=("surql", "surreal_ql", "viewPlan")),
        *REGISTER_BODY.fields[2:],
    ),
    closed=True,
)
UNREGISTER_BODY = Body((ID, LEAVING_CLIENT, AUTH), closed=True)
EXPLAIN_BODY = Body((EXPLAINED, PARAMS, AUTH), closed=True)
GET_QUERY = (ROWS, CONSISTENCY, REVISION, ASKED_AUTH)
DEBUG_QUERY = (ASKED_AUTH,)

STATES: Mapping[int, State | None] = {
    views_pb2.VIEW_STATE_UNSPECIFIED: None,
    views_pb2.VIEW_STATE_PENDING: "pending",
    views_pb2.VIEW_STATE_LIVE: "live",
    views_pb2.VIEW_STATE_LAGGING: "lagging",
    views_pb2.VIEW_STATE_FAILED: "failed",
}
MODES: Mapping[int, Mode | None] = {
    views_pb2.VIEW_MODE_UNSPECIFIED: None,
    views_pb2.VIEW_MODE_INCREMENTAL: "incremental",
    views_pb2.VIEW_MODE_REEVALUATED: "reevaluated",
}


def canonical_id(text: str, asked: Asked) -> str:
    """The mesh's name of a view: `_00_query:abc`, ``_00_query:⟨abc⟩`` and `abc` are `abc`. Raises INVALID."""
    name = text
    if text.startswith(f"{QUERY_TABLE}:"):
        name = text[len(QUERY_TABLE) + 1 :]
        try:
            key = parse_record_id(text).key
            name = key if isinstance(key, str) else str(key) if isinstance(key, int) else name
        except (ValueError, Fault):
            pass  # an id that is no record id of SurrealDB is still an id here
    if not name or len(name) > asked.limits.id_chars_max:
        raise Fault(Code.INVALID, f"view id is empty or longer than {asked.limits.id_chars_max} characters")
    return name


def _given_id(body: dict[str, Value]) -> str:
    value = next((body[name] for name in (ID.name, *ID.also) if body.get(name) is not None), None)
    if isinstance(value, RecordId):
        return f"{value.table}:{value.key}"
    return ID.text(body)


def _key(body: dict[str, Value], asked: Asked) -> common_pb2.ViewKey:
    viewer = _viewer(body, asked)
    return common_pb2.ViewKey(id=canonical_id(_given_id(body), asked), auth_id=auth_id_of(viewer) if viewer else "")


def _viewer(body: dict[str, Value], asked: Asked) -> dict[str, Value]:
    """The token's user, else that of `auth`: `{id, access?, claims?}`, or the id alone; {} for a service's own view."""
    stated = body.get(AUTH.name)
    if asked.viewer is not None:
        _require_unstated(stated)
        return dict(asked.viewer)
    return {} if stated is None else viewer_of(_stated(stated))


def _require_unstated(stated: Value) -> None:
    if stated is not None:
        raise Fault(
            Code.FORBIDDEN, "auth is stated beside a user's token", "leave it out: the token says whose view it is"
        )


def _stated(user: Value) -> Value:
    """Nobody is not everybody: a text that was left empty must not make a view that sees all."""
    if user == "":
        raise Fault(Code.INVALID, "auth is empty", "leave it out for a service's own view")
    return user


def _auth(body: dict[str, Value], asked: Asked) -> bytes:
    viewer = _viewer(body, asked)
    return pack_viewer(viewer) if viewer else b""


def register_request(asked: Asked) -> views_pb2.RegisterViewRequest:
    """Both documented spellings of every field. Raises Fault INVALID naming the field."""
    body = parse_object(asked)
    REGISTER_BODY.require_known(body)
    ROWS.flag(body)
    spec = common_pb2.ViewSpec(
        surql=SURQL.text(body),
        client_id=CLIENT_ID.text(body),
        format=FORMAT.text(body),
        key=_key(body, asked),
        params=packed(_params(body), "params"),
        ttl_ms=_ttl_ms(body.get(TTL.name)),
        auth=_auth(body, asked),
    )
    return views_pb2.RegisterViewRequest(spec=spec, for_user=asked.viewer is not None)


def _params(body: dict[str, Value]) -> dict[str, Value]:
    params = PARAMS.object(body)
    check_params(params)
    return params


def _ttl_ms(value: Value) -> int:
    """Milliseconds of a duration text; 0 (never) if absent or empty."""
    if value is None or value == "":
        return 0
    hint = "for example 30s, 10m or 1h30m"
    if not isinstance(value, Duration | str):
        raise Misshapen(f'field "ttl" is {kind_name(value)}, not a duration', hint)
    try:
        duration = value if isinstance(value, Duration) else duration_from_text(value)
    except (CborError, ValueError):
        raise Fault(Code.INVALID, f'field "ttl" is "{str(value)[:32]}", not a duration', hint) from None
    milliseconds = -(-duration.ns // 1_000_000)  # a shorter one must not become "never"
    if milliseconds > _U64_MAX:
        raise Fault(Code.INVALID, 'field "ttl" is longer than a view can live')
    return milliseconds


def register_answer(asked: Asked, response: views_pb2.RegisterViewResponse) -> Answer:
    return json_answer(_registered(asked, response), revision=response.revision)


def _registered(asked: Asked, response: views_pb2.RegisterViewResponse) -> Registered:
    body: Registered = {
        "query_id": _given_id(parse_object(asked)),
        "ssp_id": response.ssp_id,
        "ssp_url": response.ssp_url,
        "assigned_at": response.assigned_at,
        "revision": response.revision,
    }
    if response.warnings:
        body["warnings"] = list(response.warnings)
    return body


def first_read_request(asked: Asked, response: views_pb2.RegisterViewResponse) -> views_pb2.GetViewRequest | None:
    """With `rows: 1` a registration waits for the view's first result."""
    body = parse_object(asked)
    if not ROWS.flag(body):
        return None
    return views_pb2.GetViewRequest(
        key=_key(body, asked),
        consistency=common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH,
        revision=response.revision,
        rows=True,
    )


def first_read_answer(
    asked: Asked, registered: views_pb2.RegisterViewResponse, view: views_pb2.GetViewResponse
) -> Answer:
    """The registration with the view; its revision is the one that the rows are exact at."""
    given = _given_id(parse_object(asked))
    body: Registered = {**_registered(asked, registered), **_view(given, view, rows=True)}
    return json_answer(body, revision=view.revision)


def unregister_request(asked: Asked) -> views_pb2.UnregisterViewRequest:
    body = parse_object(asked)
    UNREGISTER_BODY.require_known(body)
    return views_pb2.UnregisterViewRequest(key=_key(body, asked), client_id=LEAVING_CLIENT.text(body))


def unregister_answer(asked: Asked, response: views_pb2.UnregisterViewResponse) -> Answer:
    body: Moved = {"revision": response.revision}
    return json_answer(body, revision=response.revision)


def get_request(asked: Asked) -> views_pb2.GetViewRequest:
    """`?consistency=&revision=&rows=&auth=`. A revision alone asks for a view at least as fresh as it."""
    asks = asked.query
    consistency, revision = asked_consistency(CONSISTENCY.text(asks), REVISION.text(asks), "at_least_as_fresh")
    return views_pb2.GetViewRequest(
        key=asked_key(asked),
        consistency=consistency,
        revision=revision,
        rows=ROWS.flag(asks),
    )


def asked_key(asked: Asked) -> common_pb2.ViewKey:
    """The view of a GET: the token's user's, else that of `?auth=`."""
    stated = asked.query.get(ASKED_AUTH.name)
    if asked.viewer is not None:
        _require_unstated(stated)
        auth_id = auth_id_of(asked.viewer)
    else:
        auth_id = canonical_auth_id("" if stated is None else str(_stated(stated)))
    return common_pb2.ViewKey(id=canonical_id(asked.path["id"], asked), auth_id=auth_id)


def get_answer(asked: Asked, response: views_pb2.GetViewResponse) -> Answer:
    view = _view(asked.path["id"], response, rows=ROWS.flag(asked.query))
    return json_answer(view, revision=response.revision)


def _view(given_id: str, view: views_pb2.GetViewResponse, *, rows: bool) -> View:
    body: View = {
        "id": given_id,
        "revision": view.revision,
        "hash": view.hash,
        "state": STATES.get(view.state),
        "mode": MODES.get(view.mode),
        "ssp_id": view.ssp_id,
        "members": [member_body(member) for member in view.members],
    }
    if rows:
        body["rows"] = orjson.Fragment(encode_packed(view.rows))
    if view.error:
        body["error"] = view.error
    return body


def member_body(member: views_pb2.Member) -> Member:
    body: Member = {"id": member.id, "version": member.version}
    if member.parent:
        body["parent"] = member.parent
    if member.parent_rel:
        body["parent_rel"] = member.parent_rel
    return body


def debug_request(asked: Asked) -> views_pb2.GetViewRequest:
    return views_pb2.GetViewRequest(key=asked_key(asked))


def debug_answer(asked: Asked, response: views_pb2.GetViewResponse) -> Answer:
    """The documented fields, as far as a reading has them."""
    top = [member for member in response.members if not member.parent]
    nested = [member for member in response.members if member.parent]
    body: DebuggedView = {
        "view_id": asked.path["id"],
        "cache_size": len(top),
        "last_hash": response.hash,
        "format": "Streaming",
        "cache": [{"key": member.id, "weight": 1} for member in top],
        "subquery_cache": [
            {"key": member.id, "parent_key": member.parent, "alias": member.parent_rel} for member in nested
        ],
        "state": STATES.get(response.state),
        "mode": MODES.get(response.mode),
        "revision": response.revision,
    }
    return json_answer(body, revision=response.revision)


def list_request(asked: Asked) -> views_pb2.ListViewsRequest:
    return views_pb2.ListViewsRequest()


def list_answer(asked: Asked, response: views_pb2.ListViewsResponse) -> Answer:
    return json_answer([_summary(view) for view in response.views])


def _summary(view: views_pb2.ViewSummary) -> ViewSummary:
    body: ViewSummary = {
        "id": view.key.id,
        "surql": view.surql,
        "state": STATES.get(view.state),
        "mode": MODES.get(view.mode),
        "members": view.members,
        "ssp_id": view.ssp_id,
        "client_id": view.client_id,
        "hash": view.hash,
        "revision": view.revision,
        "ttl_ms": view.ttl_ms,
    }
    if view.reason:
        body["reason"] = view.reason
    if view.key.auth_id:
        body["auth"] = view.key.auth_id
    return body


def explain_request(asked: Asked) -> views_pb2.ExplainViewRequest:
    body = parse_object(asked)
    EXPLAIN_BODY.require_known(body)
    surql = EXPLAINED.text(body)
    params = _params(body)
    text = encode_json(params).decode() if packed(params, "params") else ""
    return views_pb2.ExplainViewRequest(surql=surql, params_json=text, auth=_auth(body, asked))


def explain_answer(asked: Asked, response: views_pb2.ExplainViewResponse) -> Answer:
    body: Explanation = {
        "mode": MODES.get(response.mode),
        "stages": [{"name": stage.name, "text": stage.text} for stage in response.stages],
        "tables": list(response.tables),
        "shape": response.shape,
    }
    if response.reason:
        body["reason"] = response.reason
    if response.nearest:
        body["nearest"] = {"surql": response.nearest, "change": response.nearest_change}
    if response.warnings:
        body["warnings"] = list(response.warnings)
    return json_answer(body)
