"""Writes the edges: once a throttle window, in few transactions, again until they are in or this SSP is fenced.

What to write and in which order is decided in `owed.py`; here its steps become SurrealQL, and what the database says
becomes an answer, a refusal, or a failure that is tried again. An incarnation that was overtaken stops writing for
good (`fenced`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import assert_never

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Datetime, Duration, Value
from sp00ky.proto.values.pack import unpack
from sp00ky.ssp.edges import statements
from sp00ky.ssp.edges.measures import EdgeMeasures
from sp00ky.ssp.edges.outbox import record_of_view
from sp00ky.ssp.edges.owed import (
    Answer,
    Claim,
    Fence,
    Forget,
    Owed,
    ReadStored,
    Refused,
    Register,
    Step,
    Superseded,
    Write,
)
from sp00ky.ssp.edges.statements import Facts, Holder
from sp00ky.ssp.edges.tables import EdgeTables, TableSweep
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import Ready, ViewHydrated

CONFLICT_RETRIES = 8
RETRY_SECONDS_MAX = 1.0

log = logging.getLogger(__name__)


class Fenced(Exception):
    """Another SSP took our views over: our incarnation may not write any more."""


class TablesLost(Exception):
    """A table of the mesh's own is gone from the database, edges and owner rows with it: all must be written anew."""


class EdgeWriter:
    """The one writer of an SSP. `facts_of` answers what to say about a view beside its edges, None if it is gone;
    `prepare` puts the mesh's own tables into the database; `dedicated`: users' edges lie in tables of their own."""

    def __init__(
        self,
        database: Database,
        ssp_id: str,
        *,
        window_ms: int,
        facts_of: Callable[[ViewKey], Facts | None],
        prepare: Callable[[], Awaitable[None]],
        dedicated: bool = True,
    ) -> None:
        self.owed = Owed(ssp_id)
        self._tables = EdgeTables(dedicated=dedicated)
        self.sweep = TableSweep(database)
        self._database = database
        self._prepare = prepare
        self._window = window_ms / 1000
        self._facts_of = facts_of
        self._wake = asyncio.Event()
        self.fenced = False
        self.flushes = 0
        self.failures = 0
        self.measures = EdgeMeasures()
        self._turn = 0  # of the last transaction that was begun
        self.failure = ""  # why the last flush failed; empty once one succeeds
        self._waiting_since: float | None = None  # monotonic seconds; of the step that the database has not answered

    def table_of(self, key: ViewKey) -> str:
        """The table that the view's edges lie in."""
        return self._tables.table_of(key)

    def late(self, seconds: float) -> str:
        """Why clients do not see what this SSP knows: for so long the database has taken no edge. Empty if it does."""
        waiting = 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since
        if waiting < seconds:
            return ""
        return f"no edge was written for {waiting:.1f} s: {self.failure or 'the database does not answer'}"

    def metrics(self) -> dict[str, float]:
        return {
            "edges_written_total": self.owed.edges_written,
            "edges_pending": self.owed.pending_edges,
            "edge_flushes_total": self.flushes,
            "edge_failures_total": self.failures,
            "edge_conflicts_total": self._database.conflicts,
            "edge_tables_removed_total": self.sweep.removed,
            "views_quarantined": len(self.owed.quarantined),
            **self.measures.metrics(),
        }

    # --- told by the driver ---

    def begin(self, incarnation: int) -> None:
        """Start over under a new incarnation: everything pending belongs to the old one."""
        self.owed.begin(incarnation)
        self.fenced = False
        self._succeeded()
        self._wake.set()

    def take(self, ready: Ready) -> None:
        """What an engine step means for the edges."""
        owed = self.owed
        owed.fence(ready.fences)
        for dropped in ready.dropped:
            owed.drop(dropped)
        for hydrated in ready.hydrated:
            owed.hydrate(hydrated)
        for delta in ready.deltas:
            owed.fold(delta)
        for key in ready.ceased:
            owed.cease(key)
        owed.applied_to(ready.applied_seq)
        self.measures.took(ready)
        if owed.busy:
            self._wake.set()

    # --- the loop ---

    async def run(self) -> None:
        """Flush while there is something to write, once a window at most; ends only by cancellation."""
        failures = 0
        flushed_at = 0.0
        while True:
            await self._wake.wait()
            await asyncio.sleep(flushed_at + self._window - time.monotonic())
            flushed_at = time.monotonic()
            self._wake.clear()
            if self.fenced or not self.owed.incarnation:
                continue
            try:
                await self.flush()
                failures = 0
            except Fenced:
                self.fenced = True
                log.warning("ssp %s was fenced at incarnation %d", self.owed.ssp_id, self.owed.incarnation)
            except TablesLost as error:
                log.warning("the mesh's tables are gone from the database, starting over: %s", error)
                with contextlib.suppress(Fault):  # else the next incarnation comes here again
                    await self._prepare()
                self.fenced = True
            except Fault as error:
                failures += 1
                self.failures += 1
                self.failure = str(error)
                log.warning("edges not written, will retry: %s", error)
                delay = min(RETRY_SECONDS_MAX, 0.05 * 2 ** min(failures, 6))
                await asyncio.sleep(delay * (0.5 + random.random() / 2))
                self._wake.set()

    async def flush(self) -> None:
        """Write everything owed now; raises Fenced, TablesLost or Fault with nothing lost."""
        with self.measures.flushing():
            await self._flush()

    async def _flush(self) -> None:
        flush = self.owed.flush()
        incarnation = self.owed.incarnation
        quarantined = len(self.owed.quarantined)
        self._waiting_since = self._waiting_since or time.monotonic()
        with contextlib.closing(flush), contextlib.suppress(StopIteration, Superseded):
            step = next(flush)
            while True:
                try:
                    answer = await self._carry_out(step, incarnation)
                except QueryError as error:
                    nobodys = error.retryable or isinstance(step, Claim | Fence)
                    step = flush.throw(error if nobodys else Refused(str(error)))
                except Fault as fault:
                    if fault.code is not Code.INVALID or isinstance(step, Claim | Fence):
                        raise
                    step = flush.throw(Refused(str(fault)))  # it has no form on the wire, and was never sent
                else:
                    self._waiting_since = time.monotonic()
                    step = flush.send(answer)
        self._succeeded()
        self.flushes += 1
        if len(self.owed.quarantined) > quarantined:
            log.error("views quarantined: %s", self.owed.quarantined)

    def _succeeded(self) -> None:
        self.failure, self._waiting_since = "", None

    async def _carry_out(self, step: Step, incarnation: int) -> Answer:
        written_seq = self.owed.written_seq
        self._turn += 1
        holder = Holder(self.owed.ssp_id, incarnation, self._turn)
        match step:
            case Claim():
                owner = statements.owner_row(holder.ssp_id)
                await self._transact(statements.CLAIM, {"owner": owner, "epoch": holder.incarnation})
            case Fence(ssp_id, epoch):
                other = statements.owner_row(ssp_id)
                await self._transact(statements.FENCE_OTHER, {"owner": other, "epoch": epoch})
            case Forget(key):
                params = {**holder.params(written_seq), **statements.view_params(key)}
                return int((await self._transact(statements.forget(key), params))[-2])
            case Register(hydrated):
                key = hydrated.key
                params = {**holder.params(written_seq), **statements.view_params(key), "row": _query_row(hydrated)}
                return int((await self._transact(statements.register(key, self._tables), params))[-2])
            case ReadStored(key):
                where = {"query": record_of_view(key), "edges": self._tables.table_of(key)}
                stored = (await self._transact(statements.STORED, where))[0]
                return {str(edge["id"].key): int(edge["version"]) for edge in stored}
            case Write(seq, batch, clients):
                found = ((key, self._facts_of(key)) for key in batch)
                facts = {key: fact for key, fact in found if fact is not None}
                params = statements.write_params(holder, seq, batch, clients, facts, tables=self._tables)
                self.measures.writing()
                failpoint("edges.before_write")
                await self._write(params)
                failpoint("edges.after_commit")
                self.measures.wrote(batch.values())
            case _:
                assert_never(step)
        return None

    async def _write(self, params: dict[str, Value]) -> None:
        try:
            await self._transact(statements.WRITE, params)
        except QueryError as error:
            if not params["new"] or not statements.is_not_new(error.message):
                raise
            await self._transact(statements.WRITE, statements.none_new(params))

    async def _transact(self, surql: str, params: dict[str, Value]) -> list[Value]:
        try:
            return await self._database.query(surql, params, conflict_retries=CONFLICT_RETRIES)
        except QueryError as error:
            if statements.FENCED in str(error):
                raise Fenced from error
            if statements.is_tables_lost(str(error)):
                raise TablesLost(str(error)) from error
            raise


def _query_row(hydrated: ViewHydrated) -> dict[str, Value]:
    row: dict[str, Value] = {
        "surql": hydrated.surql,
        "params": unpack(hydrated.params) if hydrated.params else {},
        "clientId": hydrated.client_id,
        "lastActiveAt": Datetime(time.time_ns()),
        "registration": hydrated.registered_seq or -1,  # 0 would be a client's
        **statements.auth_field(hydrated.key),
    }
    if hydrated.ttl_ms:
        row["ttl"] = Duration(hydrated.ttl_ms * 1_000_000)
    return row
