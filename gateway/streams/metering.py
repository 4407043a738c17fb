"""What the streams of views count about themselves, in the registry of their server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from sp00ky.gateway.instruments import Instruments
from sp00ky.gateway.streams.history import Budget


class StreamMeters:
    def __init__(self, registry: CollectorRegistry, budget: Budget) -> None:
        made = Instruments(registry)
        self.streams = made.gauge("spky_gateway_streams")
        self.feeds = made.gauge("spky_gateway_feeds")
        self.links = made.gauge("spky_gateway_links")
        made.gauge("spky_gateway_feed_history_bytes").set_function(lambda: budget.held)
        self._cut = made.counter("spky_gateway_stream_cuts_total")
        self._reads = made.counter("spky_gateway_resume_reads_total")
        self._refetches = made.counter("spky_gateway_must_refetch_total")
        self._breaks = made.counter("spky_gateway_feed_breaks_total")

    def cut(self, reason: str) -> None:
        """`reason`: slow, write, silent (no sign of life), protocol (what came was no WebSocket message)."""
        self._cut.labels(reason).inc()

    def read(self, outcome: str) -> None:
        """`outcome`: exact, or the code of the fault."""
        self._reads.labels(outcome).inc()

    def refetched(self, reason: str) -> None:
        """`reason`: the code of the fault."""
        self._refetches.labels(reason).inc()

    def broke(self, reason: str) -> None:
        """`reason`: moved (the SSP has it no longer), link, misfit (a change that fits nothing)."""
        self._breaks.labels(reason).inc()
