"""The life of a job: one row of an outbox table, from `pending` to `success`, `failed` or `cancelled`.

TRANSITIONS is the only place that says which status follows which; every statement that moves a row takes the statuses
it moves from, and the one it moves to, from here. What is absent cannot happen.

What bounds a job: `max_retries` attempts after the first that the backend refused, and LOST_MAX attempts whose runner
was not heard of again. The second bound is its own, so that a machine that dies does not use up the retries of a job
which the backend never refused, and so that a job which kills its runner ends as well.

Source: the outbox contract (its attempt count and delays; jitter and a cap are ours).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Signal(StrEnum):
    CLAIMED = "claimed"  # a runner holds its lease
    SUCCEEDED = "succeeded"
    ERRED = "erred"  # and will be tried again
    EXHAUSTED = "exhausted"  # erred, and was the last attempt
    LOST = "lost"  # the lease ran out
    ABANDONED = "abandoned"  # the lease ran out, once too often
    KILLED = "killed"  # by an operator
    RETRIED = "retried"  # by an operator


_S, _G = Status, Signal
TRANSITIONS: Final[Mapping[tuple[Status, Signal], Status]] = {
    (_S.PENDING, _G.CLAIMED): _S.PROCESSING,
    (_S.PENDING, _G.KILLED): _S.CANCELLED,
    (_S.PROCESSING, _G.SUCCEEDED): _S.SUCCESS,
    (_S.PROCESSING, _G.ERRED): _S.PENDING,
    (_S.PROCESSING, _G.EXHAUSTED): _S.FAILED,
    (_S.PROCESSING, _G.LOST): _S.PENDING,
    (_S.PROCESSING, _G.ABANDONED): _S.FAILED,
    (_S.PROCESSING, _G.KILLED): _S.CANCELLED,
    (_S.FAILED, _G.RETRIED): _S.PENDING,
    (_S.CANCELLED, _G.RETRIED): _S.PENDING,
}
FINISHED: Final = (Status.SUCCESS, Status.FAILED, Status.CANCELLED)

RETRIES_DEFAULT = 3
RETRIES_MAX = 100
LOST_MAX = 10
BACKOFF_FIRST_MS = 200
BACKOFF_MAX_MS = 60_000
STRATEGIES: Final = ("linear", "exponential")


def sources(signal: Signal) -> list[str]:
    """The statuses that a signal moves a job from, as rows state them."""
    return [status.value for status, given in TRANSITIONS if given is signal]


def target(signal: Signal) -> Status:
    """The one status that it moves to."""
    targets = {after for (_, given), after in TRANSITIONS.items() if given is signal}
    assert len(targets) == 1, f"{signal} leads to {targets}"
    return targets.pop()


@dataclass(frozen=True, slots=True)
class Retrying:
    """What a job's row says about trying again. `retries`: attempts that the backend refused so far."""

    retries: int = 0
    retries_max: int = RETRIES_DEFAULT
    strategy: str = "linear"

    def refused(self, jitter: float) -> tuple[Signal, int]:
        """What a further refused attempt means, and after how many milliseconds to try again. `jitter`: 0 to 1."""
        if self.retries >= self.retries_max:
            return Signal.EXHAUSTED, 0
        return Signal.ERRED, backoff_ms(self.strategy, self.retries + 1, jitter)


def lost_again(lost: int) -> Signal:
    """What one more lease that ran out means to a job that has lost `lost` before."""
    return Signal.LOST if lost < LOST_MAX else Signal.ABANDONED


def backoff_ms(strategy: str, attempt: int, jitter: float) -> int:
    """The pause before retry `attempt` (from 1): 200, 400, 600 … or 200, 400, 800 … ms, at most a minute, of which
    `jitter` (0 to 1) takes away up to a half."""
    factor = 2 ** min(attempt - 1, 16) if strategy == "exponential" else attempt
    return int(min(BACKOFF_FIRST_MS * factor, BACKOFF_MAX_MS) * (1 - jitter / 2))
