"""The services behind this server: one channel each, and every rpc of the endpoint table as one call with a deadline.

A failed call is raised as the `Fault` it stands for. Nothing is retried here (gRPC itself repeats reads that nobody has
answered, `proto/channel.py`): a client that sees 503 repeats the request itself, and knows whether it may. A service
that does not answer may have moved, so its address is asked for again meanwhile; names are resolved anew by gRPC
itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any

from google.protobuf.message import Message
from grpc import aio
from sp00ky.proto.channel import fault_of, open_channel
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.tracing import passed_on
from sp00ky.proto.v1 import (
    admin_pb2_grpc,
    crdt_pb2_grpc,
    events_pb2_grpc,
    ingest_pb2_grpc,
    integrity_pb2_grpc,
    jobs_pb2_grpc,
    membership_pb2_grpc,
    proxy_pb2_grpc,
    views_pb2_grpc,
)


class Rpc(StrEnum):
    INGEST = "IngestService.Ingest"
    QUERY = "ProxyService.Query"
    REGISTER_VIEW = "ViewService.RegisterView"
    UNREGISTER_VIEW = "ViewService.UnregisterView"
    GET_VIEW = "ViewService.GetView"
    LIST_VIEWS = "ViewService.ListViews"
    EXPLAIN_VIEW = "ViewService.ExplainView"
    WHY_VIEW = "ViewService.WhyView"
    LOCATE_VIEW = "ViewService.LocateView"
    GET_STATUS = "AdminService.GetStatus"
    BARRIER = "AdminService.Barrier"
    DRAIN_SSP = "AdminService.DrainSsp"
    RESYNC_SSPS = "AdminService.ResyncSsps"
    LIST_DEAD_LETTERS = "AdminService.ListDeadLetters"
    GET_DEAD_LETTER = "AdminService.GetDeadLetter"
    RETRY_DEAD_LETTER = "AdminService.RetryDeadLetter"
    DROP_DEAD_LETTER = "AdminService.DropDeadLetter"
    WATCH_EVENTS = "EventService.WatchEvents"
    GET_DEPENDENCIES = "ViewService.GetDependencies"
    REGISTER_SSP = "MembershipService.RegisterSsp"
    BEAT_SSP = "MembershipService.BeatSsp"
    LIST_JOBS = "JobService.ListJobs"
    GET_JOB = "JobService.GetJob"
    DISPATCH_JOB = "JobService.DispatchJob"
    REPORT_JOB = "JobService.ReportJob"
    KILL_JOB = "JobService.KillJob"
    RETRY_JOB = "JobService.RetryJob"
    LIST_SCHEDULES = "JobService.ListSchedules"
    SET_BACKENDS = "JobService.SetBackends"
    APPLY_UPDATE = "CrdtService.ApplyUpdate"
    GET_DOCUMENT = "CrdtService.GetDocument"
    GET_NODE = "IntegrityService.GetNode"


CLOSE_SECONDS = 5.0
Resolve = Callable[[], Awaitable[str]]
_STUBS: Mapping[str, Callable[[aio.Channel], Any]] = {
    "IngestService": ingest_pb2_grpc.IngestServiceStub,
    "ProxyService": proxy_pb2_grpc.ProxyServiceStub,
    "ViewService": views_pb2_grpc.ViewServiceStub,
    "AdminService": admin_pb2_grpc.AdminServiceStub,
    "EventService": events_pb2_grpc.EventServiceStub,
    "MembershipService": membership_pb2_grpc.MembershipServiceStub,
    "JobService": jobs_pb2_grpc.JobServiceStub,
    "CrdtService": crdt_pb2_grpc.CrdtServiceStub,
    "IntegrityService": integrity_pb2_grpc.IntegrityServiceStub,
}


class Upstream:
    """Calls to one service at a gRPC address; `resolve` answers where it is now."""

    def __init__(self, address: str, secret: str, resolve: Resolve | None = None) -> None:
        self._secret, self._resolve = secret, resolve
        self._resolving: asyncio.Task[None] | None = None
        self._calls: dict[Rpc, Callable[..., Any]] = {}
        self._open(address)

    def _open(self, address: str) -> None:
        self.address = address
        self._channel = open_channel(address, self._secret)
        stubs = {name: stub(self._channel) for name, stub in _STUBS.items()}
        for rpc in Rpc:
            service, _, method = rpc.value.partition(".")
            self._calls[rpc] = getattr(stubs[service], method)

    async def call(self, rpc: Rpc, request: Message, timeout_s: float) -> Any:
        """The response message; raises Fault."""
        try:
            return await self._calls[rpc](request, timeout=timeout_s, metadata=passed_on())
        except aio.AioRpcError as error:
            raise self._failed(error) from error

    async def watch(self, rpc: Rpc, request: Message) -> AsyncGenerator[Any, None]:
        """The messages of a call that goes on answering; raises Fault. Closing the generator ends the call."""
        call = self._calls[rpc](request, metadata=passed_on())
        try:
            async for message in call:
                yield message
        except aio.AioRpcError as error:
            raise self._failed(error) from error
        finally:
            call.cancel()

    def _failed(self, error: aio.AioRpcError) -> Fault:
        fault = fault_of(error)
        if fault.code is Code.UNAVAILABLE and self._resolve is not None and self._resolving is None:
            self._resolving = asyncio.create_task(self._follow(self._resolve))
        return fault

    async def _follow(self, resolve: Resolve) -> None:
        """Open a channel to where the service is now, if that is elsewhere; what is under way on the old one ends."""
        try:
            address = await resolve()
            if address != self.address:
                left = self._channel
                self._open(address)
                await left.close(CLOSE_SECONDS)
        except Fault:
            return  # nobody knows yet; the next call that fails asks again
        finally:
            self._resolving = None

    async def close(self) -> None:
        if self._resolving is not None:
            self._resolving.cancel()
        await self._channel.close()
