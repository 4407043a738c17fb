"""Writes the edges: once a throttle window, in few transactions, again until they are in or this SSP is fenced.

Order within a flush: claim our own owner row (once an incarnation) · forget views that were unregistered · reconcile
views that were hydrated here (raise the old owner's epoch, read the stored edges, keep the difference) · write what is
pending. A view that is being reconciled collects its deltas meanwhile.

Guarantees: a failed flush loses nothing (it is folded back under what came since); `written_seq` never passes a change
whose edges are not in; a statement that fails for a reason of its own is narrowed down by halves and its view
quarantined; an incarnation that was overtaken stops writing for good (`fenced`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Fault
from sp00ky.proto.values.kinds import Datetime, Duration, Value
from sp00ky.proto.values.pack import unpack
from sp00ky.ssp.edges import statements
from sp00ky.ssp.edges.outbox import PendingEdges, batches, difference, halves, record_of_view
from sp00ky.ssp.edges.statements import Facts, Holder
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import ViewDelta, ViewDropped, ViewHydrated

CONFLICT_RETRIES = 8
RETRY_SECONDS_MAX = 1.0

log = logging.getLogger(__name__)


class Fenced(Exception):
    """Another SSP took our views over: our incarnation may not write any more."""


class TablesLost(Exception):
    """A table of the mesh's own is gone from the database, edges and owner rows with it: all must be written anew."""


class EdgeWriter:
    """The one writer of an SSP. `facts_of` answers what to say about a view beside its edges, None if it is gone;
    `prepare` puts the mesh's own tables into the database."""

    def __init__(
        self,
        database: Database,
        ssp_id: str,
        *,
        window_ms: int,
        facts_of: Callable[[ViewKey], Facts | None],
        prepare: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._prepare = prepare
        self._ssp_id = ssp_id
        self._window = window_ms / 1000
        self._facts_of = facts_of
        self._wake = asyncio.Event()
        self._incarnation = 0
        self._claimed = False
        self._pending: dict[ViewKey, PendingEdges] = {}
        self._hydrated: dict[ViewKey, ViewHydrated] = {}
        self._forgotten: set[ViewKey] = set()
        self._clients: dict[ViewKey, str] = {}
        self._applied_seq = 0
        self._flushing = False
        self.written_seq = 0
        self.quarantined: dict[ViewKey, str] = {}
        self.fenced = False
        self.edges_written = 0
        self.flushes = 0
        self.failures = 0

    # --- told by the driver, in the engine's order ---

    def begin(self, incarnation: int) -> None:
        """Start over under a new incarnation: everything pending belongs to the old one."""
        self._incarnation = incarnation
        self._claimed = False
        self.fenced = False
        self._pending = {}
        self._hydrated = {}
        self._forgotten = set()
        self.quarantined = {}
        self._wake.set()

    def hydrate(self, hydrated: ViewHydrated) -> None:
        self._hydrated[hydrated.key] = hydrated
        self._pending.pop(hydrated.key, None)
        self._forgotten.discard(hydrated.key)
        self.quarantined.pop(hydrated.key, None)
        self._clients[hydrated.key] = hydrated.client_id
        self._wake.set()

    def fold(self, delta: ViewDelta) -> None:
        for key in delta.views:
            if key in self.quarantined:
                continue
            pending = self._pending.get(key)
            if pending is None:
                pending = self._pending[key] = PendingEdges()
            pending.fold(key, delta)
        self._wake.set()

    def drop(self, dropped: ViewDropped) -> None:
        self._pending.pop(dropped.key, None)
        self._hydrated.pop(dropped.key, None)
        self._clients.pop(dropped.key, None)
        self.quarantined.pop(dropped.key, None)
        if dropped.unregistered:
            self._forgotten.add(dropped.key)
            self._wake.set()

    def applied_to(self, seq: int) -> None:
        """Everything up to `seq` has been folded in (or changed no edge)."""
        self._applied_seq = seq
        if not self._busy():
            self.written_seq = max(self.written_seq, seq)

    def _busy(self) -> bool:
        return bool(self._flushing or self._pending or self._hydrated or self._forgotten)

    @property
    def pending_edges(self) -> int:
        return sum(len(edges) for edges in self._pending.values())

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
            if self.fenced or not self._incarnation:
                continue
            try:
                await self.flush()
                failures = 0
            except Fenced:
                self.fenced = True
                log.warning("ssp %s was fenced at incarnation %d", self._ssp_id, self._incarnation)
            except TablesLost as error:
                log.warning("the mesh's tables are gone from the database, starting over: %s", error)
                with contextlib.suppress(Fault):  # else the next incarnation comes here again
                    await self._prepare()
                self.fenced = True
            except Fault as error:
                failures += 1
                self.failures += 1
                log.warning("edges not written, will retry: %s", error)
                delay = min(RETRY_SECONDS_MAX, 0.05 * 2 ** min(failures, 6))
                await asyncio.sleep(delay * (0.5 + random.random() / 2))
                self._wake.set()

    async def flush(self) -> None:
        """Write everything pending now; raises Fenced, Fault or QueryError with nothing lost."""
        self._flushing = True
        try:
            await self._flush()
        finally:
            self._flushing = False

    async def _flush(self) -> None:
        incarnation = self._incarnation
        holder = Holder(self._ssp_id, incarnation)
        seq = self._applied_seq
        await self._claim(holder)
        await self._forget(holder)
        await self._reconcile(holder)
        pending = self._take_pending()
        try:
            for batch in batches(pending):
                await self._write(holder, seq, batch)
                if self._incarnation != incarnation:
                    return
                for key in batch:
                    pending.pop(key, None)
        except BaseException:
            if self._incarnation == incarnation:
                self._restore(pending)
            raise
        self.flushes += 1
        if not self._hydrated and self._incarnation == incarnation:
            self.written_seq = max(self.written_seq, seq)

    def _take_pending(self) -> dict[ViewKey, PendingEdges]:
        """What may be written now. A view hydrated since the reconciling began keeps its deltas back: they follow the
        difference between its members and the edges stored before them."""
        pending = self._pending
        self._pending = {key: pending.pop(key) for key in self._hydrated if key in pending}
        return pending

    def _restore(self, pending: Mapping[ViewKey, PendingEdges]) -> None:
        for key, edges in pending.items():
            if key in self._hydrated or key not in self._clients:
                continue  # reconciled from scratch, or dropped, meanwhile
            later = self._pending.get(key)
            self._pending[key] = edges.then(later) if later is not None else edges

    async def _transact(self, surql: str, params: dict[str, Value]) -> list[Value]:
        try:
            return await self._database.query(surql, params, conflict_retries=CONFLICT_RETRIES)
        except QueryError as error:
            if statements.FENCED in str(error):
                raise Fenced from error
            if statements.is_tables_lost(str(error)):
                raise TablesLost(str(error)) from error
            raise

    async def _claim(self, holder: Holder) -> None:
        if self._claimed:
            return
        owner = statements.owner_row(holder.ssp_id)
        await self._transact(statements.CLAIM, {"owner": owner, "epoch": holder.incarnation})
        self._claimed = self._incarnation == holder.incarnation

    async def _forget(self, holder: Holder) -> None:
        for key in list(self._forgotten):
            params: dict[str, Value] = {
                **holder.params(self.written_seq),
                "query": record_of_view(key),
                "view": statements.view_row(key),
            }
            await self._transact(statements.FORGET, params)
            self._forgotten.discard(key)

    async def _reconcile(self, holder: Holder) -> None:
        for key, hydrated in list(self._hydrated.items()):
            for former in hydrated.fence_ssp_ids:
                if former == self._ssp_id:
                    continue
                other = statements.owner_row(former)
                await self._transact(statements.FENCE_OTHER, {"owner": other, "epoch": hydrated.assigned_seq})
            query = record_of_view(key)
            row: dict[str, Value] = {
                "surql": hydrated.surql,
                "params": unpack(hydrated.params) if hydrated.params else {},
                "clientId": hydrated.client_id,
                "lastActiveAt": Datetime(time.time_ns()),
                **statements.auth_field(key),
            }
            if hydrated.ttl_ms:
                row["ttl"] = Duration(hydrated.ttl_ms * 1_000_000)
            await self._transact(statements.REGISTER, {**holder.params(self.written_seq), "query": query, "row": row})
            stored = (await self._transact(statements.STORED, {"query": query}))[0]
            if self._hydrated.get(key) is not hydrated:
                continue  # dropped or hydrated anew while we read
            edges = difference(key, hydrated.members, {str(edge["id"].key): int(edge["version"]) for edge in stored})
            later = self._pending.get(key)
            self._pending[key] = edges.then(later) if later is not None else edges
            del self._hydrated[key]

    async def _write(self, holder: Holder, seq: int, batch: dict[ViewKey, PendingEdges]) -> None:
        found = ((key, self._facts_of(key)) for key in batch)
        facts = {key: fact for key, fact in found if fact is not None}
        params = statements.write_params(holder, seq, batch, self._clients, facts)
        try:
            await self._transact(statements.WRITE, params)
        except QueryError as error:
            if error.retryable:
                raise
            if len(batch) == 1:
                key = next(iter(batch))
                log.error("view %s quarantined: its edges cannot be written: %s", key.id, error)
                self.quarantined[key] = f"edges cannot be written: {error}"
                return
            for half in halves(batch):
                await self._write(holder, seq, half)
            return
        self.edges_written += sum(len(edges) for edges in batch.values())
