"""0 ≤ acked < next ≤ head + 1, whatever is sent and acknowledged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto.revision import Seq
from sp00ky.scheduler.coordinator.progress import CREDIT_FRAMES_MAX, Progress
from sp00ky.scheduler.errors import SchedulerInvariantError


@given(
    st.integers(0, 5), st.integers(1, 4), st.lists(st.tuples(st.sampled_from("sah"), st.integers(0, 12)), max_size=40)
)
def test_no_walk_breaks_the_invariant(start: int, credit: int, moves: list[tuple[str, int]]) -> None:
    head = Seq(start)
    progress = Progress.at(Seq(start), credit, flowing=True)
    for kind, amount in moves:
        if kind == "h":
            head = Seq(head + amount)
        elif kind == "s" and progress.sendable(head):
            progress.sent_to(Seq(min(head, progress.next_seq + amount)), head)
        elif kind == "a":
            taken = progress.maybe_acked_to(Seq(amount), amount % 3, head)
            assert taken or amount >= progress.next_seq or amount % 3 > progress.inflight_frames
        progress.check(head)


def test_nothing_is_sent_without_credit_or_before_it_flows() -> None:
    progress = Progress.at(Seq(0), 1, flowing=False)
    assert not progress.sendable(Seq(5))
    with pytest.raises(SchedulerInvariantError):
        progress.sent_to(Seq(1), Seq(5))
    progress.flowing = True
    progress.sent_to(Seq(1), Seq(5))
    assert not progress.sendable(Seq(5))


@pytest.mark.parametrize(("asked", "given_credit"), [(0, 1), (3, 3), (10_000, CREDIT_FRAMES_MAX)])
def test_credit_is_bounded(asked: int, given_credit: int) -> None:
    assert Progress.at(Seq(0), asked, flowing=True).credit_frames == given_credit
