"""How much of the feed is asked for at once.

An answer that is larger than a frame may be, or slower than the timeout, takes its connection with it, and the same
question would again. So each answer that is lost halves what is asked for next; once none was lost for a while, it
grows again. What is lost several times over though it is a single entry cannot be read at all.

Invariant: 1 <= `entries` <= the most that was given.
"""

from __future__ import annotations

from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.capture.cursor import OVERLAP_MS

LOSSES_MAX: Final = 3  # of a single entry, one connection each, until it is passed over
GROW_MS: Final = 2 * OVERLAP_MS  # without a loss; what was large is behind every window that is read again by then
_LOST = frozenset({Code.UNAVAILABLE, Code.TIMEOUT})


def is_lost(fault: Fault) -> bool:
    """Whether this, of a question on an open connection, may be the doing of its answer."""
    return fault.code in _LOST


class Paging:
    def __init__(self, entries_max: int) -> None:
        self.entries = entries_max
        self._entries_max = entries_max
        self._losses = 0  # of single entries, since it last grew
        self._changed_ms = 0

    def lost(self, now_ms: int) -> bool:
        """An answer did not come; whether what is there can be passed over."""
        self._changed_ms = now_ms
        if self.entries > 1:
            self.entries = (self.entries + 1) // 2  # 2 before 1, which shows no row to be whole
            return False
        self._losses += 1
        return self._losses >= LOSSES_MAX

    def passed_over(self) -> None:
        self._losses = 0

    def came(self, now_ms: int) -> None:
        """A page was read."""
        if self.entries < self._entries_max and now_ms >= self._changed_ms + GROW_MS:
            self.entries = min(self._entries_max, self.entries * 2)
            self._changed_ms, self._losses = now_ms, 0
