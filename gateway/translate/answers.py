"""What answers hold, as types: the functions beside this file build them, `openapi.json` is printed from them.

One declaration serves both, so a field that is answered and not described does not pass the type checker. A field that
is left out when there is nothing to say is `NotRequired`; one that says so is `| None`.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

State = Literal["pending", "live", "lagging", "failed"]
Mode = Literal["incremental", "reevaluated"]
Decider = Literal[
    "conditions", "nested", "term", "permission", "from", "missing", "window", "rows", "unknown"
]  # fmt: skip


class Error(TypedDict):
    """What every refusal says. `type`, `title` and `status` are added for `Accept: application/problem+json`."""

    code: str
    message: str
    hint: NotRequired[str]
    details: NotRequired[dict[str, str]]
    type: NotRequired[str]
    title: NotRequired[str]
    status: NotRequired[int]


class Appended(TypedDict):
    """Changes that are durable. `hints`: how many of them were only hints to read SurrealDB."""

    revision: str
    seq: int
    hints: NotRequired[int]
    hint: NotRequired[str]


class Revision(TypedDict):
    revision: str
    seq: int


class Moved(TypedDict):
    """The revision from which on the change of views holds."""

    revision: str


class Member(TypedDict):
    id: str
    version: int
    parent: NotRequired[str]
    parent_rel: NotRequired[str]


class View(TypedDict):
    """A view at its revision; `rows` as SurrealDB's `/sql` writes them."""

    id: str
    revision: str
    hash: str
    state: State | None
    mode: Mode | None
    ssp_id: str
    members: list[Member]
    rows: NotRequired[Any]
    error: NotRequired[str]


class Registered(TypedDict):
    """Where a view is kept. With `rows: 1` the fields of the view are here as well."""

    query_id: str
    ssp_id: str
    ssp_url: str
    assigned_at: int
    revision: str
    warnings: NotRequired[list[str]]
    id: NotRequired[str]
    hash: NotRequired[str]
    state: NotRequired[State | None]
    mode: NotRequired[Mode | None]
    members: NotRequired[list[Member]]
    rows: NotRequired[Any]
    error: NotRequired[str]


class ViewSummary(TypedDict):
    id: str
    surql: str
    state: State | None
    mode: Mode | None
    members: int
    ssp_id: str
    client_id: str
    hash: str
    revision: str
    ttl_ms: int
    reason: NotRequired[str]
    auth: NotRequired[str]


class CacheEntry(TypedDict):
    key: str
    weight: int


class SubqueryEntry(TypedDict):
    key: str
    parent_key: str
    alias: str


class DebuggedView(TypedDict):
    view_id: str
    cache_size: int
    last_hash: str
    format: str
    cache: list[CacheEntry]
    subquery_cache: list[SubqueryEntry]
    state: State | None
    mode: Mode | None
    revision: str


class Stage(TypedDict):
    name: str
    text: str


class Nearest(TypedDict):
    surql: str
    change: str


class Explanation(TypedDict):
    mode: Mode | None
    stages: list[Stage]
    tables: list[str]
    shape: str
    reason: NotRequired[str]
    nearest: NotRequired[Nearest]
    warnings: NotRequired[list[str]]


class WhyValue(TypedDict):
    text: str
    value: str
    through: NotRequired[list[str]]


class WhyTerm(TypedDict):
    text: str
    origin: str
    holds: bool
    values: NotRequired[list[WhyValue]]


class WhyKey(TypedDict):
    text: str
    value: str
    boundary: str


class WhyWindow(TypedDict):
    rank: int
    passing: int
    start: int
    limit: NotRequired[int]
    boundary: NotRequired[str]
    order: NotRequired[list[WhyKey]]


class Why(TypedDict):
    id: str
    revision: str
    ssp_id: str
    record: str
    in_view: bool
    decider: Decider | None
    sentence: str
    terms: list[WhyTerm]
    position: NotRequired[int]
    window: NotRequired[WhyWindow]
    below: NotRequired[list[Member]]


class Live(TypedDict):
    status: Literal["live"]


class Count(TypedDict):
    ready: int
    total: int


class Backends(TypedDict):
    healthy: int
    unhealthy: int
    unreachable: int
    total: int


class Health(TypedDict):
    """`ssps` and `backends` are a scheduler's."""

    status: str
    ssps: NotRequired[Count]
    backends: NotRequired[Backends]
    detail: NotRequired[str]


class Places(TypedDict):
    """Where the log stands."""

    pending_events: int
    snapshot_seq: int
    latest_seq: int
    lag: int


class Snapshot(Places):
    tables: dict[str, int]
    captured: list[str]
    total_records: int


class Version(TypedDict):
    version: str
    service: str
    mode: NotRequired[str]


class Entity(TypedDict):
    """The service itself, then its SSPs; what an entity has beyond these depends on what it is."""

    entity: str
    id: str
    ip: str | None
    status: str
    views: int
    version: str
    uptime_seconds: float


class Ssp(TypedDict):
    id: str
    url: str
    grpc_address: str
    state: str
    views: int
    cpu_usage: float
    memory_usage: int
    memory_limit: int  # bytes; 0: none
    last_heartbeat_seconds_ago: float
    applied_seq: int
    written_seq: int
    incarnation: int
    version: str
    uptime_seconds: float
    draining: bool
    frozen: bool
    http_only: bool


class DeadLetter(TypedDict):
    """`stamp`: of the changefeed's row, as text since it is larger than a JSON number holds; "0": none."""

    id: int
    source: str
    tables: list[str]
    records: list[str]
    reason: str
    at_ms: int
    attempts: int
    stamp: str
    size: int


class DeadLetterShown(DeadLetter):
    content: str


class DeadLetters(TypedDict):
    dead_letters: list[DeadLetter]
    total: int
    forgotten: int


class Retried(TypedDict):
    applied: int
    failed: int


class Dropped(TypedDict):
    dropped: int


class MeshEvent(TypedDict):
    id: int
    at_ms: int
    kind: str
    text: str
    trouble: bool
    ssp_id: NotRequired[str]
    view_id: NotRequired[str]
    auth: NotRequired[str]


class SspSample(TypedDict):
    id: str
    state: str
    draining: bool
    views: int
    cpu_usage: float
    memory_usage: int
    last_heartbeat_seconds_ago: float
    applied_seq: int
    written_seq: int
    applied_per_second: float
    edges_per_second: float
    views_failed: int


class StageLag(TypedDict):
    """Seconds from a write to SurrealDB until it was seen at each stage."""

    captured_seconds: float
    applied_seconds: float
    written_seconds: float


class MeshSample(TypedDict):
    at_ms: int
    state: str
    captures: bool
    captured_per_second: float
    appended_per_second: float
    head_seq: int
    queued_changes: int
    log_bytes: int
    rows: int
    cpu_usage: float
    memory_usage: int
    views: int
    dead_letters: int
    ssps: list[SspSample]
    detail: NotRequired[str]
    lag: NotRequired[StageLag]
    streams: NotRequired[int]  # open at the server that was asked


class Lag(TypedDict):
    """Of the last probe, in seconds since it was written; null: not seen there yet. `detail`: what it waits for."""

    interval_ms: int
    turn: int
    age_seconds: float
    stored_seconds: float | None
    captured_seconds: float | None
    applied_seconds: float | None
    written_seconds: float | None
    ssps: dict[str, float | None]
    detail: str


class Metrics(TypedDict):
    """`scheduler`, `ssps` and `lag` of a scheduler, `ssp` of an SSP; `metrics` is whatever else is counted."""

    scheduler: NotRequired[dict[str, Any]]
    ssps: NotRequired[list[dict[str, Any]]]
    ssp: NotRequired[dict[str, Any]]
    lag: NotRequired[Lag]
    metrics: dict[str, float]
