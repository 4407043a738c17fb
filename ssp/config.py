"""The SSP's settings: names, defaults and units as the Deployment page has them, and a few of our own."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from sp00ky.proto.jobs.schedule import Schedule, schedules_of
from sp00ky.proto.jobs.settings import JobSettings
from sp00ky.proto.settings import setting


class SspSettings(JobSettings):
    """With `scheduler_url` empty the process carries a private scheduler of its own. `db_ns` and `db_name` that nobody
    stated (`model_fields_set`) are taken over from the scheduler."""

    ssp_id: str = setting(
        env="SPKY_SSP_ID",
        aliases=("SSP_ID",),
        about="unique name of this SSP",
        default_factory=lambda: f"ssp-{uuid.uuid4()}",
    )
    listen_addr: str = setting(
        "0.0.0.0:8667",
        env="SPKY_SSP_LISTEN_ADDR",
        aliases=("LISTEN_ADDR",),
        unit="host:port",
        about="HTTP API",
    )
    grpc_addr: str = setting("0.0.0.0:8668", env="SPKY_SSP_GRPC_ADDR", unit="host:port", about="gRPC API")
    advertise_addr: str = setting(
        "",
        env="SPKY_SSP_ADVERTISE_ADDR",
        aliases=("ADVERTISE_ADDR",),
        unit="host:port",
        about="HTTP address that others reach this SSP at; empty is the one it listens on",
    )
    scheduler_url: str = setting(
        "",
        env="SPKY_SCHEDULER_URL",
        aliases=("SCHEDULER_URL",),
        unit="url",
        about="scheduler, as http://host:9667 or grpc://host:9668; empty runs one inside this process",
    )
    heartbeat_interval_ms: int = setting(
        5000,
        env="HEARTBEAT_INTERVAL_MS",
        yaml="heartbeat_interval_ms",
        unit="ms",
        gt=0,
        about="how often the SSP reports to the scheduler",
    )
    ref_mode: Literal["dedicated", "single"] = setting(
        "dedicated",
        env="SPKY_SSP_REF_MODE",
        yaml="refMode",
        about="a user's edges in a table of the user's own (dedicated), or everybody's in _00_list_ref (single)",
    )
    query_update_throttle_ms: int = setting(
        100,
        env="SPKY_SSP_QUERY_UPDATE_THROTTLE_MS",
        unit="ms",
        ge=0,
        about="window over which edge writes are gathered into one transaction; 0 writes at once",
    )
    view_audit_interval_ms: int = setting(
        1_000,
        env="SPKY_VIEW_AUDIT_INTERVAL_MS",
        yaml="view_audit_interval_ms",
        unit="ms",
        ge=0,
        about="pause between two views whose edges in SurrealDB are compared, and mended; 0: none is",
    )
    bootstrap_page_size: int = setting(
        500,
        env="SPKY_SSP_BOOTSTRAP_PAGE_SIZE",
        unit="rows",
        gt=0,
        le=100_000,
        about="rows asked for in one page of the load",
    )
    memory_bytes_max: int = setting(
        0,
        env="SPKY_SSP_MEMORY_BYTES_MAX",
        unit="bytes",
        ge=0,
        about="memory this process may take: from 85 % on it gets no new view, from 95 % on views move away; 0 is the "
        "limit of its container, if that has one",
    )
    crdt_cache_size: int = setting(
        10_000,
        env="SPKY_CRDT_CACHE_SIZE",
        unit="documents",
        gt=0,
        about="collaborative documents kept in memory; one above 64 KiB counts as several",
    )
    schedules: Any = setting(
        None,
        env="SPKY_SCHEDULES",
        yaml="schedules",
        unit="json",
        about="jobs that are made by a clock: by name, with cron or every, backend, route",
    )
    crdt_fields: str = setting(
        "",
        env="SPKY_CRDT_FIELDS",
        unit="json",
        about="collaborative fields by table, or a .surql file with `-- @crdt` annotations, in place of those whose "
        "comment in the database says so",
    )
    crdt_update_bytes_max: int = setting(
        256 * 1024,
        env="SPKY_CRDT_UPDATE_BYTES_MAX",
        unit="bytes",
        gt=0,
        about="size of one update of a collaborative field",
    )
    crdt_document_bytes_max: int = setting(
        4 * 1024 * 1024,
        env="SPKY_CRDT_DOCUMENT_BYTES_MAX",
        unit="bytes",
        gt=0,
        about="size of one collaborative document with its history; as many operations",
    )
    crdt_history_bytes: int = setting(
        256 * 1024,
        env="SPKY_CRDT_HISTORY_BYTES",
        unit="bytes",
        ge=0,
        about="up to that size a collaborative document keeps all of its history",
    )
    crdt_history_secs: int = setting(
        7 * 86_400,
        env="SPKY_CRDT_HISTORY_SECS",
        unit="s",
        ge=0,
        about="how far back a larger one keeps it at least: who was away longer loads it anew",
    )
    crdt_presence_secs: int = setting(
        30,
        env="SPKY_CRDT_PRESENCE_SECS",
        unit="s",
        gt=0,
        about="how long a cursor is shown that is not said again",
    )

    def advertised_grpc(self, bound: str) -> str:
        """Where the scheduler calls us: the bound port at the advertised host."""
        if bound.startswith("unix:"):
            return bound
        host, _, port = bound.rpartition(":")
        advertised = self.advertise_addr.rpartition(":")[0]
        if advertised:
            return f"{advertised}:{port}"
        return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]", "") else bound

    def job_schedules(self) -> tuple[Schedule, ...]:
        """Raises Fault INVALID."""
        return schedules_of(self.schedules, self.job_backends())
