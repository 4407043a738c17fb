"""The SSP's CrdtService: updates of collaborative fields, and their documents."""

from __future__ import annotations

from typing import Protocol

from grpc import aio
from sp00ky.proto.channel import Server
from sp00ky.proto.database import Database
from sp00ky.proto.v1 import crdt_pb2, crdt_pb2_grpc
from sp00ky.proto.values.json import encode_json
from sp00ky.ssp.beside import Besides
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.crdt.declared import Kind
from sp00ky.ssp.crdt.service import Address, Collaboration

KINDS = {
    Kind.TEXT: crdt_pb2.CRDT_KIND_TEXT,
    Kind.MAP: crdt_pb2.CRDT_KIND_MAP,
    Kind.LIST: crdt_pb2.CRDT_KIND_LIST,
    Kind.COUNTER: crdt_pb2.CRDT_KIND_COUNTER,
}


class Host(Protocol):
    """The SSP in whose process and on whose server the service is."""

    server: Server
    beside: Besides

    @property
    def ready(self) -> bool: ...


def serve_crdt(settings: SspSettings, database: Database, host: Host) -> Collaboration:
    """Add the service to a server that has not been started. Raises Fault INVALID for settings that make no sense."""
    collaboration = Collaboration(settings, database, lambda: host.ready)
    host.server.add(
        crdt_pb2_grpc.add_CrdtServiceServicer_to_server,
        CrdtServicer(collaboration),
        crdt_pb2.DESCRIPTOR.services_by_name["CrdtService"].full_name,
    )
    host.beside.append(collaboration)
    return collaboration


class CrdtServicer(crdt_pb2_grpc.CrdtServiceServicer):
    def __init__(self, collaboration: Collaboration) -> None:
        self._collaboration = collaboration

    async def ApplyUpdate(
        self, request: crdt_pb2.ApplyUpdateRequest, context: aio.ServicerContext[object, object]
    ) -> crdt_pb2.ApplyUpdateResponse:
        rev = await self._collaboration.apply(_address(request), request.update, request.peer, request.token)
        return crdt_pb2.ApplyUpdateResponse(rev=rev)

    async def GetDocument(
        self, request: crdt_pb2.GetDocumentRequest, context: aio.ServicerContext[object, object]
    ) -> crdt_pb2.GetDocumentResponse:
        kind, reading = await self._collaboration.read(_address(request), request.version, request.token)
        return crdt_pb2.GetDocumentResponse(
            rev=reading.rev,
            kind=KINDS[kind],
            update=reading.update,
            version=reading.version,
            value_json=encode_json(reading.value).decode(),
        )


def _address(request: crdt_pb2.ApplyUpdateRequest | crdt_pb2.GetDocumentRequest) -> Address:
    return Address(request.table, request.record_id, request.field)
