"""What cannot be captured becomes a dead letter; the rest goes on (fault rows P1 and P2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture import feed
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.capture.retrying import drop, retry
from sp00ky.scheduler.datastore.rocks import RocksDatastore
from sp00ky.scheduler.dead_letters import DeadLetter

from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink
from tests.unit.scheduler.capture.test_capture import assert_equal, capturing


def letters_in(capture: Capture) -> list[DeadLetter]:
    return capture.offering.letters.after(0, 100)


async def write_unencodable(database: Database, statement: str) -> None:
    """The database carries it out, and cannot answer."""
    with pytest.raises(QueryError) as caught:
        await database.query(f"BEGIN; {statement}; COMMIT")
    assert "encode" in caught.value.message


async def test_p1_what_the_database_cannot_put_on_the_wire_is_one_letter_and_the_rest_goes_on(
    database: Database,
) -> None:
    """A regex in a record makes every page of the feed that shows it fail, and every read of the record."""
    await database.query("CREATE a:1 SET n = 1; CREATE a:2 SET n = 1")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await write_unencodable(database, "UPDATE a:1 SET r = /ab+/; CREATE b:1")
        await database.query("UPDATE a:2 SET n = 2; CREATE c:1")
        await eventually(lambda: sink.store.count("c") == 1 and not capture.lost)
        await capture.barrier()
        assert sink.rows("a")[pack(1)]["n"] == 1 and sink.rows("a")[pack(2)]["n"] == 2 and sink.store.count("b") == 1
        found = letters_in(capture)
        assert {each.source for each in found} == {"changefeed", "database"}
        (read,) = (each for each in found if each.source == "database")
        assert read.names == ("a:1",) and "encode" in read.reason
        assert await retry(capture, [read.id]) == (0, 1)
        assert letters_in(capture)[-1].attempts > 1
        await database.query("UPDATE a:1 SET n = 3, r = NONE RETURN NONE")
        await eventually(lambda: all(each.source == "changefeed" for each in letters_in(capture)))
        await capture.barrier()
        await assert_equal(database, sink)
        assert await retry(capture, [each.id for each in letters_in(capture)]) == (0, len(letters_in(capture)))
        await drop(capture, [each.id for each in letters_in(capture)])
        assert not letters_in(capture)


async def test_p1_a_clone_passes_over_what_cannot_be_read(database: Database) -> None:
    await database.query("CREATE a:1 SET n = 1; CREATE a:2 SET n = 1")
    await write_unencodable(database, "CREATE a:3 SET r = /ab+/")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        assert sink.rows("a").keys() == {pack(1), pack(2)}
        assert [each.names for each in letters_in(capture)] == [("a:3",)]
    again = ReplicaSink(sink.store)
    async with capturing(database, again) as capture:
        assert [each.names for each in letters_in(capture)] == [("a:3",)]


async def test_a_table_name_above_the_limit_is_left_out_and_its_changes_are_letters(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, longest = "x" * 70_000, "y" * 255
    await database.query(f"CREATE {name}:1; CREATE {longest}:1; CREATE a:1")
    store = RocksDatastore.open(tmp_path / "replica")
    sink = ReplicaSink(store)
    async with capturing(database, sink) as capture:
        assert capture.captured == {"a", longest} and sink.store.count(longest) == 1
        await database.query(f"BEGIN; CREATE {name}:2; CREATE a:2; COMMIT; UPDATE {name}:1 SET n = 1; DELETE {name}:1")
        await capture.barrier()
        assert sink.store.count("a") == 2
        found = letters_in(capture)
        assert len(found) == 3 and all("70000 characters is longer than 255" in each.reason for each in found)
        assert capture.captured == {"a", longest}
    store.close()
    assert [record.levelname for record in caplog.records if "is not captured" in record.message] == ["ERROR"]


async def test_p2_a_record_above_the_limit_is_a_letter_and_one_below_is_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RECORD_BYTES_MAX", 10_000)
    monkeypatch.setattr("sp00ky.scheduler.capture.alignment.RECORD_BYTES_MAX", 10_000)
    await database.query("CREATE a:1")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        await database.query("UPDATE a:1 SET text = string::repeat('x', 9_000)")
        await database.query("BEGIN; CREATE a:2 SET text = string::repeat('x', 11_000); CREATE b:2; COMMIT")
        await capture.barrier()
        assert sink.store.count("a") == 1 and sink.store.count("b") == 1
        (letter,) = letters_in(capture)
        assert (letter.names, letter.tables, letter.source) == (("a:2",), ("a",), "changefeed")
        assert "larger than 10000" in letter.reason and letter.size > 11_000 and letter.stamp
        assert capture.offering.letters.content(letter.id).startswith("{")
        assert await retry(capture, [letter.id]) == (0, 1)
        assert letters_in(capture)[0].attempts == 2
        monkeypatch.setattr("sp00ky.scheduler.capture.alignment.RECORD_BYTES_MAX", 20_000)
        assert await retry(capture, [letter.id]) == (1, 0)
        assert not letters_in(capture) and sink.store.count("a") == 2
        with pytest.raises(Fault) as caught:
            await retry(capture, [letter.id])
        assert caught.value.code is Code.NOT_FOUND


async def test_a_letter_of_a_refused_transaction_is_kept_over_a_restart_and_goes_with_a_good_change(
    database: Database,
) -> None:
    await database.query("CREATE x:0; CREATE bad:0")
    sink = ReplicaSink()
    async with capturing(database, sink) as capture:
        sink.refuse["bad"] = Fault(Code.TOO_LARGE, "change is too large")
        await database.query("CREATE x:1")
        await database.query("BEGIN; CREATE bad:1; CREATE x:2; COMMIT")
        await database.query("CREATE x:3")
        await eventually(lambda: sink.store.get("x", pack(3)) is not None)
        (letter,) = letters_in(capture)
        assert letter.tables == ("bad", "x") and letter.reason == "change is too large" and letter.at_ms
    again = ReplicaSink(sink.store)
    again.refuse = sink.refuse.copy()
    async with capturing(database, again) as capture:
        assert [each.id for each in letters_in(capture)] == [letter.id]
        again.refuse.clear()
        await database.query("BEGIN; UPDATE bad:1 SET n = 1; UPDATE x:2 SET n = 1; COMMIT")
        await capture.barrier()
        assert not letters_in(capture)
        await assert_equal(database, again)
