"""The scheduler's settings: names, defaults and units as the Deployment page has them, and a few of our own."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import field_validator, model_validator
from sp00ky.proto.jobs.settings import JobSettings
from sp00ky.proto.settings import setting

LISTEN_HOST = "0.0.0.0"
LISTEN_PORT = 9667


class SchedulerSettings(JobSettings):
    """`replica_db_path` and `wal_path` left empty lie under `data_dir`. `max_buffer_per_ssp` is how many entries an SSP
    may fall behind before it must load anew; `ssp_poll_interval_ms` concerns SSPs that speak HTTP only."""

    MADE_OF: ClassVar[dict[str, tuple[str, ...]]] = {"listen_addr": ("ingest_port", "ingest_host")}

    scheduler_id: str = setting(
        env="SPKY_SCHEDULER_ID",
        about="unique name of this scheduler",
        default_factory=lambda: f"scheduler-{uuid.uuid4()}",
    )
    db_ns: str = setting(
        "sp00ky",
        env="SPKY_DB_NS",
        aliases=("SURREALDB_NS",),
        yaml="db.namespace",
        min_length=1,
        about="SurrealDB namespace",
    )
    db_name: str = setting(
        "sp00ky",
        env="SPKY_DB_NAME",
        aliases=("SURREALDB_DB",),
        yaml="db.database",
        min_length=1,
        about="SurrealDB database",
    )
    listen_addr: str = setting(
        f"{LISTEN_HOST}:{LISTEN_PORT}", env="SPKY_SCHEDULER_LISTEN_ADDR", unit="host:port", about="HTTP API"
    )
    ingest_host: str = setting(
        "",
        env="SPKY_SCHEDULER_INGEST_HOST",
        aliases=("SPOOKY_SCHEDULER_INGEST_HOST",),
        yaml="ingest_host",
        about="host of listen_addr, for files that state it apart",
    )
    ingest_port: int = setting(
        0,
        env="SPKY_SCHEDULER_INGEST_PORT",
        aliases=("SPOOKY_SCHEDULER_INGEST_PORT",),
        yaml="ingest_port",
        ge=0,
        le=65535,
        about="port of listen_addr, for files that state it apart",
    )
    grpc_addr: str = setting("0.0.0.0:9668", env="SPKY_SCHEDULER_GRPC_ADDR", unit="host:port", about="gRPC API")
    replica_engine: Literal["rocksdb", "memory"] = setting(
        "rocksdb",
        env="SPKY_REPLICA_ENGINE",
        yaml="replica_engine",
        about="datastore of log and replica: rocksdb or memory",
    )
    replica_db_path: Path | None = setting(
        None,
        env="SPKY_SCHEDULER_REPLICA_DB_PATH",
        aliases=("SPOOKY_SCHEDULER_REPLICA_DB_PATH",),
        yaml="replica_db_path",
        unit="path",
        about="directory of RocksDB's data; empty is <data_dir>/replica",
    )
    wal_path: Path | None = setting(
        None,
        env="SPKY_SCHEDULER_WAL_PATH",
        aliases=("SPOOKY_SCHEDULER_WAL_PATH",),
        yaml="wal_path",
        unit="path",
        about="directory of RocksDB's write-ahead log; empty is beside its data",
    )
    capture: Literal["changefeed", "events", "live"] = setting(
        "changefeed",
        env="SPKY_CAPTURE",
        yaml="capture",
        about="how writes in SurrealDB are noticed: changefeed, events or live",
    )
    load_balance: Literal["round_robin", "least_queries", "least_load", "affinity"] = setting(
        "round_robin",
        env="SPKY_SCHEDULER_LOAD_BALANCE",
        aliases=("SPOOKY_SCHEDULER_LOAD_BALANCE",),
        yaml="load_balance",
        about="which SSP a new view goes to: round_robin, least_queries, least_load or affinity",
    )
    heartbeat_interval_ms: int = setting(
        5000,
        env="SPKY_SCHEDULER_HEARTBEAT_INTERVAL_MS",
        aliases=("SPOOKY_SCHEDULER_HEARTBEAT_INTERVAL_MS",),
        yaml="heartbeat_interval_ms",
        unit="ms",
        gt=0,
        about="how often an SSP is expected to report",
    )
    heartbeat_timeout_ms: int = setting(
        15000,
        env="SPKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS",
        aliases=("SPOOKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS",),
        yaml="heartbeat_timeout_ms",
        unit="ms",
        gt=0,
        about="silence after which an SSP is stale and its views move",
    )
    bootstrap_page_size: int = setting(
        500,
        env="SPKY_BOOTSTRAP_PAGE_SIZE",
        yaml=("bootstrap_page_size", "bootstrap_chunk_size"),
        unit="rows",
        gt=0,
        le=100_000,
        about="rows in one page of an SSP's load",
    )
    bootstrap_timeout_secs: int = setting(
        120,
        env="SPKY_SCHEDULER_BOOTSTRAP_TIMEOUT_SECS",
        aliases=("SPOOKY_SCHEDULER_BOOTSTRAP_TIMEOUT_SECS",),
        yaml="bootstrap_timeout_secs",
        unit="s",
        gt=0,
        about="how long an SSP may take to load before its pin is released",
    )
    max_buffer_per_ssp: int = setting(
        10_000,
        env="SPKY_SCHEDULER_MAX_BUFFER_PER_SSP",
        aliases=("SPOOKY_SCHEDULER_MAX_BUFFER_PER_SSP",),
        yaml="max_buffer_per_ssp",
        unit="entries",
        gt=0,
        about="entries a ready SSP may lag by, for heartbeat_timeout_ms without catching up, before it must load anew",
    )
    revision_quantization_ms: int = setting(
        5000,
        env="SPKY_REVISION_QUANTIZATION_MS",
        yaml="revision_quantization_ms",
        unit="ms",
        ge=0,
        about="SSPs that join within it load at one shared revision; 0 gives each its own",
    )
    rebalance: bool = setting(
        True,
        env="SPKY_SCHEDULER_REBALANCE",
        yaml="rebalance",
        about="whether views move to an SSP that has become ready, until the SSPs have about as many each",
    )
    move_views_inflight_max: int = setting(
        32,
        env="SPKY_MOVE_VIEWS_INFLIGHT_MAX",
        yaml="move_views_inflight_max",
        unit="views",
        gt=0,
        about="views that are handed over from one living SSP to another at the same time",
    )
    ssp_poll_interval_ms: int = setting(
        3000,
        env="SPKY_SCHEDULER_SSP_POLL_INTERVAL_MS",
        aliases=("SPOOKY_SCHEDULER_SSP_POLL_INTERVAL_MS",),
        yaml="ssp_poll_interval_ms",
        unit="ms",
        gt=0,
        about="how often the health of an HTTP-only SSP that loads is asked for",
    )
    http_ssps_max: int = setting(
        64,
        env="SPKY_HTTP_SSPS_MAX",
        yaml="http_ssps_max",
        unit="SSPs",
        gt=0,
        about="SSPs that speak HTTP only and may follow at the same time",
    )
    snapshot_update_interval_secs: int = setting(
        300,
        env="SPKY_SNAPSHOT_UPDATE_INTERVAL_SECS",
        yaml="snapshot_update_interval_secs",
        unit="s",
        gt=0,
        about="how often the replica is copied aside, to be restored from",
    )
    replica_snapshots_max: int = setting(
        2,
        env="SPKY_REPLICA_SNAPSHOTS_MAX",
        yaml="replica_snapshots_max",
        gt=0,
        le=100,
        about="copies of the replica that are kept, the newest",
    )
    replica_auto_migrate: bool = setting(
        True,
        env="SPKY_REPLICA_AUTO_MIGRATE",
        yaml="replica_auto_migrate",
        about="bring a replica that an older version wrote to today's layout at start",
    )
    replica_gc_window_secs: int = setting(
        3600,
        env="SPKY_REPLICA_GC_WINDOW_SECS",
        yaml="replica_gc_window_secs",
        unit="s",
        ge=0,
        about="how long a revision stays readable",
    )
    replica_gc_window_bytes: int = setting(
        1024**3,
        env="SPKY_REPLICA_GC_WINDOW_BYTES",
        yaml="replica_gc_window_bytes",
        unit="bytes",
        ge=0,
        about="bytes of changes after which a revision is no longer readable, whatever its age",
    )
    replica_gc_interval_secs: int = setting(
        10,
        env="SPKY_REPLICA_GC_INTERVAL_SECS",
        yaml="replica_gc_interval_secs",
        unit="s",
        gt=0,
        about="how often what is no longer readable is removed",
    )
    replica_gc_max_time_ms: int = setting(
        1000,
        env="SPKY_REPLICA_GC_MAX_TIME_MS",
        yaml="replica_gc_max_time_ms",
        unit="ms",
        gt=0,
        about="how long one run of the garbage collector may take; what is left goes on in the next one, at once",
    )
    replica_log_max_bytes: int = setting(
        4 * 1024**3,
        env="SPKY_REPLICA_LOG_MAX_BYTES",
        yaml="replica_log_max_bytes",
        unit="bytes",
        gt=0,
        about="bytes of log kept for an SSP that is behind; beyond it must load anew",
    )
    replica_log_max_age_secs: int = setting(
        86_400,
        env="SPKY_REPLICA_LOG_MAX_AGE_SECS",
        yaml="replica_log_max_age_secs",
        unit="s",
        gt=0,
        about="how long log is kept for an SSP that is behind; after that it must load anew",
    )
    capture_poll_ms: int = setting(
        15,
        env="SPKY_CAPTURE_POLL_MS",
        yaml="capture_poll_ms",
        unit="ms",
        gt=0,
        about="pause between two reads of the changefeed",
    )
    lag_probe_interval_ms: int = setting(
        5_000,
        env="SPKY_LAG_PROBE_INTERVAL_MS",
        yaml="lag_probe_interval_ms",
        unit="ms",
        ge=0,
        about="how often a write of the mesh's own is timed on its way to every SSP; 0: never",
    )
    ttl_cleanup_interval_secs: int = setting(
        60,
        env="TTL_CLEANUP_INTERVAL_SECS",
        yaml="ttl_cleanup_interval_secs",
        unit="s",
        gt=0,
        about="how often rows of _00_query whose time to live is over are looked for, and all rows read",
    )
    row_views_per_user_max: int = setting(
        1_000,
        env="SPKY_ROW_VIEWS_PER_USER_MAX",
        yaml="row_views_per_user_max",
        unit="views",
        gt=0,
        about="views that a record user may register by rows of _00_query; further rows are refused",
    )
    drift_check_interval_secs: int = setting(
        300,
        env="SPKY_DRIFT_CHECK_INTERVAL_SECS",
        yaml="drift_check_interval_secs",
        unit="s",
        ge=0,
        about="how often the replica is compared with SurrealDB by digests, and mended; 0: never, not at start either",
    )
    merkle_write_interval_secs: int = setting(
        10,
        env="SPKY_MERKLE_WRITE_INTERVAL_SECS",
        yaml="merkle_write_interval_secs",
        unit="s",
        ge=0,
        about="how often the digests of tables are written to _00_merkle, as far as they changed; 0: never",
    )
    dead_letters_max: int = setting(
        10_000,
        env="SPKY_DEAD_LETTERS_MAX",
        yaml="dead_letters_max",
        unit="letters",
        gt=0,
        about="dead letters kept; beyond that the oldest is forgotten",
    )
    ingest_queue_max: int = setting(
        65_536,
        env="SPKY_INGEST_QUEUE_MAX",
        yaml="ingest_queue_max",
        unit="changes",
        gt=0,
        about="changes waiting for their commit before callers are told to slow down",
    )
    ingest_queue_bytes_max: int = setting(
        64 * 1024 * 1024,
        env="SPKY_INGEST_QUEUE_BYTES_MAX",
        yaml="ingest_queue_bytes_max",
        unit="bytes",
        gt=0,
        about="bytes of changes waiting for their commit before callers are told to slow down",
    )
    registrations_inflight_max: int = setting(
        1_024,
        env="SPKY_REGISTRATIONS_INFLIGHT_MAX",
        yaml="registrations_inflight_max",
        unit="views",
        gt=0,
        about="new views waiting for their commit before further ones are refused",
    )
    ingest_inflight_max: int = setting(
        16,
        env="SPKY_INGEST_INFLIGHT_MAX",
        yaml="ingest_inflight_max",
        unit="batches",
        gt=0,
        about="unacknowledged batches on one ingest stream",
    )
    events_max: int = setting(
        4_096,
        env="SPKY_EVENTS_MAX",
        gt=0,
        le=1_000_000,
        about="events of the mesh that are kept for those who ask what has happened",
    )
    job_tables: tuple[str, ...] = setting(
        (),
        env="SPKY_SCHEDULER_JOB_TABLES",
        yaml="job_tables",
        about="outbox tables that operators may look at beside those that have a backend here",
    )
    health_check_interval_secs: int = setting(
        15,
        env="SPKY_HEALTH_CHECK_INTERVAL_SECS",
        yaml="health_check_interval_secs",
        unit="s",
        gt=0,
        about="how often backends are asked how they are",
    )

    @property
    def replica_dir(self) -> Path:
        """Where the RocksDB engine's data lies."""
        return self.replica_db_path or self.data_dir / "replica"

    @field_validator("job_tables", mode="before")
    @classmethod
    def _split_names(cls, stated: Any) -> Any:
        """The environment has no lists: names parted by commas."""
        return tuple(filter(None, map(str.strip, stated.split(",")))) if isinstance(stated, str) else stated

    @model_validator(mode="before")
    @classmethod
    def _listen_on_host_and_port(cls, stated: Any) -> Any:
        """`ingest_host` and `ingest_port` are the older halves of `listen_addr`, which wins where both are stated."""
        if not isinstance(stated, dict) or "listen_addr" in stated:
            return stated
        if not ({"ingest_host", "ingest_port"} & stated.keys()):
            return stated
        host, port = stated.get("ingest_host") or LISTEN_HOST, stated.get("ingest_port", LISTEN_PORT)
        return {**stated, "listen_addr": f"{host}:{port}"}
