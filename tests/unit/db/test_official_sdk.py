"""SurrealDB's own Python SDK against the served engine: ws (async, blocking) and http, users and their PERMISSIONS."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from sp00ky.proto.values.kinds import RecordId
from surrealdb import AsyncSurreal, RecordID, Surreal
from surrealdb.errors import SurrealError

ROOT = {"username": "root", "password": "root"}
SCHEMA = """
    DEFINE TABLE user PERMISSIONS FULL;
    DEFINE TABLE note PERMISSIONS FOR select, update WHERE owner = $auth.id FOR create, delete FULL;
    DEFINE FIELD secret ON note PERMISSIONS FOR select NONE;
    DEFINE ACCESS account ON DATABASE TYPE RECORD
        SIGNUP (CREATE type::record('user', $name)) SIGNIN (SELECT * FROM type::record('user', $name))
        DURATION FOR TOKEN 1h, FOR SESSION 1h;
"""


@pytest.fixture
def http_url(database_url):
    return database_url.replace("ws://", "http://").removesuffix("/rpc")


@pytest.fixture
def ws_url(database_url):
    return database_url.removesuffix("/rpc")


@pytest.fixture
async def notes(database):
    """A database of notes with PERMISSIONS; its namespace."""
    await database.query(SCHEMA)
    return database.namespace


def account(namespace, name):
    return {"namespace": namespace, "database": "main", "access": "account", "variables": {"name": name}}


async def test_websocket_signs_in_queries_and_sees_errors(ws_url):
    async with AsyncSurreal(ws_url) as db:
        await db.signin(ROOT)
        await db.use(f"sdk_{uuid4().hex}", "main")
        assert await db.query("RETURN 1 + $a; RETURN 'b'", {"a": 41}) == [42, "b"]
        created = await db.create("person:tobie", {"name": "Tobie", "tags": ["a", "b"]})
        assert created["id"] == RecordID("person", "tobie")
        await db.query("UPDATE person:tobie MERGE { age: 5 }")
        assert (await db.select(RecordID("person", "tobie")))["age"] == 5
        assert await db.query("SELECT VALUE name FROM person").first() == ["Tobie"]
        with pytest.raises(SurrealError, match="already exists"):
            await db.create("person:tobie", {})
        assert (await db.version()).startswith("surrealdb-3.")


@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")  # the SDK's own
def test_blocking_websocket(ws_url):
    with Surreal(ws_url) as db:
        db.signin(ROOT)
        db.use(f"sdk_{uuid4().hex}", "main")
        db.create(RecordID("thing", 1), {"n": 1})
        db.upsert(RecordID("thing", 2), {"n": 2})
        assert sorted(row["n"] for row in db.select("thing")) == [1, 2]
        db.delete(RecordID("thing", 1)).execute()
        assert [row["n"] for row in db.select("thing")] == [2]


async def test_http(http_url):
    async with AsyncSurreal(http_url) as db:
        await db.signin(ROOT)
        await db.use(f"sdk_{uuid4().hex}", "main")
        await db.create(RecordID("thing", 1), {"n": 1})
        assert (await db.select(RecordID("thing", 1)))["n"] == 1
        assert await db.query("SELECT VALUE n FROM thing").first() == [1]


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_wrong_password_bad_token_and_anonymous_are_refused(database_url, scheme):
    url = database_url.replace("ws://", f"{scheme}://").removesuffix("/rpc")
    async with AsyncSurreal(url) as db:
        with pytest.raises(SurrealError):
            await db.signin({"username": "root", "password": "wrong"})
        with pytest.raises(SurrealError):
            await db.authenticate("abc.def.ghi")
        with pytest.raises(SurrealError):
            await db.use("somewhere", "main")
            await db.query("SELECT * FROM note")
        with pytest.raises(SurrealError):
            await db.query("RETURN 1")


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_a_user_sees_only_what_permissions_allow(database_url, database, notes, scheme):
    url = database_url.replace("ws://", f"{scheme}://").removesuffix("/rpc")
    await database.query("CREATE note:theirs SET owner = user:b, secret = 1")
    async with AsyncSurreal(url) as db:
        await db.use(notes, "main")
        await db.signup(account(notes, "a"))
        await db.query("CREATE note:mine SET owner = user:a, secret = 7")
        rows = await db.query("SELECT * FROM note").first()
        assert rows == [{"id": RecordID("note", "mine"), "owner": RecordID("user", "a")}]
        await db.query("UPDATE note:theirs SET stolen = true")
        with pytest.raises(SurrealError):
            await db.query("SHOW CHANGES FOR DATABASE SINCE 0")
    assert await database.query("SELECT id, secret FROM note WHERE stolen = true OR secret = 7") == [
        [{"id": RecordId("note", "mine"), "secret": 7}]
    ]


async def test_a_token_of_one_connection_serves_another(ws_url, database, notes):
    async with AsyncSurreal(ws_url) as first, AsyncSurreal(ws_url) as second:
        await first.use(notes, "main")
        token = await first.signup(account(notes, "a"))
        await second.use(notes, "main")
        await second.authenticate(token if isinstance(token, str) else token.access)
        assert await second.query("RETURN $auth").first() == RecordID("user", "a")
        await second.invalidate()
        with pytest.raises(SurrealError):
            await second.query("RETURN 1")
        assert await first.query("RETURN 1").first() == 1


async def test_client_made_sessions_have_their_own_user(ws_url, database, notes):
    async with AsyncSurreal(ws_url) as db:
        await db.signin(ROOT)
        await db.use(notes, "main")
        await db.query("CREATE note:1 SET owner = user:a; CREATE note:2 SET owner = user:b")
        session = await db.new_session()
        await session.use(notes, "main")
        await session.signup(account(notes, "a"))
        assert [row["id"].id for row in await session.query("SELECT * FROM note").first()] == [1]
        assert len(await db.query("SELECT * FROM note").first()) == 2
        await session.close_session()
        with pytest.raises(SurrealError):
            await session.query("RETURN 1")


async def test_live_over_the_sdk(ws_url, database, notes):
    async with AsyncSurreal(ws_url) as db:
        await db.signin(ROOT)
        await db.use(notes, "main")
        live = await db.live("note")
        changes = await db.subscribe_live(live)
        await database.query("CREATE note:1 SET n = 1; UPDATE note:1 SET n = 2; DELETE note:1")
        told = [await asyncio.wait_for(anext(changes), 5) for _ in range(3)]
        assert [each["action"] for each in told] == ["CREATE", "UPDATE", "DELETE"]
        assert told[1]["result"]["n"] == 2
        await db.kill(live)
        assert [each async for each in changes] == []


async def test_many_clients_at_once_each_get_their_own_answers(ws_url, database, notes):
    async def client(number):
        async with AsyncSurreal(ws_url) as db:
            await db.use(notes, "main")
            await db.signup(account(notes, f"u{number}"))
            answers = await asyncio.gather(*(db.query("RETURN $n", {"n": number * 100 + each}) for each in range(20)))
            who = await db.query("RETURN record::id($auth)").first()
            return who, answers

    for number, (who, answers) in enumerate(await asyncio.gather(*(client(each) for each in range(12)))):
        assert who == f"u{number}"
        assert answers == [[number * 100 + each] for each in range(20)]
