"""The way in: an answer means logged, folded and fsynced (G4).

On the stream, batches are checked and queued as they arrive, at most `ingest_inflight_max` of them beyond the last
answer; then nothing more is read and the transport holds the caller. Answers come in order, so each speaks for all
batches before it too. A bad batch ends the stream after the answers to those before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import grpc
from grpc import aio
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import ingest_pb2

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver
    from sp00ky.scheduler.ticket import IngestTicket

Context: TypeAlias = aio.ServicerContext[object, object]


def add_ingest(servicer: IngestServicer, server: aio.Server) -> None:
    """As the generated adder, but a stream's changes are left as the bytes they came as."""
    handlers = {
        "Ingest": grpc.unary_unary_rpc_method_handler(
            servicer.Ingest,
            request_deserializer=ingest_pb2.IngestRequest.FromString,
            response_serializer=ingest_pb2.IngestResponse.SerializeToString,
        ),
        "IngestStream": grpc.stream_stream_rpc_method_handler(
            servicer.IngestStream,
            request_deserializer=ingest_pb2.EncodedBatch.FromString,
            response_serializer=ingest_pb2.IngestStreamResponse.SerializeToString,
        ),
    }
    name = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    server.add_registered_method_handlers(name, handlers)


class _Batch(NamedTuple):
    number: int
    ticket: IngestTicket


class IngestServicer:
    def __init__(self, driver: SchedulerDriver) -> None:
        self._driver = driver

    async def Ingest(self, request: ingest_pb2.IngestRequest, context: Context) -> ingest_pb2.IngestResponse:
        changes = [change.SerializeToString() for change in request.changes]
        ticket = await self._driver.ingest(changes, request.atomic)
        seq = await ticket.seq()
        return ingest_pb2.IngestResponse(revision=self._driver.token(seq), seq=seq, hints=ticket.hints)

    async def IngestStream(
        self, requests: AsyncIterator[ingest_pb2.EncodedBatch], context: Context
    ) -> AsyncIterator[ingest_pb2.IngestStreamResponse]:
        inflight: asyncio.Queue[_Batch | Fault | None] = asyncio.Queue(self._driver.settings.ingest_inflight_max)
        reader = asyncio.create_task(self._read(requests, inflight))
        try:
            while (item := await inflight.get()) is not None:
                if isinstance(item, Fault):
                    raise item
                seq = await item.ticket.seq()
                yield ingest_pb2.IngestStreamResponse(batch=item.number, seq=seq, revision=self._driver.token(seq))
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            while not inflight.empty():
                left = inflight.get_nowait()
                if isinstance(left, _Batch):
                    left.ticket.abandon()

    async def _read(
        self, requests: AsyncIterator[ingest_pb2.EncodedBatch], inflight: asyncio.Queue[_Batch | Fault | None]
    ) -> None:
        last = 0
        try:
            async for request in requests:
                if request.batch <= last:
                    raise Fault(Code.INVALID, f"batch {request.batch} follows batch {last}", "number them upwards")
                last = request.batch
                ticket = await self._driver.ingest(request.changes, request.atomic, waits=True)
                await inflight.put(_Batch(last, ticket))
        except Fault as fault:
            fault.details["batch"] = str(last)
            await inflight.put(fault)
        else:
            await inflight.put(None)
