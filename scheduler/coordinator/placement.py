"""Views come, are given to SSPs, move, and go. Every such step is a log entry and a meta value in one commit.

Sticky: the same query under the same key keeps its owner; another query under it is refused. A new view needs a ready
SSP; a view whose SSP is gone waits for one, and its next owner is told whom to fence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler import errors
from sp00ky.scheduler.coordinator.assignments import UNASSIGNED, Assignments, View, key_of, wire_key
from sp00ky.scheduler.coordinator.balance import Candidate, pick
from sp00ky.scheduler.coordinator.events import ViewAbandoned, ViewRequested
from sp00ky.scheduler.coordinator.membership import Phase
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
        self._last_placed = ""
        self._orphan_strangers()

    def _orphan_strangers(self) -> None:
        """A placement on an SSP that the store does not know waits for a new owner."""
        for view in list(self._assignments.views.values()):
            if view.ssp_id not in self._ssps and view.ssp_id != UNASSIGNED:
                self._assignments.orphan(view)

    def ready_ssps(self) -> list[Ssp]:
        return [member for member in self._ssps.values() if member.phase is Phase.READY]

    def handle_request(self, event: ViewRequested) -> None:
        view = self._assignments.views.get(key_of(event.spec.key))
        if view is not None:
            self._renew(view, event)
        elif not self.ready_ssps():
            self._staging.refuse(event.ticket, errors.no_ready_ssp(f'for view "{event.spec.key.id}"'))
        else:
            view = self._assignments.add(event.spec, self._staging.now_ms)
            self._register(view, txn_last=False)
            self._place(view)
            self._staging.reply(event.ticket, view.assigned_seq)

    def _renew(self, view: View, event: ViewRequested) -> None:
        """A changed client, ttl or format is logged, a mere renewal is not."""
        if not view.same_query(event.spec):
            self._staging.refuse(event.ticket, errors.other_text(view.key.id))
            return
        changed = view.spec != event.spec
        self._assignments.renew(view, event.spec, self._staging.now_ms)
        if changed:
            self._register(view, txn_last=True)
        if view.ssp_id == UNASSIGNED:
            waits = errors.no_ready_ssp(f'for view "{view.key.id}"; it is registered and waits for one')
            self._staging.refuse(event.ticket, waits)
        else:
            self._staging.reply(event.ticket, view.assigned_seq)

    def _register(self, view: View, txn_last: bool) -> None:
        registered = common_pb2.ViewRegistered(spec=view.spec)
        self._staging.command(common_pb2.Entry(view_registered=registered), txn_last)
        self._staging.keep(view.meta())

    def _place(self, view: View) -> None:
        """Give the view to a ready SSP; there is one."""
        candidates = [self._candidate(member) for member in self.ready_ssps()]
        self._last_placed = pick(self._policy, candidates, self._last_placed)
        self._settle_former_owner(view, self._last_placed)
        assigned = common_pb2.ViewAssigned(spec=view.spec, ssp_id=self._last_placed, fence_ssp_ids=view.fence_ssp_ids)
        seq = self._staging.command(common_pb2.Entry(view_assigned=assigned))
        self._assignments.assign(view, self._last_placed, seq, self._staging.wall_ms // 1000)
        self._staging.keep(view.meta())

    def _candidate(self, member: Ssp) -> Candidate:
        beat = member.heartbeat
        return Candidate(member.id, self._assignments.count_of(member.id), beat.cpu_ratio, beat.memory_bytes)

    def _settle_former_owner(self, view: View, ssp_id: str) -> None:
        """A former owner that has joined again meanwhile is no stranger to fence.

        If it gets the view back, its newer incarnation already fences its older one. If another gets it, that one will
        raise the former owner's epoch above the incarnation it has now, so it must join once more, above that."""
        for former_id in view.fence_ssp_ids:
            former = self._ssps.get(former_id)
            if former is not None and former.id != ssp_id:
                self._rejoin(former, ssp_id)
        view.fence_ssp_ids = tuple(former_id for former_id in view.fence_ssp_ids if former_id != ssp_id)

    def maybe_place_unassigned(self) -> bool:
        """Place what waits for an owner; False if nothing waits or no SSP is ready."""
        waiting = self._assignments.unassigned() if self.ready_ssps() else []
        for view in waiting:
            self._place(view)
        return bool(waiting)

    def handle_abandoned(self, event: ViewAbandoned) -> None:
        view = self._assignments.views.get(event.key)
        if view is None:
            self._staging.refuse(event.ticket, errors.unknown_view(event.key.id))
        else:
            self._staging.reply(event.ticket, self._unregister(view, "client"))

    def _unregister(self, view: View, reason: str) -> Seq:
        unregistered = common_pb2.ViewUnregistered(key=wire_key(view.key), reason=reason)
        self._assignments.remove(view)
        self._staging.keep(view.no_meta())
        return self._staging.command(common_pb2.Entry(view_unregistered=unregistered))

    def expire(self) -> None:
        for view in self._assignments.expired(self._staging.now_ms):
            self._unregister(view, "expired")

    def move_from(self, ssp_id: str) -> None:
        """The SSP is gone: its views go to ready ones at once, or wait."""
        for view in self._assignments.owned_by(ssp_id):
            self._assignments.orphan(view)
            self._staging.keep(view.meta())
        self.maybe_place_unassigned()

    def written_to(self, ssp_id: str, seq: Seq) -> None:
        """The SSP's edges are in up to `seq`: former owners of views assigned before need no fence any more."""
        for view in self._assignments.fenced_to(ssp_id, seq):
            self._staging.keep(view.meta())
