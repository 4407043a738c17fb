"""Reading the feed page by page into offers, and remembering how far.

A page is one snapshot of the database: who sees a transaction in it sees all that this one was built on, as far as it
is in the page's range. So what is read in one page can be taken at once. What is read in several may lack a commit that
an earlier page came too early for while a later page shows what was built on it: rows are taken when they are so old
that nothing before them can still be late, or when reading their range again showed nothing new.

Invariant: rows are taken in the order of their stamps, and none while something that came before it is missing here: at
the first row in doubt a read ends (`held`), and what was not taken is read again. When a sweep has held, what it held
is the doing of no late commit: `alignment.py` ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.capture.cursor import (
    CLOCK_MARGIN_MS,
    OVERLAP_MS,
    PATIENCE_CHANGES,
    PATIENCE_EVERY_MS,
    Cursor,
    Island,
    back,
    is_ashore,
    stamp_of_ms,
)
from sp00ky.scheduler.capture.definition import ensure_feed, has_feed
from sp00ky.scheduler.capture.feed import PAGE_ENTRIES, FeedRow, Page, Seen, parsed
from sp00ky.scheduler.capture.link import Health
from sp00ky.scheduler.capture.offering import Offering, letters_of
from sp00ky.scheduler.capture.paging import Paging, is_lost
from sp00ky.scheduler.capture.pending import Pending
from sp00ky.scheduler.capture.poison import Poison, Record, is_unencodable
from sp00ky.scheduler.capture.progress import Progress
from sp00ky.scheduler.capture.trust import why_not
from sp00ky.scheduler.datastore.datastore import MetaWrite

_PASSES_MAX: Final = 10
_AHEAD_MS: Final = 3_600_000  # of any stamp that there is
_TRIES: Final = 2  # a connection may also be lost for another reason than its answer


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
        self.paging = Paging(page_entries)
        self._now_ms = now_ms
        self._database = database
        self._offering = offering
        offering.resumed_stamp, offering.compared_below = progress.stamp, progress.compared_below
        self.progress = progress
        self.cursor = Cursor.resumed(progress.stamp, progress.island, progress.settled)
        self.seen = Seen()
        self.held: set[Record] = set()  # in doubt, of the row that the last read ended before
        self.is_held = False
        self._held_stamp = 0
        self.holds = 0  # so far
        self._compare_again_ms: int | None = None
        self._patient_at_ms = 0

    async def is_defined(self) -> bool:
        """Whether there is a feed with originals. Raises Fault."""
        return await has_feed(self._database)

    async def define(self) -> int:
        """Make sure that there is one; its retention in milliseconds. Raises Fault."""
        return await ensure_feed(self._database)

    async def why_not(self, health: Health, retention_ms: int) -> str:
        """Why it cannot be read on from the progress; empty if it can. Raises Fault."""
        return await why_not(self._database, self.progress, self.cursor, health, retention_ms)

    async def poll(self) -> None:
        """What is new since the last read, the overlap again."""
        await self._read_on(self.cursor.near_since, [])

    async def sweep(self) -> None:
        """The whole overlap again, from time to time what was before it, then what is new."""
        began_ms = self._now_ms()
        near, since = self.cursor.near_since, self.cursor.sweep_since
        if began_ms >= self._patient_at_ms:
            self._patient_at_ms = began_ms + PATIENCE_EVERY_MS
            since = self.cursor.patient_since
        late = self.fresh(await self._range(since, near))
        if late:
            late = self.fresh(await self._whole(late, near))
            for row in late:
                if row.stamp > self._offering.resumed_stamp:
                    self.cursor.was_late(row.stamp)
        await self._read_on(near, late)
        if not self.is_held:
            self.cursor.swept(began_ms)
            self.cursor.relent(self.seen.crowded_below(PATIENCE_CHANGES))
            self.seen.prune(self.cursor.patient_since)
        if self._compare_again_ms is not None and began_ms >= self._compare_again_ms:
            self._compare_again_ms = None
            self._offering.stale |= self._offering.schema.keys()

    async def _read_on(self, begin: int, late: Sequence[FeedRow]) -> None:
        """Everything from `begin` to the feed's end, after `late`, until a row is in doubt."""
        self.is_held, late_below = False, begin if late else 0
        since: int | None = begin
        young: list[FeedRow] = list(late)
        pages = 0
        while since is not None:
            page = await self._page(self.cursor.jump(since))
            pages, since = pages + 1, page.since
            young += self.fresh(page.rows)
            if since is not None and young:
                settled = back(young[-1].stamp, OVERLAP_MS)
                if not await self._take([row for row in young if row.stamp < settled], late_below):
                    return
                young = [row for row in young if row.stamp >= settled]
        if pages > 1 and young:
            young = await self._whole(young, young[-1].stamp + 1)
        if await self._take(young, late_below):
            self.cursor.polled(self._now_ms())

    async def _whole(self, rows: Sequence[FeedRow], end: int) -> list[FeedRow]:
        """These rows with all of their range below `end` that they may have been built on: read again until that shows
        nothing new, since then all of them were there before the last reading began."""
        known = Seen()
        found = list(rows)
        for _ in range(_PASSES_MAX):
            known.mark(found)
            again = self.fresh(await self._range(rows[0].stamp, end))
            if not known.unseen(again):
                break
            found = again
        return found

    async def _range(self, begin: int, end: int) -> list[FeedRow]:
        """The rows with stamps in [begin, end)."""
        rows: list[FeedRow] = []
        since: int | None = begin
        while since is not None and since < end:
            page = await self._page(self.cursor.jump(since))
            rows += [row for row in page.rows if row.stamp < end]
            since = page.since if not page.rows or page.rows[-1].stamp < end else None
        return rows

    def fresh(self, rows: Iterable[FeedRow]) -> list[FeedRow]:
        """What of these has not been taken."""
        return self.seen.unseen(row for row in rows if not self.cursor.on_island(row.stamp))

    async def _take(self, rows: Sequence[FeedRow], late_below: int = 0) -> bool:
        """Offer them up to the first in doubt; whether that was all."""
        rows = sorted(self.seen.unseen(rows), key=lambda row: row.stamp)
        pending, transactions, taken = Pending(self._offering.sink.store), [], len(rows)
        epoch, is_checked = self.progress.source_epoch, self.progress.cloned
        for place, row in enumerate(rows):
            ambiguous_to = late_below - 1 if row.stamp < late_below else 0
            reading = await self._offering.read(row, epoch, pending, is_checked=is_checked, ambiguous_to=ambiguous_to)
            if reading.doubts or row.is_cut:
                self.is_held, self.held, self._held_stamp, taken = True, reading.doubts, row.stamp, place
                self.holds += 1
                break
            if reading.changes:
                transactions.append(reading.changes)
        rows = rows[:taken]
        if rows:
            progress = self.progress_at(rows[-1].stamp)
            letters = letters_of(rows)
            if transactions or letters:
                await self._offering.offer(transactions, [progress.as_meta()], letters)
                self.progress = progress
            self.seen.mark(rows)
            self.cursor.saw(rows[-1].stamp)  # not of rows known since a comparison: new ones may come before those
        return not self.is_held

    @property
    def open_since(self) -> int:
        """From where on there may be rows that have not been taken, what is later than a sweep apart."""
        return min(self.cursor.near_since, self._held_stamp) if self.is_held else self.cursor.near_since

    def progress_at(self, stamp: int) -> Progress:
        """When rows up to this stamp are taken."""
        if stamp == 0:
            return self.progress
        settled = self.cursor.patient_since
        return replace(self.progress, stamp=max(self.progress.stamp, stamp), anchored=True, settled=settled)

    def took(self, seen: Seen, high: int, progress: Progress) -> None:
        """An alignment has made these rows durable."""
        self.seen.merge(seen)
        self.cursor.saw(high)
        self.progress = progress
        self.is_held = False

    async def restart_at(self, clock_ms: int, progress: Progress) -> None:
        """Begin anew at the database's clock: what the feed holds from there on counts as seen, since the tables are
        compared after this. Stamps ahead of the clock are of a time before it went back; what was on its way among them
        shows only now, unseen, so everything is compared once more after the overlap. What counts as seen is forgotten
        with this process: the next one doubts what it reads below `compared_below`."""
        begin = back(stamp_of_ms(clock_ms), OVERLAP_MS)
        ahead = stamp_of_ms(clock_ms + CLOCK_MARGIN_MS)
        self.seen.clear()
        cursor = Cursor(begin)
        compared_below = await self._mark_seen(cursor.sweep_since, ahead)
        highest = await self._highest(ahead)
        island = Island(ahead, highest) if highest else None
        self._compare_again_ms = None if island is None else self._now_ms() + OVERLAP_MS
        self.cursor = Cursor(begin, island)
        self.cursor.told(clock_ms)
        begun = replace(progress, stamp=begin, anchored=False, clock_ms=clock_ms, island=island, settled=0)
        self.progress = replace(begun, compared_below=compared_below)
        self._offering.resumed_stamp = self._offering.compared_below = 0

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

    async def _mark_seen(self, begin: int, end: int) -> int:
        """Mark what the feed holds in [begin, end); all of it is below what this returns."""
        since: int | None = begin
        below = 0
        while since is not None and since < end:
            page = await self._page(since)
            rows = [row for row in page.rows if row.stamp < end]
            self.seen.mark(rows)
            below = max([below, *(row.stamp + 1 for row in rows)])
            since = page.since
        return below

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
        progress = replace(self.progress, settled=self.cursor.patient_since, **fields)  # type: ignore[arg-type]
        await self._offering.offer((), [progress.as_meta(), *meta])
        self.progress = progress

    def page_text(self, since: int) -> str:
        return f"SHOW CHANGES FOR DATABASE SINCE {since} LIMIT {self.paging.entries}"

    async def _page(self, since: int) -> Page:
        while True:
            since = max(since, self.cursor.floor)
            await self._database.connect()  # else a database that cannot be reached would look like a lost answer
            entries = self.paging.entries
            try:
                rows = (await self._database.query(self.page_text(since)))[0]
            except QueryError as error:
                if not is_unencodable(error):
                    raise
                await self.skip_unreadable(since, f"a change cannot be put on the wire: {error.message}")
            except Fault as fault:
                await self.lost(since, fault)
            else:
                self.paging.came(self._now_ms())
                return await parsed(rows, entries)

    async def lost(self, since: int, fault: Fault) -> None:
        """The answer with the page from here did not come: ask for less. Raises `fault`, unless a single entry cannot
        be read: that is passed over."""
        if not is_lost(fault) or not self.paging.lost(self._now_ms()) or await self._is_readable(since):
            raise fault
        await self.skip_unreadable(since, f"a change is too large to be read: {fault.message}")
        self.paging.passed_over()

    async def skip_unreadable(self, since: int, reason: str) -> None:
        """A row holds what the database cannot put on the wire, and hides all rows of its page. Pass over it: what it
        and those before it changed is found by comparing every table, now and when nothing can be late any more."""
        unreadable, readable = since, stamp_of_ms(time.time_ns() // 1_000_000 + _AHEAD_MS)
        readable = max(readable, self.cursor.last + stamp_of_ms(_AHEAD_MS))
        while readable - unreadable > 1:
            middle = (unreadable + readable) // 2
            unreadable, readable = (unreadable, middle) if await self._is_readable(middle) else (middle, readable)
        letter = ("changefeed", unreadable, Poison(reason))
        progress = replace(self.progress, stamp=max(self.progress.stamp, unreadable), anchored=False, cloned=False)
        await self._offering.offer((), [progress.as_meta()], [letter])
        self.progress = progress
        self.cursor.skip_to(unreadable + 1)
        self._offering.stale |= self._offering.schema.keys()
        self._compare_again_ms = self._now_ms() + OVERLAP_MS

    async def readable_since(self, since: int) -> int:
        """`since`, or behind the row that could not be read from there."""
        await self._page(since)
        return max(since, self.cursor.floor)

    async def _is_readable(self, since: int) -> bool:
        for _ in range(_TRIES):
            await self._database.connect()
            try:
                await self._database.query(self.page_text(since))
                return True
            except QueryError as error:
                if is_unencodable(error):
                    return False
                raise
            except Fault as fault:
                if not is_lost(fault):
                    raise
        return False

    @property
    def owes_comparison(self) -> bool:
        return self._compare_again_ms is not None
