"""Where to read the changefeed from: overlap windows over stamps, and steps of the database's clock.

A versionstamp is unix milliseconds << 16 | counter, taken before its commit can be seen. So "after the last one" misses
late commits: a poll goes back `near_ms`, which is `NEAR_MS` or twice what was lately seen to be late, and once a second
a sweep goes back to what was the last stamp `OVERLAP_MS` before the sweep ahead of it began, *on the poller's own
monotonic clock*, which no step of the database's clock can shorten. So a commit that is seen up to `OVERLAP_MS` after
its stamp was taken is in the first sweep after it is seen, however long that sweep was in coming. How late a commit
is grows with its changes (1 to 3 s for 100,000), so every `PATIENCE_EVERY_MS` a sweep goes further back as far as that
costs little: up to `PATIENCE_MS`, over at most `PATIENCE_CHANGES` known changes.

After the database's clock went back, rows with stamps of its future lie in the feed for as long as the step was wide.
They are known by then (the tables have been compared), and new rows come before them, or behind them if the database
kept counting: `island` is the span that reading jumps over. Its beginning is kept ahead of the clock: what the clock is
about to reach is marked as seen row by row first, since new rows will come to lie between.

Invariant: `sweep_since` never falls, and is never above `near_since`; nothing below `patient_since` is read again.
Source: reference/surrealdb-embedded.md §2, traps 3, 5, 6.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

NEAR_MS: Final = 64
OVERLAP_MS: Final = 2000
PATIENCE_EVERY_MS: Final = 5_000
PATIENCE_MS: Final = 60_000
PATIENCE_CHANGES: Final = 1000
CLOCK_MARGIN_MS: Final = 2000  # how far a stamp may be ahead of the database's clock, or the clock behind a stamp
_COUNTER_BITS: Final = 16


def stamp_of_ms(unix_ms: int) -> int:
    return max(0, unix_ms) << _COUNTER_BITS


def ms_of_stamp(stamp: int) -> int:
    return stamp >> _COUNTER_BITS


def back(stamp: int, ms: int) -> int:
    return max(0, stamp - stamp_of_ms(ms))


@dataclass(frozen=True, slots=True)
class Island:
    """Stamps in [begin, end] are of the time before a clock step, and known."""

    begin: int
    end: int


class Cursor:
    """`last`: the highest stamp offered, or the position that reading began from."""

    def __init__(self, last: int, island: Island | None = None, *, settled: int | None = None) -> None:
        """`settled`: nothing below it can still be on its way; without it, nothing below `last` can."""
        self.last = last
        self.near_ms = NEAR_MS
        self.island = island
        self._heights: deque[tuple[int, int]] = deque()  # (monotonic ms, last at that time), ascending
        self._clock_ms = 0  # the database's, at its highest
        self._floor = 0  # reading never begins below
        self._settled = last if settled is None else settled  # `last` as it was OVERLAP_MS before the last sweep
        self._patient_since = self.sweep_since

    @property
    def floor(self) -> int:
        return self._floor

    @property
    def near_since(self) -> int:
        return max(self.sweep_since, back(self.last, self.near_ms))

    def skip_to(self, stamp: int) -> None:
        """There is a row below that cannot be read: nothing before it can be read behind it again."""
        self.saw(stamp)
        self._floor = max(self._floor, stamp)

    @property
    def sweep_since(self) -> int:
        return max(self._floor, back(self._settled, NEAR_MS))

    @property
    def patient_since(self) -> int:
        """Nothing below is read again; never above `sweep_since`, and never falls."""
        return max(self._floor, self._patient_since)

    def saw(self, stamp: int) -> None:
        self.last = max(self.last, stamp)

    @classmethod
    def resumed(cls, last: int, island: Island | None, settled: int = 0) -> Cursor:
        """After a restart. `settled`: as the process before knew it, 0: it did not say."""
        overlap = back(last, 2 * OVERLAP_MS)
        return cls(last, island, settled=min(settled, overlap) if settled else overlap)

    def polled(self, now_ms: int) -> None:
        """A read ended at `now_ms`: a commit that could not be seen by then has a stamp above `last`, or is late."""
        if self.last != (self._heights[-1][1] if self._heights else self._settled):
            self._heights.append((now_ms, self.last))

    def told(self, clock_ms: int) -> None:
        """The database's clock after a sweep: without new rows, too, the windows move on."""
        self._clock_ms = max(self._clock_ms, clock_ms)
        self.saw(back(stamp_of_ms(clock_ms), OVERLAP_MS))

    def clock_went_back(self, clock_ms: int) -> bool:
        """Whether rows may come below what `told` has moved to."""
        return clock_ms + CLOCK_MARGIN_MS < self._clock_ms

    def was_late(self, stamp: int) -> None:
        """A sweep found a row that polls had passed."""
        self.near_ms = min(OVERLAP_MS, max(self.near_ms, 2 * ms_of_stamp(max(0, self.last - stamp))))

    def swept(self, began_ms: int) -> None:
        """A sweep that began at `began_ms` is over."""
        self.near_ms = max(NEAR_MS, self.near_ms * 9 // 10)
        while self._heights and self._heights[0][0] <= began_ms - OVERLAP_MS:
            self._settled = self._heights.popleft()[1]

    def relent(self, crowded_below: int) -> None:
        """After a sweep, `crowded_below`: from there on there are no more than `PATIENCE_CHANGES` known changes."""
        patient = max(crowded_below, back(self.sweep_since, PATIENCE_MS))
        self._patient_since = max(self._patient_since, min(patient, self.sweep_since))

    def jump(self, since: int) -> int:
        """`since`, or the end of the island if it lies on it."""
        if self.island is not None and self.island.begin <= since <= self.island.end:
            return self.island.end + 1
        return since

    def land(self, clock_ms: int) -> int | None:
        """Where the island has to begin from now on; None if it is far enough, or there is none."""
        begin = stamp_of_ms(clock_ms + 2 * CLOCK_MARGIN_MS)
        return begin if self.island is not None and begin > self.island.begin else None

    def shrink_island_to(self, begin: int) -> None:
        assert self.island is not None
        self.island = Island(begin, self.island.end) if begin <= self.island.end else None

    def on_island(self, stamp: int) -> bool:
        return self.island is not None and self.island.begin <= stamp <= self.island.end


def redelivered_from(stamp: int, settled: int) -> int:
    """The lowest stamp that reading may give again after a restart at a progress of these."""
    return Cursor.resumed(stamp, None, settled).sweep_since


def clock_went_back(clock_ms: int, last: int) -> bool:
    """Asked of the last row's stamp when a connection is made: while it lasts the database counts on above that."""
    return clock_ms + CLOCK_MARGIN_MS < ms_of_stamp(last)


def is_ashore(clock_ms: int, island: Island | None) -> bool:
    """Whether the clock may have reached the island: rows on it can no longer be told from new ones by their stamps."""
    return island is not None and clock_ms + CLOCK_MARGIN_MS // 4 >= ms_of_stamp(island.begin)


def is_behind_retention(clock_ms: int, read_ms: int, retention_ms: int) -> bool:
    """Whether the feed may have forgotten rows since it was read at `read_ms`; SurrealDB gives no error then."""
    return clock_ms - read_ms + OVERLAP_MS > retention_ms
