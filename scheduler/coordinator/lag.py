"""Is a ready SSP so far behind that it should load a snapshot instead of working through the log?

It is when it has lagged by more than the limit for a whole period in which its lag never became smaller. So neither a
burst nor a large transaction throws out an SSP that works it off, however long that takes; and once thrown out, it is
so again only after it has been within the limit: an SSP that is simply too slow is not made to load for ever.

Pure. Lag is counted from what the SSP has taken from the stream, applied or not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lag:
    armed: bool = True  # it has been within the limit since it was last found behind
    least: int = 0  # of the present episode; 0: there is none
    since_ms: int = 0  # when it was as small as that last

    def is_behind(self, entries: int, entries_max: int, now_ms: int, patience_ms: int) -> bool:
        """Take the lag of now; True once for each time the SSP has fallen behind."""
        if entries <= entries_max:
            self.armed, self.least = True, 0
        elif not self.least or entries < self.least:
            self.least, self.since_ms = entries, now_ms
        elif self.armed and now_ms - self.since_ms >= patience_ms:
            self.armed, self.least = False, 0
            return True
        return False

    def forgive(self, elapsed_ms: int) -> None:
        """Time in which nothing could be heard of it does not count."""
        self.since_ms += elapsed_ms
