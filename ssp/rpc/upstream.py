"""Our end of the replication stream: frames in as engine events, requests out through one bounded queue.

`Upstream.frames()` opens the stream and yields what arrives; the driver says hello first. A broken stream ends the
iteration with the Fault that broke it; the driver opens it again and resumes at its applied seq.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from grpc import StatusCode, aio
from sp00ky.proto.channel import fault_of, open_channel
from sp00ky.proto.discovery import resolve_scheduler
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    proxy_pb2,
    proxy_pb2_grpc,
    replication_pb2,
    replication_pb2_grpc,
)
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.pack import unpack
from sp00ky.ssp.engine.ready import LoadPage

REQUESTS_MAX = 10_000  # frames waiting to go up: page requests, acks and heartbeats, a few a view at most
BARRIER_SECONDS = 15.0
DISCOVERY_SECONDS = 2.0

log = logging.getLogger(__name__)
PAGE_SECONDS = 10.0


async def dial(known: Upstream | None, where: str, secret: str) -> Upstream:
    """The channel to the scheduler at a URL (or `host:port`, `unix:path`), asked anew since it may have moved; `known`
    if it is there still, or if nobody answers who could say. Raises Fault where there is none."""
    try:
        address = await resolve_scheduler(where, DISCOVERY_SECONDS) if "://" in where else where
    except Fault:
        if known is None:
            raise
        return known
    if known is not None and known.address == address:
        return known
    if known is not None:
        log.info("the scheduler has moved from %s to %s", known.address, address)
        await known.close()
    return Upstream(address, secret)


class Upstream:
    """The channel to the scheduler at `host:port` (or `unix:path`)."""

    def __init__(self, address: str, secret: str) -> None:
        self.address = address
        self._channel = open_channel(address, secret)
        self._replication = replication_pb2_grpc.ReplicationServiceStub(self._channel)
        self._proxy = proxy_pb2_grpc.ProxyServiceStub(self._channel)
        self._admin = admin_pb2_grpc.AdminServiceStub(self._channel)
        self._requests: asyncio.Queue[replication_pb2.ReplicateRequest] = asyncio.Queue(REQUESTS_MAX)
        self.connected = False

    async def frames(self, hello: replication_pb2.Hello) -> AsyncIterator[replication_pb2.ReplicateResponse]:
        """Open the stream with `hello` and yield frames until it ends; raises Fault when it broke."""
        self._requests = asyncio.Queue(REQUESTS_MAX)
        self.send(replication_pb2.ReplicateRequest(hello=hello))
        call = self._replication.Replicate(self._outgoing(self._requests))
        try:
            async for response in call:
                self.connected = True
                yield response
        except aio.AioRpcError as error:
            raise fault_of(error) from error
        finally:
            self.connected = False
            call.cancel()

    @staticmethod
    async def _outgoing(
        requests: asyncio.Queue[replication_pb2.ReplicateRequest],
    ) -> AsyncIterator[replication_pb2.ReplicateRequest]:
        while True:
            yield await requests.get()

    def send(self, request: replication_pb2.ReplicateRequest) -> None:
        """Queue a frame; without a stream it is dropped, since a new hello says it all again."""
        if not self._requests.full():
            self._requests.put_nowait(request)

    def load(self, page: LoadPage, rows_max: int) -> None:
        load = replication_pb2.Load(
            load_id=page.load_id, table=page.table, at_seq=page.at_seq, after_key=page.after_key, rows_max=rows_max
        )
        self.send(replication_pb2.ReplicateRequest(load=load))

    async def barrier(self) -> int:
        """A seq at or above everything that was committed in SurrealDB before the call; the head, where changes are
        captured in a way that has no barrier: a change that comes later is a change once more. Raises Fault."""
        try:
            answer = await self._admin.Barrier(admin_pb2.BarrierRequest(), timeout=BARRIER_SECONDS)
        except aio.AioRpcError as error:
            if error.code() is StatusCode.UNIMPLEMENTED:
                return await self._head()
            raise fault_of(error) from error
        return int(answer.seq)

    async def _head(self) -> int:
        try:
            answer = await self._admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=BARRIER_SECONDS)
        except aio.AioRpcError as error:
            raise fault_of(error) from error
        return int(answer.head_seq)

    async def query(self, surql: str, params: bytes, revision: str) -> tuple[Value, str]:
        """A query on the scheduler's replica: its result, and the revision it was read at; raises Fault."""
        request = proxy_pb2.QueryRequest(query=surql, vars=params, revision=revision)
        try:
            answer = await self._proxy.Query(request, timeout=BARRIER_SECONDS)
        except aio.AioRpcError as error:
            raise fault_of(error) from error
        return unpack(answer.result), str(answer.revision)

    async def read_page(self, load: replication_pb2.Load) -> replication_pb2.Page:
        """A page of a table at a retained revision; raises Fault."""
        request = replication_pb2.ReadPageRequest(load=load)
        try:
            answer = await self._replication.ReadPage(request, timeout=PAGE_SECONDS)
        except aio.AioRpcError as error:
            raise fault_of(error) from error
        page: replication_pb2.Page = answer.page
        return page

    async def close(self) -> None:
        await self._channel.close()
