"""0 ≤ acked < next ≤ head + 1, whatever is sent and acknowledged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1.replication_pb2 import Hello
from sp00ky.scheduler.coordinator.progress import (
    CREDIT_BYTES_MAX,
    CREDIT_ENTRIES_MAX,
    CREDIT_FRAMES_MAX,
    Credit,
    Progress,
    credit_of,
)
from sp00ky.scheduler.errors import SchedulerInvariantError


@given(
    st.integers(0, 5),
    st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(1, 40)),
    st.lists(st.tuples(st.sampled_from("sah"), st.integers(0, 12)), max_size=40),
)
def test_no_walk_breaks_the_invariant(start: int, credit: tuple[int, int, int], moves: list[tuple[str, int]]) -> None:
    head = Seq(start)
    progress = Progress.at(Seq(start), Credit(*credit), flowing=True)
    for kind, amount in moves:
        if kind == "h":
            head = Seq(head + amount)
        elif kind == "s" and progress.sendable(head):
            to = Seq(min(head, progress.next_seq + amount))
            if progress.has_room(to - progress.next_seq + 1, 3 * amount):
                progress.sent_to(to, 3 * amount, head)
        elif kind == "a":
            inflight = progress.inflight_frames
            taken = progress.maybe_acked_to(Seq(amount), amount % 3, head)
            assert taken == (amount < progress.next_seq and amount % 3 <= inflight)
        progress.check(head)
        assert progress.inflight_entries == sum(sent.entries for sent in progress.inflight)
        assert progress.inflight_bytes == sum(sent.bytes for sent in progress.inflight)


def test_nothing_is_sent_without_credit_or_before_it_flows() -> None:
    progress = Progress.at(Seq(0), Credit(1), flowing=False)
    assert not progress.sendable(Seq(5))
    with pytest.raises(SchedulerInvariantError):
        progress.sent_to(Seq(1), 0, Seq(5))
    progress.flowing = True
    progress.sent_to(Seq(1), 0, Seq(5))
    assert not progress.sendable(Seq(5))


@pytest.mark.parametrize("credit", [Credit(8, 10), Credit(8, 100, 10)])
def test_a_sender_stops_at_any_limit_and_a_frame_above_it_goes_alone(credit: Credit) -> None:
    progress = Progress.at(Seq(0), credit, flowing=True)
    progress.sent_to(Seq(20), 20, Seq(99))  # 20 entries, 20 bytes: above either limit, and alone
    assert not progress.has_room(1, 1)
    assert progress.maybe_acked_to(Seq(0), 1, Seq(99))
    assert progress.taken_seq == 20 and progress.acked_seq == 0
    progress.sent_to(Seq(26), 6, Seq(99))
    assert progress.has_room(4, 4) and not progress.has_room(5, 5)
    with pytest.raises(SchedulerInvariantError):
        progress.sent_to(Seq(31), 5, Seq(99))


@pytest.mark.parametrize(
    ("hello", "given_credit"),
    [
        (Hello(), Credit(1, CREDIT_ENTRIES_MAX, CREDIT_BYTES_MAX)),
        (Hello(credit=3, credit_entries=7, credit_bytes=9), Credit(3, 7, 9)),
        (
            Hello(credit=10_000, credit_entries=1 << 30, credit_bytes=1 << 40),
            Credit(CREDIT_FRAMES_MAX, CREDIT_ENTRIES_MAX, CREDIT_BYTES_MAX),
        ),
    ],
)
def test_credit_is_bounded(hello: Hello, given_credit: Credit) -> None:
    assert credit_of(hello) == given_credit
