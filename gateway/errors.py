"""The only table from a fault's code to an HTTP status, and the one form of an error body.

`{"code", "message", "hint"?, "details"?}`. What HTTP itself refuses (no such route, method, media type) has no code in
the mesh and is a `Refused`, which names its status. An SSP says `SSP_NOT_READY`, as its documents do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from sp00ky.gateway.exchange import Answer, Api, json_answer
from sp00ky.proto.faults import RETRY_AFTER_MS, Code, Fault

HTTP_STATUS: Mapping[Code, int] = {
    Code.INVALID: 400,
    Code.UNSUPPORTED_QUERY: 400,
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.CONFLICT: 409,
    Code.REVISION_GONE: 410,
    Code.TOO_LARGE: 413,
    Code.OVERLOADED: 429,
    Code.INTERNAL: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.NOT_READY: 503,
    Code.NO_READY_SSP: 503,
    Code.FENCED: 503,  # the scheduler that answered has been replaced: ask again
    Code.UNAVAILABLE: 503,
    Code.TIMEOUT: 504,
    Code.DISK_FULL: 507,
}
RETRY_AFTER_SECONDS = 1
PROBLEM = "application/problem+json"
RETRYABLE = frozenset({429, 503})

_CODE_OF_STATUS: Mapping[int, Code] = {
    401: Code.UNAUTHENTICATED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    408: Code.TIMEOUT,
    413: Code.TOO_LARGE,
    429: Code.OVERLOADED,
}


class Misshapen(Fault):
    """A body that can be read, but is not what was asked for: a field is missing, or of another kind. 422, since 400
    is for what cannot be read, and for values that make no sense."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(Code.INVALID, message, hint)


class Refused(Fault):
    """A fault of HTTP itself, with the status that HTTP has for it."""

    def __init__(self, status: int, message: str, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        code = _CODE_OF_STATUS.get(status, Code.INVALID if status < 500 else Code.INTERNAL)
        super().__init__(code, message, hint)
        self.status = status
        self.headers = dict(headers or {})


def status_of(fault: Fault) -> int:
    if isinstance(fault, Misshapen):
        return 422
    return fault.status if isinstance(fault, Refused) else HTTP_STATUS[fault.code]


def error_answer(fault: Fault, api: Api, accept: str = "") -> Answer:
    """The answer that tells a client of the fault; as RFC 9457 has it, if it accepts that."""
    status = status_of(fault)
    code = "SSP_NOT_READY" if api == "ssp" and fault.code is Code.NOT_READY else fault.code.value
    body: dict[str, object] = {"code": code, "message": fault.message}
    if fault.hint:
        body["hint"] = fault.hint
    if fault.details:
        body["details"] = fault.details
    if PROBLEM in accept.lower():
        body |= {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": fault.message}
    answer = json_answer(body, status=status)
    media_type = PROBLEM if PROBLEM in accept.lower() else answer.media_type
    headers = dict(fault.headers) if isinstance(fault, Refused) else {}
    if status in RETRYABLE:
        wait_ms = int(fault.details.get(RETRY_AFTER_MS, 0))
        headers.setdefault("Retry-After", str(max(RETRY_AFTER_SECONDS, math.ceil(wait_ms / 1000))))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Answer(answer.body, status, media_type, headers)
