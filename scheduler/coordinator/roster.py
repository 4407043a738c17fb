"""The SSPs: who they are, whether they load, follow or are gone, and what their streams say.

Invariant: an SSP has at most one current stream; the revision at which one loads is pinned, in the very commit that
lets it join, for as long as it is LOADING and no longer; one whose incarnation is not the one kept here, or whose load
never ended, can only join afresh.
"""

from __future__ import annotations

from collections import Counter

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler import errors
from sp00ky.scheduler.coordinator import events
from sp00ky.scheduler.coordinator.assignments import Assignments
from sp00ky.scheduler.coordinator.config import CoordinatorConfig
from sp00ky.scheduler.coordinator.events import NO_SEQ
from sp00ky.scheduler.coordinator.membership import Phase, Signal
from sp00ky.scheduler.coordinator.moves import Moves
from sp00ky.scheduler.coordinator.placement import Placement
from sp00ky.scheduler.coordinator.progress import Progress, credit_of
from sp00ky.scheduler.coordinator.ready import SessionEnded, SspWelcomed
from sp00ky.scheduler.coordinator.snapshots import Snapshots
from sp00ky.scheduler.coordinator.ssp import NO_SESSION, Ssp
from sp00ky.scheduler.coordinator.staging import Staging

REPLAN_MS = 100  # ticks come with every commit; looking through the views of an SSP is for now and then


class Roster:
    def __init__(
        self, config: CoordinatorConfig, staging: Staging, assignments: Assignments, ssps: dict[str, Ssp]
    ) -> None:
        self._config, self._staging, self._assignments, self._ssps = config, staging, assignments, ssps
        self.sessions: dict[int, Ssp] = {}
        self.rebootstraps: Counter[str] = Counter()  # by reason: lag, log_trimmed, operator
        self._replanned_ms = staging.now_ms - REPLAN_MS
        self._snapshots = Snapshots(config.quantum_ms)
        self.placement = Placement(staging, assignments, ssps, policy=config.load_balance, rejoin=self._rejoin)
        self.moves = Moves(
            assignments,
            ssps,
            self.placement,
            inflight_max=config.moves_inflight_max,
            rebalances=config.rebalances,
            by_shape=config.load_balance == "affinity",
        )
        known = {"", *ssps}
        placed = (*assignments.views.values(), *assignments.leaving.values())
        self._strangers = {name for view in placed for name in (view.ssp_id, view.handing_over_ssp_id)} - known

    # --- a stream begins ---------------------------------------------------------------------------------------------

    def handle_hello(self, event: events.SspSaidHello) -> None:
        hello = event.hello
        member = self._ssps.get(hello.ssp_id)
        if member is not None and member.http_only is not event.http_only:
            self._remove(member, "another kind of ssp has its id")
            member = None
        if member is None:
            member = Ssp(hello.ssp_id, event.http_only, joined_ms=self._staging.now_ms)
            self._ssps[hello.ssp_id] = member
        resumes = self._may_resume(member, event)
        if member.session_id != NO_SESSION:
            replaced = Fault(Code.CONFLICT, f'ssp "{member.id}" opened another stream', "one process for each ssp id")
            self._end_session(member, replaced)
        member.introduce(hello, event.session_id, self._staging.now_ms)
        self.sessions[event.session_id] = member
        if resumes:
            self._become_replaying(member, hello)
        else:
            self._become_loading(member, event)
        self._staging.keep(member.meta())

    def _may_resume(self, member: Ssp, event: events.SspSaidHello) -> bool:
        hello = event.hello
        return (
            member.loaded
            and hello.store_id == self._config.store_id
            and 0 < hello.incarnation == member.incarnation
            and 0 < hello.applied_seq <= self._staging.durable_seq
            and hello.applied_seq + 1 >= event.log_floor_seq
        )

    def _become_replaying(self, member: Ssp, hello: replication_pb2.Hello) -> None:
        self._take(member, Signal.HELLO_RESUME)
        member.progress = Progress.at(Seq(hello.applied_seq), credit_of(hello), flowing=True)
        member.caught_up_seq = self._staging.durable_seq
        self._welcome(member, resume=True, at_seq=Seq(hello.applied_seq))
        self._maybe_caught_up(member)

    def _become_loading(self, member: Ssp, event: events.SspSaidHello) -> None:
        self._take(member, Signal.HELLO_SNAPSHOT)
        if not event.hello.incarnation:
            member.draining = False  # another process than the one that was to drain
            member.heartbeat = replication_pb2.Heartbeat()  # and than the one whose memory it tells of
        self.placement.rejoining(member.id)
        joined = common_pb2.SspJoined(ssp_id=member.id)
        member.incarnation = self._staging.command(common_pb2.Entry(ssp_joined=joined))
        member.loaded, member.written_seq = False, NO_SEQ
        member.loading_since_ms = self._staging.now_ms
        at_seq = self._load_seq(member, event)
        member.progress = Progress.at(at_seq, credit_of(event.hello), flowing=False)
        self._staging.pin(_pin_of(member), at_seq, self._config.bootstrap_timeout_ms)
        self._welcome(member, resume=False, at_seq=at_seq)
        self.placement.rejoined(member.id)

    def _load_seq(self, member: Ssp, event: events.SspSaidHello) -> Seq:
        if member.http_only and (shared := self.http_load_seq(but=member)):
            return shared
        return self._snapshots.seq_for(member.incarnation, self._staging.now_ms, event.floor_seq, event.log_floor_seq)

    def http_load_seq(self, but: Ssp | None = None) -> Seq:
        """The one revision at which SSPs that speak HTTP only load, pinned while one does, since the queries by which
        they read name none; NO_SEQ while none does. `but`: one that is just beginning to."""
        loading = [
            member for member in self._ssps.values() if member.http_only and member.loading and member is not but
        ]
        return min((member.progress.acked_seq for member in loading), default=NO_SEQ)

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

    # --- what it says ------------------------------------------------------------------------------------------------

    def handle_loaded(self, event: events.SspLoaded) -> None:
        member = self._seen(event.session_id)
        if member is None:
            return
        if member.phase is not Phase.LOADING:
            self._end_session(member, errors.peer_fault(member.id, "it says loaded, but was loading nothing"))
            return
        self._take(member, Signal.LOADED)
        member.loaded = True
        member.progress.flowing = True
        member.caught_up_seq = self._staging.durable_seq
        self._staging.keep(member.meta())
        self._maybe_caught_up(member)

    def handle_acked(self, event: events.SspAcked) -> None:
        member = self._seen(event.session_id)
        if member is None or not member.progress.flowing:
            return
        if not member.progress.maybe_acked_to(event.applied_seq, event.frames, self._staging.durable_seq):
            reason = f"it acknowledges seq {event.applied_seq} and {event.frames} frames that it was not sent"
            self._end_session(member, errors.peer_fault(member.id, reason))
            return
        self._written_to(member, event.written_seq)
        self._maybe_caught_up(member)

    def _written_to(self, member: Ssp, seq: Seq) -> None:
        if seq > member.written_seq:
            member.written_seq = seq
            self.placement.written_to(member.id, seq)
            self.moves.maybe_move()

    def _maybe_caught_up(self, member: Ssp) -> bool:
        if member.phase is not Phase.REPLAYING or member.progress.acked_seq < member.caught_up_seq:
            return False
        self._take(member, Signal.CAUGHT_UP)
        self.placement.maybe_place_unassigned()
        self.moves.ssp_ready()
        return True

    def handle_beat(self, event: events.SspBeat) -> None:
        member = self._seen(event.session_id)
        if member is None:
            return
        had_room = member.has_room
        member.heartbeat, member.placed_since_beat, member.shed_since_beat = event.heartbeat, 0, False
        if member.has_room and not had_room:
            self.placement.maybe_place_unassigned()
        applied, written = Seq(event.heartbeat.applied_seq), Seq(event.heartbeat.written_seq)
        if member.progress.flowing and member.progress.maybe_acked_to(applied, 0, self._staging.durable_seq):
            self._written_to(member, written)
            self._maybe_caught_up(member)

    def handle_fell_behind(self, event: events.SspFellBehind) -> None:
        member = self.sessions.get(event.session_id)
        if member is not None and member.phase is not Phase.JOINING:
            if member.loading:
                self._snapshots.forget(member.progress.acked_seq)
            self._rebootstrap(member, event.reason, "log_trimmed")

    def handle_refused(self, event: events.ViewRefused) -> None:
        member = self._seen(event.session_id)
        if member is not None:
            self.placement.refused_by(member, event)

    def _rebootstrap(self, member: Ssp, reason: str, counted_as: str) -> None:
        """Its stream ends with a `Rebootstrap`, and it cannot resume."""
        self.rebootstraps[counted_as] += 1
        self._take(member, Signal.FELL_BEHIND)
        member.loaded = False
        self._staging.keep(member.meta())
        self._end_session(member, None, reason)

    def handle_stream_lost(self, event: events.StreamLost) -> None:
        member = self.sessions.get(event.session_id)
        if member is not None:
            self._lose_stream(member)

    def _seen(self, session_id: int) -> Ssp | None:
        """The SSP of a current stream, which has just shown a sign of life."""
        member = self.sessions.get(session_id)
        if member is not None:
            member.seen_ms = self._staging.now_ms
        return member

    # --- what operators ask ------------------------------------------------------------------------------------------

    def handle_drain(self, event: events.DrainRequested) -> None:
        member = self._ssps.get(event.ssp_id)
        if member is None:
            self._staging.refuse(event.ticket, errors.unknown_ssp(event.ssp_id))
            return
        if member.draining == event.undo:
            member.draining = not event.undo
            self._staging.keep(member.meta())
            self.moves.draining_changed()
            self.placement.maybe_place_unassigned()
        self._staging.reply(event.ticket, self._staging.head_seq)

    def handle_resync(self, event: events.ResyncRequested) -> None:
        if event.ssp_id and event.ssp_id not in self._ssps:
            self._staging.refuse(event.ticket, errors.unknown_ssp(event.ssp_id))
            return
        for member in list(self._ssps.values()):
            if event.ssp_id in ("", member.id):
                self._resync(member)
        self._staging.reply(event.ticket, self._staging.head_seq)

    def _resync(self, member: Ssp) -> None:
        if member.session_id != NO_SESSION and member.phase is not Phase.JOINING:
            self._rebootstrap(member, "an operator asked for it", "operator")
        elif member.loaded:
            member.loaded = False  # when it returns
            self._staging.keep(member.meta())

    # --- a stream ends -----------------------------------------------------------------------------------------------

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
        del self.sessions[member.session_id]
        member.session_id = NO_SESSION
        member.progress.flowing = False
        self._take(member, Signal.STREAM_LOST)

    def _take(self, member: Ssp, signal: Signal) -> None:
        """Every change of phase: a load's pin goes with the load, however it ends."""
        loading = member.loading
        member.take(signal)
        member.lag.least = 0
        if loading and not member.loading:
            self._staging.pin(_pin_of(member), None)

    # --- time --------------------------------------------------------------------------------------------------------

    def handle_tick(self, elapsed_ms: int) -> None:
        for stranger in sorted(self._strangers):
            self.placement.lost(stranger)
        self._strangers.clear()
        self._forgive_pause(elapsed_ms)
        for member in list(self._ssps.values()):
            if not self._maybe_evict(member):
                self._maybe_skip_ahead(member)
        replan = self._staging.now_ms - self._replanned_ms >= REPLAN_MS
        if replan:
            self._replanned_ms = self._staging.now_ms
        self.moves.maybe_move(replan)

    def _forgive_pause(self, elapsed_ms: int) -> None:
        """Ticks come many times in a timeout. A long gap is our own pause (a stopped process, a slow disk), in which
        heartbeats could not be read: it is not held against anyone."""
        if elapsed_ms > self._config.heartbeat_timeout_ms // 2:
            for member in self._ssps.values():
                member.seen_ms += elapsed_ms
                member.lag.forgive(elapsed_ms)

    def _maybe_evict(self, member: Ssp) -> bool:
        """Remove an SSP without a sign of life, or whose load takes too long; its views move at once."""
        config, now_ms = self._config, self._staging.now_ms
        silent = now_ms - member.seen_ms >= config.heartbeat_timeout_ms
        overdue = member.loading and now_ms - member.loading_since_ms >= config.bootstrap_timeout_ms
        if not silent and not overdue:
            return False
        self._remove(member, "no heartbeat" if silent else "its load took longer than bootstrap_timeout_secs")
        return True

    def _remove(self, member: Ssp, why: str) -> None:
        if member.session_id != NO_SESSION:
            self._end_session(member, Fault(Code.FENCED, f'ssp "{member.id}" was removed: {why}', "say hello again"))
        self._take(member, Signal.TIMED_OUT)
        del self._ssps[member.id]
        self._staging.keep(member.no_meta())
        self.placement.lost(member.id)

    def _maybe_skip_ahead(self, member: Ssp) -> bool:
        """Have a ready SSP that has fallen too far behind load a snapshot. One that replays is bounded by the log."""
        if member.phase is not Phase.READY:
            return False
        config, progress = self._config, member.progress
        lag = self._staging.durable_seq - max(progress.taken_seq, progress.acked_seq)
        patience_ms = config.heartbeat_timeout_ms
        if not member.lag.is_behind(lag, config.lag_entries_max, self._staging.now_ms, patience_ms):
            return False
        reason = f"it lags by {lag} entries, more than max_buffer_per_ssp, and does not catch up"
        self._rebootstrap(member, reason, "lag")
        return True


def _pin_of(member: Ssp) -> str:
    return f"ssp/{member.id}"
