"""What is asked of `GET /view/{id}/events` and `/view/{id}/ws`, and the bodies of their events.

Every body is made without `type` and `id`, which `streams/events.py` puts in front: they differ from reader to reader.
A body names the members; the row of a member is in `rows` only, and only where rows were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from sp00ky.gateway.exchange import Asked
from sp00ky.gateway.translate.fields import ASKED_AUTH, NAME, ROWS, Field
from sp00ky.gateway.translate.views import MODES, STATES, asked_key
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.folding import Change, Member, Result
from sp00ky.proto.revision import parse_revision
from sp00ky.proto.v1 import common_pb2, views_pb2
from sp00ky.proto.values.json import JsonError, encode_json
from sp00ky.proto.values.pack import PackError, unpack

SINCE = Field("since", "revision token of what the reader has: it is told what came after it")
ALSO = Field(
    "also",
    "one more view on the same stream; may be there several times, all views move together",
    {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 512}},
)
ACCESS_TOKEN = Field("access_token", "the bearer, for browsers, which send no headers here", NAME)
LAST_EVENT_ID = Field("Last-Event-ID", "the same as `since`, and before it: browsers say it when they come back")
STREAM_QUERY = (ROWS, SINCE, ASKED_AUTH, ALSO, ACCESS_TOKEN)


@dataclass(frozen=True, slots=True)
class Watched:
    """One view that a reader asks for. `since`: a token; empty: none."""

    given_id: str
    key: common_pb2.ViewKey
    rows: bool
    since: str


def watched_views(asked: Asked, also: Sequence[str], since: str) -> Sequence[Watched]:
    """The views of one stream, each once. Raises Fault INVALID, FORBIDDEN."""
    given = list(dict.fromkeys((asked.path["id"], *also)))
    rows = ROWS.flag(asked.query)
    _check(since)
    return [Watched(each, _key(asked, each), rows, since) for each in given]


def watched_by_message(asked: Asked, message: Mapping[str, Any]) -> Watched:
    """`{"type": "watch", "id", "rows"?, "auth"?, "since"?}`. Raises Fault INVALID, FORBIDDEN."""
    since = SINCE.text(message)
    _check(since)
    query = {ASKED_AUTH.name: ASKED_AUTH.text(message)} if message.get(ASKED_AUTH.name) is not None else {}
    given = view_id_of(message)
    return Watched(given, _key(replace(asked, query=query), given), ROWS.flag(message), since)


def view_id_of(message: Mapping[str, Any]) -> str:
    """Raises Fault INVALID."""
    return Field("id", "", required=True).text(message)


def read_message(text: str) -> Mapping[str, Any]:
    """What a reader says over its socket. Raises Fault INVALID."""
    try:
        message = orjson.loads(text)
    except ValueError:
        raise Fault(Code.INVALID, "message is not JSON", 'send {"type": "watch", "id": …}') from None
    if not isinstance(message, dict) or message.get("type") not in ("watch", "unwatch"):
        raise Fault(Code.INVALID, "message has no known type", 'send {"type": "watch" or "unwatch", "id": …}')
    return message


def _key(asked: Asked, given_id: str) -> common_pb2.ViewKey:
    return asked_key(replace(asked, path={**asked.path, "id": given_id}))


def _check(since: str) -> None:
    if since:
        parse_revision(since)


# --- bodies ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """How a result is at a revision, beside the result itself."""

    token: str
    hash: str
    state: int
    mode: int
    error: str

    def same(self, other: Shown) -> bool:
        """But for the revision."""
        return replace(other, token=self.token) == self


def shown_of(state: views_pb2.ResultState) -> Shown:
    return Shown(state.revision, state.hash, state.state, state.mode, state.error)


def snapshot_body(shown: Shown, result: Result, *, rows: bool, single: bool) -> bytes:
    body = _stated(shown)
    body["members"] = [_member(member) for member in result.members]
    if rows:
        body |= _row(result) if single else {"rows": [orjson.Fragment(row) for row in result.rows]}
    return _rest(body)


def delta_body(shown: Shown, since: str, change: Change, result: Result, *, single: bool) -> bytes:
    """`result`: after the change."""
    body = _stated(shown, {"from": since})
    body["removed"] = [_member(member, version=False) for member in change.removed]
    body["added"] = [{"at": at, **_member(member)} for at, member in change.added]
    body["updated"] = [{"at": at, **_member(member)} for at, member in change.updated]
    if change.rows and single:
        body |= _row(result)
    elif change.rows:
        body["rows"] = [
            {"at": at, "remove": removed, "insert": [orjson.Fragment(row) for row in inserted]}
            for at, removed, inserted in change.rows
        ]
    return _rest(body)


def revision_body(token: str) -> bytes:
    return _rest({"revision": token})


def fault_body(fault: Fault) -> bytes:
    return _rest({"code": fault.code.value, "message": fault.message} | ({"hint": fault.hint} if fault.hint else {}))


def read_state(response: views_pb2.GetViewResponse) -> Shown:
    return Shown(response.revision, response.hash, response.state, response.mode, response.error)


def read_result(response: views_pb2.GetViewResponse, *, rows: bool, single: bool) -> Result:
    """A reading as a result that can be compared with a watched one. Raises Fault INTERNAL."""
    members = [Member(each.id, each.version, each.parent, each.parent_rel) for each in response.members]
    return Result(members, _row_texts(response.rows, single=single) if rows else [])


def _row_texts(data: bytes, *, single: bool) -> list[str]:
    if not data:
        return []
    try:
        value = unpack(data)
        return [encode_json(each).decode() for each in (value if isinstance(value, list) and not single else [value])]
    except (PackError, JsonError) as error:
        raise Fault(Code.INTERNAL, f"the service answered a value that cannot be read: {error}") from error


_NOTHING: Final[Mapping[str, Any]] = {}


def _stated(shown: Shown, more: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    body: dict[str, Any] = {"revision": shown.token, **more, "hash": shown.hash}
    body |= {"state": STATES.get(shown.state), "mode": MODES.get(shown.mode)}
    if shown.error:
        body["error"] = shown.error
    return body


def _row(result: Result) -> dict[str, Any]:
    return {"row": orjson.Fragment(result.rows[0])} if result.rows else {}


def _member(member: Member, *, version: bool = True) -> dict[str, Any]:
    body: dict[str, Any] = {"id": member.id, "version": member.version} if version else {"id": member.id}
    if member.parent:
        body["parent"] = member.parent
    if member.parent_rel:
        body["parent_rel"] = member.parent_rel
    return body


def _rest(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps(body)[1:]
