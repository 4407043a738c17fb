"""What the mesh measures: the one list of its metrics, and how observations are counted.

A service counts under short keys of its own (`GetStatusResponse.metrics`, with labels as `key{label="value"}`) and
gives distributions by their metric's name. This list says what each is outside: name, kind, unit, meaning. The HTTP
edge exposes it as Prometheus text and pushes it over OTLP, both from here; what it counts itself is declared here, too.

Invariant: a name is here once, ends in its unit, and `_total` if it only grows; no label is a view or a user. A key
that is not here is exposed all the same, as a gauge without a meaning: a newer service behind an older edge.

Source: Prometheus' and OpenTelemetry's naming conventions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sp00ky.proto.v1 import admin_pb2


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric. `keys`: what services count it under, each with the labels it stands for; none: it is made of other
    parts of a status, or counted by the edge itself."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """As OpenTelemetry writes it (UCUM): "s", "By", else "1"."""
        stem = self.name.removesuffix("_total")
        return "s" if stem.endswith("_seconds") else "By" if stem.endswith("_bytes") else "1"

    @property
    def dotted(self) -> str:
        """OpenTelemetry's name: without unit and `_total`, which are said apart."""
        stem = self.name.removesuffix("_total").removesuffix("_seconds").removesuffix("_bytes")
        return stem.replace("_", ".")


# Upper bounds, seconds: of a request or a transaction, and of work in memory.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FINE_SECONDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, *SECONDS[:10])
SIZES: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_000.0)


class Distribution:
    """Observations of one size each, counted in buckets: a third of a microsecond each, whatever there are."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, other: Distribution) -> None:
        """All of the other's, which has the same bounds."""
        self.counts = [own + more for own, more in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def message(self, name: str, **labels: str) -> admin_pb2.Distribution:
        """As a status carries it, under its metric's name."""
        return admin_pb2.Distribution(name=name, labels=labels, bounds=self.bounds, counts=self.counts, sum=self.sum)


def key_of(name: str, **labels: str) -> str:
    """A key with labels, as a status carries it. A quote in a value is an apostrophe there."""
    plain = ((label, value.replace('"', "'")) for label, value in sorted(labels.items()))
    said = ",".join(f'{label}="{value}"' for label, value in plain)
    return f"{name}{{{said}}}" if said else name


def _counter(name: str, about: str, *keys: str, labels: tuple[str, ...] = ()) -> Measure:
    return Measure(name, Kind.COUNTER, about, labels, {key: {} for key in keys})


def _gauge(name: str, about: str, *keys: str, labels: tuple[str, ...] = ()) -> Measure:
    return Measure(name, Kind.GAUGE, about, labels, {key: {} for key in keys})


def _histogram(name: str, about: str, *labels: str) -> Measure:
    return Measure(name, Kind.HISTOGRAM, about, labels)


def _by(kind: Kind, name: str, about: str, label: str, keys: Mapping[str, str], **fixed: str) -> Measure:
    """`keys`: key → value of the label."""
    spread = {key: {label: value, **fixed} for key, value in keys.items()}
    return Measure(name, kind, about, (label, *fixed), spread)


_PLACES = ("owned", "handing_over", "leaving", "unassigned")
_WORK = ("changes", "captured", "commands", "registrations")

EDGE: Final = (  # counted by the HTTP edge itself
    _counter("spky_http_requests_total", "Requests answered.", labels=("method", "route", "status")),
    _histogram("spky_http_request_duration_seconds", "From the request's head to its answer.", "route"),
    _gauge("spky_http_requests_inflight", "Requests being answered."),
    _gauge("spky_http_connections", "Connections that are open."),
    _gauge("spky_http_streams", "Event streams that are open."),
    _counter("spky_ingest_events_total", "Changes offered by HTTP.", labels=("table", "op", "outcome")),
    _histogram("spky_ingest_duration_seconds", "From a batch's arrival to its durable answer."),
    _counter("spky_auth_refused_total", "Bearers refused.", labels=("reason",)),
    _gauge("spky_gateway_streams", "Streams of views that are open.", labels=("transport",)),
    _gauge("spky_gateway_feeds", "Views that are followed for somebody."),
    _gauge("spky_gateway_links", "SSPs that views are followed at."),
    _gauge("spky_gateway_feed_history_bytes", "Recent changes that are kept of followed views."),
    _counter("spky_gateway_stream_cuts_total", "Readers cut off.", labels=("reason",)),
    _counter("spky_gateway_resume_reads_total", "Reads for readers who came back.", labels=("outcome",)),
    _counter("spky_gateway_must_refetch_total", "Readers told to fetch again.", labels=("reason",)),
    _counter("spky_gateway_feed_breaks_total", "Watches that ended.", labels=("reason",)),
    _gauge("spky_upstream_up", "Whether the service behind this server answered."),
    Measure(
        "spky_admission_rejected_total",
        Kind.COUNTER,
        "Requests shed, and what found no room before the log.",
        ("class", "reason"),
        {f"refused_{work}": {"class": work, "reason": "room"} for work in _WORK}
        | {"refused_for_memory": {"class": "registrations", "reason": "memory"}},
    ),
)

OF_STATUS: Final = (  # made of a status as a whole
    _gauge("spky_build_info", "Version of the service.", labels=("version", "service")),
    _gauge("spky_uptime_seconds", "Since the service started."),
    _gauge("spky_replica_rows", "Rows of each table.", labels=("table",)),
    Measure(
        "spky_event_seq",
        Kind.GAUGE,
        "Seq reached by each stage; their differences are the lag.",
        ("stage", "ssp"),
        {"sent_seq": {"stage": "broadcast"}},
    ),
    _gauge("spky_ssp_state", "1 for the state each SSP is in.", labels=("ssp", "state")),
    _gauge("spky_ssp_heartbeat_age_seconds", "Since the last heartbeat.", labels=("ssp",)),
    _gauge("spky_ssp_views", "Views held.", labels=("ssp",)),
    _gauge("spky_ssp_buffer_events", "Entries not yet applied.", labels=("ssp",)),
    _gauge("spky_ssp_lag_seconds", "End to end: the last heartbeat's way to each SSP.", labels=("ssp",)),
    _gauge("spky_ssps", "SSPs that are known.", "total_ssps"),
    Measure(
        "spky_views",
        Kind.GAUGE,
        "Views in each state: of a scheduler, whose they are; of an SSP, whether they have a result.",
        ("state",),
        {"views": {}, **{f"views_{state}": {"state": state} for state in _PLACES}},
    ),
)

SCHEDULER: Final = (
    _counter("spky_wal_appended_total", "Changes and commands appended to the log, durable.", "appended_entries"),
    _counter("spky_wal_commits_total", "Groups committed with one fsync.", "commits"),
    _histogram("spky_wal_fsync_duration_seconds", "One fsync of the log, the wait for its thread included."),
    _gauge("spky_wal_retained_bytes", "Of the log that is kept.", "log_bytes"),
    _gauge("spky_wal_retained_max_bytes", "At most; beyond it the log is trimmed, needed or not.", "log_bytes_max"),
    _gauge("spky_wal_oldest_unapplied_seconds", "Age of the oldest entry that some SSP still has to apply.",
           "oldest_unapplied_seconds"),
    _counter("spky_wal_trimmed_total", "Entries of the log that were removed.", "log_trimmed_entries"),
    _counter("spky_wal_forced_trims_total", "Trims of log that an SSP still needed.", "log_forced_trims"),
    _gauge("spky_wal_floor_seq", "The oldest entry in the log.", "log_floor_seq"),
    _gauge("spky_wal_lowest_needed_seq", "The oldest entry that an SSP may ask for.", "lowest_needed_seq"),
    _gauge("spky_wal_lag", "Entries that the slowest SSP has to apply.", "lag", "ssp_lag_max"),
    _counter("spky_changes_committed_total", "Records written to the replica.", "committed_changes"),
    _gauge("spky_replica_floor_seq", "The oldest revision that can be read.", "floor_seq"),
    _gauge("spky_replica_head_seq", "The newest revision, durable.", "snapshot_seq"),
    _gauge("spky_replica_latest_seq", "The newest seq given out, durable or not.", "latest_seq"),
    _gauge("spky_replica_pins", "Revisions that are kept readable for somebody.", "pins"),
    _gauge("spky_replica_lowest_pinned_seq", "The oldest of them.", "lowest_pinned_seq"),
    _gauge("spky_replica_snapshots", "Copies of the replica on disk.", "snapshots"),
    _counter("spky_replica_snapshot_failures_total", "Copies that could not be made.", "snapshot_failures"),
    _counter("spky_gc_runs_total", "Runs of the garbage collector.", "gc_runs"),
    _counter("spky_gc_failures_total", "Of them, those that failed.", "gc_failures"),
    _counter("spky_gc_versions_total", "Versions of rows removed.", "gc_versions"),
    _counter("spky_gc_seconds_total", "Time the garbage collector took.", "gc_seconds"),
    _gauge("spky_gc_slice_max_seconds", "Its longest uninterrupted slice.", "gc_slice_seconds_max"),
    _histogram("spky_end_to_end_lag_seconds",
               "From a heartbeat's writing in SurrealDB until it was seen at each stage.", "stage"),
    _counter("spky_probe_sent_total", "Heartbeats written to SurrealDB.", "probes_sent"),
    _counter("spky_probe_failures_total", "Heartbeats that could not be written, or were not seen in time.",
             "probes_failed"),
    _by(Kind.GAUGE, "spky_queue_depth", "Changes and commands that wait for their commit.", "class",
        {f"queued_{work}": work for work in _WORK}),
    _gauge("spky_queue_changes_max", "Changes that may wait.", "ingest_queue_max"),
    _gauge("spky_queue_bytes", "Bytes of changes that wait.", "ingest_queue_bytes"),
    _gauge("spky_queue_max_bytes", "Bytes that may wait.", "ingest_queue_bytes_max"),
    _gauge("spky_queue_waiting", "Offers that wait for room in the queue.", "ingest_waiting"),
    _gauge("spky_queue_registrations_max", "New views that may wait.", "registrations_inflight_max"),
    _gauge("spky_pending_events", "Changes that wait for their commit.", "pending_events"),
    _counter("spky_captured_changes_total", "Changes that the changefeed gave.", "captured_changes"),
    _counter("spky_capture_repairs_total", "Records read again since their change did not fit.", "capture_repairs"),
    _counter("spky_capture_poisoned_total", "Changes that became dead letters.", "capture_poisoned"),
    _gauge("spky_capture_connected", "Whether SurrealDB can be read.", "capture_connected"),
    _gauge("spky_capture_near_ms", "How far a poll looks back, milliseconds.", "capture_near_ms"),
    _counter("spky_capture_held_total", "Reads that ended before a change in doubt.", "capture_held"),
    _counter("spky_capture_schema_readings_total", "Readings of the schema.", "capture_schema_readings"),
    _counter("spky_capture_split_comparisons_total", "Comparisons committed in parts.", "capture_split_comparisons"),
    _gauge("spky_capture_live_queries", "LIVE queries that wake the capture.", "capture_live_queries"),
    _counter("spky_capture_notifications_total", "Notifications of LIVE queries.", "capture_notifications"),
    _counter("spky_capture_hints_total", "Records that events said may have changed.", "hints_taken"),
    _gauge("spky_capture_hints_waiting", "Of them, those that are still to be read.", "hints_waiting"),
    _counter("spky_capture_hints_expired_total", "Of them, those whose change was never seen.", "hints_expired"),
    _by(Kind.GAUGE, "spky_dlq_entries", "Dead letters that are kept.", "kind", {"dead_letters": "capture"}),
    _counter("spky_dlq_forgotten_total", "Dead letters dropped for want of room.", "dead_letters_forgotten"),
    _counter("spky_rows_registered_total", "Views that rows of _00_query have registered.", "rows_registered_total"),
    _counter("spky_rows_unregistered_total", "Views that ended with their row.", "rows_unregistered_total"),
    _counter("spky_rows_refused_total", "Rows that can be no registration.", "rows_refused_total"),
    _counter("spky_rows_expired_total", "Rows whose ttl has passed.", "rows_expired_total"),
    _counter("spky_rows_sweeps_total", "Readings of all rows.", "rows_sweeps_total"),
    _gauge("spky_rows_unreadable", "Rows that the last reading could not get, and passed over.", "rows_unreadable"),
    _gauge("spky_rows_waiting", "Rows to be tried again, as those over their user's limit.", "rows_waiting"),
    _gauge("spky_rows_told", "Rows that have changed and are not read yet.", "rows_told"),
    _gauge("spky_row_views", "Views that are registered by their row.", "row_views"),
    _counter("spky_audit_checks_total", "Comparisons of the replica with SurrealDB.", "audit_checks"),
    _counter("spky_audit_failures_total", "Of them, those that could not be finished.", "audit_failures"),
    _counter("spky_audit_mismatches_total", "Records that differed.", "audit_differing"),
    _counter("spky_audit_repaired_total", "Of them, those that were mended.", "audit_repaired"),
    _counter("spky_audit_read_bytes_total", "Read for it from SurrealDB.", "audit_read_bytes"),
    _counter("spky_audit_seconds_total", "Time the comparisons took.", "audit_seconds"),
    _counter("spky_audit_nodes_total", "Nodes of trees that SurrealDB computed for it.", "audit_nodes"),
    _counter("spky_audit_wrong_trees_total", "Kept trees that did not say what is stored.", "audit_wrong_trees"),
    _gauge("spky_audit_age_seconds", "Since every table was compared last, or since the start.", "audit_age_seconds"),
    _gauge("spky_merkle_tables", "Tables whose tree is kept.", "merkle_tables"),
    _gauge("spky_merkle_nodes", "Nodes of these trees.", "merkle_nodes"),
    _gauge("spky_merkle_marked_records", "Changed records that wait to be folded into them.", "merkle_marked"),
    _counter("spky_merkle_folds_total", "Folds of changed records into trees.", "merkle_folds"),
    _counter("spky_merkle_folded_records_total", "Records that were digested by them.", "merkle_folded_records"),
    _counter("spky_merkle_dirty_leaves_total", "Of them, those by which a leaf changed.", "merkle_dirty_leaves"),
    _counter("spky_merkle_fold_seconds_total", "Time the folds took, but for their rests.", "merkle_fold_seconds"),
    _counter("spky_verified_views_total", "Views held against their edges.", "verified_views"),
    _counter("spky_verified_mismatches_total", "Members and edges of views that differed.", "verified_differing"),
    _counter("spky_verified_repaired_total", "Of them, those that were mended.", "verified_repaired"),
    _counter("spky_verified_skipped_total", "Views of which something could not be compared.", "verified_skipped"),
    _counter("spky_verified_nodes_total", "Nodes of trees that SurrealDB computed for it.", "verified_nodes"),
    _counter("spky_verified_read_bytes_total", "Read for it from SurrealDB.", "verified_read_bytes"),
    _gauge("spky_view_trees", "Views whose tree is kept.", "view_trees"),
    _counter("spky_merkle_published_nodes_total", "Nodes written to _00_merkle.", "merkle_published"),
    _gauge("spky_streams", "Streams of SSPs that are open.", "streams"),
    _gauge("spky_ssps_ready", "SSPs that are ready.", "ready_ssps"),
    _gauge("spky_ssps_draining", "SSPs that drain.", "ssps_draining"),
    _gauge("spky_ssps_loading", "SSPs that load.", "ssps_loading"),
    _gauge("spky_ssps_without_room", "SSPs that get no new view, since they take 85 % of their memory.",
           "ssps_without_room"),
    _counter("spky_views_shed_total", "Views that moved since their SSP took 95 % of its memory.", "views_shed"),
    _counter("spky_ssp_rebootstraps_total", "How often an SSP was told to load anew.", "ssp_rebootstraps",
             labels=("reason",)),
    _gauge("spky_ssp_inflight_frames", "Frames sent and not acknowledged.", "ssp_inflight_frames"),
    _gauge("spky_ssp_inflight_entries", "Entries in them.", "ssp_inflight_entries"),
    _gauge("spky_ssp_inflight_bytes", "Bytes in them.", "ssp_inflight_bytes"),
    _gauge("spky_page_cache_bytes", "Pages of loads that are kept for the next SSP.", "page_cache_bytes"),
    _counter("spky_page_cache_hits_total", "Pages that were there.", "page_cache_hits"),
    _counter("spky_page_cache_misses_total", "Pages that had to be read.", "page_cache_misses"),
    _counter("spky_mesh_events_total", "Events of the mesh that were told.", "events_total"),
    _gauge("spky_mesh_events_kept", "Of them, those that are still there to be read.", "events_kept"),
    _gauge("spky_mesh_event_streams", "Readers of the mesh's events.", "event_streams"),
    _gauge("spky_http_ssps", "SSPs that speak HTTP only and follow.", "http_ssps"),
    _counter("spky_http_ssp_deliveries_total", "Entries delivered to them.", "http_ssp_deliveries"),
    _counter("spky_http_ssp_retries_total", "Deliveries that had to be made again.", "http_ssp_retries"),
    _counter("spky_http_ssps_lost_total", "How often one was given up.", "http_ssps_lost"),
    _counter("spky_http_ssp_views_refused_total", "Views that one would not take.", "http_ssp_views_refused"),
    _gauge("spky_failed", "1: the commit loop has ended for good.", "failed"),
    _gauge("spky_queries", "Registered views, under the documented name.", "total_queries"),
)  # fmt: skip

SSP: Final = (
    _gauge("spky_view_shapes", "Distinct shapes of queries among the views.", "view_shapes"),
    _histogram("spky_view_apply_duration_seconds", "One frame of entries through every circuit."),
    _histogram("spky_view_hydrate_duration_seconds", "From a view's assignment until its first result is there."),
    _counter("spky_edges_written_total", "Edges written to SurrealDB.", "edges", labels=("op",)),
    _counter("spky_edge_writes_total", "All of them, put or removed.", "edges_written_total"),
    _histogram("spky_edge_batch_size", "Edges in one transaction."),
    _histogram("spky_edge_flush_duration_seconds", "Everything owed at the end of a throttle window, written."),
    _counter("spky_edge_conflicts_total", "Transactions that had to be made again.", "edge_conflicts_total"),
    _counter("spky_edge_flushes_total", "Throttle windows in which edges were written.", "edge_flushes_total"),
    _counter("spky_edge_failures_total", "Of them, those that have to be tried again.", "edge_failures_total"),
    _counter("spky_edge_tables_removed_total", "Tables of users without views, removed.", "edge_tables_removed_total"),
    _gauge("spky_edges_pending", "Edges that are to be written.", "edges_pending"),
    _gauge("spky_applied_seq", "The newest revision in the circuits.", "applied_seq"),
    _gauge("spky_written_seq", "The newest revision whose edges are written.", "written_seq"),
    _gauge("spky_views_quarantined", "Views whose edges SurrealDB refuses.", "views_quarantined"),
    _counter("spky_reevaluation_rounds_total", "Rounds of re-evaluated views.", "reevaluation_rounds_total"),
    _counter("spky_reevaluations_total", "Queries run on SurrealDB for them.", "reevaluations_total"),
    _counter("spky_exact_reads_total", "Reads at an exact revision.", "exact_reads_total"),
    _counter(
        "spky_exact_reads_refused_total", "Of them, those refused for want of memory.", "exact_reads_refused_total"
    ),
    _gauge("spky_watches", "Views that somebody watches.", "watches"),
    _gauge("spky_watch_streams", "Streams of watched views.", "watch_streams"),
    _counter("spky_watch_overflows_total", "Watches that were told too late to be told all.", "watch_overflows_total"),
    _counter("spky_watches_refused_total", "Watches for which there was no room.", "watches_refused_total"),
    _gauge("spky_memory_bytes", "Resident memory of the process.", "memory_bytes"),
    _gauge("spky_memory_max_bytes", "The most that it may take; 0: without a limit.", "memory_bytes_max"),
    _gauge("spky_jobs", "Rows of outbox tables, as last counted.", "jobs", labels=("table", "status")),
    _gauge("spky_jobs_processing", "Jobs that somebody holds a lease of, as last counted.", "running_jobs"),
    _gauge("spky_jobs_running", "Attempts at jobs that are under way.", "jobs_running", labels=("table",)),
    _gauge(
        "spky_job_breaker_open", "Whether a backend is left alone for a while.", "jobs_breaker_open", labels=("table",)
    ),
    _gauge("spky_job_runners_other", "Other SSPs that run jobs.", "job_runners_other"),
    _counter("spky_jobs_claimed_total", "Attempts at jobs that were begun.", "jobs_claimed_total", labels=("table",)),
    _counter("spky_jobs_succeeded_total", "Successes recorded.", "jobs_succeeded_total", labels=("table",)),
    _counter(
        "spky_jobs_retried_total",
        "Failed attempts after which another is due.",
        "jobs_retried_total",
        labels=("table",),
    ),
    _counter("spky_jobs_failed_total", "Jobs that have failed.", "jobs_failed_total", labels=("table",)),
    _counter("spky_jobs_lost_total", "Leases of any SSP that ran out.", "jobs_lost_total", labels=("table",)),
    _counter(
        "spky_jobs_fenced_total", "Answers that came too late to be recorded.", "jobs_fenced_total", labels=("table",)
    ),
    _counter(
        "spky_jobs_removed_total", "Finished jobs removed after their time.", "jobs_removed_total", labels=("table",)
    ),
    _counter(
        "spky_jobs_slots_full_total",
        "Looks that left jobs waiting since other SSPs have their table's slots.",
        "jobs_slots_full_total",
        labels=("table",),
    ),
    _counter("spky_schedules_due_total", "Due times of schedules that this SSP carried out.", "schedules_due_total"),
    _counter("spky_schedules_missed_total", "Due times that nobody was there for.", "schedules_missed_total"),
    _counter("spky_schedules_failed_total", "Due times that came to no job by a fault.", "schedules_failed_total"),
    _counter("spky_jobs_unrecorded_total", "Outcomes that a table refused in any form.", "jobs_unrecorded"),
    _histogram("spky_job_claim_delay_seconds", "From when a job was due until it was claimed.", "table"),
    _histogram("spky_job_call_duration_seconds", "One attempt at a backend.", "table"),
    _gauge("spky_crdt_documents", "Collaborative documents in memory.", "crdt_documents"),
    _counter("spky_crdt_updates_total", "Updates of collaborative fields taken.", "crdt_updates_total"),
    _counter("spky_crdt_rejected_total", "Updates and presence refused.", "crdt_rejected_total", labels=("reason",)),
    _counter("spky_crdt_writes_total", "Transactions that wrote collaborative documents.", "crdt_writes_total"),
    _counter("spky_crdt_conflicts_total", "Of them, those that came second and merged again.", "crdt_conflicts_total"),
    _counter("spky_crdt_loads_total", "Documents read from SurrealDB.", "crdt_loads_total"),
    _counter("spky_crdt_evictions_total", "Documents dropped for others.", "crdt_evictions_total"),
    _histogram("spky_crdt_merge_duration_seconds", "Updates written together, merged into their document."),
    _gauge("spky_stream_connected", "Whether the scheduler's stream is open.", "stream_connected"),
)

CALLS: Final = (  # of a gRPC server, whichever service's
    _counter("spky_grpc_calls_total", "Calls and streams that have begun.", "grpc_calls_total"),
    _counter("spky_grpc_refused_total", "Calls that were not let in, or ended.", "grpc_refused_total",
             labels=("reason",)),
)  # fmt: skip

DATABASE: Final = (
    _histogram("spky_surreal_request_duration_seconds", "One request to SurrealDB.", "op", "outcome"),
    _gauge("spky_surreal_connections", "Connections to SurrealDB.", "surreal_connections", labels=("state",)),
)

MEASURES: Final = (*EDGE, *OF_STATUS, *SCHEDULER, *SSP, *CALLS, *DATABASE)
BY_NAME: Final = MappingProxyType({measure.name: measure for measure in MEASURES})
BY_KEY: Final = MappingProxyType({key: measure for measure in MEASURES for key in measure.keys})


def listed() -> str:
    """The list as people read it, a metric a line."""
    return "\n".join(
        f"{each.name:<42} {each.kind:<10} {each.unit:<3} {','.join(each.labels):<20} {each.about}" for each in MEASURES
    )


if __name__ == "__main__":
    print(listed())
