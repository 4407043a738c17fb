"""How much of the past is kept: by time, by bytes, by what an SSP needs, and by the caps on that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto.revision import Seq
from sp00ky.scheduler.retention import SAMPLES_MAX, Retention, RetentionPolicy

POLICY = RetentionPolicy(window_ms=60_000, window_bytes=1_000, log_age_ms_max=600_000, log_bytes_max=5_000)


def all_fits(size: int) -> Seq:
    return Seq(0)


def ten_bytes_each(head: int) -> object:
    return lambda size: Seq(max(0, head - size // 10))


def sampled(*heads: tuple[int, int], policy: RetentionPolicy = POLICY) -> Retention:
    retention = Retention(policy)
    for at_ms, head in heads:
        retention.sampled(at_ms, Seq(head))
    return retention


def test_nothing_goes_before_the_window_has_passed() -> None:
    retention = sampled((0, 10), (30_000, 20), (59_999, 30))
    assert retention.plan(59_999, Seq(31), all_fits) == (0, 1, False)


def test_what_was_head_a_window_ago_is_the_floor() -> None:
    retention = sampled((0, 10), (30_000, 20), (60_000, 30), (100_000, 40))
    assert retention.plan(60_000, Seq(41), all_fits).floor == 10
    assert retention.plan(90_000, Seq(41), all_fits).floor == 20
    assert retention.plan(100_000, Seq(41), all_fits) == (20, 21, False)


def test_an_idle_store_keeps_its_head() -> None:
    retention = sampled((0, 7), (1_000_000, 7))
    assert retention.plan(9_000_000, Seq(8), all_fits) == (7, 8, False)


def test_a_restart_begins_the_window_anew() -> None:
    assert sampled((5_000_000, 1_000)).plan(5_000_000, Seq(1_001), all_fits).floor == 0


def test_bytes_bound_the_window() -> None:
    retention = sampled((0, 10), (1_000, 500))
    assert retention.plan(1_000, Seq(501), ten_bytes_each(500)).floor == 400  # type: ignore[arg-type]


def test_the_log_is_kept_for_the_slowest_ssp() -> None:
    retention = sampled((0, 100), (60_000, 100))
    assert retention.plan(60_000, Seq(40), all_fits) == (100, 40, False)


def test_beyond_its_cap_of_bytes_the_log_goes_although_it_is_needed() -> None:
    retention = sampled((0, 1_000), (1_000, 1_000))
    assert retention.plan(1_000, Seq(40), ten_bytes_each(1_000)) == (900, 501, True)  # type: ignore[arg-type]


def test_beyond_its_cap_of_age_the_log_goes_although_it_is_needed() -> None:
    retention = sampled((0, 100), (300_000, 200), (600_000, 300))
    assert retention.plan(600_000, Seq(40), all_fits).log_floor == 101
    assert retention.plan(600_000, Seq(40), all_fits).is_forced
    assert not retention.plan(599_999, Seq(40), all_fits).is_forced


def test_a_log_cap_below_the_window_shortens_the_window() -> None:
    small = RetentionPolicy(60_000, window_bytes=10_000, log_age_ms_max=600_000, log_bytes_max=100)
    retention = sampled((0, 500), policy=small)
    assert retention.plan(0, Seq(501), ten_bytes_each(500)) == (490, 491, False)  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 50)), min_size=1, max_size=1_500),
    st.integers(1, 100_000),
    st.integers(1, 100_000),
)
def test_samples_are_bounded_and_the_floor_is_never_too_high(
    steps: list[tuple[int, int]], window_ms: int, age_ms: int
) -> None:
    policy = RetentionPolicy(window_ms, 10**9, age_ms, 10**9)
    retention, now, head = Retention(policy), 0, 0
    history: list[tuple[int, int]] = []
    floor = 0
    for ms, entries in steps:
        now, head = now + ms, head + entries
        history.append((now, head))
        retention.sampled(now, Seq(head))
        plan = retention.plan(now, Seq(head + 1), all_fits)
        readable = [seq for at, seq in history if at <= now - min(window_ms, age_ms)]
        assert plan.floor <= max(readable, default=0)  # what was head within the window is readable
        assert plan.floor >= floor and plan.log_floor <= plan.floor + 1
        floor = plan.floor
    assert retention.samples <= SAMPLES_MAX
