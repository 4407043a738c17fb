"""Runs the queries of re-evaluated views on SurrealDB, between two barriers.

All queries that wait are run as one round: one barrier before, one after, so that a round costs two sweeps of the
changefeed however many views it serves. A round is followed by a pause as long as itself, so that a hot table leaves
the database at least half of its time for those who write to it. What a run saw lies between the two revisions; the
engine decides whether it may be published.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.pack import unpack
from sp00ky.ssp.engine.events import QueryFailed, QueryRan
from sp00ky.ssp.engine.ready import RunQuery

CONCURRENT_MAX = 4
RETRY_SECONDS = 0.5
PAUSE_SECONDS_MAX = 1.0

log = logging.getLogger(__name__)


class Reruns:
    """One loop; `answer` takes each QueryRan or QueryFailed."""

    def __init__(
        self,
        database: Database,
        barrier: Callable[[], Awaitable[int]],
        answer: Callable[[QueryRan | QueryFailed], None],
    ) -> None:
        self._database = database
        self._barrier = barrier
        self._answer = answer
        self._waiting: dict[object, RunQuery] = {}
        self._wake = asyncio.Event()
        self.rounds = 0
        self.runs = 0

    def request(self, query: RunQuery) -> None:
        """Ask for a run; a later request for the same view replaces one that still waits."""
        self._waiting[query.key] = query
        self._wake.set()

    def clear(self) -> None:
        self._waiting.clear()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, {}
            if not batch:
                continue
            started = time.monotonic()
            await self._round(list(batch.values()))
            await asyncio.sleep(min(PAUSE_SECONDS_MAX, time.monotonic() - started))

    async def _round(self, queries: list[RunQuery]) -> None:
        """Run them and answer; what cannot be reached (scheduler, database) postpones the round and fails nobody."""
        self.rounds += 1
        gate = asyncio.Semaphore(CONCURRENT_MAX)
        try:
            before = await self._barrier()
            results = await asyncio.gather(*(self._evaluate(query, gate) for query in queries))
            after = await self._barrier()
        except Fault as fault:
            log.warning("re-evaluation postponed: %s", fault)
            for query in queries:
                self._waiting.setdefault(query.key, query)  # unless it was asked for anew meanwhile
            await asyncio.sleep(RETRY_SECONDS)
            self._wake.set()
            return
        for query, result in zip(queries, results, strict=True):
            if isinstance(result, QueryFailed):
                self._answer(result)
            else:
                rows, ids = result
                self._answer(QueryRan(query.key, query.run, before, after, rows, ids))

    async def _evaluate(
        self, query: RunQuery, gate: asyncio.Semaphore
    ) -> tuple[Value, list[Value] | None] | QueryFailed:
        params = unpack(query.params) if query.params else {}
        async with gate:
            self.runs += 1
            try:
                return await self._read(query, params)
            except QueryError as error:
                if _table_missing(error):
                    return [], [] if query.ids_surql else None
                return QueryFailed(query.key, query.run, str(error), fatal=not error.retryable)
            except Fault as fault:
                if fault.code is Code.UNAVAILABLE:
                    raise
                return QueryFailed(query.key, query.run, str(fault), fatal=fault.code is Code.INVALID)

    async def _read(self, query: RunQuery, params: dict[str, Value]) -> tuple[Value, list[Value] | None]:
        if not query.ids_surql:
            return (await self._database.query(query.surql, params))[0], None
        text = f"BEGIN;\n{query.surql.rstrip().rstrip(';')};\n{query.ids_surql};\nCOMMIT;"
        _, rows, identified, _ = await self._database.query(text, params)
        listed = identified if isinstance(identified, list) else [] if identified in (None, NONE) else [identified]
        return rows, [row[query.ids_field] for row in listed]


def _table_missing(error: QueryError) -> bool:
    """SurrealDB 3 refuses to read a table nobody defined; to a view it is a table without rows."""
    text = str(error)
    return "table" in text and "does not exist" in text
