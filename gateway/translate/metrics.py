"""`GET /metrics` ↔ `AdminService.GetStatus`: the service's figures as Prometheus families, beside the server's own.

What a figure is called outside, and what it means, is said in `proto/measures.py` alone. One that is not there is
exposed under its own name, with the prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from sp00ky.gateway.exchange import Answer, Asked
from sp00ky.gateway.translate.status import READY, metrics_json
from sp00ky.proto.faults import Fault
from sp00ky.proto.measures import BY_KEY, BY_NAME, OF_STATUS, Kind
from sp00ky.proto.v1 import admin_pb2

Sample: TypeAlias = tuple[Mapping[str, str], float]

SSP_STATES = ("bootstrapping", "replaying", READY, "stale")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="([^"]*)"')
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")
_WHOLE = frozenset(measure.name for measure in OF_STATUS)


def metrics_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    """JSON as documented; Prometheus or OpenMetrics text when `Accept` asks for it."""
    return prometheus_answer(asked, status) if wants_text(asked.accept) else metrics_json(asked, status)


def metrics_silent(asked: Asked, fault: Fault) -> Answer:
    if not wants_text(asked.accept):
        raise fault
    return prometheus_silent(asked, fault)


def prometheus_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    return _exposed(asked, [up(True), *families(status), *asked.own_metrics])


def prometheus_silent(asked: Asked, fault: Fault) -> Answer:
    """Without the service a scrape still tells about this server, and that the service is down."""
    return _exposed(asked, [up(False), *asked.own_metrics])


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
    return Answer(encode(_Fixed(joined(metrics))), 200, media_type)


def up(answered: bool) -> Metric:
    return _sampled("spky_upstream_up", [({}, float(answered))])


def joined(metrics: Iterable[Metric]) -> list[Metric]:
    """One family a name: this server and the service behind it may count under the same one."""
    by_name: dict[str, Metric] = {}
    for metric in metrics:
        known = by_name.setdefault(metric.name, metric)
        if known is not metric:
            known.samples += metric.samples
    return list(by_name.values())


def families(status: admin_pb2.GetStatusResponse) -> Iterator[Metric]:
    """Everything that a status has figures for."""
    yield _sampled("spky_build_info", [({"version": status.version, "service": status.service}, 1)])
    yield _sampled("spky_uptime_seconds", [({}, status.uptime_seconds)])
    yield _sampled("spky_replica_rows", [({"table": table.name}, table.rows) for table in status.tables])
    yield _sampled("spky_event_seq", [({"stage": stage, "ssp": ssp}, seq) for stage, ssp, seq in _stages(status)])
    if status.service != "ssp":
        yield from _ssp_families(status)
    counted = _counted(status)
    if "spky_views" not in counted:
        counted["spky_views"] = [({}, status.views)]
    for name, samples in counted.items():
        yield _sampled(name, samples)
    yield from _distributed(status)


def _stages(status: admin_pb2.GetStatusResponse) -> Iterator[tuple[str, str, int]]:
    if status.service == "ssp":
        yield "applied", status.id, status.head_seq
        return
    yield "wal", "", status.head_seq
    for ssp in status.ssps:
        yield "applied", ssp.id, ssp.applied_seq
        yield "written", ssp.id, ssp.written_seq


def _ssp_families(status: admin_pb2.GetStatusResponse) -> Iterator[Metric]:
    ssps = status.ssps
    states = [(ssp, state) for ssp in ssps for state in dict.fromkeys((*SSP_STATES, ssp.state))]
    yield _sampled("spky_ssp_state", [({"ssp": ssp.id, "state": state}, state == ssp.state) for ssp, state in states])
    yield _sampled("spky_ssp_heartbeat_age_seconds", [({"ssp": ssp.id}, ssp.heartbeat_age_seconds) for ssp in ssps])
    yield _sampled("spky_ssp_views", [({"ssp": ssp.id}, ssp.views) for ssp in ssps])
    behind = [({"ssp": ssp.id}, max(0, status.head_seq - ssp.applied_seq)) for ssp in ssps]
    yield _sampled("spky_ssp_buffer_events", behind)
    if status.HasField("lag") and status.lag.interval_ms:
        yield _sampled("spky_ssp_lag_seconds", [({"ssp": ssp.id}, ssp.lag_seconds) for ssp in ssps])


def _counted(status: admin_pb2.GetStatusResponse) -> dict[str, list[Sample]]:
    """What the service counts, by metric. One that is made of the whole status is not counted twice."""
    counted: dict[str, list[Sample]] = {}
    for text, value in sorted(status.metrics.items()):
        key, _, labelled = text.partition("{")
        measure = BY_KEY.get(key)
        name = measure.name if measure else _prefixed(_UNFIT.sub("_", key))
        if measure or name not in _WHOLE:
            labels = {**(measure.keys[key] if measure else {}), **dict(_LABEL.findall(labelled))}
            samples = counted.setdefault(name, [])
            if labels not in [known for known, _ in samples]:  # two keys may say the same
                samples.append((labels, value))
    return counted


def _prefixed(name: str) -> str:
    return name if name.startswith("spky_") else f"spky_{name}"


def _sampled(name: str, samples: Sequence[Sample]) -> Metric:
    measure = BY_NAME.get(name)
    is_counter = measure.kind is Kind.COUNTER if measure else name.endswith("_total")
    stated = (*(measure.labels if measure else ()), *(label for labels, _ in samples for label in labels))
    names = [label for label in dict.fromkeys(stated) if any(label in labels for labels, _ in samples)]
    make = CounterMetricFamily if is_counter else GaugeMetricFamily
    family = make(name, measure.about if measure else f"{name} of the service.", labels=names)
    for labels, value in samples:
        family.add_metric([labels.get(label, "") for label in names], float(value))
    return family


def _distributed(status: admin_pb2.GetStatusResponse) -> Iterator[Metric]:
    made: dict[str, HistogramMetricFamily] = {}
    for each in status.distributions:
        measure = BY_NAME.get(each.name)
        labels = sorted(each.labels)
        if each.name not in made:
            made[each.name] = HistogramMetricFamily(each.name, measure.about if measure else each.name, labels=labels)
        bounds = [*(f"{bound:g}" for bound in each.bounds), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(each.counts)), strict=True))
        made[each.name].add_metric([each.labels[label] for label in labels], buckets, each.sum)
    yield from made.values()
