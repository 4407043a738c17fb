"""What every call passes on its way in: bearer, message size, deadline; and on its way out: faults as statuses.

A unary call whose caller states no deadline gets the server's: a caller that has forgotten its question would else
hold what answers it for ever. Streams have none. A message is refused by its size before it is read; gRPC itself
refuses what is twice as large without a word to us, so only that is not counted.

Health and reflection are open: a probe has no secret.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from sp00ky.proto.details import cut, status_code, trailers
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import SourceSettings
from sp00ky.proto.tracing import REQUEST_ID, REQUEST_ID_METADATA

OPEN_METHODS = ("/grpc.health.v1.Health/", "/grpc.reflection.")

log = logging.getLogger(__name__)
Deserializer = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class CallLimits:
    deadline_s: float = 60.0  # of a unary call whose caller states none
    message_bytes_max: int = 64 * 1024 * 1024  # of one message of a caller


def limits_of(settings: SourceSettings) -> CallLimits:
    return CallLimits(settings.grpc_deadline_ms / 1000, settings.grpc_message_bytes_max)


@dataclass(slots=True)
class CallCounts:
    begun: int = 0
    unauthenticated: int = 0
    too_large: int = 0
    late: int = 0


class Guard(aio.ServerInterceptor):  # type: ignore[misc]
    """Of one server. Any of the secrets will do; without one, anything."""

    def __init__(self, secrets: tuple[str, ...], limits: CallLimits) -> None:
        self._expected = [f"Bearer {secret}".encode() for secret in secrets if secret]
        self._limits = limits
        self.counts = CallCounts()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(details)
        if handler is None or details.method.startswith(OPEN_METHODS):
            return handler
        metadata = dict(details.invocation_metadata or ())
        REQUEST_ID.set(str(metadata.get(REQUEST_ID_METADATA, ""))[:128])
        self.counts.begun += 1
        allowed = self._allows(metadata.get("authorization", ""))
        read, write = handler.request_deserializer or bytes, _passing_bytes(handler.response_serializer)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(handler.unary_unary, allowed, read), None, handler.response_serializer
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._told(handler.unary_stream, allowed, read), None, write)
        if handler.stream_stream is not None:
            guarded = self._talked(handler.stream_stream, allowed)
            return grpc.stream_stream_rpc_method_handler(guarded, lambda raw: self._read(raw, read), write)
        return _refused()

    def _allows(self, given: object) -> bool:
        matches = [hmac.compare_digest(str(given).encode(), expected) for expected in self._expected]
        return not matches or any(matches)

    def _require(self, allowed: bool) -> None:
        if not allowed:
            self.counts.unauthenticated += 1
            raise Fault(Code.UNAUTHENTICATED, "bearer token is missing or wrong", "send authorization: Bearer <secret>")

    def _read(self, raw: bytes, read: Deserializer) -> Any:
        """Raises Fault TOO_LARGE, INVALID."""
        if len(raw) > self._limits.message_bytes_max:
            self.counts.too_large += 1
            raise Fault(
                Code.TOO_LARGE,
                f"message of {len(raw)} bytes is longer than the {self._limits.message_bytes_max} that are taken",
                "send less in one message, or set SPKY_GRPC_MESSAGE_BYTES_MAX",
            )
        try:
            return read(raw)
        except DecodeError as error:
            raise Fault(Code.INVALID, f"message is not of its type: {error}") from error

    def _unary(self, inner: Any, allowed: bool, read: Deserializer) -> Any:
        async def call(raw: bytes, context: aio.ServicerContext[Any, Any]) -> Any:
            own = self._limits.deadline_s if context.time_remaining() is None else None
            try:
                self._require(allowed)
                async with asyncio.timeout(own) as limit:
                    return await inner(self._read(raw, read), context)
            except TimeoutError as error:
                if not limit.expired():
                    await _end(context, error)
                self.counts.late += 1
                message = f"the call took longer than the {own:g} s of a call without a deadline"
                await _end(context, Fault(Code.TIMEOUT, message, "state a deadline, or set SPKY_GRPC_DEADLINE_MS"))
            except Exception as error:
                await _end(context, error)

        return call

    def _told(self, inner: Any, allowed: bool, read: Deserializer) -> Any:
        async def call(raw: bytes, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            try:
                self._require(allowed)
                async for response in inner(self._read(raw, read), context):
                    yield response
            except Exception as error:
                await _end(context, error)

        return call

    def _talked(self, inner: Any, allowed: bool) -> Any:
        async def call(requests: AsyncIterator[Any], context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            try:
                self._require(allowed)
                async for response in inner(requests, context):
                    yield response
            except Exception as error:
                await _end(context, error)

        return call

    def metrics(self) -> dict[str, float]:
        counts = self.counts
        return {
            "grpc_calls_total": counts.begun,
            'grpc_refused_total{reason="unauthenticated"}': counts.unauthenticated,
            'grpc_refused_total{reason="too_large"}': counts.too_large,
            'grpc_refused_total{reason="late"}': counts.late,
        }


def _passing_bytes(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A stream may answer with a message that has been written already, once for many streams."""
    return lambda response: response if type(response) is bytes else serialize(response)


def _refused() -> grpc.RpcMethodHandler:
    """No service of ours has methods of the fourth kind, and none slips past the guard."""

    async def call(requests: AsyncIterator[Any], context: aio.ServicerContext[Any, Any]) -> None:
        await abort(context, Fault(Code.UNIMPLEMENTED, "no method takes a stream and answers once"))

    return grpc.stream_unary_rpc_method_handler(call)


async def _end(context: aio.ServicerContext[Any, Any], error: Exception) -> None:
    """End the call with what the error stands for; raises."""
    if isinstance(error, aio.AbortError | grpc.RpcError):
        raise error
    if isinstance(error, Fault):
        await abort(context, error)
    log.error("call failed", exc_info=error)
    await abort(context, Fault(Code.INTERNAL, f"internal error: {type(error).__name__}"))


async def abort(context: aio.ServicerContext[Any, Any], fault: Fault) -> None:
    """End the call with the fault's status; raises."""
    await context.abort(status_code(fault.code), cut(fault.message), trailers(fault))
