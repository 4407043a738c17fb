"""One SSP that speaks HTTP only, as the coordinator sees every SSP: a stream. This is its end of it.

    hello ─▶ welcome ─▶ poll /health until it is ready ─▶ loaded ─▶ entries ─▶ POST, one after the other ─▶ ack

What leaves is in the order of the log, one request at a time; one that is not answered is sent again, with a growing
pause, before anything that follows it. So nothing is skipped or overtaken, and what an SSP takes slowly is its own lag:
frames wait in the log, not here (credit: FRAMES). It has to bootstrap again, which is its next heartbeat's 409, when it
refuses a change for good, says that it has failed, falls behind (the coordinator's rule for every SSP), or its stream
ends for any other reason; what was delivered until then is of no further use, since it cannot say what it holds.

Invariant: acknowledged is what was answered with 2xx, and every entry before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler.commit import Committer
from sp00ky.scheduler.coordinator.coordinator import Coordinator
from sp00ky.scheduler.coordinator.events import SspAcked, SspBeat, SspLoaded, ViewRefused
from sp00ky.scheduler.fanout import Response, Session
from sp00ky.scheduler.foreign.client import Answer, SspClient, health_of, is_mesh
from sp00ky.scheduler.foreign.fences import raise_fences
from sp00ky.scheduler.foreign.payload import ingest_body, is_sent
from sp00ky.scheduler.foreign.views import Call, HttpViews
from sp00ky.scheduler.probe import LagProbe

FRAMES: Final = 2  # in flight: one that is posted, one read ahead
RETRY_SECONDS: Final = 0.1
RETRY_SECONDS_MAX: Final = 5.0
VIEW_ATTEMPTS_MAX: Final = 5  # of one command about a view: a view must not hold up the changes for ever
ACK_SECONDS: Final = 0.2  # between acknowledgements within one frame

log = logging.getLogger(__name__)


class Scheduler(Protocol):
    """What a member asks of the driver."""

    @property
    def coordinator(self) -> Coordinator: ...
    @property
    def committer(self) -> Committer: ...
    @property
    def database(self) -> Database | None: ...
    @property
    def probe(self) -> LagProbe | None: ...
    def open_session(self, hello: replication_pb2.Hello, http_only: bool = False) -> Session: ...
    def close_session(self, session: Session) -> None: ...


class Lost(Exception):
    """It has to bootstrap again, for this reason."""


class Counters:
    """Of all members, also those that are gone."""

    def __init__(self) -> None:
        self.delivered = self.retries = self.lost = self.views_refused = 0


class HttpMember:
    def __init__(
        self,
        scheduler: Scheduler,
        hello: replication_pb2.Hello,
        client: SspClient,
        counters: Counters,
        *,
        poll_seconds: float,
    ) -> None:
        """Joins at once. Raises Fault INVALID, NOT_READY."""
        self.ssp_id, self.reason = hello.ssp_id, ""
        self._scheduler, self._client, self._counters = scheduler, client, counters
        self._poll_seconds = poll_seconds
        self._session = scheduler.open_session(hello, http_only=True)
        self._welcome = replication_pb2.Welcome()
        self._views = HttpViews(hello.ssp_id)
        self._delivered = Seq(0)
        self._acked_at = 0.0
        self._poll: asyncio.Task[None] | None = None
        self.welcomed: asyncio.Future[replication_pb2.Welcome] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"http ssp {hello.ssp_id}")

    # --- what callers see --------------------------------------------------------------------------------------------

    @property
    def follows(self) -> bool:
        """Whether this is its current stream, and it may go on."""
        return not self.reason and not self._task.done() and self._current()

    def beat(self, heartbeat: replication_pb2.Heartbeat) -> None:
        self._scheduler.committer.post(SspBeat(self._session.id, heartbeat))

    async def close(self) -> None:
        """Ends what is being posted, too."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # --- the stream --------------------------------------------------------------------------------------------------

    def _current(self) -> bool:
        member = self._scheduler.coordinator.ssps.get(self.ssp_id)
        # A hello that is not durable yet is not known either, and is on its way.
        return not self.welcomed.done() or (member is not None and member.session_id == self._session.id)

    async def _run(self) -> None:
        try:
            async for response in self._session.frames():
                await self._take(response)
            self.reason = self.reason or "the scheduler ended its stream"
        except Lost as lost:
            self.reason = str(lost)
        except Fault as fault:
            self.reason = fault.message
        except Exception:
            self.reason = "the scheduler could not go on with it"
            log.exception("http ssp %s", self.ssp_id)
        finally:
            await self._end()

    async def _end(self) -> None:
        self._counters.lost += 1
        log.info("http ssp %s has to bootstrap again: %s", self.ssp_id, self.reason or "it is gone")
        if not self.welcomed.done():
            self.welcomed.set_exception(Fault(Code.UNAVAILABLE, f'ssp "{self.ssp_id}" cannot join: {self.reason}'))
            self.welcomed.exception()  # there may be nobody left who waits for it
        self._scheduler.close_session(self._session)
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)
        await self._client.close()

    async def _take(self, response: Response) -> None:
        frame = replication_pb2.ReplicateResponse.FromString(response) if isinstance(response, bytes) else response
        match frame.WhichOneof("frame"):
            case "welcome":
                self._welcome = frame.welcome
                self._views.welcome(frame.welcome)
                self._poll = asyncio.create_task(self._load(), name=f"health of http ssp {self.ssp_id}")
                self.welcomed.set_result(frame.welcome)
            case "entries":
                await self._deliver(frame.entries.entries)
            case "rebootstrap":
                self.reason = frame.rebootstrap.reason
            case _:
                pass  # checkpoints; it asks for no pages

    # --- loading -----------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Until it says that it has loaded; then what it has at its snapshot is acknowledged, and entries flow."""
        try:
            await self._until_ready()
            if self._welcome.at_seq >= self._welcome.incarnation:
                await self._carry_out(self._views.joined(self._scheduler.coordinator.wall_ms))
        except Lost as lost:
            self.reason = str(lost)
        except Exception:
            self.reason = "the scheduler could not go on with it"
            log.exception("http ssp %s", self.ssp_id)
        if self.reason:
            self._session.end(None)
            return
        self._delivered = Seq(self._welcome.at_seq)
        self._scheduler.committer.post(SspLoaded(self._session.id))
        self._ack(0)

    async def _until_ready(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            health = health_of(await self._client.get("/health"))
            if health:
                self._acked(Seq(0), 0)  # a sign of life
            if health == "failed":
                raise Lost("it says that it has failed")
            if health == "ready":
                break
        if is_mesh(await self._client.get("/info")):
            raise Lost("its url leads back to the mesh: an ssp of ours opens a stream by itself")

    # --- entries -----------------------------------------------------------------------------------------------------

    async def _deliver(self, entries: Sequence[common_pb2.Entry]) -> None:
        leaving = self._views.leaving_in(entries)
        for entry in entries:
            if not entry.HasField("change"):
                await self._carry_out(self._views.calls_of(entry, leaving))
            elif is_sent(entry.change):
                await self._post_change(entry)
            if entry.txn_last:
                self._delivered = Seq(entry.seq)
            self._maybe_ack()  # a sign of life, too, however large the transaction
        self._ack(1)

    async def _post_change(self, entry: common_pb2.Entry) -> None:
        answer = await self._post("/ingest", ingest_body(entry))
        if answer.refused:
            raise Lost(f"it refused change {entry.seq} with {answer}")
        self._counters.delivered += 1

    async def _carry_out(self, calls: Sequence[Call]) -> None:
        for call in calls:
            await self._fence(call)
            answer = await self._post(call.path, call.body, VIEW_ATTEMPTS_MAX)
            if call.registers and not answer.taken:
                self._refused(call, f"its ssp refused it with {answer}")
            self._maybe_ack()

    async def _fence(self, call: Call) -> None:
        delay = RETRY_SECONDS
        while call.fence_ssp_ids:
            try:
                await raise_fences(self._scheduler.database, call.fence_ssp_ids, call.seq)
                return
            except Fault as fault:
                log.warning("view %s waits for the database to fence its former owners: %s", call.key.id, fault)
            delay = await self._pause(delay)

    def _refused(self, call: Call, reason: str) -> None:
        self._counters.views_refused += 1
        log.warning("view %s: %s", call.key.id, reason)
        self._scheduler.committer.post(ViewRefused(self._session.id, call.key, reason))

    # --- requests ----------------------------------------------------------------------------------------------------

    async def _post(self, path: str, body: bytes, attempts_max: int = 0) -> Answer:
        """Until it is taken or refused; with `attempts_max`, no more often than that."""
        delay, attempts = RETRY_SECONDS, 0
        while True:
            answer = await self._client.post(path, body)
            attempts += 1
            if answer.taken or answer.refused or attempts == attempts_max:
                return answer
            self._counters.retries += 1
            level = logging.WARNING if attempts == 1 else logging.DEBUG
            log.log(level, "http ssp %s: %s is sent again, answered %s", self.ssp_id, path, answer)
            delay = await self._pause(delay)

    async def _pause(self, delay: float) -> float:
        """Before the next attempt: its delay. Raises Lost when there is to be none."""
        await asyncio.sleep(delay)
        if not self._current():
            raise Lost("the scheduler ended its stream")
        return min(RETRY_SECONDS_MAX, delay * 2)

    def _maybe_ack(self) -> bool:
        due = asyncio.get_running_loop().time() - self._acked_at >= ACK_SECONDS
        if due:
            self._ack(0)
        return due

    def _ack(self, frames: int) -> None:
        self._acked_at = asyncio.get_running_loop().time()
        self._acked(self._delivered, frames)

    def _acked(self, seq: Seq, frames: int) -> None:
        self._scheduler.committer.post(SspAcked(self._session.id, seq, seq, frames))
        if self._scheduler.probe is not None:
            self._scheduler.probe.acked(self.ssp_id, seq, seq)
