"""What has happened, newest last, as far as it is kept: a ring of events with ids, and one of figures.

Invariant: ids grow by one from event to event, and over restarts: an id's upper half is the epoch. So an event that a
reader has, and the ring has not, is known to be missing: `after` says so, and the reader is to read again what events
would have told it. Readers keep a place here and nothing is kept for them; a slow one misses what falls out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from sp00ky.proto.revision import Epoch
from sp00ky.proto.v1 import events_pb2
from sp00ky.scheduler.happenings import TROUBLE, Happening

ANSWER_EVENTS_MAX: Final = 512
HISTORY_MS: Final = 15 * 60 * 1000
HISTORY_STEP_MS: Final = 5_000


class Read(NamedTuple):
    """`missed`: events between the reader's place and these are kept no more."""

    events: Sequence[events_pb2.MeshEvent]
    last_id: int
    missed: bool


class Journal:
    """`limit`: events kept."""

    def __init__(self, epoch: Epoch, limit: int) -> None:
        self._last_id = epoch << 32
        self._events: deque[tuple[int, int, Happening]] = deque(maxlen=limit)

    @property
    def last_id(self) -> int:
        return self._last_id

    @property
    def kept(self) -> int:
        return len(self._events)

    def add(self, happening: Happening, at_ms: int) -> None:
        """`at_ms`: unix, for people."""
        self._last_id += 1
        self._events.append((self._last_id, at_ms, happening))

    def after(self, event_id: int) -> Read:
        """The next events after a reader's place, 0: the oldest that are kept. An id that was never given out, or is of
        an earlier epoch, has missed some."""
        begin = self._last_id - len(self._events)
        missed = bool(event_id) and not begin <= event_id <= self._last_id
        skipped = event_id - begin if begin <= event_id <= self._last_id else 0
        found = [message(*event) for event in islice(self._events, skipped, skipped + ANSWER_EVENTS_MAX)]
        return Read(found, begin + skipped + len(found), missed)


def message(event_id: int, at_ms: int, happening: Happening) -> events_pb2.MeshEvent:
    return events_pb2.MeshEvent(
        id=event_id,
        at_ms=at_ms,
        kind=happening.kind,
        text=happening.text,
        ssp_id=happening.ssp_id,
        view_id=happening.view_id,
        auth_id=happening.auth_id,
        trouble=happening.kind in TROUBLE,
    )


class History:
    """Figures of the last 15 minutes, one every 5 s, and the latest. `latest_number` counts those that came."""

    def __init__(self) -> None:
        self._points: deque[events_pb2.MeshSample] = deque(maxlen=HISTORY_MS // HISTORY_STEP_MS)
        self._since_point: list[tuple[events_pb2.MeshSample, int]] = []  # with the ms that each stands for
        self.latest: events_pb2.MeshSample | None = None
        self.latest_number = 0

    @property
    def points(self) -> Sequence[events_pb2.MeshSample]:
        return list(self._points)

    def add(self, sample: events_pb2.MeshSample) -> None:
        before_ms = self.latest.at_ms if self.latest is not None else sample.at_ms - 1
        self.latest = sample
        self.latest_number += 1
        self._since_point.append((sample, max(1, sample.at_ms - before_ms)))
        if sample.at_ms - self._since_point[0][0].at_ms >= HISTORY_STEP_MS - 500:
            self._points.append(mean_of(self._since_point))
            self._since_point.clear()


def mean_of(several: Sequence[tuple[events_pb2.MeshSample, int]]) -> events_pb2.MeshSample:
    """One for several: rates are their mean by the time that each stands for, all else is the last one's."""
    mean = events_pb2.MeshSample()
    mean.CopyFrom(several[-1][0])
    whole_ms = sum(ms for _, ms in several)
    for name in ("captured_per_second", "appended_per_second"):
        setattr(mean, name, sum(getattr(sample, name) * ms for sample, ms in several) / whole_ms)
    for own in mean.ssps:
        rates = [(each, ms) for sample, ms in several for each in sample.ssps if each.id == own.id]
        own_ms = sum(ms for _, ms in rates)
        own.applied_per_second = sum(each.applied_per_second * ms for each, ms in rates) / own_ms
        own.edges_per_second = sum(each.edges_per_second * ms for each, ms in rates) / own_ms
    return mean
