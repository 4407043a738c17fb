"""Drift: a replica that was tampered with, or missed writes, is found by digests and mended; nothing else is read."""

from __future__ import annotations

import pytest
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture import drift as drift_module
from sp00ky.scheduler.capture.drift import Drift, record_digest

from tests.harness.replica_sink import ReplicaSink
from tests.unit.scheduler.capture.test_capture import _damage, capturing

KINDS = [
    *("1e308f", "NaN", "math::inf", "1.5", "-0.0", "1e-7", "1e21f", "100f", "12345678901234567890123dec", "1.50dec"),
    *("<bytes>'abc'", "-9223372036854775808", "1..5", "1..=5", "duration::max", "1h30m", "d'9999-12-31T00:00:00Z'"),
    *("d'2020-01-01T00:00:00.123456789Z'", "d'-262143-01-01T00:00:00Z'", "{a:NONE}", "[NONE,NULL]", "(1,2)", "100000w"),
    *("u'01890000-0000-7000-8000-000000000000'", "'it\\'s \"q\" \\n \\\\ \U0001f9db ⟩'", "{`a b`:1,`1x`:2, z:{}}"),
    *("{type:'Polygon',coordinates:[[[0,0],[1,0],[1,1],[0,0]]]}", "p:[1,'x',NONE]", "p:`a-b`", "p:⟨5⟩", "p:{a:1}"),
    *("p:u'01890000-0000-7000-8000-000000000000'", "<set>[3,1,2]", "true", "NULL", "[]", "['a',[1]]", "p:1..5", "''"),
    *("type::table('t')", "'d\"2020\"'"),
]


async def test_the_database_and_the_mesh_digest_every_kind_alike(database: Database) -> None:
    for number, kind in enumerate(KINDS):
        await database.query(f"CREATE q:[{number}, 'x'] SET v = {kind}, w = 1")
    text = "SELECT VALUE string::slice(crypto::blake3(<string>$this), 0, 16) FROM q ORDER BY id"
    theirs = await database.query(f"SELECT * FROM q ORDER BY id; {text}")
    assert [record_digest(pack(row)) for row in theirs[0]] == theirs[1]
    assert len(theirs[1]) == len(KINDS)


async def test_tampered_and_missed_records_are_found_and_mended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_module, "PAGE_ROWS", 100)
    await database.query("DEFINE FIELD twice ON a COMPUTED n * 2")
    await database.query("FOR $n IN 0..2000 { CREATE type::record('a', $n) SET n = $n, text = 'a text' RETURN NONE }")
    await database.query(
        "CREATE `b-1`:['x', 1]; CREATE `b-1`:{ k: 1 }; CREATE `b-1`:⟨7⟩; CREATE `b-1`:zzz; DEFINE TABLE c"
    )
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        drift = Drift(database, capture, sink.store, 0)
        assert {(each.name, each.database_rows, each.differing) for each in await drift.check((), repair=True)} == {
            ("a", 2000, 0),
            ("b-1", 4, 0),
            ("c", 0, 0),
        }
        assert not drift.counters.record_bytes and drift.counters.digest_bytes < 5_000
        head = sink.store.head_seq
        _damage(sink, {700: {"id": RecordId("a", 700), "n": -1}, 701: None, 5000: {"id": RecordId("a", 5000), "n": 1}})
        await sink.store.sync()
        await database.query("OPTION IMPORT; UPDATE a:1500 SET n = 0; CREATE a:2500 SET n = 1; DELETE a:1600")
        found = {each.name: each for each in await drift.check(["a"], repair=False)}
        assert (found["a"].differing, found["a"].repaired, found["a"].database_rows) == (6, 0, 2000)
        (found_a,) = await drift.check(["a"], repair=True)
        assert (found_a.differing, found_a.repaired) == (6, 6)
        assert sink.store.head_seq == head + 3 + 6  # what was tampered with, and what was mended: nothing else
        assert drift.counters.record_bytes < 2_000 and drift.counters.digest_bytes < 40_000
        assert drift.metrics["drift_repaired"] == 6 and capture.repairs == 6
        assert [each.differing for each in await drift.check((), repair=True)] == [0, 0, 0]
        with pytest.raises(Fault) as caught:
            await drift.check(["nope"], repair=True)
        assert caught.value.code is Code.NOT_FOUND
    rows = (await database.query("SELECT * OMIT twice FROM a"))[0]
    assert {pack(row["id"].key): row for row in rows} == sink.rows("a")
