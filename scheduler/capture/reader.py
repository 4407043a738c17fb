"""Reading the feed page by page into offers, and remembering how far.

Invariant: when `read` returns, everything in the feed from `since` to its end has been offered and is durable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.capture.cursor import CLOCK_MARGIN_MS, OVERLAP_MS, Cursor, Island, back, is_ashore, stamp_of_ms
from sp00ky.scheduler.capture.feed import PAGE_ENTRIES, Page, Seen, parse_page
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.progress import Progress
from sp00ky.scheduler.datastore.datastore import MetaWrite


class FeedReader:
    """`progress` is what the store holds; cursor and seen rows are this process's own, and start at it."""

    def __init__(
        self,
        database: Database,
        offering: Offering,
        progress: Progress,
        *,
        page_entries: int = PAGE_ENTRIES,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._page_entries = page_entries
        self._now_ms = now_ms
        self._database = database
        self._offering = offering
        self.progress = progress
        self.cursor = Cursor.resumed(progress.stamp, progress.island)
        self.seen = Seen()
        self._compare_again_ms: int | None = None

    async def poll(self) -> None:
        await self.read(self.cursor.near_since)

    async def sweep(self) -> None:
        began_ms = self._now_ms()
        await self.read(self.cursor.sweep_since)
        self.cursor.swept(began_ms)
        self.seen.prune(self.cursor.sweep_since)
        if self._compare_again_ms is not None and began_ms >= self._compare_again_ms:
            self._compare_again_ms = None
            self._offering.everything_stale = True

    async def read(self, since: int) -> None:
        next_since: int | None = since
        while next_since is not None:
            page = await self._page(self.cursor.jump(next_since))
            await self._take(page)
            next_since = page.since
        self.cursor.polled(self._now_ms())

    async def restart_at(self, clock_ms: int, progress: Progress) -> None:
        """Begin anew at the database's clock: what the feed holds from there on counts as seen, since the tables are
        compared after this. Stamps ahead of the clock are of a time before it went back; what was on its way among them
        shows only now, unseen, so everything is compared once more after the overlap."""
        begin = back(stamp_of_ms(clock_ms), OVERLAP_MS)
        ahead = stamp_of_ms(clock_ms + CLOCK_MARGIN_MS)
        self.seen.clear()
        cursor = Cursor(begin)
        await self._mark_seen(cursor.sweep_since, ahead)
        highest = await self._highest(ahead)
        island = Island(ahead, highest) if highest else None
        self._compare_again_ms = None if island is None else self._now_ms() + OVERLAP_MS
        self.cursor = Cursor(begin, island)
        self.cursor.told(clock_ms)
        self.progress = replace(progress, stamp=begin, anchored=False, clock_ms=clock_ms, island=island)

    async def follow_clock(self, clock_ms: int) -> None:
        """After a sweep: move on with the database's clock, the island ahead of it. Raises Fault if that cannot be."""
        if self.cursor.clock_went_back(clock_ms):
            raise Fault(Code.UNAVAILABLE, "the database's clock went back")
        self.cursor.told(clock_ms)
        begin = self.cursor.land(clock_ms)
        if begin is None or self.cursor.island is None:
            return
        if is_ashore(clock_ms, self.cursor.island):
            raise Fault(Code.UNAVAILABLE, "the database's clock has reached rows from before it went back")
        await self._mark_seen(self.cursor.island.begin, begin)
        self.cursor.shrink_island_to(begin)

    async def _mark_seen(self, begin: int, end: int) -> None:
        """Mark what the feed holds in [begin, end)."""
        since: int | None = begin
        while since is not None and since < end:
            page = await self._page(since)
            self.seen.mark(row for row in page.rows if row.stamp < end)
            since = page.since

    async def _highest(self, begin: int) -> int:
        """The last stamp at or after `begin`, 0 if there is none."""
        highest = 0
        since: int | None = begin
        while since is not None:
            page = await self._page(since)
            highest = max([highest, *(row.stamp for row in page.rows)])
            since = page.since
        return highest

    async def keep(self, meta: Sequence[MetaWrite] = (), **fields: object) -> None:
        """Commit the progress with these fields changed."""
        progress = replace(self.progress, **fields)  # type: ignore[arg-type]
        await self._offering.offer((), [progress.as_meta(), *meta])
        self.progress = progress

    async def _page(self, since: int) -> Page:
        text = f"SHOW CHANGES FOR DATABASE SINCE {since} LIMIT {self._page_entries}"
        return parse_page((await self._database.query(text))[0], self._page_entries)

    async def _take(self, page: Page) -> None:
        rows = [row for row in page.rows if not self.cursor.on_island(row.stamp)]
        fresh = self.seen.unseen(rows)
        if fresh:
            stamp = max(self.progress.stamp, fresh[-1].stamp)
            progress = replace(self.progress, stamp=stamp, anchored=True)
            is_checked = self.progress.cloned
            offered = await self._offering.offer_rows(fresh, progress.source_epoch, [progress.as_meta()], is_checked)
            if offered:
                self.progress = progress
            self.seen.mark(fresh)
            self.cursor.saw(fresh[-1].stamp)  # not of rows known since a comparison: new ones may come before those
        if page.overflowed:
            self._offering.everything_stale = True
