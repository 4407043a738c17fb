"""Rows of THE TABLE (`endpoints.py`) for operators: what becomes of the SSPs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sp00ky.gateway.endpoint import ADMINS, SCHEDULER, Endpoint
from sp00ky.gateway.translate import answers_of_ssps, membership
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code


def _resync(path: str, summary: str, **options: Any) -> Endpoint:
    answer, request = membership.resync_answer, membership.resync_request
    return Endpoint(
        "POST", path, SCHEDULER, summary, answer, request, Rpc.RESYNC_SSPS,
        roles=ADMINS, result=answers_of_ssps.Resynced, **options,
    )  # fmt: skip


OPERATORS: Sequence[Endpoint] = (
    _resync("/admin/ssp/resync-all", "every SSP drops its state and loads a new snapshot"),
    _resync("/admin/ssp/{id}/resync", "one SSP does; 404 unknown", may=frozenset({Code.NOT_FOUND})),
    Endpoint(
        "POST",
        "/admin/ssp/{id}/drain",
        SCHEDULER,
        "its views move to others, and none is placed on it; `?undo=1` ends that; asked again: how far; 404 unknown",
        membership.drain_answer,
        membership.drain_request,
        Rpc.DRAIN_SSP,
        roles=ADMINS,
        asks=(membership.UNDO,),
        result=answers_of_ssps.Drained,
        may=frozenset({Code.NOT_FOUND}),
    ),
)
