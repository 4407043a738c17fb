"""When Python's collector may look at what: an SSP holds millions of objects that stay, and must not walk them.

A full collection of a million nested records stops the process for seconds. So what survived a moment of work is frozen
(moved where no collection looks) after its young garbage has been taken out; reference counting frees frozen objects
all the same. The moment is a second, or as many objects as a collection walks in a few milliseconds: the longest stall
is bounded by what was allocated since the last freeze, not by what is held.

What became garbage in a cycle after it was frozen is found by one full collection in a quiet minute, when nobody waits,
unless so much is held that even then it would be missed (heartbeats have a deadline). The engine's own state leaves no
cycle behind when it is let go (`tests/unit/ssp/test_cycles.py`), so what is not found then is little.

Source: the measurements of 1 M nested records, 27 µs a change with the default policy, 2.7 µs so; now
`python -m tests.bench.heap`.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000  # allocations between young collections, where no step ends in between
SETTLE_OBJECTS = 5_000  # allocations between freezes while there is much work
SETTLE_MS = 1_000  # between freezes while there is little work
QUIET_MS = 60_000  # without work, until everything is collected once
QUIET_OBJECTS_MAX = 1_000_000  # frozen: beyond, everything is never collected at once; some 100 ns each


class Garbage:
    """The collector's policy of one process. `tick` takes a monotonic clock and any number that grows with the work."""

    def __init__(self) -> None:
        self._settled_ms = 0
        self._worked_ms = 0
        self._work = -1
        self._collected = False
        self._frozen = 0  # objects, by what was allocated: counting them would walk them

    def dropped(self) -> None:
        """Everything that was held has been let go, and a bootstrap begins."""
        gc.unfreeze()
        gc.set_threshold(YOUNG_OBJECTS, 20, 1_000_000)
        self._frozen = 0

    def loaded(self) -> None:
        """A bootstrap is in: keep it."""
        gc.set_threshold(YOUNG_OBJECTS, 20, 1_000_000)
        self._settle()

    def tick(self, now_ms: int, work: int) -> None:
        if work != self._work:
            self._work, self._worked_ms, self._collected = work, now_ms, False
            if now_ms - self._settled_ms >= SETTLE_MS:
                self._settled_ms = now_ms
                self._settle()
        elif not self._collected and now_ms - self._worked_ms >= QUIET_MS:
            self._collected = True
            if self._frozen <= QUIET_OBJECTS_MAX:
                gc.unfreeze()
                gc.collect()
                gc.freeze()
                self._frozen = gc.get_freeze_count()

    def maybe_settle(self) -> bool:
        """After a step: freeze what it and those before it have left, if that is much."""
        young, rounds, _ = gc.get_count()
        if young < SETTLE_OBJECTS and not rounds:
            return False
        self._settle()
        return True

    def _settle(self) -> None:
        young, rounds, _ = gc.get_count()
        self._frozen += young + rounds * YOUNG_OBJECTS
        gc.collect(1)
        gc.freeze()
