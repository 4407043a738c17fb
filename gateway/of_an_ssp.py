"""Rows of THE TABLE (`endpoints.py`) that only an SSP's API has: start over, take a client's log, dump dependencies."""

from __future__ import annotations

from collections.abc import Sequence

from sp00ky.gateway.endpoint import ADMINS, SSP, USERS, Endpoint, Follow
from sp00ky.gateway.translate import answers_of_ssps, client_log, dependencies, membership
from sp00ky.gateway.translate.status import status_request
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code

_RESET = Follow(membership.reset_request, Rpc.RESYNC_SSPS, membership.reset_answer, to_scheduler=True)

OF_AN_SSP: Sequence[Endpoint] = (
    Endpoint(
        "POST",
        "/reset",
        SSP,
        "it drops its state and loads a new snapshot, its views too; 404: its scheduler does not know it",
        membership.own_answer,
        status_request,
        Rpc.GET_STATUS,
        _RESET,
        roles=ADMINS,
        result=answers_of_ssps.Resynced,
        may=frozenset({Code.NOT_FOUND, Code.NOT_READY}),
    ),
    Endpoint(
        "POST",
        "/log",
        SSP,
        "`{message, level?, data?}` → 200: a line of the client's in the log, with its level",
        client_log.log_answer,
        body=client_log.LOG_BODY,
        load="log",
        roles=USERS,
        media_types=(),
        may=frozenset({Code.TOO_LARGE}),
    ),
    Endpoint(
        "GET",
        "/debug/deps",
        SSP,
        "which tables and records each view depends on, and which tables are held",
        dependencies.dependencies_answer,
        dependencies.dependencies_request,
        Rpc.GET_DEPENDENCIES,
        roles=ADMINS,
        result=answers_of_ssps.Dependencies,
    ),
)
