"""Which flush is in whose trace, and what is measured of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sp00ky.proto import tracing
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.edges.measures import EdgeMeasures
from sp00ky.ssp.edges.outbox import PendingEdges
from sp00ky.ssp.engine.ready import MemberChange, Ready, ViewDelta

A, B = (f"00-{number:032x}-b7ad6b7169203331-01" for number in (10, 11))
EDGES = PendingEdges({"e": MemberChange(RecordId("t", 1), 1)}, {"f"})
MOVED = Ready(deltas=[ViewDelta((), 7)])


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.trace_with(provider.get_tracer("test"))
    yield exporter
    tracing.trace_with(None)


def applied(measures: EdgeMeasures, traceparent: str, ready: Ready = MOVED) -> None:
    measures.moved = False
    measures.took(ready)
    measures.took(Ready())
    measures.await_edges([traceparent])


def traces(exported: InMemorySpanExporter) -> list[tuple[int, int]]:
    """Trace and edges of every span."""
    spans = exported.get_finished_spans()
    return [(span.context.trace_id, span.attributes["spky.edges"]) for span in spans]  # type: ignore[index,misc,union-attr]


def test_what_moved_before_the_first_transaction_is_written_by_it(exported: InMemorySpanExporter) -> None:
    measures = EdgeMeasures()
    with measures.flushing():
        applied(measures, A)  # while stored edges were read
        measures.writing()
        applied(measures, B)
        measures.wrote([EDGES])
        measures.writing()
        measures.wrote([EDGES, EDGES])
    assert traces(exported) == [(10, 6)]
    with measures.flushing():
        measures.writing()
        measures.wrote([EDGES])
    assert traces(exported) == [(10, 6), (11, 2)]
    flush, size = measures.distributions()
    assert (sum(flush.counts), sum(size.counts), size.sum) == (2, 3, 8)
    assert measures.metrics() == {'edges{op="put"}': 4, 'edges{op="remove"}': 4}


def test_a_flush_that_fails_leaves_its_traces_to_the_next(exported: InMemorySpanExporter) -> None:
    measures = EdgeMeasures()
    applied(measures, A)
    with pytest.raises(OSError, match="gone"), measures.flushing():
        measures.writing()
        applied(measures, B)
        raise OSError("gone")
    assert traces(exported) == []
    with measures.flushing():
        measures.writing()
        measures.wrote([EDGES])
    assert traces(exported) == [(10, 2), (11, 2)]


def test_who_moved_no_view_waits_for_no_edge(exported: InMemorySpanExporter) -> None:
    measures = EdgeMeasures()
    applied(measures, A, Ready())
    with measures.flushing():
        measures.writing()
        measures.wrote([EDGES])
    assert traces(exported) == []


def test_what_comes_to_nothing_is_not_written_later(exported: InMemorySpanExporter) -> None:
    measures = EdgeMeasures()
    applied(measures, A)
    with measures.flushing():
        pass  # the view's edges are another's
    with measures.flushing():
        measures.writing()
        measures.wrote([EDGES])
    assert traces(exported) == []
