"""Servers and channels with our options: one place for keepalive, message limits, retries, credentials, drain.

A service raises `Fault`; the server's guard answers its status (`guard.py`, `details.py`); `fault_of(error)` restores
it on the caller's side.

Keepalive is a pair: a channel asks every KEEPALIVE_MS whether an idle connection lives, and a server takes being asked
twice as often, so neither cuts off the other. A call of `IDEMPOTENT` that no service has answered is made again, by
gRPC itself; what was answered, also with a refusal, is the caller's to repeat.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
from grpc import aio
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from sp00ky.proto import tls
from sp00ky.proto.details import fault_in
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.guard import CallLimits, Guard

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
KEEPALIVE_MS = 15_000  # a connection that says nothing is asked whether it lives
KEEPALIVE_TIMEOUT_MS = 10_000  # without an answer it is dead: half-open ones are found within the sum
DRAIN_SECONDS = 5.0
# Trailers carry what is wrong (`details.py` bounds it); peers of other makes take 8 KiB.
METADATA_BYTES_MAX = 32 * 1024
CONNECTION_CALLS_MAX = 1_024  # in flight on one connection; a gateway's callers share one

# Methods that may be made twice: they only read, or the second time finds everything done.
IDEMPOTENT: Final = {
    "AdminService": ("GetStatus", "Barrier", "ListDeadLetters", "GetDeadLetter", "GetReplica"),
    "CrdtService": ("ApplyUpdate", "GetDocument"),
    "IntegrityService": ("GetNode",),
    "ProxyService": ("Query",),
    "ReplicationService": ("ReadPage",),
    "ViewService": ("GetView", "ListViews", "ExplainView", "WhyView", "LocateView"),
}
_RETRIES: Final = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],  # by the server: too many calls wait there
}
SERVICE_CONFIG: Final = {
    "methodConfig": [
        {
            "name": [
                {"service": f"sp00ky.v1.{service}", "method": method}
                for service, methods in IDEMPOTENT.items()
                for method in methods
            ],
            "retryPolicy": _RETRIES,
        }
    ],
    # A service that is down is not asked thrice by everybody: retries stop when half of these are used up.
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.max_send_message_length", -1),  # the receiver's to refuse
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),  # the one that decides: a minute unless set
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.max_pings_without_data", 0),
]
_CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    *_OPTIONS,
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
]
# That long an attempt to connect may take: a handshake needs several round trips, and a busy peer.
_TLS_CONNECT = ("grpc.min_reconnect_backoff_ms", 5_000)
_TLS_CHANNEL_OPTIONS = [*(option for option in _CHANNEL_OPTIONS if option[0] != _TLS_CONNECT[0]), _TLS_CONNECT]
# A server has a place for so many calls that nobody has taken up yet, and drops some of all callers' beyond: so one
# connection may have fewer. gRPC counts calls that were reset until they are gone, which is what a flood of them meets.
_SERVER_OPTIONS: list[tuple[str, Any]] = [
    *_OPTIONS,
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", CONNECTION_CALLS_MAX),
    ("grpc.server.max_pending_requests", 2 * CONNECTION_CALLS_MAX),
    ("grpc.server.max_pending_requests_hard_limit", 4 * CONNECTION_CALLS_MAX),
]


def open_channel(address: str, secret: str = "") -> aio.Channel:
    """A channel to `host:port` or `unix:path`; every call carries `Bearer <secret>`. Closed by the caller. Encrypted if
    this process has a certificate, except to a unix socket."""
    interceptors = list(_bearer_interceptors(secret)) if secret else None
    own = tls.identity()
    if own is not None and not address.startswith("unix:"):
        shown = own.channel_credentials()
        place = re.sub(r"^(0\.0\.0\.0|\[::\]):", "127.0.0.1:", address)  # every interface: a name no certificate has
        return aio.secure_channel(place, shown, options=_TLS_CHANNEL_OPTIONS, interceptors=interceptors)
    return aio.insecure_channel(address, options=_CHANNEL_OPTIONS, interceptors=interceptors)


def _bearer_interceptors(secret: str) -> Sequence[aio.ClientInterceptor]:
    def with_bearer(details: aio.ClientCallDetails) -> aio.ClientCallDetails:
        metadata = aio.Metadata(*(details.metadata or ()), ("authorization", f"Bearer {secret}"))
        return aio.ClientCallDetails(
            method=details.method,
            timeout=details.timeout,
            metadata=metadata,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )

    class UnaryUnary(aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            return await continuation(with_bearer(details), request)

    class UnaryStream(aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
        async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
            return await continuation(with_bearer(details), request)

    class StreamStream(aio.StreamStreamClientInterceptor):  # type: ignore[misc]
        async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
            return await continuation(with_bearer(details), requests)

    return (UnaryUnary(), UnaryStream(), StreamStream())


_INT_MAX = 2**31 - 1  # gRPC's options are 32 bits wide
_CHANNELZ = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name
_CODE_OF_STATUS = {
    grpc.StatusCode.UNAVAILABLE: Code.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: Code.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.TIMEOUT,
    grpc.StatusCode.UNAUTHENTICATED: Code.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED: Code.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Code.OVERLOADED,
    grpc.StatusCode.INVALID_ARGUMENT: Code.INVALID,
}


def fault_of(error: aio.AioRpcError) -> Fault:
    """The fault that a failed call stands for."""
    fault = fault_in({str(name): value for name, value in (error.trailing_metadata() or ())})
    if fault is not None:
        return fault
    code, said = _CODE_OF_STATUS.get(error.code(), Code.INTERNAL), error.details() or error.code().name.lower()
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in said:  # gRPC's own words
        return Fault(Code.TOO_LARGE, said, "send or ask for less in one message, or raise SPKY_GRPC_MESSAGE_BYTES_MAX")
    return Fault(code, said)


class Server:
    """A gRPC server with health, reflection, channelz, the guard's checks and graceful drain.

    `add(adder, servicer, descriptor_service_name)` before `start`; `start` returns the bound address."""

    def __init__(
        self, listen: str, secret: str = "", previous_secret: str = "", limits: CallLimits | None = None
    ) -> None:
        limits = limits or CallLimits()
        self._listen = listen
        self._guard = Guard((secret, previous_secret), limits)
        taken = ("grpc.max_receive_message_length", min(2 * limits.message_bytes_max, _INT_MAX))
        self._server = aio.server(interceptors=[self._guard], options=[taken, *_SERVER_OPTIONS])
        self._health = health.aio.HealthServicer()
        self._names: list[str] = [health.SERVICE_NAME, reflection.SERVICE_NAME]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.add(channelz_pb2_grpc.add_ChannelzServicer_to_server, channelz.aio.ChannelzServicer(), _CHANNELZ)
        self.address = ""

    def add(self, adder: Callable[[Any, aio.Server], None], servicer: object, service_name: str) -> None:
        adder(servicer, self._server)
        self._names.append(service_name)

    async def start(self) -> str:
        """Bind and serve; returns `host:port` (or `unix:path`). Raises OSError when the address is taken."""
        reflection.enable_server_reflection(self._names, self._server)
        try:
            port = self._bind()
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._listen}: {error}") from error
        if port == 0 and not self._listen.startswith("unix:"):
            raise OSError(f"cannot listen on {self._listen}: address already in use")
        await self._server.start()
        self.address = self._listen if self._listen.startswith("unix:") else f"{self._listen.rpartition(':')[0]}:{port}"
        await self.serving(False)
        return self.address

    def _bind(self) -> int:
        own = tls.identity()
        if own is None or self._listen.startswith("unix:"):
            return int(self._server.add_insecure_port(self._listen))
        return int(self._server.add_secure_port(self._listen, own.server_credentials()))

    async def serving(self, ready: bool) -> None:
        """Answer SERVING or NOT_SERVING for every service, and for the whole ("")."""
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ["", *self._names]:
            changed = self._health.set(name, status)
            if inspect.isawaitable(changed):
                await changed

    async def stop(self, grace_seconds: float = DRAIN_SECONDS) -> None:
        """NOT_SERVING for good, GOAWAY to every connection; calls in flight have `grace_seconds`, then are cut."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)

    def metrics(self) -> dict[str, float]:
        """What the guard let in and refused, by name."""
        return self._guard.metrics()
