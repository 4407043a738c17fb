"""The kept trees: exact at their revision, whatever is written, deleted and built meanwhile; folded at a pace."""

from __future__ import annotations

import asyncio
import random

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.merkle import Tree, place_of
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.datastore import RowWrite
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.integrity import trees as trees_module
from sp00ky.scheduler.integrity.trees import Pace, TableTrees, stored_digest

from tests.harness.eventually import eventually
from tests.harness.stores import Writer, scan_all


class Kept:
    """A store whose writes are durable and marked, as the commit loop does it."""

    def __init__(self) -> None:
        self.store = MemoryDatastore()
        self.writer = Writer(self.store)
        self.trees = TableTrees(self.store)

    async def write(self, table: str, key: int, n: int | None) -> None:
        packed = None if n is None else pack({"id": RecordId(table, key), "n": n})
        seq = self.writer.write((table, pack(key), packed))
        await self.store.sync()
        self.trees.mark([RowWrite(table, pack(key), packed, seq, (0, 0))])

    def twin(self, table: str, at: Seq) -> Tree:
        tree = Tree()
        for row in scan_all(self.store, table, at):
            tree.put(place_of(RecordId(table, int.from_bytes(row.key[-1:], "big"))), stored_digest(row.packed))
        return tree


async def test_a_tree_is_exact_at_its_revision_whatever_is_written_meanwhile() -> None:
    kept, draw = Kept(), random.Random(5)
    for key in range(100):
        await kept.write("a", key, key)
    kept.trees.trees["a"] = await kept.trees.built("a", 1.0)
    for _ in range(20):
        for _ in range(30):
            await kept.write("a", draw.randrange(100), draw.choice((None, draw.randrange(5))))
        folding = asyncio.create_task(kept.trees.settled())
        await eventually(lambda: not kept.trees.marks)  # the fold has begun, at its revision
        await kept.write("a", draw.randrange(100), draw.randrange(5))
        await folding
        now = kept.trees.trees["a"]
        assert dict(now.tree.records()) == dict(kept.twin("a", now.at).records())
    assert (await kept.trees.tree("a")).at == kept.store.head_seq and not kept.trees.marks
    assert kept.trees.counters.records < 20 * 31 + 1  # what changed twice within a fold was digested once


async def test_a_fold_that_is_broken_off_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    await kept.write("a", 1, 1)
    kept.trees.trees["a"] = await kept.trees.built("a", 1.0)
    for key in range(250):
        await kept.write("a", key % 120, key)
    with monkeypatch.context() as patch:
        patch.setattr(Pace, "rest", lambda pace: asyncio.Event().wait())
        folding = asyncio.create_task(kept.trees.settled())
        await eventually(lambda: kept.trees.counters.records > 0)
        folding.cancel()
        await asyncio.gather(folding, return_exceptions=True)
    assert kept.trees.marks == 120
    now = await kept.trees.tree("a")
    assert dict(now.tree.records()) == dict(kept.twin("a", now.at).records())


async def test_tables_that_come_later_are_built_and_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees_module, "FOLD_SECONDS", 0.01)
    kept = Kept()
    with pytest.raises(Fault) as caught:
        await kept.trees.tree("a")
    assert caught.value.code is Code.NOT_FOUND
    await kept.write("a", 1, 1)
    await kept.write("_00_schema", 1, 1)
    with pytest.raises(Fault) as caught:
        await kept.trees.tree("a")
    assert caught.value.code is Code.NOT_READY
    running = asyncio.create_task(kept.trees.run())
    try:
        await eventually(lambda: "a" in kept.trees.trees)
        await kept.write("b", 2, 2)
        await eventually(lambda: "b" in kept.trees.trees)
        await kept.write("b", 3, 3)
        await eventually(lambda: len(kept.trees.trees["b"].tree) == 2)
        assert set(kept.trees.trees) == {"a", "b"}
        assert kept.trees.metrics()["merkle_tables"] == 2 and kept.trees.metrics()["merkle_fold_seconds"] > 0
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_fold_takes_no_more_than_its_share_but_for_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def rested(seconds: float) -> None:
        rests.append(seconds)

    now = iter(range(100))
    monkeypatch.setattr("sp00ky.scheduler.integrity.trees.time.monotonic", lambda: float(next(now)))
    monkeypatch.setattr("sp00ky.scheduler.integrity.trees.asyncio.sleep", rested)
    hurries = [False, False, True]
    pace = Pace(0.05, lambda: hurries.pop(0))
    for _ in range(3):
        await pace.rest()
    assert rests == [pytest.approx(19.0), pytest.approx(19.0), 0.0] and pace.seconds == 3.0


async def test_what_cannot_be_read_differs_from_every_record() -> None:
    assert stored_digest(b"\xc1") == stored_digest(b"\xc1") != stored_digest(b"\xc1\x00")
