"""A view at a revision of the past: the bootstrap of one view at that revision, by the same engine, thrown away after.

Nothing else can promise the same answer for ever (G11): members, order, versions and hash come from the code that keeps
the live view, over rows that the scheduler reads at exactly that revision. What is no longer retained there is refused
whole: a page that is gone ends the read.

A query that only SurrealDB can run has no past here: it is answered at its own revision only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sp00ky.proto.faults import RETRY_AFTER_MS, Code, Fault
from sp00ky.proto.memory import Memory
from sp00ky.proto.pressure import Pressure
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import PageReceived, ViewKey, WelcomeReceived
from sp00ky.ssp.engine.reading import ViewReading

READS_WAITING_MAX: Final = 16
ROWS_MAX: Final = 1_000_000
RETRY_MS: Final = 5_000  # views have moved away by then, if there is where to

ReadPage = Callable[[replication_pb2.Load], Awaitable[replication_pb2.Page]]


class ExactReads:
    """One read at a time, `READS_WAITING_MAX` waiting, `ROWS_MAX` rows each: a read of the past holds whole tables,
    so there is none where memory is short."""

    def __init__(self, read_page: ReadPage, memory: Memory) -> None:
        self._read_page, self._memory = read_page, memory
        self._running = asyncio.Semaphore(1)
        self._waiting = 0
        self.reads = 0
        self.refused = 0  # for want of memory

    def metrics(self) -> dict[str, float]:
        return {"exact_reads_total": self.reads, "exact_reads_refused_total": self.refused}

    async def view_at(self, spec: common_pb2.ViewSpec, at_seq: int) -> ViewReading:
        """The view at `at_seq`. Raises Fault REVISION_GONE, OVERLOADED, TOO_LARGE."""
        if self._waiting >= READS_WAITING_MAX:
            message = f"{self._waiting} reads of past revisions are waiting"
            raise Fault(Code.OVERLOADED, message, "retry after a moment, or read the view as it is now")
        if self._memory.measure() is Pressure.PRESSED:
            self.refused += 1
            message = f"this ssp takes {self._memory.bytes} of the {self._memory.bytes_max} bytes that it may"
            raise Fault(Code.OVERLOADED, message, "read the view as it is now", {RETRY_AFTER_MS: str(RETRY_MS)})
        self._waiting += 1
        try:
            async with self._running:
                self.reads += 1
                return await self._hydrated(spec, at_seq)
        finally:
            self._waiting -= 1

    async def _hydrated(self, spec: common_pb2.ViewSpec, at_seq: int) -> ViewReading:
        engine = Engine()
        assigned = replication_pb2.AssignedView(spec=spec, assigned_seq=at_seq)
        engine.step(WelcomeReceived(replication_pb2.Welcome(at_seq=at_seq, views=[assigned])))
        rows = 0
        while loads := (ready := engine.ready()).loads:
            for load in loads:
                page = await self._read_page(
                    replication_pb2.Load(
                        load_id=load.load_id, table=load.table, at_seq=at_seq, after_key=load.after_key
                    )
                )
                rows += len(page.rows)
                if rows > ROWS_MAX:
                    message = f'view "{spec.key.id}" reads more than {ROWS_MAX} rows at a past revision'
                    raise Fault(Code.TOO_LARGE, message, "read it as it is now")
                engine.step(PageReceived(page.load_id, page.table, page.rows, page.next_after_key))
        reading = engine.view(ViewKey(spec.key.id, spec.key.auth_id))
        assert reading is not None, "it was assigned"
        if str(reading.state) != "failed" and (ready.queries or reading.seq != at_seq):
            message = f'view "{spec.key.id}" is re-evaluated on SurrealDB, which keeps no past'
            raise Fault(Code.REVISION_GONE, message, "read it at the revision that it answers")
        return reading
