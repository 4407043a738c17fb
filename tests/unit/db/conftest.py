"""A raw client of the served protocol, for what a well-behaved SDK never sends; and servers of a test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import aiohttp
import pytest
from sp00ky.deploy.db.limits import Limits
from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.values.cbor import decode, encode

SCHEMA = """
    DEFINE TABLE user PERMISSIONS FULL;
    DEFINE TABLE note PERMISSIONS FOR select WHERE owner = $auth.id OR public, FOR create, update, delete FULL;
    DEFINE FIELD secret ON note PERMISSIONS FOR select NONE;
    DEFINE ACCESS account ON DATABASE TYPE RECORD
        SIGNUP (CREATE type::record('user', $name)) SIGNIN (SELECT * FROM type::record('user', $name))
        DURATION FOR TOKEN 1h, FOR SESSION 1h;
    DEFINE ACCESS brief ON DATABASE TYPE RECORD
        SIGNUP (CREATE type::record('user', $name)) DURATION FOR TOKEN 1h, FOR SESSION 1s;
"""


class RawClient:
    """Frames as they are: answers by id, notifications in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.notifications: list[dict[str, Any]] = []
        self._ids = count(1)

    async def send(self, frame: bytes) -> None:
        await self.socket.send_bytes(frame)

    async def receive(self) -> dict[str, Any]:
        """The next answer; notifications on the way are kept."""
        while True:
            message = await self.socket.receive(timeout=10)
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise ConnectionError(f"closed with {self.socket.close_code}")
            frame = decode(message.data)
            if "id" in frame:
                return frame
            self.notifications.append(frame["result"])

    async def call(self, method: str, *params: Any, **keys: Any) -> dict[str, Any]:
        request = {"id": next(self._ids), "method": method, "params": list(params), **keys}
        await self.send(encode(request))
        answer = await self.receive()
        assert answer["id"] == request["id"]
        return answer

    async def query(self, text: str, **variables: Any) -> list[Any]:
        """The statements' results; AssertionError where one failed."""
        answer = await self.call("query", text, variables)
        assert "result" in answer, answer
        assert all(each["status"] == "OK" for each in answer["result"]), answer
        return [each["result"] for each in answer["result"]]

    async def notified(self, many: int) -> list[tuple[str, Any, Any]]:
        """The next notifications as (action, record, result), taken off the list."""
        while len(self.notifications) < many:
            message = await self.socket.receive(timeout=5)
            assert message.type is aiohttp.WSMsgType.BINARY, f"closed with {self.socket.close_code}"
            self.notifications.append(decode(message.data)["result"])
        taken, self.notifications = self.notifications[:many], self.notifications[many:]
        return [(each["action"], each["record"], each["result"]) for each in taken]

    async def sign_in_root(self, namespace: str) -> None:
        assert "error" not in await self.call("signin", {"user": "root", "pass": "root"})
        await self.call("use", namespace, "main")

    async def sign_up(self, namespace: str, name: str, access: str = "account") -> None:
        await self.call("use", namespace, "main")
        answer = await self.call("signup", {"NS": namespace, "DB": "main", "AC": access, "name": name})
        assert "error" not in answer, answer


@pytest.fixture(scope="session")
def database_url(embedded_url) -> str:
    """These tests are about our own server, whatever SURREAL_URL says."""
    return embedded_url


RawClients = Callable[..., Awaitable[RawClient]]


@pytest.fixture
async def raw(database_url) -> AsyncIterator[RawClients]:
    """A factory of raw clients, of the shared server unless another address is given."""
    async with aiohttp.ClientSession() as http:
        sockets = []

        async def connect(url: str = database_url) -> RawClient:
            socket = await http.ws_connect(url, protocols=("cbor",), max_msg_size=0)
            sockets.append(socket)
            return RawClient(socket)

        yield connect
        for socket in sockets:
            await socket.close()


@pytest.fixture
async def notes(database) -> str:
    """The namespace of a database `main` with users and PERMISSIONS."""
    await database.query(SCHEMA)
    return database.namespace


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """A factory of servers in this loop: `await serve(path=None, limits=Limits(…))` → its address."""
    servers: list[DatabaseServer] = []

    async def start(path=None, limits: Limits | None = None) -> str:
        server = DatabaseServer(path=path, user="root", password="root", limits=limits)
        url = await server.start("127.0.0.1:0")
        servers.append(server)
        return url

    yield start
    await asyncio.gather(*(server.stop() for server in servers))
