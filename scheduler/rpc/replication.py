"""The scheduler's end of the one stream to an SSP: frames up become events, the session's frames go down.

The first frame is a hello; anything else, and any frame the protocol does not allow, ends this stream and no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from grpc import aio
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import replication_pb2, replication_pb2_grpc
from sp00ky.scheduler.coordinator.events import SspAcked, SspBeat, SspLoaded
from sp00ky.scheduler.errors import peer_fault
from sp00ky.scheduler.fanout import Response, Session
from sp00ky.scheduler.pages import read_page
from sp00ky.scheduler.rpc.revisions import between_transactions

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver

HELLO_SECONDS = 10.0
Requests = AsyncIterator[replication_pb2.ReplicateRequest]


class ReplicationServicer(replication_pb2_grpc.ReplicationServiceServicer):
    def __init__(self, driver: SchedulerDriver) -> None:
        self._driver = driver

    async def Replicate(
        self, requests: Requests, context: aio.ServicerContext[object, object]
    ) -> AsyncIterator[Response]:
        session = self._driver.open_session(await self._hello(requests))
        reader = asyncio.create_task(self._read(requests, session))
        try:
            async for frame in session.frames():
                yield frame
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            self._driver.close_session(session)

    async def ReadPage(
        self, request: replication_pb2.ReadPageRequest, context: aio.ServicerContext[object, object]
    ) -> replication_pb2.ReadPageResponse:
        self._driver.require_ready()
        store, load = self._driver.store, request.load
        between_transactions(store, Seq(load.at_seq))
        try:
            page = read_page(store, load, self._driver.settings.bootstrap_page_size)
        except Fault as fault:
            fault.details |= {
                "floor": self._driver.token(store.floor_seq),
                "head": self._driver.token(store.synced_seq),
            }
            raise
        return replication_pb2.ReadPageResponse(page=page)

    async def _hello(self, requests: Requests) -> replication_pb2.Hello:
        try:
            first = await asyncio.wait_for(anext(requests), HELLO_SECONDS)
        except (StopAsyncIteration, TimeoutError):
            raise Fault(Code.INVALID, f"stream sent no hello within {HELLO_SECONDS:g} s") from None
        if first.WhichOneof("frame") != "hello":
            raise Fault(Code.INVALID, f"stream begins with {first.WhichOneof('frame')}, not with hello")
        return first.hello

    async def _read(self, requests: Requests, session: Session) -> None:
        try:
            async for request in requests:
                self._take(request, session)
        except Fault as fault:
            session.end(fault)
        else:
            session.end(None)

    def _take(self, request: replication_pb2.ReplicateRequest, session: Session) -> None:
        post = self._driver.committer.post
        match request.WhichOneof("frame"):
            case "ack":
                ack = request.ack
                post(SspAcked(session.id, Seq(ack.applied_seq), Seq(ack.written_seq), ack.frames))
                if self._driver.probe is not None:
                    self._driver.probe.acked(session.ssp_id, ack.applied_seq, ack.written_seq)
            case "load":
                session.load(request.load)
            case "loaded":
                post(SspLoaded(session.id))
            case "heartbeat":
                post(SspBeat(session.id, request.heartbeat))
            case other:
                raise peer_fault(session.ssp_id, f"it sent {other or 'an empty frame'} after its hello")
