"""What every request passes before and after its endpoint: request id, origin, admission, body limit, error bodies.

Order matters. The bearer is checked before the body is read, so that a stranger cannot make us buffer; the in-flight
limit is checked before both, and its refusal is cheap; the rate after the bearer, since it is a caller's. Nothing
leaves without an error body in our one form: whatever an endpoint raises that is no `Fault` is our bug, logged with its
trace and answered as 500 without it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from sp00ky.gateway.admission import Admission, Shed
from sp00ky.gateway.connections import guard_of
from sp00ky.gateway.endpoint import Endpoint, Load
from sp00ky.gateway.errors import Refused, error_answer
from sp00ky.gateway.exchange import Answer, Api, Limits
from sp00ky.gateway.inflation import ENCODINGS, Inflated, inflated
from sp00ky.gateway.origins import Origins
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.proto import tracing
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.tracing import REQUEST_ID

REQUEST_ID_HEADER = "X-Request-Id"
UNKNOWN_ROUTE = "unknown"
UNTRACED = ("/health", "/metrics", "/info", "/version")  # asked by probes, several times a second

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)


async def read_body(request: web.Request, limits: Limits) -> bytes:
    """The whole body, decompressed. Raises 413 above the limit, 408 when it does not arrive, 400 when it is broken, 415
    for a compression that is not known."""
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ENCODINGS:
        raise Refused(415, f'content encoding is "{encoding[:64]}"', f"send one of {', '.join(ENCODINGS)}")
    if request.content_length is not None and request.content_length > limits.body_bytes_max:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.request_timeout_ms / 1000):
            return await inflated(await request.read(), encoding, limits.body_bytes_max)
    except (web.HTTPRequestEntityTooLarge, Inflated):
        raise _too_large(limits) from None
    except TimeoutError:
        raise Refused(408, "request body did not arrive in time") from None
    except (web.RequestPayloadError, ConnectionError, ValueError) as error:
        raise Refused(400, f"request body is broken: {type(error).__name__}") from None


def _too_large(limits: Limits) -> Fault:
    hint = f"send at most {limits.body_bytes_max} bytes"
    return Fault(Code.TOO_LARGE, "request body is too large", hint, {"body_bytes_max": str(limits.body_bytes_max)})


def to_response(answer: Answer) -> web.Response:
    return web.Response(
        body=answer.body, status=answer.status, headers={**answer.headers, "Content-Type": answer.media_type}
    )


@dataclass(frozen=True, slots=True)
class Entrance:
    """What every request of one server passes. `rows`: by method and path pattern."""

    api: Api
    admission: Admission
    telemetry: Telemetry
    origins: Origins
    rows: Mapping[tuple[str, str], Endpoint]


def edge(entrance: Entrance) -> Middleware:
    """The one middleware of a server."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.monotonic()
        REQUEST_ID.set(request_id_of(request))
        guard = guard_of(request)
        if guard is not None:
            guard.became_busy()
        try:
            with spanned(entrance, request) as span:
                response = await _answered(entrance, request, handler)
                if span is not None:
                    span.set_attribute("http.response.status_code", response.status)
                _tell(entrance, request, response.status, time.monotonic() - begun)
        finally:
            if guard is not None:
                guard.became_idle()
        return response

    return middleware


@contextmanager
def spanned(entrance: Entrance, request: web.Request) -> Iterator[Any]:
    """The span of a request, below its caller's; None where nothing is traced, and for what is asked all the time or
    answered for hours."""
    route = route_of(request)
    row = entrance.rows.get((request.method, route))
    if not tracing.is_on() or route.startswith(UNTRACED) or (row and row.load_class == "stream"):
        yield None
        return
    with tracing.serving(f"{request.method} {route}", request.headers) as span:
        span.set_attribute("http.request.method", request.method)
        span.set_attribute("http.route", route)
        span.set_attribute("spky.request_id", REQUEST_ID.get())
        yield span


def marked(origins: Origins) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer carries; a stream's head leaves long before its endpoint is done."""

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        response.headers[REQUEST_ID_HEADER] = REQUEST_ID.get()
        response.headers.update(origins.permission(request))

    return mark


async def _answered(entrance: Entrance, request: web.Request, handler: Handler) -> web.StreamResponse:
    """The endpoint's answer, or that of the fault in its way."""
    row = entrance.rows.get((request.method if request.method != "HEAD" else "GET", route_of(request)))
    load: Load = row.load_class if row else "read"
    counted = load != "stream" and not (row and row.always)
    admission, telemetry = entrance.admission, entrance.telemetry
    try:
        if (preflight := entrance.origins.preflight(request)) is not None:
            return preflight
        entrance.origins.require_known(request)
        if not counted:
            return await handler(request)
        admission.enter(load)
        telemetry.inflight.set(admission.inflight)
        try:
            return await handler(request)
        finally:
            admission.leave()
            telemetry.inflight.set(admission.inflight)
    except Exception as error:
        fault = fault_of_failure(error, request)
        if isinstance(fault, Shed):
            telemetry.rejected(load, fault.reason)
        return to_response(error_answer(fault, entrance.api, request.headers.get("Accept", "")))


def _tell(entrance: Entrance, request: web.Request, status: int, seconds: float) -> None:
    """Count the answer, by route and never by path; log it, louder if it is our fault."""
    route = route_of(request)
    entrance.telemetry.answered(request.method if route != UNKNOWN_ROUTE else "any", route, status, seconds)
    level = logging.WARNING if status == 500 else logging.DEBUG
    if log.isEnabledFor(level):
        log.log(level, "%s %s %d in %.1f ms", request.method, _shown(request), status, seconds * 1000)


def route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNKNOWN_ROUTE


def request_id_of(request: web.Request) -> str:
    """The caller's id if it is one line of plain characters, else a new one."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def fault_of_failure(error: Exception, request: web.Request) -> Fault:
    """What to tell the caller of anything an endpoint, or the router, raised."""
    match error:
        case Fault():
            return error
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods - {"HEAD"}))
            message = f"{request.method} is not allowed on {_shown(request)}"
            return Refused(405, message, f"use {allowed}", {"Allow": allowed})
        case web.HTTPNotFound():
            return Refused(404, f"no endpoint {request.method} {_shown(request)}")
        case web.HTTPException():
            return Refused(error.status, error.reason.lower())
        case TimeoutError():
            return Fault(Code.TIMEOUT, f"{request.method} {_shown(request)} took too long")
        case _:
            log.exception("request failed", exc_info=error)
            return Fault(Code.INTERNAL, f"internal error: {type(error).__name__}")


def _shown(request: web.Request) -> str:
    """A path as it may stand in a message: encoded, cut."""
    return request.rel_url.raw_path[:128]
