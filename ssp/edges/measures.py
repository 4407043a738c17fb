"""What writing edges takes, and which traces wait for theirs.

A trace waits from the step that moved some view until everything owed then is written; a flush that fails leaves it
waiting for the next. One that moved no view has no edge, and waits for none.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sp00ky.proto import tracing
from sp00ky.proto.measures import SIZES, Distribution, key_of
from sp00ky.proto.v1 import admin_pb2
from sp00ky.ssp.edges.outbox import PendingEdges
from sp00ky.ssp.engine.ready import Ready


@dataclass(slots=True)
class _Flush:
    """The one that is under way. `begun_ns`: of its first transaction; 0: there was none yet."""

    traceparents: list[str] = field(default_factory=list)
    begun_ns: int = 0
    edges: int = 0


class EdgeMeasures:
    def __init__(self) -> None:
        self._flush_seconds = Distribution()
        self._batch_size = Distribution(SIZES)
        self._put = self._removed = 0
        self.moved = False  # some view, since this was last said to be False
        self._waiting: list[str] = []
        self._flush = _Flush()

    def took(self, ready: Ready) -> None:
        """The step that was taken last is this one."""
        self.moved |= bool(ready.deltas or ready.hydrated)

    def await_edges(self, traceparents: Iterable[str]) -> None:
        """Whatever has moved was moved by these traces."""
        if self.moved:
            self._waiting = [*self._waiting, *traceparents][: tracing.PARENTS_MAX]

    @contextmanager
    def flushing(self) -> Iterator[None]:
        """While everything owed is written. Only what ends in peace is measured."""
        begun, waiting, self._flush = time.perf_counter(), self._waiting, _Flush()
        try:
            yield
        except BaseException:
            self._waiting = [*self._flush.traceparents, *self._waiting]
            raise
        self._flush_seconds.observe(time.perf_counter() - begun)
        flush = self._flush
        if flush.traceparents:
            tracing.record("edge write", flush.traceparents, flush.begun_ns, {"spky.edges": flush.edges})
        elif not flush.begun_ns:
            self._waiting = self._waiting[len(waiting) :]  # it came to nothing: nothing was owed, or not by us

    def writing(self) -> None:
        """Before each transaction of a flush. What was told until the first of them is written by it."""
        if not self._flush.begun_ns:
            self._flush.begun_ns = time.time_ns()
            self._flush.traceparents, self._waiting = self._waiting, []

    def wrote(self, batch: Iterable[PendingEdges]) -> None:
        """One transaction."""
        put = removed = 0
        for edges in batch:
            put += len(edges.put)
            removed += len(edges.gone)
        self._put += put
        self._removed += removed
        self._flush.edges += put + removed
        self._batch_size.observe(put + removed)

    def metrics(self) -> dict[str, float]:
        return {key_of("edges", op="put"): self._put, key_of("edges", op="remove"): self._removed}

    def distributions(self) -> list[admin_pb2.Distribution]:
        return [
            self._flush_seconds.message("spky_edge_flush_duration_seconds"),
            self._batch_size.message("spky_edge_batch_size"),
        ]
