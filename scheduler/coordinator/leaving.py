"""Views that were unregistered, until nobody has an edge of theirs left to remove or to write.

Without this, an owner that is slow would remove the edges of the same view registered anew elsewhere, and one that is
lost would leave them behind for ever.

Invariant: a leaving view has an owner that was told to remove it, or waits for one with the names of those to fence.
An SSP that was told, and is lost or starts over, is replaced by another (or by itself): the view is assigned and
unregistered in one transaction, so that whoever is given it fences, removes, and never shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.coordinator.assignments import UNASSIGNED, Assignments, View, wire_key
from sp00ky.scheduler.coordinator.ownership import Signal
from sp00ky.scheduler.coordinator.ssp import Ssp
from sp00ky.scheduler.coordinator.staging import Staging


class Leaving:
    def __init__(self, staging: Staging, assignments: Assignments, ssps: Mapping[str, Ssp]) -> None:
        self._staging, self._assignments, self._ssps = staging, assignments, ssps

    def unregister(self, view: View, reason: str) -> Seq:
        seq = self._unregistered(view, reason)
        remover, former = view.ssp_id, view.handing_over_ssp_id
        if not remover:  # a former owner that lives has the edges
            remover, former = former, ""
        change = self._assignments.change
        change(view, Signal.UNREGISTERED, ssp_id=remover, handing_over_ssp_id=former, left_seq=seq)
        if view.fence_ssp_ids and remover:
            self._tell(view, remover)
        self._staging.keep(view.meta())
        return seq

    def _unregistered(self, view: View, reason: str) -> Seq:
        unregistered = common_pb2.ViewUnregistered(key=wire_key(view.key), reason=reason)
        return self._staging.command(common_pb2.Entry(view_unregistered=unregistered))

    def _tell(self, view: View, ssp_id: str) -> None:
        """Have the SSP fence the lost ones, and remove the view."""
        fences = [former for former in view.fence_ssp_ids if former != ssp_id]
        assigned = common_pb2.ViewAssigned(
            spec=view.spec, ssp_id=ssp_id, fence_ssp_ids=fences, handing_over_ssp_id=view.handing_over_ssp_id
        )
        assigned_seq = self._staging.command(common_pb2.Entry(view_assigned=assigned), txn_last=False)
        left_seq = self._unregistered(view, "removed by another")
        self._assignments.change(
            view, Signal.TAKEN_OVER, ssp_id=ssp_id, fence_ssp_ids=fences, assigned_seq=assigned_seq, left_seq=left_seq
        )

    def lost(self, ssp_id: str) -> None:
        """The SSP is gone, and may have left something half done."""
        for view in self._assignments.departing_from(ssp_id):
            self._lose(view, ssp_id)

    def rejoining(self, ssp_id: str) -> None:
        """The SSP starts over: what it was handing over is its owner's to remove."""
        for view in self._assignments.departing_from(ssp_id):
            if view.handing_over_ssp_id == ssp_id:
                self._lose(view, ssp_id)

    def rejoined(self, ssp_id: str) -> None:
        """The SSP has joined anew, knowing nothing of what it was to remove."""
        for view in self._assignments.departing_from(ssp_id):
            self._tell(view, ssp_id)
            self._staging.keep(view.meta())

    def _lose(self, view: View, ssp_id: str) -> None:
        signal = Signal.OWNER_LOST if view.ssp_id == ssp_id else Signal.FORMER_LOST
        successor = view.handing_over_ssp_id if view.ssp_id == ssp_id else view.ssp_id
        fences = (*view.fence_ssp_ids, ssp_id)
        self._assignments.change(view, signal, ssp_id=successor, fence_ssp_ids=fences, handing_over_ssp_id="")
        if successor:
            self._tell(view, successor)
        self._staging.keep(view.meta())

    def maybe_take_over(self, candidates_for: Callable[[View], Sequence[Ssp]]) -> bool:
        """Give what waits to a ready SSP that may have it; False if there is nothing, or none."""
        given = False
        for view in self._assignments.departing_from(UNASSIGNED):
            if candidates := candidates_for(view):
                self._tell(view, candidates[0].id)
                self._staging.keep(view.meta())
                given = True
        return given

    def maybe_forget(self, view: View) -> bool:
        """Its edges are gone, if all who were told say so."""
        told = filter(None, (view.ssp_id, view.handing_over_ssp_id))
        if not view.ssp_id or any(self._ssps[ssp_id].written_seq < view.left_seq for ssp_id in told):
            return False
        self._assignments.change(view, Signal.FORGOTTEN)
        self._staging.keep(view.no_meta())
        return True
