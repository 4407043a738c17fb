"""Prometheus' instruments of a server, each made by its name: what it is, `proto/measures.py` says."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from sp00ky.proto.measures import BY_NAME, SECONDS

# Else a gauge stands beside every counter, of when it began to count: the process' start says that.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Instruments:
    """In one registry, so that several servers fit one process. Raises KeyError for a name that is not listed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str) -> Counter:
        return Counter(name, BY_NAME[name].about, BY_NAME[name].labels, registry=self._registry)

    def gauge(self, name: str) -> Gauge:
        return Gauge(name, BY_NAME[name].about, BY_NAME[name].labels, registry=self._registry)

    def histogram(self, name: str) -> Histogram:
        measure = BY_NAME[name]
        return Histogram(name, measure.about, measure.labels, buckets=SECONDS, registry=self._registry)
