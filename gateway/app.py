"""Builds the application of one API from the table, and carries one request through it.

Order within a request: bearer, body, (on the SSP's API, for what it forwards: is the SSP ready,) translate, call,
translate. Everything together has `request_timeout_ms`; calls get what is left of it as their deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from google.protobuf.message import Message
from sp00ky.gateway.admission import Admission
from sp00ky.gateway.auth import ANYONE, Gatekeeper, Principal, Unauthenticated, require_role
from sp00ky.gateway.endpoint import Endpoint, Role
from sp00ky.gateway.endpoints import endpoints_of
from sp00ky.gateway.errors import Misshapen
from sp00ky.gateway.exchange import Answer, Api, Asked, Limits
from sp00ky.gateway.middleware import Entrance, edge, marked, read_body, to_response
from sp00ky.gateway.origins import Origins
from sp00ky.gateway.proxies import Proxies
from sp00ky.gateway.sse import Streams
from sp00ky.gateway.streams.bearers import authorization_of
from sp00ky.gateway.streams.service import ViewStreams
from sp00ky.gateway.telemetry import DURABLE, Telemetry
from sp00ky.gateway.translate.fields import refuse_unknown
from sp00ky.gateway.translate.status import READY
from sp00ky.gateway.upstream import Rpc, Upstream
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, common_pb2, ingest_pb2, views_pb2

GRACE_SECONDS = 0.5  # beyond the calls' own deadline, whose answer says more
STATUS_TIMEOUT_SECONDS = 2.0  # a health answer must not outlast the prober


@dataclass(frozen=True, slots=True)
class Edge:
    """What the endpoints of one server share. `scheduler`: where an SSP's API forwards to."""

    api: Api
    gatekeeper: Gatekeeper
    limits: Limits
    telemetry: Telemetry
    own: Upstream
    scheduler: Upstream | None
    origins: Origins
    admission: Admission
    streams: Streams
    views: ViewStreams
    proxies: Proxies


def build_app(edge_of: Edge) -> web.Application:
    endpoints = endpoints_of(edge_of.api)
    rows = {(endpoint.method, endpoint.path): endpoint for endpoint in endpoints}
    entrance = Entrance(edge_of.api, edge_of.admission, edge_of.telemetry, edge_of.origins, rows)
    app = web.Application(
        middlewares=[edge(entrance)],
        client_max_size=edge_of.limits.body_bytes_max,
    )
    app.on_response_prepare.append(marked(edge_of.origins))
    app.on_shutdown.append(_end_streams(edge_of.streams))
    for endpoint in endpoints:
        path = endpoint.path.replace("{id}", "{id:[^/]+}").replace("{table}", "{table:[^/]+}")
        handler = _handler(edge_of, endpoint)
        app.router.add_route(endpoint.method, path, handler)
        if endpoint.method == "GET" and endpoint.stream is None:
            app.router.add_route("HEAD", path, handler)
    return app


def _end_streams(streams: Streams) -> Callable[[web.Application], Awaitable[None]]:
    """Streams would otherwise take all the time that requests in flight have to finish."""

    async def end(app: web.Application) -> None:
        streams.close()

    return end


def _handler(edge_of: Edge, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    seconds = edge_of.limits.request_timeout_ms / 1000
    is_open = edge_of.api in endpoint.open_on

    async def handle(request: web.Request) -> web.StreamResponse:
        principal = ANYONE if is_open else admitted(edge_of, endpoint, request)
        begun = time.monotonic()
        edge_of.admission.pace(endpoint.load_class, caller_of(edge_of, principal, request), begun)
        deadline = begun + seconds
        asked = await _asked(edge_of, endpoint, request, principal)
        if endpoint.stream is not None:
            return await endpoint.stream(request, asked, principal, edge_of)
        async with asyncio.timeout(_left(deadline) + GRACE_SECONDS):
            response = to_response(await perform(edge_of, endpoint, asked, deadline))
        if request.can_read_body:
            response.force_close()  # a body that was not asked for is not read
        return response

    return handle


def caller_of(edge_of: Edge, principal: Principal, request: web.Request) -> str:
    """Whose rate a request counts to: a user's, else an address's, since a secret is shared by many."""
    return principal.name if principal.viewer is not None else edge_of.proxies.client_of(request)


def admitted(edge_of: Edge, endpoint: Endpoint, request: web.Request) -> Principal:
    """Who asks, if it may. Raises Fault UNAUTHENTICATED, FORBIDDEN."""
    try:
        stated = request.headers.get("Authorization", "")
        principal = edge_of.gatekeeper.principal_of(authorization_of(request) if endpoint.bearer_in_address else stated)
    except Unauthenticated as refusal:
        edge_of.telemetry.refused(refusal.reason)
        raise
    require_role(principal, endpoint.roles, endpoint.name)
    return principal


async def _asked(edge_of: Edge, endpoint: Endpoint, request: web.Request, principal: Principal) -> Asked:
    if endpoint.closed:
        refuse_unknown(request.query, endpoint.asks, "parameter")
    has_body = endpoint.body is not None and request.can_read_body
    body = await read_body(request, edge_of.limits) if has_body else b""
    return Asked(
        api=edge_of.api,
        path=dict(request.match_info),
        query=dict(request.query),
        media_type=request.content_type if "Content-Type" in request.headers else "",
        accept=request.headers.get("Accept", ""),
        idempotency_key=request.headers.get("Idempotency-Key", "")[:256],
        body=body,
        limits=edge_of.limits,
        upstream=edge_of.own.address,
        asks_bearer=edge_of.gatekeeper.asks,
        viewer=principal.viewer,
        token=_token(request) if principal.viewer is not None else "",
        as_ssp=Role.SSP in principal.roles,
        ssp_secret=_token(request) if principal.holds_ssp_secret else "",
        own_metrics=edge_of.telemetry.collect() if endpoint.own_metrics else (),
    )


def _token(request: web.Request) -> str:
    return request.headers.get("Authorization", "").partition(" ")[2]


async def perform(edge_of: Edge, endpoint: Endpoint, asked: Asked, deadline: float) -> Answer:
    """One request, translated both ways. Raises Fault."""
    if endpoint.rpc is None or endpoint.request is None:
        return endpoint.answer(asked, None)
    forwarded = endpoint.to_scheduler and edge_of.api == "ssp"
    if forwarded:
        await _require_ready(edge_of, deadline)
    target = _scheduler_of(edge_of) if forwarded else edge_of.own
    message = await _settled(edge_of, _request(endpoint, asked), deadline)
    try:
        response = await _timed_call(edge_of, target, endpoint.rpc, message, deadline)
    except Fault as fault:
        if endpoint.silent is None:
            raise
        return endpoint.silent(asked, fault)
    if endpoint.follow is None:
        return endpoint.answer(asked, response)
    second = endpoint.follow.request(asked, response)
    if second is None:
        return endpoint.answer(asked, response)
    if endpoint.follow.to_scheduler:
        target = _scheduler_of(edge_of)
    followed = await target.call(endpoint.follow.rpc, second, _left(deadline))
    return endpoint.follow.answer(asked, response, followed)


def _request(endpoint: Endpoint, asked: Asked) -> Message:
    assert endpoint.request is not None
    try:
        return endpoint.request(asked)
    except Misshapen as fault:
        if asked.api in endpoint.free_form_on:
            raise Fault(fault.code, fault.message, fault.hint) from None
        raise


async def _timed_call(edge_of: Edge, target: Upstream, rpc: Rpc, message: Message, deadline: float) -> Any:
    """The call; what it did to changes is counted."""
    left = _left(deadline)
    if rpc is Rpc.GET_STATUS:
        return await target.call(rpc, message, min(left, STATUS_TIMEOUT_SECONDS))
    if not isinstance(message, ingest_pb2.IngestRequest):
        return await target.call(rpc, message, left)
    begun = time.monotonic()
    try:
        response = await target.call(rpc, message, left)
    except Fault as fault:
        edge_of.telemetry.ingested(message, fault.code.value, time.monotonic() - begun)
        raise
    edge_of.telemetry.ingested(message, DURABLE, time.monotonic() - begun)
    return response


async def _settled(edge_of: Edge, message: Message, deadline: float) -> Message:
    """On the SSP's API a fully consistent read is the scheduler's barrier, then a read at least as fresh as it."""
    fully = common_pb2.CONSISTENCY_FULLY_CONSISTENT
    if edge_of.api != "ssp" or not isinstance(message, views_pb2.GetViewRequest) or message.consistency != fully:
        return message
    barrier = await _scheduler_of(edge_of).call(Rpc.BARRIER, admin_pb2.BarrierRequest(), _left(deadline))
    message.consistency = common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH
    message.revision = barrier.revision
    return message


async def _require_ready(edge_of: Edge, deadline: float) -> None:
    timeout_s = min(_left(deadline), STATUS_TIMEOUT_SECONDS)
    status = await edge_of.own.call(Rpc.GET_STATUS, admin_pb2.GetStatusRequest(), timeout_s)
    if status.state != READY:
        state = "Failed" if status.state == "failed" else "Bootstrapping"
        raise Fault(Code.NOT_READY, f"SSP is in {state} state", status.detail)


def _scheduler_of(edge_of: Edge) -> Upstream:
    if edge_of.scheduler is None:
        raise Fault(Code.UNAVAILABLE, "ssp has no scheduler to forward to", "set SPKY_SCHEDULER_URL")
    return edge_of.scheduler


def _left(deadline: float) -> float:
    """Seconds until the deadline; a little is always left for the peer to answer that it is too late."""
    return max(0.05, deadline - time.monotonic())
