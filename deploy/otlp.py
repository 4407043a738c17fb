"""Prometheus' families as OTLP, pushed once an interval: what `/metrics` says, and nothing else, goes to the collector.

Names are OpenTelemetry's (`spky.wal.appended`, unit apart), from the same list; whatever has none there, such as
`process_*`, keeps its name with dots. A collector that does not answer costs this process nothing but a warning:
figures are cumulative, so the next push says it all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric
from prometheus_client.samples import Sample
from sp00ky.proto.measures import BY_NAME, Kind, Measure

SCOPE = "sp00ky"
_CUMULATIVE = otel.AggregationTemporality.CUMULATIVE
_GENERATED = ("_created", "_info")

log = logging.getLogger(__name__)


async def push(
    exporter: OTLPMetricExporter,
    resource: Resource,
    collect: Callable[[], Awaitable[Sequence[Metric]]],
    interval_ms: int,
) -> None:
    """Until cancelled."""
    begun_ns = time.time_ns()
    while True:
        await asyncio.sleep(interval_ms / 1000)
        await push_once(exporter, resource, await collect(), begun_ns)


async def push_once(
    exporter: OTLPMetricExporter, resource: Resource, metrics: Sequence[Metric], begun_ns: int = 0
) -> bool:
    """Whether the collector took it."""
    data = metrics_data(resource, metrics, begun_ns, time.time_ns())
    try:
        result = await asyncio.to_thread(exporter.export, data)
    except Exception as error:  # an exporter of another make may raise whatever it likes: nothing here depends on it
        log.warning("metrics could not be pushed: %s", error)
        return False
    return result is otel.MetricExportResult.SUCCESS


def metrics_data(resource: Resource, metrics: Iterable[Metric], begun_ns: int, now_ns: int) -> otel.MetricsData:
    made = [_metric(metric, begun_ns, now_ns) for metric in metrics if metric.samples]
    scope = otel.ScopeMetrics(InstrumentationScope(SCOPE), made, "")
    return otel.MetricsData([otel.ResourceMetrics(resource, [scope], "")])


def _metric(metric: Metric, begun_ns: int, now_ns: int) -> otel.Metric:
    total = f"{metric.name}_total" if metric.type == "counter" else metric.name
    measure = BY_NAME.get(total) or Measure(total, Kind.GAUGE, metric.documentation)
    return otel.Metric(measure.dotted, metric.documentation, measure.unit, _data(metric, begun_ns, now_ns))


def _data(metric: Metric, begun_ns: int, now_ns: int) -> otel.Sum | otel.Gauge | otel.Histogram:
    if metric.type == "histogram":
        return otel.Histogram(_histogram_points(metric.samples, begun_ns, now_ns), _CUMULATIVE)
    points = [
        otel.NumberDataPoint(sample.labels, begun_ns, now_ns, sample.value)
        for sample in metric.samples
        if not sample.name.endswith(_GENERATED)
    ]
    return otel.Sum(points, _CUMULATIVE, True) if metric.type == "counter" else otel.Gauge(points)


def _histogram_points(samples: Iterable[Sample], begun_ns: int, now_ns: int) -> list[otel.HistogramDataPoint]:
    """Prometheus' buckets are cumulative and one sample each; OTLP's are apart and one point together."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), int(sample.value)))
        elif sample.name.endswith("_sum"):
            sums[labels] = sample.value
    return [_point(dict(labels), found, sums.get(labels, 0.0), begun_ns, now_ns) for labels, found in buckets.items()]


def _point(
    labels: dict[str, str], buckets: list[tuple[float, int]], total: float, begun_ns: int, now_ns: int
) -> otel.HistogramDataPoint:
    buckets.sort()
    upto = [count for _, count in buckets]
    counts = [after - before for before, after in zip([0, *upto], upto, strict=False)]
    bounds = [bound for bound, _ in buckets[:-1]]
    return otel.HistogramDataPoint(labels, begun_ns, now_ns, upto[-1], total, counts, bounds, 0.0, 0.0)
