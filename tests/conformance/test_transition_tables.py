"""Every state machine is a total decision: each (phase, signal) pair leads somewhere or is refused aloud."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
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
