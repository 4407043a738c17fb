"""The database client: answers matched to calls, one end for every call, conflicts, a lost and a silent server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import UUID

import pytest
from aiohttp import web
from sp00ky.proto.database import Database, QueryError, StatementResult, cause_of, normalise_url
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.kinds import NONE, Datetime, Duration, Geometry, Range, RecordId, SurrealSet

from tests.harness.eventually import eventually


@asynccontextmanager
async def scripted(reply):
    """A server that answers each frame with `await reply(socket, request)`; its address and its sockets."""
    sockets: list[web.WebSocketResponse] = []

    async def handle(request):
        socket = web.WebSocketResponse(protocols=("cbor",), timeout=0.1)
        await socket.prepare(request)
        sockets.append(socket)
        async for message in socket:
            await reply(socket, decode(message.data))
        return socket

    application = web.Application()
    application.router.add_get("/rpc", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", sockets
    finally:
        await runner.cleanup()


async def ok(socket, request, result=None):
    await socket.send_bytes(encode({"id": request["id"], "result": result}))


def client(url, **options):
    return Database(url, user="root", password="root", namespace="n", database="d", **options)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8000", "ws://localhost:8000/rpc"),
        ("ws://localhost:8000", "ws://localhost:8000/rpc"),
        ("ws://localhost:8000/rpc", "ws://localhost:8000/rpc"),
        ("http://db:8000/", "ws://db:8000/rpc"),
        ("https://db.example/surreal", "wss://db.example/surreal/rpc"),
        (" WSS://db/rpc/ ", "wss://db/rpc"),
        ("ws://[::1]:8000", "ws://[::1]:8000/rpc"),
    ],
)
def test_addresses(text, url):
    assert normalise_url(text) == url
    assert normalise_url(url) == url


@pytest.mark.parametrize("text", ["", "mem://", "surrealkv://data", "ws://", "ftp://host", "ws://h/rpc?a=1"])
def test_what_is_no_address(text):
    with pytest.raises(Fault) as caught:
        normalise_url(text)
    assert caught.value.code is Code.INVALID


def test_the_cause_of_a_failed_batch():
    good = StatementResult(True, 1)
    followed = StatementResult(False, None, "The query was not executed due to a failed transaction", "Query")
    real = StatementResult(False, None, "An error occurred: x", "Thrown")
    commit = StatementResult(False, None, "Cannot COMMIT: the transaction was aborted due to a prior error", "Query")
    assert cause_of([good, good]) is None
    cause = cause_of([good, followed, real, followed, commit])
    assert cause is not None
    assert (cause.message, cause.kind, cause.index) == ("An error occurred: x", "Thrown", 2)
    only = cause_of([followed, commit])
    assert only is not None
    assert only.index == 0


async def test_values_of_every_kind_both_ways(database):
    value = {
        "none": NONE,
        "null": None,
        "int": -(2**63),
        "float": 1.5,
        "decimal": Decimal("1.10"),
        "text": "ⓢ",
        "bytes": b"\x00",
        "record": RecordId("a", ["x", 1]),
        "moment": Datetime(1_700_000_000_123_456_789),
        "span": Duration(90_000_000_001),
        "uuid": UUID(int=7),
        "set": SurrealSet((1, 2)),
        "range": Range(None, None),
        "point": Geometry("Point", (1.0, 2.0)),
        "list": [1, [2, {"a": True}]],
    }
    assert await database.query("RETURN $value", {"value": value}) == [value]


async def test_many_calls_at_once_get_their_own_answers(database):
    answers = await asyncio.gather(*(database.query("RETURN $n", {"n": number}) for number in range(500)))
    assert answers == [[number] for number in range(500)]


async def test_query_raises_the_cause_and_query_raw_tells_all(database):
    results = await database.query_raw("RETURN 1; THROW 'x'; RETURN 2")
    assert [result.ok for result in results] == [True, False, True]
    assert (results[1].kind, results[1].result) == ("Thrown", None)
    with pytest.raises(QueryError, match="x") as caught:
        await database.query("RETURN 1; THROW 'x'; RETURN 2")
    assert (caught.value.index, caught.value.kind, caught.value.code) == (1, "Thrown", Code.INVALID)
    with pytest.raises(QueryError, match="Parse error") as caught:
        await database.query("SELECT * FROM")
    assert caught.value.index == -1
    await database.query("CREATE a:1")
    with pytest.raises(QueryError) as caught:
        await database.query("CREATE a:1")
    assert caught.value.code is Code.CONFLICT


async def test_rpc_and_a_parameter_that_cannot_be_sent(database):
    assert (await database.rpc("version", [])).startswith("surrealdb-")
    with pytest.raises(QueryError):
        await database.rpc("nosuch", [])
    with pytest.raises(Fault, match="bad parameter") as caught:
        await database.query("RETURN $a", {"a": 2**70})
    assert caught.value.code is Code.INVALID
    assert await database.query("RETURN 1") == [1]


async def test_namespaces_are_made_and_apart(fresh_database):
    first, second = await fresh_database(), await fresh_database()
    await first.query("CREATE t:1")
    assert (await second.query_raw("SELECT * FROM t"))[0].result in (None, [])
    again = await fresh_database(first.namespace)
    assert await again.query("SELECT * FROM t") == [[{"id": RecordId("t", 1)}]]


async def test_wrong_password_and_nobody_there_are_one_clear_line(database_url):
    wrong = Database(database_url, user="root", password="wrong", namespace="n", database="d")
    with pytest.raises(Fault) as caught:
        await wrong.connect()
    assert caught.value.code is Code.UNAUTHENTICATED
    assert 'refused user "root"' in caught.value.message
    assert not wrong.connected
    await wrong.close()
    nobody = client("127.0.0.1:1")
    with pytest.raises(Fault) as caught:
        await nobody.query("RETURN 1")
    assert caught.value.code is Code.UNAVAILABLE
    assert "\n" not in str(caught.value)
    await nobody.close()


async def test_a_lost_socket_fails_what_is_in_flight_and_the_next_call_reconnects():
    asked: list[str] = []

    async def reply(socket, request):
        asked.append(request["method"])
        if request["method"] != "query":
            await ok(socket, request)
        elif request["params"][0] == "ANSWER":
            await ok(socket, request, [{"status": "OK", "result": 1}])

    async with scripted(reply) as (url, sockets):
        database = client(url)
        await database.connect()
        calls = [asyncio.create_task(database.query("HANG")) for _ in range(3)]
        await eventually(lambda: asked.count("query") == 3)
        await sockets[0].close()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, Fault) and end.code is Code.UNAVAILABLE for end in ends)
        assert await database.query("ANSWER") == [1]
        assert asked.count("query") == 4  # nothing was sent again
        assert asked.count("signin") == asked.count("use") == len(sockets) == 2
        await database.close()
        with pytest.raises(Fault, match="was closed"):
            await database.query("ANSWER")


async def test_calls_that_find_the_socket_gone_open_one_between_them():
    async def reply(socket, request):
        await ok(socket, request, [{"status": "OK", "result": 1}])

    async with scripted(reply) as (url, sockets):
        database = client(url)
        assert await asyncio.gather(*(database.query("X") for _ in range(20))) == [[1]] * 20
        assert len(sockets) == 1
        await database.close()


async def test_a_silent_server_is_a_timeout_and_a_late_answer_disturbs_nobody():
    late: list[dict] = []

    async def reply(socket, request):
        if request["method"] == "query" and request["params"][0] == "LATE":
            late.append(request)
            return
        for each in late:
            await ok(socket, each, [{"status": "OK", "result": "late"}])
        late.clear()
        await ok(socket, request, [{"status": "OK", "result": "mine"}])

    async with scripted(reply) as (url, _):
        database = client(url, request_timeout_s=0.1)
        with pytest.raises(Fault) as caught:
            await database.query("LATE")
        assert caught.value.code is Code.TIMEOUT
        assert await database.query("X") == ["mine"]
        await database.close()


async def test_an_answer_that_is_no_cbor_ends_the_connection():
    async def reply(socket, request):
        if request["method"] == "query":
            await socket.send_bytes(b"\xff")
        else:
            await ok(socket, request)

    async with scripted(reply) as (url, _):
        database = client(url)
        with pytest.raises(Fault) as caught:
            await database.query("X")
        assert caught.value.code is Code.UNAVAILABLE
        assert not database.connected
        await database.close()


CONFLICT = {"status": "ERR", "result": "Transaction conflict: This transaction can be retried", "kind": "Query"}


@pytest.mark.parametrize(
    ("text", "answers", "retries", "sent", "succeeds"),
    [
        ("UPDATE a", [CONFLICT], 0, 1, False),
        ("UPDATE a", [CONFLICT], 3, 3, True),
        ("UPDATE a", [CONFLICT], 1, 2, False),
        ("begin; UPDATE a; COMMIT", [{"status": "OK", "result": NONE}, CONFLICT], 3, 3, True),
        ("UPDATE a; UPDATE b", [{"status": "OK", "result": []}, CONFLICT], 3, 1, False),  # the first was committed
        ("UPDATE a", [{"status": "ERR", "result": "An error occurred: x"}], 3, 1, False),
    ],
)
async def test_only_a_conflict_of_one_transaction_is_retried(text, answers, retries, sent, succeeds):
    asked = 0

    async def reply(socket, request):
        nonlocal asked
        if request["method"] != "query":
            await ok(socket, request)
            return
        asked += 1
        good = [{"status": "OK", "result": asked}]
        await ok(socket, request, good if asked == 3 else answers)

    async with scripted(reply) as (url, _):
        database = client(url)
        if succeeds:
            assert await database.query(text, conflict_retries=retries) == [3]
        else:
            with pytest.raises(QueryError):
                await database.query(text, conflict_retries=retries)
        assert asked == sent
        await database.close()


async def test_insert_splits_rows_and_relates(database):
    await database.insert("person", [{"id": number, "n": number} for number in range(1201)])
    edges = [{"in": RecordId("person", n), "out": RecordId("person", n + 1)} for n in range(600)]
    await database.insert("knows", edges, relation=True)
    await database.insert("odd name", [{"id": 1}])
    people, known, odd = await database.query(
        "SELECT count() FROM person GROUP ALL; RETURN person:5->knows->person; SELECT * FROM `odd name`"
    )
    assert people == [{"count": 1201}]
    assert known == [RecordId("person", 6)]
    assert len(odd) == 1
    with pytest.raises(QueryError, match="already exists"):
        await database.insert("person", [{"id": 1}])


async def test_notifications_reach_their_reader(fresh_database, database):
    told: list[dict] = []
    listener = await fresh_database(database.namespace, on_notification=told.append)
    await database.query("DEFINE TABLE t")
    live = await listener.rpc("live", ["t"])
    await database.query("CREATE t:1 SET n = 1")
    await eventually(lambda: told)
    assert (told[0]["id"], told[0]["action"], told[0]["result"]) == (live, "CREATE", {"id": RecordId("t", 1), "n": 1})


async def test_an_expired_session_is_signed_in_again_and_no_caller_notices(fresh_database, database):
    await database.query(
        "DEFINE TABLE t; DEFINE USER brief ON ROOT PASSWORD 'brief' ROLES OWNER DURATION FOR TOKEN 1s, FOR SESSION 1s"
    )
    brief = Database(database.url, user="brief", password="brief", namespace=database.namespace, database="main")
    try:
        made = 0

        async def written_under_two_sessions():
            nonlocal made
            await asyncio.gather(*(brief.query(f"CREATE t:{made + number}") for number in range(3)))
            made += 3
            return brief._signed_in >= 2

        await eventually(written_under_two_sessions, 15, every_s=0.1)
        assert len((await database.query("SELECT VALUE id FROM t"))[0]) == made
    finally:
        await brief.close()
