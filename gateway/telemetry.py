"""What this server counts about itself, in a registry of its own, so that several servers fit one process.

Routes are labelled by their pattern (`/view/{id}`), never by what a client wrote into the path. What each metric is, is
said in `proto/measures.py`.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, GCCollector, Metric, ProcessCollector
from sp00ky.gateway.instruments import Instruments
from sp00ky.proto.v1 import common_pb2, ingest_pb2

DURABLE = "durable"
TABLES_MAX = 200  # that are told apart in a label; what is written to beyond them is counted together
_OPS = {common_pb2.OP_CREATE: "create", common_pb2.OP_UPDATE: "update", common_pb2.OP_DELETE: "delete"}


class Telemetry:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        made = Instruments(self.registry)
        self._requests = made.counter("spky_http_requests_total")
        self._seconds = made.histogram("spky_http_request_duration_seconds")
        self._events = made.counter("spky_ingest_events_total")
        self._ingest_seconds = made.histogram("spky_ingest_duration_seconds")
        self._rejected = made.counter("spky_admission_rejected_total")
        self._refused = made.counter("spky_auth_refused_total")
        self.connections = made.gauge("spky_http_connections")
        self.streams = made.gauge("spky_http_streams")
        self.inflight = made.gauge("spky_http_requests_inflight")
        self._tables: set[str] = set()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def ingested(self, request: ingest_pb2.IngestRequest, outcome: str, seconds: float) -> None:
        """`outcome`: DURABLE, or the code of the fault: then its tables are nobody's, and not told apart."""
        is_known = outcome == DURABLE
        tally = Tally((self._table(change.table) if is_known else "", change.op) for change in request.changes)
        for (table, op), count in tally.items():
            self._events.labels(table, _OPS.get(op, "unknown"), outcome).inc(count)
        self._ingest_seconds.observe(seconds)

    def _table(self, name: str) -> str:
        """The label of a table: its name, of the first so many that there are."""
        if len(self._tables) < TABLES_MAX:
            self._tables.add(name)
        return name if name in self._tables else "others"

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def rejected(self, kind: str, reason: str) -> None:
        self._rejected.labels(kind, reason).inc()

    def collect(self) -> Sequence[Metric]:
        return list(self.registry.collect())
