"""The life of a view on this SSP, as one table.

            ┌──────────────── REPLANNED ────────────────┐
            ▼                                           │
        PENDING ──HYDRATED──▶ LIVE ──OVERTAKEN──▶ LAGGING
            │                 ▲  ▲──────SETTLED────────┘ │
            └──BROKE──▶ FAILED ◀───────BROKE─────────────┘
                          └──HYDRATED──▶ LIVE

What the table does not hold does not happen: `after` raises, and the process restarts from the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    PENDING = "pending"  # its tables are being loaded, or its first run is under way
    LIVE = "live"
    LAGGING = "lagging"  # re-evaluated, and its tables change faster than it can be run, or it cannot be run now
    FAILED = "failed"  # quarantined: see its error


class Signal(StrEnum):
    HYDRATED = "hydrated"  # it has a result that is exact at a revision
    REPLANNED = "replanned"  # the schema, or its query, changed: it starts over
    OVERTAKEN = "overtaken"  # its tables changed during each of several runs
    SETTLED = "settled"  # a run was not overtaken
    BROKE = "broke"  # it cannot be evaluated


TRANSITIONS: Final[Mapping[tuple[State, Signal], State]] = MappingProxyType(
    {
        (State.PENDING, Signal.HYDRATED): State.LIVE,
        (State.PENDING, Signal.REPLANNED): State.PENDING,
        (State.PENDING, Signal.OVERTAKEN): State.LAGGING,
        (State.PENDING, Signal.BROKE): State.FAILED,
        (State.LIVE, Signal.REPLANNED): State.PENDING,
        (State.LIVE, Signal.OVERTAKEN): State.LAGGING,
        (State.LIVE, Signal.SETTLED): State.LIVE,
        (State.LIVE, Signal.BROKE): State.FAILED,
        (State.LAGGING, Signal.REPLANNED): State.PENDING,
        (State.LAGGING, Signal.OVERTAKEN): State.LAGGING,
        (State.LAGGING, Signal.SETTLED): State.LIVE,
        (State.LAGGING, Signal.BROKE): State.FAILED,
        (State.FAILED, Signal.HYDRATED): State.LIVE,
        (State.FAILED, Signal.REPLANNED): State.PENDING,
        (State.FAILED, Signal.OVERTAKEN): State.LAGGING,
        (State.FAILED, Signal.BROKE): State.FAILED,
    }
)


class BadTransition(AssertionError):
    """A signal that the table does not hold in this state: our own mistake."""


def after(state: State, signal: Signal) -> State:
    """The state that follows; raises BadTransition."""
    try:
        return TRANSITIONS[state, signal]
    except KeyError:
        raise BadTransition(f"a {state} view cannot be {signal}") from None
