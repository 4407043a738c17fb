"""Every state machine is a total decision: each (phase, signal) pair leads somewhere or is refused aloud."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from sp00ky.scheduler.coordinator import ownership
from sp00ky.scheduler.coordinator.membership import DOCUMENTED, TRANSITIONS, Phase, Signal, diagram, phase_after
from sp00ky.scheduler.errors import SchedulerInvariantError

PAIRS = list(itertools.product(Phase, Signal))
README = Path(__file__).resolve().parents[2] / "scheduler" / "README.md"


@pytest.mark.parametrize(("phase", "signal"), PAIRS, ids=lambda item: item.name)
def test_every_pair_moves_or_raises(phase: Phase, signal: Signal) -> None:
    if (phase, signal) in TRANSITIONS:
        assert phase_after(phase, signal) is TRANSITIONS[(phase, signal)]
    else:
        with pytest.raises(SchedulerInvariantError):
            phase_after(phase, signal)


def test_gone_is_final_and_nothing_else_is() -> None:
    leaving = {before for before, _ in TRANSITIONS}
    assert set(Phase) - leaving == {Phase.GONE}


def test_every_phase_is_reached_from_joining() -> None:
    reached, frontier = {Phase.JOINING}, [Phase.JOINING]
    while frontier:
        here = frontier.pop()
        for (before, _), after in TRANSITIONS.items():
            if before is here and after not in reached:
                reached.add(after)
                frontier.append(after)
    assert reached == set(Phase)


def test_every_living_phase_can_time_out() -> None:
    for phase in Phase:
        assert ((phase, Signal.TIMED_OUT) in TRANSITIONS) == (phase is not Phase.GONE)


def test_only_catching_up_makes_ready() -> None:
    assert [pair for pair, after in TRANSITIONS.items() if after is Phase.READY] == [
        (Phase.REPLAYING, Signal.CAUGHT_UP)
    ]


def test_every_phase_has_a_documented_name() -> None:
    assert set(DOCUMENTED) == set(Phase)
    assert set(DOCUMENTED.values()) == {"bootstrapping", "replaying", "ready", "stale"}


def test_the_readme_shows_this_table() -> None:
    assert diagram() in README.read_text()


# --- whose a view is -------------------------------------------------------------------------------------------------

OWNERSHIP_PAIRS = list(itertools.product(ownership.State, ownership.Signal))


@pytest.mark.parametrize(("state", "signal"), OWNERSHIP_PAIRS, ids=lambda item: item.name)
def test_every_pair_of_a_views_ownership_moves_or_raises(state: ownership.State, signal: ownership.Signal) -> None:
    if (state, signal) in ownership.TRANSITIONS:
        assert ownership.state_after(state, signal) is ownership.TRANSITIONS[(state, signal)]
    else:
        with pytest.raises(SchedulerInvariantError):
            ownership.state_after(state, signal)


def test_a_view_is_gone_only_once_its_edges_are() -> None:
    leaving = {before for before, _ in ownership.TRANSITIONS}
    assert set(ownership.State) - leaving == {ownership.State.GONE}
    assert [pair for pair, after in ownership.TRANSITIONS.items() if after is ownership.State.GONE] == [
        (ownership.State.LEAVING, ownership.Signal.FORGOTTEN)
    ]


def test_every_state_of_a_view_is_reached_from_unassigned_and_leads_out() -> None:
    reached, frontier = {ownership.State.UNASSIGNED}, [ownership.State.UNASSIGNED]
    while frontier:
        here = frontier.pop()
        for (before, _), after in ownership.TRANSITIONS.items():
            if before is here and after not in reached:
                reached.add(after)
                frontier.append(after)
    assert reached == set(ownership.State)


def test_an_owner_can_be_lost_in_every_state_that_has_one() -> None:
    states = set(ownership.State) - {ownership.State.UNASSIGNED, ownership.State.GONE}
    assert {state for state, signal in ownership.TRANSITIONS if signal is ownership.Signal.OWNER_LOST} == states


@pytest.mark.parametrize("owner", ["", "b"])
@pytest.mark.parametrize("fences", [(), ("x",)])
@pytest.mark.parametrize("former", ["", "a"])
@pytest.mark.parametrize("left", [0, 7])
def test_every_combination_of_facts_is_a_state(owner: str, fences: tuple[str, ...], former: str, left: int) -> None:
    state = ownership.state_of(owner, fences, former, left)
    if left:
        assert state is ownership.State.LEAVING
    elif not owner:
        assert state is ownership.State.UNASSIGNED
    elif former:
        assert state is ownership.State.HANDING_OVER
    else:
        assert state is (ownership.State.FENCING if fences else ownership.State.OWNED)


def test_the_readme_shows_that_table_too() -> None:
    assert ownership.diagram() in README.read_text()
