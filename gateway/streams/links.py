"""The streams of watches to the SSPs: one for each SSP, shared by everything that is watched there.

What an SSP says is handed to the feed it is of as it comes, without a queue between: whoever is slow here is slow to
read there, and the SSP shows it whole results in place of changes.

Invariant: a watch is told exactly once that it is over: by the SSP, or because its link broke. A link that broke is
forgotten; whoever watches next at the same address opens a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from grpc import aio
from sp00ky.gateway.streams.feed import Feed
from sp00ky.gateway.streams.metering import StreamMeters
from sp00ky.gateway.streams.points import Progress, point_of
from sp00ky.proto.channel import fault_of, open_channel
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import views_pb2, views_pb2_grpc

CLOSE_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Watch:
    """`over`: called with the reason when it ends, unless it was closed."""

    link: Link
    watch_id: int
    feed: Feed
    over: Callable[[str], None]

    def close(self) -> None:
        self.link.close_watch(self)


class Link:
    """One stream. `waiting`: called whenever there is progress."""

    def __init__(self, address: str, secret: str, waiting: dict[Callable[[], None], None]) -> None:
        self.address = address
        self.progress = Progress()
        self.watches: dict[int, Watch] = {}
        self.heard = False  # anything from the ssp
        self._waiting = waiting
        self._numbers = 0
        self._asks: deque[views_pb2.WatchViewsRequest] = deque()
        self._asked = asyncio.Event()
        self._channel = open_channel(address, secret)
        stub: Any = views_pb2_grpc.ViewServiceStub(self._channel)
        self._stub = stub

    def open_watch(self, feed: Feed, over: Callable[[str], None]) -> Watch:
        self._numbers += 1
        watch = self.watches[self._numbers] = Watch(self, self._numbers, feed, over)
        progress = feed.progress
        at_least = progress.seq if progress is not None else 0
        feed.attach(self.progress, watch.watch_id)
        opened = views_pb2.WatchOpened(watch_id=watch.watch_id, key=feed.key, rows=feed.rows, at_least_seq=at_least)
        self._ask(views_pb2.WatchViewsRequest(opened=opened))
        return watch

    def close_watch(self, watch: Watch) -> None:
        if self.watches.pop(watch.watch_id, None) is not None:
            watch.feed.detach()
            self._ask(views_pb2.WatchViewsRequest(closed=views_pb2.WatchClosed(watch_id=watch.watch_id)))

    def _ask(self, request: views_pb2.WatchViewsRequest) -> None:
        self._asks.append(request)
        self._asked.set()

    async def run(self) -> str:
        """Follow the SSP until the stream breaks; why it did."""
        call = self._stub.WatchViews()
        asking = asyncio.create_task(self._say(call))
        try:
            while (message := await call.read()) is not aio.EOF:
                self.heard = True
                self._handle(message)
            return "the ssp ended the stream"
        except aio.AioRpcError as error:
            return str(fault_of(error))
        except Fault as fault:
            return str(fault)
        finally:
            asking.cancel()
            call.cancel()

    async def _say(self, call: Any) -> None:
        with contextlib.suppress(aio.AioRpcError, asyncio.InvalidStateError):  # whoever reads hears why
            while True:
                self._asked.clear()
                while self._asks:
                    await call.write(self._asks.popleft())
                await self._asked.wait()

    def _handle(self, message: views_pb2.WatchViewsResponse) -> None:
        match message.WhichOneof("frame"):
            case "changed":
                self._hand(message.changed.watch_id, lambda feed: feed.handle_changed(message.changed))
            case "shown":
                self._hand(message.shown.watch_id, lambda feed: feed.handle_shown(message.shown))
            case "progress":
                self._progressed(message.progress)
            case "ended":
                self._end(message.ended.watch_id, "moved")

    def _hand(self, watch_id: int, handle: Callable[[Feed], None]) -> None:
        watch = self.watches.get(watch_id)
        if watch is None:
            return  # it was closed meanwhile
        try:
            handle(watch.feed)
        except Fault as fault:
            log.warning("watch of view %r at %s is opened anew: %s", watch.feed.key.id, self.address, fault)
            self._ask(views_pb2.WatchViewsRequest(closed=views_pb2.WatchClosed(watch_id=watch_id)))
            self._end(watch_id, "misfit")

    def _progressed(self, message: views_pb2.WatchProgress) -> None:
        point, unsettled = point_of(message.revision), frozenset(message.unsettled)
        before = self.progress.unsettled
        for watch_id in unsettled - before:
            if (watch := self.watches.get(watch_id)) is not None:
                watch.feed.freeze()
        self.progress.moved(point, unsettled)
        for watch_id in before - unsettled:
            if (watch := self.watches.get(watch_id)) is not None:
                watch.feed.thaw(point)
        for wake in tuple(self._waiting):
            wake()

    def _end(self, watch_id: int, reason: str) -> None:
        watch = self.watches.pop(watch_id, None)
        if watch is not None:
            watch.feed.detach()
            watch.over(reason)

    async def broke(self) -> None:
        """End what is left of it."""
        for watch_id in list(self.watches):
            self._end(watch_id, "link")
        await self._channel.close(CLOSE_SECONDS)


class Links:
    """By address. A link without watches is closed."""

    def __init__(self, secret: str, meters: StreamMeters) -> None:
        self.waiting: dict[Callable[[], None], None] = {}  # called whenever there is progress
        self._secret, self._meters = secret, meters
        self._links: dict[str, Link] = {}
        self._tasks: dict[Link, asyncio.Task[None]] = {}

    def watch(self, address: str, feed: Feed, over: Callable[[str], None]) -> Watch:
        """Follow a view there. `over`: called with the reason when that ends, unless the watch was closed."""
        link = self._links.get(address)
        if link is None:
            link = self._links[address] = Link(address, self._secret, self.waiting)
            self._tasks[link] = asyncio.create_task(self._run(link))
            self._meters.links.set(len(self._tasks))
        return link.open_watch(feed, over)

    async def _run(self, link: Link) -> None:
        try:
            why = await link.run()
            if link.heard and link.watches:
                log.warning("views are no longer followed at %s: %s", link.address, why)
        finally:
            self._forget(link)
            await link.broke()
            self._tasks.pop(link, None)
            self._meters.links.set(len(self._tasks))

    def _forget(self, link: Link) -> None:
        if self._links.get(link.address) is link:
            del self._links[link.address]

    def close_idle(self) -> None:
        """Close what nothing is watched on."""
        for link in list(self._links.values()):
            if not link.watches:
                self._forget(link)
                self._tasks[link].cancel()

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.gather(*tasks, return_exceptions=True)
