"""Rows of THE TABLE (`endpoints.py`) for collaborative fields, which SSPs merge."""

from __future__ import annotations

from collections.abc import Sequence

from sp00ky.gateway.endpoint import SSP, USERS, Endpoint
from sp00ky.gateway.translate import crdt
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code

COLLABORATIVE: Sequence[Endpoint] = (
    Endpoint(
        "POST",
        "/crdt/apply",
        SSP,
        "`{table, record_id, field, update, peer}` → `{rev}`: merges a Loro update; once durable",
        crdt.apply_answer,
        crdt.apply_request,
        Rpc.APPLY_UPDATE,
        body=crdt.APPLY_BODY,
        roles=USERS,
        result=crdt.Applied,
        may=frozenset({Code.NOT_FOUND, Code.CONFLICT, Code.TOO_LARGE, Code.REVISION_GONE, Code.NOT_READY}),
    ),
    Endpoint(
        "GET",
        "/crdt/document",
        SSP,
        "`?table=…&record_id=…&field=…&version=…` → a collaborative field: its value, and the Loro update you lack",
        crdt.document_answer,
        crdt.document_request,
        Rpc.GET_DOCUMENT,
        asks=crdt.DOCUMENT_QUERY,
        roles=USERS,
        result=crdt.DocumentRead,
        may=frozenset({Code.CONFLICT, Code.REVISION_GONE, Code.NOT_READY}),
    ),
)
