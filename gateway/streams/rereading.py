"""Readers who come back with a revision that no history holds: their view is read as it was, and the difference told.

Readers of one feed who have the same revision share one read and one event: after a restart of this gateway all of them
come at once. At most `reads_max` reads are made at the same time, and `READERS_MAX` wait for one: who finds no room is
told to fetch again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from sp00ky.gateway.streams.feed import Feed
from sp00ky.gateway.streams.feeds import BACKOFF_MAX_SECONDS, WAITING
from sp00ky.gateway.streams.metering import StreamMeters
from sp00ky.gateway.streams.session import Bridge
from sp00ky.gateway.translate.streams import read_result, read_state
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import parse_revision
from sp00ky.proto.v1 import common_pb2, views_pb2

WAITING_PER_PLACE: Final = 64  # reads that may wait for each that is made

Read = Callable[[views_pb2.GetViewRequest, float], Awaitable[views_pb2.GetViewResponse]]  # within seconds


class Rereading:
    """`read`: one call, raises Fault. `timeout_s`: for one reader, with all attempts."""

    def __init__(self, read: Read, meters: StreamMeters, *, reads_max: int, timeout_s: float) -> None:
        self._read, self._meters = read, meters
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(reads_max)
        self._most = reads_max * (1 + WAITING_PER_PLACE)
        self._under_way: dict[tuple[Feed, int, str], asyncio.Task[Bridge]] = {}

    async def bridge(self, feed: Feed, token: str) -> Bridge:
        """From the view at a revision to what the feed holds. Raises Fault: it cannot be read."""
        name = feed, feed.generation, token
        task = self._under_way.get(name)
        if task is None:
            if len(self._under_way) >= self._most:
                self._meters.read(Code.OVERLOADED.value)
                raise Fault(Code.OVERLOADED, "too many readers come back at once", "fetch again")
            task = self._under_way[name] = asyncio.create_task(self._bridge(feed, token))
            task.add_done_callback(lambda done: self._done(name, done))
        return await asyncio.shield(task)

    def _done(self, name: tuple[Feed, int, str], task: asyncio.Task[Bridge]) -> None:
        del self._under_way[name]
        fault = None if task.cancelled() else task.exception()
        self._meters.read(fault.code.value if isinstance(fault, Fault) else "exact")

    async def _bridge(self, feed: Feed, token: str) -> Bridge:
        request = views_pb2.GetViewRequest(
            key=feed.key, consistency=common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT, revision=token, rows=feed.rows
        )
        response = await self._answered(request)
        if feed.result is None or (progress := feed.progress) is None:
            raise Fault(Code.REVISION_GONE, "what came after the revision is not known any more")
        if response.registered_seq > parse_revision(token).seq or response.registered_seq != feed.registered_seq:
            raise Fault(Code.REVISION_GONE, f"the view was registered anew after {token}")
        old = read_result(response, rows=feed.rows, single=feed.single)
        event = feed.bridge(old, read_state(response))
        return Bridge(event, feed.history.end, progress)

    async def _answered(self, request: views_pb2.GetViewRequest) -> views_pb2.GetViewResponse:
        """The reading; one that is only late is asked for again."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        backoff = 0.05
        while True:
            left = deadline - asyncio.get_running_loop().time()
            try:
                async with self._places:
                    return await self._read(request, max(0.05, left))
            except Fault as fault:
                if fault.code not in WAITING or left <= backoff:
                    raise
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
            backoff = min(2 * backoff, BACKOFF_MAX_SECONDS)

    async def close(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
