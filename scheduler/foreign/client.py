"""HTTP calls to one SSP: bounded in time and in what is read, never redirected, and never an exception.

An `Answer` without a status is no answer, for the reason it gives. The bearer goes with what is posted, and with
nothing else: health and info are asked of whoever is there.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import aiohttp
import orjson
from sp00ky.scheduler.foreign.address import GuardedResolver

REQUEST_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 3.0
ANSWER_BYTES_MAX: Final = 256 * 1024
CONNECTIONS_MAX: Final = 2  # one for what is posted, one for questions
_READY: Final = frozenset({"ready", "ok"})
_REFUSALS: Final = frozenset({400, 409, 413, 415, 422})  # the same request can never succeed


class Answer(NamedTuple):
    status: int  # 0: none
    body: bytes = b""
    reason: str = ""

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return self.status in _REFUSALS

    def __str__(self) -> str:
        return f"{self.status}" if self.status else self.reason


class SspClient:
    def __init__(self, url: str, secret: str, *, request_seconds: float = REQUEST_SECONDS) -> None:
        self._url = url
        headers = {"Content-Type": "application/json"}
        self._posted = headers | ({"Authorization": f"Bearer {secret}"} if secret else {})
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, resolver=GuardedResolver()),
            timeout=aiohttp.ClientTimeout(total=request_seconds, connect=min(CONNECT_SECONDS, request_seconds)),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=8_190,
            max_field_size=8_190,
        )

    async def post(self, path: str, body: bytes) -> Answer:
        return await self._call("POST", path, body)

    async def get(self, path: str) -> Answer:
        return await self._call("GET", path, None)

    async def _call(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = self._posted if body is not None else {}
        try:
            async with self._session.request(
                method, self._url + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, await _bounded(response))
        except TimeoutError:
            return Answer(0, b"", "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(0, b"", f"{type(error).__name__}: {error}"[:200])

    async def close(self) -> None:
        await self._session.close()


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body; nothing of one that is too long, whose connection is not used again."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            response.close()
            return b""
        parts.append(part)
    return b"".join(parts)


def health_of(answer: Answer) -> str:
    """ready | bootstrapping | failed, as the SSP says; "" of one that does not answer as an SSP."""
    try:
        said = orjson.loads(answer.body)
    except ValueError:
        return ""
    status = said.get("status") if isinstance(said, dict) else None
    if answer.status == 200 and isinstance(status, str) and status in _READY:
        return "ready"
    if answer.status not in {200, 503} or not isinstance(status, str):
        return ""
    return "failed" if status == "failed" else "bootstrapping"


def is_mesh(info: Answer) -> bool:
    """Whether this is the `/info` of a process of ours: what is posted there would come back as new changes."""
    try:
        said = orjson.loads(info.body)
    except ValueError:
        return False
    entries = said if isinstance(said, list) else [said]
    return any(isinstance(entry, dict) and "grpc_address" in entry for entry in entries)
