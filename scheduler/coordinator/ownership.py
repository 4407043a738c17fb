"""Whose a view is: six states, eleven signals, one table. A pair that is absent raises.

* UNASSIGNED     no SSP owns it. It waits for a ready one; a former owner that lives may serve it still;
* OWNED          its owner writes its edges, and no other SSP can;
* FENCING        it has an owner, but former ones were lost and are not known to be fenced: their names go to every
                 next owner, so that however many are lost in a row, none of them can write late;
* HANDING_OVER   its owner is another than the one that writes and serves it: that one lives, and has been told to stop
                 at the assignment. The owner holds its edges until `ViewReleased`;
* LEAVING        it was unregistered, and its owner has yet to remove its edges. To everyone else it is gone;
* GONE           forgotten.

Never two writers: an SSP writes a view's edges only while it is the owner in OWNED or FENCING (it raises the fences
before it reads or writes), or the one handing over in HANDING_OVER. The state is a function of what is kept of the
view (`state_of`), so that a restart finds it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from sp00ky.scheduler.errors import SchedulerInvariantError


class State(StrEnum):
    UNASSIGNED = "unassigned"
    OWNED = "owned"
    FENCING = "fencing"
    HANDING_OVER = "handing over"
    LEAVING = "leaving"
    GONE = "gone"


class Signal(StrEnum):
    PLACED = "placed"  # nobody is to be fenced
    PLACED_FENCING = "placed, former owners lost"
    PLACED_BESIDE = "placed, former owner lives"
    MOVED = "moved"  # from a living owner
    WRITTEN = "fences up"
    RELEASED = "released"  # the former owner has written everything, the owner is there to be read
    FORMER_LOST = "former owner lost"
    OWNER_LOST = "owner lost"
    UNREGISTERED = "unregistered"
    TAKEN_OVER = "to be removed by another"
    FORGOTTEN = "edges removed"


TRANSITIONS: Mapping[tuple[State, Signal], State] = {
    (State.UNASSIGNED, Signal.PLACED): State.OWNED,
    (State.UNASSIGNED, Signal.PLACED_FENCING): State.FENCING,
    (State.UNASSIGNED, Signal.PLACED_BESIDE): State.HANDING_OVER,
    (State.UNASSIGNED, Signal.FORMER_LOST): State.UNASSIGNED,
    (State.UNASSIGNED, Signal.UNREGISTERED): State.LEAVING,
    (State.OWNED, Signal.MOVED): State.HANDING_OVER,
    (State.OWNED, Signal.OWNER_LOST): State.UNASSIGNED,
    (State.OWNED, Signal.UNREGISTERED): State.LEAVING,
    (State.FENCING, Signal.WRITTEN): State.OWNED,
    (State.FENCING, Signal.OWNER_LOST): State.UNASSIGNED,
    (State.FENCING, Signal.UNREGISTERED): State.LEAVING,
    (State.HANDING_OVER, Signal.RELEASED): State.OWNED,
    (State.HANDING_OVER, Signal.FORMER_LOST): State.FENCING,
    (State.HANDING_OVER, Signal.OWNER_LOST): State.UNASSIGNED,
    (State.HANDING_OVER, Signal.UNREGISTERED): State.LEAVING,
    (State.LEAVING, Signal.OWNER_LOST): State.LEAVING,
    (State.LEAVING, Signal.FORMER_LOST): State.LEAVING,
    (State.LEAVING, Signal.TAKEN_OVER): State.LEAVING,
    (State.LEAVING, Signal.PLACED): State.OWNED,  # registered anew
    (State.LEAVING, Signal.PLACED_FENCING): State.FENCING,
    (State.LEAVING, Signal.PLACED_BESIDE): State.HANDING_OVER,
    (State.LEAVING, Signal.FORGOTTEN): State.GONE,
}


def state_of(ssp_id: str, fence_ssp_ids: Sequence[str], handing_over_ssp_id: str, left_seq: int) -> State:
    """The state that these facts are."""
    if left_seq:
        return State.LEAVING
    if not ssp_id:
        return State.UNASSIGNED
    if handing_over_ssp_id:
        return State.HANDING_OVER
    return State.FENCING if fence_ssp_ids else State.OWNED


def state_after(state: State, signal: Signal) -> State:
    """The state a signal leads to; raises SchedulerInvariantError for a pair that has no transition."""
    try:
        return TRANSITIONS[(state, signal)]
    except KeyError:
        raise SchedulerInvariantError(f"a view that is {state} cannot take {signal!r}") from None


def diagram() -> str:
    """The table as text, one line for each state; README.md shows it and a test keeps it fresh."""
    lines = []
    for state in State:
        moves = [f"{signal} → {after}" for (before, signal), after in TRANSITIONS.items() if before is state]
        lines.append(f"{state:<13} {' · '.join(moves) or '(forgotten)'}")
    return "\n".join(lines)
