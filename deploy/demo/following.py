"""The demo's clients: each view is watched from the first row on, and folded, as an application would do it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from sp00ky.gateway.client import Delta, Mesh
from sp00ky.proto.faults import Code, Fault


class Following:
    """`async with Following(client, ids) as following:` watches all of them, on a connection each."""

    def __init__(self, client: Mesh, views: Iterable[str]) -> None:
        self._client = client
        self._views = list(views)
        self._last: dict[str, Delta] = {}
        self._moved = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self.deltas = 0

    async def __aenter__(self) -> Following:
        self._tasks = [asyncio.create_task(self._follow(view)) for view in self._views]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, view: str) -> None:
        async for delta in self._client.watch(view):
            async with self._moved:
                self._last[view] = delta
                self.deltas += 1
                self._moved.notify_all()

    async def rows(self, view: str, hash_: str, timeout_s: float) -> Any:
        """What the client of the view has, once it has what a read has answered. Raises Fault TIMEOUT."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: view in self._last and self._last[view].hash == hash_)
                return self._last[view].rows
        raise Fault(Code.TIMEOUT, f'who watches "{view}" was not told what a read answers')
