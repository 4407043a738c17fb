"""Views move from living SSPs, a bounded number at a time: off those that drain or have too little memory, and to those
that came.

A plan is a list of views to move; it is made anew when it has run out and there may be something to do, and each of
its moves is checked again when its turn comes. Only an OWNED view moves, so a view is in one hand-over at a time; at
most `inflight_max` hand-overs are under way, counting those from before a restart.

An SSP that is pressed for memory sheds, for each heartbeat that says so, the newest tenth of its views to those that
have room: nobody knows what a view takes before it is gone, so the next heartbeat is awaited before more are moved.

Draining goes first. Rebalancing begins when an SSP has become ready and ends when nothing is skewed: between the two
every view stays where it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from sp00ky.proto.pressure import Pressure
from sp00ky.scheduler.coordinator.assignments import Assignments, View
from sp00ky.scheduler.coordinator.balance import Transfer, levelling, levelling_by_shape
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.coordinator.membership import Phase
from sp00ky.scheduler.coordinator.ownership import State
from sp00ky.scheduler.coordinator.placement import Placement, may_keep
from sp00ky.scheduler.coordinator.ssp import Ssp

SHED_PART: Final = 10  # of the views of an SSP, each time


class Move(NamedTuple):
    key: ViewKey
    from_id: str
    to_id: str  # "": by policy
    sheds: bool = False


class Moves:
    def __init__(
        self,
        assignments: Assignments,
        ssps: Mapping[str, Ssp],
        placement: Placement,
        *,
        inflight_max: int,
        rebalances: bool,
        by_shape: bool,
    ) -> None:
        self._assignments, self._ssps, self._placement = assignments, ssps, placement
        self._inflight_max, self._rebalances, self._by_shape = inflight_max, rebalances, by_shape
        self.shed = 0  # views
        self._plan: deque[Move] = deque()
        self._unsettled = False  # an SSP has become ready, and what that means has not been carried out

    def ssp_ready(self) -> None:
        self._unsettled = self._rebalances
        self._plan.clear()

    def draining_changed(self) -> None:
        """What was planned may be wrong; what an SSP that is back should have is to be found out."""
        self.ssp_ready()

    def maybe_move(self, replan: bool = False) -> bool:
        """Begin as many moves as there is room for; whether there was one. `replan`: look for more."""
        began = self._begin()
        if replan and not self._plan:
            self._plan.extend(self._drained())
            self._plan.extend(self._misplaced())
            self._plan.extend(self._shed())
            if not self._plan and self._unsettled:
                self._plan.extend(self._rebalanced())
                self._unsettled = bool(self._plan) or bool(self._assignments.handing_over)
            began |= self._begin()
        return began

    def _begin(self) -> bool:
        began = False
        room = self._inflight_max - self._assignments.handing_over
        while room > 0 and self._plan:
            move = self._plan.popleft()
            view = self._assignments.views.get(move.key)
            if view is not None and self._stands(move, view):
                self._placement.move(view, move.to_id)
                self.shed += move.sheds
                room -= 1
                began = True
        return began

    def _stands(self, move: Move, view: View) -> bool:
        targets = [member.id for member in self._placement.candidates_for(view) if member.id != move.from_id]
        return (
            view.state is State.OWNED
            and view.ssp_id == move.from_id
            and self._ssps[move.from_id].phase is Phase.READY
            and (move.to_id in targets if move.to_id else bool(targets))
        )

    def _drained(self) -> Iterator[Move]:
        if not self._placement.candidates():
            return
        for member in self._placement.ready_ssps():
            if member.draining:
                for view in self._assignments.owned_by(member.id):
                    if view.state is State.OWNED:
                        yield Move(view.key, member.id, "")

    def _misplaced(self) -> Iterator[Move]:
        """Views that their owner refused, where another may have them."""
        for view in self._assignments.misplaced():
            others = [member for member in self._placement.candidates_for(view) if member.id != view.ssp_id]
            if view.state is State.OWNED and others:
                yield Move(view.key, view.ssp_id, "")

    def _shed(self) -> Iterator[Move]:
        """The newest views of SSPs that are pressed: those who use them have waited for them anyway."""
        if not self._placement.candidates():
            return
        for member in self._placement.staying():
            if member.pressure is Pressure.PRESSED and not member.shed_since_beat:
                member.shed_since_beat = True
                owned = [view for view in self._assignments.owned_by(member.id) if view.state is State.OWNED]
                newest = sorted(owned, key=lambda view: (-view.assigned_seq, view.key))
                for view in newest[: -(-len(owned) // SHED_PART)]:
                    yield Move(view.key, member.id, "", sheds=True)

    def _sharing(self) -> list[str]:
        """Whose views are to be made even. One without room gives what it has more than the mean, and takes none."""
        views = {member.id: self._assignments.count_of(member.id) for member in self._placement.staying()}
        mean = sum(views.values()) / max(1, len(views))
        return [ssp_id for ssp_id, count in views.items() if self._ssps[ssp_id].has_room or count > mean]

    def _rebalanced(self) -> Iterator[Move]:
        owned = self._assignments
        ids = self._sharing()
        if self._by_shape:
            transfers = levelling_by_shape({ssp_id: owned.shapes_of(ssp_id) for ssp_id in ids})
        else:
            transfers = levelling({ssp_id: owned.count_of(ssp_id) for ssp_id in ids})
        left: dict[str, list[View]] = {}
        for transfer in transfers:
            if not self._ssps[transfer.to_id].has_room:
                return  # what follows may build on it
            views = left.setdefault(transfer.from_id, owned.owned_by(transfer.from_id))
            yield from self._transferred(transfer, views)

    def _transferred(self, transfer: Transfer, views: list[View]) -> Iterator[Move]:
        """Takes the views of a transfer from the list, the last in key order first."""
        kept, wanted, to = [], transfer.views, self._ssps[transfer.to_id]
        while views and wanted:
            view = views.pop()
            if view.state is State.OWNED and transfer.shape in (None, view.shape) and may_keep(to, view):
                wanted -= 1
                yield Move(view.key, transfer.from_id, transfer.to_id)
            else:
                kept.append(view)
        views.extend(reversed(kept))
