"""What is owed and in which order it is paid, without a database: each step is answered by the test."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.edges.outbox import EDGES_PER_TRANSACTION_MAX, edge_of
from sp00ky.ssp.edges.owed import Claim, Fence, Flush, Forget, Owed, ReadStored, Refused, Register, Step, Write
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta, ViewDropped, ViewHydrated

KEY, OTHER = ViewKey("v"), ViewKey("w")


def member(key: int, version: int = 1) -> MemberChange:
    return MemberChange(RecordId("t", key), version)


def hydrated(key: ViewKey = KEY, *members: MemberChange, writes: bool = True) -> ViewHydrated:
    return ViewHydrated(key, "SELECT * FROM t", b"", "", 0, 10, members, writes)


def begun(incarnation: int = 5) -> Owed:
    """Of an SSP that loaded at its own incarnation."""
    owed = Owed("a")
    owed.begin(incarnation)
    owed.applied_to(incarnation)
    return owed


def paid(owed: Owed, stored: Mapping[str, int] | None = None) -> list[Step]:
    """One flush, every read answered with `stored`; the steps it took."""
    return continued(owed.flush(), None, stored)


def continued(flush: Flush, first: Step | None, stored: Mapping[str, int] | None = None) -> list[Step]:
    steps = []
    try:
        step = first or next(flush)
        while True:
            steps.append(step)
            step = flush.send((stored or {}) if isinstance(step, ReadStored) else None)
    except StopIteration:
        return steps


def written(steps: list[Step]) -> set[str]:
    """Edges put."""
    return {edge for step in steps if isinstance(step, Write) for edges in step.batch.values() for edge in edges.put}


def test_nothing_counts_as_written_before_the_claim() -> None:
    owed = begun()
    owed.applied_to(7)
    assert owed.written_seq == 0
    assert paid(owed) == [Claim()]
    assert owed.written_seq == 7
    owed.applied_to(9)
    assert owed.written_seq == 9


def test_no_view_goes_back_where_an_ssp_loads_behind_its_incarnation() -> None:
    """It may have written up to 4 before it started over; others were loading at 3."""
    owed = Owed("a")
    owed.begin(5)
    owed.fence({"b": 3})
    owed.hydrate(hydrated(KEY, member(1)))
    owed.applied_to(3)
    assert paid(owed) == [Claim(), Fence("b", 3)]
    assert owed.busy and owed.written_seq == 0
    owed.fold(ViewDelta([KEY], 4, added=[member(2, 4)]))
    owed.drop(ViewDropped(OTHER, unregistered=True))
    owed.applied_to(4)
    assert paid(owed) == []
    owed.applied_to(5)
    steps = paid(owed)
    assert steps[:2] == [Forget(OTHER), Register(hydrated(KEY, member(1)))]
    assert written(steps) == {edge_of(KEY, member(1)), edge_of(KEY, member(2))}
    assert not owed.busy and owed.written_seq == 5


def test_every_fence_is_up_before_a_stored_edge_is_read() -> None:
    """Also one that is told while others are being reconciled; several of one owner are one."""
    owed = begun()
    owed.fence({"b": 7, "a": 7})
    owed.fence({"b": 9})
    owed.hydrate(hydrated(KEY, member(1)))
    owed.hydrate(hydrated(OTHER, member(1)))
    flush = owed.flush()
    steps = [next(flush), flush.send(None), flush.send(None)]
    assert steps == [Claim(), Fence("b", 9), Register(hydrated(KEY, member(1)))]
    owed.fence({"c": 11})
    rest = continued(flush, flush.send(None))
    assert rest[:4] == [ReadStored(KEY), Fence("c", 11), Register(hydrated(OTHER, member(1))), ReadStored(OTHER)]


def test_a_fence_holds_back_what_counts_as_written() -> None:
    """Else its view, lost once more before it is hydrated, would find nobody who knows whom to fence."""
    owed = begun()
    paid(owed)
    owed.fence({"b": 12})
    owed.applied_to(12)
    assert owed.written_seq == 5
    flush = owed.flush()
    assert next(flush) == Fence("b", 12)
    with pytest.raises(ConnectionError):
        flush.throw(ConnectionError())
    assert owed.written_seq == 5 and owed.busy
    assert paid(owed) == [Fence("b", 12)]
    assert owed.written_seq == 12


def test_a_view_that_ceased_is_paid_up_to_there_and_no_further() -> None:
    owed = begun()
    owed.hydrate(hydrated())
    paid(owed)
    owed.fold(ViewDelta([KEY], 11, added=[member(1, 11)]))
    owed.cease(KEY)
    owed.fold(ViewDelta([KEY, OTHER], 12, added=[member(2, 12)]))
    owed.applied_to(12)
    assert owed.written_seq < 12
    assert written(paid(owed)) == {edge_of(KEY, member(1)), edge_of(OTHER, member(2))}
    assert owed.written_seq == 12
    owed.fold(ViewDelta([KEY], 13, added=[member(3, 13)]))
    owed.applied_to(13)
    assert owed.written_seq == 13, "what another owes holds nothing back"


def test_a_write_that_failed_before_the_view_ceased_is_made_up_for() -> None:
    owed = begun()
    owed.hydrate(hydrated())
    paid(owed)
    owed.fold(ViewDelta([KEY], 11, added=[member(1, 11)]))
    flush = owed.flush()
    next(flush)
    owed.cease(KEY)
    flush.close()
    owed.applied_to(12)
    assert owed.written_seq < 11
    assert written(paid(owed)) == {edge_of(KEY, member(1))}


def test_a_view_that_is_held_writes_nothing_until_it_is_released() -> None:
    owed = begun()
    owed.hydrate(hydrated(KEY, member(1), writes=False))
    owed.fold(ViewDelta([KEY], 11, added=[member(2, 11)]))
    owed.applied_to(11)
    assert paid(owed) == [Claim()]
    owed.hydrate(hydrated(KEY, member(1), member(2, 11)))
    assert written(paid(owed, {edge_of(KEY, member(1)): 1})) == {edge_of(KEY, member(2))}


def test_what_a_dropped_view_owes_is_void() -> None:
    owed = begun()
    owed.hydrate(hydrated())
    paid(owed)
    owed.fold(ViewDelta([KEY], 11, added=[member(1, 11)]))
    owed.drop(ViewDropped(KEY, unregistered=False))
    assert paid(owed) == []
    owed.drop(ViewDropped(KEY, unregistered=True))
    assert paid(owed) == [Forget(KEY)]


def test_a_view_whose_row_is_refused_is_quarantined_alone() -> None:
    owed = begun()
    owed.hydrate(hydrated(KEY, member(1)))
    owed.hydrate(hydrated(OTHER, member(2)))
    flush = owed.flush()
    next(flush)
    assert flush.send(None) == Register(hydrated(KEY, member(1)))
    steps = continued(flush, flush.throw(Refused("no")))
    assert written(steps) == {edge_of(OTHER, member(2))}
    assert list(owed.quarantined) == [KEY] and not owed.busy


def many(count: int, first: int = 0, version: int = 1) -> list[MemberChange]:
    return [member(number, version) for number in range(first, first + count)]


def of_other(step: Step) -> bool:
    return isinstance(step, Write) and OTHER in step.batch


def test_l2_whoever_owes_little_does_not_wait_for_whoever_owes_much() -> None:
    """A hot view owes five transactions. What another view comes to owe after the first of them is in the second."""
    owed = begun()
    owed.hydrate(hydrated())
    owed.hydrate(hydrated(OTHER))
    paid(owed)
    owed.fold(ViewDelta([KEY], 11, added=many(5 * EDGES_PER_TRANSACTION_MAX, version=11)))
    owed.applied_to(11)
    flush = owed.flush()
    steps = [next(flush)]
    assert isinstance(steps[0], Write) and len(steps[0].batch[KEY]) == EDGES_PER_TRANSACTION_MAX
    for seq in (12, 13):
        owed.fold(ViewDelta([OTHER], seq, added=[member(seq, seq)]))
        owed.applied_to(seq)
        steps.append(flush.send(None))
        assert of_other(steps[-1]) and steps[-1].seq == seq  # type: ignore[union-attr]
        steps.append(flush.send(None))
    steps += continued(flush, flush.send(None))
    assert len(steps) == 7 and len(written(steps)) == 5 * EDGES_PER_TRANSACTION_MAX + 2
    assert owed.written_seq == 11 and not owed.busy


def test_l2_others_are_paid_while_a_large_view_is_removed_or_taken_over() -> None:
    owed = begun()
    owed.hydrate(hydrated(OTHER))
    paid(owed)
    owed.drop(ViewDropped(KEY, unregistered=True))
    flush = owed.flush()
    assert next(flush) == Forget(KEY)
    owed.fold(ViewDelta([OTHER], 12, added=[member(1, 12)]))
    assert of_other(flush.send(EDGES_PER_TRANSACTION_MAX)), "there is more to remove"
    assert flush.send(None) == Forget(KEY)
    with pytest.raises(StopIteration):
        flush.send(3)
    third = ViewKey("third", "user:a")
    owed.hydrate(hydrated(third))
    flush = owed.flush()
    assert next(flush) == Register(hydrated(third))
    owed.fold(ViewDelta([OTHER], 13, added=[member(2, 13)]))
    assert of_other(flush.send(EDGES_PER_TRANSACTION_MAX)), "in its other table there is more"
    assert flush.send(None) == Register(hydrated(third))
    assert flush.send(0) == ReadStored(third)


def test_parts_of_a_large_view_that_were_not_written_are_written_by_the_next_flush() -> None:
    """And what came since follows them."""
    owed, count = begun(), 2 * EDGES_PER_TRANSACTION_MAX - 9
    owed.hydrate(hydrated())
    paid(owed)
    owed.fold(ViewDelta([KEY], 11, added=many(count, version=11)))
    owed.applied_to(11)
    flush = owed.flush()
    first = next(flush)
    tried = written([flush.send(None)])  # type: ignore[list-item]
    owed.fold(ViewDelta([KEY], 12, removed=[member(count - 1)], updated=[member(0, 12)]))
    with pytest.raises(ConnectionError):
        flush.throw(ConnectionError())
    assert owed.written_seq < 11
    rest = paid(owed)
    assert written([first]) | written(rest) == {edge_of(KEY, each) for each in many(count - 1)}
    (last,) = rest
    assert isinstance(last, Write)
    assert last.batch[KEY].put[edge_of(KEY, member(0))].version == 12
    assert last.batch[KEY].gone == {edge_of(KEY, member(count - 1))}
    assert tried and not last.batch[KEY].fresh & tried, "the write that failed may have been carried out"


def test_what_a_large_view_still_owes_is_void_once_it_is_dropped() -> None:
    owed = begun()
    owed.hydrate(hydrated())
    paid(owed)
    owed.fold(ViewDelta([KEY], 11, added=many(3 * EDGES_PER_TRANSACTION_MAX)))
    flush = owed.flush()
    next(flush)
    owed.drop(ViewDropped(KEY, unregistered=True))
    with pytest.raises(StopIteration):
        flush.send(None)
    assert paid(owed) == [Forget(KEY)]


def test_a_view_hydrated_again_while_it_is_paid_is_reconciled_from_scratch() -> None:
    owed = begun()
    owed.hydrate(hydrated())
    paid(owed)
    owed.fold(ViewDelta([KEY], 11, added=many(3 * EDGES_PER_TRANSACTION_MAX)))
    owed.applied_to(11)
    flush = owed.flush()
    next(flush)
    owed.hydrate(hydrated(KEY, member(1, 12)))
    with pytest.raises(StopIteration):
        flush.send(None)
    assert owed.written_seq < 11
    steps = paid(owed, {edge_of(KEY, member(2)): 1})
    assert steps[:2] == [Register(hydrated(KEY, member(1, 12))), ReadStored(KEY)]
    assert written(steps) == {edge_of(KEY, member(1))}


def test_no_version_is_written_above_the_seq_that_is_told_with_it() -> None:
    """By that a restored store knows where to number from."""
    owed = begun()
    owed.hydrate(hydrated(KEY))
    flush = owed.flush()
    next(flush)
    flush.send(None)
    owed.fold(ViewDelta([KEY], 11, added=[member(1, 11)]))
    owed.applied_to(11)
    for step in continued(flush, flush.send(0)):
        if isinstance(step, Write):
            assert all(each.version <= step.seq for edges in step.batch.values() for each in edges.put.values())
