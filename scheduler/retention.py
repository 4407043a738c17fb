"""How much of the past is kept: which floor a store should have, and from where on its log. Pure.

    revisions   readable for `window_ms`, unless more than `window_bytes` of log were written since
    log         as far back as revisions are readable, or an SSP that may resume still needs it; but never more than
                `log_bytes_max`, nor anything older than `log_age_ms_max`. Beyond that an SSP loads anew. These caps
                hold for revisions, too: garbage is found by walking the log.

Age is measured by samples of (monotonic time, head): a revision is as old as the first sample at or above it. There are
none from before a restart, so the window starts anew then, and more is kept, never less. Bytes are the store's to know.

Invariant: a plan's floors never exceed the newest sample's head. The store bounds them further: by pins, by reads in
progress, by what is durable.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from sp00ky.proto.revision import Seq

SAMPLES_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    window_ms: int
    window_bytes: int
    log_age_ms_max: int
    log_bytes_max: int

    @property
    def spacing_ms(self) -> int:
        """Between two samples, so that SAMPLES_MAX reach as far back as is asked."""
        return max(self.window_ms, self.log_age_ms_max) // (SAMPLES_MAX - 2)


class Plan(NamedTuple):
    """`floor`: revisions below it may go. `log_floor`: entries below it may go. `is_forced`: although an SSP that may
    resume needs some of them."""

    floor: Seq
    log_floor: Seq
    is_forced: bool


class Retention:
    def __init__(self, policy: RetentionPolicy) -> None:
        self._policy = policy
        self._times: list[int] = []
        self._heads: list[Seq] = []

    @property
    def samples(self) -> int:
        return len(self._times)

    def sampled(self, now_ms: int, head: Seq) -> None:
        """The durable head at a time; times and heads ascend."""
        assert not self._times or (now_ms >= self._times[-1] and head >= self._heads[-1]), "samples ascend"
        spacing = self._policy.spacing_ms
        if len(self._times) > 1 and now_ms - self._times[-2] < spacing:
            self._times[-1], self._heads[-1] = now_ms, head  # the newest is exact, those before it are spaced
        else:
            self._times.append(now_ms)
            self._heads.append(head)
        old = bisect_right(self._times, now_ms - max(self._policy.window_ms, self._policy.log_age_ms_max)) - 1
        if old > 0:
            del self._times[:old], self._heads[:old]
        assert len(self._times) <= SAMPLES_MAX

    def plan(self, now_ms: int, needed: Seq, seq_within: Callable[[int], Seq]) -> Plan:
        """`needed`: the lowest entry that an SSP which may resume still needs. `seq_within(n)`: the lowest seq above
        which the log has at most n bytes."""
        policy, newest = self._policy, self._heads[-1]
        by_bytes = seq_within(min(policy.window_bytes, policy.log_bytes_max))
        by_age = self._head_before(now_ms - min(policy.window_ms, policy.log_age_ms_max))
        floor = min(newest, max(by_age, by_bytes))
        wished = min(floor + 1, needed)
        cap = max(self._head_before(now_ms - policy.log_age_ms_max), seq_within(policy.log_bytes_max)) + 1
        log_floor = min(max(wished, cap), floor + 1)
        return Plan(Seq(floor), Seq(log_floor), is_forced=log_floor > needed)

    def _head_before(self, at_ms: int) -> Seq:
        """The head at a time: of the last sample not after it; 0 if there is none."""
        index = bisect_right(self._times, at_ms) - 1
        return self._heads[index] if index >= 0 else Seq(0)
