"""The life of a view is decided for every pair of state and signal, and the diagram in its module tells the truth."""

from __future__ import annotations

import itertools

import pytest
from sp00ky.ssp.views.lifecycle import TRANSITIONS, BadTransition, Signal, State, after

PAIRS = list(itertools.product(State, Signal))
REFUSED = {
    (State.PENDING, Signal.SETTLED),  # nothing was published yet
    (State.LIVE, Signal.HYDRATED),  # it has a result already
    (State.LAGGING, Signal.HYDRATED),
    (State.FAILED, Signal.SETTLED),  # it hydrates again
}


@pytest.mark.parametrize(("state", "signal"), PAIRS)
def test_every_pair_is_decided(state: State, signal: Signal) -> None:
    if (state, signal) in REFUSED:
        with pytest.raises(BadTransition, match=f"a {state} view cannot be {signal}"):
            after(state, signal)
    else:
        assert after(state, signal) is TRANSITIONS[state, signal]


def test_nothing_is_decided_twice() -> None:
    assert set(TRANSITIONS) | REFUSED == set(PAIRS)
    assert not set(TRANSITIONS) & REFUSED


@pytest.mark.parametrize("state", State)
def test_every_state_can_start_over_and_can_break(state: State) -> None:
    assert after(state, Signal.REPLANNED) is State.PENDING
    assert after(state, Signal.BROKE) is State.FAILED


def test_every_state_is_reached_from_pending() -> None:
    reached = {State.PENDING}
    while True:
        more = {to for (state, _), to in TRANSITIONS.items() if state in reached}
        if more <= reached:
            break
        reached |= more
    assert reached == set(State)
