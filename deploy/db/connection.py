"""One WebSocket client: its frames in order, its sessions, its live queries.

The reader puts frames in a bounded queue (full: the socket is not read, so TCP holds the client back); one worker
carries them out one after the other, so that a connection's requests take effect in the order in which they were sent
and no connection has more than one of them in the engine. Notifications leave by a queue of their own: whoever does
not read them is disconnected rather than remembered without end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web
from sp00ky.deploy.db.engine import Engine, EngineRefused
from sp00ky.deploy.db.frames import INVALID_REQUEST, SERVER_ERROR, FrameError, error_frame, read_request
from sp00ky.deploy.db.limits import Limits
from sp00ky.deploy.db.live import LiveQueries
from sp00ky.deploy.db.methods import Methods
from sp00ky.deploy.db.sessions import Sessions
from sp00ky.proto.faults import Fault

log = logging.getLogger(__name__)
CLOSING: Final = (ConnectionError, RuntimeError)  # how aiohttp says that the socket went while we were writing


class Connection:
    def __init__(self, socket: web.WebSocketResponse, engine: Engine, lives: LiveQueries, limits: Limits) -> None:
        self._socket = socket
        self._limits = limits
        self._frames: asyncio.Queue[bytes | FrameError] = asyncio.Queue(limits.inflight_max)
        self._notifications: asyncio.Queue[bytes] = asyncio.Queue(limits.notifications_max)
        self._sessions = Sessions(engine, limits.sessions_max)
        self._methods = Methods(engine, self._sessions, lives, limits, self.notify)
        self._ending = asyncio.Event()
        self._begun: asyncio.Task[bytes] | None = None

    async def run(self) -> None:
        """Serve until the client goes, or `end`."""
        await self._sessions.open()
        parts = (self._read, self._work, self._tell, self._ending.wait)
        tasks: list[asyncio.Task[object]] = [asyncio.create_task(part()) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._finish(tasks)

    def end(self) -> None:
        self._ending.set()

    def notify(self, frame: bytes) -> None:
        try:
            self._notifications.put_nowait(frame)
        except asyncio.QueueFull:
            log.warning(
                "a client does not read its notifications: %d unsent, disconnecting", self._notifications.qsize()
            )
            self.end()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                await self._frames.put(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._frames.put(FrameError(INVALID_REQUEST, "Invalid request: this endpoint speaks CBOR only"))

    async def _work(self) -> None:
        while True:
            frame = await self._frames.get()
            # Shielded: a request once begun is carried out, even when its client has gone in the meantime.
            self._begun = asyncio.create_task(self._answer(frame))
            await self._socket.send_bytes(await asyncio.shield(self._begun))
            self._methods.answered()

    async def _tell(self) -> None:
        while True:
            await self._socket.send_bytes(await self._notifications.get())

    async def _answer(self, frame: bytes | FrameError) -> bytes:
        request_id = None
        try:
            if isinstance(frame, FrameError):
                raise frame
            request = read_request(frame)
            request_id = request.id
            return await self._methods.answer(request)
        except FrameError as error:
            return error_frame(error)
        except (EngineRefused, Fault) as error:
            return error_frame(FrameError(SERVER_ERROR, str(error), request_id, "Internal"))
        except Exception:  # our own fault: this request fails, the connection and its other requests go on
            log.exception("a request failed")
            return error_frame(FrameError(SERVER_ERROR, "the server failed on this request", request_id, "Internal"))

    async def _finish(self, tasks: list[asyncio.Task[object]]) -> None:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, CLOSING):
                log.error("a client's connection failed: %s", outcome, exc_info=outcome)
        if self._begun is not None:
            await asyncio.wait([self._begun])
        self._methods.close()
        await self._sessions.close()
        code = WSCloseCode.TRY_AGAIN_LATER if self._notifications.full() else WSCloseCode.GOING_AWAY
        await self._socket.close(code=code)
