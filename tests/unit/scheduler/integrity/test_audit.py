"""A replica that was tampered with, or missed writes, is found by descent, named and mended; nothing else is read."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
from sp00ky.proto import sums
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.integrity.audit import Audit, Verified
from sp00ky.scheduler.integrity.trees import TableTrees

from tests.harness.replica_sink import ReplicaSink
from tests.unit.scheduler.capture.test_capture import _damage, capturing

MADE = "FOR $n IN 0..{rows} {{ CREATE type::record('a', $n) SET n = $n, text = 'a text' RETURN NONE }}"


def auditing(database: Database, capture: Capture, sink: ReplicaSink) -> Audit:
    return Audit(database, capture, sink.store, TableTrees(sink.store), 0)


def named(found: Verified) -> dict[Value, tuple[bytes | None, bytes | None]]:
    return {each.record.key: (each.database, each.replica) for each in found.named}


async def test_tampered_and_missed_records_are_found_named_and_mended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "PAGE_ROWS", 700)
    await database.query("DEFINE FIELD twice ON a COMPUTED n * 2")
    await database.query(MADE.format(rows=2000))
    await database.query(
        "CREATE `b-1`:['x', 1]; CREATE `b-1`:{ k: 1 }; CREATE `b-1`:⟨7⟩; CREATE `b-1`:zzz; DEFINE TABLE c"
    )
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        audit = auditing(database, capture, sink)
        assert {(each.name, each.database_rows, each.differing) for each in await audit.check((), repair=True)} == {
            ("a", 2000, 0),
            ("b-1", 4, 0),
            ("c", 0, 0),
        }
        assert audit.counters.read_bytes < 500
        head = sink.store.head_seq
        _damage(sink, {700: {"id": RecordId("a", 700), "n": -1}, 701: None, 5000: {"id": RecordId("a", 5000), "n": 1}})
        await sink.store.sync()
        await database.query("OPTION IMPORT; UPDATE a:1500 SET n = 0; CREATE a:2500 SET n = 1; DELETE a:1600")
        (seen,) = await audit.check(["a"], repair=False)
        assert (seen.differing, seen.repaired, seen.database_rows) == (6, 0, 2000)
        assert set(named(seen)) == {700, 701, 5000, 1500, 2500, 1600}
        assert named(seen)[700] == (
            pack({"id": RecordId("a", 700), "n": 700, "text": "a text"}),
            pack({"id": RecordId("a", 700), "n": -1}),
        )
        assert named(seen)[701][1] is None and named(seen)[5000][0] is None and named(seen)[1600][0] is None
        (mended,) = await audit.check(["a"], repair=True)
        assert (mended.differing, mended.repaired) == (6, 6)
        assert sink.store.head_seq == head + 3 + 6  # what was tampered with, and what was mended: nothing else
        assert mended.read_bytes < 20_000
        assert audit.metrics["audit_repaired"] == 6 and capture.repairs == 6
        assert [each.differing for each in await audit.check((), repair=True)] == [0, 0, 0]
        with pytest.raises(Fault) as caught:
            await audit.check(["nope"], repair=True)
        assert caught.value.code is Code.NOT_FOUND
    rows = (await database.query("SELECT * OMIT twice FROM a"))[0]
    assert {pack(row["id"].key): row for row in rows} == sink.rows("a")


async def test_g12_every_tampered_cell_of_ten_thousand_rows_is_found_by_reading_little(database: Database) -> None:
    """Bytes read are in proportion to differences · log n, at every number of differences."""
    await database.query(MADE.format(rows=10_000))
    draw = random.Random(12)
    sink, read = ReplicaSink(), dict[int, int]()
    async with capturing(database, sink) as capture:
        audit = auditing(database, capture, sink)
        for count in (0, 1, 10, 100):
            there, here = (set(draw.sample(range(at, 10_000, 2), count // 2 + count % 2 * at)) for at in (0, 1))
            await database.query(
                "OPTION IMPORT; FOR $n IN $keys { UPDATE type::record('a', $n) SET n += 0.5f }", {"keys": sorted(there)}
            )
            _damage(sink, {n: {"id": RecordId("a", n), "n": n, "text": "a texT"} for n in sorted(here)})
            await sink.store.sync()
            (found,) = await audit.check(["a"], repair=True)
            assert set(named(found)) == there | here and found.repaired == count
            read[count] = found.read_bytes
        (quiet,) = await audit.check(["a"], repair=True)
        assert quiet.differing == 0
    assert read[0] < 200 and read[1] < 2_500 and read[10] < 12 * read[1] and read[100] < 90 * read[1], read


async def test_a_record_written_meanwhile_is_not_taken_for_a_difference(database: Database) -> None:
    await database.query(MADE.format(rows=300))
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        audit = auditing(database, capture, sink)

        async def while_summing(text: str, vars: dict[str, Value]) -> object:
            await database.query("UPDATE a SET n += 1 WHERE n < 50; DELETE a:299; UPSERT a:299")
            await capture.barrier()
            return await answer(text, vars)

        answer = audit._database.query_raw
        audit._database = _Asked(audit._database, while_summing)  # type: ignore[assignment]
        (found,) = await audit.check(["a"], repair=True)
        assert (found.differing, found.repaired) == (0, 0) and found.nodes > 1


class _Asked:
    def __init__(self, database: Database, ask: Callable[..., Awaitable[object]]) -> None:
        self._database, self.query_raw = database, ask


async def test_a_kept_tree_that_does_not_say_what_is_stored_is_built_again(database: Database) -> None:
    await database.query(MADE.format(rows=10))
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        audit = auditing(database, capture, sink)
        trees = audit._trees
        kept = trees.trees["a"] = await trees.built("a", 1.0)
        assert not (await audit.check((), repair=True))[0].differing and trees.trees["a"] is kept
        kept.tree.put("0" * 16, 1)
        (found,) = await audit.check((), repair=True)
        assert found.differing == 0 and "a" not in trees.trees and audit.counters.wrong_trees == 1
