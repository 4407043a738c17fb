"""One attempt at a backend over HTTP: bounded in time and in bytes, and never elsewhere than configured.

Redirects are not followed: a job has one place to go (`proto/jobs/target.py`). A name is resolved once per connection,
by `GuardedResolver`, and the connection goes to the addresses that it let through.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver
from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.jobs.resolver import GuardedResolver
from sp00ky.proto.jobs.row import Request
from sp00ky.proto.values.json import JsonError, from_json
from sp00ky.proto.values.kinds import NONE, Value
from yarl import URL

REASON_CHARS_MAX = 2_000
CONNECTIONS_IDLE_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an attempt. `code`: HTTP status, 0 where there was no answer; `reason`: why it failed, empty where
    it did not; `note`: something to remember beside a success."""

    code: int
    reason: str = ""
    result: Value = NONE
    note: str = ""

    @property
    def ok(self) -> bool:
        return not self.reason

    @property
    def speaks_for_backend(self) -> bool:
        """Whether the backend is well, whatever it thinks of the job."""
        return 0 < self.code < 500


class HttpBackend:
    """Calls of one backend; `close` at the end."""

    def __init__(self, backend: Backend, resolver: AbstractResolver | None = None) -> None:
        self._backend = backend
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def call(self, request: Request) -> Answer:
        """Raises nothing but cancellation: whatever happens is an answer."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": request.key,
            "X-Sp00ky-Attempt": str(request.attempt),
        }
        if self._backend.auth_token:
            headers["Authorization"] = f"Bearer {self._backend.auth_token}"
        try:
            async with (
                asyncio.timeout(request.timeout_s),
                self._opened().post(
                    URL(request.url, encoded=True), data=request.body, headers=headers, allow_redirects=False
                ) as response,
            ):
                return await self._read(response)
        except TimeoutError:
            return Answer(0, f"no answer within {request.timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(0, f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX])

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._backend.concurrency,
                resolver=GuardedResolver(self._backend.trusted, self._resolver),
                keepalive_timeout=CONNECTIONS_IDLE_S,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        most = self._backend.response_bytes_max
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > most:
                response.close()
                break
        code = response.status
        if not 200 <= code < 300:
            text = bytes(body[:REASON_CHARS_MAX]).decode("utf-8", "replace")
            said = f"redirects are not followed: {response.headers.get('Location', '')}" if 300 <= code < 400 else text
            return Answer(code, said[:REASON_CHARS_MAX] or f"status {code}")
        if len(body) > most:
            return Answer(code, note=f"the answer has more than {most} bytes and was not kept")
        return Answer(code, result=_value(bytes(body)))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _value(body: bytes) -> Value:
    """JSON as its value, anything else as text, an empty answer as NONE."""
    if not body:
        return NONE
    try:
        return from_json(body)
    except JsonError:
        return body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
