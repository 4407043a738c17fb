"""Which SSP a view goes to, and which views move when SSPs are unevenly loaded. Pure functions; ties go to the smaller
id.

`round_robin` walks the ids in order, starting after the last one chosen, so that an SSP that comes or goes does not
shift the others' turns. `least_queries` counts views owned now. `least_load` adds the CPU ratio to the share of the
largest memory among the candidates, both from the last heartbeat, and counts each view placed since then as
PLACED_LOAD, so that one heartbeat does not send everything to one SSP; without heartbeats it is `least_queries`.
`affinity` gives a view to the SSP that has most views of its shape, since they share a circuit there, unless that one
has more than AFFINITY_SKEW times the mean and AFFINITY_VIEWS views more; then it goes to the one with the fewest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sp00ky.scheduler.errors import SchedulerInvariantError

PLACED_LOAD = 0.01  # of a core
AFFINITY_SKEW = 1.25
AFFINITY_VIEWS = 4
SETTLED_SKEW = 0.2  # of the mean: a gap between SSPs up to here is left alone
SETTLED_VIEWS = 2


class Candidate(NamedTuple):
    """A ready SSP: views it owns, what its last heartbeat said, views it was given since, views of the shape asked."""

    ssp_id: str
    views: int
    cpu_ratio: float = 0.0
    memory_bytes: int = 0
    placed_since_beat: int = 0
    of_shape: int = 0


class Transfer(NamedTuple):
    """`views` views, of that shape (None: of any), from one SSP to another."""

    from_id: str
    to_id: str
    views: int
    shape: str | None = None


def round_robin(candidates: Sequence[Candidate], last_ssp_id: str) -> str:
    ids = sorted(candidate.ssp_id for candidate in candidates)
    return next((ssp_id for ssp_id in ids if ssp_id > last_ssp_id), ids[0])


def least_queries(candidates: Sequence[Candidate], last_ssp_id: str) -> str:
    return min(candidates, key=lambda candidate: (candidate.views, candidate.ssp_id)).ssp_id


def least_load(candidates: Sequence[Candidate], last_ssp_id: str) -> str:
    largest = max(candidate.memory_bytes for candidate in candidates) or 1

    def load(candidate: Candidate) -> tuple[float, int, str]:
        beat = candidate.cpu_ratio + candidate.memory_bytes / largest
        return (beat + candidate.placed_since_beat * PLACED_LOAD, candidate.views, candidate.ssp_id)

    return min(candidates, key=load).ssp_id


def affinity(candidates: Sequence[Candidate], last_ssp_id: str) -> str:
    views_max = AFFINITY_SKEW * sum(candidate.views for candidate in candidates) / len(candidates) + AFFINITY_VIEWS
    homes = [candidate for candidate in candidates if candidate.of_shape and candidate.views + 1 <= views_max]
    if not homes:
        return least_queries(candidates, last_ssp_id)
    return min(homes, key=lambda home: (-home.of_shape, home.ssp_id)).ssp_id


POLICIES: Mapping[str, Callable[[Sequence[Candidate], str], str]] = {
    "round_robin": round_robin,
    "least_queries": least_queries,
    "least_load": least_load,
    "affinity": affinity,
}


def pick(policy: str, candidates: Sequence[Candidate], last_ssp_id: str = "") -> str:
    """The SSP for the next view. `candidates` is not empty."""
    if not candidates:
        raise SchedulerInvariantError("a view is to be placed and no ssp is ready")
    return POLICIES[policy](candidates, last_ssp_id)


# --- rebalancing -----------------------------------------------------------------------------------------------------


def levelling(views: Mapping[str, int]) -> list[Transfer]:
    """What evens the views per SSP out; nothing while they are even enough."""
    if not _skewed(views):
        return []
    mean, rest = divmod(sum(views.values()), len(views))
    by_load = sorted(views, key=lambda ssp_id: (-views[ssp_id], ssp_id))
    surplus = {ssp_id: views[ssp_id] - mean - (place < rest) for place, ssp_id in enumerate(by_load)}
    transfers = []
    for to_id in reversed(by_load):
        for from_id in by_load:
            moved = min(surplus[from_id], -surplus[to_id])
            if moved > 0:
                surplus[from_id] -= moved
                surplus[to_id] += moved
                transfers.append(Transfer(from_id, to_id, moved))
    return transfers


def levelling_by_shape(shapes: Mapping[str, Mapping[str, int]]) -> list[Transfer]:
    """The same with whole shapes, as far as they go: each transfer narrows the gap between two SSPs. Views without a
    shape share nothing, and move one by one."""
    held = {ssp_id: dict(counts) for ssp_id, counts in shapes.items()}
    transfers: list[Transfer] = []
    while _skewed({ssp_id: sum(counts.values()) for ssp_id, counts in held.items()}):
        transfer = _narrowing(held)
        if transfer is None:
            break
        _move(held[transfer.from_id], held[transfer.to_id], transfer)
        transfers.append(transfer)
    return transfers


def _narrowing(held: Mapping[str, Mapping[str, int]]) -> Transfer | None:
    """To the emptiest SSP, from the fullest that has a shape small enough, the shape that narrows the gap most."""
    views = {ssp_id: sum(counts.values()) for ssp_id, counts in held.items()}
    to_id = min(views, key=lambda ssp_id: (views[ssp_id], ssp_id))
    for from_id in sorted(views, key=lambda ssp_id: (-views[ssp_id], ssp_id)):
        gap = views[from_id] - views[to_id]
        if not _is_skew(gap, views):
            return None
        moved = {shape: count if shape else min(count, gap // 2) for shape, count in held[from_id].items()}
        fitting = [(abs(2 * count - gap), shape) for shape, count in moved.items() if count < gap]
        if fitting:
            _, shape = min(fitting)
            return Transfer(from_id, to_id, moved[shape], shape)
    return None


def _move(source: dict[str, int], target: dict[str, int], transfer: Transfer) -> None:
    shape = transfer.shape or ""
    source[shape] -= transfer.views
    if not source[shape]:
        del source[shape]
    target[shape] = target.get(shape, 0) + transfer.views


def _skewed(views: Mapping[str, int]) -> bool:
    return len(views) > 1 and _is_skew(max(views.values()) - min(views.values()), views)


def _is_skew(gap: int, views: Mapping[str, int]) -> bool:
    return gap > max(SETTLED_VIEWS, SETTLED_SKEW * sum(views.values()) / len(views))
