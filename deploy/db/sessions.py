"""The engine sessions that belong to one connection.

Every connection has one engine session under an id that only the server knows; further ones that a client makes
(`attach`) are known to it by its own ids and to the engine by others, so that no client can name, list or take over the
session of another. All are detached when the connection ends.
"""

from __future__ import annotations

from uuid import UUID, uuid4

from sp00ky.deploy.db.engine import Engine, result_of
from sp00ky.deploy.db.frames import INVALID_PARAMS, INVALID_REQUEST, SERVER_ERROR, FrameError, Request, own_request
from sp00ky.proto.values.cbor import decode
from sp00ky.proto.values.kinds import Value


class Sessions:
    def __init__(self, engine: Engine, sessions_max: int) -> None:
        self._engine = engine
        self._max = sessions_max
        self._own = uuid4()
        self._made: dict[UUID, UUID] = {}

    async def open(self) -> None:
        await self.call(self._own, "attach", [])

    async def close(self) -> None:
        for session in (self._own, *self._made.values()):
            await self._engine.execute(own_request(session, "detach", []))
        self._made.clear()

    def engine_id(self, request: Request) -> UUID:
        """The engine's session of a request; raises FrameError for one that this connection did not make."""
        if request.session is None:
            return self._own
        session = self._made.get(request.session)
        if session is None:
            raise FrameError(SERVER_ERROR, f"Session not found: {request.session}", request.id, "NotFound")
        return session

    def engine_ids(self) -> frozenset[UUID]:
        return frozenset((self._own, *self._made.values()))

    def names(self) -> list[UUID]:
        """The client-made sessions, by the client's ids."""
        return list(self._made)

    async def attach(self, request: Request) -> None:
        if request.session is None:
            raise FrameError(INVALID_REQUEST, "Invalid request: attach needs a session", request.id)
        if request.session in self._made:
            raise FrameError(SERVER_ERROR, f"Session already exists: {request.session}", request.id, "AlreadyExists")
        if len(self._made) >= self._max:
            raise FrameError(INVALID_PARAMS, f"a connection holds at most {self._max} sessions", request.id)
        session = uuid4()
        await self.call(session, "attach", [])
        self._made[request.session] = session

    async def detach(self, request: Request) -> UUID:
        """The engine's session that is no more; raises FrameError for the connection's own."""
        if request.session is None:
            raise FrameError(INVALID_REQUEST, "Invalid request: detach needs a session", request.id)
        session = self.engine_id(request)
        del self._made[request.session]
        await self.call(session, "detach", [])
        return session

    async def call(self, session: UUID, method: str, params: list[Value]) -> Value:
        """A request of the server's own under a session; raises Fault INTERNAL."""
        return result_of(decode(await self._engine.execute(own_request(session, method, params))))
