"""What a row of the feed does to the replica: folded, known already, or in doubt."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.appends import canonical_transactions
from sp00ky.scheduler.capture.feed import PAGE_ENTRIES, parse_row, parsed
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.pending import SLICE_CHANGES, Pending
from sp00ky.scheduler.capture.schema import TableSchema

from tests.harness.replica_sink import ReplicaSink

RECORD = ("t", pack(1))


async def with_row_of_stamp_100() -> Offering:
    sink = ReplicaSink()
    offering = Offering(sink)
    offering.schema = {"t": TableSchema("t", 1)}
    reading = await offering.read(created(100), 1, Pending(sink.store), is_checked=True)
    await offering.offer([reading.changes])
    return offering


def created(stamp: int):  # type: ignore[no-untyped-def]
    return parse_row({"versionstamp": stamp, "changes": [{"update": {"id": RecordId("t", 1)}}]})


def deleted(stamp: int):  # type: ignore[no-untyped-def]
    return parse_row(
        {"versionstamp": stamp, "changes": [{"delete": {"id": RecordId("t", 1), "original": {"id": RecordId("t", 1)}}}]}
    )


@pytest.mark.parametrize(("stamp", "resumed", "is_doubted"), [(90, 0, True), (90, 95, False), (100, 0, False)])
async def test_a_new_row_that_is_older_than_what_is_known_is_in_doubt(
    stamp: int, resumed: int, is_doubted: bool
) -> None:
    """The database was started anew with its clock a second behind, which nobody notices when it is reached. Up to
    `resumed_stamp` such a row is one that was delivered before a restart of ours; the same stamp is the same row."""
    offering = await with_row_of_stamp_100()
    offering.resumed_stamp = resumed
    reading = await offering.read(deleted(stamp), 1, Pending(offering.sink.store), is_checked=True)
    assert reading.doubts == ({RECORD} if is_doubted else set())
    assert not reading.changes


async def test_what_was_made_and_deleted_in_one_alignment_does_not_count_again() -> None:
    """Nothing of it is left but the stamp of its deletion, and that is what a redelivery must meet: folded again, the
    record would be back for a moment, torn from the transaction that had made it."""
    offering = await with_row_of_stamp_100()
    store = offering.sink.store
    await offering.offer([(await offering.read(deleted(110), 1, Pending(store), is_checked=True)).changes])
    pending = Pending(store)
    for row in (created(120), deleted(130)):
        await offering.read(row, 1, pending, is_checked=True)
    await offering.offer_aligned(await pending.transaction(), (), ())
    assert store.get(*RECORD) is None
    assert store.stamp_of(*RECORD) == (1, 130)
    offering.resumed_stamp = 130
    pending = Pending(store)
    assert [await offering.read(row, 1, pending, is_checked=True) for row in (created(120), deleted(130))] == [
        ([], set())
    ] * 2


@pytest.mark.parametrize(
    ("stamp", "resumed", "compared_below", "is_doubted"),
    [
        (120, 0, 0, False),
        (120, 0, 121, True),  # it was in the feed when every table was compared
        (120, 0, 120, False),
        (120, 120, 0, True),  # read before a restart, and nothing shows that it was folded
    ],
)
async def test_a_stamp_of_an_earlier_epoch_tells_nothing_of_this_one(
    stamp: int, resumed: int, compared_below: int, is_doubted: bool
) -> None:
    """A comparison leaves a record that is as it should be alone, with the stamp that it has: what the feed held then
    is known, whatever its stamp."""
    offering = await with_row_of_stamp_100()
    offering.resumed_stamp, offering.compared_below = resumed, compared_below
    reading = await offering.read(deleted(stamp), 2, Pending(offering.sink.store), is_checked=True)
    assert reading.doubts == ({RECORD} if is_doubted else set())
    assert len(reading.changes) == (not is_doubted)


async def test_what_was_compared_is_doubted_though_a_newer_change_was_folded() -> None:
    """The clock went back: what is newer may have the lower stamp."""
    offering = await with_row_of_stamp_100()
    offering.compared_below = 111
    reading = await offering.read(deleted(110), 1, Pending(offering.sink.store), is_checked=True)
    assert (reading.doubts, reading.changes) == ({RECORD}, [])


async def test_a_transaction_of_very_many_changes_is_one_and_lets_others_have_their_turns() -> None:
    """By turns of the event loop that others have had meanwhile, at each step of the way to the log."""
    count, turns = 20 * SLICE_CHANGES, 0

    loop = asyncio.get_running_loop()
    other = loop.call_soon(int)

    def take_turn() -> None:
        nonlocal turns, other
        turns += 1
        other = loop.call_soon(take_turn)

    sink = ReplicaSink()
    offering = Offering(sink)
    offering.schema = {"t": TableSchema("t", 1)}
    pending = Pending(sink.store)
    raw = {"versionstamp": 1, "changes": [{"update": {"id": RecordId("t", n)}} for n in range(count)]}
    take_turn()
    try:
        (row,) = (await parsed([raw], PAGE_ENTRIES)).rows
        told = [turns]
        reading = await offering.read(row, 1, pending, is_checked=True)
        told.append(turns)
        assert len(await pending.transaction()) == count
        told.append(turns)
        await canonical_transactions([reading.changes])
        told.append(turns)
    finally:
        other.cancel()
    assert told[0] and all(after - before > 8 for before, after in pairwise(told)), told
    await offering.offer([reading.changes])
    assert [len(transaction) for transaction in sink.transactions] == [count]
