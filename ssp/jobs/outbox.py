"""One outbox table as the runner's queue: searches and claims, by one's own connection to SurrealDB.

A claim is a compare-and-set of status and time, so that of several runners one gets a job; `lease_epoch`, counted up by
it, fences the others from then on. It also counts who holds a lease on the table, so that of all SSPs together no more
attempts run than its concurrency; a runner that was killed holds its slots until its leases are over.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sp00ky.proto.database import Database, QueryError, StatementResult
from sp00ky.proto.jobs import statements
from sp00ky.proto.jobs.backend import TIMEOUT_S_MAX, Backend
from sp00ky.proto.jobs.row import Claimed
from sp00ky.proto.values.kinds import NONE, Duration, RecordId, Value

LEASE_MARGIN_S = 5.0  # beyond an attempt's timeout: to record what it came to
OTHERS_FIRST_S = 2.0
ADOPT_AGAIN_S = 2.0
CLAIM_RETRIES = 3  # claims of one table are one after the other
SPREAD = 4  # times as many candidates as are wanted, where others look for them too
EXPIRED_MAX = 200


def duration(seconds: float) -> Duration:
    return Duration(int(seconds * 1_000_000_000))


@dataclass(frozen=True, slots=True)
class Taken:
    """Jobs that are ours, how long each was due (seconds), whether others wait, and the seconds until one is due.
    `is_full`: others wait, and all slots of the table are taken, here or elsewhere."""

    jobs: Sequence[Claimed]
    waited_s: Sequence[float]
    are_more: bool
    next_due_s: float | None
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Expired:
    """A job whose lease is over, and who had it."""

    id: RecordId
    epoch: Value
    lost: int
    assignee: str


class Outbox:
    """Errors of all its operations: Fault; QueryError where the table refuses."""

    def __init__(self, database: Database, backend: Backend, ssp_id: str) -> None:
        self._database = database
        self._backend = backend
        self._ssp_id = ssp_id
        self._is_prepared = False
        self._adopt_at = math.inf  # monotonic seconds

    @property
    def is_prepared(self) -> bool:
        return self._is_prepared

    async def prepare(self) -> bool:
        """Fields and index, once the application has made the table; False until then. Rows that came while they were
        defined are looked for again a little later."""
        if self._is_prepared and time.monotonic() >= self._adopt_at:
            await self._adopt()
            self._adopt_at = math.inf
        if not self._is_prepared:
            tables = (await self._database.query("INFO FOR DB"))[0]["tables"]
            if self._backend.table not in tables:
                return False
            schemafull = "SCHEMAFULL" in tables[self._backend.table]
            text = statements.definitions(self._backend.table, schemafull=schemafull)
            for result in await self._database.query_raw(text):
                _must(result)
            await self._adopt()
            self._is_prepared, self._adopt_at = True, time.monotonic() + ADOPT_AGAIN_S
        return True

    async def _adopt(self) -> None:
        for result in await self._database.query_raw(statements.adopt(self._backend.table)):
            _must(result)

    async def take(self, wanted: int, *, alone: bool) -> Taken:
        """Claim up to `wanted` jobs that are due. Where another runner is quicker, or slots are few, fewer."""
        limit = wanted if alone else wanted * SPREAD
        whose: dict[str, Value] = {"ssp": self._ssp_id, "alone": alone, "grace": duration(OTHERS_FIRST_S)}
        due, coming, held, now = await self._database.query(
            statements.find_due(self._backend.table), {"limit": limit, **whose}
        )
        next_due_s = max(0.0, (coming[0].ns - now.ns) / 1e9) if coming else None
        free = max(0, self._backend.concurrency - held)
        if not due or not free:
            return Taken([], [], False, next_due_s, is_full=bool(due))
        most = min(wanted, free, len(due))
        chosen = due[:most] if alone else random.sample(due, most)
        params = statements.claim_params(
            ids=[row["id"] for row in chosen],
            most=self._backend.concurrency,
            margin=duration(LEASE_MARGIN_S),
            timeout=duration(self._backend.timeout),
            timeout_max=TIMEOUT_S_MAX,
            overridable=self._backend.timeout_overridable,
            **whose,
        )
        try:
            text = statements.claim(self._backend.table)
            results = await self._database.query(text, params, conflict_retries=CLAIM_RETRIES)
            rows = results[statements.CLAIMED_AT]
        except QueryError as error:
            if not error.retryable:
                raise
            rows = []  # others are at the same ones: look again
        due_at = {row["id"]: row["due_at"] for row in chosen}
        waited = [_waited_s(row, due_at.get(row["id"], NONE)) for row in rows]
        are_more = len(due) == limit or len(rows) < len(due)
        return Taken(
            [Claimed.of(row) for row in rows], waited, are_more, next_due_s, is_full=are_more and len(rows) == free
        )

    async def expired(self) -> Sequence[Expired]:
        rows = (await self._database.query(statements.find_expired(self._backend.table), {"limit": EXPIRED_MAX}))[0]
        return [
            Expired(
                row["id"],
                row.get("lease_epoch", NONE),
                int(row.get("leases_lost") or 0),
                str(row.get("assignee") or "unknown"),
            )
            for row in rows
        ]

    async def still_held(self, jobs: Sequence[Claimed]) -> set[RecordId]:
        """Those of them that nobody has taken from us."""
        rows = (await self._database.query(statements.HELD, {"ids": [job.id for job in jobs]}))[0]
        epochs = {row["id"]: row.get("lease_epoch") for row in rows if row.get("status") == "processing"}
        return {job.id for job in jobs if epochs.get(job.id) == job.epoch}

    async def remove(self) -> int:
        """Delete some of what has been finished for long enough; how many."""
        results = await self._database.query_raw(statements.remove_expired(self._backend.table))
        return sum(len(_must(result)) for result in results)


def _must(result: StatementResult) -> Value:
    if not result.ok:
        raise QueryError(result.error, result.kind, 0)
    return result.result


def _waited_s(row: Mapping[str, Value], due_at: Value) -> float:
    return max(0.0, (row["updated_at"].ns - due_at.ns) / 1e9) if due_at else 0.0
