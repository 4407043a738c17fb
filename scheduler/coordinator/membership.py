"""The life of an SSP as the scheduler sees it: six phases, seven signals, one table.

A pair that is absent from TRANSITIONS raises: the coordinator asks only for moves that exist. What each phase means:

* JOINING    said hello for the first time, or lost its place in the log: it has no state we may build on;
* LOADING    has a snapshot revision and pulls its tables; no entries flow;
* REPLAYING  follows the log towards the head as it was when the load ended (or when the stream resumed);
* READY      has caught up: new views are placed on it;
* STALE      its stream is gone; it keeps its views, and may resume, until the heartbeat timeout;
* GONE       no sign of life for the timeout: forgotten, its views move. An SSP that comes back is a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sp00ky.scheduler.errors import SchedulerInvariantError


class Phase(StrEnum):
    JOINING = "joining"
    LOADING = "loading"
    REPLAYING = "replaying"
    READY = "ready"
    STALE = "stale"
    GONE = "gone"


class Signal(StrEnum):
    HELLO_SNAPSHOT = "hello, snapshot"
    HELLO_RESUME = "hello, resume"
    LOADED = "loaded"
    CAUGHT_UP = "caught up"
    STREAM_LOST = "stream lost"
    FELL_BEHIND = "fell behind"
    TIMED_OUT = "timed out"


TRANSITIONS: Mapping[tuple[Phase, Signal], Phase] = {
    (Phase.JOINING, Signal.HELLO_SNAPSHOT): Phase.LOADING,
    (Phase.JOINING, Signal.STREAM_LOST): Phase.STALE,
    (Phase.JOINING, Signal.TIMED_OUT): Phase.GONE,
    (Phase.LOADING, Signal.HELLO_SNAPSHOT): Phase.LOADING,
    (Phase.LOADING, Signal.LOADED): Phase.REPLAYING,
    (Phase.LOADING, Signal.STREAM_LOST): Phase.STALE,
    (Phase.LOADING, Signal.FELL_BEHIND): Phase.JOINING,
    (Phase.LOADING, Signal.TIMED_OUT): Phase.GONE,
    (Phase.REPLAYING, Signal.HELLO_SNAPSHOT): Phase.LOADING,
    (Phase.REPLAYING, Signal.HELLO_RESUME): Phase.REPLAYING,
    (Phase.REPLAYING, Signal.CAUGHT_UP): Phase.READY,
    (Phase.REPLAYING, Signal.STREAM_LOST): Phase.STALE,
    (Phase.REPLAYING, Signal.FELL_BEHIND): Phase.JOINING,
    (Phase.REPLAYING, Signal.TIMED_OUT): Phase.GONE,
    (Phase.READY, Signal.HELLO_SNAPSHOT): Phase.LOADING,
    (Phase.READY, Signal.HELLO_RESUME): Phase.REPLAYING,
    (Phase.READY, Signal.STREAM_LOST): Phase.STALE,
    (Phase.READY, Signal.FELL_BEHIND): Phase.JOINING,
    (Phase.READY, Signal.TIMED_OUT): Phase.GONE,
    (Phase.STALE, Signal.HELLO_SNAPSHOT): Phase.LOADING,
    (Phase.STALE, Signal.HELLO_RESUME): Phase.REPLAYING,
    (Phase.STALE, Signal.TIMED_OUT): Phase.GONE,
}

# The names that /info and /metrics document.
DOCUMENTED: Mapping[Phase, str] = {
    Phase.JOINING: "bootstrapping",
    Phase.LOADING: "bootstrapping",
    Phase.REPLAYING: "replaying",
    Phase.READY: "ready",
    Phase.STALE: "stale",
    Phase.GONE: "stale",
}


def phase_after(phase: Phase, signal: Signal) -> Phase:
    """The phase a signal leads to; raises SchedulerInvariantError for a pair that has no transition."""
    try:
        return TRANSITIONS[(phase, signal)]
    except KeyError:
        raise SchedulerInvariantError(f"an ssp that is {phase} cannot take {signal!r}") from None


def diagram() -> str:
    """The table as text, one line for each phase; README.md shows it and a test keeps it fresh."""
    lines = []
    for phase in Phase:
        moves = [f"{signal} → {after}" for (before, signal), after in TRANSITIONS.items() if before is phase]
        lines.append(f"{phase:<10} {' · '.join(moves) or '(forgotten)'}")
    return "\n".join(lines)
