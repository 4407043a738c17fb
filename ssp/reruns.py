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
from typing import NamedTuple

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
    """One loop; `answer` takes each QueryRan or QueryFailed. `replica(surql, packed params, seq)` evaluates a query on
    the scheduler's replica at a revision (0: the head) and answers the result and the revision's seq."""

    def __init__(
        self,
        database: Database,
        barrier: Callable[[], Awaitable[int]],
        replica: Callable[[str, bytes, int], Awaitable[tuple[Value, int]]],
        answer: Callable[[QueryRan | QueryFailed], None],
    ) -> None:
        self._database = database
        self._barrier = barrier
        self._replica = replica
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
                first, last = (result.seq, result.seq) if result.seq else (before, after)
                self._answer(QueryRan(query.key, query.run, first, last, result.rows, result.ids))

    async def _evaluate(self, query: RunQuery, gate: asyncio.Semaphore) -> _Run | QueryFailed:
        """One query's result. What is its own fault fails it alone; raises Fault UNAVAILABLE for what is nobody's."""
        params = unpack(query.params) if query.params else {}
        async with gate:
            self.runs += 1
            try:
                return await self._read(query, params)
            except QueryError as error:
                return QueryFailed(query.key, query.run, str(error), fatal=not error.retryable)
            except Fault as fault:
                if fault.code is Code.UNAVAILABLE:
                    raise
                return QueryFailed(query.key, query.run, str(fault), fatal=fault.code is Code.INVALID)
            except Exception as error:
                log.exception("view %s cannot be re-evaluated", query.key.id)
                return QueryFailed(query.key, query.run, f"internal error: {type(error).__name__}", fatal=True)

    async def _read(self, query: RunQuery, params: dict[str, Value]) -> _Run:
        try:
            return await self._read_database(query, params)
        except QueryError as error:
            if not _table_missing(error):
                raise
        return await self._read_replica(query)

    async def _read_database(self, query: RunQuery, params: dict[str, Value]) -> _Run:
        if not query.ids_surql:
            return _Run((await self._database.query(query.surql, params))[0], None)
        text = f"BEGIN;\n{query.surql.rstrip().rstrip(';')};\n{query.ids_surql};\nCOMMIT;"
        _, rows, identified, _ = await self._database.query(text, params)
        return _Run(rows, _ids(identified, query.ids_field))

    async def _read_replica(self, query: RunQuery) -> _Run:
        """SurrealDB has not every table that the query reads: one lives by /ingest, or nobody has written it yet. The
        replica holds both kinds, at one exact revision."""
        rows, seq = await self._replica(query.surql, query.params, 0)
        if not query.ids_surql:
            return _Run(rows, None, seq)
        identified, _ = await self._replica(query.ids_surql, query.params, seq)
        return _Run(rows, _ids(identified, query.ids_field), seq)


class _Run(NamedTuple):
    """`seq` is 0 for a run on SurrealDB, whose revision lies between the two barriers."""

    rows: Value
    ids: list[Value] | None
    seq: int = 0


def _ids(identified: Value, field: str) -> list[Value] | None:
    """The record id beside each row; None where rows are no records (FROM a list of numbers, say)."""
    listed = identified if isinstance(identified, list) else [] if identified in (None, NONE) else [identified]
    if not all(isinstance(row, dict) and field in row for row in listed):
        return None
    return [row[field] for row in listed]


def _table_missing(error: QueryError) -> bool:
    """SurrealDB 3 refuses to read a table that nobody defined."""
    text = str(error)
    return "table" in text and "does not exist" in text
