"""What an SSP measures beside its counters: how long a frame takes through the circuits, and in whose traces; how long
a view waits for its first result."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from sp00ky.proto import tracing
from sp00ky.proto.database import Database
from sp00ky.proto.measured import connection_metrics, request_distributions
from sp00ky.proto.measures import FINE_SECONDS, Distribution, key_of
from sp00ky.proto.v1 import admin_pb2, common_pb2
from sp00ky.ssp.edges.measures import EdgeMeasures
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import Ready

COUNT_SECONDS = 1.0  # how old a count of views by state may be: it walks over all, and a status is asked for often


class SspMeasures:
    """`databases`: of the edges, then of the queries; they may be one."""

    def __init__(self, engine: Engine, edges: EdgeMeasures, databases: Collection[Database]) -> None:
        self._engine, self._edges = engine, edges
        self._databases = list({id(database): database for database in databases}.values())
        self._apply_seconds = Distribution(FINE_SECONDS)
        self._hydrate_seconds = Distribution()
        self._views = 0
        self._states: dict[str, float] = {}
        self._count_again_at = 0.0
        self._frame_begun = 0.0  # of the frame that is applied now, else 0
        self._awaited: dict[ViewKey, float] = {}  # views without a result, and since when

    @contextmanager
    def applying(self, entries: Iterable[common_pb2.Entry]) -> Iterator[None]:
        """While these are applied. Without traces no entry is looked at."""
        begun, begun_ns = time.perf_counter(), time.time_ns()
        self._frame_begun, self._edges.moved = begun, False
        try:
            yield
        finally:
            self._frame_begun = 0.0
        self._apply_seconds.observe(time.perf_counter() - begun)
        if tracing.is_on():
            parents = [entry.change.traceparent for entry in entries if entry.change.traceparent]
            facts: dict[str, str | int] = {"spky.ssp": self._engine.ssp_id, "spky.seq": self._engine.applied_seq}
            self._edges.await_edges(tracing.record("apply", parents, begun_ns, facts))

    def carried(self, ready: Ready) -> None:
        """After each step: which views have come, and which have their first result."""
        now, views = time.perf_counter(), self._engine.view_count
        come = views - self._views + len(ready.dropped)
        self._views = views
        if come > 0:
            for key in self._engine.newest_views(come):
                self._awaited.setdefault(key, self._frame_begun or now)
        for hydrated in ready.hydrated:
            since = self._awaited.pop(hydrated.key, None)
            if since is not None:
                self._hydrate_seconds.observe(now - since)
        for dropped in ready.dropped:
            self._awaited.pop(dropped.key, None)

    def metrics(self) -> dict[str, float]:
        now = time.monotonic()
        if now >= self._count_again_at:
            counted = self._engine.views_by_state().items()
            self._states = {key_of("views", state=state): count for state, count in counted}
            self._count_again_at = now + COUNT_SECONDS
        return {
            **self._states,
            "view_shapes": self._engine.shape_count,
            **connection_metrics(self._databases),
        }

    def distributions(self) -> list[admin_pb2.Distribution]:
        return [
            self._apply_seconds.message("spky_view_apply_duration_seconds"),
            self._hydrate_seconds.message("spky_view_hydrate_duration_seconds"),
            *self._edges.distributions(),
            *request_distributions(self._databases),
        ]
