"""When the schema is read again: the more a reading costs, the longer until the next.

What a reading costs grows with the tables of the database, and most readings show nothing new. What does not wait for
its turn: a barrier, a table that the feed tells of and no schema has yet, and a row that fits to nothing.

Invariant: readings in their turn take at most `SHARE` of the time, unless one takes longer than `SHARE` of
`SECONDS_MAX`; none comes within `SECONDS_MIN` of the one before.
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.05
SECONDS_MIN: Final = 1.0
SECONDS_MAX: Final = 60.0  # one reading that a busy database was long over is no reason to miss a new rule for minutes


class Pace:
    """Seconds of any one clock."""

    def __init__(self) -> None:
        self._asked_at = self._due_at = 0.0

    def has_read(self, began: float, ended: float) -> None:
        wait = min((ended - began) * (1 / SHARE - 1), SECONDS_MAX)
        self._asked_at = ended + SECONDS_MIN
        self._due_at = ended + max(wait, SECONDS_MIN)

    def is_due(self, now: float, *, asked: bool) -> bool:
        """`asked`: something says that there is news."""
        return now >= (self._asked_at if asked else self._due_at)
