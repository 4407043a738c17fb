"""The scheduler's decisions: order, membership, placement. Pure; events and ticks in, one `Ready` out.

    coordinator.step(event) …   any number of events, the first a Ticked
    ready = coordinator.ready() what they come to
    commit(ready), sync         the driver: one append, one fsync
    coordinator.advance(synced) now it may be shown
    release(ready)              replies, welcomes, ends of streams

Invariant: nothing above `durable_seq` is sent to anyone; a view's owner, its log entry and its meta value change in the
same commit; an SSP whose incarnation is not the one kept here can only join afresh.

A batch of changes is one event, never one event for each change: the cost of a change here is its entry and its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler import errors
from sp00ky.scheduler.coordinator import assignments, events, idempotency, ssp
from sp00ky.scheduler.coordinator.assignments import Assignments, View
from sp00ky.scheduler.coordinator.events import Event, ViewKey
from sp00ky.scheduler.coordinator.idempotency import IdempotencyWindow
from sp00ky.scheduler.coordinator.membership import Phase, Signal
from sp00ky.scheduler.coordinator.placement import Placement
from sp00ky.scheduler.coordinator.progress import Progress
from sp00ky.scheduler.coordinator.ready import Ready, SessionEnded, SspWelcomed
from sp00ky.scheduler.coordinator.ssp import NO_SESSION, Ssp, restored_ssp
from sp00ky.scheduler.coordinator.staging import Staging


@dataclass(frozen=True, slots=True)
class CoordinatorConfig:
    store_id: StoreId
    epoch: Epoch
    load_balance: str = "round_robin"
    heartbeat_interval_ms: int = 5_000
    heartbeat_timeout_ms: int = 15_000
    bootstrap_timeout_ms: int = 120_000
    namespace: str = ""
    database: str = ""
    idempotency_keys_max: int = idempotency.KEYS_MAX


class Coordinator:
    def __init__(
        self, config: CoordinatorConfig, head_seq: Seq, metas: Iterable[tuple[bytes, bytes]] = (), now_ms: int = 0
    ) -> None:
        """`metas` is everything the store keeps for us (`META_PREFIXES`); `head_seq` its durable head."""
        kept: dict[bytes, list[tuple[bytes, bytes]]] = {prefix: [] for prefix in META_PREFIXES}
        for name, value in metas:
            kept[name[: name.index(b"/") + 1]].append((name, value))
        self._config = config
        self._staging = Staging(config.epoch, head_seq, now_ms)
        self._window = IdempotencyWindow(kept[idempotency.META_PREFIX], config.idempotency_keys_max)
        self._assignments = Assignments(kept[assignments.META_PREFIX], now_ms)
        restored = [restored_ssp(name, value, now_ms) for name, value in kept[ssp.META_PREFIX]]
        self._ssps: dict[str, Ssp] = {member.id: member for member in restored}
        self._sessions: dict[int, Ssp] = {}
        self._placement = Placement(
            self._staging, self._assignments, self._ssps, policy=config.load_balance, rejoin=self._rejoin
        )
        self.durable_seq = head_seq

    # --- read side ---------------------------------------------------------------------------------------------------

    @property
    def head_seq(self) -> Seq:
        """The last seq given out, durable or not."""
        return self._staging.head_seq

    @property
    def wall_ms(self) -> int:
        """Unix time of the last tick."""
        return self._staging.wall_ms

    @property
    def ssps(self) -> Mapping[str, Ssp]:
        return self._ssps

    @property
    def views(self) -> Mapping[ViewKey, View]:
        return self._assignments.views

    def views_of(self, ssp_id: str) -> int:
        return self._assignments.count_of(ssp_id)

    def ready_ssps(self) -> list[Ssp]:
        return self._placement.ready_ssps()

    def lowest_needed_seq(self) -> Seq:
        """The log is needed from here on by an SSP that may still resume."""
        acked = [member.progress.acked_seq for member in self._ssps.values() if member.loaded]
        return Seq(min(acked, default=self.durable_seq) + 1)

    def ssp_of(self, session_id: int) -> Ssp | None:
        """The SSP whose current stream this is."""
        return self._sessions.get(session_id)

    # --- the sender's side of progress -------------------------------------------------------------------------------

    def sendable_after(self, session_id: int) -> Seq | None:
        """The seq after which a frame may be sent now; None without entries, credit, or a current stream."""
        member = self._sessions.get(session_id)
        if member is None or not member.progress.sendable(self.durable_seq):
            return None
        return Seq(member.progress.next_seq - 1)

    def sent_to(self, session_id: int, seq: Seq) -> None:
        self._sessions[session_id].progress.sent_to(seq, self.durable_seq)

    def idle(self, session_id: int) -> bool:
        """Whether the stream has been sent everything there is."""
        member = self._sessions.get(session_id)
        return member is not None and member.progress.flowing and member.progress.next_seq > self.durable_seq

    # --- step, ready, advance ----------------------------------------------------------------------------------------

    def step(self, event: Event) -> None:
        match event:
            case events.ChangesOffered():
                self._handle_changes(event)
            case events.ViewRequested():
                self._placement.handle_request(event)
            case events.ViewAbandoned():
                self._placement.handle_abandoned(event)
            case events.SspSaidHello():
                self._handle_hello(event)
            case events.SspLoaded():
                self._handle_loaded(event)
            case events.SspAcked():
                self._handle_acked(event)
            case events.SspBeat():
                self._handle_beat(event)
            case events.SspFellBehind():
                self._handle_fell_behind(event)
            case events.StreamLost():
                self._handle_stream_lost(event)
            case events.Ticked():
                self._handle_tick(event)
            case _:
                assert_never(event)

    def ready(self) -> Ready:
        """What there is to do since the last call."""
        return self._staging.drain()

    def advance(self, synced_seq: Seq) -> None:
        """Everything up to `synced_seq` is durable."""
        if not self.durable_seq <= synced_seq <= self.head_seq:
            raise errors.SchedulerInvariantError(
                f"synced {synced_seq} outside durable {self.durable_seq} … head {self.head_seq}"
            )
        self.durable_seq = synced_seq

    # --- changes -----------------------------------------------------------------------------------------------------

    def _handle_changes(self, event: events.ChangesOffered) -> None:
        staging = self._staging
        sifted = self._window.sift(event.transactions)
        lasts = staging.sequencer.sequence_changes(sifted.transactions, staging.wall_ms, staging.ready)
        staging.ready.meta += self._window.remember(sifted.keys, lasts)
        staging.ready.meta += event.meta
        if lasts or not sifted.applied_seq:
            staging.reply(event.ticket, staging.head_seq)
        else:
            staging.reply(event.ticket, sifted.applied_seq)

    # --- SSPs --------------------------------------------------------------------------------------------------------

    def _handle_hello(self, event: events.SspSaidHello) -> None:
        hello = event.hello
        member = self._ssps.get(hello.ssp_id)
        if member is None:
            member = self._ssps[hello.ssp_id] = Ssp(hello.ssp_id, joined_ms=self._staging.now_ms)
        resumes = self._may_resume(member, event)
        if member.session_id != NO_SESSION:
            replaced = Fault(Code.CONFLICT, f'ssp "{member.id}" opened another stream', "one process for each ssp id")
            self._end_session(member, replaced)
        member.introduce(hello, event.session_id, self._staging.now_ms)
        self._sessions[event.session_id] = member
        if resumes:
            self._become_replaying(member, hello)
        else:
            self._become_loading(member, hello)
        self._staging.keep(member.meta())

    def _may_resume(self, member: Ssp, event: events.SspSaidHello) -> bool:
        hello = event.hello
        return (
            member.loaded
            and hello.store_id == self._config.store_id
            and 0 < hello.incarnation == member.incarnation <= hello.applied_seq <= self.durable_seq
            and hello.applied_seq + 1 >= event.log_floor_seq
        )

    def _become_replaying(self, member: Ssp, hello: replication_pb2.Hello) -> None:
        member.take(Signal.HELLO_RESUME)
        member.progress = Progress.at(Seq(hello.applied_seq), hello.credit, flowing=True)
        member.caught_up_seq = self.durable_seq
        self._welcome(member, resume=True, at_seq=Seq(hello.applied_seq))
        self._maybe_caught_up(member)

    def _become_loading(self, member: Ssp, hello: replication_pb2.Hello) -> None:
        member.take(Signal.HELLO_SNAPSHOT)
        joined = common_pb2.SspJoined(ssp_id=member.id)
        member.incarnation = self._staging.command(common_pb2.Entry(ssp_joined=joined))
        member.loaded, member.written_seq = False, Seq(0)
        member.loading_since_ms = self._staging.now_ms
        member.progress = Progress.at(member.incarnation, hello.credit, flowing=False)
        self._welcome(member, resume=False, at_seq=member.incarnation)

    def _welcome(self, member: Ssp, resume: bool, at_seq: Seq) -> None:
        config = self._config
        welcome = replication_pb2.Welcome(
            store_id=config.store_id,
            epoch=config.epoch,
            incarnation=member.incarnation,
            resume=resume,
            at_seq=at_seq,
            views=[] if resume else self._assignments.welcome_list(member.id),
            namespace=config.namespace,
            database=config.database,
            heartbeat_interval_ms=config.heartbeat_interval_ms,
        )
        self._staging.welcome(SspWelcomed(member.session_id, welcome))

    def _handle_loaded(self, event: events.SspLoaded) -> None:
        member = self._seen(event.session_id)
        if member is None:
            return
        if member.phase is not Phase.LOADING:
            self._end_session(member, errors.peer_fault(member.id, "it says loaded, but was loading nothing"))
            return
        member.take(Signal.LOADED)
        member.loaded = True
        member.progress.flowing = True
        member.caught_up_seq = self.durable_seq
        self._staging.keep(member.meta())
        self._maybe_caught_up(member)

    def _handle_acked(self, event: events.SspAcked) -> None:
        member = self._seen(event.session_id)
        if member is None or not member.progress.flowing:
            return
        if not member.progress.maybe_acked_to(event.applied_seq, event.frames, self.durable_seq):
            reason = f"it acknowledges seq {event.applied_seq} and {event.frames} frames that it was not sent"
            self._end_session(member, errors.peer_fault(member.id, reason))
            return
        self._written_to(member, event.written_seq)
        self._maybe_caught_up(member)

    def _written_to(self, member: Ssp, seq: Seq) -> None:
        member.written_seq = max(member.written_seq, seq)
        self._placement.written_to(member.id, member.written_seq)

    def _maybe_caught_up(self, member: Ssp) -> bool:
        if member.phase is not Phase.REPLAYING or member.progress.acked_seq < member.caught_up_seq:
            return False
        member.take(Signal.CAUGHT_UP)
        self._placement.maybe_place_unassigned()
        return True

    def _handle_beat(self, event: events.SspBeat) -> None:
        member = self._seen(event.session_id)
        if member is None:
            return
        member.heartbeat = event.heartbeat
        applied, written = Seq(event.heartbeat.applied_seq), Seq(event.heartbeat.written_seq)
        if member.progress.flowing and member.progress.maybe_acked_to(applied, 0, self.durable_seq):
            self._written_to(member, written)
            self._maybe_caught_up(member)

    def _handle_fell_behind(self, event: events.SspFellBehind) -> None:
        member = self._sessions.get(event.session_id)
        if member is None or member.phase is Phase.JOINING:
            return
        member.take(Signal.FELL_BEHIND)
        member.loaded = False
        self._staging.keep(member.meta())
        self._end_session(member, None, event.reason)

    def _handle_stream_lost(self, event: events.StreamLost) -> None:
        member = self._sessions.get(event.session_id)
        if member is not None:
            self._lose_stream(member)

    def _seen(self, session_id: int) -> Ssp | None:
        """The SSP of a current stream, which has just shown a sign of life."""
        member = self._sessions.get(session_id)
        if member is not None:
            member.seen_ms = self._staging.now_ms
        return member

    def _rejoin(self, member: Ssp, owner_id: str) -> None:
        member.loaded = False
        self._staging.keep(member.meta())
        if member.session_id != NO_SESSION:
            fenced = Fault(Code.FENCED, f'ssp "{member.id}" lost views to "{owner_id}"', "say hello again")
            self._end_session(member, fenced)

    def _end_session(self, member: Ssp, fault: Fault | None, rebootstrap: str = "") -> None:
        self._staging.end(SessionEnded(member.session_id, fault, rebootstrap))
        self._lose_stream(member)

    def _lose_stream(self, member: Ssp) -> None:
        del self._sessions[member.session_id]
        member.session_id = NO_SESSION
        member.progress.flowing = False
        member.take(Signal.STREAM_LOST)

    # --- time --------------------------------------------------------------------------------------------------------

    def _handle_tick(self, event: events.Ticked) -> None:
        self._forgive_pause(event.now_ms - self._staging.now_ms)
        self._staging.now_ms, self._staging.wall_ms = event.now_ms, event.wall_ms
        self._placement.expire()
        for member in list(self._ssps.values()):
            self._maybe_evict(member)

    def _forgive_pause(self, elapsed_ms: int) -> None:
        """Ticks come many times in a timeout. A long gap is our own pause (a stopped process, a slow disk), in which
        heartbeats could not be read: it is not held against anyone."""
        if elapsed_ms > self._config.heartbeat_timeout_ms // 2:
            for member in self._ssps.values():
                member.seen_ms += elapsed_ms

    def _maybe_evict(self, member: Ssp) -> bool:
        """Remove an SSP without a sign of life, or whose load takes too long; its views move at once."""
        config = self._config
        silent = self._staging.now_ms - member.seen_ms >= config.heartbeat_timeout_ms
        overdue = (
            member.phase is Phase.LOADING
            and self._staging.now_ms - member.loading_since_ms >= config.bootstrap_timeout_ms
        )
        if not silent and not overdue:
            return False
        if member.session_id != NO_SESSION:
            why = "no heartbeat" if silent else "its load took longer than bootstrap_timeout_secs"
            self._end_session(member, Fault(Code.FENCED, f'ssp "{member.id}" was removed: {why}', "say hello again"))
        member.take(Signal.TIMED_OUT)
        del self._ssps[member.id]
        self._staging.keep(member.no_meta())
        self._placement.move_from(member.id)
        return True


META_PREFIXES = (idempotency.META_PREFIX, assignments.META_PREFIX, ssp.META_PREFIX)
