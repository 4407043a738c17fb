"""Reading a database's changefeed without losing a transaction.

What the feed does, measured on core 3.2.4, and what this reader does about it:

* A stamp is taken before its commit can be seen, so that later stamps may show first: every read goes back `overlap_ms`
  before the cursor, and stamps already seen are dropped.
* LIMIT counts (transaction, table) entries and may cut a transaction: the last row of a full page is read again.
* `SHOW CHANGES FOR TABLE … LIMIT n` limits the entries of all tables before it filters: only FOR DATABASE is read.
* `SINCE d'…'` always answers []: the cursor is the integer stamp (unix_ms << 16).
* The clock may step back while nothing is written: no read starts after the present time.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sp00ky.proto.values.kinds import RecordId, Value

PAGE_ENTRIES = 1000  # the feed's own maximum
OVERLAP_MS = 2_000

Query = Callable[[str], Awaitable[Sequence[Value]]]  # the rows of one statement, as root owner


@dataclass(frozen=True, slots=True)
class FeedChange:
    """`after` is None for a delete, `before` is known for a delete only."""

    action: Literal["CREATE", "UPDATE", "DELETE"]
    record: RecordId
    after: Value
    before: Value


class FeedReader:
    def __init__(self, query: Query) -> None:
        self._query = query
        self._cursor = _present()
        self._seen: set[int] = set()

    async def read(self, overlap_ms: int = OVERLAP_MS) -> list[FeedChange]:
        """The changes committed since the last read, in the order of their transactions."""
        since = max(0, min(self._cursor, _present()) - (overlap_ms << 16))
        fresh: dict[int, Value] = {}
        while True:
            rows = await self._query(f"SHOW CHANGES FOR DATABASE SINCE {since} LIMIT {PAGE_ENTRIES}")
            full = sum(_entries(row) for row in rows) >= PAGE_ENTRIES
            for row in rows[:-1] if full and len(rows) > 1 else rows:
                if row["versionstamp"] not in self._seen:
                    fresh[row["versionstamp"]] = row
            if not full or rows[-1]["versionstamp"] == since:
                break
            since = rows[-1]["versionstamp"]
        self._advance(fresh)
        return [change for stamp in sorted(fresh) for change in changes_of(fresh[stamp])]

    def _advance(self, fresh: dict[int, Value]) -> None:
        """Only now, when every page has been read: a read that fails is begun anew by the next one."""
        self._seen.update(fresh)
        self._cursor = max(self._cursor, *fresh, 0)
        floor = min(self._cursor, _present()) - (2 * OVERLAP_MS << 16)
        self._seen = {stamp for stamp in self._seen if stamp >= floor}


def changes_of(row: Value) -> list[FeedChange]:
    """The record changes of one feed row; a schema entry is none."""
    return [change for raw in row["changes"] if (change := _change(raw)) is not None]


def _change(raw: Value) -> FeedChange | None:
    if "delete" in raw:
        gone = raw["delete"]
        return FeedChange("DELETE", gone["id"], None, gone.get("original"))
    if "current" in raw:
        return FeedChange("UPDATE", raw["current"]["id"], raw["current"], None)
    if "update" in raw:
        return FeedChange("CREATE", raw["update"]["id"], raw["update"], None)
    return None


def _entries(row: Value) -> int:
    """How many of a page's entries a row is: one for every table in it."""
    tables = {change.record.table for change in changes_of(row)}
    return max(1, len(tables))


def _present() -> int:
    return time.time_ns() // 1_000_000 << 16
