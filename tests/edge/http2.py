"""HTTP/2 frames by hand, so that they can be wrong: a connection that says what it is told to and tells what came back.

HPACK is written as literals without an index, which needs no state and hides nothing.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

PATIENCE_S: Final = 20.0
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 0x1, 0x4
ERROR_CODES: Final = 14  # that HTTP/2 has


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def number(value: int, bits: int, first: int = 0) -> bytes:
    """An HPACK integer whose prefix has so many bits."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def literal(name: str, value: bytes, *, indexed: bool = False) -> bytes:
    text = name.encode()
    return (b"\x40" if indexed else b"\x00") + number(len(text), 7) + text + number(len(value), 7) + value


def call(path: str, extra: Mapping[str, bytes] | None = None) -> bytes:
    """The header block of a gRPC request."""
    fields = {
        ":method": b"POST", ":scheme": b"http", ":path": path.encode(), ":authority": b"a", "te": b"trailers",
        "content-type": b"application/grpc", **(extra or {}),
    }  # fmt: skip
    return b"".join(literal(name, value) for name, value in fields.items())


def message(payload: bytes, *, length: int | None = None, compressed: int = 0) -> bytes:
    return struct.pack(">BI", compressed, len(payload) if length is None else length) + payload


@dataclass
class Outcome:
    """What a server has said: GOAWAY codes, codes of streams it reset, header blocks, settings."""

    goaway: list[int] = field(default_factory=list)
    reset: dict[int, int] = field(default_factory=dict)
    headers: dict[int, bytes] = field(default_factory=dict)
    settings: dict[int, int] = field(default_factory=dict)
    closed: bool = False

    def status(self, stream: int) -> int | None:
        """The gRPC status of a call; None if it was not answered. gRPC writes it as a literal."""
        block = self.headers.get(stream, b"")
        at = block.rfind(b"grpc-status")
        if at < 0:
            return None
        size = block[at + 11] & 0x7F
        return int(block[at + 12 : at + 12 + size])


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def say(self, data: bytes) -> bool:
        """Whether it was all taken: a server may have hung up."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._writer.write(data)
                await self._writer.drain()
        except (ConnectionError, TimeoutError):
            return False
        return True

    async def heard(self, *, until_stream: int = 0) -> Outcome:
        """Everything up to the end of a stream (by default none), of the connection, or of the answer to our ping."""
        outcome = Outcome()
        await self.say(frame(PING, b"the end?"))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await self._step(outcome, until_stream):
                    pass
        except (ConnectionError, asyncio.IncompleteReadError):
            outcome.closed = True
        return outcome

    async def _step(self, outcome: Outcome, until_stream: int) -> bool:
        head = await self._reader.readexactly(9)
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        payload = await self._reader.readexactly(size)
        match kind:
            case 7:
                outcome.goaway.append(int.from_bytes(payload[4:8], "big"))
            case 3:
                outcome.reset[stream] = int.from_bytes(payload, "big")
            case 4 if not flags & 1:
                pairs = [struct.unpack(">HI", payload[at : at + 6]) for at in range(0, size, 6)]
                outcome.settings.update(pairs)
            case 1:
                outcome.headers[stream] = outcome.headers.get(stream, b"") + payload
        if until_stream:
            return stream == until_stream and (kind == RST or bool(kind in (DATA, HEADERS) and flags & END_STREAM))
        return kind == PING and bool(flags & 1) and payload == b"the end?"


@asynccontextmanager
async def opened(address: str, *, settings: bytes = b"", preface: bytes = PREFACE) -> AsyncIterator[Connection]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = Connection(reader, writer)
    try:
        await connection.say(preface + frame(SETTINGS, settings))
        yield connection
    finally:
        writer.transport.abort()
