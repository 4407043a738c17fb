"""I2: whatever a peer writes to a gRPC port, it is answered with an error, and nobody else notices.

Frames that are wrong (`http2.py` writes them by hand) end the connection or the stream; frames that are right but far
too many cost no memory that stays; messages that are no protobuf are the caller's fault. Meanwhile another client is
served at the same port, and afterwards the process is the same and about as large as before.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import psutil
import pytest
import pytest_asyncio
from grpc import aio
from sp00ky.proto.channel import CONNECTION_CALLS_MAX, fault_of, open_channel
from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc, common_pb2, ingest_pb2, replication_pb2, views_pb2

from tests.edge.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ERROR_CODES,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    PUSH,
    RST,
    SETTINGS,
    WINDOW,
    Outcome,
    call,
    frame,
    literal,
    message,
    number,
    opened,
)

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PATIENCE_S: Final = 30.0
ROUNDS: Final = 2
REFUSED_STREAM: Final = 7
GROWTH_MAX: Final = 1.25
STATUS = "/sp00ky.v1.AdminService/GetStatus"
SERVERS = ("scheduler", "ssp")


class Served:
    def __init__(self, process: asyncio.subprocess.Process, addresses: dict[str, str]) -> None:
        self._process, self.addresses = process, addresses
        self._figures = psutil.Process(process.pid)

    @property
    def bytes(self) -> int:
        return int(self._figures.memory_info().rss)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Served]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.edge.serve_grpc", stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield Served(process, json.loads(await process.stdout.readline()))
            assert process.returncode is None, "it has ended by itself"
            process.stdin.close()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def another_client(address: str) -> AsyncIterator[None]:
    """Asks all the time, and is answered at least once more afterwards. What a server in a flood has no place for it
    drops, and says so: to be asked again."""
    over, answered = asyncio.Event(), 0

    async def ask() -> None:
        nonlocal answered
        async with open_channel(address) as channel:
            stub, last = admin_pb2_grpc.AdminServiceStub(channel), False
            while not last:
                last = over.is_set()
                try:
                    await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=PATIENCE_S)
                    answered += 1
                except aio.AioRpcError as error:
                    assert fault_of(error).code is Code.UNAVAILABLE, error
                    last = False

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        over.set()
        async with asyncio.timeout(PATIENCE_S):
            await asking
    assert answered


# --- frames that are wrong -------------------------------------------------------------------------------------------

BLOCK = call(STATUS)
BEGUN = frame(HEADERS, BLOCK, flags=END_HEADERS, stream=1)
IGNORED: dict[str, bytes] = {  # gRPC passes over what belongs to no call
    "data on no stream": frame(DATA, b"x"),
    "headers on no stream": frame(HEADERS, BLOCK, flags=END_HEADERS),
    "a reset of no stream": frame(RST, b"\0\0\0\0"),
    "headers of an even stream": frame(HEADERS, BLOCK, flags=END_HEADERS, stream=2),
}
WRONG_FRAMES: dict[str, bytes] = {
    "a frame longer than may be": frame(DATA, b"x", stream=1, length=2**24 - 1),
    "headers longer than may be": frame(HEADERS, b"", flags=END_HEADERS, stream=1, length=2**24 - 1),
    "a ping of 7 bytes": frame(PING, b"1234567"),
    "settings of 5 bytes": frame(SETTINGS, b"12345"),
    "an acknowledgement with settings": frame(SETTINGS, struct.pack(">HI", 4, 1), flags=1),
    "a window above 2^31": frame(SETTINGS, struct.pack(">HI", 4, 2**31)),
    "settings on a stream": frame(SETTINGS, stream=1),
    "a frame size of 1": frame(SETTINGS, struct.pack(">HI", 5, 1)),
    "a reset of 3 bytes": BEGUN + frame(RST, b"\0\0\0", stream=1),
    "continuation of nothing": frame(CONTINUATION, BLOCK, flags=END_HEADERS, stream=1),
    "data between the headers": frame(HEADERS, BLOCK, stream=1) + frame(DATA, b"x", stream=1),
    "headers of another between": frame(HEADERS, BLOCK, stream=1) + frame(HEADERS, BLOCK, flags=4, stream=3),
    "an index that is not there": frame(HEADERS, number(4_000, 7, 0x80), flags=END_HEADERS, stream=1),
    "index 0": frame(HEADERS, b"\x80", flags=END_HEADERS, stream=1),
    "an endless integer": frame(HEADERS, b"\x7f" + b"\xff" * 64, flags=END_HEADERS, stream=1),
    "a name that is cut off": frame(HEADERS, b"\x00\x7f" + b"a", flags=END_HEADERS, stream=1),
    "a table of 2^30 bytes": frame(HEADERS, number(2**30, 5, 0x20) + BLOCK, flags=END_HEADERS, stream=1),
    "padding longer than the frame": frame(HEADERS, b"\xff" + BLOCK, flags=END_HEADERS | 0x8, stream=1),
    "a window of no bytes": frame(WINDOW, b"\0\0\0\0"),
}


@pytest.mark.parametrize("server", SERVERS)
async def test_i2_frames_that_are_wrong_end_the_connection_and_no_other(served: Served, server: str) -> None:
    address = served.addresses[server]
    async with another_client(address):
        for name, said in WRONG_FRAMES.items():
            async with opened(address) as connection:
                await connection.say(said)
                outcome = await connection.heard()
            assert refused(outcome), f"{name}: {outcome}"
        for name, said in IGNORED.items():
            async with opened(address) as connection:
                await connection.say(said)
                assert not (await connection.heard()).headers, name
        for text in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/3.0\r\n\r\n", bytes(64), b"\x16\x03\x01" * 20):
            async with opened(address, preface=text) as connection:
                assert (await connection.heard()).closed, text
    assert served.alive


def refused(outcome: Outcome) -> bool:
    """Ended, and said so with a code that there is, or closed without a word."""
    codes = [*outcome.goaway, *outcome.reset.values()]
    return (outcome.closed or bool(codes)) and all(0 <= code < ERROR_CODES for code in codes)


@pytest.mark.parametrize("seed", range(2))
async def test_i2_random_frames(served: Served, seed: int) -> None:
    """Anything at all: nothing is required of the answer, but that there is an end."""
    chance, address = random.Random(seed), served.addresses["scheduler"]
    async with another_client(address):
        for _ in range(60):
            async with opened(address) as connection:
                for _ in range(chance.randrange(1, 12)):
                    payload = chance.choice([BLOCK, chance.randbytes(chance.randrange(40)), message(b"\x0a\x05ab")])
                    await connection.say(
                        frame(
                            chance.randrange(12),
                            payload,
                            flags=chance.choice([0, 1, 4, 5, 0xFF, chance.randrange(256)]),
                            stream=chance.choice([0, 1, 1, 3, 2**31 - 1]),
                            length=chance.choice([None, None, None, chance.randrange(80)]),
                        )
                    )
                await connection.say(frame(GOAWAY, bytes(8)))
    assert served.alive


# --- frames that are too many ----------------------------------------------------------------------------------------


def streams(count: int) -> Iterator[int]:
    return iter(range(1, 2 * count, 2))


def rapid_reset() -> Iterator[bytes]:
    for stream in streams(2_000):
        yield frame(HEADERS, BLOCK, flags=END_HEADERS, stream=stream) + frame(RST, b"\0\0\0\x08", stream=stream)


def resets_of_calls() -> Iterator[bytes]:
    """Whole calls, whose answer nobody waits for."""
    for stream in streams(1_000):
        yield frame(HEADERS, BLOCK, flags=END_HEADERS, stream=stream)
        yield frame(DATA, message(b""), flags=END_STREAM, stream=stream) + frame(RST, b"\0\0\0\x08", stream=stream)


def continuations() -> Iterator[bytes]:
    yield frame(HEADERS, BLOCK, stream=1)
    for _ in range(4_000):
        yield frame(CONTINUATION, literal("x-more", b"y" * 200), stream=1)


def empty_continuations() -> Iterator[bytes]:
    yield frame(HEADERS, BLOCK, stream=1)
    for _ in range(10_000):
        yield frame(CONTINUATION, b"", stream=1)


def header_bomb() -> Iterator[bytes]:
    """One field of 4 KB put into the table, and named again with one byte each: 40 MB out of 10 KB."""
    bomb = BLOCK + literal("x-bomb", b"b" * 3_900, indexed=True) + b"\xbe" * 10_000
    for stream in streams(20):
        yield frame(HEADERS, bomb, flags=END_HEADERS, stream=stream)


def long_headers() -> Iterator[bytes]:
    for stream in streams(10):
        yield frame(HEADERS, BLOCK, stream=stream)
        for part in range(60):
            end = END_HEADERS if part == 59 else 0
            yield frame(CONTINUATION, literal("x-long", b"l" * 16_000), flags=end, stream=stream)


def pings() -> Iterator[bytes]:
    yield from (frame(PING, struct.pack(">Q", each)) for each in range(10_000))


def settings() -> Iterator[bytes]:
    yield from (frame(SETTINGS, struct.pack(">HI", 4, each)) for each in range(10_000))


def priorities() -> Iterator[bytes]:
    yield from (frame(PRIORITY, struct.pack(">IB", 0, 1), stream=each) for each in streams(10_000))


def empty_data() -> Iterator[bytes]:
    yield BEGUN
    yield from (frame(DATA, b"", stream=1) for _ in range(10_000))


def unknown_frames() -> Iterator[bytes]:
    yield from (frame(0xB0, b"u" * 100, stream=each) for each in streams(5_000))


def windows() -> Iterator[bytes]:
    yield from (frame(WINDOW, struct.pack(">I", 2**31 - 1)) for _ in range(5_000))


def open_streams() -> Iterator[bytes]:
    """Calls that are begun, with half a message that is said to be long, and left."""
    for stream in streams(2_000):
        yield frame(HEADERS, call("/sp00ky.v1.IngestService/Ingest"), flags=END_HEADERS, stream=stream)
        yield frame(DATA, message(b"half", length=1_000_000), stream=stream)


def unread_answers() -> Iterator[bytes]:
    """Answers for which no window is ever opened."""
    yield frame(SETTINGS, struct.pack(">HI", 4, 0))
    for stream in streams(1_000):
        yield frame(HEADERS, BLOCK, flags=END_HEADERS, stream=stream)
        yield frame(DATA, message(b""), flags=END_STREAM, stream=stream)


def promises() -> Iterator[bytes]:
    yield BEGUN
    yield from (frame(PUSH, struct.pack(">I", 2) + BLOCK, flags=END_HEADERS, stream=1) for _ in range(1_000))


FLOODS = (
    rapid_reset, resets_of_calls, continuations, empty_continuations, header_bomb, long_headers, pings, settings,
    priorities, empty_data, unknown_frames, windows, open_streams, unread_answers, promises,
)  # fmt: skip


async def flooded(address: str, flood: Callable[[], Iterator[bytes]]) -> None:
    async with opened(address) as connection:
        for said in flood():
            if not await connection.say(said):
                return


async def test_i2_floods_leave_no_memory_behind_and_others_are_served(served: Served) -> None:
    """The first time each fills the allocator's pools; the second time nothing may grow."""
    address, sizes = served.addresses["scheduler"], []
    for _ in range(2):
        for flood in FLOODS:
            async with another_client(address):
                for _ in range(ROUNDS):
                    await flooded(address, flood)
            assert served.alive, flood
        sizes.append(served.bytes)
    assert sizes[1] < GROWTH_MAX * sizes[0], f"{sizes[0]} bytes grew to {sizes[1]}"


@pytest.mark.parametrize("server", SERVERS)
async def test_i2_a_connection_has_so_many_calls_at_once_and_no_more(served: Served, server: str) -> None:
    """Fewer than a server has a place for, so that one connection cannot take every place."""
    begun = b"".join(
        frame(HEADERS, BLOCK, flags=END_HEADERS, stream=each) for each in streams(2 * CONNECTION_CALLS_MAX)
    )
    async with another_client(served.addresses[server]), opened(served.addresses[server]) as connection:
        assert (await connection.heard()).settings[3] == CONNECTION_CALLS_MAX  # MAX_CONCURRENT_STREAMS
        await connection.say(frame(SETTINGS, flags=1) + begun)
        reset: dict[int, int] = {}
        async with asyncio.timeout(PATIENCE_S):
            while len(reset) < CONNECTION_CALLS_MAX:
                reset |= (await connection.heard()).reset
        assert set(reset.values()) == {REFUSED_STREAM} and len(reset) == CONNECTION_CALLS_MAX


# --- messages that are wrong -----------------------------------------------------------------------------------------

UNARY = {
    "scheduler": [STATUS, "/sp00ky.v1.IngestService/Ingest", "/sp00ky.v1.ViewService/GetView",
                  "/sp00ky.v1.ViewService/RegisterView", "/sp00ky.v1.ProxyService/Query"],
    "ssp": [STATUS, "/sp00ky.v1.ViewService/GetView", "/sp00ky.v1.ViewService/ExplainView"],
}  # fmt: skip
STREAMS = {
    "scheduler": ["/sp00ky.v1.IngestService/IngestStream", "/sp00ky.v1.ReplicationService/Replicate"],
    "ssp": ["/sp00ky.v1.ViewService/WatchViews"],
}
OVERLONG = b"\xff" * 11
NO_MESSAGES: dict[str, bytes] = {
    "an overlong varint as the tag": OVERLONG,
    "an overlong varint as the length": b"\x0a" + OVERLONG,
    "a length beyond the end": b"\x0a\x7fab",
    "a length of 2^63": b"\x0a" + b"\xff" * 9 + b"\x01",
    "a group that is not closed": b"\x0b" * 10,
    "a group that was not opened": b"\x0c",
    "wire type 7": b"\x0f\x00",
    "groups 10,000 deep": b"\x0b" * 10_000,
    "a varint that ends in the middle": b"\x08\x80",
    "8 bytes of which 3 are there": b"\x09abc",
}
UNKNOWN_FIELDS = b"\xfa\x7f\x03abc" + b"\xc0\x3e\x01" * 3  # numbers that no message has
OF_THE_CALLER = frozenset({grpc.StatusCode.INVALID_ARGUMENT})


async def unary_status(channel: aio.Channel, path: str, raw: bytes) -> grpc.StatusCode:
    try:
        await channel.unary_unary(path)(raw, timeout=PATIENCE_S)
    except aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def stream_status(channel: aio.Channel, path: str, raw: bytes) -> grpc.StatusCode:
    async def requests() -> AsyncIterator[bytes]:
        yield raw

    try:
        async for _ in channel.stream_stream(path)(requests(), timeout=PATIENCE_S):
            pass
    except aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("server", SERVERS)
async def test_i2_what_is_no_message_is_the_callers_fault(served: Served, server: str) -> None:
    address = served.addresses[server]
    async with another_client(address), open_channel(address) as channel:
        for name, raw in NO_MESSAGES.items():
            for path in UNARY[server]:
                assert await unary_status(channel, path, raw) in OF_THE_CALLER, (name, path)
            for path in STREAMS[server]:
                assert await stream_status(channel, path, raw) in OF_THE_CALLER, (name, path)
        assert await unary_status(channel, STATUS, UNKNOWN_FIELDS) is grpc.StatusCode.OK, "of a newer peer"


@pytest.mark.parametrize("server", SERVERS)
async def test_i2_a_message_larger_than_may_be_is_refused(served: Served, server: str) -> None:
    async with another_client(served.addresses[server]), open_channel(served.addresses[server]) as channel:
        for size, codes in ((1024 * 1024 + 1, OF_THE_CALLER), (3 * 1024 * 1024, {grpc.StatusCode.RESOURCE_EXHAUSTED})):
            raw = b"\x0a" + varint(size) + bytes(size)
            for path in UNARY[server]:
                assert await unary_status(channel, path, raw) in codes
            for path in STREAMS[server]:
                assert await stream_status(channel, path, raw) in codes


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


WRONG_PREFIXES: dict[str, bytes] = {
    "4 GiB": message(b"ab", length=2**32 - 1),
    "compressed with nothing": message(b"ab", compressed=1),
}


@pytest.mark.parametrize("server", SERVERS)
async def test_i2_lengths_that_are_wrong_are_an_error_of_the_call(served: Served, server: str) -> None:
    address = served.addresses[server]
    async with another_client(address):
        for path in (*UNARY[server], *STREAMS[server]):
            for name, said in WRONG_PREFIXES.items():
                async with opened(address) as connection:
                    await connection.say(frame(HEADERS, call(path), flags=END_HEADERS, stream=1))
                    await connection.say(frame(DATA, said, flags=END_STREAM, stream=1))
                    outcome = await connection.heard(until_stream=1)
                assert outcome.status(1) or refused(outcome), f"{path}, {name}: {outcome}"


def damaged(whole: bytes, chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at:at] = chance.randbytes(chance.randrange(1, 4))
            case 1:
                del data[at : at + chance.randrange(1, 4)]
            case 2:
                data[at : at + 1] = b"\xff"
            case _:
                data[at:at] = data[:at][-20:]
    return bytes(data)


def whole_messages() -> dict[str, Any]:
    spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM t", params=b"\x80", ttl_ms=9)
    change = common_pb2.Change(table="t", op=common_pb2.OP_CREATE, key=b"\x01", packed=b"\x81\xa1n\x01")
    return {
        "/sp00ky.v1.IngestService/Ingest": ingest_pb2.IngestRequest(changes=[change, change]),
        "/sp00ky.v1.ViewService/RegisterView": views_pb2.RegisterViewRequest(spec=spec),
        "/sp00ky.v1.ViewService/GetView": views_pb2.GetViewRequest(key=spec.key, revision="v1.1.2.3", rows=True),
        "/sp00ky.v1.ReplicationService/Replicate": replication_pb2.ReplicateRequest(
            hello=replication_pb2.Hello(ssp_id="x", credit=4, env={"a": "b"})
        ),
    }


async def test_i2_damaged_messages_are_refused_or_read_and_never_an_internal_error(served: Served) -> None:
    """A few hundred, by a seed: what can be read is answered as such, the rest is the caller's fault."""
    chance, address = random.Random(7), served.addresses["scheduler"]
    ways: dict[str, Callable[[aio.Channel, str, bytes], Awaitable[grpc.StatusCode]]] = {"Replicate": stream_status}
    internal = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}
    async with another_client(address), open_channel(address) as channel:
        for path, whole in whole_messages().items():
            ask = ways.get(path.rpartition("/")[2], unary_status)
            for _ in range(80):
                raw = damaged(whole.SerializeToString(), chance)
                assert (code := await ask(channel, path, raw)) not in internal, f"{path} {raw.hex()}: {code}"
