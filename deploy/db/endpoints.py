"""The HTTP side: `/rpc` (one request, or the upgrade to a WebSocket), `/sql`, `/health`, `/version`.

An HTTP request has an engine session for as long as it lasts: signed in from `Authorization` (Basic or Bearer), in the
namespace and database that its headers name. CBOR when asked for by Accept, else JSON.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from aiohttp import web
from sp00ky.deploy.db.connection import Connection
from sp00ky.deploy.db.engine import Engine, EngineRefused
from sp00ky.deploy.db.frames import FrameError, Request, error_frame, read_json_request, read_request
from sp00ky.deploy.db.limits import Limits
from sp00ky.deploy.db.live import LiveQueries
from sp00ky.deploy.db.methods import Methods
from sp00ky.deploy.db.sessions import Sessions
from sp00ky.proto.faults import Fault
from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import Value

HEARTBEAT_S = 60.0  # a client that is silent for half of it after a ping is gone
CLOSE_TIMEOUT_S = 1.0  # how long a client has to answer our closing handshake
CBOR, JSON = "application/cbor", "application/json"
NAMESPACE_HEADERS = ("Surreal-NS", "NS")
DATABASE_HEADERS = ("Surreal-DB", "DB")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """An HTTP request that is not carried out."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Endpoints:
    """The routes of one server; counts who is being served."""

    def __init__(self, engine: Engine, lives: LiveQueries, limits: Limits, version: str) -> None:
        self._engine = engine
        self._lives = lives
        self._limits = limits
        self._http_limits = replace(limits, lives_max=0)
        self._version = version
        self._connections: set[Connection] = set()
        self._serving = 0

    def application(self) -> web.Application:
        application = web.Application(client_max_size=self._limits.frame_bytes_max)
        application.router.add_get("/rpc", self._bounded(self._socket))
        application.router.add_post("/rpc", self._bounded(self._rpc))
        application.router.add_post("/sql", self._bounded(self._sql))
        application.router.add_get("/health", self._health)
        application.router.add_get("/version", self._say_version)
        return application

    def end(self) -> None:
        for connection in self._connections:
            connection.end()

    def _bounded(self, handler: Handler) -> Handler:
        async def bounded(request: web.Request) -> web.StreamResponse:
            if self._serving >= self._limits.connections_max:
                return _refusal(Refused(503, f"at most {self._limits.connections_max} connections are served"))
            self._serving += 1
            try:
                return await handler(request)
            except Refused as refused:
                return _refusal(refused)
            finally:
                self._serving -= 1

        return bounded

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _say_version(self, request: web.Request) -> web.Response:
        return web.Response(text=self._version)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if "cbor" not in offered:
            raise Refused(400, "this endpoint is a WebSocket with the subprotocol cbor")
        socket = web.WebSocketResponse(
            protocols=("cbor",),
            max_msg_size=self._limits.frame_bytes_max,
            compress=False,
            timeout=CLOSE_TIMEOUT_S,
            heartbeat=HEARTBEAT_S,
        )
        await socket.prepare(request)
        connection = Connection(socket, self._engine, self._lives, self._limits)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
        return socket

    async def _rpc(self, request: web.Request) -> web.Response:
        body = await request.read()
        cbor = request.content_type != JSON
        async with self._methods(request) as methods:
            try:
                frame = await methods.answer(read_request(body) if cbor else read_json_request(body))
            except FrameError as error:
                frame = error_frame(error)
            except (EngineRefused, Fault) as error:
                frame = error_frame(FrameError(-32000, str(error), None, "Internal"))
        return _response(200, decode(frame)) if not cbor else web.Response(body=frame, content_type=CBOR)

    async def _sql(self, request: web.Request) -> web.Response:
        text = (await request.read()).decode("utf-8", "replace")
        async with self._methods(request) as methods:
            try:
                frame = await methods.answer(Request(0, "query", [text, dict(request.query)], None))
            except FrameError as error:
                raise Refused(400, error.message) from error
            except (EngineRefused, Fault) as error:
                raise Refused(500, str(error)) from error
        reply = decode(frame)
        if "error" in reply:
            denied = reply["error"].get("kind") == "NotAllowed"
            raise Refused(401 if denied else 400, str(reply["error"].get("message")))
        return _response(200, reply["result"], request.headers.get("Accept", JSON))

    @asynccontextmanager
    async def _methods(self, request: web.Request) -> AsyncIterator[Methods]:
        sessions = Sessions(self._engine, self._limits.sessions_max)
        methods = Methods(self._engine, sessions, self._lives, self._http_limits, lambda frame: None)
        await sessions.open()
        try:
            await _identify(methods, request)
            yield methods
        finally:
            await sessions.close()


async def _identify(methods: Methods, request: web.Request) -> None:
    """Sign in as the headers say, into the namespace and database that they name; raises Refused."""
    method, params = _credentials(request)
    if method:
        await _must(methods, method, params, 401)
    namespace, database = _header(request, NAMESPACE_HEADERS), _header(request, DATABASE_HEADERS)
    if namespace or database:
        await _must(methods, "use", [namespace or None, database or None], 400)


def _credentials(request: web.Request) -> tuple[str, list[Value]]:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return "", []
    if scheme.lower() == "bearer":
        return "authenticate", [rest.strip()]
    with suppress(binascii.Error, UnicodeDecodeError):
        user, found, password = b64decode(rest.strip(), validate=True).decode().partition(":")
        if scheme.lower() == "basic" and found:
            where = {"ns": _header(request, ("Surreal-Auth-NS",)), "db": _header(request, ("Surreal-Auth-DB",))}
            named = {name: value for name, value in where.items() if value}
            return "signin", [{"user": user, "pass": password, **named}]
    raise Refused(400, "the Authorization header is neither Basic nor Bearer")


async def _must(methods: Methods, method: str, params: list[Value], status: int) -> None:
    reply = decode(await methods.answer(Request(0, method, params, None)))
    if "error" in reply:
        raise Refused(status, str(reply["error"].get("message")))


def _header(request: web.Request, names: tuple[str, ...]) -> str:
    return next((request.headers[name] for name in names if request.headers.get(name)), "")


def _response(status: int, value: Value, accept: str = JSON) -> web.Response:
    if CBOR in accept:
        return web.Response(status=status, body=encode(value), content_type=CBOR)
    return web.Response(status=status, body=encode_json(value), content_type=JSON)


def _refusal(refused: Refused) -> web.Response:
    described = {"code": refused.status, "details": "Request refused", "information": refused.message}
    response = _response(refused.status, described)
    if refused.status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="SurrealDB"'
    return response
