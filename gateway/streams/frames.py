"""One socket's outgoing messages, in fragments, and whether its reader lives.

aiohttp hands a whole message to the transport, which keeps what the reader does not take at once: a copy of the
snapshot for each slow reader, and the ping behind all of it. Here a message is written as fragments of 64 KiB (RFC
6455, 5.4), each once the one before has nearly been taken. The bytes themselves are shared by all readers, of each
there is one fragment or two in the transport, and pings, which may stand between fragments, wait behind no more.

A reader lives as long as something comes from him, or he takes something of what is on its way to him: what he has
taken is what was written, less what the transport and the kernel still hold. Every `keep_alive_ms` he is sent a ping,
and is cut off if there was neither since the last.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import struct
import termios
from typing import Any, Final

from aiohttp import WSMsgType, web
from sp00ky.gateway.sse import PIECE_BYTES

FINAL: Final = 0x80
WHOLE_BYTES: Final = 4096  # up to it a copy costs less than a packet of its own for the head


def fragments(message: bytes) -> list[tuple[bytes, memoryview]]:
    """The frames of one text message, each its head and its part."""
    whole = memoryview(message)
    parts = [whole[begin : begin + PIECE_BYTES] for begin in range(0, len(whole), PIECE_BYTES)] or [whole]
    last = len(parts) - 1
    return [
        (_head(WSMsgType.TEXT if at == 0 else WSMsgType.CONTINUATION, at == last, len(part)), part)
        for at, part in enumerate(parts)
    ]


def _head(kind: int, is_last: bool, size: int) -> bytes:
    first = kind | (FINAL if is_last else 0)
    if size < 126:
        return struct.pack("!BB", first, size)
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)


class Frames:
    """`heard` is to be called for whatever comes."""

    def __init__(self, request: web.Request, response: web.WebSocketResponse, write_s: float) -> None:
        self._request, self._response, self._write_s = request, response, write_s
        self._turn = asyncio.Lock()  # of one message: another inside it would be part of it
        self._written = 0
        self._is_heard = False

    def heard(self) -> None:
        self._is_heard = True

    async def write(self, message: bytes) -> None:
        """Raises ConnectionError when the reader is gone, TimeoutError when he took nothing in time."""
        async with self._turn:
            for head, part in fragments(message):
                self._send(self._open(), head, part)
                if self._open().get_write_buffer_size():
                    async with asyncio.timeout(self._write_s):
                        await self._drained()

    def _send(self, transport: Any, head: bytes, part: memoryview) -> None:
        if len(part) <= WHOLE_BYTES:
            transport.write(head + part)
        else:
            transport.write(head)
            transport.write(part)
        self._written += len(head) + len(part)

    async def beat(self, every_s: float) -> None:
        """Until there was no sign of life; raises ConnectionError when the reader is gone."""
        taken = self._taken()
        while True:
            await self._response.ping()
            await asyncio.sleep(every_s)
            before, taken = taken, self._taken()
            if not self._is_heard and taken <= before:
                return
            self._is_heard = False

    async def _drained(self) -> None:
        writer = await self._response.prepare(self._request)  # it is prepared: this is what it gave then
        assert writer is not None
        await writer.drain()

    def _open(self) -> Any:
        transport = self._request.transport
        if transport is None or transport.is_closing() or self._response.closed:
            raise ConnectionResetError("reader is gone")
        return transport

    def _taken(self) -> int:
        transport = self._open()
        return self._written - int(transport.get_write_buffer_size()) - _in_kernel(transport)


def _in_kernel(transport: Any) -> int:
    """Bytes that were sent and not acknowledged; 0 where that is not told."""
    socket = transport.get_extra_info("socket")
    held = array.array("i", [0])
    with contextlib.suppress(OSError, AttributeError):
        fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, held)
    return held[0]
