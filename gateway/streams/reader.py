"""One reader's stream, as whatever carries it sees it: events when there are some, until it is over.

    async for told in reader.events(): write it

Nothing is kept for a reader who is not ready for more: while what he was told is being written, the feeds go on, and he
is told what the histories still have when it is his turn again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from sp00ky.gateway.streams.feeds import Feeds
from sp00ky.gateway.streams.links import Links
from sp00ky.gateway.streams.metering import StreamMeters
from sp00ky.gateway.streams.points import point_of
from sp00ky.gateway.streams.rereading import Rereading
from sp00ky.gateway.streams.session import Session, Step, Told, Viewed
from sp00ky.gateway.streams.waking import Waking
from sp00ky.gateway.translate.streams import Watched
from sp00ky.proto.faults import Code, Fault

LOCATE_SECONDS = 5.0  # that a view may take to be found before its reader is told that it cannot be


class Reader:
    """`refresh_s`: after it, a quiet reader is told how far his views are. `ends_with_view`: the stream is over with
    the first of its views that is gone. Close it when it is over."""

    def __init__(
        self,
        feeds: Feeds,
        rereading: Rereading,
        links: Links,
        meters: StreamMeters,
        waking: Waking,
        *,
        refresh_s: float,
        ahead_s: float,
        ends_with_view: bool,
    ) -> None:
        self._feeds, self._rereading, self._links, self._meters = feeds, rereading, links, meters
        self._refresh_s = refresh_s
        self._ends_with_view = ends_with_view
        self._session = Session(ahead_s, meters.refetched, single_token=ends_with_view)
        self._awake = asyncio.Event()
        self._wake: Callable[[], None] = partial(waking.wake, self._awake)
        self._reads: set[asyncio.Task[None]] = set()
        self._read: list[Told] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        return len(self._session.views)

    def has(self, given_id: str) -> bool:
        return given_id in self._session.views

    async def watch(self, watched: Watched) -> None:
        """One more view. Raises Fault NOT_FOUND, and what is in the way of following it."""
        feed = await self._feeds.acquire(watched.key, rows=watched.rows, timeout_s=LOCATE_SECONDS)
        if self.has(watched.given_id):
            self._feeds.release(feed)
            raise Fault(Code.CONFLICT, f'view "{watched.given_id}" is watched already on this stream')
        self._session.add(watched.given_id, feed, point_of(watched.since) if watched.since else None)
        feed.readers[self._wake] = None
        self._wake()

    def unwatch(self, given_id: str) -> None:
        """Raises Fault NOT_FOUND."""
        viewed = self._session.remove(given_id)
        if viewed is None:
            raise Fault(Code.NOT_FOUND, f'view "{given_id[:128]}" is not watched on this stream')
        self._leave(viewed)
        self._wake()

    def _leave(self, viewed: Viewed) -> None:
        feed = viewed.feed
        if not any(each.feed is feed for each in self._session.views.values()):
            feed.readers.pop(self._wake, None)
        self._feeds.release(feed)

    async def events(self) -> AsyncIterator[Sequence[Told]]:
        """What is to be written, until the stream is over."""
        refresh_at = self._loop.time() + self._refresh_s
        while True:
            self._awake.clear()
            now = self._loop.time()
            refresh = now >= refresh_at
            if refresh:
                refresh_at = now + self._refresh_s
            step = self._session.step(now, refresh=refresh)
            told, self._read = self._read + step.told if self._read else step.told, []
            self._follow(step)
            if told:
                yield told
            if step.cut:
                self._meters.cut(step.cut)
                return
            if step.gone and self._ends_with_view:
                return
            if not told:
                self._wake_by(min(refresh_at, step.deadline or refresh_at))
                await self._awake.wait()

    def _follow(self, step: Step) -> None:
        for viewed in step.gone:
            self._leave(viewed)
        for viewed in step.reads:
            task = asyncio.create_task(self._reread(viewed))
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)
        if step.waits:
            self._links.waiting[self._wake] = None
        else:
            self._links.waiting.pop(self._wake, None)

    async def _reread(self, viewed: Viewed) -> None:
        assert viewed.since is not None
        generation = viewed.generation
        try:
            bridge = await self._rereading.bridge(viewed.feed, viewed.since.token)
            told = self._session.bridged(viewed, bridge, generation)
        except Fault as fault:
            told = self._session.unread(viewed, fault, generation)
        if told is not None:
            self._read.append(told)
        self._wake()

    def _wake_by(self, when: float) -> None:
        timer = self._timer
        if timer is None or timer.when() > when or timer.when() <= self._loop.time():
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(when, self._awake.set)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._links.waiting.pop(self._wake, None)
        for task in self._reads:
            task.cancel()
        for given_id in list(self._session.views):
            viewed = self._session.remove(given_id)
            assert viewed is not None
            self._leave(viewed)
