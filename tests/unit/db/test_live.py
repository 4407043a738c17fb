"""Live queries: what each subscriber is told, in the light of its PERMISSIONS, and when a live query ends."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from sp00ky.deploy.db.limits import Limits
from sp00ky.proto.database import Database
from sp00ky.proto.values.cbor import encode
from sp00ky.proto.values.kinds import NONE, RecordId, Table

from tests.harness.eventually import eventually

A, B = RecordId("user", "a"), RecordId("user", "b")


def note(key):
    return RecordId("note", key)


@pytest.fixture
async def root(raw, notes):
    client = await raw()
    await client.sign_in_root(notes)
    return client


@pytest.fixture
async def user(raw, notes):
    client = await raw()
    await client.sign_up(notes, "a")
    return client


async def fence(database, *clients):
    """A row that everybody sees, told after whatever was told before: what is missing then was not sent."""
    key = uuid4().hex
    await database.query(f"CREATE note:{key} SET public = true")
    for client in clients:
        assert await client.notified(1) == [("CREATE", note(key), {"id": note(key), "public": True})]


async def test_a_system_user_is_told_every_change_in_order(root, database):
    live = (await root.query("LIVE SELECT * FROM note"))[0]
    assert isinstance(live, UUID)
    await database.query("CREATE note:1 SET n = 1; UPDATE note:1 SET n = 2; UPDATE note:1 SET n = 3; DELETE note:1")
    assert await root.notified(4) == [
        ("CREATE", note(1), {"id": note(1), "n": 1}),
        ("UPDATE", note(1), {"id": note(1), "n": 2}),
        ("UPDATE", note(1), {"id": note(1), "n": 3}),
        ("DELETE", note(1), {"id": note(1), "n": 3}),
    ]


async def test_two_users_are_told_what_each_may_see(raw, notes, database):
    first, second = await raw(), await raw()
    await first.sign_up(notes, "a")
    await second.sign_up(notes, "b")
    for client in (first, second):
        await client.call("live", Table("note"))
    await database.query("CREATE note:1 SET owner = user:a, secret = 1; CREATE note:2 SET owner = user:b, secret = 2")
    assert await first.notified(1) == [("CREATE", note(1), {"id": note(1), "owner": A})]
    assert await second.notified(1) == [("CREATE", note(2), {"id": note(2), "owner": B})]
    await database.query("DELETE note:1")
    assert await first.notified(1) == [("DELETE", note(1), {"id": note(1), "owner": A})]
    await fence(database, first, second)  # the second was told nothing of note:1


async def test_a_delete_goes_to_who_could_see_the_row_before_the_live_query_began(raw, notes, database):
    await database.query("CREATE note:1 SET owner = user:a; CREATE note:2 SET owner = user:b")
    first, second = await raw(), await raw()
    await first.sign_up(notes, "a")
    await second.sign_up(notes, "b")
    for client in (first, second):
        await client.query("LIVE SELECT * FROM note")
    await database.query("DELETE note")
    assert [told[:2] for told in await first.notified(1)] == [("DELETE", note(1))]
    assert [told[:2] for told in await second.notified(1)] == [("DELETE", note(2))]
    await fence(database, first, second)


async def test_a_row_that_leaves_or_enters_what_a_user_may_see(user, database):
    await user.query("LIVE SELECT * FROM note")
    await database.query("CREATE note:1 SET owner = user:b")
    await fence(database, user)
    await database.query("UPDATE note:1 SET owner = user:a")
    assert await user.notified(1) == [("UPDATE", note(1), {"id": note(1), "owner": A})]
    await database.query("UPDATE note:1 SET owner = user:b, text = 'not for a'")
    assert await user.notified(1) == [("DELETE", note(1), {"id": note(1), "owner": A})]
    await database.query("UPDATE note:1 SET n = 1; DELETE note:1")
    await fence(database, user)


async def test_a_row_gone_before_it_could_be_read_again_is_not_told_to_a_user(user, root, database):
    await user.query("LIVE SELECT * FROM note")
    await root.query("LIVE SELECT * FROM note")
    await database.query("BEGIN; CREATE note:1 SET owner = user:a; DELETE note:1; COMMIT")
    assert [told[0] for told in await root.notified(2)] == ["CREATE", "DELETE"]
    await fence(database, user)


async def test_fields_conditions_and_variables(root, database):
    await root.call("query", "LIVE SELECT id, n AS number FROM note WHERE n > $least AND kind = 'a'", {"least": 5})
    await database.query("CREATE note:1 SET n = 5, kind = 'a'; CREATE note:2 SET n = 6, kind = 'a'")
    assert await root.notified(1) == [("CREATE", note(2), {"id": note(2), "number": 6})]
    await database.query("UPDATE note:2 SET kind = 'b'")
    assert await root.notified(1) == [("DELETE", note(2), {"id": note(2), "number": 6})]
    await database.query("UPDATE note:1 SET n = 9")
    assert await root.notified(1) == [("UPDATE", note(1), {"id": note(1), "number": 9})]


async def test_fetch_value_and_odd_names(root, database):
    await database.query("DEFINE TABLE `odd name`; CREATE user:a SET name = 'Anna'")
    await root.query("LIVE SELECT VALUE n FROM `odd name`")
    await root.query("LIVE SELECT * FROM ⟨note⟩ WHERE owner FETCH owner")
    await database.query("CREATE `odd name`:1 SET n = 1; CREATE note:1 SET owner = user:a")
    told = sorted(await root.notified(2), key=lambda each: each[1].table)
    assert told[0] == ("CREATE", note(1), {"id": note(1), "owner": {"id": A, "name": "Anna"}})
    assert told[1] == ("CREATE", RecordId("odd name", 1), 1)


async def test_live_and_kill_among_other_statements(root, database):
    one, live, table = await root.query("RETURN 1; LIVE SELECT * FROM type; RETURN 'LIVE SELECT * FROM note'")
    assert (one, isinstance(live, UUID), table) == (1, True, "LIVE SELECT * FROM note")
    await database.query("CREATE type:1")
    assert [told[0] for told in await root.notified(1)] == ["CREATE"]
    assert await root.query("RETURN 2; KILL $live; RETURN 3", live=live) == [2, NONE, 3]
    assert await root.notified(1) == [("KILLED", NONE, None)]
    answer = await root.call("query", f"KILL u'{live}'", {})
    assert answer["result"][0]["status"] == "ERR"
    assert "Can not execute KILL" in answer["result"][0]["result"]


async def test_a_failed_transaction_opens_no_live_query(root, database):
    answer = await root.call("query", "BEGIN; LIVE SELECT * FROM note; THROW 'no'; COMMIT", {})
    assert any(each["status"] == "ERR" for each in answer["result"])
    await root.query("LIVE SELECT * FROM note")
    await fence(database, root)
    assert root.notifications == []


async def test_kill_reaches_only_ones_own(raw, root, user, database):
    live = (await root.call("live", "note"))["result"]
    assert "error" in await user.call("kill", live)
    assert "error" in await root.call("kill", uuid4())
    await fence(database, root)
    assert "error" not in await root.call("kill", live)
    assert await root.notified(1) == [("KILLED", NONE, None)]


@pytest.mark.parametrize(
    "change",
    [("invalidate",), ("signin", {"user": "root", "pass": "root"}), ("reset",)],
    ids=lambda change: change[0],
)
async def test_a_live_query_ends_when_its_session_becomes_another(user, database, change):
    await user.query("LIVE SELECT * FROM note")
    await user.call(*change)
    assert await user.notified(1) == [("KILLED", NONE, None)]
    await database.query("CREATE note:1 SET owner = user:a")
    assert user.notifications == []


async def test_a_failed_sign_in_leaves_it(user, database):
    await user.query("LIVE SELECT * FROM note")
    assert "error" in await user.call("signin", {"user": "root", "pass": "wrong"})
    await fence(database, user)


async def test_a_live_query_ends_when_its_session_expires(raw, notes, database):
    client = await raw()
    await client.sign_up(notes, "brief", access="brief")
    await client.query("LIVE SELECT * FROM note")
    for _ in range(60):  # a session of one second; the first change after its end finds it out
        await database.query("CREATE note SET public = true")
        action = (await client.notified(1))[0][0]
        if action == "KILLED":
            break
        await asyncio.wait([asyncio.create_task(database.query("SLEEP 50ms"))])
    assert action == "KILLED"


async def test_client_made_sessions_have_live_queries_of_their_own(raw, notes, root, database):
    session = uuid4()
    await root.call("attach", session=session)
    await root.call("use", notes, "main", session=session)
    await root.call("signup", {"NS": notes, "DB": "main", "AC": "account", "name": "a"}, session=session)
    await root.call("live", "note", session=session)
    await database.query("CREATE note:1 SET owner = user:b; CREATE note:2 SET owner = user:a")
    assert [told[:2] for told in await root.notified(1)] == [("CREATE", note(2))]
    await root.call("detach", session=session)
    assert await root.notified(1) == [("KILLED", NONE, None)]


async def test_what_is_not_emulated_says_so(root):
    for text in ("LIVE SELECT DIFF FROM note", "USE DB other; LIVE SELECT * FROM note", "LIVE SELECT * FROM note:1"):
        assert "emulated" in (await root.call("query", text, {}))["error"]["message"]
    assert "emulated" in (await root.call("live", "note", True))["error"]["message"]
    assert "error" in await root.call("query", "LIVE SELECT", {})
    assert "error" in await root.call("live")


async def test_anonymous_cannot_listen(raw, notes):
    client = await raw()
    await client.call("use", notes, "main")
    for answer in (await client.call("live", "note"), await client.call("query", "LIVE SELECT * FROM note", {})):
        assert "Anonymous access not allowed" in answer["error"]["message"]


async def test_no_notification_comes_before_the_answer_that_names_the_live_query(raw, root, notes, database):
    writer = asyncio.create_task(_write(database, 200))
    for number in range(1000, 1020):
        await root.send(encode({"id": number, "method": "live", "params": ["note"]}))
        answer = await root.receive()
        known = {*getattr(root, "known", set()), answer["result"]}
        root.known = known
        assert {each["id"] for each in root.notifications} <= known - {answer["result"]}
    await writer


async def _write(database, many):
    for number in range(many):
        await database.query("CREATE note SET n = $n", {"n": number})


async def test_many_writers_nothing_lost_nothing_twice(root, fresh_database, notes):
    await root.query("LIVE SELECT * FROM note")
    writers = [await fresh_database(notes) for _ in range(6)]

    async def write(client, base):
        for number in range(base, base + 50):
            await client.query("CREATE type::record('note', $n)", {"n": number})

    await asyncio.gather(*(write(client, 1000 * each) for each, client in enumerate(writers)))
    told = await root.notified(300)
    assert len({record.key for action, record, _ in told if action == "CREATE"}) == 300
    await fence(writers[0], root)


async def test_a_feed_that_was_defined_away_is_defined_again(root, database):
    await root.query("LIVE SELECT * FROM note")
    await database.query("DEFINE DATABASE OVERWRITE main")

    async def told():
        await database.query("CREATE note SET public = true", conflict_retries=5)
        return "INCLUDE ORIGINAL" in (await database.query("INFO FOR NS"))[0]["databases"]["main"]

    await eventually(told, every_s=0.05)
    await fence_any(root, database)


async def fence_any(client, database):
    await database.query("CREATE note:last")
    while (await client.notified(1))[0][1] != note("last"):
        pass


async def test_removing_the_database_ends_its_live_queries_and_no_others(root, raw, notes, database, fresh_database):
    apart = await fresh_database(notes, "apart")
    await apart.query("DEFINE TABLE t")
    await root.query("LIVE SELECT * FROM note")
    client = await raw()
    await client.call("signin", {"user": "root", "pass": "root"})
    await client.call("use", notes, "apart")
    await client.query("LIVE SELECT * FROM t")
    await apart.query("REMOVE DATABASE apart")
    assert await client.notified(1) == [("KILLED", NONE, None)]
    await fence(database, root)


async def test_limits_of_live_queries(serve, raw):
    url = await serve(limits=Limits(lives_max=2, live_rows_max=3))
    root, user = await raw(url), await raw(url)
    await root.sign_in_root("test")
    await root.query("DEFINE TABLE note PERMISSIONS FULL; DEFINE TABLE user PERMISSIONS FULL")
    await root.query("DEFINE ACCESS account ON DATABASE TYPE RECORD SIGNUP (CREATE type::record('user', $name))")
    await root.query("CREATE note:1; CREATE note:2; CREATE note:3")
    await user.sign_up("test", "a")
    assert "error" not in await user.call("live", "note")
    await root.query("CREATE note:4")
    assert [told[0] for told in await user.notified(2)] == ["CREATE", "KILLED"]
    assert "more than 3 rows" in (await user.call("live", "note"))["error"]["message"]
    for _ in range(2):
        assert "error" not in await root.call("live", "note")
    assert "at most 2 live queries" in (await root.call("live", "note"))["error"]["message"]


async def test_who_does_not_read_notifications_is_disconnected(serve, raw):
    url = await serve(limits=Limits(notifications_max=50))
    root, deaf = await raw(url), await raw(url)
    await root.sign_in_root("test")
    await deaf.sign_in_root("test")
    await deaf.query("LIVE SELECT * FROM note")
    deaf.socket._response.connection.transport.pause_reading()  # as a client that stands still
    text = "FOR $i IN 0..400 { CREATE note SET text = $filling RETURN NONE }"
    for _ in range(8):
        await root.query(text, filling="x" * 10_000)
    writer = Database(url, user="root", password="root", namespace="test", database="main")
    assert (await writer.query("SELECT count() FROM note GROUP ALL"))[0] == [{"count": 3200}]
    await writer.close()
    deaf.socket._response.connection.transport.resume_reading()
    with pytest.raises(ConnectionError):
        while True:
            await deaf.receive()
