"""The feeds of one gateway, and where each of them is fed: at the SSP that owns its view now.

    locate ─▶ watch ─▶ (over: moved, broken) ─▶ locate …          NOT_FOUND ─▶ gone

Where the view is, the scheduler says; it is asked with the revision that the feed has, and refuses one of a branch that
was given up. While nobody knows (no scheduler, no SSP), the feed waits, and so do its readers, with what they have.

Invariant: a feed has at most one watch, and none while it is being located. One that nobody has read for the linger is
closed; at most `feeds_max` are kept, those without readers going first.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from sp00ky.gateway.streams.feed import Feed
from sp00ky.gateway.streams.history import Budget
from sp00ky.gateway.streams.links import Links, Watch
from sp00ky.gateway.streams.metering import StreamMeters
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2

Locate = Callable[[common_pb2.ViewKey, str], Awaitable[str]]  # the owner's address; of a view, at least at a token

BACKOFF_MIN_SECONDS: Final = 0.02
BACKOFF_MAX_SECONDS: Final = 1.0
LOCATES_MAX: Final = 64  # at the same time
STEADY_SECONDS: Final = 5.0  # a watch that lived that long was no failure
LOST_BRANCH: Final = frozenset({Code.REVISION_GONE, Code.CONFLICT})
WAITING: Final = frozenset(
    {Code.NOT_READY, Code.NO_READY_SSP, Code.UNAVAILABLE, Code.TIMEOUT, Code.OVERLOADED, Code.FENCED}
)

log = logging.getLogger(__name__)


class Followed:
    """One feed and what keeps it fed. `located`: done once it was, or could not be."""

    def __init__(
        self, feed: Feed, links: Links, locate: Locate, places: asyncio.Semaphore, meters: StreamMeters
    ) -> None:
        self.feed = feed
        self.users = 0
        self.linger: asyncio.TimerHandle | None = None
        self._links, self._locate, self._places, self._meters = links, locate, places, meters
        self._watch: Watch | None = None
        self.reason: Fault | None = None  # why it is not located yet
        self._failures = 0
        self._since = 0.0
        self._loop = asyncio.get_running_loop()
        self.located: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = asyncio.create_task(self._find())

    async def _find(self) -> None:
        while True:
            await asyncio.sleep(self._backoff())
            try:
                async with self._places:
                    progress = self.feed.progress
                    address = await self._locate(self.feed.key, progress.token if progress is not None else "")
            except Fault as fault:
                if self._refused(fault):
                    return
                continue
            self._since = self._loop.time()
            self._watch = self._links.watch(address, self.feed, self._over)
            self._task = None
            self._now_located(None)
            return

    def _refused(self, fault: Fault) -> bool:
        """Whether that is the end."""
        if fault.code is Code.NOT_FOUND:
            self._now_located(fault)
            self.feed.become_gone(fault)
            return True
        if fault.code in LOST_BRANCH and self.feed.progress is not None:
            self.feed.forget(fault)
            return False
        if fault.code not in WAITING:
            log.warning("view %r cannot be located: %s", self.feed.key.id, fault)
            self._now_located(fault)
        self._failures += 1
        self.reason = fault
        return False

    def _now_located(self, fault: Fault | None) -> None:
        if self.located.done():
            self.located = self._loop.create_future()
        if fault is None:
            self.located.set_result(None)
        else:
            self.located.set_exception(fault)
            self.located.exception()  # nobody may be waiting

    def _backoff(self) -> float:
        if not self._failures:
            return 0.0
        most = min(BACKOFF_MAX_SECONDS, BACKOFF_MIN_SECONDS * 2 ** min(self._failures - 1, 10))
        return float(most * random.uniform(0.5, 1.0))

    def _over(self, reason: str) -> None:
        self._watch = None
        self._meters.broke(reason)
        self._failures = 1 if self._loop.time() - self._since > STEADY_SECONDS else self._failures + 1
        self._task = asyncio.create_task(self._find())

    def close(self) -> None:
        if self.linger is not None:
            self.linger.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._watch is not None:
            self._watch.close()
        self.feed.close()


class Feeds:
    """`linger_s`: how long a feed without readers is kept."""

    def __init__(
        self, links: Links, locate: Locate, budget: Budget, meters: StreamMeters, *, feeds_max: int, linger_s: float
    ) -> None:
        self._links, self._locate, self._budget, self._meters = links, locate, budget, meters
        self._feeds_max, self._linger_s = feeds_max, linger_s
        self._places = asyncio.Semaphore(LOCATES_MAX)
        self._followed: dict[tuple[str, str, bool], Followed] = {}
        self._displaced: dict[Feed, Followed] = {}  # gone, still read, and another has their place

    async def acquire(self, key: common_pb2.ViewKey, *, rows: bool, timeout_s: float) -> Feed:
        """The feed of a view, for one reader. Raises Fault NOT_FOUND; OVERLOADED past `feeds_max`; what is in the way
        of locating it, after `timeout_s`."""
        name = key.id, key.auth_id, rows
        followed = self._followed.get(name)
        if followed is None or followed.feed.gone is not None:
            if followed is not None and followed.users:
                self._displaced[followed.feed] = followed
            followed = self._made(name, key, rows=rows)
        if followed.linger is not None:
            followed.linger.cancel()
            followed.linger = None
        followed.users += 1
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(followed.located)
        except TimeoutError:
            self.release(followed.feed)
            raise followed.reason or Fault(Code.TIMEOUT, f'view "{key.id}" was not located in time') from None
        except BaseException:
            self.release(followed.feed)
            raise
        return followed.feed

    def _made(self, name: tuple[str, str, bool], key: common_pb2.ViewKey, *, rows: bool) -> Followed:
        if len(self._followed) >= self._feeds_max:
            idle = next((each for each, kept in self._followed.items() if not kept.users), None)
            if idle is None:
                raise Fault(Code.OVERLOADED, "server follows as many views as it may", "ask again shortly")
            self._followed.pop(idle).close()
        feed = Feed(key, rows=rows, budget=self._budget)
        followed = Followed(feed, self._links, self._locate, self._places, self._meters)
        self._followed[name] = followed
        self._meters.feeds.set(len(self._followed))
        return followed

    def release(self, feed: Feed) -> None:
        """One reader fewer."""
        name = feed.key.id, feed.key.auth_id, feed.rows
        followed = self._displaced.get(feed) or self._followed.get(name)
        if followed is None or followed.feed is not feed:
            return  # it was closed with all feeds
        followed.users -= 1
        assert followed.users >= 0
        if followed.users:
            return
        if feed.gone is not None:
            self._close(name, followed)
        else:
            loop = asyncio.get_running_loop()
            followed.linger = loop.call_later(self._linger_s, self._close, name, followed)

    def _close(self, name: tuple[str, str, bool], followed: Followed) -> None:
        if self._followed.get(name) is followed:
            del self._followed[name]
            self._meters.feeds.set(len(self._followed))
        self._displaced.pop(followed.feed, None)
        followed.close()
        self._links.close_idle()

    async def close(self) -> None:
        for followed in (*self._followed.values(), *self._displaced.values()):
            followed.close()
        self._followed.clear()
        self._displaced.clear()
        await self._links.close()
