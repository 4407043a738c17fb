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
from typing import assert_never

from sp00ky.proto.revision import Seq
from sp00ky.scheduler import errors
from sp00ky.scheduler.coordinator import assignments, events, idempotency, ssp
from sp00ky.scheduler.coordinator.assignments import Assignments, View
from sp00ky.scheduler.coordinator.config import CoordinatorConfig
from sp00ky.scheduler.coordinator.events import Event, ViewKey
from sp00ky.scheduler.coordinator.idempotency import IdempotencyWindow
from sp00ky.scheduler.coordinator.ready import Ready
from sp00ky.scheduler.coordinator.roster import Roster
from sp00ky.scheduler.coordinator.ssp import Ssp, restored_ssp
from sp00ky.scheduler.coordinator.staging import Staging

__all__ = ["META_PREFIXES", "Coordinator", "CoordinatorConfig"]


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
        self._roster = Roster(config, self._staging, self._assignments, self._ssps)

    # --- read side ---------------------------------------------------------------------------------------------------

    @property
    def head_seq(self) -> Seq:
        """The last seq given out, durable or not."""
        return self._staging.head_seq

    @property
    def durable_seq(self) -> Seq:
        """The last seq that may be shown."""
        return self._staging.durable_seq

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

    def views_left_on(self, ssp_id: str) -> int:
        """Views that an SSP owns, or serves until they are handed over."""
        return self._assignments.count_of(ssp_id) + len(self._assignments.handed_over_by(ssp_id))

    @property
    def rebootstraps(self) -> Mapping[str, int]:
        """How often an SSP was told to load anew, by reason."""
        return self._roster.rebootstraps

    @property
    def registrations_refused_for_memory(self) -> int:
        return self._roster.placement.refused_for_memory

    @property
    def views_shed(self) -> int:
        """Views that moved since their SSP was pressed for memory."""
        return self._roster.moves.shed

    @property
    def views_handing_over(self) -> int:
        return self._assignments.handing_over

    @property
    def views_leaving(self) -> int:
        """Unregistered, and their edges not known to be gone."""
        return len(self._assignments.leaving)

    def ready_ssps(self) -> list[Ssp]:
        return self._roster.placement.ready_ssps()

    @property
    def http_load_seq(self) -> Seq:
        """The pinned revision at which SSPs that speak HTTP only load; 0 while none does."""
        seq = self._roster.http_load_seq()
        return seq if seq <= self.durable_seq else Seq(0)

    def lowest_needed_seq(self) -> Seq:
        """The log is needed from here on by an SSP that loads, or may still resume."""
        needed = [member.progress.acked_seq for member in self._ssps.values() if member.loaded or member.loading]
        return Seq(min(needed, default=self.durable_seq) + 1)

    def ssp_of(self, session_id: int) -> Ssp | None:
        """The SSP whose current stream this is."""
        return self._roster.sessions.get(session_id)

    # --- the sender's side of progress -------------------------------------------------------------------------------

    def sendable_after(self, session_id: int) -> Seq | None:
        """The seq after which a frame may be sent now; None without entries, credit, or a current stream."""
        member = self.ssp_of(session_id)
        if member is None or not member.progress.sendable(self.durable_seq):
            return None
        return Seq(member.progress.next_seq - 1)

    def has_room(self, session_id: int, entries: int, size: int) -> bool:
        """Whether the credit of the stream allows for a frame of so many entries and bytes."""
        member = self.ssp_of(session_id)
        return member is not None and member.progress.has_room(entries, size)

    def sent_to(self, session_id: int, seq: Seq, size: int = 0) -> None:
        """A frame was sent, up to and with `seq`, of `size` bytes."""
        self._roster.sessions[session_id].progress.sent_to(seq, size, self.durable_seq)

    def idle(self, session_id: int) -> bool:
        """Whether the stream has been sent everything there is."""
        member = self.ssp_of(session_id)
        return member is not None and member.progress.flowing and member.progress.next_seq > self.durable_seq

    # --- step, ready, advance ----------------------------------------------------------------------------------------

    def step(self, event: Event) -> None:
        match event:
            case events.ChangesOffered():
                self._handle_changes(event)
            case events.ViewRequested():
                self._roster.placement.handle_request(event)
            case events.ViewAbandoned():
                self._roster.placement.handle_abandoned(event)
            case events.SspSaidHello():
                self._roster.handle_hello(event)
            case events.SspLoaded():
                self._roster.handle_loaded(event)
            case events.SspAcked():
                self._roster.handle_acked(event)
            case events.SspBeat():
                self._roster.handle_beat(event)
            case events.SspFellBehind():
                self._roster.handle_fell_behind(event)
            case events.ViewRefused():
                self._roster.handle_refused(event)
            case events.StreamLost():
                self._roster.handle_stream_lost(event)
            case events.DrainRequested():
                self._roster.handle_drain(event)
            case events.ResyncRequested():
                self._roster.handle_resync(event)
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
        self._staging.durable_seq = synced_seq

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

    # --- time --------------------------------------------------------------------------------------------------------

    def _handle_tick(self, event: events.Ticked) -> None:
        elapsed_ms = event.now_ms - self._staging.now_ms
        self._staging.now_ms, self._staging.wall_ms = event.now_ms, event.wall_ms
        self._roster.placement.expire()
        self._roster.handle_tick(elapsed_ms)


META_PREFIXES = (idempotency.META_PREFIX, assignments.META_PREFIX, ssp.META_PREFIX)
