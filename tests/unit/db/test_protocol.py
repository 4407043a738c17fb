"""The RPC endpoint against clients that are no SDK: odd frames, other people's sessions, limits, order."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import aiohttp
import cbor2
import pytest
from sp00ky.deploy.db.limits import Limits
from sp00ky.proto.database import Database
from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.kinds import NONE, RecordId, Table

from tests.harness.eventually import eventually

WHO = "RETURN $session.tk.ID"


def refused(answer):
    return "error" in answer and "Anonymous access not allowed" in answer["error"]["message"]


@pytest.mark.parametrize("session", [{}, {"session": None}, {"session": NONE}])
async def test_a_request_without_a_session_is_not_the_owner(raw, session):
    client = await raw()
    assert refused(await client.call("query", "RETURN 1", {}, **session))
    assert refused(await client.call("create", Table("a"), {}, **session))


async def test_session_twice_in_one_frame_and_bytes_behind_it_do_not_reach_the_engine(raw):
    client = await raw()
    plain = encode({"id": 1, "method": "query", "params": ["RETURN 1", {}]})
    none = cbor2.dumps("session") + cbor2.dumps(cbor2.CBORTag(6, None))
    for frame in (
        bytes([0xA5]) + plain[1:] + none + none,  # two sessions, both NONE
        bytes([0xA4]) + plain[1:] + cbor2.dumps("session") + cbor2.dumps(None),
        plain + none,  # a frame's end is not its last byte
    ):
        await client.send(frame)
        answer = await client.receive()
        assert "error" in answer, answer


async def test_nobody_lists_names_or_takes_over_another_session(raw):
    owner, other = await raw(), await raw()
    await owner.sign_in_root("test")
    made = uuid4()
    await owner.call("attach", session=made)
    assert (await owner.call("sessions"))["result"] == [made]
    assert (await other.call("sessions"))["result"] == []
    engine_side = (await owner.query("RETURN $session.id"))[0]
    for session in (made, engine_side):
        answer = await other.call("query", "RETURN 1", {}, session=session)
        assert "Session not found" in answer["error"]["message"]
        assert "Session not found" in (await other.call("detach", session=session))["error"]["message"]
    assert "error" not in await other.call("attach", session=made)  # its own of that name
    assert refused(await other.call("query", "RETURN 1", {}, session=made))
    assert await owner.query("RETURN 1") == [1]


async def test_every_spelling_of_a_method_meets_the_same_rules(raw):
    client = await raw()
    for method in ("Sessions", "SESSIONS"):
        assert (await client.call(method))["result"] == []
    for method in ("begin", "Commit", "cancel", "export", "import"):
        assert (await client.call(method))["error"]["code"] == -32602
    for method in ("nosuch", "query_stream", "sessions ", ""):
        assert (await client.call(method))["error"]["code"] == -32601


async def test_malformed_frames_get_an_error_and_the_connection_goes_on(raw):
    client = await raw()
    await client.sign_in_root("test")
    deep = b"\x81" * 200_000 + b"\x01"
    for frame in (b"", b"\xff\x00", b"\xa1", encode([1]), encode({"id": 3}), encode({"id": 3, "method": 5}), deep):
        await client.send(frame)
        assert "error" in await client.receive()
    await client.socket.send_str("{}")
    assert "CBOR only" in (await client.receive())["error"]["message"]
    assert "error" in await client.call("query", "RETURN /a regex/", {})
    assert "error" in await client.call("query", 5)
    assert "error" in await client.call("query", "SELECT * FROM", {})
    assert "error" in await client.call("query", "RETURN 1", {}, session="no uuid")
    assert await client.query("RETURN 1") == [1]


async def test_failed_sign_in_and_reset_never_make_an_owner(raw):
    client = await raw()
    for method, params in (
        ("signin", [{"user": "root", "pass": "wrong"}]),
        ("authenticate", ["abc"]),
        ("reset", []),
        ("invalidate", []),
    ):
        await client.call(method, *params)
        assert refused(await client.call("query", "RETURN 1", {})), method
    await client.sign_in_root("test")
    await client.call("reset")
    assert refused(await client.call("query", "RETURN 1", {}))


async def test_an_anonymous_use_makes_no_namespace(raw, database):
    client, name = await raw(), f"test_{uuid4().hex}"
    await client.call("use", name, "main")
    assert name not in (await database.query("INFO FOR ROOT"))[0]["namespaces"]


async def test_requests_of_one_connection_keep_their_order(raw, notes):
    client = await raw()
    await client.sign_in_root(notes)
    for number in range(1, 101):
        text = "UPSERT note:1 SET seen = array::append(seen ?? [], $n)"
        await client.send(encode({"id": number, "method": "query", "params": [text, {"n": number}]}))
    assert [(await client.receive())["id"] for _ in range(100)] == list(range(1, 101))
    assert (await client.query("SELECT VALUE seen FROM ONLY note:1"))[0] == list(range(1, 101))


@pytest.mark.parametrize("durable", [False, True])
async def test_connections_take_turns_however_much_one_has_sent(serve, raw, tmp_path, durable):
    url = await serve(path=tmp_path / "db" if durable else None)
    greedy, modest = await raw(url), await raw(url)
    await greedy.sign_in_root("test")
    await modest.sign_in_root("test")
    await modest.query("DEFINE TABLE t")
    for number in range(1000, 1400):
        await greedy.send(encode({"id": number, "method": "query", "params": ["CREATE t RETURN NONE", {}]}))
    for _ in range(5):
        count = (await modest.query("RETURN array::len((SELECT VALUE id FROM t))"))[0]
        assert count < 400
    for number in range(1000, 1400):
        assert (await greedy.receive())["id"] == number
    assert await modest.query("RETURN array::len((SELECT VALUE id FROM t))") == [400]


async def test_a_slow_request_holds_up_its_own_connection_only(raw, notes):
    slow, quick = await raw(), await raw()
    await slow.sign_in_root(notes)
    await quick.sign_in_root(notes)
    await slow.send(encode({"id": 9, "method": "query", "params": ["SLEEP 1s", {}]}))
    began = asyncio.get_running_loop().time()
    assert await quick.query("RETURN 1") == [1]
    assert asyncio.get_running_loop().time() - began < 0.9
    assert (await slow.receive())["id"] == 9


async def test_a_request_once_begun_is_carried_out_though_its_client_goes(raw, notes, database):
    await database.query("DEFINE TABLE a")  # a CREATE that defines its table as well may conflict with a reader
    client = await raw()
    await client.sign_in_root(notes)
    await client.send(encode({"id": 9, "method": "query", "params": ["CREATE a:1; SLEEP 200ms; CREATE note:1", {}]}))
    await eventually(lambda: _rows(database, "a"))
    await client.socket.close()
    assert await _rows(database, "note") == []
    await eventually(lambda: _rows(database, "note"))


async def _rows(database, table):
    await database.query(f"DEFINE TABLE IF NOT EXISTS {table}", conflict_retries=5)
    return (await database.query(f"SELECT * FROM {table}"))[0]


async def test_connections_beyond_the_limit_are_refused_and_places_come_free(serve, raw):
    url = await serve(limits=Limits(connections_max=2))
    first, second = await raw(url), await raw(url)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await raw(url)
    assert caught.value.status == 503
    await first.socket.close()

    async def admitted():
        try:
            return await raw(url)
        except aiohttp.WSServerHandshakeError:
            return None

    third = await eventually(admitted)
    await third.sign_in_root("test")
    await second.sign_in_root("test")


async def test_a_frame_beyond_the_limit_closes_its_connection_only(serve, raw):
    url = await serve(limits=Limits(frame_bytes_max=10_000))
    big, other = await raw(url), await raw(url)
    await other.sign_in_root("test")
    await big.send(encode({"id": 1, "method": "query", "params": ["RETURN 1", {"a": "x" * 20_000}]}))
    with pytest.raises(ConnectionError, match="1009"):
        await big.receive()
    assert await other.query("RETURN 1") == [1]


async def test_sessions_and_read_ahead_are_bounded(serve, raw):
    url = await serve(limits=Limits(sessions_max=2, inflight_max=4))
    client = await raw(url)
    for _ in range(2):
        assert "error" not in await client.call("attach", session=uuid4())
    assert "at most 2" in (await client.call("attach", session=uuid4()))["error"]["message"]
    await client.sign_in_root("test")
    for number in range(100, 200):  # far more than is read ahead: held back by TCP, none lost
        await client.send(encode({"id": number, "method": "query", "params": ["RETURN $n", {"n": number}]}))
    answers = [await client.receive() for _ in range(100)]
    assert [answer["result"][0]["result"] for answer in answers] == list(range(100, 200))


async def test_what_a_client_sends_arrives_as_it_was(raw, notes):
    client = await raw()
    await client.sign_in_root(notes)
    value = {"id": RecordId("a", [1, "b"]), "uuid": UUID(int=5), "none": [NONE, None], "bytes": b"\x00\xff"}
    assert await client.query("RETURN $value", value=value) == [value]


async def test_stop_ends_clients_and_lets_what_began_finish(tmp_path, raw):
    from sp00ky.deploy.db.server import DatabaseServer

    server = DatabaseServer(path=tmp_path / "db", user="root", password="root")
    client = await raw(await server.start("127.0.0.1:0"))
    await client.sign_in_root("test")
    await client.send(encode({"id": 9, "method": "query", "params": ["CREATE a:1; SLEEP 200ms; CREATE b:1", {}]}))
    await client.send(encode({"id": 10, "method": "ping", "params": []}))
    await asyncio.wait_for(asyncio.gather(server.stop(), _drained(client)), 10)
    again = DatabaseServer(path=tmp_path / "db", user="root", password="root")
    url = await again.start("127.0.0.1:0")
    reader = Database(url, user="root", password="root", namespace="test", database="main")
    await reader.query("DEFINE TABLE IF NOT EXISTS a; DEFINE TABLE IF NOT EXISTS b")
    first, last = await reader.query("SELECT * FROM a; SELECT * FROM b")
    assert len(first) == len(last)  # not begun, or carried out to its end
    await reader.close()
    await again.stop()


async def _drained(client):
    with pytest.raises(ConnectionError):
        while True:
            await client.receive()


def test_error_frames_decode_for_any_id():
    from sp00ky.deploy.db.frames import FrameError, error_frame

    assert decode(error_frame(FrameError(-32700, "x")))["id"] is NONE
    assert decode(error_frame(FrameError(-32700, "x", "abc")))["id"] == "abc"
