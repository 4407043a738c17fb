"""Which SSP a view goes to. A policy is a function from the ready SSPs to one of them; ties go to the smaller id.

`round_robin` walks the ids in order, starting after the last one chosen, so that an SSP that comes or goes does not
shift the others' turns. `least_queries` counts views owned now. `least_load` adds the CPU ratio to the share of the
largest memory among the candidates, both from the last heartbeat; without heartbeats it is `least_queries`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sp00ky.scheduler.errors import SchedulerInvariantError


class Candidate(NamedTuple):
    """A ready SSP: views it owns, and what its last heartbeat said."""

    ssp_id: str
    views: int
    cpu_ratio: float = 0.0
    memory_bytes: int = 0


def round_robin(candidates: Sequence[Candidate], last_ssp_id: str) -> str:
    ids = sorted(candidate.ssp_id for candidate in candidates)
    return next((ssp_id for ssp_id in ids if ssp_id > last_ssp_id), ids[0])


def least_queries(candidates: Sequence[Candidate], last_ssp_id: str) -> str:
    return min(candidates, key=lambda candidate: (candidate.views, candidate.ssp_id)).ssp_id


def least_load(candidates: Sequence[Candidate], last_ssp_id: str) -> str:
    largest = max(candidate.memory_bytes for candidate in candidates) or 1

    def load(candidate: Candidate) -> tuple[float, int, str]:
        return (candidate.cpu_ratio + candidate.memory_bytes / largest, candidate.views, candidate.ssp_id)

    return min(candidates, key=load).ssp_id


POLICIES: Mapping[str, Callable[[Sequence[Candidate], str], str]] = {
    "round_robin": round_robin,
    "least_queries": least_queries,
    "least_load": least_load,
}


def pick(policy: str, candidates: Sequence[Candidate], last_ssp_id: str = "") -> str:
    """The SSP for the next view. `candidates` is not empty."""
    if not candidates:
        raise SchedulerInvariantError("a view is to be placed and no ssp is ready")
    return POLICIES[policy](candidates, last_ssp_id)
