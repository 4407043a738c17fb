"""`IntegrityService`: nodes of the tables' trees, and tables held against SurrealDB. What is asked of views goes on to
their SSPs, and what one of those cannot answer is said of its views alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from grpc import aio
from sp00ky.proto.channel import fault_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.tracing import passed_on
from sp00ky.proto.v1 import common_pb2, integrity_pb2, integrity_pb2_grpc
from sp00ky.proto.values.pack import unpack
from sp00ky.proto.values.record_text import record_text
from sp00ky.proto.values.text import record_id_text
from sp00ky.proto.wire_tree import checked_prefix, node_message
from sp00ky.scheduler.coordinator.assignments import wire_key
from sp00ky.scheduler.integrity.audit import Difference, Verified

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver
    from sp00ky.scheduler.rpc.views import ViewServicer

__all__ = ["IntegrityServicer", "add_integrity", "integrity_pb2"]

VERIFY_SECONDS: Final = 3600.0
NODE_SECONDS: Final = 20.0
TEXT_CHARS_MAX: Final = 1_000  # of a record that differs
Context: TypeAlias = aio.ServicerContext[object, object]

add_integrity = integrity_pb2_grpc.add_IntegrityServiceServicer_to_server


class IntegrityServicer(integrity_pb2_grpc.IntegrityServiceServicer):
    def __init__(self, driver: SchedulerDriver, views: ViewServicer) -> None:
        self._driver, self._views = driver, views

    async def GetNode(self, request: integrity_pb2.GetNodeRequest, context: Context) -> integrity_pb2.GetNodeResponse:
        """Raises Fault INVALID (prefix), NOT_FOUND, NOT_READY."""
        prefix = checked_prefix(request.prefix)
        if request.HasField("view"):
            stub = integrity_pb2_grpc.IntegrityServiceStub(self._views.channel(self._views.server_of(request.view)))
            try:
                answer: integrity_pb2.GetNodeResponse
                answer = await stub.GetNode(request, timeout=NODE_SECONDS, metadata=passed_on())
                return answer
            except aio.AioRpcError as error:
                raise fault_of(error) from None
        self._driver.require_ready()
        kept = await self._driver.trees.tree(request.table)
        return node_message(kept.tree, prefix, self._driver.token(kept.at))

    async def VerifyTables(
        self, request: integrity_pb2.VerifyTablesRequest, context: Context
    ) -> integrity_pb2.VerifyTablesResponse:
        """Raises Fault NOT_FOUND, NOT_READY, UNAVAILABLE. Without a database there is nothing to compare with."""
        driver = self._driver
        driver.require_ready()
        found = await driver.audit.check(request.tables, repair=request.repair) if driver.audit is not None else []
        return integrity_pb2.VerifyTablesResponse(
            tables=map(_table, found), revision=driver.token(driver.coordinator.durable_seq)
        )

    async def VerifyViews(
        self, request: integrity_pb2.VerifyViewsRequest, context: Context
    ) -> integrity_pb2.VerifyViewsResponse:
        """Raises Fault NOT_FOUND (no such view), NOT_READY."""
        self._driver.require_ready()
        keys = request.views or [wire_key(key) for key in sorted(self._driver.coordinator.views)]
        by_ssp: dict[str, list[common_pb2.ViewKey]] = {}
        response = integrity_pb2.VerifyViewsResponse()
        for key in keys:
            try:
                by_ssp.setdefault(self._views.server_of(key).id, []).append(key)
            except Fault as fault:
                if fault.code is Code.NOT_FOUND and request.views:
                    raise
                response.views.add(key=key, skipped=str(fault))
        answers = await asyncio.gather(
            *(self._verified_by(ssp_id, asked, request.repair) for ssp_id, asked in by_ssp.items())
        )
        for answer in answers:
            response.views.extend(answer)
        return response

    async def _verified_by(
        self, ssp_id: str, keys: Sequence[common_pb2.ViewKey], repair: bool
    ) -> Sequence[integrity_pb2.VerifiedView]:
        member = self._driver.coordinator.ssps[ssp_id]
        stub = integrity_pb2_grpc.IntegrityServiceStub(self._views.channel(member))
        asked = integrity_pb2.VerifyViewsRequest(views=keys, repair=repair)
        try:
            answer: integrity_pb2.VerifyViewsResponse
            answer = await stub.VerifyViews(asked, timeout=VERIFY_SECONDS, metadata=passed_on())
        except aio.AioRpcError as error:
            why = str(fault_of(error))
            return [integrity_pb2.VerifiedView(key=key, ssp_id=ssp_id, skipped=why) for key in keys]
        return answer.views


def _table(found: Verified) -> integrity_pb2.VerifiedTable:
    return integrity_pb2.VerifiedTable(
        name=found.name,
        database_rows=found.database_rows,
        replica_rows=found.replica_rows,
        differing=found.differing,
        repaired=found.repaired,
        differences=map(_difference, found.named),
        nodes=found.nodes,
        read_bytes=found.read_bytes,
    )


def _difference(difference: Difference) -> integrity_pb2.Difference:
    return integrity_pb2.Difference(
        what="record",
        id=record_id_text(difference.record),
        expected=_text(difference.database),
        found=_text(difference.replica),
    )


def _text(packed: bytes | None) -> str:
    if packed is None:
        return ""
    try:
        return record_text(unpack(packed))[:TEXT_CHARS_MAX]
    except (ValueError, TypeError, RecursionError):
        return f"unreadable: {packed.hex()}"[:TEXT_CHARS_MAX]
