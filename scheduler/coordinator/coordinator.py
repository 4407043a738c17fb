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
from sp00ky.scheduler.coordinator.assignments import UNASSIGNED, Assignments, View, key_of, wire_key
from sp00ky.scheduler.coordinator.balance import Candidate, pick
from sp00ky.scheduler.coordinator.events import Event, ViewKey
from sp00ky.scheduler.coordinator.idempotency import IdempotencyWindow
from sp00ky.scheduler.coordinator.membership import Phase, Signal
from sp00ky.scheduler.coordinator.progress import Progress
from sp00ky.scheduler.coordinator.ready import Ready, Reply, SessionEnded, SspWelcomed
from sp00ky.scheduler.coordinator.sequencer import Sequencer
from sp00ky.scheduler.coordinator.ssp import NO_SESSION, Ssp, restored_ssp


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
        self._sequencer = Sequencer(config.epoch, head_seq)
        self._window = IdempotencyWindow(kept[idempotency.META_PREFIX], config.idempotency_keys_max)
        self._assignments = Assignments(kept[assignments.META_PREFIX], now_ms)
        restored = [restored_ssp(name, value, now_ms) for name, value in kept[ssp.META_PREFIX]]
        self._ssps: dict[str, Ssp] = {member.id: member for member in restored}
        self._sessions: dict[int, Ssp] = {}
        self._ready = Ready()
        self._last_placed = ""
        self._now_ms, self._wall_ms = now_ms, 0
        self.durable_seq = head_seq
        self._orphan_strangers()

    def _orphan_strangers(self) -> None:
        """A placement on an SSP that the store does not know waits for a new owner."""
        for view in list(self._assignments.views.values()):
            if view.ssp_id not in self._ssps and view.ssp_id != UNASSIGNED:
                self._assignments.orphan(view)

    # --- read side ---------------------------------------------------------------------------------------------------

    @property
    def head_seq(self) -> Seq:
        """The last seq given out, durable or not."""
        return self._sequencer.head_seq

    @property
    def wall_ms(self) -> int:
        """Unix time of the last tick."""
        return self._wall_ms

    @property
    def ssps(self) -> Mapping[str, Ssp]:
        return self._ssps

    @property
    def views(self) -> Mapping[ViewKey, View]:
        return self._assignments.views

    def views_of(self, ssp_id: str) -> int:
        return self._assignments.count_of(ssp_id)

    def ready_ssps(self) -> list[Ssp]:
        return [member for member in self._ssps.values() if member.phase is Phase.READY]

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
                self._handle_request(event)
            case events.ViewAbandoned():
                self._handle_abandoned(event)
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
        drained, self._ready = self._ready, Ready()
        return drained

    def advance(self, synced_seq: Seq) -> None:
        """Everything up to `synced_seq` is durable."""
        if not self.durable_seq <= synced_seq <= self.head_seq:
            raise errors.SchedulerInvariantError(
                f"synced {synced_seq} outside durable {self.durable_seq} … head {self.head_seq}"
            )
        self.durable_seq = synced_seq

    # --- changes -----------------------------------------------------------------------------------------------------

    def _handle_changes(self, event: events.ChangesOffered) -> None:
        sifted = self._window.sift(event.transactions)
        lasts = self._sequencer.sequence_changes(sifted.transactions, self._wall_ms, self._ready)
        self._ready.meta += self._window.remember(sifted.keys, lasts)
        self._ready.meta += event.meta
        self._reply(event.ticket, max(lasts[-1] if lasts else self.head_seq, sifted.applied_seq))

    def _reply(self, ticket: int, seq: Seq, fault: Fault | None = None) -> None:
        self._ready.replies.append(Reply(ticket, seq, fault))

    # --- views -------------------------------------------------------------------------------------------------------

    def _handle_request(self, event: events.ViewRequested) -> None:
        view = self.views.get(key_of(event.spec.key))
        if view is not None:
            self._renew(view, event)
        elif not self.ready_ssps():
            self._reply(event.ticket, self.head_seq, errors.no_ready_ssp(f'for view "{event.spec.key.id}"'))
        else:
            view = self._assignments.add(event.spec, self._now_ms)
            self._register(view, txn_last=False)
            self._place(view)
            self._reply(event.ticket, view.assigned_seq)

    def _renew(self, view: View, event: events.ViewRequested) -> None:
        """Sticky: the same query again keeps its owner. A changed client or ttl is logged, a mere renewal is not."""
        if not view.same_query(event.spec):
            self._reply(event.ticket, self.head_seq, errors.other_text(view.key.id))
            return
        changed = view.spec != event.spec
        self._assignments.renew(view, event.spec, self._now_ms)
        if changed:
            self._register(view, txn_last=True)
        if view.ssp_id == UNASSIGNED:
            self._reply(event.ticket, self.head_seq, errors.no_ready_ssp(f'for view "{view.key.id}"; it waits for one'))
        else:
            self._reply(event.ticket, view.assigned_seq)

    def _register(self, view: View, txn_last: bool) -> None:
        registered = common_pb2.ViewRegistered(spec=view.spec)
        self._command(common_pb2.Entry(view_registered=registered), txn_last)
        self._ready.meta.append(view.meta())

    def _command(self, entry: common_pb2.Entry, txn_last: bool = True) -> Seq:
        return self._sequencer.sequence_command(entry, self._wall_ms, self._ready, txn_last)

    def _place(self, view: View) -> None:
        """Give the view to a ready SSP; there is one."""
        candidates = [
            Candidate(
                member.id, self.views_of(member.id), member.heartbeat.cpu_ratio, member.heartbeat.memory_bytes
            )
            for member in self.ready_ssps()
        ]
        self._last_placed = pick(self._config.load_balance, candidates, self._last_placed)
        self._settle_former_owner(view, self._last_placed)
        assigned = common_pb2.ViewAssigned(
            key=wire_key(view.key), ssp_id=self._last_placed, from_ssp_id=view.from_ssp_id
        )
        seq = self._command(common_pb2.Entry(view_assigned=assigned))
        self._assignments.assign(view, self._last_placed, seq, self._wall_ms // 1000)
        self._ready.meta.append(view.meta())

    def _settle_former_owner(self, view: View, ssp_id: str) -> None:
        """A former owner that has joined again meanwhile is no stranger to fence.

        If it gets the view back, its newer incarnation already fences its older one. If another gets it, that one will
        raise the former owner's epoch above the incarnation it has now, so it must join once more, above that."""
        former = self._ssps.get(view.from_ssp_id)
        if former is None:
            return
        if former.id == ssp_id:
            view.from_ssp_id = ""
        else:
            former.loaded = False
            self._ready.meta.append(former.meta())
            if former.session_id != NO_SESSION:
                fenced = Fault(Code.FENCED, f'ssp "{former.id}" lost views to "{ssp_id}"', "say hello again")
                self._end_session(former, fenced)

    def maybe_place_unassigned(self) -> bool:
        """Place what waits for an owner; False if nothing waits or no SSP is ready."""
        waiting = self._assignments.unassigned() if self.ready_ssps() else []
        for view in waiting:
            self._place(view)
        return bool(waiting)

    def _handle_abandoned(self, event: events.ViewAbandoned) -> None:
        view = self.views.get(event.key)
        if view is None:
            self._reply(event.ticket, self.head_seq, errors.unknown_view(event.key.id))
        else:
            self._reply(event.ticket, self._unregister(view, "client"))

    def _unregister(self, view: View, reason: str) -> Seq:
        unregistered = common_pb2.ViewUnregistered(key=wire_key(view.key), reason=reason)
        self._assignments.remove(view)
        self._ready.meta.append(view.no_meta())
        return self._command(common_pb2.Entry(view_unregistered=unregistered))

    # --- SSPs --------------------------------------------------------------------------------------------------------

    def _handle_hello(self, event: events.SspSaidHello) -> None:
        hello = event.hello
        member = self._ssps.get(hello.ssp_id)
        if member is None:
            member = self._ssps[hello.ssp_id] = Ssp(hello.ssp_id, joined_ms=self._now_ms)
        resumes = self._may_resume(member, event)
        if member.session_id != NO_SESSION:
            replaced = Fault(Code.CONFLICT, f'ssp "{member.id}" opened another stream', "one process for each ssp id")
            self._end_session(member, replaced)
        member.introduce(hello, event.session_id, self._now_ms)
        self._sessions[event.session_id] = member
        if resumes:
            self._become_replaying(member, hello)
        else:
            self._become_loading(member, hello)
        self._ready.meta.append(member.meta())

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
        member.incarnation = self._command(common_pb2.Entry(ssp_joined=joined))
        member.loaded, member.written_seq = False, Seq(0)
        member.loading_since_ms = self._now_ms
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
        self._ready.welcomed.append(SspWelcomed(member.session_id, welcome))

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
        self._ready.meta.append(member.meta())
        self._maybe_caught_up(member)

    def _handle_acked(self, event: events.SspAcked) -> None:
        member = self._seen(event.session_id)
        if member is None:
            return
        if not member.progress.maybe_acked_to(event.applied_seq, event.frames, self.durable_seq):
            reason = f"it acknowledges seq {event.applied_seq} and {event.frames} frames that it was not sent"
            self._end_session(member, errors.peer_fault(member.id, reason))
            return
        self._written_to(member, event.written_seq)
        self._maybe_caught_up(member)

    def _written_to(self, member: Ssp, seq: Seq) -> None:
        member.written_seq = max(member.written_seq, seq)
        for view in self._assignments.fenced_to(member.id, member.written_seq):
            self._ready.meta.append(view.meta())

    def _maybe_caught_up(self, member: Ssp) -> bool:
        if member.phase is not Phase.REPLAYING or member.progress.acked_seq < member.caught_up_seq:
            return False
        member.take(Signal.CAUGHT_UP)
        self.maybe_place_unassigned()
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
        self._ready.meta.append(member.meta())
        self._end_session(member, None, event.reason)

    def _handle_stream_lost(self, event: events.StreamLost) -> None:
        member = self._sessions.get(event.session_id)
        if member is not None:
            self._lose_stream(member)

    def _seen(self, session_id: int) -> Ssp | None:
        """The SSP of a current stream, which has just shown a sign of life."""
        member = self._sessions.get(session_id)
        if member is not None:
            member.seen_ms = self._now_ms
        return member

    def _end_session(self, member: Ssp, fault: Fault | None, rebootstrap: str = "") -> None:
        self._ready.ended.append(SessionEnded(member.session_id, fault, rebootstrap))
        self._lose_stream(member)

    def _lose_stream(self, member: Ssp) -> None:
        del self._sessions[member.session_id]
        member.session_id = NO_SESSION
        member.progress.flowing = False
        member.take(Signal.STREAM_LOST)

    # --- time --------------------------------------------------------------------------------------------------------

    def _handle_tick(self, event: events.Ticked) -> None:
        self._forgive_pause(event.now_ms - self._now_ms)
        self._now_ms, self._wall_ms = event.now_ms, event.wall_ms
        for view in self._assignments.expired(event.now_ms):
            self._unregister(view, "expired")
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
        silent = self._now_ms - member.seen_ms >= config.heartbeat_timeout_ms
        overdue = member.phase is Phase.LOADING and self._now_ms - member.loading_since_ms >= config.bootstrap_timeout_ms
        if not silent and not overdue:
            return False
        if member.session_id != NO_SESSION:
            why = "no heartbeat" if silent else "its load took longer than bootstrap_timeout_secs"
            self._end_session(member, Fault(Code.FENCED, f'ssp "{member.id}" was removed: {why}', "say hello again"))
        member.take(Signal.TIMED_OUT)
        del self._ssps[member.id]
        self._ready.meta.append(member.no_meta())
        for view in self._assignments.owned_by(member.id):
            self._assignments.orphan(view)
            self._ready.meta.append(view.meta())
        self.maybe_place_unassigned()
        return True


META_PREFIXES = (idempotency.META_PREFIX, assignments.META_PREFIX, ssp.META_PREFIX)
