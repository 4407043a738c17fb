"""The one loop that writes: gather → step → append → fsync → release.

What is queued while a group is being synced is the next group (group commit); there is no timer and no linger. The
order is the promise: an answer, a welcome or a frame leaves only after the fsync of what it speaks of (G4).

Failure: an append that the store refuses for want of space refuses the callers of that group and starts the coordinator
again from the store, streams included, since it had already counted on it. A failed fsync, a fenced epoch or a broken
invariant ends the loop for good (`failure`): the process is to start again from the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.measures import FINE_SECONDS, Distribution
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler import errors
from sp00ky.scheduler.coordinator.assignments import key_of
from sp00ky.scheduler.coordinator.coordinator import META_PREFIXES, Coordinator, CoordinatorConfig
from sp00ky.scheduler.coordinator.events import ChangesOffered, Event, Ticked, ViewAbandoned, ViewKey, ViewRequested
from sp00ky.scheduler.coordinator.ready import Ready
from sp00ky.scheduler.datastore.datastore import Append, Datastore, MetaWrite
from sp00ky.scheduler.fanout import Ring, Session
from sp00ky.scheduler.intake import Freshness, Transactions
from sp00ky.scheduler.pages import Pages
from sp00ky.scheduler.room import Claim, Room, Work

GROUP_CHANGES_MAX = 4_096
GROUP_BYTES_MAX = 16 * 1024 * 1024
TICK_SECONDS_MAX = 0.2
TICKS_PER_TIMEOUT = 10  # at least: the coordinator takes a gap of half a timeout for a pause of ours

log = logging.getLogger(__name__)


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Committer:
    """Owns the coordinator and the store. Everything that changes state goes through its queue, in order."""

    def __init__(self, store: Datastore, config: CoordinatorConfig, room: Room) -> None:
        self.store, self._config, self.room = store, config, room
        self._tick_seconds = min(TICK_SECONDS_MAX, config.heartbeat_timeout_ms / 1000 / TICKS_PER_TIMEOUT)
        self.ring = Ring(store)
        self.pages = Pages(store)
        self.sessions: dict[int, Session] = {}
        self.failure: Fault | None = None
        self.on_failure: Callable[[Fault], None] = lambda fault: None
        self.on_release: Callable[[Ready], None] = lambda ready: None
        self.committed_changes = 0
        self.appended_entries = 0
        self.commits = 0
        self.fsync_seconds = Distribution(FINE_SECONDS)
        self._queue: deque[tuple[Event, Claim | None]] = deque()
        self._waiters: dict[int, asyncio.Future[Seq]] = {}
        self._tickets = 0
        self._wake = asyncio.Event()
        self._closing = False
        self.coordinator = self._restored()

    def _restored(self) -> Coordinator:
        metas = [meta for prefix in META_PREFIXES for meta in self.store.metas(prefix)]
        return Coordinator(self._config, self.store.synced_seq, metas, now_ms())

    # --- in ----------------------------------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Queue an event nobody waits for."""
        self._queue.append((event, None))
        self._wake.set()

    def offer(self, transactions: Transactions, meta: Sequence[MetaWrite] = ()) -> asyncio.Future[Seq]:
        """Queue changes; the future answers with the durable seq. Raises Fault OVERLOADED, UNAVAILABLE."""
        self._require_open()
        claim = _claim(Work.CHANGES, transactions)
        self.room.take(claim)
        return self._enqueue(claim, lambda ticket: ChangesOffered(ticket, transactions, meta))

    async def offer_in_turn(
        self, transactions: Transactions, meta: Sequence[MetaWrite] = (), work: Work = Work.CHANGES
    ) -> asyncio.Future[Seq]:
        """As `offer`, but waits while the queue is full: for callers whose own flow control then holds them."""
        self._require_open()
        claim = _claim(work, transactions)
        await self.room.take_in_turn(claim)
        try:
            self._require_open()
        except Fault:
            self.room.give_back([claim])
            raise
        return self._enqueue(claim, lambda ticket: ChangesOffered(ticket, transactions, meta))

    def request(self, spec: common_pb2.ViewSpec, shape: str = "") -> asyncio.Future[Seq]:
        """Register or renew a view. Raises Fault OVERLOADED; a new view is refused before one that is known."""
        work = Work.COMMANDS if key_of(spec.key) in self.coordinator.views else Work.REGISTRATIONS
        return self.ask(lambda ticket: ViewRequested(ticket, spec, shape), work)

    def abandon(self, key: ViewKey, client_id: str = "") -> asyncio.Future[Seq]:
        """Give a view up, as one of its clients or as a whole. Raises Fault OVERLOADED."""
        return self.ask(lambda ticket: ViewAbandoned(ticket, key, client_id))

    def ask(self, event_of: Callable[[int], Event], work: Work = Work.COMMANDS) -> asyncio.Future[Seq]:
        """Queue the event that `event_of` makes of its ticket; the future answers with the durable seq, or raises.

        Raises Fault OVERLOADED, UNAVAILABLE."""
        self._require_open()
        claim = Claim(work, 1)
        self.room.take(claim)
        return self._enqueue(claim, event_of)

    def _enqueue(self, claim: Claim, event_of: Callable[[int], Event]) -> asyncio.Future[Seq]:
        ticket, waiter = self._ticket()
        self._queue.append((event_of(ticket), claim))
        self._wake.set()
        return waiter

    def _ticket(self) -> tuple[int, asyncio.Future[Seq]]:
        self._tickets += 1
        waiter: asyncio.Future[Seq] = asyncio.get_running_loop().create_future()
        self._waiters[self._tickets] = waiter
        return self._tickets, waiter

    def _require_open(self) -> None:
        if self.failure is not None:
            raise Fault(Code.UNAVAILABLE, f"scheduler has failed: {self.failure.message}", "it must be started again")
        if self._closing:
            raise errors.draining()

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `close`, when the queue is empty, or until a failure."""
        try:
            while self._queue or not self._closing:
                await self._turn()
        except Exception as error:
            self._fail(error if isinstance(error, Fault) else Fault(Code.INTERNAL, f"commit loop failed: {error!r}"))
            if not isinstance(error, Fault):
                log.exception("commit loop failed")
        finally:
            self.room.close()

    def close(self) -> None:
        """Take no more; `run` ends once what is queued is durable."""
        self._closing = True
        self.room.close()
        self._wake.set()

    async def _turn(self) -> None:
        if not self._queue:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._tick_seconds):
                    await self._wake.wait()
        self._wake.clear()
        claims = self._step_group()
        ready = self.coordinator.ready()
        try:
            await self._commit(ready)
        except Fault as fault:
            if fault.code is not Code.DISK_FULL:
                raise
            self._refuse_group(ready, fault)
        else:
            self._release(ready)
        self.room.give_back(claims)

    def _step_group(self) -> list[Claim]:
        """Step what is queued, up to one group; returns what room it took."""
        step = self.coordinator.step
        step(Ticked(now_ms(), time.time_ns() // 1_000_000))
        freshness = Freshness(self.store.stamp_of)
        claims: list[Claim] = []
        changes = size = 0
        while self._queue and changes < GROUP_CHANGES_MAX and size < GROUP_BYTES_MAX:
            event, claim = self._queue.popleft()
            if claim is not None:
                claims.append(claim)
                changes += claim.changes
                size += claim.size
                if claim.work is Work.CAPTURED and isinstance(event, ChangesOffered):
                    event = ChangesOffered(event.ticket, freshness.sift(event.transactions), event.meta)
            step(event)
        return claims

    async def _commit(self, ready: Ready) -> None:
        if not ready.commits:
            return
        failpoint("wal.before_append")
        head = self.store.head_seq
        self.store.append(Append(self._config.epoch, head, ready.entries, ready.rows, ready.meta, ready.pins))
        failpoint("wal.before_fsync")
        begun = time.perf_counter()
        synced = await self.store.sync()
        self.fsync_seconds.observe(time.perf_counter() - begun)
        failpoint("wal.after_fsync")
        self.coordinator.advance(synced)
        self.ring.extend(ready.entries)
        self.commits += 1
        self.committed_changes += len(ready.rows)
        self.appended_entries += len(ready.entries)

    def _release(self, ready: Ready) -> None:
        for reply in ready.replies:
            waiter = self._waiters.pop(reply.ticket)
            if waiter.done():
                continue  # the caller went away
            if reply.fault is None:
                waiter.set_result(reply.seq)
            else:
                waiter.set_exception(reply.fault)
        failpoint("bcast.before")
        for welcomed in ready.welcomed:
            session = self.sessions.get(welcomed.session_id)
            if session is not None:
                session.welcome(welcomed.welcome, self.coordinator)
        for ended in ready.ended:
            session = self.sessions.get(ended.session_id)
            if session is not None:
                session.end(ended.fault or ended.rebootstrap)
        for session in self.sessions.values():
            session.notify()
        if ready.pins and not any(member.loading for member in self.coordinator.ssps.values()):
            self.pages.clear()
        self.on_release(ready)

    def _refuse_group(self, ready: Ready, fault: Fault) -> None:
        """Nothing of the group was applied: its callers are refused, and the coordinator forgets it."""
        log.error("append refused: %s", fault)
        for reply in ready.replies:
            waiter = self._waiters.pop(reply.ticket)
            if not waiter.done():
                waiter.set_exception(reply.fault or fault)
        for session in self.sessions.values():
            session.end(Fault(Code.UNAVAILABLE, "scheduler starts its streams again", "say hello again"))
        self.coordinator = self._restored()

    def _fail(self, fault: Fault) -> None:
        self.failure = fault
        self._queue.clear()
        refusal = Fault(Code.UNAVAILABLE, f"scheduler has failed: {fault.message}", "it is not known whether it holds")
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(refusal)
        self._waiters.clear()
        for session in self.sessions.values():
            session.end(refusal)
        self.on_failure(fault)


def _claim(work: Work, transactions: Transactions) -> Claim:
    count = sum(map(len, transactions))
    return Claim(work, count, sum(len(change.encoded) for changes in transactions for change in changes))
