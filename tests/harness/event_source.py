"""A reader of server-sent events over real HTTP, as a browser is one: it keeps the last id to come back with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
import orjson

from tests.harness.folding_reader import FoldingReader


class ServerEvent(NamedTuple):
    kind: str
    body: dict[str, Any]
    id: str


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[ServerEvent | str]:
    """Events, and the comments between them as text, until the stream ends."""
    kind, data, event_id = "message", [], ""
    async for line in _lines(response):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield ServerEvent(kind, orjson.loads("\n".join(data)), event_id)
            kind, data, event_id = "message", [], ""
        elif not name:
            yield value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            event_id = value


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """However long they are."""
    left: list[bytes] = []
    async for chunk in response.content.iter_any():
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*left, line]).decode()
            left.clear()
        left.append(rest)


class EventSource:
    """`async with EventSource(client, path) as source: await source.next("delta")`; `folded` is what it was told."""

    def __init__(self, client: aiohttp.ClientSession, path: str, folded: FoldingReader | None = None) -> None:
        self._client, self._path = client, path
        self.folded = folded or FoldingReader(several="also=" in path)
        self.comments = 0
        self.status = 0

    async def __aenter__(self) -> EventSource:
        self.folded.reconnected()
        headers = {"Last-Event-ID": self.folded.token} if self.folded.token else {}
        self.response = await self._client.get(self._path, headers=headers)
        self.status = self.response.status
        assert self.status == 200, await self.response.text()
        self._events = events_of(self.response)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.response.close()

    async def next(self, kind: str = "", within: float = 10.0) -> ServerEvent:
        """The next event (of a kind: what comes before is folded)."""
        async with asyncio.timeout(within):
            async for event in self._events:
                if isinstance(event, str):
                    self.comments += 1
                    continue
                self.folded.take(*event)
                if not kind or event.kind == kind:
                    return event
        raise EOFError("the stream ended")

    async def ended(self, within: float = 10.0) -> list[str]:
        """What came until the stream ended."""
        kinds: list[str] = []
        try:
            while True:
                kinds.append((await self.next(within=within)).kind)
        except EOFError:
            return kinds
