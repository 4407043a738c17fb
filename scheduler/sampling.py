"""Figures of one moment, from counters that only grow: a rate is the growth since the look before.

Pure. A counter that is smaller than before is of another process and counts from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sp00ky.proto.v1 import admin_pb2, events_pb2


@dataclass(frozen=True, slots=True)
class Counted:
    """What one look saw. `applied` and `edges`: by SSP."""

    at_s: float  # of a clock that does not go back
    captured: int = 0
    appended: int = 0
    cpu_s: float = 0.0
    applied: Mapping[str, int] = field(default_factory=dict)
    edges: Mapping[str, int] = field(default_factory=dict)


def with_rates(sample: events_pb2.MeshSample, before: Counted | None, now: Counted) -> events_pb2.MeshSample:
    """Fills in the sample's rates; without a look before there are none."""
    if before is None or now.at_s <= before.at_s:
        return sample
    seconds = now.at_s - before.at_s
    sample.captured_per_second = _growth(before.captured, now.captured) / seconds
    sample.appended_per_second = _growth(before.appended, now.appended) / seconds
    sample.cpu_ratio = max(0.0, now.cpu_s - before.cpu_s) / seconds
    for ssp in sample.ssps:
        if ssp.id in before.applied:
            ssp.applied_per_second = _growth(before.applied[ssp.id], now.applied.get(ssp.id, 0)) / seconds
            ssp.edges_per_second = _growth(before.edges.get(ssp.id, 0), now.edges.get(ssp.id, 0)) / seconds
    return sample


def stage_lag(told: admin_pb2.LagStatus, before: events_pb2.StageLag | None) -> events_pb2.StageLag | None:
    """How late each stage is, from the probe's last turn; None until one has gone all the way. While a turn is on its
    way, what was measured before stands, until it has been on its way for longer than that."""
    captured = told.captured_seconds or (before.captured_seconds if before is not None else 0.0)
    if not (captured and told.applied_seconds and told.written_seconds):
        return None
    if not told.captured_seconds and told.age_seconds > captured:
        captured = told.applied_seconds
    return events_pb2.StageLag(
        captured_seconds=captured,
        applied_seconds=max(captured, told.applied_seconds),
        written_seconds=max(captured, told.applied_seconds, told.written_seconds),
    )


def _growth(before: int, now: int) -> int:
    return now - before if now >= before else now
