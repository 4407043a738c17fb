"""Hints by themselves: when a record is read again, and when that is over. Time is a number here."""

from __future__ import annotations

import pytest
from sp00ky.proto.faults import RETRY_AFTER_MS, Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture.hints import DELAYS_S, HINT_META, Hints, Posted
from sp00ky.scheduler.datastore.datastore import Append, MetaWrite
from sp00ky.scheduler.datastore.memory import MemoryDatastore

RECORD = ("person", pack(1))
OLD, NEW = b"old", b"new"


def stored(store: MemoryDatastore, metas: list[MetaWrite]) -> list[bytes]:
    """Commit them; the names of the hints that the store keeps then."""
    store.append(Append(store.take_epoch(), Seq(0), [], [], metas))
    return [name for name, _ in store.metas(HINT_META)]


def read_to_the_end(hints: Hints, packed: bytes | None, version: int | None) -> float:
    """When the hint is over, if the record is always read so."""
    while (next_s := hints.next_s()) is not None:
        for hint in hints.due(next_s, 10):
            if hints.was_read(hint, packed, version, next_s):
                hints.end([hint])
                return next_s
    raise AssertionError("nothing is due")


@pytest.mark.parametrize(
    ("post", "before", "packed", "version", "ends"),
    [
        (Posted(RECORD, False, 2), OLD, NEW, 2, "early"),
        (Posted(RECORD, False, 2), OLD, NEW, 5, "early"),
        (Posted(RECORD, False, 2), OLD, NEW, 1, "late"),  # changed by another
        (Posted(RECORD, False, 2), OLD, OLD, 2, "late"),  # of an earlier life, or set by hand: not seen to change
        (Posted(RECORD, False, 2), OLD, NEW, None, "late"),
        (Posted(RECORD, False, None), OLD, NEW, 3, "late"),
        (Posted(RECORD, False, 1), None, NEW, 1, "early"),
        (Posted(RECORD, False, 1), None, None, None, "late"),  # cancelled
        (Posted(RECORD, True), OLD, None, None, "early"),
        (Posted(RECORD, True), OLD, OLD, 3, "late"),
        (Posted(RECORD, True), None, None, None, "late"),
    ],
)
def test_a_hint_is_over_when_its_change_is_seen_or_after_the_last_read(
    post: Posted, before: bytes | None, packed: bytes | None, version: int | None, ends: str
) -> None:
    hints = Hints(MemoryDatastore(), 100.0)
    hints.take([post], {RECORD: before}, 100.0)
    over_s = read_to_the_end(hints, packed, version)
    assert over_s == pytest.approx(100.0 + (DELAYS_S[0] if ends == "early" else sum(DELAYS_S)))
    assert hints.expired == (ends == "late") and len(hints) == 0 and hints.next_s() is None


def test_a_later_hint_for_a_record_begins_anew_and_replaces_the_first_in_the_store() -> None:
    store = MemoryDatastore()
    hints = Hints(store, 0.0)
    first = stored(store, hints.take([Posted(RECORD, False, 3)], {RECORD: OLD}, 0.0))
    (due,) = hints.due(1.0, 10)
    assert not hints.was_read(due, OLD, 2, 1.0)
    second = stored(store, hints.take([Posted(RECORD, False, 2)], {RECORD: OLD}, 2.0))  # posted before it, came after
    assert len(first) == len(second) == 1 and first != second and len(hints) == 1
    assert hints.was_read(due, NEW, 3, 2.0) == []  # was read for the first: the second is not over by it
    (due,) = hints.due(3.0, 10)
    assert not hints.was_read(due, NEW, 2, 3.0)  # the first's version is wanted
    (due,) = hints.due(3.0 + DELAYS_S[1], 10)
    assert not stored(store, hints.was_read(due, NEW, 3, 4.0))


@pytest.mark.parametrize("deletes_first", [True, False])
def test_a_deletion_and_another_change_in_either_order_are_read_to_the_last(deletes_first: bool) -> None:
    posts = [Posted(RECORD, True), Posted(RECORD, False, 1)]
    hints = Hints(MemoryDatastore(), 0.0)
    for post in posts if deletes_first else reversed(posts):
        hints.take([post], {RECORD: OLD}, 0.0)
    assert read_to_the_end(hints, NEW, 9) == pytest.approx(sum(DELAYS_S))


def test_hints_that_a_store_kept_are_read_to_the_last() -> None:
    store = MemoryDatastore()
    others = [Posted(("person", pack(number)), False, 1) for number in range(2, 5)]
    posts = [Posted(RECORD, False, 2), *others]
    assert (
        len(stored(store, Hints(store, 0.0).take(posts, dict.fromkeys((post.record for post in posts), OLD), 0.0))) == 4
    )
    again = Hints(store, 50.0)
    assert len(again) == 4 and len(again.due(51.0, 3)) == 3
    again = Hints(store, 50.0)
    assert read_to_the_end(again, NEW, 2) == pytest.approx(50.0 + sum(DELAYS_S))
    new = stored(store, again.take([Posted(("x", pack(1)), True)], {("x", pack(1)): OLD}, 60.0))
    assert len(new) == 5  # under a number of its own


def test_what_could_not_be_read_is_due_again() -> None:
    hints = Hints(MemoryDatastore(), 0.0)
    hints.take([Posted(RECORD, True)], {RECORD: OLD}, 0.0)
    due = hints.due(1.0, 10)
    assert due and not hints.due(1.0, 10)
    hints.put_back(due)
    assert hints.due(1.0, 10) == due


def test_more_hints_than_the_limit_are_refused_with_when_to_come_again() -> None:
    hints = Hints(MemoryDatastore(), 0.0, hints_max=2)
    posts = [Posted(("person", pack(number)), True) for number in range(3)]
    before = dict.fromkeys((post.record for post in posts), OLD)
    hints.take(posts[:2], before, 0.0)
    with pytest.raises(Fault) as caught:
        hints.take(posts[2:], before, 0.0)
    assert caught.value.code is Code.OVERLOADED and caught.value.details[RETRY_AFTER_MS] and len(hints) == 2
    assert hints.take(posts[:1], before, 0.0)  # one that waits already takes no more room
