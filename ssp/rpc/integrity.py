"""The SSP's IntegrityService: trees of its views, and its views held against what they should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from grpc import aio
from sp00ky.proto.channel import Server
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import StoreId
from sp00ky.proto.v1 import common_pb2, integrity_pb2, integrity_pb2_grpc
from sp00ky.proto.wire_tree import checked_prefix, node_message
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.edges.writer import EdgeWriter
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import Ready
from sp00ky.ssp.exact import ExactReads
from sp00ky.ssp.freshness import Freshness
from sp00ky.ssp.integrity.integrity import Integrity, VerifiedViews
from sp00ky.ssp.integrity.verifying import Verified, Verifier

WAIT_SECONDS = 10.0
TEXT_CHARS_MAX = 1_000  # of an edge that differs


class Reads(Protocol):
    """What the service needs of the driver."""

    server: Server
    settings: SspSettings
    engine: Engine
    exact: ExactReads
    freshness: Freshness
    ssp_id: str
    store_id: StoreId

    def token(self, seq: int) -> str: ...


def serve_integrity(
    reads: Reads, edges: EdgeWriter, database: Database, carry_out: Callable[[Ready], None]
) -> Integrity:
    """Add the service to a server that has not been started. `database`: the connection that views are compared on."""
    views = VerifiedViews(reads.engine, edges, reads.exact, carry_out)
    integrity = Integrity(views, Verifier(views, database, reads.settings.view_audit_interval_ms))
    name = integrity_pb2.DESCRIPTOR.services_by_name["IntegrityService"].full_name
    add = integrity_pb2_grpc.add_IntegrityServiceServicer_to_server
    reads.server.add(add, IntegrityServicer(reads, integrity), name)
    return integrity


class IntegrityServicer(integrity_pb2_grpc.IntegrityServiceServicer):
    def __init__(self, reads: Reads, integrity: Integrity) -> None:
        self._reads, self._integrity = reads, integrity

    async def GetNode(
        self, request: integrity_pb2.GetNodeRequest, context: aio.ServicerContext[object, object]
    ) -> integrity_pb2.GetNodeResponse:
        """Raises Fault INVALID (prefix), NOT_FOUND, NOT_READY, UNIMPLEMENTED (of a table)."""
        prefix = checked_prefix(request.prefix)
        if not request.HasField("view"):
            raise _of_tables()
        key = self._key(request.view)
        reading = await self._reads.freshness.view_at_least(key, 0, WAIT_SECONDS)
        if not reading.seq:
            raise Fault(Code.NOT_READY, f'view "{key.id}" has no result yet', "retry: its tables are being loaded")
        tree = await self._integrity.tree(key, reading)
        now = self._reads.engine.view(key)
        return node_message(tree, prefix, self._reads.token(now.seq if now is not None else reading.seq))

    async def VerifyTables(
        self, request: integrity_pb2.VerifyTablesRequest, context: aio.ServicerContext[object, object]
    ) -> integrity_pb2.VerifyTablesResponse:
        raise _of_tables()

    async def VerifyViews(
        self, request: integrity_pb2.VerifyViewsRequest, context: aio.ServicerContext[object, object]
    ) -> integrity_pb2.VerifyViewsResponse:
        """Raises Fault NOT_READY. What could not be compared is said of its view alone."""
        keys = [self._key(key) for key in request.views] or list(self._integrity.views.view_keys())
        response = integrity_pb2.VerifyViewsResponse()
        for key in keys:
            try:
                found = await self._integrity.verifier.verify(key, repair=request.repair)
            except Fault as fault:
                found = Verified(key, skipped=str(fault))
            response.views.append(self._message(found))
        return response

    def _key(self, key: common_pb2.ViewKey) -> ViewKey:
        if not self._reads.store_id:
            raise Fault(Code.NOT_READY, f'ssp "{self._reads.ssp_id}" is not following a scheduler yet', "retry soon")
        return ViewKey(key.id, key.auth_id)

    def _message(self, found: Verified) -> integrity_pb2.VerifiedView:
        message = integrity_pb2.VerifiedView(
            ssp_id=self._reads.ssp_id,
            revision=self._reads.token(found.seq) if found.seq else "",
            members=found.members,
            edges=found.edges,
            differing_members=found.differing_members,
            differing_edges=found.differing_edges,
            repairing=found.repairing,
            skipped=found.skipped,
            read_bytes=found.read_bytes,
        )
        message.key.id, message.key.auth_id = found.key
        for each in found.named:
            expected, there = each.expected[:TEXT_CHARS_MAX], each.found[:TEXT_CHARS_MAX]
            message.differences.add(what=each.what, id=each.id, expected=expected, found=there)
        return message


def _of_tables() -> Fault:
    return Fault(Code.UNIMPLEMENTED, "tables are the scheduler's", "call its IntegrityService")
