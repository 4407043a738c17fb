"""THE TABLE: every HTTP endpoint, on which API, open or behind the bearer, and what it becomes.

The servers register what is here and nothing else; README.md's list is printed from here
(`python -m sp00ky.gateway.endpoints`, a test compares), and so is `GET /openapi.json`. What a row holds is in
`endpoint.py`. A documented endpoint of a later round is here too, and says so with 501.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sp00ky.gateway.collaborative import COLLABORATIVE
from sp00ky.gateway.endpoint import (
    ADMINS,
    BOTH,
    CLIENTS,
    READERS,
    SCHEDULER,
    SSP,
    USERS,
    Endpoint,
    Follow,
    Role,
)
from sp00ky.gateway.exchange import JSON, TEXT, Answer, Api, Asked, json_answer
from sp00ky.gateway.integrity import INTEGRITY
from sp00ky.gateway.jobs import JOBS
from sp00ky.gateway.members import MEMBERS
from sp00ky.gateway.of_an_ssp import OF_AN_SSP
from sp00ky.gateway.openapi import PROMETHEUS, openapi
from sp00ky.gateway.operators import OPERATORS
from sp00ky.gateway.streams.table import VIEW_STREAMS
from sp00ky.gateway.translate import (
    answers,
    dead_letters,
    ingest,
    metrics,
    proxy,
    revision,
    status,
    views,
    why,
)
from sp00ky.gateway.translate.fields import Body
from sp00ky.gateway.upstream import Rpc
from sp00ky.gateway.watched import WATCHED
from sp00ky.proto.faults import Code, Fault

_OF_A_VIEW = frozenset({Code.NOT_FOUND, Code.NOT_READY, Code.NO_READY_SSP})
_ANSWERED = _OF_A_VIEW | {Code.UNIMPLEMENTED}  # not by an SSP that speaks HTTP only
_READ = _ANSWERED | {Code.REVISION_GONE, Code.CONFLICT}


def _status(
    path: str, apis: frozenset[Api], answer: Callable[[Asked, Any], Answer], summary: str, **options: Any
) -> Endpoint:
    return Endpoint("GET", path, apis, summary, answer, status.status_request, Rpc.GET_STATUS, **options)


def _later(method: str, path: str, apis: frozenset[Api], what: str, roles: frozenset[Role] = CLIENTS) -> Endpoint:
    def refuse(asked: Asked, response: None) -> Answer:
        raise Fault(Code.UNIMPLEMENTED, f"{method} {path} is not served yet: {what} come in a later version")

    return Endpoint(method, path, apis, f"501: {what} come in a later version", refuse, roles=roles, later=True)


_FIRST_READ = Follow(views.first_read_request, Rpc.GET_VIEW, views.first_read_answer)


def _register(path: str, apis: frozenset[Api], summary: str, body: Body) -> Endpoint:
    return Endpoint(
        "POST",
        path,
        apis,
        summary,
        views.register_answer,
        views.register_request,
        Rpc.REGISTER_VIEW,
        _FIRST_READ,
        to_scheduler=True,
        body=body,
        load="new",
        free_form_on=SSP,
        roles=USERS,
        result=answers.Registered,
        may=_OF_A_VIEW | {Code.CONFLICT, Code.DISK_FULL},
    )


def _handshake(path: str) -> Endpoint:
    summary = "200: for clients that shake hands"
    return Endpoint("POST", path, SCHEDULER, summary, proxy.handshake_answer, roles=READERS, media_types=())


def _described(asked: Asked, response: None) -> Answer:
    return json_answer(openapi(asked.api, endpoints_of(asked.api)))


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        "POST",
        "/ingest",
        BOTH,
        "changes: an object, an array (one transaction) or NDJSON (each line its own); 200 once durable",
        ingest.ingest_answer,
        ingest.ingest_request,
        Rpc.INGEST,
        to_scheduler=True,
        headers=(ingest.IDEMPOTENCY_KEY,),
        body=ingest.INGEST_BODY,
        result=answers.Appended,
        may=frozenset({Code.CONFLICT, Code.DISK_FULL, Code.NOT_READY}),
    ),
    Endpoint(
        "POST",
        "/proxy/query",
        SCHEDULER,
        "`{query, vars?, consistency?, revision?}` → result of the first statement, read-only, on the replica",
        proxy.query_answer,
        proxy.query_request,
        Rpc.QUERY,
        body=proxy.QUERY_BODY,
        roles=READERS,
        result=Any,
        may=frozenset({Code.REVISION_GONE, Code.NOT_READY}),
    ),
    _handshake("/proxy/signin"),
    _handshake("/proxy/use"),
    _register(
        "/view/register",
        BOTH,
        "`{id, surql, clientId?, params?, ttl?, format?, auth?, rows?}` → where the view is; `rows: 1` adds its result",
        views.REGISTER_BODY,
    ),
    _register("/query/register", SCHEDULER, "the same, with `{query_id, view_plan}`", views.OLDER_REGISTER_BODY),
    Endpoint(
        "POST",
        "/view/unregister",
        BOTH,
        "`{id}`; 404 unknown",
        views.unregister_answer,
        views.unregister_request,
        Rpc.UNREGISTER_VIEW,
        to_scheduler=True,
        body=views.UNREGISTER_BODY,
        roles=USERS,
        result=answers.Moved,
        may=_OF_A_VIEW | {Code.DISK_FULL},
    ),
    Endpoint(
        "POST",
        "/view/explain",
        BOTH,
        "`{surql, params?, auth?}` → mode, reason, the nearest better query, every stage as text; registers nothing",
        views.explain_answer,
        views.explain_request,
        Rpc.EXPLAIN_VIEW,
        body=views.EXPLAIN_BODY,
        load="new",
        result=answers.Explanation,
        may=_OF_A_VIEW,
    ),
    Endpoint(
        "GET",
        "/view/{id}",
        BOTH,
        "members, revision, hash, state, mode; `?rows=1&consistency=…&revision=…&auth=…`",
        views.get_answer,
        views.get_request,
        Rpc.GET_VIEW,
        asks=views.GET_QUERY,
        closed=True,
        roles=USERS,
        result=answers.View,
        may=_READ,
    ),
    Endpoint(
        "GET",
        "/view/{id}/why",
        BOTH,
        "`?record=…&auth=…` → whether the record is in the view, and the term, link or limit that decides; 404 unknown",
        why.why_answer,
        why.why_request,
        Rpc.WHY_VIEW,
        asks=why.WHY_QUERY,
        closed=True,
        roles=USERS,
        result=answers.Why,
        may=_ANSWERED,
    ),
    Endpoint(
        "GET",
        "/debug/view/{id}",
        BOTH,
        "a view as its circuit holds it; 404 unknown",
        views.debug_answer,
        views.debug_request,
        Rpc.GET_VIEW,
        asks=views.DEBUG_QUERY,
        closed=True,
        roles=ADMINS,
        result=answers.DebuggedView,
        may=_READ,
    ),
    Endpoint(
        "GET",
        "/revision",
        BOTH,
        "a token that holds everything committed in SurrealDB before the request: read at least as fresh as it",
        revision.revision_answer,
        revision.revision_request,
        Rpc.BARRIER,
        to_scheduler=True,
        roles=USERS,
        result=answers.Revision,
        may=frozenset({Code.NOT_READY}),
    ),
    Endpoint(
        "GET",
        "/views",
        BOTH,
        "every view, in short",
        views.list_answer,
        views.list_request,
        Rpc.LIST_VIEWS,
        result=list[answers.ViewSummary],
    ),
    _status("/ssps", SCHEDULER, status.ssps_answer, "every SSP: state, load, revisions", result=list[answers.Ssp]),
    _status(
        "/health",
        BOTH,
        status.health_answer,
        "scheduler: 200 `healthy` with a ready SSP, else 503; SSP: 200 `ready`, else 503",
        silent=status.health_silent,
        open_on=BOTH,
        load="health",
        result=answers.Health,
    ),
    _status(
        "/health/ready",
        BOTH,
        status.ready_answer,
        "state of the service; 503 while cloning",
        silent=status.ready_silent,
        open_on=BOTH,
        load="health",
        result=answers.Health,
    ),
    Endpoint(
        "GET",
        "/health/live",
        BOTH,
        "200 while the process answers",
        status.live_answer,
        open_on=BOTH,
        always=True,
        load="health",
        result=answers.Live,
    ),
    _status(
        "/health/snapshot",
        SCHEDULER,
        status.snapshot_answer,
        "rows of every table of the replica",
        open_on=SCHEDULER,
        result=answers.Snapshot,
    ),
    _status(
        "/info",
        BOTH,
        status.info_answer,
        "array: the service (with its `grpc_address`), then its SSPs",
        open_on=BOTH,
        result=list[answers.Entity],
    ),
    _status(
        "/info/text",
        BOTH,
        status.info_text_answer,
        "the same as text/plain",
        open_on=BOTH,
        result=str,
        media_types=(TEXT,),
    ),
    _status("/version", BOTH, status.version_answer, "version of the service", open_on=BOTH, result=answers.Version),
    _status(
        "/metrics",
        BOTH,
        metrics.metrics_answer,
        "JSON as documented; Prometheus text if `Accept` asks for text/plain or openmetrics",
        silent=metrics.metrics_silent,
        open_on=SCHEDULER,
        own_metrics=True,
        result=answers.Metrics,
        media_types=(JSON, *PROMETHEUS),
    ),
    _status(
        "/metrics/prometheus",
        BOTH,
        metrics.prometheus_answer,
        "Prometheus or OpenMetrics text",
        silent=metrics.prometheus_silent,
        open_on=SCHEDULER,
        own_metrics=True,
        result=str,
        media_types=PROMETHEUS,
    ),
    *VIEW_STREAMS,
    *WATCHED,
    *MEMBERS,
    *OPERATORS,
    *INTEGRITY,
    Endpoint(
        "GET",
        "/dead-letters",
        SCHEDULER,
        "what could not be applied and was passed over; `?after=ID&limit=…`",
        dead_letters.list_answer,
        dead_letters.list_request,
        Rpc.LIST_DEAD_LETTERS,
        roles=ADMINS,
        asks=(dead_letters.AFTER, dead_letters.LIMIT),
        result=answers.DeadLetters,
    ),
    Endpoint(
        "GET",
        "/dead-letters/{id}",
        SCHEDULER,
        "one, with what was to be applied; 404 unknown",
        dead_letters.show_answer,
        dead_letters.show_request,
        Rpc.GET_DEAD_LETTER,
        roles=ADMINS,
        result=answers.DeadLetterShown,
        may=frozenset({Code.NOT_FOUND}),
    ),
    Endpoint(
        "POST",
        "/dead-letters/{id}/retry",
        SCHEDULER,
        "its records are read from SurrealDB again; `all`: of every one; 404 unknown",
        dead_letters.retry_answer,
        dead_letters.retry_request,
        Rpc.RETRY_DEAD_LETTER,
        roles=ADMINS,
        result=answers.Retried,
        may=frozenset({Code.NOT_FOUND, Code.NOT_READY}),
    ),
    Endpoint(
        "DELETE",
        "/dead-letters/{id}",
        SCHEDULER,
        "it is forgotten, the replica stays as it is; `all`: every one; 404 unknown",
        dead_letters.drop_answer,
        dead_letters.drop_request,
        Rpc.DROP_DEAD_LETTER,
        roles=ADMINS,
        result=answers.Dropped,
        may=frozenset({Code.NOT_FOUND}),
    ),
    *JOBS,
    _later("POST", "/backup/create", SCHEDULER, "backups", ADMINS),
    _later("GET", "/backup/status", SCHEDULER, "backups", ADMINS),
    _later("GET", "/backup/status/{id}", SCHEDULER, "backups", ADMINS),
    _later("POST", "/backup/restore", SCHEDULER, "backups", ADMINS),
    _later("GET", "/backup/restore/status/{id}", SCHEDULER, "backups", ADMINS),
    *COLLABORATIVE,
    *OF_AN_SSP,
    Endpoint(
        "GET",
        "/openapi.json",
        BOTH,
        "this list as OpenAPI 3.1, with every parameter, body and status",
        _described,
        roles=USERS | READERS,
        result=dict[str, Any],
    ),
)


def endpoints_of(api: Api) -> Sequence[Endpoint]:
    return [endpoint for endpoint in ENDPOINTS if api in endpoint.apis]


def endpoint_list() -> str:
    """The table as README.md shows it."""
    lines = ["| endpoint | APIs | who | rpc | what |", "|---|---|---|---|---|"]
    for endpoint in ENDPOINTS:
        who = ", ".join(sorted(endpoint.roles)) or "admin"
        who = "anyone" if endpoint.open_on == endpoint.apis else f"anyone; SSP: {who}" if endpoint.open_on else who
        apis = "both" if endpoint.apis == BOTH else "SSP" if endpoint.apis == SSP else "scheduler"
        rpc = f"`{endpoint.rpc.value}`" if endpoint.rpc else "–"
        lines.append(f"| `{endpoint.name}` | {apis} | {who} | {rpc} | {endpoint.summary} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(endpoint_list(), end="")
