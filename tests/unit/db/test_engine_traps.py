"""What the embedded engine does that one would not expect, held fast: if one of these fails after an upgrade, the code
that guards against it may go."""

from __future__ import annotations

import uuid

import psutil
import pytest
from sp00ky.deploy.db.engine import EngineRefused, MemoryEngine, call_as_owner
from sp00ky.deploy.db.feed import FeedReader
from sp00ky.deploy.db.frames import own_request
from sp00ky.proto.database import QueryError
from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.kinds import NONE, Datetime


@pytest.fixture
async def engine():
    engine = MemoryEngine()
    await engine.open()
    await call_as_owner(engine, "use", ["n", "d"])
    yield engine
    await engine.close()


async def owner(engine, text):
    return [each["result"] for each in await call_as_owner(engine, "query", [text, {}])]


async def test_no_session_and_session_none_are_the_owner(engine):
    for extra in ({}, {"session": NONE}):
        request = encode({"id": 1, "method": "query", "params": ["INFO FOR ROOT", {}], **extra})
        assert decode(await engine.execute(request))["result"][0]["status"] == "OK"
    session = uuid.uuid4()
    await engine.execute(own_request(session, "attach", []))
    assert "error" in decode(await engine.execute(own_request(session, "query", ["RETURN 1", {}])))


async def test_the_engine_lists_the_sessions_of_everybody(engine):
    session = uuid.uuid4()
    await engine.execute(own_request(session, "attach", []))
    assert session in decode(await engine.execute(own_request(session, "sessions", [])))["result"]


async def test_the_engine_has_no_live_queries_and_no_client_transactions(engine):
    await owner(engine, "DEFINE TABLE t")
    for text in ("LIVE SELECT * FROM t", "KILL u'00000000-0000-0000-0000-000000000000'"):
        answer = decode(await engine.execute(encode({"id": 1, "method": "query", "params": [text, {}]})))
        assert "error" in answer or answer["result"][0]["status"] == "ERR"
    assert "error" in decode(await engine.execute(encode({"id": 1, "method": "begin", "params": []})))


async def test_a_regex_cannot_leave_the_engine(engine):
    with pytest.raises(EngineRefused):
        await engine.execute(encode({"id": 1, "method": "query", "params": ["RETURN /a/", {}]}))


async def test_a_panic_of_the_engine_fails_one_request():
    class PanicException(BaseException):
        pass

    class Panicking:
        async def execute(self, request):
            raise PanicException("index out of bounds")

    engine = MemoryEngine()
    engine._handle = Panicking()
    with pytest.raises(EngineRefused, match="panicked: index out of bounds"):
        await engine.execute(b"")


async def test_the_limit_of_a_tables_feed_counts_all_tables(engine):
    await owner(engine, "DEFINE DATABASE OVERWRITE d CHANGEFEED 1h INCLUDE ORIGINAL; CREATE quiet:1")
    await owner(engine, "FOR $i IN 0..30 { CREATE busy RETURN NONE }; CREATE busy:1; CREATE busy:2; CREATE quiet:2")
    all_rows = (await owner(engine, "SHOW CHANGES FOR TABLE quiet SINCE 0 LIMIT 100"))[0]
    assert len(all_rows) == 2
    since = all_rows[0]["versionstamp"] + 1
    assert (await owner(engine, f"SHOW CHANGES FOR TABLE quiet SINCE {since} LIMIT 2"))[0] == []


async def test_since_a_datetime_answers_nothing(engine):
    await owner(engine, "DEFINE DATABASE OVERWRITE d CHANGEFEED 1h INCLUDE ORIGINAL; CREATE t:1")
    assert len((await owner(engine, "SHOW CHANGES FOR DATABASE SINCE 0"))[0]) == 1
    assert (await owner(engine, "SHOW CHANGES FOR DATABASE SINCE d'2020-01-01T00:00:00Z'"))[0] == []
    assert Datetime(0) < Datetime(1)


async def test_the_reader_passes_cut_pages_and_tells_everything_once(engine):
    await owner(engine, "DEFINE DATABASE OVERWRITE d CHANGEFEED 1h INCLUDE ORIGINAL")

    async def query(text):
        return (await owner(engine, text))[0]

    reader = FeedReader(query)
    await reader.read()
    creates = "".join(f"CREATE type::record('t{table}', $i) RETURN NONE;" for table in range(7))
    for first in range(0, 400, 100):  # 400 transactions of 7 tables: pages of 1000 entries end inside one
        batch = "".join(f"BEGIN; {creates.replace('$i', str(first + each))} COMMIT;" for each in range(100))
        await owner(engine, batch)
    pages = (await query("SHOW CHANGES FOR DATABASE SINCE 0 LIMIT 1000"))[-1]["changes"]
    assert len(pages) < 7  # the page is cut
    told = [change.record for change in await reader.read()]
    assert len(told) == 2800
    assert len(set(told)) == 2800
    assert await reader.read() == []


async def test_the_real_cause_of_a_failed_transaction(database):
    with pytest.raises(QueryError) as caught:
        await database.query("BEGIN; CREATE a:1; CREATE a:2; CREATE a:1; CREATE a:3; COMMIT")
    assert caught.value.kind == "AlreadyExists"
    assert "a:1" in caught.value.message
    assert caught.value.index == 3
    with pytest.raises(QueryError, match="no more") as caught:
        await database.query("BEGIN; CREATE a:1; THROW 'no more'; COMMIT")
    assert (caught.value.kind, caught.value.index) == ("Thrown", 2)


async def test_inserting_in_batches_is_linear_in_memory(database):
    rows = [{"id": number, "name": f"n{number}", "text": "x" * 40} for number in range(6000)]
    before = psutil.Process().memory_info().rss
    await database.insert("t", rows)
    grown = psutil.Process().memory_info().rss - before
    assert grown < 400 * 1024 * 1024  # one INSERT of them all takes more than 2 GB
    assert (await database.query("SELECT count() FROM t GROUP ALL"))[0] == [{"count": 6000}]


async def test_conflicts_are_not_retried_by_the_engine_but_by_who_asks(database):
    import asyncio

    await database.query("CREATE c:1 SET n = 0")
    text = "UPDATE c:1 SET n += 1"
    ends = await asyncio.gather(*(database.query(text, conflict_retries=30) for _ in range(100)))
    assert len(ends) == 100
    assert (await database.query("SELECT VALUE n FROM ONLY c:1"))[0] == 100
