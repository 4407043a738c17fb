"""SurrealDB's RPC frames: what a client sent, made safe to hand to the engine, and the frames the server makes itself.

A request is decoded and written anew with four keys, never patched: whatever a client put beside them (a second
`session`, bytes after the map, a `txn`) is gone, and the session is the one the server chose. Parameters pass through
as CBOR tags, untouched. JSON (HTTP only) becomes the same request; its values are plain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import cbor2
import orjson
from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.kinds import NONE, RecordId, Value

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
METHOD_NOT_ALLOWED = -32602
INVALID_PARAMS = -32603
SERVER_ERROR = -32000
INVALID_AUTH = -32002


class FrameError(ValueError):
    """A frame that cannot be carried out; the connection goes on."""

    def __init__(self, code: int, message: str, request_id: Any = None, kind: str = "Validation") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Request:
    """`id` and `params` as cbor2 reads them without our tags, so that they are written back as they came;
    `session`: the client's own name of it, None for the connection's."""

    id: Any
    method: str
    params: Any
    session: UUID | None


def read_request(data: bytes) -> Request:
    """Raises FrameError."""
    try:
        frame = cbor2.loads(data)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise FrameError(PARSE_ERROR, f"Parse error: {error}") from error
    return _request_of(frame)


def read_json_request(data: bytes) -> Request:
    """Raises FrameError."""
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FrameError(PARSE_ERROR, f"Parse error: {error}") from error
    return _request_of(frame)


def _request_of(frame: Any) -> Request:
    if not isinstance(frame, Mapping):
        raise FrameError(INVALID_REQUEST, "Invalid request: not an object")
    request_id = frame.get("id")
    if isinstance(request_id, cbor2.CBORTag):
        request_id = None
    method = frame.get("method")
    if not isinstance(method, str):
        raise FrameError(INVALID_REQUEST, "Invalid request: no method", request_id)
    return Request(request_id, method, frame.get("params", []), _session_of(frame.get("session"), request_id))


def _session_of(value: Any, request_id: Any) -> UUID | None:
    if value is None or isinstance(value, UUID):
        return value
    if isinstance(value, cbor2.CBORTag) and value.tag == 6:  # NONE, as the JavaScript SDK writes "no session"
        return None
    text = value.value if isinstance(value, cbor2.CBORTag) and value.tag == 9 else value
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        raise FrameError(INVALID_REQUEST, "Invalid request: session is not a uuid", request_id) from None


def engine_request(request: Request, session: UUID) -> bytes:
    """The bytes for the engine, under the session the server chose; raises FrameError."""
    frame = {"id": request.id, "method": request.method, "params": request.params, "session": session}
    try:
        return cbor2.dumps(frame)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError) as error:
        raise FrameError(PARSE_ERROR, f"Parse error: {error}", request.id) from error


def own_request(session: UUID, method: str, params: list[Value]) -> bytes:
    """A request of the server's own under a session."""
    return encode({"id": 0, "method": method, "params": params, "session": session})


def kinds_of(params: Any) -> Value:
    """Parameters as our own kinds, for what the server carries out itself; raises CborError."""
    return decode(cbor2.dumps(params))


def result_frame(request_id: Any, result: Value) -> bytes:
    return encode({"id": request_id, "result": result})


def error_frame(error: FrameError) -> bytes:
    body = {"code": error.code, "message": error.message, "kind": error.kind}
    return encode({"id": error.request_id if error.request_id is not None else NONE, "error": body})


def notification_frame(live: UUID, action: str, record: RecordId | None, result: Value) -> bytes:
    """`action`: CREATE, UPDATE, DELETE, or KILLED (no record, no result) when the live query ended."""
    body = {"id": live, "action": action, "record": record if record is not None else NONE, "result": result}
    return encode({"result": body})
