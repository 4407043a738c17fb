"""What a row of the feed does to the replica: folded, known already, or in doubt."""

from __future__ import annotations

import pytest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture.feed import parse_row
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.pending import Pending
from sp00ky.scheduler.capture.schema import TableSchema

from tests.harness.replica_sink import ReplicaSink

RECORD = ("t", pack(1))


async def with_row_of_stamp_100() -> Offering:
    sink = ReplicaSink()
    offering = Offering(sink)
    offering.schema = {"t": TableSchema("t", 1)}
    reading = offering.read(created(100), 1, Pending(sink.store), is_checked=True)
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
    reading = offering.read(deleted(stamp), 1, Pending(offering.sink.store), is_checked=True)
    assert reading.doubts == ({RECORD} if is_doubted else set())
    assert not reading.changes
