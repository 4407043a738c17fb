"""THE TABLE: every HTTP endpoint, on which API, open or behind the bearer, and what it becomes.

The servers register what is here and nothing else; README.md's list is printed from here
(`python -m sp00ky.gateway.endpoints`, a test compares). An endpoint is three functions: `request` makes the message,
`rpc` is called with it, `answer` makes the body; `follow` is a second call that depends on the first answer, `silent`
answers for a service that does not. A documented endpoint of a later round is here too, and says so with 501.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from sp00ky.gateway.exchange import Answer, Api, Asked
from sp00ky.gateway.translate import ingest, metrics, proxy, revision, status, views, why
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code, Fault

SCHEDULER: frozenset[Api] = frozenset({"scheduler", "gateway"})
SSP: frozenset[Api] = frozenset({"ssp"})
BOTH: frozenset[Api] = SCHEDULER | SSP
NONE: frozenset[Api] = frozenset()


@dataclass(frozen=True, slots=True)
class Follow:
    """A second call. `request` may decide that there is none, by None."""

    request: Callable[[Asked, Any], Message | None]
    rpc: Rpc
    answer: Callable[[Asked, Any, Any], Answer]


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    path: str
    apis: frozenset[Api]
    summary: str
    answer: Callable[[Asked, Any], Answer]
    request: Callable[[Asked], Message] | None = None
    rpc: Rpc | None = None
    follow: Follow | None = None
    silent: Callable[[Asked, Fault], Answer] | None = None
    open_on: frozenset[Api] = NONE  # APIs on which no bearer is asked for
    to_scheduler: bool = False  # on the SSP's API: forwarded, once the SSP is ready
    own_metrics: bool = False
    always: bool = False  # answered however many requests are in flight

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def _status(
    path: str, apis: frozenset[Api], answer: Callable[[Asked, Any], Answer], summary: str, **options: Any
) -> Endpoint:
    return Endpoint("GET", path, apis, summary, answer, status.status_request, Rpc.GET_STATUS, **options)


def _later(method: str, path: str, apis: frozenset[Api], what: str) -> Endpoint:
    def refuse(asked: Asked, response: None) -> Answer:
        raise Fault(Code.UNIMPLEMENTED, f"{method} {path} is not served yet: {what} come in a later version")

    return Endpoint(method, path, apis, f"501: {what} come in a later version", refuse)


_FIRST_READ = Follow(views.first_read_request, Rpc.GET_VIEW, views.first_read_answer)


def _register(path: str, apis: frozenset[Api], summary: str) -> Endpoint:
    answer, request = views.register_answer, views.register_request
    return Endpoint("POST", path, apis, summary, answer, request, Rpc.REGISTER_VIEW, _FIRST_READ, to_scheduler=True)


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
    ),
    Endpoint(
        "POST",
        "/proxy/query",
        SCHEDULER,
        "`{query, vars?, consistency?, revision?}` → result of the first statement, read-only, on the replica",
        proxy.query_answer,
        proxy.query_request,
        Rpc.QUERY,
    ),
    Endpoint("POST", "/proxy/signin", SCHEDULER, "200: for clients that shake hands", proxy.handshake_answer),
    Endpoint("POST", "/proxy/use", SCHEDULER, "200: for clients that shake hands", proxy.handshake_answer),
    _register(
        "/view/register",
        BOTH,
        "`{id, surql, clientId?, params?, ttl?, format?, auth?, rows?}` → where the view is; `rows: 1` adds its result",
    ),
    _register("/query/register", SCHEDULER, "the same, with `{query_id, view_plan}`"),
    Endpoint(
        "POST",
        "/view/unregister",
        BOTH,
        "`{id}`; 404 unknown",
        views.unregister_answer,
        views.unregister_request,
        Rpc.UNREGISTER_VIEW,
        to_scheduler=True,
    ),
    Endpoint(
        "POST",
        "/view/explain",
        BOTH,
        "`{surql, params?, auth?}` → mode, reason, the nearest better query, every stage as text; registers nothing",
        views.explain_answer,
        views.explain_request,
        Rpc.EXPLAIN_VIEW,
    ),
    Endpoint(
        "GET",
        "/view/{id}",
        BOTH,
        "members, revision, hash, state, mode; `?rows=1&consistency=…&revision=…&auth=…`",
        views.get_answer,
        views.get_request,
        Rpc.GET_VIEW,
    ),
    Endpoint(
        "GET",
        "/view/{id}/why",
        BOTH,
        "`?record=…&auth=…` → whether the record is in the view, and the term, link or limit that decides; 404 unknown",
        why.why_answer,
        why.why_request,
        Rpc.WHY_VIEW,
    ),
    Endpoint(
        "GET",
        "/debug/view/{id}",
        BOTH,
        "a view as its circuit holds it; 404 unknown",
        views.debug_answer,
        views.debug_request,
        Rpc.GET_VIEW,
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
    ),
    Endpoint("GET", "/views", BOTH, "every view, in short", views.list_answer, views.list_request, Rpc.LIST_VIEWS),
    _status("/ssps", SCHEDULER, status.ssps_answer, "every SSP: state, load, revisions"),
    _status(
        "/health",
        BOTH,
        status.health_answer,
        "scheduler: 200 `healthy` with a ready SSP, else 503; SSP: 200 `ready`, else 503",
        silent=status.health_silent,
        open_on=BOTH,
    ),
    _status(
        "/health/ready",
        BOTH,
        status.ready_answer,
        "state of the service; 503 while cloning",
        silent=status.ready_silent,
        open_on=BOTH,
    ),
    Endpoint(
        "GET", "/health/live", BOTH, "200 while the process answers", status.live_answer, open_on=BOTH, always=True
    ),
    _status(
        "/health/snapshot", SCHEDULER, status.snapshot_answer, "rows of every table of the replica", open_on=SCHEDULER
    ),
    _status(
        "/info",
        BOTH,
        status.info_answer,
        "array: the service (with its `grpc_address`), then its SSPs",
        open_on=BOTH,
    ),
    _status("/info/text", BOTH, status.info_text_answer, "the same as text/plain", open_on=BOTH),
    _status("/version", BOTH, status.version_answer, "version of the service", open_on=BOTH),
    _status(
        "/metrics",
        BOTH,
        metrics.metrics_answer,
        "JSON as documented; Prometheus text if `Accept` asks for text/plain or openmetrics",
        silent=metrics.metrics_silent,
        open_on=SCHEDULER,
        own_metrics=True,
    ),
    _status(
        "/metrics/prometheus",
        BOTH,
        metrics.prometheus_answer,
        "Prometheus or OpenMetrics text",
        silent=metrics.prometheus_silent,
        open_on=SCHEDULER,
        own_metrics=True,
    ),
    _later("GET", "/view/{id}/events", BOTH, "event streams"),
    _later("GET", "/view/{id}/ws", BOTH, "event streams"),
    _later("GET", "/events", SCHEDULER, "event streams"),
    _later("POST", "/ssp/register", SCHEDULER, "SSPs that speak HTTP"),
    _later("POST", "/ssp/heartbeat", SCHEDULER, "SSPs that speak HTTP"),
    _later("POST", "/admin/ssp/resync-all", SCHEDULER, "integrity checks"),
    _later("GET", "/integrity/{table}", SCHEDULER, "integrity checks"),
    _later("GET", "/dead-letters", SCHEDULER, "dead letters"),
    _later("POST", "/job/dispatch", SCHEDULER, "jobs"),
    _later("POST", "/job/result", SCHEDULER, "jobs"),
    _later("POST", "/job/kill", SCHEDULER, "jobs"),
    _later("POST", "/job/retry", SCHEDULER, "jobs"),
    _later("PUT", "/backends", SCHEDULER, "jobs"),
    _later("POST", "/backup/create", SCHEDULER, "backups"),
    _later("GET", "/backup/status", SCHEDULER, "backups"),
    _later("GET", "/backup/status/{id}", SCHEDULER, "backups"),
    _later("POST", "/backup/restore", SCHEDULER, "backups"),
    _later("GET", "/backup/restore/status/{id}", SCHEDULER, "backups"),
    _later("POST", "/crdt/apply", SSP, "collaborative fields"),
    _later("POST", "/reset", SSP, "resets by hand"),
    _later("POST", "/log", SSP, "client logs"),
    _later("GET", "/debug/deps", SSP, "dependency dumps"),
    _later("GET", "/openapi.json", BOTH, "machine-readable descriptions"),
    _later("GET", "/", SCHEDULER, "dashboards"),
)


def endpoints_of(api: Api) -> Sequence[Endpoint]:
    return [endpoint for endpoint in ENDPOINTS if api in endpoint.apis]


def endpoint_list() -> str:
    """The table as README.md shows it."""
    lines = ["| endpoint | APIs | bearer | rpc | what |", "|---|---|---|---|---|"]
    for endpoint in ENDPOINTS:
        bearer = "no" if endpoint.open_on == endpoint.apis else "SSP only" if endpoint.open_on else "yes"
        apis = "both" if endpoint.apis == BOTH else "SSP" if endpoint.apis == SSP else "scheduler"
        rpc = f"`{endpoint.rpc.value}`" if endpoint.rpc else "–"
        lines.append(f"| `{endpoint.name}` | {apis} | {bearer} | {rpc} | {endpoint.summary} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(endpoint_list(), end="")
