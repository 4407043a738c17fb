"""ORDER BY … LIMIT … START: a window over the sorted rows that pass the filter.

`window(R) = sort(R)[start : start + limit]`. Δ(window) by one insertion at place *i* (a removal is its mirror image):

    i ≥ stop            nothing
    start ≤ i < stop    the row enters,                 the row now at `stop` leaves
    i < start           the row now at `start` enters,  the row now at `stop` leaves

Only the beginning of the order is kept sorted: `front`, the first `stop` rows and some slack, so that a row far behind
the window costs one comparison however many there are. When removals have used the slack up it is filled again from all
places, which costs O(rows); the slack grows with them, so that this is O(log rows) a removal.

Ties are in record id order, which is also the whole order of a query without ORDER BY. Invariants: `front` is a prefix
of the sorted places, at least `stop` long or all of them; `members` holds at most `limit` rows, also between the
removal and the insertion of one push.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.circuit.arrangement import Arrangement, Row
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.circuit.predicate import Binding, SortFunction
from sp00ky.ssp.engine.ready import MemberChange

if TYPE_CHECKING:
    from sp00ky.ssp.circuit.presentation import Presentation

Place: TypeAlias = tuple[
    Any, tuple[Any, ...]
]  # (keys of ORDER BY, record id order); the latter ends with the row's key

_LEAVING: Final = MemberChange(RecordId("", ""), 0)
SLACK_ROWS_MIN = 64
SLACK_SHARE = 64  # one of so many rows


class Window(Members):
    """Members of a window. `limit` None: to the end. `slack_min` bounds the slack from below."""

    __slots__ = ("_all", "_front", "_places", "_slack_min", "_start", "_stop")

    def __init__(
        self,
        arrangement: Arrangement,
        binding: Binding,
        sort: SortFunction | None,
        presentation: Presentation | None = None,
        *,
        start: int,
        limit: int | None,
        slack_min: int = SLACK_ROWS_MIN,
    ) -> None:
        super().__init__(arrangement, binding, sort, presentation)
        self._start = start
        self._stop = None if limit is None else start + limit
        self._slack_min = slack_min
        self._places: dict[bytes, Place] = {}
        self._front: list[Place] = []
        self._all = True  # `front` is all of the places

    def known(self) -> set[bytes]:
        return set(self._places)

    def push(self, key: bytes, row: Row | None) -> None:
        old = self._places.get(key)
        if row is None:
            if old is not None:
                self._remove(key, old)
            return
        by = () if self._sort is None else self._sort(row[0], self.binding, self.scope)
        if self._stop == self._start:
            return  # the keys were asked for all the same: one may be an error
        if old is not None and old[0] == by:
            if key in self.members:
                self._enter(key, row)
            return
        if old is not None:
            self._remove(key, old)
        self._insert(key, (by, self._arrangement.order_of(key)))

    def _insert(self, key: bytes, place: Place) -> None:
        front, start, stop = self._front, self._start, self._stop
        self._places[key] = place
        if not self._all and front[-1] < place:
            return
        insort(front, place)
        if stop is not None and len(front) > stop:
            edge = front[stop]
            if not place < edge:  # it is the first outside, or behind it
                self._maybe_trim()
                return
            self._leave(edge[1][-1])
        if start and (len(front) < start or not front[start - 1] < place):
            if len(front) > start:
                self._admit(front[start])
        else:
            self._admit(place)
        self._maybe_trim()
        assert stop is None or len(self.members) <= stop - start

    def _remove(self, key: bytes, place: Place) -> None:
        del self._places[key]
        front, start, stop = self._front, self._start, self._stop
        if not self._all and front[-1] < place:
            return
        at = bisect_left(front, place)
        del front[at]
        if stop is not None and not self._all and len(front) < stop:
            front = self._refill(stop)
        if stop is not None and at >= stop:
            return
        if at >= start:
            self._leave(key)
        elif len(front) >= start:
            self._leave(front[start - 1][1][-1])
        if stop is not None and len(front) >= stop:
            self._admit(front[stop - 1])

    def _admit(self, place: Place) -> None:
        """The row at the place is a member. One that the step has deleted has no row any more: it is one only until
        its own push, later in the step, takes it out."""
        key = place[1][-1]
        row = self._arrangement.images.get(key)
        if row is not None:
            self._enter(key, row)
        else:
            self._touched.setdefault(key, self.members.get(key))
            self.members[key] = _LEAVING

    # --- the front ---

    def _slack(self, stop: int) -> int:
        return max(self._slack_min, stop, len(self._places) // SLACK_SHARE)

    def _maybe_trim(self) -> bool:
        stop = self._stop
        if stop is None or len(self._front) <= stop + 2 * self._slack(stop):
            return False
        del self._front[stop + self._slack(stop) :]
        self._all = False
        return True

    def _refill(self, stop: int) -> list[Place]:
        self._front = nsmallest(stop + self._slack(stop), self._places.values())
        self._all = len(self._front) == len(self._places)
        return self._front

    # --- reading ---

    def ordered(self) -> Sequence[bytes]:
        return [place[1][-1] for place in self._front[self._start : self._stop]]

    def state_sizes(self) -> Mapping[str, int]:
        return {**super().state_sizes(), "sorted": len(self._front), "passing": len(self._places)}
