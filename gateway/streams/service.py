"""`ViewStreams`: what the streams of views of one server share, and where it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from sp00ky.gateway.admission import Shed
from sp00ky.gateway.errors import RETRY_AFTER_SECONDS
from sp00ky.gateway.exchange import Limits
from sp00ky.gateway.streams.feeds import Feeds
from sp00ky.gateway.streams.history import Budget
from sp00ky.gateway.streams.links import Links
from sp00ky.gateway.streams.metering import StreamMeters
from sp00ky.gateway.streams.reader import Reader
from sp00ky.gateway.streams.rereading import Rereading
from sp00ky.gateway.streams.waking import Waking
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.gateway.translate.streams import Watched
from sp00ky.gateway.upstream import Rpc, Upstream
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.memory import Memory
from sp00ky.proto.pressure import Pressure
from sp00ky.proto.v1 import common_pb2, views_pb2

LOCATE_CALL_SECONDS = 2.0
MEMORY_RETRY_SECONDS = 5


class ViewStreams:
    """`own` reads views; `scheduler` says where they are: without one, all of them are at `own`."""

    def __init__(
        self, limits: Limits, telemetry: Telemetry, secret: str, own: Upstream, scheduler: Upstream | None
    ) -> None:
        self._limits, self._own, self._scheduler = limits, own, scheduler
        budget = Budget(limits.feed_entries_max, limits.feed_bytes_max, limits.feeds_bytes_max)
        self.meters = StreamMeters(telemetry.registry, budget)
        self._telemetry = telemetry
        self._links = Links(secret, self.meters)
        self._feeds = Feeds(
            self._links,
            self._locate,
            budget,
            self.meters,
            feeds_max=limits.feeds_max,
            linger_s=limits.feed_linger_ms / 1000,
        )
        self._rereading = Rereading(
            self._reading,
            self.meters,
            reads_max=limits.resume_reads_max,
            timeout_s=limits.request_timeout_ms / 1000,
        )
        self._waking = Waking()
        self._open = 0
        self._memory = Memory(limits.memory_bytes_max)

    @contextlib.asynccontextmanager
    async def reader(
        self, watched: Sequence[Watched], transport: str, *, ends_with_view: bool
    ) -> AsyncIterator[Reader]:
        """A stream of these views. Raises Fault NOT_FOUND; OVERLOADED for one too many; what is in the way of them."""
        if self._open >= self._limits.streams_max:
            self._telemetry.rejected("stream", "streams")
            message = "server has as many streams as it may"
            raise Shed("streams", message, "ask again shortly", RETRY_AFTER_SECONDS)
        if self._memory.measure() is Pressure.PRESSED:
            self._telemetry.rejected("stream", "memory")
            raise Shed("memory", "server has no memory for another stream", "ask again later", MEMORY_RETRY_SECONDS)
        if len(watched) > self._limits.stream_views_max:
            most = self._limits.stream_views_max
            raise Fault(Code.TOO_LARGE, f"a stream has at most {most} views", "open another")
        self._open += 1
        self.meters.streams.labels(transport).inc()
        reader = Reader(
            self._feeds,
            self._rereading,
            self._links,
            self.meters,
            self._waking,
            refresh_s=self._limits.keep_alive_ms / 1000,
            ahead_s=self._limits.request_timeout_ms / 1000,
            ends_with_view=ends_with_view,
        )
        try:
            for each in watched:
                await reader.watch(each)
            yield reader
        finally:
            reader.close()
            self._open -= 1
            self.meters.streams.labels(transport).dec()

    async def _locate(self, key: common_pb2.ViewKey, at_least: str) -> str:
        if self._scheduler is not None:
            request = views_pb2.LocateViewRequest(key=key, at_least=at_least)
            located = await self._scheduler.call(Rpc.LOCATE_VIEW, request, LOCATE_CALL_SECONDS)
            if not located.grpc_address:
                raise Fault(Code.NOT_READY, f'view "{key.id}" is on an SSP that has no address yet')
            return str(located.grpc_address)
        try:
            await self._own.call(Rpc.GET_VIEW, views_pb2.GetViewRequest(key=key), LOCATE_CALL_SECONDS)
        except Fault as fault:
            if fault.code not in (Code.NOT_READY, Code.TIMEOUT):  # it is here, and has no result yet
                raise
        return self._own.address

    async def _reading(self, request: views_pb2.GetViewRequest, timeout_s: float) -> views_pb2.GetViewResponse:
        response: views_pb2.GetViewResponse = await self._own.call(Rpc.GET_VIEW, request, timeout_s)
        return response

    async def close(self) -> None:
        await asyncio.gather(self._rereading.close(), self._feeds.close())
