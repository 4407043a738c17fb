"""Server-sent events: how a stream of events is written to one reader, and when it ends.

Invariant: of a stream there is never more in memory than the transport's own buffer (64 KiB) and the one chunk that is
being written. A reader that takes none of it for `write_timeout_ms` is cut off; it comes back with the id of the last
event that it has. A stream ends with its reader, with its source, when the bearer it was asked for with expires, and
when the server stops: the last two end it properly, between two chunks, so that the reader asks again at once.

Between events a comment is written every `keep_alive_ms`, so that whoever stands between sees that the stream lives.
What the source raises as a `Fault` once the stream has begun is its last event, `fault`: a status can be sent no more.

Format: WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final

import orjson
from aiohttp import web
from sp00ky.gateway.connections import guard_of
from sp00ky.gateway.exchange import Asked, Limits
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.proto.faults import Code, Fault

EVENT_STREAM: Final = "text/event-stream"
KEEP_ALIVE: Final = b":\n\n"
PIECE_BYTES: Final = 64 * 1024  # of one event that are handed to the transport at once
_HEADERS: Final = {
    "Content-Type": f"{EVENT_STREAM}; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that collects answers would hold events back
}


def encode_event(data: bytes, *, name: str = "", event_id: str = "", retry_ms: int = 0) -> bytes:
    """One event. `event_id`: what the reader says it has when it comes back; `name`: empty is `message`."""
    assert not set("\r\n\0") & set(name + event_id)
    head = f"event: {name}\n" if name else ""
    head += f"id: {event_id}\n" if event_id else ""
    head += f"retry: {retry_ms}\n" if retry_ms else ""
    lines = b"".join(b"data: %b\n" % line for line in data.splitlines()) or b"data:\n"
    return head.encode() + lines + b"\n"


def encode_fault(fault: Fault) -> bytes:
    body = {"code": fault.code.value, "message": fault.message} | ({"hint": fault.hint} if fault.hint else {})
    return encode_event(orjson.dumps(body), name="fault")


def since_of(request: web.Request, asked: Asked) -> str:
    """The id of the last event that the reader has; empty: none. A browser that comes back by itself says it in the
    header, and the address is then what it was at first."""
    return request.headers.get("Last-Event-ID", "") or asked.query.get("since", "")


class Streams:
    """The streams of one server."""

    def __init__(self, limits: Limits, telemetry: Telemetry) -> None:
        self._limits, self._telemetry = limits, telemetry
        self._open: set[asyncio.Timeout] = set()
        self._closing = False

    @property
    def count(self) -> int:
        return len(self._open)

    def close(self) -> None:
        """End every stream; none begins any more."""
        self._closing = True
        for limit in self._open:
            _cut(limit)

    async def serve(
        self,
        request: web.Request,
        chunks: AsyncGenerator[bytes, None],
        *,
        expires: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """Write whole events, one or several a chunk, until one of the ends above. `expires`: unix seconds; `headers`:
        further ones. Open what the chunks are made of before: what is raised until then is answered with its status.
        Raises Fault UNAVAILABLE."""
        if self._closing:
            raise Fault(Code.UNAVAILABLE, "server is stopping", "ask another, or again shortly")
        response = web.StreamResponse(headers={**_HEADERS, **(headers or {})})
        try:
            async with self.life(request, expires):
                await response.prepare(request)
                await self._pump(request, response, chunks)
        except (TimeoutError, ConnectionError):  # its time is over, see `life`; the reader left before the head
            pass
        finally:
            with contextlib.suppress(Exception):
                await chunks.aclose()
        if response.prepared:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await response.write_eof()
        return response

    @contextlib.asynccontextmanager
    async def life(self, request: web.Request, expires: float | None) -> AsyncIterator[None]:
        """Raises TimeoutError at the end of it: the server stops, the bearer expires, the reader is gone."""
        left = None if expires is None else max(0.0, expires - time.time())
        guard = guard_of(request)
        async with asyncio.timeout(left) as limit:
            self._open.add(limit)
            self._telemetry.streams.set(len(self._open))
            if guard is not None:
                guard.on_lost = lambda: _cut(limit)
            try:
                yield
            finally:
                if guard is not None:
                    guard.on_lost = None
                self._open.discard(limit)
                self._telemetry.streams.set(len(self._open))

    async def _pump(self, request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[bytes]) -> None:
        turn = asyncio.Lock()  # of one event: a comment inside it would end it
        lively = asyncio.create_task(self._keep_alive(request, response, turn))
        try:
            async for chunk in chunks:
                async with turn:
                    for begin in range(0, len(chunk), PIECE_BYTES):
                        await self._write(request, response, chunk[begin : begin + PIECE_BYTES])
        except Fault as fault:
            await self._write(request, response, encode_fault(fault))
        except ConnectionError:
            return  # the reader went away
        finally:
            lively.cancel()

    async def _keep_alive(self, request: web.Request, response: web.StreamResponse, turn: asyncio.Lock) -> None:
        seconds = self._limits.keep_alive_ms / 1000
        with contextlib.suppress(OSError):
            while True:
                await asyncio.sleep(seconds)
                async with turn:
                    await self._write(request, response, KEEP_ALIVE)

    async def _write(self, request: web.Request, response: web.StreamResponse, chunk: bytes) -> None:
        """Raises ConnectionError when the reader is gone, or is cut off now."""
        transport = request.transport
        if len(chunk) <= PIECE_BYTES // 2 and transport is not None and not transport.get_write_buffer_size():
            await response.write(chunk)  # all that was written has been taken: this fits, and needs no clock
            return
        try:
            async with asyncio.timeout(self._limits.write_timeout_ms / 1000):
                await response.write(chunk)
        except TimeoutError:
            self._telemetry.rejected("stream", "write")
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("reader took nothing in time") from None


def _cut(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(0)
