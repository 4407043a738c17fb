"""Traces: one request's way through HTTP, gRPC, the log, the circuits and the edges, as one tree of spans.

    POST /ingest ─▶ gRPC (caller, service) ─▶ log append ─▶ apply (each SSP) ─▶ edge write
    capture ──────────────────────────────────────┘

Inside a task the tree is OpenTelemetry's own context. Where a change waits in a queue, the log, or on the replication
stream there is no task to carry it: the change itself says whose it is, as a W3C traceparent, on the last change of a
request and only if the request is sampled. What is applied or written for many requests at once is one span in each
of their traces, over the same time.

Invariant: off, which is so until `trace_with`, nothing of OpenTelemetry is imported and no change says anything, so
nothing is looked for either. A traceparent that is none is no error: that trace ends there.

Source: W3C Trace Context, level 1.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, Tracer

    Facts = Mapping[str, str] | Mapping[str, int] | Mapping[str, str | int]

PARENTS_MAX: Final = 64  # traces that one batch, or one write of edges, has a span in; those beyond end there
TRACEPARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = 1

# Of the request being answered: passed on to the services that answer it, and on each log line that belongs to it.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
REQUEST_ID_METADATA: Final = "x-request-id"

_tracer: Tracer | None = None


def passed_on() -> tuple[tuple[str, str], ...]:
    """Metadata of a call that is made to answer the request of this task."""
    request_id = REQUEST_ID.get()
    return ((REQUEST_ID_METADATA, request_id),) if request_id else ()


def trace_with(tracer: Tracer | None) -> None:
    """Trace from here on, in all of the process; with None, no more."""
    global _tracer  # noqa: PLW0603 — what one process is traced by is one thing
    _tracer = tracer


def is_on() -> bool:
    return _tracer is not None


class Begun:
    """A span that has begun, of a trace that is sampled; `end` it once."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span) -> None:
        self._span = span
        self.traceparent = _text_of(span.get_span_context())

    def end(self, facts: Facts | None = None, error: BaseException | None = None) -> None:
        if facts:
            self._span.set_attributes(facts)
        if error is not None:
            _blame(self._span, error)
        self._span.end()


def begin(name: str, *, root: bool = False) -> Begun | None:
    """A span below the current one; `root`: if there is none, the first of a trace. None where nothing is sampled."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    if not root and not trace.get_current_span().get_span_context().is_valid:
        return None
    span = _tracer.start_span(name)
    return Begun(span) if span.is_recording() else None


def record(name: str, parents: Iterable[str], begun_ns: int, facts: Facts | None = None) -> list[str]:
    """One span in each of these traces, from `begun_ns` (unix nanoseconds) until now; answers their traceparents."""
    if _tracer is None:
        return []
    from opentelemetry import trace

    ended_ns = time.time_ns()
    made = []
    for parent in list(dict.fromkeys(parents))[:PARENTS_MAX]:
        context = _context_of(parent)
        if context is None:
            continue
        under = trace.set_span_in_context(trace.NonRecordingSpan(context))
        span = _tracer.start_span(name, under, attributes=facts, start_time=begun_ns)
        if span.is_recording():
            made.append(_text_of(span.get_span_context()))
        span.end(ended_ns)
    return made


@contextmanager
def serving(name: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """While a request is answered: the current span, below the one that its `traceparent` names. Yields the span, or
    None when off. An exception that passes is on it."""
    if _tracer is None:
        yield None
        return
    from opentelemetry import propagate
    from opentelemetry.trace import SpanKind

    parent = propagate.extract({name.lower(): value for name, value in headers.items()})
    with _tracer.start_as_current_span(name, parent, SpanKind.SERVER) as span:
        yield span


def current_ids() -> tuple[str, str]:
    """Trace and span of the current task, in hex; ("", "") outside any trace."""
    if _tracer is None:
        return "", ""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else ("", "")


def _text_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"


def _context_of(traceparent: str) -> SpanContext | None:
    from opentelemetry.trace import SpanContext, TraceFlags

    match = TRACEPARENT.fullmatch(traceparent)
    if match is None or not int(match[3], 16) & _SAMPLED:
        return None
    return SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(_SAMPLED))


def _blame(span: Span, error: BaseException) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, str(error)))
