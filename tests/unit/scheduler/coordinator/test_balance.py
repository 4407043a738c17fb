"""Placement policies: who is next."""

from __future__ import annotations

import pytest
from sp00ky.scheduler.coordinator.balance import POLICIES, Candidate, pick
from sp00ky.scheduler.errors import SchedulerInvariantError

A, B, C = Candidate("a", 3, 0.9, 100), Candidate("b", 1, 0.5, 1000), Candidate("c", 1, 0.2, 200)


def test_round_robin_goes_on_after_the_last_one_even_if_it_is_gone() -> None:
    assert [pick("round_robin", [C, A, B], last) for last in ("", "a", "b", "bb", "c", "z")] == [*"abccaa"]


def test_least_queries_takes_the_fewest_and_then_the_smaller_id() -> None:
    assert pick("least_queries", [C, B, A]) == "b"


def test_least_load_adds_cpu_and_share_of_memory() -> None:
    assert pick("least_load", [A, B, C]) == "c"  # 0.4, against 1.0 and 1.5
    assert pick("least_load", [Candidate("b", 2), Candidate("a", 5)]) == "b"  # no heartbeat yet: by views


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_to_choose_is_our_own_fault(policy: str) -> None:
    with pytest.raises(SchedulerInvariantError):
        pick(policy, [])
