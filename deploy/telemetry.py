"""OpenTelemetry, switched on by OTEL_EXPORTER_OTLP_ENDPOINT alone: nothing of it is imported or instrumented without.

Traces go out in batches from a thread of the SDK's; which of them, OTEL_TRACES_SAMPLER says (all, unless a caller has
decided). gRPC calls are traced by OpenTelemetry's own instrumentation: single calls, not streams, which last for days
and carry many requests, nor what probes ask several times a second. The rest is `proto/tracing.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from sp00ky.proto.settings import MeshSettings

if TYPE_CHECKING:
    from sp00ky.gateway.server import GatewayServer

EXPORT_SECONDS = 2.0  # for one push: what a drain may wait for a collector that is gone
UNTRACED_CALLS = frozenset({"GetStatus"})


def start_tracing(settings: MeshSettings, service: str) -> Callable[[], None]:
    """Trace this process to the collector; the answer sends what is left, and ends it."""
    if not settings.otel_endpoint:
        return lambda: None
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcAioInstrumentorServer
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from sp00ky.proto.tracing import trace_with

    provider = TracerProvider(resource=_resource(settings, service))
    exporter = OTLPSpanExporter(endpoint=settings.otel_endpoint, timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    trace_with(provider.get_tracer("sp00ky"))
    is_traced = _traced_calls()
    instrumentors: tuple[Any, ...] = (GrpcAioInstrumentorServer, GrpcAioInstrumentorClient)
    for instrumentor in instrumentors:
        instrumentor(filter_=is_traced).instrument()
    return provider.shutdown


async def push_metrics(stack: AsyncExitStack, settings: MeshSettings, server: GatewayServer) -> None:
    """Push what this edge's `/metrics` says until the stack unwinds."""
    import asyncio
    import contextlib

    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from sp00ky.deploy.otlp import push

    exporter = OTLPMetricExporter(endpoint=settings.otel_endpoint, timeout=EXPORT_SECONDS)
    resource = _resource(settings, server.api, server.url)
    pushing = asyncio.create_task(push(exporter, resource, server.metrics, settings.otel_interval_ms))

    async def end() -> None:
        pushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pushing
        await asyncio.to_thread(exporter.shutdown)

    stack.push_async_callback(end)


def _resource(settings: MeshSettings, service: str, identity: str = "") -> Any:
    from importlib.metadata import version

    from opentelemetry.sdk.resources import Resource

    named = {"service.name": settings.otel_service_name or service, "service.version": version("sp00ky-mesh")}
    return Resource.create({**named, **({"service.instance.id": identity} if identity else {})})


def _traced_calls() -> Callable[[Any], bool]:
    """Whether a call, by its details, is one of ours that is answered once."""
    from sp00ky.proto.v1 import admin_pb2, ingest_pb2, proxy_pb2, replication_pb2, views_pb2

    traced = {
        f"/{service.full_name}/{method.name}"
        for module in (admin_pb2, ingest_pb2, proxy_pb2, replication_pb2, views_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not (method.client_streaming or method.server_streaming or method.name in UNTRACED_CALLS)
    }

    def is_traced(details: Any) -> bool:
        method = details.method
        return (method.decode() if isinstance(method, bytes) else method) in traced

    return is_traced
