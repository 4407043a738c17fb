"""`GET /view/{id}/ws`: the same events as messages of a WebSocket, and the reader may watch more views, or fewer.

What is wrong with a message of his is answered with `{"type": "error", …}` and the socket goes on. It ends with 1008
when the bearer expires, and with 1001 when the server stops; a reader who takes nothing for the write timeout is cut
off. What is no WebSocket message ends it with the code RFC 6455 has for that, and is the reader's fault, not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final

from aiohttp import WSCloseCode, WSMsgType, web
from sp00ky.gateway.auth import Principal
from sp00ky.gateway.errors import Refused
from sp00ky.gateway.exchange import Asked
from sp00ky.gateway.sse import since_of
from sp00ky.gateway.streams.bearers import PROTOCOL
from sp00ky.gateway.streams.events import Event
from sp00ky.gateway.streams.frames import Frames
from sp00ky.gateway.streams.reader import Reader
from sp00ky.gateway.translate.streams import (
    ALSO,
    fault_body,
    read_message,
    view_id_of,
    watched_by_message,
    watched_views,
)
from sp00ky.proto.faults import Code, Fault

if TYPE_CHECKING:
    from sp00ky.gateway.app import Edge

MESSAGE_BYTES_MAX: Final = 16 * 1024
CLOSE_SECONDS: Final = 1.0
GONE_STATUS: Final = 499  # nobody's in HTTP: what others count for a client that closed its request

logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)  # it warns of protocols, and a bearer may be one


async def stream_messages(request: web.Request, asked: Asked, principal: Principal, edge: Edge) -> web.StreamResponse:
    """Raises Fault, until the socket is open."""
    response = web.WebSocketResponse(
        timeout=CLOSE_SECONDS, autoping=False, compress=False, max_msg_size=MESSAGE_BYTES_MAX, protocols=(PROTOCOL,)
    )
    if not response.can_prepare(request):
        raise Refused(426, f"{request.path[:128]} is a WebSocket", "ask with Upgrade", {"Upgrade": "websocket"})
    watched = watched_views(asked, request.query.getall(ALSO.name, []), since_of(request, asked))
    async with edge.views.reader(watched, "ws", ends_with_view=False) as reader:
        socket = Socket(request, asked, response, reader, edge)
        try:
            async with edge.streams.life(request, principal.expires):
                try:
                    await response.prepare(request)
                except ConnectionError:  # he was gone before it was open, and nobody reads this
                    return web.Response(status=GONE_STATUS)
                await socket.serve()
        except TimeoutError:  # its time is over
            await socket.close(principal.expires)
    return response


class Socket:
    """One open socket."""

    def __init__(
        self, request: web.Request, asked: Asked, response: web.WebSocketResponse, reader: Reader, edge: Edge
    ) -> None:
        self._request, self._asked, self._response, self._reader = request, asked, response, reader
        self._edge = edge
        self._frames = Frames(request, response, edge.limits.write_timeout_ms / 1000)

    async def serve(self) -> None:
        """Until it is closed, or its reader cut off."""
        telling = asyncio.create_task(self._tell())
        telling.add_done_callback(lambda task: None if task.cancelled() else asyncio.ensure_future(self._cut()))
        beating = asyncio.create_task(self._beat())
        try:
            async for message in self._response:
                self._frames.heard()
                if message.type is WSMsgType.PONG:
                    continue
                if message.type is WSMsgType.PING:
                    await self._response.pong(message.data)
                    continue
                if message.type is WSMsgType.ERROR:  # no WebSocket any more: aiohttp has closed it, and said why
                    self._edge.views.meters.cut("protocol")
                    return
                if message.type is not WSMsgType.TEXT:
                    await self._say(Fault(Code.INVALID, "message is not text"))
                    continue
                try:
                    await self._obey(str(message.data))
                except Fault as fault:
                    await self._say(fault)
        except ConnectionError:  # he is gone, or was cut off: counted where it was seen
            return
        finally:
            for task in (telling, beating):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await task

    async def _cut(self) -> None:
        with contextlib.suppress(Exception):
            await self._response.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow: come back")

    async def _tell(self) -> None:
        async for told in self._reader.events():
            for event, given_id, _ in told:
                await self._write(event.as_message(given_id))

    async def _obey(self, text: str) -> None:
        message = read_message(text)
        if message["type"] == "unwatch":
            self._reader.unwatch(view_id_of(message))
            return
        if self._reader.size >= self._edge.limits.stream_views_max:
            raise Fault(Code.TOO_LARGE, f"a socket has at most {self._edge.limits.stream_views_max} views")
        await self._reader.watch(watched_by_message(self._asked, message))

    async def _say(self, fault: Fault) -> None:
        await self._write(Event("error", "", fault_body(fault)).as_message(None))

    async def _write(self, message: bytes) -> None:
        """Raises ConnectionError when the reader is gone, or is cut off now."""
        try:
            await self._frames.write(message)
        except TimeoutError:
            self._abort("write")
            raise ConnectionResetError("reader took nothing in time") from None

    async def _beat(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._frames.beat(self._edge.limits.keep_alive_ms / 1000)
            self._abort("silent")

    def _abort(self, reason: str) -> None:
        self._edge.views.meters.cut(reason)
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self, expires: float | None) -> None:
        """Say why it is over."""
        expired = expires is not None and time.time() >= expires
        code = WSCloseCode.POLICY_VIOLATION if expired else WSCloseCode.GOING_AWAY
        reason = b"bearer expired" if expired else b"server is stopping"
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._response.close(code=code, message=reason)
