"""Results and their changes: any two results, folded; and small ones, by hand."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto.folding import Change, Member, Place, Placed, Result, Splice, diff, fold, splices

IDS = st.sampled_from("abcdefgh")
MEMBERS = st.lists(
    st.builds(Member, IDS, st.integers(1, 2), st.sampled_from(["", "a"]), st.sampled_from(["", "r"])), max_size=9
)
ROWS = st.lists(st.sampled_from(["1", "2", "3", "4", "5"]), max_size=9)
RESULTS = st.builds(Result, MEMBERS, ROWS)
UNIQUE = st.builds(
    Result,
    st.lists(st.builds(Member, IDS, st.integers(1, 2), st.just(""), st.just("")), unique_by=lambda m: m.id),
    ROWS,
)


@given(RESULTS, RESULTS)
def test_any_result_becomes_any_other(old: Result, new: Result) -> None:
    folded = copy.deepcopy(old)
    fold(folded, diff(old, new))
    assert folded == new


@given(UNIQUE, UNIQUE, st.sets(IDS))
def test_what_stands_is_not_named_and_what_shows_something_else_is(old: Result, new: Result, others: set[str]) -> None:
    reshown = {Place(each) for each in others}
    change = diff(old, new, reshown)
    folded = copy.deepcopy(old)
    fold(folded, change)
    assert folded == new
    before, after = ({each.id: each for each in result.members} for result in (old, new))
    updated = {each.member.id for each in change.updated}
    assert {each.id for each in change.removed} == before.keys() - after.keys()
    assert {each.member.id for each in change.added} == after.keys() - before.keys()
    assert {id_ for id_ in before.keys() & after.keys() if before[id_] != after[id_] or id_ in others} <= updated
    assert updated <= before.keys() & after.keys()


def test_nothing_is_nothing() -> None:
    result = Result([Member("a", 1), Member("b", 2)], ["1", "2"])
    assert not diff(result, copy.deepcopy(result))


def test_a_member_that_moves_is_the_only_one_named() -> None:
    old = Result([Member(each, 1) for each in "abcdef"], list("abcdef"))
    new = Result([Member(each, 1) for each in "fabcde"], list("fabcde"))
    assert diff(old, new) == Change([], [], [Placed(0, Member("f", 1))], [Splice(0, 0, ("f",)), Splice(6, 1, ())])


def test_a_window_that_is_entered_at_its_head_lets_go_of_its_tail() -> None:
    assert splices(list("bcd"), list("abc")) == [Splice(0, 0, ("a",)), Splice(3, 1, ())]
    assert splices(list("abc"), list("axc")) == [Splice(1, 1, ("x",))]
    assert splices([], ["a"]) == [Splice(0, 0, ("a",))]
    assert splices(["a"], []) == [Splice(0, 1, ())]
