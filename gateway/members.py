"""Rows of THE TABLE (`endpoints.py`) for SSPs that speak HTTP only: they join, and say that they live."""

from __future__ import annotations

from collections.abc import Sequence

from sp00ky.gateway.endpoint import SCHEDULER, SSPS, Endpoint
from sp00ky.gateway.translate import answers_of_ssps, membership
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code

MEMBERS: Sequence[Endpoint] = (
    Endpoint(
        "POST",
        "/ssp/register",
        SCHEDULER,
        "`{ssp_id, url, version?, env?}` → 202: an SSP that speaks HTTP only joins; 409: a streaming one has the id",
        membership.register_answer,
        membership.register_request,
        Rpc.REGISTER_SSP,
        body=membership.REGISTER_BODY,
        roles=SSPS,
        status=202,
        result=answers_of_ssps.Joined,
        may=frozenset({Code.CONFLICT, Code.NOT_READY}),
    ),
    Endpoint(
        "POST",
        "/ssp/heartbeat",
        SCHEDULER,
        "`{ssp_id, views?, cpu_usage?, memory_usage?}` → 200; 404 unknown; 409: drop everything and register again",
        membership.beat_answer,
        membership.beat_request,
        Rpc.BEAT_SSP,
        body=membership.BEAT_BODY,
        roles=SSPS,
        media_types=(),
        may=frozenset({Code.NOT_FOUND, Code.CONFLICT, Code.NOT_READY}),
    ),
)
