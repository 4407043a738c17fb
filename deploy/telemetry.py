"""OpenTelemetry, switched on by OTEL_EXPORTER_OTLP_ENDPOINT alone: nothing is imported or instrumented without it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import MeshSettings


def trace_grpc(settings: MeshSettings, service: str) -> None:
    """Trace every gRPC call of this process to the collector. Raises Fault INVALID when the exporter is missing."""
    if not settings.otel_endpoint:
        return
    try:
        exporter = import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
    except ImportError:
        raise Fault(
            Code.INVALID,
            "OTEL_EXPORTER_OTLP_ENDPOINT is set but the exporter is not installed",
            "pip install opentelemetry-exporter-otlp-proto-grpc",
        ) from None
    from opentelemetry import trace
    from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcAioInstrumentorServer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": settings.otel_service_name or service}))
    provider.add_span_processor(BatchSpanProcessor(exporter.OTLPSpanExporter(endpoint=settings.otel_endpoint)))
    trace.set_tracer_provider(provider)
    instrumentors: tuple[Any, ...] = (GrpcAioInstrumentorServer, GrpcAioInstrumentorClient)
    for instrumentor in instrumentors:
        instrumentor().instrument()
