"""What the streams of views count about themselves, in the registry of their server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge
from sp00ky.gateway.streams.history import Budget


class StreamMeters:
    def __init__(self, registry: CollectorRegistry, budget: Budget) -> None:
        self.streams = Gauge(
            "spky_gateway_streams", "Streams of views that are open.", ("transport",), registry=registry
        )
        self.feeds = Gauge("spky_gateway_feeds", "Views that are followed for somebody.", registry=registry)
        self.links = Gauge("spky_gateway_links", "SSPs that views are followed at.", registry=registry)
        history = Gauge(
            "spky_gateway_feed_history_bytes", "Recent changes that are kept of followed views.", registry=registry
        )
        history.set_function(lambda: budget.held)
        self._cut = Counter("spky_gateway_stream_cuts_total", "Readers cut off.", ("reason",), registry=registry)
        self._reads = Counter(
            "spky_gateway_resume_reads_total", "Reads for readers who came back.", ("outcome",), registry=registry
        )
        self._refetches = Counter(
            "spky_gateway_must_refetch_total", "Readers told to fetch again.", ("reason",), registry=registry
        )
        self._breaks = Counter("spky_gateway_feed_breaks_total", "Watches that ended.", ("reason",), registry=registry)

    def cut(self, reason: str) -> None:
        """`reason`: slow, write."""
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
