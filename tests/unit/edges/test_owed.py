"""What is owed and in which order it is paid, without a database: each step is answered by the test."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.edges.outbox import edge_of
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
