"""What this server counts about itself, in a registry of its own, so that several servers fit one process.

Routes are labelled by their pattern (`/view/{id}`), never by what a client wrote into the path.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, Metric, ProcessCollector
from sp00ky.proto.v1 import common_pb2, ingest_pb2

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_OPS = {common_pb2.OP_CREATE: "create", common_pb2.OP_UPDATE: "update", common_pb2.OP_DELETE: "delete"}


class Telemetry:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = Counter(
            "spky_http_requests_total", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "spky_http_request_duration_seconds",
            "From the request's head to its answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._events = Counter(
            "spky_ingest_events_total", "Changes offered by HTTP.", ("op", "outcome"), registry=self.registry
        )
        self._ingest_seconds = Histogram(
            "spky_ingest_duration_seconds",
            "From a batch's arrival to its durable answer.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._rejected = Counter(
            "spky_admission_rejected_total", "Requests shed.", ("class", "reason"), registry=self.registry
        )
        self._refused = Counter("spky_auth_refused_total", "Bearers refused.", ("reason",), registry=self.registry)
        self.connections = Gauge("spky_http_connections", "Connections that are open.", registry=self.registry)
        self.streams = Gauge("spky_http_streams", "Event streams that are open.", registry=self.registry)
        self.inflight = Gauge("spky_http_requests_inflight", "Requests being answered.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def ingested(self, request: ingest_pb2.IngestRequest, outcome: str, seconds: float) -> None:
        """`outcome`: "durable", or the code of the fault."""
        for op, count in Tally(change.op for change in request.changes).items():
            self._events.labels(_OPS.get(op, "unknown"), outcome).inc(count)
        self._ingest_seconds.observe(seconds)

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def rejected(self, kind: str, reason: str) -> None:
        self._rejected.labels(kind, reason).inc()

    def collect(self) -> Sequence[Metric]:
        return list(self.registry.collect())
