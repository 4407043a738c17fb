"""An SSP is found behind once an episode, and only if it gets nowhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sp00ky.scheduler.coordinator.lag import Lag

LIMIT, PATIENCE = 10, 1_000


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 600)), max_size=60))
def test_it_is_found_only_after_a_period_in_which_its_lag_never_shrank(history: list[tuple[int, int]]) -> None:
    lag, now, episode, armed = Lag(), 0, list[tuple[int, int]](), True
    for entries, elapsed in history:
        now += elapsed
        episode = [*episode, (now, entries)] if entries > LIMIT else []
        armed = armed or not episode
        period = [each for at, each in episode if at > now - PATIENCE]
        earlier = [each for at, each in episode if at <= now - PATIENCE]
        found = lag.is_behind(entries, LIMIT, now, PATIENCE)
        assert found == (armed and bool(earlier) and min(earlier) <= min(period, default=entries))
        if found:
            armed, episode = False, []


def test_what_works_it_off_is_left_alone_and_what_is_stuck_is_not() -> None:
    lag = Lag()
    assert not any(lag.is_behind(10_000 - step, LIMIT, step * 900, PATIENCE) for step in range(100))
    assert lag.is_behind(9_901, LIMIT, 99 * 900 + PATIENCE, PATIENCE)
    assert not any(lag.is_behind(9_901, LIMIT, 200_000 + step * 900, PATIENCE) for step in range(100))
    assert not lag.is_behind(LIMIT, LIMIT, 400_000, PATIENCE)
    assert not lag.is_behind(LIMIT + 1, LIMIT, 400_000, PATIENCE)
    assert lag.is_behind(LIMIT + 1, LIMIT, 400_000 + PATIENCE, PATIENCE)
