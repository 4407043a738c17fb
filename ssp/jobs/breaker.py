"""A circuit breaker: a backend that keeps failing is left alone for a while, so that jobs wait instead of failing.

Closed, everything passes. FAILURES_MAX bad answers in a row open it for `OPEN_S`, twice as long each time up to
`OPEN_S_MAX`; then one attempt goes through (half open), and decides. Bad is what says something about the backend: it
cannot be reached, does not answer in time, or answers 5xx. A refused job (4xx) is a good answer.

Source: M. Nygard, Release It!, "Circuit Breaker".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FAILURES_MAX = 5
OPEN_S = 1.0
OPEN_S_MAX = 30.0


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class Breaker:
    """Times are seconds of one monotonic clock, given by the caller."""

    failures: int = 0  # in a row
    opened: int = 0  # in a row
    until_s: float = 0.0
    is_trying: bool = False

    def state(self, now_s: float) -> State:
        if self.opened == 0:
            return State.CLOSED
        return State.OPEN if now_s < self.until_s else State.HALF_OPEN

    def admits(self, now_s: float, wanted: int) -> int:
        """How many of `wanted` attempts may begin now."""
        match self.state(now_s):
            case State.CLOSED:
                return wanted
            case State.HALF_OPEN if not self.is_trying:
                return min(1, wanted)
            case _:
                return 0

    def began(self, now_s: float) -> None:
        self.is_trying = self.state(now_s) is State.HALF_OPEN

    def answered(self, now_s: float, is_good: bool) -> None:
        if is_good:
            self.failures, self.opened, self.is_trying = 0, 0, False
            return
        self.failures += 1
        if self.is_trying or (self.opened == 0 and self.failures >= FAILURES_MAX):
            self.until_s = now_s + min(OPEN_S_MAX, OPEN_S * 2**self.opened)
            self.opened = min(self.opened + 1, 16)
            self.is_trying = False

    def dropped(self) -> None:
        """The attempt that was to decide came to nothing: the next one decides."""
        self.is_trying = False
