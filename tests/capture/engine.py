"""A served database whose clients write at the same time, in memory or in files, and a client whose calls can stall.

The product serves files one call at a time; here surrealkv runs on its asynchronous engine, where commits overlap and
come late, as they do on a server of one's own.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from sp00ky.deploy.db.engine import MemoryEngine
from sp00ky.deploy.db.limits import Limits
from sp00ky.deploy.db.live import Credentials, LiveQueries
from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.database import Database
from sp00ky.proto.values.kinds import Value
from surrealdb_embedded import AsyncEmbeddedDB


class ConcurrentFiles(MemoryEngine):
    """For short runs: the engine hangs after some 2 GB of writes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    async def open(self) -> None:
        self._handle = AsyncEmbeddedDB(f"surrealkv://{self._path}?sync=never")
        await self._handle.connect()


class ConcurrentServer(DatabaseServer):
    """`path`: None for memory."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path=None, user="root", password="root")
        if path is not None:
            self._engine = ConcurrentFiles(path)
            self._lives = LiveQueries(self._engine, Credentials("root", "root"), Limits())


class StallingDatabase(Database):
    """`stall`: the most that a call waits before it is sent, and again before its answer is given, drawn anew each
    time; `pause` holds all calls; `cut` breaks the connection with what is in flight."""

    chance = random.Random(0)
    stall_seconds = 0.0

    def __init__(self, url: str, namespace: str) -> None:
        super().__init__(url, user="root", password="root", namespace=namespace, database="main")
        self.running = asyncio.Event()
        self.running.set()

    async def rpc(self, method: str, params: list[Value]) -> Value:
        await self._stall()
        answer = await super().rpc(method, params)
        await self._stall()
        return answer

    async def _stall(self) -> None:
        await self.running.wait()
        if self.stall_seconds and self.chance.random() < 0.2:
            await passed(self.chance.uniform(0, self.stall_seconds))

    async def cut(self) -> None:
        await self._drop()


async def passed(seconds: float) -> None:
    """How long a fault lasts; nothing is decided by it."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    loop.call_later(seconds, lambda: over.done() or over.set_result(None))
    await over
