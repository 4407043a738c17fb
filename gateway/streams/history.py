"""The recent changes of one feed: what a reader that was away, or reads slowly, still has to be told.

    base ── entry ── entry ── entry    entry: at each known point up to `since` the result before, at `to` the one after

An entry without an event is a stretch of which nothing is known: nobody may be put at a point inside it.

Invariant: entries follow each other (`since` of each is at or after `to` of the one before), and their events, applied
to the result at the base, make the result that is held. Of all feeds together they take no more than the budget; a feed
pays from its own entries, the oldest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sp00ky.gateway.streams.events import Event
from sp00ky.gateway.streams.points import Point


@dataclass(slots=True)
class Budget:
    """`held`: bytes of all histories. The first two limits are of one history."""

    entries_max: int
    bytes_max: int
    total_bytes_max: int
    held: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """`at`: where the entry stands among the seqs. It is `to.seq`, unless a result came later than a state after it had
    been promised, as it may of a view that lags."""

    since: Point
    to: Point
    at: int
    event: Event | None

    @property
    def size(self) -> int:
        return 0 if self.event is None else self.event.size


class History:
    """Entries are numbered without end; `first` is the number of the oldest that is left, `end` that of the next."""

    __slots__ = ("_budget", "_bytes", "_entries", "base", "first")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self.first = 0
        self.base: Point | None = None  # where the oldest entry begins

    @property
    def end(self) -> int:
        return self.first + len(self._entries)

    @property
    def seq(self) -> int:
        """Of the result that is held."""
        if self._entries:
            return self._entries[-1].at
        return self.base.seq if self.base is not None else 0

    def restart(self, base: Point | None) -> None:
        """Nothing that was before leads here."""
        while self._entries:
            self._drop()
        self.first += 1  # whoever stood at the end stands nowhere now
        self.base = base

    def append(self, entry: Entry) -> None:
        assert entry.at > entry.since.seq >= self.seq, "entries follow each other"
        if self._entries and (last := self._entries[-1].event) is not None:
            last.rest_alone()
        self._entries.append(entry)
        self._bytes += entry.size
        self._budget.held += entry.size
        budget = self._budget
        while self._entries and (
            len(self._entries) > budget.entries_max
            or self._bytes > budget.bytes_max
            or (budget.held > budget.total_bytes_max and self._bytes)
        ):
            self._drop()

    def _drop(self) -> None:
        entry = self._entries.popleft()
        self.first += 1
        self.base = Point(entry.at, entry.to.token, entry.to.store)
        self._bytes -= entry.size
        self._budget.held -= entry.size

    def after(self, cursor: int) -> Iterator[Entry]:
        """The entries from this number on, which must be left."""
        assert self.first <= cursor <= self.end
        return islice(self._entries, cursor - self.first, None)

    def spanning(self, seq: int) -> Entry | None:
        """The entry inside which nothing is known of `seq`."""
        for entry in reversed(self._entries):
            if entry.at <= seq:
                return None
            if entry.since.seq < seq:
                return entry
        return None

    def points(self, seq: int) -> Iterator[Point]:
        """Points at or before `seq` at which the result is known, the latest first."""
        for entry in reversed(self._entries):
            for point in (Point(entry.at, entry.to.token, entry.to.store), entry.since):
                if point.seq <= seq:
                    yield point
        if self.base is not None and self.base.seq <= seq:
            yield self.base

    def cursor_of(self, token: str) -> int | None:
        """The number of the entry that follows the result at this revision, if an entry or the base is of it."""
        number = self.end
        for entry in reversed(self._entries):
            if entry.to.token == token:
                return number
            number -= 1
        return self.first if self.base is not None and self.base.token == token else None

    def cursor_at(self, seq: int) -> int | None:
        """The number of the entry that follows the result at `seq`, a point that is known and not spanned."""
        if self.base is None or seq < self.base.seq:
            return None
        number = self.end
        for entry in reversed(self._entries):
            if entry.at <= seq:
                return number
            number -= 1
        return self.first
