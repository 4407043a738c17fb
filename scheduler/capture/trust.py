"""Whether the feed can be read on from where the progress says, asked when a connection is made.

It cannot if the database is another, lost what it had, or forgot what was not read yet. Nor can it where the database's
clock went back, since new rows come to lie below what was read. That shows in stamps ahead of the clock: of the
progress, of this process's cursor, or *of rows in the feed that nobody has taken yet*, which a store that takes nothing
leaves behind. Those on the island are known since the last time.

A connection is where to ask: as long as one lasts, the process behind it is one, and counts its stamps on from the
highest it has given, whatever its clock does.
"""

from __future__ import annotations

from sp00ky.proto.database import Database, QueryError
from sp00ky.scheduler.capture.cursor import (
    CLOCK_MARGIN_MS,
    Cursor,
    clock_went_back,
    is_ashore,
    is_behind_retention,
    ms_of_stamp,
    stamp_of_ms,
)
from sp00ky.scheduler.capture.link import Health
from sp00ky.scheduler.capture.poison import is_unencodable
from sp00ky.scheduler.capture.progress import Progress


async def why_not(database: Database, progress: Progress, cursor: Cursor, health: Health, retention_ms: int) -> str:
    """Why every table has to be compared; empty if the feed can be read on. Raises Fault."""
    clock_ms = health.clock_ms
    if health.instance != progress.instance:
        return "the database is another, or lost its data"
    if clock_went_back(clock_ms, progress.stamp) or cursor.clock_went_back(clock_ms):
        return "the database's clock went back"
    if is_ashore(clock_ms, cursor.island):
        return "the database's clock has reached rows from before it went back"
    if is_behind_retention(clock_ms, progress.clock_ms, retention_ms):
        return "the feed may have forgotten changes"
    age_ms = clock_ms - ms_of_stamp(progress.stamp)
    is_kept = progress.anchored and age_ms < retention_ms // 2
    if is_kept and await _first_stamp(database, progress.stamp) != progress.stamp:
        return "the feed lacks what was read from it"
    if await _has_rows_ahead(database, cursor, clock_ms):
        return "the database's clock went back over changes that are not taken yet"
    return ""


async def _has_rows_ahead(database: Database, cursor: Cursor, clock_ms: int) -> bool:
    """Whether the feed has rows with stamps that the clock has not come to, the known ones apart."""
    ahead = max(stamp_of_ms(clock_ms + CLOCK_MARGIN_MS), cursor.floor)
    stamp = await _first_stamp(database, cursor.jump(ahead))
    if stamp is not None and cursor.island is not None and cursor.on_island(stamp):
        stamp = await _first_stamp(database, cursor.island.end + 1)
    return stamp is not None


async def _first_stamp(database: Database, since: int) -> int | None:
    """Of the first row that is not below `since`; `since` itself where it cannot be put on the wire."""
    try:
        rows = (await database.query(f"SHOW CHANGES FOR DATABASE SINCE {since} LIMIT 1"))[0]
    except QueryError as error:
        if is_unencodable(error):
            return since
        raise
    return rows[0]["versionstamp"] if rows else None
