"""The fault proxy does what it says, so that a verdict reached through it is about the mesh."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Proxy, proxied
from tests.harness.eventually import eventually


@pytest.fixture
async def echo() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends back each line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with proxied(f"{host}:{port}") as proxy:
        yield proxy
    server.close()


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.heard = b""
        self.error: OSError | None = None
        self.task = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        try:
            while data := await self.reader.read(1000):
                self.heard += data
        except OSError as error:
            self.error = error

    def say(self, line: bytes) -> None:
        self.writer.write(line)


@pytest.fixture
async def caller(echo: Proxy) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection(*echo.address.split(":"))
    made = Caller(reader, writer)
    yield made
    writer.close()
    made.task.cancel()


async def test_it_passes_and_records(echo: Proxy, caller: Caller) -> None:
    caller.say(b"one\n")
    await eventually(lambda: caller.heard == b"one\n")
    assert (echo.up.passed_bytes, echo.down.passed_bytes) == (4, 4)
    caller.writer.close()
    await eventually(lambda: echo.recorded == [b"one\n"])
    assert await echo.replay(echo.recorded[0], b"\n") == b"one\n"


async def test_a_direction_is_held_and_then_delivers(echo: Proxy, caller: Caller) -> None:
    echo.down.hold()
    caller.say(b"one\n")
    await eventually(lambda: echo.up.passed_bytes == 4)
    assert caller.heard == b""
    echo.release()
    await eventually(lambda: caller.heard == b"one\n")
    echo.up.hold()
    caller.say(b"two\n")
    caller.say(b"three\n")
    await eventually(lambda: bytes(echo.links[0].recorded).endswith(b"three\n"))
    assert echo.up.passed_bytes == 4
    echo.release()
    await eventually(lambda: caller.heard == b"one\ntwo\nthree\n")


async def test_latency_keeps_the_order(echo: Proxy, caller: Caller) -> None:
    echo.delay(20, 50)
    lines = [b"%d\n" % number for number in range(20)]
    for line in lines:
        caller.say(line)
        await caller.writer.drain()
    started = asyncio.get_running_loop().time()
    await eventually(lambda: caller.heard == b"".join(lines))
    assert asyncio.get_running_loop().time() - started >= 0.02


async def test_a_slow_line_takes_its_time(echo: Proxy, caller: Caller) -> None:
    echo.down.bytes_per_second = 10_000
    started = asyncio.get_running_loop().time()
    for _ in range(4):
        heard = len(caller.heard)
        caller.say(b"x" * 499 + b"\n")
        await eventually(lambda heard=heard: len(caller.heard) == heard + 500)
    assert asyncio.get_running_loop().time() - started >= 0.15


async def test_a_reset_is_seen_as_one(echo: Proxy, caller: Caller) -> None:
    caller.say(b"one\n")
    await eventually(lambda: caller.heard == b"one\n")
    assert echo.reset() == 1
    await eventually(lambda: isinstance(caller.error, ConnectionResetError))


async def test_a_half_open_connection_is_not_noticed(echo: Proxy, caller: Caller) -> None:
    caller.say(b"one\n")
    await eventually(lambda: caller.heard == b"one\n")
    assert echo.strand() == 1
    caller.say(b"two\n")
    await caller.writer.drain()
    await eventually(lambda: echo.links and echo.links[0].stranded)
    assert not caller.task.done() and caller.heard == b"one\n"


async def test_a_refusing_proxy_listens_again_where_it_was(echo: Proxy) -> None:
    await echo.refuse()
    with pytest.raises(OSError):
        await asyncio.open_connection(*echo.address.split(":"))
    await echo.allow()
    _, writer = await asyncio.open_connection(*echo.address.split(":"))
    writer.close()
