"""Points of the log at which results are shown, and how far one stream of watches has come.

Everything that is watched on one stream is shown at the same points. Another stream, of another SSP, is shown at the
same cuts, but may also be shown where the log fell idle for it alone. So two states belong together only at a point
that both streams name: `Progress` keeps the latest of them.

Invariant: the seqs of one `Progress` grow.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

from sp00ky.proto.revision import parse_revision

POINTS_MAX: Final = 1_024  # kept of one stream


class Point(NamedTuple):
    """A revision. Points of one store are ordered by `seq`; the token says its branch as well."""

    seq: int
    token: str
    store: str


def point_of(token: str) -> Point:
    """Raises Fault INVALID for what is no token."""
    revision = parse_revision(token)
    return Point(revision.seq, token, revision.store)


class Progress:
    """Of one stream. `number` counts what was told; `unsettled` are the watches that were left out last."""

    __slots__ = ("_points", "number", "unsettled")

    def __init__(self) -> None:
        self.number = 0
        self.unsettled: frozenset[int] = frozenset()
        self._points: list[Point] = []

    @property
    def point(self) -> Point | None:
        return self._points[-1] if self._points else None

    def moved(self, point: Point, unsettled: frozenset[int]) -> None:
        """Everything but `unsettled` was shown as it is at the point."""
        self.number += 1
        self.unsettled = unsettled
        last = self.point
        if last is not None and (point.store != last.store or point.seq < last.seq):
            self._points.clear()  # another store, or a state that is gone: what was known has no place among it
        if last is None or point != last:
            self._points.append(point)
        if len(self._points) > 2 * POINTS_MAX:
            del self._points[:-POINTS_MAX]

    def latest(self, seq: int) -> Point | None:
        """The last point that was named at or before `seq`."""
        index = bisect_right(self._points, seq, key=lambda point: point.seq)
        return self._points[index - 1] if index else None
