"""The services behind this server: one channel each, and every rpc of the endpoint table as one call with a deadline.

A failed call is raised as the `Fault` it stands for. Nothing is retried here: a client that sees 503 repeats the
request itself, and knows whether it may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from google.protobuf.message import Message
from grpc import aio
from sp00ky.proto.channel import fault_of, open_channel
from sp00ky.proto.v1 import admin_pb2_grpc, ingest_pb2_grpc, proxy_pb2_grpc, views_pb2_grpc


class Rpc(StrEnum):
    INGEST = "IngestService.Ingest"
    QUERY = "ProxyService.Query"
    REGISTER_VIEW = "ViewService.RegisterView"
    UNREGISTER_VIEW = "ViewService.UnregisterView"
    GET_VIEW = "ViewService.GetView"
    LIST_VIEWS = "ViewService.ListViews"
    EXPLAIN_VIEW = "ViewService.ExplainView"
    WHY_VIEW = "ViewService.WhyView"
    GET_STATUS = "AdminService.GetStatus"
    BARRIER = "AdminService.Barrier"


_STUBS: Mapping[str, Callable[[aio.Channel], Any]] = {
    "IngestService": ingest_pb2_grpc.IngestServiceStub,
    "ProxyService": proxy_pb2_grpc.ProxyServiceStub,
    "ViewService": views_pb2_grpc.ViewServiceStub,
    "AdminService": admin_pb2_grpc.AdminServiceStub,
}


class Upstream:
    """Calls to one service at a gRPC address."""

    def __init__(self, address: str, secret: str) -> None:
        self.address = address
        self._channel = open_channel(address, secret)
        stubs = {name: stub(self._channel) for name, stub in _STUBS.items()}
        self._calls: dict[Rpc, Callable[..., Any]] = {}
        for rpc in Rpc:
            service, _, method = rpc.value.partition(".")
            self._calls[rpc] = getattr(stubs[service], method)

    async def call(self, rpc: Rpc, request: Message, timeout_s: float) -> Any:
        """The response message; raises Fault."""
        try:
            return await self._calls[rpc](request, timeout=timeout_s)
        except aio.AioRpcError as error:
            raise fault_of(error) from error

    async def close(self) -> None:
        await self._channel.close()
