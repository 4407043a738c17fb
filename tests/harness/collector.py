"""An OpenTelemetry collector on loopback: takes traces and metrics over OTLP/gRPC, and keeps what it was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from grpc import aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, str]
    begun_ns: int
    ended_ns: int


@dataclass
class Collector:
    address: str = ""
    spans: list[Span] = field(default_factory=list)
    metrics: dict[tuple[str, str], metrics_pb2.Metric] = field(default_factory=dict)  # the newest, by service and name

    def trace(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    server = aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(collector), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(collector), server)
    collector.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(0)


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:
        for resource_spans in request.resource_spans:
            service = _said(resource_spans.resource.attributes)["service.name"]
            for spans in resource_spans.scope_spans:
                self._collector.spans += _spans(service, spans)
        return trace_service_pb2.ExportTraceServiceResponse()


def _spans(service: str, scope: Any) -> Iterator[Span]:
    for span in scope.spans:
        ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        times = span.start_time_unix_nano, span.end_time_unix_nano
        yield Span(service, span.name, *ids, _said(span.attributes), *times)


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):  # type: ignore[misc]
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:
        for resource_metrics in request.resource_metrics:
            service = _said(resource_metrics.resource.attributes)["service.name"]
            for scope in resource_metrics.scope_metrics:
                self._collector.metrics |= {(service, metric.name): metric for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _said(attributes: Any) -> dict[str, str]:
    return {pair.key: _text(pair.value) for pair in attributes}


def _text(value: common_pb2.AnyValue) -> str:
    kind = value.WhichOneof("value")
    return str(getattr(value, kind)) if kind else ""
