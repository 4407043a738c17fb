"""ORDER BY … LIMIT … START: a window over the sorted rows that pass the filter.

`window(R) = sort(R)[start : start + limit]`. Every passing row is kept in order, so a record that leaves is replaced
at once. Δ(window) by one insertion at place *i* (a removal is its mirror image):

    i ≥ stop            nothing
    start ≤ i < stop    the row enters,                 the row now at `stop` leaves
    i < start           the row now at `start` enters,  the row now at `stop` leaves

Ties are in record id order, which is also the whole order of a query without ORDER BY. Invariant: `members` holds at
most `limit` rows, also between the removal and the insertion of one push.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sortedcontainers import SortedList
from sp00ky.ssp.circuit.arrangement import Arrangement, Row
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.circuit.predicate import Binding, SortFunction

Place: TypeAlias = tuple[Any, tuple[Any, ...]]  # (keys of ORDER BY, record id order); ends with the row's key


class Window(Members):
    """Members of a window. `limit` None: to the end."""

    __slots__ = ("_places", "_sorted", "_start", "_stop")

    def __init__(
        self, arrangement: Arrangement, binding: Binding, sort: SortFunction | None, start: int, limit: int | None
    ) -> None:
        super().__init__(arrangement, binding, sort)
        self._start = start
        self._stop = None if limit is None else start + limit
        self._places: dict[bytes, Place] = {}
        self._sorted: SortedList = SortedList()

    def push(self, key: bytes, row: Row | None) -> None:
        old = self._places.get(key)
        if row is None:
            if old is not None:
                self._remove(key, old)
            return
        by = () if self._sort is None else self._sort(row[0], self.binding, self.scope)
        if old is not None and old[0] == by:
            if key in self.members:
                self._enter(key, row)
            return
        if old is not None:
            self._remove(key, old)
        self._insert(key, (by, self._arrangement.order_of(key)))

    def _insert(self, key: bytes, place: Place) -> None:
        self._places[key] = place
        self._sorted.add(place)
        start, stop = self._start, self._stop
        if stop is not None and len(self._sorted) > stop:
            edge = self._sorted[stop]
            if not place < edge:
                return  # at or behind the row that is the first outside
            self._leave(edge[1][-1])
        if start and (len(self._sorted) < start or not self._sorted[start - 1] < place):
            if len(self._sorted) > start:
                self._admit(self._sorted[start][1][-1])
        else:
            self._admit(key)
        assert stop is None or len(self.members) <= stop - start

    def _remove(self, key: bytes, place: Place) -> None:
        del self._places[key]
        start, stop = self._start, self._stop
        at = self._sorted.bisect_left(place)
        del self._sorted[at]
        if stop is not None and at >= stop:
            return
        if at >= start:
            self._leave(key)
        elif len(self._sorted) >= start:
            self._leave(self._sorted[start - 1][1][-1])
        if stop is not None and stop > start and len(self._sorted) >= stop:
            self._admit(self._sorted[stop - 1][1][-1])

    def _admit(self, key: bytes) -> None:
        if self._stop is None or self._stop > self._start:
            self._enter(key, self._arrangement.rows[key])

    def ordered(self) -> Sequence[bytes]:
        return [place[1][-1] for place in self._sorted[self._start : self._stop]]

    @property
    def state_sizes(self) -> Mapping[str, Any]:
        return {**super().state_sizes, "sorted": len(self._sorted)}
