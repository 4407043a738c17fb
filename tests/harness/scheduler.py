"""A scheduler in this process, and the two kinds of peer it has: callers, and SSPs that only speak the protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

from grpc import aio
from sp00ky.proto.channel import Server, fault_of, open_channel
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import (
    admin_pb2_grpc,
    common_pb2,
    ingest_pb2_grpc,
    integrity_pb2_grpc,
    proxy_pb2_grpc,
    replication_pb2,
    replication_pb2_grpc,
    views_pb2,
    views_pb2_grpc,
)
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.rocks import RocksDatastore
from sp00ky.scheduler.driver import SchedulerDriver
from sp00ky.scheduler.ticket import IngestTicket

from tests.harness.eventually import eventually


def change(table: str, key: Value, op: str = "CREATE", idempotency_key: str = "", **fields: Value) -> common_pb2.Change:
    """A change in the exact form."""
    packed = b"" if op == "DELETE" else pack({**fields, "id": RecordId(table, key)})
    return common_pb2.Change(
        table=table,
        op=common_pb2.Op.Value(f"OP_{op}"),
        key=pack(key),
        packed=packed,
        idempotency_key=idempotency_key,
    )


def open_store(engine: str, path: Path) -> Datastore:
    return MemoryDatastore() if engine == "memory" else RocksDatastore.open(path)


class Scheduler:
    """A driver on a free port with stubs for its services; `async with` starts and stops it."""

    def __init__(self, store: Datastore, database: Any = None, **settings: object) -> None:
        quick = {"grpc_addr": "127.0.0.1:0", "heartbeat_timeout_ms": 60_000, **settings}
        self.driver = SchedulerDriver(SchedulerSettings(**quick), store, database)  # type: ignore[arg-type]
        self.channel: aio.Channel | None = None

    async def __aenter__(self) -> Scheduler:
        self.address = await self.driver.start()
        self.channel = open_channel(self.address)
        self.ingest = ingest_pb2_grpc.IngestServiceStub(self.channel)
        self.views = views_pb2_grpc.ViewServiceStub(self.channel)
        self.proxy = proxy_pb2_grpc.ProxyServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)
        self.integrity = integrity_pb2_grpc.IntegrityServiceStub(self.channel)
        return self

    async def offer(self, *changes: common_pb2.Change) -> IngestTicket:
        """Put changes, each a transaction, into the queue by the driver itself."""
        return await self.driver.ingest([change.SerializeToString() for change in changes], atomic=False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.channel is not None:
            await self.channel.close()
        await self.driver.stop()


async def fault_from(call: Any) -> Fault:
    """The fault a call fails with; AssertionError if it succeeds."""
    try:
        answer = await call
    except aio.AioRpcError as error:
        return fault_of(error)
    raise AssertionError(f"call succeeded: {answer}")


class Peer:
    """An SSP's end of the stream by hand: what it sends is what the test says, what arrives is kept by kind."""

    def __init__(self, address: str, ssp_id: str, grpc_address: str = "") -> None:
        self.ssp_id, self.grpc_address = ssp_id, grpc_address
        self._channel = open_channel(address)
        self._stub = replication_pb2_grpc.ReplicationServiceStub(self._channel)
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self.welcomes: list[replication_pb2.Welcome] = []
        self.pages: list[replication_pb2.Page] = []
        self.frames: list[replication_pb2.Entries] = []
        self.checkpoints: list[replication_pb2.Checkpoint] = []
        self.rebootstrap = ""
        self.fault: Fault | None = None
        self.ended = False
        self.answers = True  # acknowledge every frame as applied and written

    @property
    def entries(self) -> list[common_pb2.Entry]:
        return [entry for frame in self.frames for entry in frame.entries]

    @property
    def applied_seq(self) -> int:
        return self.entries[-1].seq if self.frames else self.welcomes[-1].at_seq if self.welcomes else 0

    async def hello(self, *, resume: bool = False, credit: int = 4) -> replication_pb2.Welcome:
        """Open the stream; the welcome."""
        last = self.welcomes[-1] if resume else replication_pb2.Welcome()
        applied = self.applied_seq if resume else 0
        await self._end_call()
        self.ended, self.fault = False, None
        seen = len(self.welcomes)
        self._call = self._stub.Replicate()
        self._reader = asyncio.create_task(self._read(self._call))
        hello = replication_pb2.Hello(
            ssp_id=self.ssp_id,
            http_url=f"http://{self.ssp_id}",
            grpc_address=self.grpc_address,
            version="test",
            store_id=last.store_id,
            applied_seq=applied,
            incarnation=last.incarnation,
            credit=credit,
        )
        await self.send(hello=hello)
        await eventually(lambda: len(self.welcomes) > seen or self.ended, what="welcome")
        assert len(self.welcomes) > seen, f"no welcome: {self.fault}"
        return self.welcomes[-1]

    async def join(self, *, credit: int = 4) -> replication_pb2.Welcome:
        """Hello, with nothing to load."""
        welcome = await self.hello(credit=credit)
        await self.send(loaded=replication_pb2.Loaded())
        return welcome

    async def send(self, **frame: Any) -> None:
        await self._call.write(replication_pb2.ReplicateRequest(**frame))

    async def ack(self, applied_seq: int, frames: int = 0) -> None:
        await self.send(ack=replication_pb2.Ack(applied_seq=applied_seq, written_seq=applied_seq, frames=frames))

    async def load(self, table: str, at_seq: int, rows_max: int, after_key: bytes = b"") -> replication_pb2.Page:
        """One page."""
        load_id = len(self.pages) + 1
        request = replication_pb2.Load(
            load_id=load_id, table=table, at_seq=at_seq, after_key=after_key, rows_max=rows_max
        )
        await self.send(load=request)
        await eventually(lambda: len(self.pages) >= load_id, what=f"page {load_id}")
        assert self.pages[-1].load_id == load_id
        return self.pages[-1]

    async def _read(self, call: Any) -> None:
        try:
            async for response in call:
                await self._take(response)
        except aio.AioRpcError as error:
            self.fault = fault_of(error)
        finally:
            self.ended = True

    async def _take(self, response: replication_pb2.ReplicateResponse) -> None:
        match response.WhichOneof("frame"):
            case "welcome":
                self.welcomes.append(response.welcome)
                self.frames.clear()
            case "page":
                self.pages.append(response.page)
            case "entries":
                self.frames.append(response.entries)
                if self.answers:
                    with contextlib.suppress(asyncio.InvalidStateError):  # the stream ended meanwhile
                        await self.ack(response.entries.entries[-1].seq, 1)
            case "checkpoint":
                self.checkpoints.append(response.checkpoint)
            case _:
                self.rebootstrap = response.rebootstrap.reason

    async def _end_call(self) -> None:
        if self._call is not None:
            self._call.cancel()
        if self._reader is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    async def close(self) -> None:
        await self._end_call()
        await self._channel.close()


class ViewAnswers(views_pb2_grpc.ViewServiceServicer):
    """An SSP's ViewService that records what it is asked and answers what it is given."""

    def __init__(self) -> None:
        self.asked: list[views_pb2.GetViewRequest] = []
        self.faults: list[Fault] = []
        self.asked_why: list[views_pb2.WhyViewRequest] = []
        self.listed: list[views_pb2.ViewSummary] = []

    async def GetView(self, request: views_pb2.GetViewRequest, context: object) -> views_pb2.GetViewResponse:
        self.asked.append(request)
        if self.faults:
            raise self.faults.pop(0)
        return views_pb2.GetViewResponse(key=request.key, state=views_pb2.VIEW_STATE_LIVE, revision=request.revision)

    async def ListViews(self, request: views_pb2.ListViewsRequest, context: object) -> views_pb2.ListViewsResponse:
        return views_pb2.ListViewsResponse(views=self.listed)

    async def ExplainView(
        self, request: views_pb2.ExplainViewRequest, context: object
    ) -> views_pb2.ExplainViewResponse:
        return views_pb2.ExplainViewResponse(shape=request.surql)

    async def WhyView(self, request: views_pb2.WhyViewRequest, context: object) -> views_pb2.WhyViewResponse:
        if self.faults:
            raise self.faults.pop(0)
        self.asked_why.append(request)
        return views_pb2.WhyViewResponse(key=request.key, record=request.record)


@contextlib.asynccontextmanager
async def answering_ssp() -> AsyncIterator[tuple[str, ViewAnswers]]:
    """The gRPC address of a server with `ViewAnswers`."""
    answers = ViewAnswers()
    server = Server("127.0.0.1:0")
    name = views_pb2.DESCRIPTOR.services_by_name["ViewService"].full_name
    server.add(views_pb2_grpc.add_ViewServiceServicer_to_server, answers, name)
    address = await server.start()
    try:
        yield address, answers
    finally:
        await server.stop(0.5)
