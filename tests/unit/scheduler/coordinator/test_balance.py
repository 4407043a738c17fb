"""Placement policies: who is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.scheduler.coordinator.balance import (
    AFFINITY_SKEW,
    AFFINITY_VIEWS,
    POLICIES,
    SETTLED_SKEW,
    SETTLED_VIEWS,
    Candidate,
    levelling,
    levelling_by_shape,
    pick,
)
from sp00ky.scheduler.errors import SchedulerInvariantError

A, B, C = Candidate("a", 3, 0.9, 100), Candidate("b", 1, 0.5, 1000), Candidate("c", 1, 0.2, 200)


def test_round_robin_goes_on_after_the_last_one_even_if_it_is_gone() -> None:
    assert [pick("round_robin", [C, A, B], last) for last in ("", "a", "b", "bb", "c", "z")] == [*"abccaa"]


def test_least_queries_takes_the_fewest_and_then_the_smaller_id() -> None:
    assert pick("least_queries", [C, B, A]) == "b"


def test_least_load_adds_cpu_and_share_of_memory() -> None:
    assert pick("least_load", [A, B, C]) == "c"  # 0.4, against 1.0 and 1.5
    assert pick("least_load", [Candidate("b", 2), Candidate("a", 5)]) == "b"  # no heartbeat yet: by views


def test_one_heartbeat_does_not_send_everything_to_one_ssp() -> None:
    placed = {"a": 0, "b": 0}
    for _ in range(100):
        candidates = [Candidate(ssp_id, count, load, 100, count) for (ssp_id, count), load in
                      zip(placed.items(), (0.2, 0.6), strict=True)]  # fmt: skip
        placed[pick("least_load", candidates)] += 1
    assert placed == {"a": 70, "b": 30}


@given(st.lists(st.sampled_from("stuvw"), max_size=80))
def test_affinity_keeps_shapes_together_within_its_skew(shapes: list[str]) -> None:
    held: dict[str, list[str]] = {"a": [], "b": [], "c": []}
    for shape in shapes:
        candidates = [Candidate(ssp_id, len(views), of_shape=views.count(shape)) for ssp_id, views in held.items()]
        chosen = pick("affinity", candidates)
        homes = [ssp_id for ssp_id, views in held.items() if shape in views]
        views_max = AFFINITY_SKEW * sum(map(len, held.values())) / 3 + AFFINITY_VIEWS
        assert chosen in homes or all(len(held[home]) + 1 > views_max for home in homes)
        held[chosen].append(shape)
        assert len(held[chosen]) <= views_max or len(held[chosen]) == min(map(len, held.values())) + 1


def even(views: dict[str, int]) -> bool:
    gap = max(views.values()) - min(views.values())
    return gap <= max(SETTLED_VIEWS, SETTLED_SKEW * sum(views.values()) / len(views))


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 60), min_size=1))
def test_levelling_evens_out_and_moves_no_more_than_it_must(views: dict[str, int]) -> None:
    transfers = levelling(views)
    assert bool(transfers) == (not even(views))
    after = dict(views)
    for transfer in transfers:
        after[transfer.from_id] -= transfer.views
        after[transfer.to_id] += transfer.views
    if transfers:
        assert max(after.values()) - min(after.values()) <= 1
        assert sum(each.views for each in transfers) == sum(max(0, views[key] - after[key]) for key in views)
        assert not {each.from_id for each in transfers} & {each.to_id for each in transfers}


@given(
    st.dictionaries(
        st.sampled_from("abcd"), st.dictionaries(st.sampled_from(["", *"stuv"]), st.integers(1, 30)), min_size=1
    )
)
def test_whole_shapes_move_and_the_gap_only_narrows(shapes: dict[str, dict[str, int]]) -> None:
    held = {ssp_id: dict(counts) for ssp_id, counts in shapes.items()}
    before = {ssp_id: sum(counts.values()) for ssp_id, counts in held.items()}
    for transfer in levelling_by_shape(shapes):
        source, target = held[transfer.from_id], held[transfer.to_id]
        gap = sum(source.values()) - sum(target.values())
        assert transfer.shape is not None
        assert transfer.views == source[transfer.shape] if transfer.shape else transfer.views <= source[""]
        source[transfer.shape] -= transfer.views
        target[transfer.shape] = target.get(transfer.shape, 0) + transfer.views
        assert abs(sum(source.values()) - sum(target.values())) < gap
    assert even(before) == (not levelling_by_shape(shapes)) or not even(before)


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_to_choose_is_our_own_fault(policy: str) -> None:
    with pytest.raises(SchedulerInvariantError):
        pick(policy, [])
