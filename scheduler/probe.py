"""How long a write takes through the whole mesh, measured by making one.

    SurrealDB ─stored▶ changefeed ─captured▶ log, fsynced ─applied▶ every SSP's circuits ─written▶ its edges
        ▲ _00_probe:⟨store⟩ = turn                                     └── acknowledgements, as of any entry

Once an interval the scheduler writes the number of a turn into a record of its own, and sees it come back as an entry
of the log like any other; what an SSP acknowledges at or above that entry has taken the turn's whole way. The record is
in a table of the mesh's own, which no view reads and no user sees.

Cost of a turn: one request to SurrealDB, one log entry with its fsync, one frame to each SSP. Nothing waits for a turn;
one that cannot be written, or is not seen before the next, is counted and named in the status, and that is all.

Invariant: at most one turn is awaited; what is seen of an older one says nothing. A lag that is told is never smaller
than the time that an SSP has been waited for already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Fault
from sp00ky.proto.measures import Distribution
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import admin_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.scheduler.capture.feed import PROBE_TABLE

WRITE_SECONDS_MAX: Final = 5.0
STAGES: Final = ("stored", "captured", "applied", "written")
_WRITE: Final = "UPSERT $id SET turn = $turn RETURN NONE"


@dataclass(slots=True)
class Lag:
    """Of one SSP: of the last turn it has seen, and since when it is awaited; seconds."""

    applied: float = 0.0
    written: float = 0.0
    applies_since: float | None = None
    writes_since: float | None = None


@dataclass(slots=True)
class Turn:
    number: int = 0
    begun: float = 0.0
    seq: Seq | None = None  # once captured
    seconds: dict[str, float] = field(default_factory=dict)  # of the stages before the SSPs


class LagProbe:
    """`followers`: the SSPs that are ready and on a stream now, with the seq that each holds; `waits_for`: why there is
    no use in a turn now, empty if there is."""

    def __init__(
        self,
        database: Database,
        store_id: str,
        interval_ms: int,
        *,
        followers: Callable[[], dict[str, Seq]],
        waits_for: Callable[[], str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval_ms = interval_ms
        self._database, self._id = database, RecordId(PROBE_TABLE, store_id)
        self._followers, self._waits_for, self._now = followers, waits_for, now
        self._turn = Turn()
        self._lags: dict[str, Lag] = {}
        self._detail = "no turn has begun yet" if interval_ms else "the probe is off"
        self._sent = self._failures = 0
        self._seconds = {stage: Distribution() for stage in STAGES}

    async def run(self) -> None:
        """Until cancelled, a turn every interval; not at all if that is 0."""
        while self.interval_ms:
            await asyncio.sleep(self.interval_ms / 1000)
            self.end_turn()
            reason = self._waits_for()
            if reason:
                self._detail = reason
            else:
                await self.begin_turn()

    # --- a turn ------------------------------------------------------------------------------------------------------

    async def begin_turn(self) -> None:
        """Write the next turn. What goes wrong is told by the status."""
        turn = self._turn = Turn(self._turn.number + 1, self._now())
        followers = self._followers()
        self._lags = {ssp_id: self._lags.get(ssp_id, Lag()) for ssp_id in followers}
        for lag in self._lags.values():
            lag.applies_since = lag.applies_since or turn.begun
            lag.writes_since = lag.writes_since or turn.begun
        self._detail = f"turn {turn.number} is on its way"
        try:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await self._database.query(_WRITE, {"id": self._id, "turn": turn.number})
        except (Fault, TimeoutError) as error:
            self._failures += 1
            self._detail = f"turn {turn.number} could not be written: {error or 'SurrealDB does not answer'}"
            return
        self._sent += 1
        self._reached(turn, "stored")

    def end_turn(self) -> None:
        """The next one is due: what this one was not seen by, it is counted as missing."""
        turn = self._turn
        missing = self._missing(turn)
        if "stored" in turn.seconds and missing:
            self._failures += 1
            self._detail = f"turn {turn.number} was not {missing}"

    def captured(self, number: int, seq: Seq) -> None:
        """The turn is the entry `seq` of the log, durable."""
        turn = self._turn
        if number != turn.number or turn.seq is not None:
            return
        turn.seq = seq
        self._reached(turn, "captured")
        for ssp_id, acked in self._followers().items():
            self.acked(ssp_id, acked, 0)

    def acked(self, ssp_id: str, applied: int, written: int) -> None:
        """An SSP holds everything up to `applied`, and has written the edges up to `written`."""
        turn, lag = self._turn, self._lags.get(ssp_id)
        if turn.seq is None or lag is None or lag.writes_since is None:
            return
        seconds = self._now() - turn.begun
        if applied >= turn.seq and lag.applies_since is not None:
            lag.applied, lag.applies_since = seconds, None
            self._seconds["applied"].observe(seconds)
        if written >= turn.seq:
            lag.written, lag.writes_since = seconds, None
            self._seconds["written"].observe(seconds)
        if not self._missing(turn):
            self._detail = ""

    def _reached(self, turn: Turn, stage: str) -> None:
        turn.seconds[stage] = self._now() - turn.begun
        self._seconds[stage].observe(turn.seconds[stage])
        if not self._missing(turn):
            self._detail = ""

    def _missing(self, turn: Turn) -> str:
        """Where the turn has not been seen; empty if it has been everywhere."""
        if turn.seq is None:
            return "captured"
        gone = self._lags.keys() - self._followers().keys()
        behind = [ssp_id for ssp_id, lag in self._lags.items() if lag.writes_since is not None and ssp_id not in gone]
        return f"seen back from {', '.join(sorted(behind)[:3])}" if behind else ""

    # --- what is told of it ------------------------------------------------------------------------------------------

    def lag_of(self, ssp_id: str) -> float:
        """Seconds; 0: no turn has come to this SSP yet."""
        return self._applied(self._lags[ssp_id]) if ssp_id in self._lags else 0.0

    def _applied(self, lag: Lag) -> float:
        return max(lag.applied, self._now() - lag.applies_since if lag.applies_since is not None else 0.0)

    def _written(self, lag: Lag) -> float:
        return max(lag.written, self._now() - lag.writes_since if lag.writes_since is not None else 0.0)

    def status(self) -> admin_pb2.LagStatus:
        turn, lags = self._turn, self._lags.values()
        return admin_pb2.LagStatus(
            interval_ms=self.interval_ms,
            turn=turn.number,
            age_seconds=self._now() - turn.begun if turn.number else 0.0,
            stored_seconds=turn.seconds.get("stored", 0.0),
            captured_seconds=turn.seconds.get("captured", 0.0),
            applied_seconds=max(map(self._applied, lags), default=0.0),
            written_seconds=max(map(self._written, lags), default=0.0),
            detail=self._detail,
        )

    def metrics(self) -> dict[str, float]:
        return {"probes_sent": self._sent, "probes_failed": self._failures}

    def distributions(self) -> Sequence[admin_pb2.Distribution]:
        name = "spky_end_to_end_lag_seconds"
        return [self._seconds[stage].message(name, stage=stage) for stage in STAGES]
