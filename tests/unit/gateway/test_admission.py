"""Token buckets: never more than the rate allows, no caller without its share, no more than are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.gateway.admission import BURST_SECONDS, Admission, Buckets, Shed
from sp00ky.gateway.exchange import Limits

STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=60)


@given(rate=st.integers(1, 5), steps=STEPS)
def test_over_any_time_a_caller_gets_no_more_than_burst_and_rate(rate: int, steps: list[tuple[str, float]]) -> None:
    buckets, now = Buckets(rate), 0.0
    taken: dict[str, list[float]] = {"a": [], "b": []}
    for caller, passed in steps:
        now += passed
        wait = buckets.take(caller, now)
        if not wait:
            taken[caller].append(now)
        assert wait <= 1 / rate + 1e-9
    for times in taken.values():
        for first, begun in enumerate(times):
            for last in range(first, len(times)):
                allowed = max(1.0, rate * BURST_SECONDS) + (times[last] - begun) * rate
                assert last - first + 1 <= allowed + 1e-6


@given(rate=st.integers(1, 1000))
def test_who_waits_as_long_as_it_is_told_is_served(rate: int) -> None:
    buckets, now = Buckets(rate), 0.0
    for _ in range(rate * 3):
        now += buckets.take("a", now) + 1e-6
        assert buckets.take("a", now) <= 1 / rate + 1e-9
    assert buckets.take("b", now) == 0, "and nobody waits for another"


def test_callers_that_are_kept_are_bounded() -> None:
    buckets = Buckets(1, callers_max=3)
    for caller in "abcdabcd":
        buckets.take(caller, 0.0)
        assert len(buckets) <= 3


def test_a_rate_of_nought_is_no_limit() -> None:
    buckets = Buckets(0)
    assert not any(buckets.take("a", 0.0) for _ in range(10_000))
    assert len(buckets) == 0


def test_every_class_has_a_place_and_gives_it_back() -> None:
    admission = Admission(Limits(requests_inflight_max=1))
    admission.enter("new")
    with pytest.raises(Shed):
        admission.enter("health")
    admission.leave()
    admission.enter("read")
