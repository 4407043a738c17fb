"""Prometheus' families as OTLP: the same figures under OpenTelemetry's names, and a collector that is away."""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from sp00ky.deploy.otlp import metrics_data, push_once
from sp00ky.deploy.ports import free_ports

RESOURCE = Resource.create({"service.name": "scheduler"})


def converted(*families: Any) -> dict[str, Any]:
    data = metrics_data(RESOURCE, families, 5, 9)
    return {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}


def test_counters_gauges_and_what_is_not_ours() -> None:
    appended = CounterMetricFamily("spky_wal_appended_total", "Appended.", value=42)
    views = GaugeMetricFamily("spky_views", "Views.", labels=("state",))
    views.add_metric(("live",), 3)
    views.add_metric(("failed",), 1)
    resident = GaugeMetricFamily("process_resident_memory_bytes", "Resident.", value=1024)
    made = converted(appended, views, resident, GaugeMetricFamily("spky_empty", "Nothing."))
    assert set(made) == {"spky.wal.appended", "spky.views", "process.resident.memory"}
    total = made["spky.wal.appended"].data
    assert (total.is_monotonic, [point.value for point in total.data_points]) == (True, [42])
    assert (total.data_points[0].start_time_unix_nano, total.data_points[0].time_unix_nano) == (5, 9)
    assert {point.attributes["state"]: point.value for point in made["spky.views"].data.data_points} == {
        "live": 3,
        "failed": 1,
    }
    assert made["process.resident.memory"].unit == "By"


def test_buckets_are_parted_and_their_labels_kept() -> None:
    family = HistogramMetricFamily("spky_end_to_end_lag_seconds", "Lag.", labels=("stage",))
    family.add_metric(("applied",), [("0.1", 2), ("1", 5), ("+Inf", 6)], 7.5)
    family.add_metric(("written",), [("0.1", 0), ("1", 0), ("+Inf", 0)], 0)
    points = converted(family)["spky.end.to.end.lag"].data.data_points
    applied, written = points
    assert (dict(applied.attributes), list(applied.bucket_counts)) == ({"stage": "applied"}, [2, 3, 1])
    assert (list(applied.explicit_bounds), applied.count, applied.sum) == ([0.1, 1.0], 6, 7.5)
    assert (dict(written.attributes), written.count) == ({"stage": "written"}, 0)


def test_the_clients_own_families_are_taken_as_they_are() -> None:
    registry = CollectorRegistry()
    Counter("spky_auth_refused_total", "Refused.", ("reason",), registry=registry).labels("role").inc(2)
    Histogram("spky_ingest_duration_seconds", "Time.", buckets=(1, 2), registry=registry).observe(1.5)
    made = converted(*registry.collect())
    assert [point.value for point in made["spky.auth.refused"].data.data_points] == [2]
    assert list(made["spky.ingest.duration"].data.data_points[0].bucket_counts) == [0, 1, 0]


async def test_a_collector_that_is_away_costs_an_answer_and_no_exception() -> None:
    exporter = OTLPMetricExporter(endpoint=f"http://127.0.0.1:{free_ports(1)[0]}", timeout=0.2)
    try:
        assert not await push_once(exporter, RESOURCE, [GaugeMetricFamily("spky_views", "Views.", value=1)])
    finally:
        exporter.shutdown()
