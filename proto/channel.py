"""Servers and channels with our options: one place for keepalive, message limits, bearer credentials, faults, drain.

A service raises `Fault`; the server's interceptor answers the gRPC status of `faults.STATUS` with code, hint and
details in the trailing metadata; `fault_of(error)` restores it on the caller's side.
"""

from __future__ import annotations

import hmac
import inspect
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from sp00ky.proto import tls
from sp00ky.proto.faults import RETRY_AFTER_MS, STATUS, Code, Fault

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
KEEPALIVE_MS = 15_000  # a connection that says nothing is asked whether it lives
KEEPALIVE_TIMEOUT_MS = 10_000  # without an answer it is dead: half-open ones are found within the sum
DRAIN_SECONDS = 5.0

log = logging.getLogger(__name__)

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),  # the one that decides: a minute unless set
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.max_pings_without_data", 0),
]
_CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    *_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
]
# That long an attempt to connect may take: a handshake needs several round trips, and a busy peer.
_TLS_CONNECT = ("grpc.min_reconnect_backoff_ms", 5_000)
_TLS_CHANNEL_OPTIONS = [*(option for option in _CHANNEL_OPTIONS if option[0] != _TLS_CONNECT[0]), _TLS_CONNECT]
_SERVER_OPTIONS: list[tuple[str, Any]] = [*_OPTIONS, ("grpc.so_reuseport", 0)]
_OPEN_METHODS = ("/grpc.health.v1.Health/", "/grpc.reflection.")


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

    class StreamStream(aio.StreamStreamClientInterceptor):  # type: ignore[misc]
        async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
            return await continuation(with_bearer(details), requests)

    return (UnaryUnary(), StreamStream())


class FaultInterceptor(aio.ServerInterceptor):  # type: ignore[misc]
    """Checks the bearer and turns `Fault`s into statuses, for unary and bidirectional methods."""

    def __init__(self, *secrets: str) -> None:
        """Any of the secrets will do; without one, anything."""
        self._expected = [f"Bearer {secret}".encode() for secret in secrets if secret]

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(details)
        if handler is None or details.method.startswith(_OPEN_METHODS):
            return handler
        given = dict(details.invocation_metadata or ()).get("authorization", "")
        matches = [hmac.compare_digest(str(given).encode(), expected) for expected in self._expected]
        allowed = not matches or any(matches)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _guarded_unary(handler.unary_unary, allowed), handler.request_deserializer, handler.response_serializer
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _guarded_stream(handler.stream_stream, allowed),
                handler.request_deserializer,
                _passing_bytes(handler.response_serializer),
            )
        return handler


def _passing_bytes(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A stream may answer with a message that has been written already, once for many streams."""
    return lambda response: response if type(response) is bytes else serialize(response)


def _guarded_unary(inner: Any, allowed: bool) -> Any:
    async def call(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        try:
            _require(allowed)
            return await inner(request, context)
        except Fault as fault:
            await abort(context, fault)
        except (aio.AbortError, grpc.RpcError):
            raise
        except Exception as error:
            log.exception("unary call failed")
            await abort(context, Fault(Code.INTERNAL, f"internal error: {type(error).__name__}"))

    return call


def _guarded_stream(inner: Any, allowed: bool) -> Any:
    async def call(requests: AsyncIterator[Any], context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            _require(allowed)
            async for response in inner(requests, context):
                yield response
        except Fault as fault:
            await abort(context, fault)
        except (aio.AbortError, grpc.RpcError):
            raise
        except Exception as error:
            log.exception("stream failed")
            await abort(context, Fault(Code.INTERNAL, f"internal error: {type(error).__name__}"))

    return call


def _require(allowed: bool) -> None:
    if not allowed:
        raise Fault(Code.UNAUTHENTICATED, "bearer token is missing or wrong", "send authorization: Bearer <secret>")


def _retry_info(fault: Fault) -> bytes:
    """The status with a google.rpc.RetryInfo, as clients of any language look for it."""
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(int(fault.details[RETRY_AFTER_MS]))
    status = status_pb2.Status(code=getattr(grpc.StatusCode, STATUS[fault.code]).value[0], message=fault.message)
    status.details.add().Pack(retry)
    return bytes(status.SerializeToString())


async def abort(context: aio.ServicerContext[Any, Any], fault: Fault) -> None:
    """End the call with the fault's status; raises."""
    pairs = [("spky-code", fault.code.value), ("spky-hint-bin", fault.hint.encode())]
    pairs += [(f"spky-detail-{name}-bin", value.encode()) for name, value in fault.details.items()]
    if RETRY_AFTER_MS in fault.details:
        pairs.append(("grpc-status-details-bin", _retry_info(fault)))
    await context.abort(getattr(grpc.StatusCode, STATUS[fault.code]), fault.message, tuple(pairs))


_CODE_OF_STATUS = {
    grpc.StatusCode.UNAVAILABLE: Code.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.TIMEOUT,
    grpc.StatusCode.UNAUTHENTICATED: Code.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED: Code.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Code.OVERLOADED,
    grpc.StatusCode.INVALID_ARGUMENT: Code.INVALID,
}


def fault_of(error: aio.AioRpcError) -> Fault:
    """The fault that a failed call stands for."""
    metadata = {str(name): value for name, value in (error.trailing_metadata() or ())}
    text = {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in metadata.items()
        if name.startswith("spky-")
    }
    try:
        code = Code(text.get("spky-code", ""))
    except ValueError:
        code = _CODE_OF_STATUS.get(error.code(), Code.INTERNAL)
    prefix, suffix = "spky-detail-", "-bin"
    details = {name[len(prefix) : -len(suffix)]: value for name, value in text.items() if name.startswith(prefix)}
    return Fault(code, error.details() or error.code().name.lower(), text.get("spky-hint-bin", ""), details)


class Server:
    """A gRPC server with health, reflection, bearer check and graceful drain.

    `add(adder, servicer, descriptor_service_name)` before `start`; `start` returns the bound address."""

    def __init__(self, listen: str, secret: str = "", previous_secret: str = "") -> None:
        self._listen = listen
        self._server = aio.server(interceptors=[FaultInterceptor(secret, previous_secret)], options=_SERVER_OPTIONS)
        self._health = health.aio.HealthServicer()
        self._names: list[str] = [health.SERVICE_NAME, reflection.SERVICE_NAME]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
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
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)
