"""A backlog that begins with a change in doubt is folded in parts."""

from __future__ import annotations

import pytest
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture import alignment
from sp00ky.scheduler.capture.progress import PROGRESS_META, progress_of

from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink
from tests.unit.scheduler.capture.test_capture import FreshDatabase, assert_equal, capturing

PART = 200


async def test_one_doubt_does_not_make_a_backlog_one_transaction(
    fresh_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "FOLDED_CHANGES_MAX", PART)
    database = await fresh_database()
    writer = await fresh_database(database.namespace)
    await database.query("CREATE t:0 SET n = 0")
    sink = ReplicaSink()
    async with capturing(database, sink):
        pass
    # the replica lacks what the first change of the backlog was built on
    await sink.offer_transactions([[common_pb2.Change(table="t", op=common_pb2.OP_DELETE, key=pack(0))]], ())
    before = len(sink.transactions)
    await writer.query("UPDATE t:0 SET n = 1")
    for begin in range(1, 3001, 100):
        await writer.query("; ".join(f"CREATE t:{n} SET n = {n}" for n in range(begin, begin + 100)))
    async with capturing(database, sink) as capture:
        await assert_equal(database, sink)
        sizes = [len(transaction) for transaction in sink.transactions[before:]]
        assert sum(sizes) >= 3001 and max(sizes) <= PART + 1000  # and a page
        assert capture.metrics["capture_split_comparisons"] >= 1
        await eventually(lambda: _is_cloned(sink))
        assert capture.state == "ready"


def _is_cloned(sink: ReplicaSink) -> bool:
    progress = progress_of(sink.store.meta(PROGRESS_META))
    return progress is not None and progress.cloned
