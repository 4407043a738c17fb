"""Rows of THE TABLE (`endpoints.py`) for those who compare: nodes of the Merkle trees of tables and views."""

from __future__ import annotations

from collections.abc import Sequence

from sp00ky.gateway.endpoint import SCHEDULER, Endpoint
from sp00ky.gateway.translate import integrity
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code

_MAY = frozenset({Code.NOT_FOUND, Code.NOT_READY})

INTEGRITY: Sequence[Endpoint] = (
    Endpoint(
        "GET",
        "/integrity/{table}",
        SCHEDULER,
        "`?prefix=…` → a node of the table's Merkle tree and its children, with hash, rows and revision; 404 unknown",
        integrity.table_answer,
        integrity.table_request,
        Rpc.GET_NODE,
        asks=integrity.TABLE_QUERY,
        result=integrity.IntegrityNode,
        may=_MAY,
    ),
    Endpoint(
        "GET",
        "/integrity/view/{id}",
        SCHEDULER,
        "`?prefix=…&auth=…` → the same of a view's members; 404 unknown",
        integrity.view_answer,
        integrity.view_request,
        Rpc.GET_NODE,
        asks=integrity.VIEW_QUERY,
        result=integrity.IntegrityNode,
        may=_MAY,
    ),
)
