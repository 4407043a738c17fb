"""The SSP's one loop: frame → engine step → requests up, edges down, acknowledgement.

The engine is pure and has already moved when `_carry_out` runs; the driver only carries its `Ready` to the stream, the
edge writer and the query runner, in that order. What arrives from three sides (stream, query runs, ticks) is stepped
on the event loop, one at a time, so nothing here needs a lock.

Failure: a broken stream is opened again and resumes at the applied seq; a gap or a fenced incarnation makes the SSP
forget everything and say a fresh hello; a lost database only delays edges and re-evaluated views.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version

from sp00ky.proto.channel import Server
from sp00ky.proto.database import Database
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.guard import limits_of
from sp00ky.proto.memory import Memory
from sp00ky.proto.revision import Epoch, Revision, Seq, StoreId, parse_revision
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc, replication_pb2, views_pb2_grpc
from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.beside import Besides
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.edges.statements import Facts
from sp00ky.ssp.edges.writer import EdgeWriter
from sp00ky.ssp.engine import events
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import Ready
from sp00ky.ssp.exact import ExactReads
from sp00ky.ssp.freshness import Freshness
from sp00ky.ssp.garbage import Garbage
from sp00ky.ssp.measures import SspMeasures
from sp00ky.ssp.reruns import Reruns
from sp00ky.ssp.rpc.admin import AdminServicer
from sp00ky.ssp.rpc.integrity import serve_integrity
from sp00ky.ssp.rpc.upstream import Upstream, dial
from sp00ky.ssp.rpc.views import ViewServicer
from sp00ky.ssp.vitals import Vitals
from sp00ky.ssp.watching.pacing import Watching

CREDIT = 4  # entry frames in flight: more gains nothing (reference: performance, backpressure)
CREDIT_ENTRIES = 4_096
CREDIT_BYTES = 16 * 1024 * 1024
TICK_SECONDS = 0.05
RECONNECT_SECONDS_MAX = 1.0
EDGES_LATE_HEARTBEATS = 3
LAST_FLUSH_SECONDS = 1.0  # edges that do not make it are written after the next start

log = logging.getLogger(__name__)


async def _nothing() -> None:
    return


class SspDriver:
    """One SSP: an Engine, its stream, its edges. `start` returns its gRPC address; `stop` drains.

    `queries` is the connection that re-evaluated views are run on, so that a slow query delays no edge; by default they
    share `database`. `prepare` puts the mesh's own tables into the database, should they be lost."""

    def __init__(
        self,
        settings: SspSettings,
        database: Database,
        *,
        queries: Database | None = None,
        prepare: Callable[[], Awaitable[None]] = _nothing,
        scheduler_address: str = "",
        on_step: Callable[[Ready], None] | None = None,
    ) -> None:
        self.settings = settings
        self.ssp_id = settings.ssp_id
        self.store_id = StoreId("")
        self.http_url = ""
        self.detail = ""
        self.failed = asyncio.Event()  # a loop ended for good: the process is to start again
        self._database = database
        self._scheduler_address = scheduler_address
        self._on_step = on_step
        self.engine = Engine(ssp_id=settings.ssp_id)
        self.freshness = Freshness(self.engine)
        self.memory = Memory(settings.memory_bytes_max)
        self.exact = ExactReads(self._read_page, self.memory)
        self.watching = Watching(self.engine, self.token, self.memory)
        self.beside = Besides()
        self._garbage = Garbage()
        self._epoch = Epoch(0)
        self._incarnation = 0
        self._known_as = 0  # the last incarnation of this process, also when it starts over
        self._head_seq = 0
        self._said_written_seq = 0  # on the present stream
        self._bootstrapped = False
        self._started = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        secrets = settings.auth_secret, settings.auth_secret_previous
        self.server = Server(settings.grpc_addr, *secrets, limits_of(settings))
        self._edges = EdgeWriter(
            database,
            settings.ssp_id,
            window_ms=settings.query_update_throttle_ms,
            facts_of=self._facts_of,
            prepare=prepare,
            dedicated=settings.ref_mode == "dedicated",
        )
        for add, servicer, service in (
            (views_pb2_grpc.add_ViewServiceServicer_to_server, ViewServicer(self), "ViewService"),
            (admin_pb2_grpc.add_AdminServiceServicer_to_server, AdminServicer(self.status), "AdminService"),
        ):
            self.server.add(add, servicer, f"sp00ky.v1.{service}")
        self._integrity = serve_integrity(self, self._edges, queries or database, self._carry_out)
        self._vitals = Vitals(self.engine, self._edges, self.memory, settings.heartbeat_interval_ms / 1000)
        self._measures = SspMeasures(self.engine, self._edges.measures, (database, queries or database))
        self._upstream: Upstream | None = None
        self._reruns = Reruns(queries or database, self._barrier, self._query_replica, self._step)

    # --- life ---

    async def listen(self) -> str:
        """Bind the gRPC server; returns its address. Separate from `start` so that hello can name all addresses."""
        return await self.server.start()

    async def start(self) -> str:
        """Serve and follow the scheduler; returns the gRPC address. Raises OSError if it cannot be bound."""
        address = self.server.address or await self.listen()
        works = (self._follow, self._edges.run, self._edges.sweep.run, self._integrity.run, self._reruns.run)
        for work in (*works, self._tick, self._heartbeat):
            task = asyncio.create_task(work())
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        return address

    async def stop(self) -> None:
        """Stop following, write the edges that are pending (bounded), end the calls in flight."""
        await self.server.serving(False)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._edges.owed.pending_edges and not self._edges.fenced and self._incarnation:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._edges.flush(), LAST_FLUSH_SECONDS)
        if self._upstream is not None:
            await self._upstream.close()
        await self.server.stop(1.0)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of the loops ends by itself: one that does is our own broken invariant, and the process must go."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("ssp loop ended", exc_info=error)
            self.failed.set()

    @property
    def ready(self) -> bool:
        follows = self._bootstrapped and self._upstream is not None and self._upstream.connected
        return follows and not self._edges_late()

    def _edges_late(self) -> str:
        return self._edges.late(EDGES_LATE_HEARTBEATS * self.settings.heartbeat_interval_ms / 1000)

    # --- the stream ---

    async def _follow(self) -> None:
        delay = 0.05
        while True:
            try:
                upstream = await self._dial()
                async for response in upstream.frames(self._hello()):
                    delay = 0.05
                    self._receive(response)
                    if self._edges.fenced:
                        raise Fault(Code.FENCED, f'ssp "{self.ssp_id}" was overtaken at {self._incarnation}')
                self.detail = "the scheduler ended the stream"
            except Fault as fault:
                self.detail = str(fault)
                if fault.code in (Code.DATA_LOSS, Code.FENCED, Code.REVISION_GONE):
                    log.warning("starting over: %s", fault)
                    self._forget()
                else:
                    log.info("scheduler lost: %s", fault)
            await self.server.serving(False)
            await asyncio.sleep(delay)
            delay = min(RECONNECT_SECONDS_MAX, delay * 2)

    async def _dial(self) -> Upstream:
        settings = self.settings
        where = self._scheduler_address or settings.scheduler_url
        self._upstream = await dial(self._upstream, where, settings.auth_secret)
        return self._upstream

    async def _barrier(self) -> int:
        if self._upstream is None:
            raise Fault(Code.UNAVAILABLE, "no scheduler yet")
        return await self._upstream.barrier()

    async def _query_replica(self, surql: str, params: bytes, seq: int) -> tuple[Value, int]:
        if self._upstream is None:
            raise Fault(Code.UNAVAILABLE, "no scheduler yet")
        rows, revision = await self._upstream.query(surql, params, self.token(seq) if seq else "")
        return rows, parse_revision(revision).seq

    async def _read_page(self, load: replication_pb2.Load) -> replication_pb2.Page:
        if self._upstream is None:
            raise Fault(Code.UNAVAILABLE, "no scheduler yet")
        return await self._upstream.read_page(load)

    def _forget(self) -> None:
        self.store_id = StoreId("")
        self._incarnation = 0
        self._bootstrapped = False
        self._reruns.clear()
        self.watching.hub.end_all("this ssp starts over")
        self._edges.begin(0)

    def _hello(self) -> replication_pb2.Hello:
        return replication_pb2.Hello(
            ssp_id=self.ssp_id,
            http_url=self.http_url,
            grpc_address=self.advertised_grpc(),
            version=version("sp00ky-mesh"),
            store_id=self.store_id,
            applied_seq=self.engine.applied_seq if self.store_id and self._bootstrapped else 0,
            incarnation=self._known_as,
            credit=CREDIT,
            credit_entries=CREDIT_ENTRIES,
            credit_bytes=CREDIT_BYTES,
        )

    def advertised_grpc(self) -> str:
        return self.settings.advertised_grpc(self.server.address)

    def _receive(self, response: replication_pb2.ReplicateResponse) -> None:
        match response.WhichOneof("frame"):
            case "entries":
                failpoint("ssp.entries")
                with self._measures.applying(response.entries.entries):
                    for entries, frame_ends in self.watching.parts(response.entries.entries):
                        self._step(events.EntriesReceived(entries, frame_ends))
                        self.watching.entered(entries)
                self.beside.entered(response.entries.entries)
            case "welcome":
                self._welcome(response.welcome)
            case "page":
                failpoint("ssp.page")
                page = response.page
                self._step(events.PageReceived(page.load_id, page.table, page.rows, page.next_after_key))
            case "checkpoint":
                self._head_seq = max(self._head_seq, response.checkpoint.head_seq)
                self._step(events.CheckpointReceived(response.checkpoint.head_seq))
            case "rebootstrap":
                raise Fault(Code.REVISION_GONE, f"scheduler asks for a new bootstrap: {response.rebootstrap.reason}")
            case unknown:
                log.debug("frame %s of a newer scheduler ignored", unknown)

    def _welcome(self, welcome: replication_pb2.Welcome) -> None:
        self._epoch = Epoch(welcome.epoch)
        self.store_id = StoreId(welcome.store_id)
        self._incarnation = self._known_as = welcome.incarnation
        self._said_written_seq = 0
        self._vitals.welcomed()
        if not welcome.resume:
            self._bootstrapped = False
            self._reruns.clear()
            self.watching.hub.end_all("this ssp starts over")
            self._edges.begin(welcome.incarnation)
            self._garbage.dropped()
        log.info("%s at %d as incarnation %d", "resumed" if welcome.resume else "loading", welcome.at_seq,
                 welcome.incarnation)  # fmt: skip
        self._step(events.WelcomeReceived(welcome))
        if welcome.resume:
            self._become_ready()

    def _become_ready(self) -> None:
        failpoint("ssp.ready")
        self._bootstrapped = True
        self.detail = ""
        self._garbage.loaded()
        self._tasks.append(asyncio.create_task(self.server.serving(True)))

    # --- engine ---

    def _step(self, event: events.Event) -> None:
        self.engine.step(event)
        self._carry_out(self.engine.ready())
        self._garbage.maybe_settle()

    def _carry_out(self, ready: Ready) -> None:
        upstream = self._upstream
        self._edges.take(ready)
        self._measures.carried(ready)
        self._integrity.take(ready)
        self.watching.stepped(ready)
        for query in ready.queries:
            self._reruns.request(query)
        if upstream is not None:
            self._answer(upstream, ready)
        if ready.loaded:
            self._become_ready()
        if self._on_step is not None:
            self._on_step(ready)
        self.freshness.stepped()

    def _answer(self, upstream: Upstream, ready: Ready) -> None:
        for load in ready.loads:
            upstream.load(load, self.settings.bootstrap_page_size)
        if ready.loaded:
            upstream.send(replication_pb2.ReplicateRequest(loaded=replication_pb2.Loaded()))
            failpoint("ssp.loaded")
        if ready.frames or self.written_seq > self._said_written_seq:
            self._said_written_seq = self.written_seq
            ack = replication_pb2.Ack(
                applied_seq=ready.applied_seq, written_seq=self._said_written_seq, frames=ready.frames
            )
            upstream.send(replication_pb2.ReplicateRequest(ack=ack))

    @property
    def written_seq(self) -> int:
        """Up to here the edges are in, and views handed over to us are there to be read."""
        return min(self._edges.owed.written_seq, self.engine.arrived_seq)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now_ms = time.monotonic_ns() // 1_000_000
            self._step(events.Ticked(now_ms))
            self._garbage.tick(now_ms, self.engine.applied_seq)

    async def _heartbeat(self) -> None:
        while True:
            if self._upstream is not None and self._upstream.connected:
                beat = self._vitals.heartbeat(self.written_seq)
                self._upstream.send(replication_pb2.ReplicateRequest(heartbeat=beat))
            await self.server.serving(self.ready)
            await self._vitals.until_due()

    # --- reads ---

    def token(self, seq: int) -> str:
        return str(Revision(self.store_id, self._epoch, Seq(seq)))

    def quarantine_of(self, key: ViewKey) -> str:
        return self._edges.owed.quarantined.get(key, "")

    def _facts_of(self, key: ViewKey) -> Facts | None:
        reading = self.engine.view(key)
        if reading is None:
            return None
        return Facts(
            revision=self.token(reading.seq),
            hash=reading.hash,
            row_count=reading.size,
            state=str(reading.state),
            mode=str(reading.mode),
            ssp_id=self.ssp_id,
            error=reading.error,
        )

    def status(self) -> admin_pb2.GetStatusResponse:
        return admin_pb2.GetStatusResponse(
            service="ssp",
            id=self.ssp_id,
            state="ready" if self.ready else "bootstrapping",
            version=version("sp00ky-mesh"),
            uptime_seconds=time.monotonic() - self._started,
            store_id=self.store_id,
            epoch=self._epoch,
            head_seq=self.engine.applied_seq,
            views=self.engine.view_count,
            namespace=self.settings.db_ns,
            database=self.settings.db_name,
            detail=self.detail or self._edges_late(),
            grpc_address=self.advertised_grpc(),
            ref_mode=self.settings.ref_mode,
            metrics=self.metrics(),
            distributions=[*self._measures.distributions(), *self.beside.distributions()],
        )

    def metrics(self) -> Mapping[str, float]:
        return {
            "applied_seq": self.engine.applied_seq,
            "written_seq": self._edges.owed.written_seq,
            **self._edges.metrics(),
            **self._measures.metrics(),
            "reevaluation_rounds_total": self._reruns.rounds,
            "reevaluations_total": self._reruns.runs,
            **self.memory.metrics(),
            **self.exact.metrics(),
            "stream_connected": float(self._upstream is not None and self._upstream.connected),
            **self.watching.hub.metrics(),
            **self.server.metrics(),
            **self.beside.metrics(),
            **self._integrity.metrics(),
        }
