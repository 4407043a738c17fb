"""Capture that is woken (`SPKY_CAPTURE=live`): the changefeed as ever, polled less often while LIVE queries tell of it.

    one LIVE per table ─▶ a notification: poll now, and as often as without for `QUICK_SECONDS`
    every table has one ─▶ else poll each `IDLE_SECONDS`           one cannot be had ─▶ poll as without, try again later

Invariant: a notification is never read for what it says. Killed, lost, repeated or in another order, LIVE queries
change how soon a commit is read and nothing else. There is one at most for each table, and it ends with its connection.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Final

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.capture.sink import Sink
from sp00ky.scheduler.dead_letters import LIMIT

IDLE_SECONDS: Final = 0.25
QUICK_SECONDS: Final = 1.0  # after a notification: who is told of a commit may be told before it can be read
OPENED_MAX: Final = 100  # in one sweep
AGAIN_SECONDS: Final = 60.0  # after a LIVE query was refused

log = logging.getLogger(__name__)


class LiveQueries:
    """`reason`: why there is none for some table; `missing`: for some table there is none yet, or none any more."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[str, Value] = {}
        self._again_at = 0.0
        self.reason = ""
        self.missing = True
        self.told = 0

    def __len__(self) -> int:
        return len(self._ids)

    def forget(self) -> None:
        """The connection is another: they ended with the one before."""
        self._ids.clear()
        self.missing = True

    def handle(self, notification: Mapping[str, Value]) -> None:
        self.told += 1
        if notification.get("action") == "KILLED":
            self._ids = {table: live for table, live in self._ids.items() if live != notification.get("id")}
            self.missing = True

    async def follow(self, tables: Iterable[str]) -> None:
        """One for each of these, and no other. Raises Fault if the database is lost."""
        wanted = set(tables)
        for table in sorted(self._ids.keys() - wanted):
            await self._kill(self._ids.pop(table))
        lacking = sorted(wanted - self._ids.keys())
        self.missing = bool(lacking)
        if lacking and time.monotonic() >= self._again_at:
            some = lacking[:OPENED_MAX]
            self.missing = not await self._open(some) or len(some) < len(lacking)

    async def _open(self, tables: Iterable[str]) -> bool:
        for table in tables:
            try:
                text = f"LIVE SELECT id FROM {escape_ident(table)}"
                self._ids[table] = (await self._database.query(text))[0]
            except QueryError as error:
                if error.message != self.reason:
                    log.warning("table %s is polled, since it has no LIVE query: %s", table, error.message)
                self.reason = error.message
                self._again_at = time.monotonic() + AGAIN_SECONDS
                return False
        self.reason = ""
        return True

    async def _kill(self, live: Value) -> None:
        with contextlib.suppress(QueryError):  # it has ended with its table
            await self._database.rpc("kill", [live])


class WokenCapture(Capture):
    """As `Capture`, and as right without a single notification."""

    def __init__(self, database: Database, sink: Sink, *, poll_ms: int = 15, dead_letters_max: int = LIMIT) -> None:
        super().__init__(database, sink, poll_ms=poll_ms, dead_letters_max=dead_letters_max)
        self.live = LiveQueries(database)
        self._quick_until = 0.0
        database.on_notification = self._handle

    @property
    def note(self) -> str:
        return f"changes are polled for, not told by LIVE queries: {self.live.reason}" if self.live.reason else ""

    @property
    def metrics(self) -> dict[str, float]:
        live = self.live
        return {**super().metrics, "capture_live_queries": len(live), "capture_notifications": live.told}

    def _handle(self, notification: Mapping[str, Value]) -> None:
        self.live.handle(notification)
        self._quick_until = time.monotonic() + QUICK_SECONDS
        self._wake.set()

    def _idle_seconds(self) -> float:
        is_quick = self.live.missing or time.monotonic() < self._quick_until
        return self._poll_seconds if is_quick else max(self._poll_seconds, IDLE_SECONDS)

    async def _connect(self) -> None:
        self.live.forget()
        await super()._connect()

    async def _sweep(self) -> None:
        await super()._sweep()
        await self.live.follow(name for name, table in self.offering.schema.items() if not table.derived)
