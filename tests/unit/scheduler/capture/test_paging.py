"""A page of the feed that does not come whole is asked for again with fewer entries, and passed over in the end."""

from __future__ import annotations

import pytest
from sp00ky.proto import database as connection
from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.capture import capture as following
from sp00ky.scheduler.capture.paging import GROW_MS, LOSSES_MAX, Paging, is_lost

from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink
from tests.unit.scheduler.capture.test_capture import FreshDatabase, assert_equal, capturing

FRAME_BYTES = 1024 * 1024
CREATE = "FOR $i IN $ids { CREATE type::record('logs', $i) SET text = string::repeat('x', 200) RETURN NONE }"


@pytest.fixture(autouse=True)
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FRAME_BYTES_MAX", FRAME_BYTES)
    monkeypatch.setattr(following, "BACKOFF_MAX_SECONDS", 0.05)


def test_a_lost_answer_halves_the_page_and_a_while_without_one_doubles_it() -> None:
    paging = Paging(10)
    assert [(paging.lost(0), paging.entries) for _ in range(4)] == [(False, 5), (False, 3), (False, 2), (False, 1)]
    assert [paging.lost(0) for _ in range(LOSSES_MAX)] == [False] * (LOSSES_MAX - 1) + [True]
    paging.came(GROW_MS - 1)
    assert paging.entries == 1
    grown = []
    for turn in range(1, 6):
        paging.came(turn * GROW_MS)
        grown.append(paging.entries)
    assert grown == [2, 4, 8, 10, 10]


def test_only_a_lost_or_late_answer_counts() -> None:
    assert {code for code in Code if is_lost(Fault(code, "m"))} == {Code.UNAVAILABLE, Code.TIMEOUT}


async def test_a_page_larger_than_a_frame_is_read_in_parts_and_a_transaction_that_is_passed_over(
    fresh_database: FreshDatabase,
) -> None:
    database = await fresh_database()
    writer = await fresh_database(database.namespace)
    sink = ReplicaSink()
    async with capturing(database, sink):
        pass
    for begin in range(0, 6400, 800):  # about 200 KB each, 1.6 MB in all
        await writer.query(f"BEGIN; {CREATE}; COMMIT", {"ids": list(range(begin, begin + 800))})
    sink = ReplicaSink(sink.store)
    async with capturing(database, sink, ready=False) as capture:
        await eventually(lambda: sink.store.count("logs") == 6400, 20)
        assert capture.poisoned == 0
        await writer.query("DELETE logs RETURN NONE; CREATE other:1")
        await eventually(lambda: sink.store.count("logs") == 0 and sink.store.count("other") == 1, 20)
        await writer.query("CREATE other:2")
        await eventually(lambda: sink.store.count("other") == 2 and not capture.lost, 10)
        letters = capture.offering.letters.after(0, 10)
        assert letters and all("too large to be read" in letter.reason for letter in letters)
        await assert_equal(database, sink)
