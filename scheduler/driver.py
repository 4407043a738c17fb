"""The scheduler as one process: store, capture, commit loop and gRPC faces, started and stopped in order.

Start: take the epoch (which fences an older scheduler), load what the store keeps, begin the capture, serve. Until the
capture has cloned, the state is "cloning": nothing is ingested, registered or replicated. Stop: not serving, what is
queued made durable, streams ended, store closed; within STOP_SECONDS.

Invariant: the store is touched on the event loop's thread alone (`sync` apart), and written by the commit loop alone.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from sp00ky.proto.channel import Server
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.guard import limits_of
from sp00ky.proto.revision import Epoch, Revision, Seq
from sp00ky.proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    common_pb2,
    events_pb2,
    events_pb2_grpc,
    ingest_pb2,
    membership_pb2,
    proxy_pb2,
    proxy_pb2_grpc,
    replication_pb2,
    replication_pb2_grpc,
    views_pb2,
    views_pb2_grpc,
)
from sp00ky.scheduler import errors
from sp00ky.scheduler.appends import appending, canonical_transactions
from sp00ky.scheduler.backends import Backends
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.capture.choice import capture_of
from sp00ky.scheduler.capture.hinted import HintedCapture
from sp00ky.scheduler.changes import CanonicalChange
from sp00ky.scheduler.commit import Committer
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.coordinator.coordinator import Coordinator, CoordinatorConfig
from sp00ky.scheduler.coordinator.events import SspFellBehind, SspSaidHello, StreamLost
from sp00ky.scheduler.coordinator.ready import Ready
from sp00ky.scheduler.datastore.datastore import Datastore, MetaWrite
from sp00ky.scheduler.fanout import Session
from sp00ky.scheduler.foreign.members import HttpMembers
from sp00ky.scheduler.intake import Transactions, canonical, posted_of
from sp00ky.scheduler.integrity.audit import Audit
from sp00ky.scheduler.integrity.publishing import Publishing
from sp00ky.scheduler.integrity.trees import TableTrees
from sp00ky.scheduler.observer import Observer
from sp00ky.scheduler.probe import LagProbe
from sp00ky.scheduler.registering.attached import registering
from sp00ky.scheduler.registering.registering import Registering
from sp00ky.scheduler.room import Room, Work
from sp00ky.scheduler.rpc.admin import AdminServicer
from sp00ky.scheduler.rpc.events import EventServicer
from sp00ky.scheduler.rpc.ingest import IngestServicer, add_ingest
from sp00ky.scheduler.rpc.integrity import IntegrityServicer, add_integrity, integrity_pb2
from sp00ky.scheduler.rpc.jobs import JobServicer, add_jobs, jobs_pb2
from sp00ky.scheduler.rpc.membership import MembershipServicer, add_membership
from sp00ky.scheduler.rpc.proxy import ProxyServicer
from sp00ky.scheduler.rpc.replication import ReplicationServicer
from sp00ky.scheduler.rpc.views import ViewServicer
from sp00ky.scheduler.ticket import IngestTicket
from sp00ky.scheduler.upkeep import Upkeep

STOP_SECONDS = 8.0
READINESS_SECONDS = 0.05
# Of Python's collector: a group of changes makes thousands of objects that live until its commit, and no cycle. By
# default it would be walked several times, at a tenth of the intake.
COLLECTOR_THRESHOLDS = (50_000, 20, 100)

log = logging.getLogger(__name__)


class SchedulerDriver:
    """`start` once, `stop` once. Without a database everything lives by /ingest. The store is closed by `stop`."""

    def __init__(self, settings: SchedulerSettings, store: Datastore, database: Database | None) -> None:
        self.settings, self.store, self.database = settings, store, database
        self.epoch = Epoch(0)
        self.grpc_address = ""
        self.failed = asyncio.Event()  # the commit loop ended for good: the process is to start again
        self._capture: Capture | None = None
        self.trees = TableTrees(store, lambda: self.state == "ready")
        self.audit: Audit | None = None
        self.publishing: Publishing | None = None
        self.probe: LagProbe | None = None
        self.registering: Registering | None = None
        self.prepare: Callable[[], Awaitable[None]] | None = None  # installs the mesh's definitions in the database
        self._committer: Committer | None = None
        self._upkeep: Upkeep | None = None
        self._observer: Observer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._next_session_id, self._stopping, self._started = 0, False, time.monotonic()
        secrets = settings.auth_secret, settings.auth_secret_previous
        self._server = Server(settings.grpc_addr, *secrets, limits_of(settings))
        self._views = ViewServicer(self)
        self.http_members = HttpMembers(self, settings)
        interval_s = settings.health_check_interval_secs
        self.backends = Backends(settings.job_backends(), interval_s, database, store)
        self._add_services()

    def _add_services(self) -> None:
        services: Sequence[tuple[Callable[..., None], object, Any, str]] = (
            (add_ingest, IngestServicer(self), ingest_pb2, "IngestService"),
            (
                replication_pb2_grpc.add_ReplicationServiceServicer_to_server,
                ReplicationServicer(self),
                replication_pb2,
                "ReplicationService",
            ),
            (views_pb2_grpc.add_ViewServiceServicer_to_server, self._views, views_pb2, "ViewService"),
            (proxy_pb2_grpc.add_ProxyServiceServicer_to_server, ProxyServicer(self), proxy_pb2, "ProxyService"),
            (add_membership, MembershipServicer(self), membership_pb2, "MembershipService"),
            (add_jobs, JobServicer(self), jobs_pb2, "JobService"),
            (add_integrity, IntegrityServicer(self, self._views), integrity_pb2, "IntegrityService"),
            (admin_pb2_grpc.add_AdminServiceServicer_to_server, AdminServicer(self), admin_pb2, "AdminService"),
            (events_pb2_grpc.add_EventServiceServicer_to_server, EventServicer(self), events_pb2, "EventService"),
        )
        for adder, servicer, module, name in services:
            self._server.add(adder, servicer, module.DESCRIPTOR.services_by_name[name].full_name)

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> str:
        """Serve; returns the gRPC address. Raises OSError if it cannot be bound, Fault if the store refuses."""
        gc.set_threshold(*COLLECTOR_THRESHOLDS)
        self.epoch = self.store.take_epoch()
        await self.store.sync()
        settings = self.settings
        config = CoordinatorConfig(
            store_id=self.store.store_id,
            epoch=self.epoch,
            load_balance=settings.load_balance,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            heartbeat_timeout_ms=settings.heartbeat_timeout_ms,
            bootstrap_timeout_ms=settings.bootstrap_timeout_secs * 1000,
            quantum_ms=settings.revision_quantization_ms,
            lag_entries_max=settings.max_buffer_per_ssp,
            moves_inflight_max=settings.move_views_inflight_max,
            rebalances=settings.rebalance,
            namespace=settings.db_ns,
            database=settings.db_name,
        )
        room = Room(settings.ingest_queue_max, settings.ingest_queue_bytes_max, settings.registrations_inflight_max)
        self._committer = Committer(self.store, config, room)
        self._committer.on_failure = self._handle_failure
        self.grpc_address = await self._server.start()
        self._tasks.append(asyncio.create_task(self._committer.run(), name="commit loop"))
        if self.database is not None:
            self._capture = capture_of(
                settings.capture,
                self.database,
                self,
                poll_ms=settings.capture_poll_ms,
                letters_max=settings.dead_letters_max,
            )
            interval_secs = settings.drift_check_interval_secs
            self.audit = Audit(self.database, self._capture, self.store, self.trees, interval_secs)
            self.publishing = Publishing(
                self.database,
                self.trees,
                settings.merkle_write_interval_secs,
                token=self.token,
                may_write=lambda: self.state == "ready" and not (self._capture and self._capture.lost),
            )
            self.probe = LagProbe(
                self.database,
                self.store.store_id,
                settings.lag_probe_interval_ms,
                followers=self._followers,
                waits_for=self._why_uncaptured,
            )
            self._capture.offering.on_probe = self.probe.captured
            self.registering = registering(self, self.database, self._capture)
            runs = (self._capture.run, self.audit.run, self.publishing.run, self.probe.run, self.registering.run)
            self._tasks += [asyncio.create_task(run(), name=run.__module__.rpartition(".")[2]) for run in runs]
        self._upkeep = Upkeep(
            self.store,
            settings,
            needed=self._lowest_needed_seq,
            readable_from=self._readable_from,
            is_captured=self.database is not None,
        )
        self._tasks.append(asyncio.create_task(self._upkeep.run(), name="upkeep"))
        self._tasks.append(asyncio.create_task(self.backends.run(), name="backends"))
        self._observer = Observer(self, settings.events_max)
        self._committer.on_release = self._handle_released
        self._tasks.append(asyncio.create_task(self.trees.run(), name="trees"))
        self._tasks.append(asyncio.create_task(self._observer.run(), name="observer"))
        await self._server.serving(self.state == "ready")
        self._tasks.append(asyncio.create_task(self._show_readiness(), name="readiness"))
        return self.grpc_address

    def _handle_released(self, ready: Ready) -> None:
        self.trees.mark(ready.rows)
        self.observer.handle_released(ready)

    def _followers(self) -> dict[str, Seq]:
        streaming = {session.ssp_id for session in self.committer.sessions.values()}
        ready = self.coordinator.ready_ssps()
        return {member.id: member.progress.acked_seq for member in ready if member.id in streaming}

    def _why_uncaptured(self) -> str:
        """Why nothing that is written now would come back; empty if it would."""
        if self._capture is None or self.state == "cloning":
            return "the database is being cloned"
        if isinstance(self._capture, HintedCapture):
            return "capture is by events, and the mesh's own writes have none"
        return f"changes are not captured: {self._capture.lost}" if self._capture.lost else ""

    def _readable_from(self) -> Seq:
        return self._capture.readable_from if self._capture is not None else Seq(0)

    def _lowest_needed_seq(self) -> Seq:
        return self.coordinator.lowest_needed_seq()  # it is another one after a full disk

    async def _show_readiness(self) -> None:
        """Health follows the state, also back: a database that lost its data is cloned again."""
        shown = self.state
        while True:
            await asyncio.sleep(READINESS_SECONDS)
            if self.state != shown:
                shown = self.state
                await self._server.serving(shown == "ready")

    async def stop(self) -> None:
        """Drain: refuse new work, make durable what is queued, end the streams, close the store."""
        if self._stopping:
            return
        self._stopping = True
        await self._server.serving(False)
        commit_loop, others = self._tasks[:1], self._tasks[1:]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.http_members.close()
        if self._committer is not None:
            self._committer.close()
            await asyncio.wait(commit_loop, timeout=STOP_SECONDS / 2)
            for session in self._committer.sessions.values():
                session.end(None)
        await self._server.stop(STOP_SECONDS / 4)
        await self._views.close()
        for task in commit_loop:
            task.cancel()
        await asyncio.gather(*commit_loop, return_exceptions=True)
        self.store.close()

    def _handle_failure(self, fault: Fault) -> None:
        log.error("commit loop ended: %s", fault)
        self.failed.set()

    # --- what everyone asks ------------------------------------------------------------------------------------------

    @property
    def committer(self) -> Committer:
        if self._committer is None:
            raise Fault(Code.NOT_READY, "scheduler has not started")
        return self._committer

    @property
    def coordinator(self) -> Coordinator:
        return self.committer.coordinator

    @property
    def upkeep(self) -> Upkeep:
        if self._upkeep is None:
            raise Fault(Code.NOT_READY, "scheduler has not started")
        return self._upkeep

    @property
    def observer(self) -> Observer:
        if self._observer is None:
            raise Fault(Code.NOT_READY, "scheduler has not started")
        return self._observer

    @property
    def capture(self) -> Capture | None:
        return self._capture

    @property
    def state(self) -> str:
        """cloning | ready (the documented frozen, updating and restoring have no counterpart here: nothing freezes)."""
        return "cloning" if self._capture is not None and self._capture.state == "cloning" else "ready"

    @property
    def captured(self) -> frozenset[str]:
        """Tables that SurrealDB has; refreshed every second, so a table defined just now may be missing."""
        return self._capture.captured if self._capture is not None else frozenset()

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self._started

    def call_metrics(self) -> dict[str, float]:
        return self._server.metrics()

    def require_ready(self, *, or_cloning: bool = False) -> None:
        """Raises Fault NOT_READY while cloning, UNAVAILABLE when stopping or failed."""
        if self._stopping:
            raise errors.draining()
        if self.committer.failure is not None:
            raise Fault(Code.UNAVAILABLE, f"scheduler has failed: {self.committer.failure.message}")
        if self.state == "cloning" and not or_cloning:
            raise errors.cloning()

    def require_readable(self, at: Seq) -> None:
        """Raises Fault NOT_READY while cloning, REVISION_GONE for what a clone passed through."""
        self.require_ready()
        if at < self._readable_from():
            message = f"revision {at} is of before the clone ended, at {self._readable_from()}"
            raise Fault(Code.REVISION_GONE, message, "read a newer one")

    def token(self, seq: int) -> str:
        return str(Revision(self.store.store_id, self.epoch, Seq(seq)))

    # --- changes -----------------------------------------------------------------------------------------------------

    async def offer_transactions(
        self, transactions: Sequence[Sequence[common_pb2.Change]], meta: Sequence[MetaWrite] = ()
    ) -> Seq:
        """The capture's sink: durable on return."""
        offered = await canonical_transactions(transactions)
        with appending("capture", offered[-1] if offered else [], root=True) as append:
            seq = await (await self.committer.offer_in_turn(offered, meta, Work.CAPTURED))
            if append is not None:
                append.end({"spky.seq": seq})
            return seq

    async def ingest(self, changes: Iterable[bytes], atomic: bool, waits: bool = False) -> IngestTicket:
        """Check and queue a batch, each change as the bytes of its message. `waits`: wait for room in the queue, where
        a unary caller is refused.

        Changes of captured tables are hints, as SurrealDB is their source: the batch is answered after a full sweep of
        the changefeed; where capture is by events, once the hints are durable, while cloning too."""
        checked = canonical(changes)
        captured = self.captured
        own = [change for change in checked if change.table not in captured] if captured else checked
        hints = [change for change in checked if change.table in captured] if len(own) < len(checked) else []
        is_kept = bool(hints) and isinstance(self._capture, HintedCapture)
        self.require_ready(or_cloning=is_kept and not own)
        with appending("log append", own) as append:
            transactions: Transactions = ([own] if own else []) if atomic else list(zip(own))
            committer = self.committer
            durable = await committer.offer_in_turn(transactions) if waits else committer.offer(transactions)
        return IngestTicket(durable, len(hints), partial(self._hint, hints) if is_kept else self.barrier, append)

    async def _hint(self, changes: Sequence[CanonicalChange]) -> Seq:
        assert isinstance(self._capture, HintedCapture)
        return await self._capture.hint(list(map(posted_of, changes)))

    async def barrier(self) -> Seq:
        """A durable seq that holds everything committed in SurrealDB before the call."""
        self.require_ready()
        if self._capture is None:
            return self.coordinator.durable_seq
        return max(await self._capture.barrier(), self.coordinator.durable_seq)

    # --- streams -----------------------------------------------------------------------------------------------------

    def open_session(self, hello: replication_pb2.Hello, http_only: bool = False) -> Session:
        """A session for a stream that said hello, or for an SSP that has none. Raises Fault INVALID, NOT_READY."""
        self.require_ready()
        if not hello.ssp_id:
            raise Fault(Code.INVALID, "hello names no ssp_id")
        self._next_session_id += 1
        session_id = self._next_session_id
        committer = self.committer

        def fell_behind(reason: str) -> None:
            committer.post(SspFellBehind(session_id, reason))

        session = Session(
            session_id,
            hello.ssp_id,
            committer.ring,
            committer.pages,
            page_rows=self.settings.bootstrap_page_size,
            fell_behind=fell_behind,
        )
        committer.sessions[session_id] = session
        floors = self.store.log_floor_seq, self.store.floor_seq
        committer.post(SspSaidHello(session_id, hello, *floors, http_only=http_only))
        return session

    def close_session(self, session: Session) -> None:
        self.committer.sessions.pop(session.id, None)
        self.committer.post(StreamLost(session.id))
