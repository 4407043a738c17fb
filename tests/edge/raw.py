"""Sockets that say what no HTTP client would: on loopback, each wait bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

PATIENCE_S = 10.0


@dataclass
class Raw:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def status(self) -> int:
        """Of the next answer; 0 if the connection was closed instead."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = await self.reader.readline()
        except ConnectionError:
            return 0
        return int(line.split(b" ", 2)[1]) if line else 0

    async def closed(self) -> bool:
        """Whether the server ends the connection, whatever it says before."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.reader.read(-1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def connected(client: aiohttp.ClientSession, source: str = "127.0.0.1") -> AsyncIterator[Raw]:
    """A connection to the server that a client is rooted at, from an address of loopback."""
    assert client._base_url is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port, local_addr=(source, 0))
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
