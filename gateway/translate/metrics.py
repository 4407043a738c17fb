"""`GET /metrics` ↔ `AdminService.GetStatus`: the service's figures as Prometheus families, beside the server's own.

No label is a view id or a user: per-view figures are in `GET /views`. A name that the service itself counts under is
taken as it is (`spky_x`, or `spky_x{label="value"}`), else it gets the prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sp00ky.gateway.exchange import Answer, Asked
from sp00ky.gateway.translate.status import READY, metrics_json
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import admin_pb2

SSP_STATES = ("bootstrapping", "replaying", READY, "stale")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="([^"]*)"')
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")


def metrics_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    """JSON as documented; Prometheus or OpenMetrics text when `Accept` asks for it."""
    return prometheus_answer(asked, status) if wants_text(asked.accept) else metrics_json(asked, status)


def metrics_silent(asked: Asked, fault: Fault) -> Answer:
    if not wants_text(asked.accept):
        raise fault
    return prometheus_silent(asked, fault)


def prometheus_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    return _exposed(asked, [_up(True), *families(status), *asked.own_metrics])


def prometheus_silent(asked: Asked, fault: Fault) -> Answer:
    """Without the service a scrape still tells about this server, and that the service is down."""
    return _exposed(asked, [_up(False), *asked.own_metrics])


def wants_text(accept: str) -> bool:
    lowered = accept.lower()
    return "text/plain" in lowered or "application/openmetrics-text" in lowered


class _Fixed(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _exposed(asked: Asked, metrics: Iterable[Metric]) -> Answer:
    encode, media_type = choose_encoder(asked.accept)
    return Answer(encode(_Fixed(metrics)), 200, media_type)


def _up(answered: bool) -> Metric:
    return GaugeMetricFamily("spky_upstream_up", "Whether the service behind this server answered.", float(answered))


def families(status: admin_pb2.GetStatusResponse) -> Iterator[Metric]:
    """The metrics of `peers-and-reliability.md` §5.4 that a status has figures for."""
    build = GaugeMetricFamily("spky_build_info", "Version of the service.", labels=("version", "service"))
    build.add_metric((status.version, status.service), 1)
    uptime = GaugeMetricFamily("spky_uptime_seconds", "Since the service started.", status.uptime_seconds)
    views = GaugeMetricFamily("spky_views", "Registered views.", status.views)
    rows = GaugeMetricFamily("spky_replica_rows", "Rows of each table.", labels=("table",))
    for table in status.tables:
        rows.add_metric((table.name,), table.rows)
    yield from (build, uptime, views, rows, _event_seq(status))
    if status.service != "ssp":
        yield from _ssp_families(status)
    yield from _counted(status)


def _event_seq(status: admin_pb2.GetStatusResponse) -> Metric:
    family = GaugeMetricFamily(
        "spky_event_seq", "Seq reached by each stage; their differences are the lag.", labels=("stage", "ssp")
    )
    if status.service == "ssp":
        family.add_metric(("applied", status.id), status.head_seq)
        return family
    family.add_metric(("wal", ""), status.head_seq)
    for ssp in status.ssps:
        family.add_metric(("applied", ssp.id), ssp.applied_seq)
        family.add_metric(("written", ssp.id), ssp.written_seq)
    return family


def _ssp_families(status: admin_pb2.GetStatusResponse) -> Iterator[Metric]:
    state = GaugeMetricFamily("spky_ssp_state", "1 for the state each SSP is in.", labels=("ssp", "state"))
    age = GaugeMetricFamily("spky_ssp_heartbeat_age_seconds", "Since the last heartbeat.", labels=("ssp",))
    held = GaugeMetricFamily("spky_ssp_views", "Views held.", labels=("ssp",))
    buffered = GaugeMetricFamily("spky_ssp_buffer_events", "Entries not yet applied.", labels=("ssp",))
    for ssp in status.ssps:
        for name in dict.fromkeys((*SSP_STATES, ssp.state)):
            state.add_metric((ssp.id, name), float(name == ssp.state))
        age.add_metric((ssp.id,), ssp.heartbeat_age_seconds)
        held.add_metric((ssp.id,), ssp.views)
        buffered.add_metric((ssp.id,), max(0, status.head_seq - ssp.applied_seq))
    yield from (state, age, held, buffered)


def _counted(status: admin_pb2.GetStatusResponse) -> Iterator[Metric]:
    """What the service counts for itself, grouped by name."""
    taken = {"spky_build_info", "spky_uptime_seconds", "spky_views", "spky_replica_rows", "spky_event_seq"}
    grouped: dict[str, list[tuple[dict[str, str], float]]] = {}
    for text, value in sorted(status.metrics.items()):
        name, _, labelled = text.partition("{")
        name = _UNFIT.sub("_", name)
        name = name if name.startswith("spky_") else f"spky_{name}"
        if name not in taken:
            grouped.setdefault(name, []).append((dict(_LABEL.findall(labelled)), value))
    for name, samples in grouped.items():
        make = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        names = tuple(dict.fromkeys(label for labels, _ in samples for label in labels))
        family = make(name, f"{name} of the service.", labels=names)
        for labels, value in samples:
            family.add_metric(tuple(labels.get(label, "") for label in names), value)
        yield family
