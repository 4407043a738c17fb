"""What every request passes before and after its endpoint: request id, admission, bearer, body limit, error bodies.

Order matters. The bearer is checked before the body is read, so that a stranger cannot make us buffer; the in-flight
limit is checked before both, and its refusal is cheap. Nothing leaves without an error body in our one form: whatever
an endpoint raises that is no `Fault` is our bug, logged with its trace and answered as 500 without it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from sp00ky.gateway.errors import Refused, error_answer
from sp00ky.gateway.exchange import Answer, Api, Limits
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.proto.faults import Code, Fault

REQUEST_ID_HEADER = "X-Request-Id"
UNKNOWN_ROUTE = "unknown"

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)


async def read_body(request: web.Request, limits: Limits) -> bytes:
    """The whole body, decompressed. Raises 413 above the limit, 408 when it does not arrive, 400 when it is broken."""
    if request.content_length is not None and request.content_length > limits.body_bytes_max:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.request_timeout_ms / 1000):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
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


def edge(api: Api, limits: Limits, telemetry: Telemetry, always: frozenset[str]) -> Middleware:
    """The one middleware of a server. `always`: route patterns answered above the in-flight limit."""
    inflight = 0

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal inflight
        begun, route = time.monotonic(), route_of(request)
        inflight += 1
        telemetry.inflight.set(inflight)
        try:
            if inflight > limits.requests_inflight_max and route not in always:
                telemetry.rejected("http", "inflight")
                raise Fault(Code.OVERLOADED, "server is answering as many requests as it may", "ask again shortly")
            response = await handler(request)
        except Exception as error:
            response = to_response(error_answer(fault_of_failure(error, request), api))
        finally:
            inflight -= 1
            telemetry.inflight.set(inflight)
        response.headers[REQUEST_ID_HEADER] = request_id_of(request)
        telemetry.answered(
            request.method if route != UNKNOWN_ROUTE else "any", route, response.status, time.monotonic() - begun
        )
        return response

    return middleware


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
