"""The SSP's AdminService: how it is."""

from __future__ import annotations

from collections.abc import Callable

from grpc import aio
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    def __init__(self, status: Callable[[], admin_pb2.GetStatusResponse]) -> None:
        self._status = status

    async def GetStatus(
        self, request: admin_pb2.GetStatusRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.GetStatusResponse:
        return self._status()

    async def Barrier(
        self, request: admin_pb2.BarrierRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.BarrierResponse:
        raise Fault(Code.UNIMPLEMENTED, "barriers are the scheduler's", "call its AdminService.Barrier")
