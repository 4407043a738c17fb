"""Views come, are given to SSPs, move, and go. Every such step is a log entry and a meta value in one commit.

Sticky: the same query under the same key keeps its owner; another query under it is refused. A new view needs a ready
SSP with memory for it (`proto/pressure.py`); a view whose SSP is gone waits for one, and its next owner is told whom to
fence. A view whose SSP lives moves by handing over: `ViewAssigned` names the former owner, who writes its edges up to
there and serves it on; once it has written that far, and the new owner has its result, `ViewReleased` lets the one go
and the other write.

Who gets a view in whichever order SSPs are lost, return and restart is in `ownership.py`'s table; what each entry must
say follows from the view alone, so nothing is forgotten with a restart of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sp00ky.proto.faults import Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler import errors
from sp00ky.scheduler.coordinator.assignments import UNASSIGNED, Assignments, View, key_of, wire_key
from sp00ky.scheduler.coordinator.balance import Candidate, pick
from sp00ky.scheduler.coordinator.events import ViewAbandoned, ViewRefused, ViewRequested
from sp00ky.scheduler.coordinator.leaving import Leaving
from sp00ky.scheduler.coordinator.membership import Phase
from sp00ky.scheduler.coordinator.ownership import Signal, State
from sp00ky.scheduler.coordinator.ssp import Ssp
from sp00ky.scheduler.coordinator.staging import Staging


class Placement:
    """`rejoin(former, owner)` makes an SSP say hello again because `owner` will fence the incarnation it has now."""

    def __init__(
        self,
        staging: Staging,
        assignments: Assignments,
        ssps: Mapping[str, Ssp],
        *,
        policy: str,
        rejoin: Callable[[Ssp, str], None],
    ) -> None:
        self._staging, self._assignments, self._ssps = staging, assignments, ssps
        self._policy, self._rejoin = policy, rejoin
        self._leaving = Leaving(staging, assignments, ssps)
        self._last_placed = ""
        self.refused_for_memory = 0  # registrations

    # --- requests ----------------------------------------------------------------------------------------------------

    def handle_request(self, event: ViewRequested) -> None:
        key = key_of(event.spec.key)
        view = self._assignments.views.get(key)
        leaving = self._assignments.leaving.get(key)
        if view is not None:
            self._renew(view, event)
        elif not (leaving is not None and leaving.ssp_id) and not self.candidates_for(View(key, event.spec)):
            self._staging.refuse(event.ticket, self._no_owner(View(key, event.spec), ""))
        else:
            spec = _registered(event.spec, self._staging.head_seq + 1)
            view = self._assignments.add(spec, event.shape, self._staging.now_ms)
            self._register(view, txn_last=False)
            self._assign(view, view.ssp_id or self._picked(view))
            self._staging.reply(event.ticket, view.assigned_seq)

    def _renew(self, view: View, event: ViewRequested) -> None:
        """A changed client, ttl or format is logged, a mere renewal is not. Of several clients the longer ttl is it."""
        if not view.same_query(event.spec):
            self._staging.refuse(event.ticket, errors.other_text(view.key.id))
            return
        spec = _registered(event.spec, view.spec.registered_seq)
        if not spec.by_row and view.clients_at(self._staging.now_ms) - {spec.client_id}:
            spec.ttl_ms = max(spec.ttl_ms, view.spec.ttl_ms) if spec.ttl_ms and view.spec.ttl_ms else 0
        changed = view.spec != spec
        self._assignments.renew(view, spec, self._staging.now_ms)
        if changed:
            self._register(view, txn_last=True)
            self._staging.keep(view.meta())
        if view.ssp_id == UNASSIGNED:
            self._staging.refuse(event.ticket, self._no_owner(view, "; it is registered and waits for one"))
        else:
            self._staging.reply(event.ticket, view.assigned_seq)

    def _no_owner(self, view: View, besides: str) -> Fault:
        if not self._able(view):
            return errors.no_ready_ssp(f'for view "{view.key.id}"{besides}')
        self.refused_for_memory += 1
        return errors.no_memory(view.key.id, besides)

    def _register(self, view: View, txn_last: bool) -> None:
        registered = common_pb2.ViewRegistered(spec=view.spec)
        self._staging.command(common_pb2.Entry(view_registered=registered), txn_last)

    def handle_abandoned(self, event: ViewAbandoned) -> None:
        view = self._assignments.views.get(event.key)
        if view is None:
            self._staging.refuse(event.ticket, errors.unknown_view(event.key.id))
        elif event.client_id and self._assignments.release(view, event.client_id, self._staging.now_ms):
            self._staging.keep(view.meta())
            self._staging.reply(event.ticket, view.assigned_seq)
        else:
            self._staging.reply(event.ticket, self._leaving.unregister(view, "client"))

    def expire(self) -> None:
        for view in self._assignments.expired(self._staging.now_ms):
            self._leaving.unregister(view, "expired")

    # --- who gets it -------------------------------------------------------------------------------------------------

    def ready_ssps(self) -> list[Ssp]:
        return [member for member in self._ssps.values() if member.phase is Phase.READY]

    def staying(self) -> list[Ssp]:
        """Ready SSPs that keep what they have."""
        return [member for member in self.ready_ssps() if not member.draining]

    def candidates(self) -> list[Ssp]:
        """Of them, those on which views may be placed."""
        return [member for member in self.staying() if member.has_room]

    def candidates_for(self, view: View) -> list[Ssp]:
        return [member for member in self.candidates() if may_keep(member, view)]

    def _able(self, view: View) -> list[Ssp]:
        """Whether there is room or not."""
        return [member for member in self.staying() if may_keep(member, view)]

    def _picked(self, view: View) -> str:
        """The SSP for a view; there is a candidate."""
        self._last_placed = pick(
            self._policy, [self._candidate(member, view.shape) for member in self.candidates_for(view)],
            self._last_placed,
        )  # fmt: skip
        return self._last_placed

    def _candidate(self, member: Ssp, shape: str) -> Candidate:
        beat, owned = member.heartbeat, self._assignments
        of_shape = owned.shapes_of(member.id).get(shape, 0) if shape else 0
        views = owned.count_of(member.id)
        return Candidate(member.id, views, beat.cpu_ratio, beat.memory_bytes, member.placed_since_beat, of_shape)

    def maybe_place_unassigned(self) -> bool:
        """Place what waits for an owner; False if nothing waits or no SSP may take it."""
        if not self.staying():
            return False
        waiting = [view for view in self._assignments.unassigned() if self.candidates_for(view)]
        for view in waiting:
            self._assign(view, self._picked(view))
        self._leaving.maybe_take_over(self._able)  # to remove its edges, for which there is room
        return bool(waiting)

    def _assign(self, view: View, ssp_id: str) -> None:
        """To an owner, from none."""
        former = view.handing_over_ssp_id if view.handing_over_ssp_id != ssp_id else ""
        fences = self._to_fence(view, ssp_id)
        lost = Signal.PLACED_FENCING if fences else Signal.PLACED
        self._give(view, Signal.PLACED_BESIDE if former else lost, ssp_id, fences, former)

    def move(self, view: View, ssp_id: str = "") -> None:
        """From a living owner to another (by default the policy's choice), which is a candidate."""
        self._give(view, Signal.MOVED, ssp_id or self._picked(view), (), view.ssp_id)

    def _give(self, view: View, signal: Signal, ssp_id: str, fences: Iterable[str], former: str) -> None:
        assigned = common_pb2.ViewAssigned(
            spec=view.spec, ssp_id=ssp_id, fence_ssp_ids=fences, handing_over_ssp_id=former
        )
        seq = self._staging.command(common_pb2.Entry(view_assigned=assigned))
        self._assignments.change(
            view, signal, ssp_id=ssp_id, fence_ssp_ids=assigned.fence_ssp_ids, handing_over_ssp_id=former,
            assigned_seq=seq, left_seq=Seq(0),
        )  # fmt: skip
        view.assigned_at_s = self._staging.wall_ms // 1000
        if (owner := self._ssps.get(ssp_id)) is not None:
            owner.placed_since_beat += 1
        self._staging.keep(view.meta())

    def _to_fence(self, view: View, ssp_id: str) -> list[str]:
        """Whom the next owner must fence. A lost owner that has joined again meanwhile is no stranger.

        Its newer incarnation fences its older ones by itself, once it has written. If it has not, and another gets the
        view, that one will raise its epoch above the incarnation it has now, so it must join once more, above that."""
        fences = []
        for former_id in view.fence_ssp_ids:
            former = self._ssps.get(former_id)
            if former_id == ssp_id or (former is not None and (former.claimed or former.http_only)):
                continue  # one that speaks HTTP only has no epoch to be above: it is as good as a new one
            fences.append(former_id)
            if former is not None:
                self._rejoin(former, ssp_id)
        return fences

    # --- what SSPs do ------------------------------------------------------------------------------------------------

    def lost(self, ssp_id: str) -> None:
        """The SSP is gone: its views go to others at once, or wait."""
        for view in self._assignments.owned_by(ssp_id):
            wrote = view.state is not State.HANDING_OVER  # else its edges are the former owner's
            fences = (*view.fence_ssp_ids, ssp_id) if wrote else view.fence_ssp_ids
            self._assignments.change(view, Signal.OWNER_LOST, ssp_id=UNASSIGNED, fence_ssp_ids=fences)
            self._staging.keep(view.meta())
        self._former_lost(ssp_id)
        self._leaving.lost(ssp_id)
        self._assignments.wait_again(ssp_id)  # for nothing
        self.maybe_place_unassigned()

    def rejoining(self, ssp_id: str) -> None:
        """The SSP is about to start over: what it was handing over, it has no more. Its next incarnation must be above
        this, since those who took over raise its epoch to here."""
        self._former_lost(ssp_id)
        self._leaving.rejoining(ssp_id)

    def rejoined(self, ssp_id: str) -> None:
        """The SSP has a new incarnation, and only what its welcome lists."""
        self._assignments.forgive(ssp_id)
        self._leaving.rejoined(ssp_id)
        self._assignments.wait_again(ssp_id)

    def _former_lost(self, ssp_id: str) -> None:
        """What the SSP was handing over is taken from it: its owner may write as soon as it has fenced it."""
        for view in self._assignments.handed_over_by(ssp_id):
            fences = (*view.fence_ssp_ids, ssp_id)
            if view.ssp_id:
                self._give(view, Signal.FORMER_LOST, view.ssp_id, fences, "")
            else:
                self._assignments.change(view, Signal.FORMER_LOST, fence_ssp_ids=fences, handing_over_ssp_id="")
                self._staging.keep(view.meta())

    def refused_by(self, member: Ssp, event: ViewRefused) -> None:
        """Its owner cannot keep the view: `moves.py` looks for another."""
        view = self._assignments.views.get(event.key)
        if view is not None and view.ssp_id == member.id:
            self._assignments.refuse(view, member.id, event.reason)

    def written_to(self, ssp_id: str, seq: Seq) -> None:
        """The SSP has written everything up to `seq`: its fences are up, what it hands over is handed over."""
        for view in self._assignments.due(ssp_id, seq):
            if view.state is State.LEAVING:
                self._leaving.maybe_forget(view)
            else:
                self._maybe_settle(view)

    def _maybe_settle(self, view: View) -> bool:
        if self._ssps[view.ssp_id].written_seq < view.assigned_seq:
            return False
        if view.state is State.FENCING:
            self._assignments.change(view, Signal.WRITTEN, fence_ssp_ids=())
        elif self._ssps[view.handing_over_ssp_id].written_seq >= view.assigned_seq:
            self._release(view)
        else:
            return False
        self._staging.keep(view.meta())
        return True

    def _release(self, view: View) -> None:
        released = common_pb2.ViewReleased(key=wire_key(view.key), ssp_id=view.ssp_id, assigned_seq=view.assigned_seq)
        self._staging.command(common_pb2.Entry(view_released=released))
        self._assignments.change(view, Signal.RELEASED, fence_ssp_ids=(), handing_over_ssp_id="")


def may_keep(member: Ssp, view: View) -> bool:
    """An SSP that speaks HTTP only knows of no user's permissions: it would show him what he may not see."""
    return not member.http_only or not (view.spec.auth or member.id in view.refusals)


def _registered(spec: common_pb2.ViewSpec, seq: int) -> common_pb2.ViewSpec:
    """The spec of an id that has this query since then."""
    registered = common_pb2.ViewSpec()
    registered.CopyFrom(spec)
    registered.registered_seq = seq
    return registered
