"""What a test says to a running mesh, however it was started: views over HTTP, SQL to its database."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import aiohttp
from sp00ky.proto.database import Database

from tests.harness.eventually import eventually

SECRET = "a secret of the tests"


class MeshClient:
    """`url` is the HTTP API of a scheduler or gateway, `db_ws` the database's WebSocket address."""

    def __init__(self, namespace: str = "sp00ky") -> None:
        self.namespace = namespace
        self.http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {SECRET}"}, timeout=aiohttp.ClientTimeout(total=40)
        )
        self._databases: list[Database] = []

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def db_ws(self) -> str:
        raise NotImplementedError

    def said(self) -> str:
        """What the processes said on stderr, for a failure's message."""
        return ""

    async def close(self) -> None:
        for database in self._databases:
            await database.close()
        await self.http.close()

    async def database(self) -> Database:
        database = Database(self.db_ws, user="root", password="root", namespace=self.namespace, database="sp00ky")
        self._databases.append(database)
        await database.connect()
        return database

    async def sql(self, text: str, token: str = "") -> list[Any]:
        """Each statement's result as SurrealDB's HTTP /sql encodes it, asked as root or with a user's token. One
        request for many statements: the password is hashed anew for each."""
        url = self.db_ws.replace("ws://", "http://").removesuffix("/rpc") + "/sql"
        headers = {
            "Accept": "application/json",
            "Surreal-NS": self.namespace,
            "Surreal-DB": "sp00ky",
            "Authorization": f"Bearer {token}" if token else "Basic " + base64.b64encode(b"root:root").decode(),
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=text, headers=headers) as response,
        ):
            body = await response.json()
            assert response.status == 200, body
            assert all(statement["status"] == "OK" for statement in body), body
            return [statement["result"] for statement in body]

    async def get(self, path: str, **arguments: str) -> Any:
        """The JSON answer, None for any status but 200 and while nobody listens."""
        try:
            async with self.http.get(f"{self.url}{path}", params=arguments) as response:
                return await response.json() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def register(
        self, view: str, surql: str, params: Mapping[str, Any] | None = None, auth: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        body = {"id": view, "surql": surql, "params": dict(params or {}), "clientId": "test", "auth": auth}
        async with self.http.post(f"{self.url}/view/register", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return dict(answer)

    async def unregister(self, view: str) -> None:
        async with self.http.post(f"{self.url}/view/unregister", json={"id": view}) as response:
            assert response.status == 200, await response.text()

    async def view(self, view: str, **arguments: str) -> tuple[int, Any]:
        async with self.http.get(f"{self.url}/view/{view}", params=arguments) as response:
            return response.status, await response.json()

    async def consistent(self, view: str, timeout_s: float = 30.0, auth: str = "") -> Any:
        """The view (of the user), fully consistent, with rows; asks again while a service is away."""
        user = {"auth": auth} if auth else {}
        return await self._read(view, timeout_s, consistency="fully_consistent", **user)

    async def exact(self, view: str, revision: str, timeout_s: float = 30.0) -> Any:
        """The view as it was at `revision`, with rows; asks again while a service is away."""
        return await self._read(view, timeout_s, consistency="at_exact_snapshot", revision=revision)

    async def _read(self, view: str, timeout_s: float, **arguments: str) -> Any:
        answer: Any = None

        async def asked() -> bool:
            nonlocal answer
            try:
                status, answer = await self.view(view, rows="1", **arguments)
            except (aiohttp.ClientError, TimeoutError) as error:
                answer = repr(error)
                return False
            assert status < 400 or status in (429, 502, 503, 504), answer
            assert status != 200 or answer["state"] != "failed", answer
            return status == 200 and answer["state"] != "lagging"

        try:
            await eventually(asked, timeout_s, what=f"view {view}", every_s=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}: {answer}\n{self.said()}") from error
        return answer
