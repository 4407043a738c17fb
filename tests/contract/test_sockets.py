"""`GET /view/{id}/ws` over real HTTP and gRPC: the same events, more views and fewer, and every end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import orjson
import pytest
from aiohttp import WSMsgType
from sp00ky.gateway.connections import Guard
from sp00ky.gateway.sse import PIECE_BYTES
from sp00ky.gateway.streams.frames import Frames
from sp00ky.gateway.streams.service import ViewStreams

from tests.contract.test_streams import JWT_SECRET, SECRET, Build, scene
from tests.edge.raw import Raw
from tests.harness.eventually import eventually
from tests.harness.fake_mesh import token
from tests.harness.folding_reader import FoldedView, FoldingReader

__all__ = ["scene"]


class Talk:
    """One socket, what it was told folded."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, several: bool = False) -> None:
        self.socket, self.folded = socket, FoldingReader(several=several)

    async def next(self, kind: str = "") -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                message = await self.socket.receive()
                if message.type is not WSMsgType.TEXT:
                    raise EOFError(self.socket.close_code)
                body = message.json()
                if body["type"] != "error":
                    self.folded.take(body["type"], {**body}, "")
                if not kind or body["type"] == kind:
                    return body  # type: ignore[no-any-return]

    async def closed(self) -> int | None:
        with pytest.raises(EOFError):
            while True:
                await self.next()
        return self.socket.close_code


async def test_a_socket_tells_the_same(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1]})
    async with mesh.client.ws_connect("/view/v/ws?rows=1") as socket:
        talk = Talk(socket)
        first = await talk.next()
        assert list(first)[:3] == ["type", "id", "revision"]
        assert (first["type"], first["rows"]) == ("snapshot", [{"n": 1}])
        assert await talk.next() == {"type": "up-to-date", "revision": token(2)}
        mesh.ssp.put({"v": [1, 2]})
        assert (await talk.next())["added"] == [{"at": 1, "id": "r:2", "version": 3}]
        assert talk.folded.views["v"].result.members == mesh.result().members
    async with mesh.client.ws_connect(f"/view/v/ws?rows=1&since={token(2)}") as socket:
        assert (await socket.receive_json(timeout=10))["type"] == "delta"


async def test_views_come_and_go_on_one_socket_and_move_together(scene: Build) -> None:
    mesh = await scene(stream_views_max=2)
    mesh.ssp.put({"a": [1], "b": [1], "c": [1]})
    async with mesh.client.ws_connect("/view/a/ws") as socket:
        talk = Talk(socket, several=True)
        await talk.next("up-to-date")
        await socket.send_json({"type": "watch", "id": "b", "rows": 1})
        while (await talk.next("up-to-date"))["revision"] != token(2) or "b" not in talk.folded.views:
            pass
        mesh.ssp.put({"a": [2], "b": [2]})
        while (await talk.next("up-to-date"))["revision"] != token(3):
            pass
        for name in ("a", "b"):
            assert talk.folded.views[name].result.members == mesh.result(name).members
        assert talk.folded.views["b"].result.rows == [{"n": 2}]
        await socket.send_json({"type": "watch", "id": "c"})
        assert (await talk.next("error"))["code"] == "SPKY_TOO_LARGE"
        await socket.send_json({"type": "unwatch", "id": "a"})
        talk.folded.views["c"] = FoldedView(revision=token(2))
        await socket.send_json({"type": "watch", "id": "c", "since": token(2)})
        while (await talk.next("up-to-date"))["revision"] != token(3):
            pass
        mesh.ssp.put({"a": [3], "b": [3]})
        assert (await talk.next("delta"))["id"] == "b"
        assert mesh.ssp.reads == 1, "since what it has, which is what it is"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("no JSON", "INVALID"),
        ('{"type": "dance"}', "INVALID"),
        ('{"type": "watch"}', "INVALID"),
        ('{"type": "watch", "id": "v"}', "CONFLICT"),
        ('{"type": "watch", "id": "nope"}', "NOT_FOUND"),
        ('{"type": "watch", "id": "b", "since": "yesterday"}', "INVALID"),
        ('{"type": "watch", "id": "b", "auth": "nobody"}', "INVALID"),
        ('{"type": "watch", "id": 7}', "INVALID"),
        ('{"type": "unwatch", "id": "b"}', "NOT_FOUND"),
        ("[]", "INVALID"),
    ],
)
async def test_what_is_wrong_is_said_and_the_socket_goes_on(scene: Build, message: str, code: str) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1], "b": [1]})
    async with mesh.client.ws_connect("/view/v/ws") as socket:
        talk = Talk(socket)
        await talk.next("up-to-date")
        await socket.send_str(message)
        assert (await talk.next("error"))["code"] == f"SPKY_{code}"
        mesh.ssp.put({"v": [2]})
        assert (await talk.next())["type"] == "delta"


async def test_a_view_that_is_gone_leaves_the_socket_open(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1], "b": [1]})
    async with mesh.client.ws_connect("/view/v/ws") as socket:
        talk = Talk(socket)
        await talk.next("up-to-date")
        mesh.ssp.drop("v")
        assert (await talk.next())["type"] == "gone"
        await socket.send_json({"type": "watch", "id": "b"})
        assert (await talk.next())["type"] == "snapshot"


async def test_a_message_that_is_too_long_closes_the_socket(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1]})
    async with mesh.client.ws_connect("/view/v/ws") as socket:
        await socket.send_str("x" * 20_000)
        assert await Talk(socket).closed() == 1009


MASKED = b"\x00\x00\x00\x00"  # a mask that changes nothing
NO_MESSAGES = {
    "not utf-8": (b"\x81\x82" + MASKED + b"\xff\xfe", 1007),
    "reserved bits": (b"\xf1\x81" + MASKED + b"x", 1002),
    "unknown opcode": (b"\x83\x81" + MASKED + b"x", 1002),
    "control frame of 200 bytes": (b"\x89\xfe\x00\xc8" + MASKED + b"x" * 200, 1002),
    "20 kB": (b"\x81\xfe\x4e\x20" + MASKED + b"x" * 20_000, 1009),
}


async def opened(client: aiohttp.ClientSession, path: str, more: bytes = b"") -> Raw:
    """A socket spoken to in bytes, once it is open."""
    assert client._base_url is not None
    raw = Raw(*await asyncio.open_connection("127.0.0.1", client._base_url.port))
    raw.say(
        b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%b\r\n" % (path.encode(), more)
    )
    assert await raw.status() == 101
    return raw


@pytest.mark.parametrize("kind", NO_MESSAGES)
async def test_what_is_no_message_is_the_readers_fault(
    scene: Build, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    mesh = await scene(feed_linger_ms=0)
    caplog.clear()
    mesh.ssp.put({"v": [1]})
    sent, code = NO_MESSAGES[kind]
    raw = await opened(mesh.client, "/view/v/ws")
    raw.say(sent)
    said = await asyncio.wait_for(raw.reader.read(-1), 10)
    raw.writer.close()
    assert b"\x88" in said and code.to_bytes(2) in said
    await eventually(lambda: mesh.counted("spky_gateway_streams", transport="ws") == 0)
    assert mesh.counted("spky_gateway_stream_cuts_total", reason="protocol") == 1
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize("path", ["ws", "events"])
async def test_a_reader_who_is_gone_before_the_head_is_no_fault_of_ours(
    scene: Build, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    mesh = await scene(feed_linger_ms=0)
    caplog.clear()
    mesh.ssp.put({"v": [1]})
    reach = ViewStreams.reader

    @contextlib.asynccontextmanager
    async def late(*args: Any, **named: Any) -> AsyncIterator[Any]:
        async with reach(*args, **named) as reader:
            raw.writer.transport.abort()
            await asyncio.wait_for(left.wait(), 10)
            yield reader

    left = asyncio.Event()
    lost = Guard.connection_lost

    def noted(guard: Guard, error: Exception | None) -> None:
        lost(guard, error)
        left.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViewStreams, "reader", late)
        patch.setattr(Guard, "connection_lost", noted)
        assert mesh.client._base_url is not None
        raw = Raw(*await asyncio.open_connection("127.0.0.1", mesh.client._base_url.port))
        raw.say(
            b"GET /view/v/%b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" % path.encode()
        )
        await asyncio.wait_for(left.wait(), 10)
        route = "/view/{id}/" + path
        await eventually(lambda: mesh.counted("spky_http_request_duration_seconds_count", route=route) == 1)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_a_bearer_among_the_protocols_is_not_logged(scene: Build, caplog: pytest.LogCaptureFixture) -> None:
    mesh = await scene(secret=SECRET)
    mesh.ssp.put({"v": [1]})
    async with mesh.client.ws_connect("/view/v/ws", protocols=(f"bearer.{SECRET}",)) as socket:
        await Talk(socket).next()
    assert SECRET not in caplog.text


async def test_a_socket_says_why_it_is_over(scene: Build) -> None:
    mesh = await scene(secret=SECRET, jwt_secret=JWT_SECRET, jwt_leeway_s=0)
    mesh.ssp.put({("v", "user:1"): [1], "v": [1]})
    user = jwt.encode({"ID": "user:1", "exp": int(time.time()) + 2}, JWT_SECRET)
    async with mesh.client.ws_connect("/view/v/ws", protocols=("sp00ky.v1", f"bearer.{user}")) as socket:
        assert socket.protocol == "sp00ky.v1"
        assert await Talk(socket).closed() == 1008
    async with mesh.client.ws_connect(f"/view/v/ws?access_token={SECRET}") as socket:
        await Talk(socket).next("up-to-date")
        stopping = asyncio.create_task(mesh.server.stop())
        assert await Talk(socket).closed() == 1001
        await asyncio.wait_for(stopping, 3)


async def test_a_page_of_another_origin_opens_no_socket(scene: Build) -> None:
    mesh = await scene(cors_origins="https://app.example.org")
    mesh.ssp.put({"v": [1]})
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await mesh.client.ws_connect("/view/v/ws", origin="https://evil.example.org")
    async with mesh.client.ws_connect("/view/v/ws", origin="https://app.example.org") as socket:
        assert (await Talk(socket).next())["type"] == "snapshot"


async def test_a_socket_whose_reader_left_is_closed(scene: Build) -> None:
    mesh = await scene(feed_linger_ms=0)
    mesh.ssp.put({"v": [1]})
    async with mesh.client.ws_connect("/view/v/ws") as socket:
        await Talk(socket).next()
        assert mesh.counted("spky_gateway_streams", transport="ws") == 1
    await eventually(lambda: mesh.counted("spky_gateway_streams", transport="ws") == 0 and mesh.ssp.watches == 0)


async def test_l6_a_socket_that_is_not_read_is_cut_off(scene: Build) -> None:
    mesh = await scene(write_timeout_ms=300, feed_bytes_max=100_000_000)
    mesh.ssp.padding = 300_000
    mesh.ssp.put({"v": []})
    async with aiohttp.ClientSession(mesh.client._base_url, read_bufsize=1024) as lazy:
        response = await lazy.get(
            "/view/v/ws?rows=1",
            headers={
                "Upgrade": "websocket", "Connection": "Upgrade",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13",
            },
        )  # fmt: skip
        assert response.status == 101

        def flood() -> bool:
            mesh.ssp.put({"v": [mesh.ssp.seq]})
            return mesh.counted("spky_gateway_streams", transport="ws") == 0

        await eventually(flood, 30)
        response.close()


async def frames_of(raw: Raw, until: bytes) -> list[tuple[int, bytes]]:
    """What the server sends, until one holds `until`: the first byte of each frame's head, and its part."""
    while (await asyncio.wait_for(raw.reader.readline(), 10)).strip():
        pass
    frames: list[tuple[int, bytes]] = []
    while not frames or until not in frames[-1][1]:
        async with asyncio.timeout(10):
            first, size = await raw.reader.readexactly(2)
            if size > 125:
                size = int.from_bytes(await raw.reader.readexactly(2 if size == 126 else 8))
            frames.append((first, await raw.reader.readexactly(size)))
    return frames


async def test_a_large_message_is_written_in_fragments(scene: Build) -> None:
    mesh = await scene(feed_bytes_max=100_000_000)
    mesh.ssp.padding = 300_000
    mesh.ssp.put({"v": [1]})
    raw = await opened(mesh.client, "/view/v/ws?rows=1")
    frames = await frames_of(raw, b"up-to-date")
    raw.writer.close()
    parts = [(first, part) for first, part in frames if first != 0x89]  # pings may stand between
    firsts = [first for first, _ in parts]
    assert firsts[0] == 0x01 and set(firsts[1:-2]) == {0x00} and firsts[-2:] == [0x80, 0x81]
    assert max(len(part) for _, part in parts) == PIECE_BYTES
    assert orjson.loads(b"".join(part for _, part in parts[:-1]))["type"] == "snapshot"


async def test_a_reader_who_is_silent_is_cut_off_and_one_who_answers_is_not(scene: Build) -> None:
    mesh = await scene(keep_alive_ms=200)
    mesh.ssp.put({"v": [1]})
    pings = 0
    async with mesh.client.ws_connect("/view/v/ws", autoping=False) as talker:
        silent = await opened(mesh.client, "/view/v/ws")
        while pings < 5:
            message = await talker.receive(timeout=10)
            if message.type is WSMsgType.PING:
                pings += 1
                await talker.pong(message.data)
        assert await silent.closed()
        silent.writer.close()
        assert mesh.counted("spky_gateway_streams", transport="ws") == 1
        assert mesh.counted("spky_gateway_stream_cuts_total", reason="silent") == 1


class Slow:
    """The response and the request of a reader of whom only the transport tells, as `Frames` sees them."""

    def __init__(self) -> None:
        self.held, self.pings, self.closed, self.transport = 0, 0, False, self

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return self.held

    def write(self, data: bytes) -> None:
        self.held += len(data)

    async def prepare(self, request: object) -> Slow:
        return self

    async def drain(self) -> None:
        pass

    async def ping(self) -> None:
        self.pings += 1
        if self.pings < 10:
            self.held -= self.held // 2


async def test_who_takes_something_lives_though_he_answers_no_ping() -> None:
    slow: Any = Slow()
    frames = Frames(slow, slow, 10)
    await frames.write(b"x" * 1_000_000)
    await asyncio.wait_for(frames.beat(0.001), 10)
    assert slow.pings >= 10, "cut off only once he took nothing more"
