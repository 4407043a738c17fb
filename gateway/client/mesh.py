"""The client: one HTTP connection pool, calls that answer once, and watches that go on.

A call that fails raises `Fault` with the server's own code and message. A watch raises only what asking again cannot
mend (an unknown view, a refused bearer); everything else is waited out, longer each time, with the revision it had.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from sp00ky.gateway.client.delta import Delta, Step
from sp00ky.gateway.client.views import Registration, View, registration_of, view_of
from sp00ky.gateway.client.watch import Watch
from sp00ky.gateway.event_reader import EventReader, ServerEvent
from sp00ky.proto.faults import Code, Fault

CALL_SECONDS: Final = 35.0  # a little more than the server takes to give up
SILENCE_SECONDS: Final = 60.0  # of a stream, which has a comment every 15 s: it is dead
BACKOFF_SECONDS: Final = 0.05
BACKOFF_SECONDS_MAX: Final = 5.0
RETRYABLE: Final = frozenset(
    {Code.UNAVAILABLE, Code.NOT_READY, Code.NO_READY_SSP, Code.OVERLOADED, Code.TIMEOUT, Code.INTERNAL, Code.DISK_FULL}
)


class Mesh:
    """A scheduler, gateway or SSP at `url`. `token`: the bearer, a secret or a JWT."""

    def __init__(self, url: str, *, token: str = "") -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Mesh:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- calls ---

    async def register(
        self,
        view: str,
        surql: str,
        params: Mapping[str, Any] | str | None = None,
        *,
        ttl: str = "",
        client_id: str = "",
        auth: Mapping[str, Any] | str | None = None,
    ) -> Registration:
        """Keep the result of a query current from now on. `params`: a mapping, or the text of a SurrealQL object, which
        can name records; `ttl`: a duration after which the view ends unless it is registered again; none: never."""
        body: dict[str, Any] = {"id": view, "surql": surql, "params": params or {}}
        body |= {"clientId": client_id} if client_id else {}
        body |= ({"ttl": ttl} if ttl else {}) | ({"auth": auth} if auth is not None else {})
        return registration_of(await self.call("POST", "/view/register", body))

    async def unregister(self, view: str, *, auth: str = "") -> None:
        await self.call("POST", "/view/unregister", {"id": view} | ({"auth": auth} if auth else {}))

    async def view(
        self, view: str, *, rows: bool = True, consistency: str = "", revision: str = "", auth: str = ""
    ) -> View:
        """The view now, or at the revision. `consistency` as `GET /view/{id}` names it."""
        asked = {"rows": "1" if rows else "", "consistency": consistency, "revision": revision, "auth": auth}
        return view_of(await self.call("GET", _view_path(view), asked={k: v for k, v in asked.items() if v}))

    async def ingest(self, *changes: Mapping[str, Any], idempotency_key: str = "") -> str:
        """Changes `{table, op, id, record}` as one transaction, durable once this returns its revision."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = await self.call("POST", "/ingest", list(changes), headers=headers)
        return str(body["revision"])

    async def revision(self) -> str:
        """A revision that holds everything committed in SurrealDB before this call."""
        return str((await self.call("GET", "/revision"))["revision"])

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        asked: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Any endpoint: the JSON that it answers. Raises Fault."""
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        try:
            async with self._pool.request(
                method, self.url + path, json=body, params=asked, headers=headers, timeout=timeout
            ) as response:
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise fault_of_answer(response.status, data)
        try:
            return json.loads(data) if data else None
        except ValueError:
            raise Fault(Code.INVALID, f"{self.url}{path} is not an API of the mesh") from None

    @property
    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        return self._session

    def _unreachable(self, error: Exception) -> Fault:
        return Fault(Code.UNAVAILABLE, f"cannot reach {self.url}: {error or type(error).__name__}", "is it running?")

    # --- watches ---

    async def watch(self, view: str, *, rows: bool = True, auth: str = "") -> AsyncIterator[Delta]:
        """The result, then every change of it, until the caller stops. Raises Fault NOT_FOUND once the view is gone."""
        async for step in self.watch_together([view], rows=rows, auth=auth):
            for delta in step.deltas.values():
                yield delta

    async def watch_together(self, views: Sequence[str], *, rows: bool = True, auth: str = "") -> AsyncIterator[Step]:
        """Several views, once all of them have a result: at each step they are at its revision. Raises Fault as `watch`
        does."""
        watch = Watch(views, rows_asked=rows)
        delay = BACKOFF_SECONDS
        while True:
            try:
                async for event in self._events(watch, auth):
                    step = watch.take(event)
                    delay = BACKOFF_SECONDS
                    if step is not None:
                        yield step
            except Fault as fault:
                if fault.code not in RETRYABLE:
                    raise
            watch.broke()
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(BACKOFF_SECONDS_MAX, delay * 2)

    async def _events(self, watch: Watch, auth: str) -> AsyncIterator[ServerEvent]:
        """The events of one connection, until it ends. Raises Fault."""
        first, *others = watch.views
        asked = [("rows", "1")] if watch.rows_asked else []
        asked += [("auth", auth)] if auth else []
        asked += [("also", view) for view in others]
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": watch.since} if watch.since else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CALL_SECONDS, sock_read=SILENCE_SECONDS)
        reader = EventReader()
        try:
            async with self._pool.get(
                f"{self.url}{_view_path(first)}/events", params=asked, headers=headers, timeout=timeout
            ) as response:
                if response.status != 200:
                    raise fault_of_answer(response.status, await response.read())
                async for piece in response.content.iter_any():
                    for event in reader.feed(piece):
                        yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from error


def fault_of_answer(status: int, data: bytes) -> Fault:
    """The fault that an error answer stands for; the code INTERNAL where it does not say one."""
    try:
        said = json.loads(data)
        return Fault(Code(said["code"]), said["message"], said.get("hint") or "", said.get("details"))
    except (ValueError, KeyError, TypeError):
        text = " ".join(data.decode(errors="replace").split())[:200]
        code = Code.UNAVAILABLE if status in (502, 503, 504) else Code.INTERNAL
        return Fault(code, f"the server answers {status}: {text or 'nothing'}")


def _view_path(view: str) -> str:
    return f"/view/{quote(view, safe='')}"
