"""Room in front of the commit loop: how much may wait for its commit, who is refused, and whose turn it is.

Everything waits in one queue, in the order it came; this decides what may come. Work is of four kinds:

    kind           who                                              when there is no room
    changes        callers of Ingest; streams                       refused; wait, so their flow control holds callers
    captured       the capture                                      waits
    commands       renewals of known views, unregistering, drains   refused
    registrations  views that are new                               refused, and from REGISTRATIONS_SHARE of the room on

So live work goes on where new work is refused: a renewal finds room as long as there is any, a new view only while
half of it is free, and only so many of them at once.

Invariant: what waits is at most `changes_max` changes (a command counts as one) and `bytes_max` bytes, except that what
is larger than all of it is taken when no other changes wait. Who waits for room is passed by no other changes; the
capture and the streams take turns, and of the streams who came first goes first, so neither starves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum
from typing import Final, NamedTuple

from sp00ky.scheduler import errors

REGISTRATIONS_SHARE: Final = 0.5


class Work(StrEnum):
    CHANGES = "changes"
    CAPTURED = "captured"
    COMMANDS = "commands"
    REGISTRATIONS = "registrations"


class Claim(NamedTuple):
    """A part of the room: `changes`: how many, or how many commands, and their bytes."""

    work: Work
    changes: int
    size: int = 0


class _Waiter(NamedTuple):
    claim: Claim
    granted: asyncio.Future[None]


class Room:
    def __init__(self, changes_max: int, bytes_max: int, registrations_max: int) -> None:
        self.changes_max, self.bytes_max, self.registrations_max = changes_max, bytes_max, registrations_max
        self.depth = dict.fromkeys(Work, 0)
        self.refused = dict.fromkeys(Work, 0)
        self.bytes = 0
        self._lanes: dict[Work, deque[_Waiter]] = {Work.CAPTURED: deque(), Work.CHANGES: deque()}
        self._is_open = True

    @property
    def changes(self) -> int:
        """Changes that wait for their commit."""
        return self.depth[Work.CHANGES] + self.depth[Work.CAPTURED]

    @property
    def waiting(self) -> int:
        """Offers that wait for room."""
        return sum(map(len, self._lanes.values()))

    def take(self, claim: Claim) -> None:
        """Room for this at once. Raises Fault OVERLOADED."""
        if not self._admits(claim):
            self.refused[claim.work] += claim.changes
            if claim.work is Work.REGISTRATIONS:
                raise errors.registrations_overloaded(self.depth[Work.REGISTRATIONS], self.registrations_max)
            raise errors.overloaded(self.changes, self.changes_max, self.bytes, self.bytes_max)
        self._hold(claim)

    async def take_in_turn(self, claim: Claim) -> None:
        """Room for this, of changes, when its turn has come; at once when the room is closed."""
        if self._admits(claim):
            self._hold(claim)
            return
        waiter = _Waiter(claim, asyncio.get_running_loop().create_future())
        self._lanes[claim.work].append(waiter)
        self._grant()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter in self._lanes[claim.work]:
                self._lanes[claim.work].remove(waiter)
                self._grant()  # those behind it may fit
            elif not waiter.granted.cancelled():
                self.give_back([claim])
            raise

    def give_back(self, claims: list[Claim]) -> None:
        """This much waits no longer."""
        for work, changes, size in claims:
            self.depth[work] -= changes
            self.bytes -= size
        self._grant()

    def close(self) -> None:
        """Hold nobody any more: what comes now is refused for another reason."""
        self._is_open = False
        self._grant()

    def metrics(self) -> dict[str, float]:
        return {
            "ingest_queue_max": self.changes_max,
            "ingest_queue_bytes": self.bytes,
            "ingest_queue_bytes_max": self.bytes_max,
            "ingest_waiting": self.waiting,
            "registrations_inflight_max": self.registrations_max,
            **{f"queued_{work}": depth for work, depth in self.depth.items()},
            **{f"refused_{work}": count for work, count in self.refused.items()},
        }

    def _admits(self, claim: Claim) -> bool:
        match claim.work:
            case Work.REGISTRATIONS:
                spare = self.depth[Work.REGISTRATIONS] < self.registrations_max
                return spare and self._fits(claim, REGISTRATIONS_SHARE) and not self.waiting
            case Work.COMMANDS:
                return self._fits(claim)
            case _:
                return not claim.changes or (self._fits(claim) and not self.waiting)

    def _fits(self, claim: Claim, share: float = 1.0) -> bool:
        held = sum(self.depth.values())
        fits = held + claim.changes <= self.changes_max * share and self.bytes + claim.size <= self.bytes_max * share
        is_larger = claim.changes > self.changes_max or claim.size > self.bytes_max
        before = self.changes if is_larger else held  # commands come all the time: nothing could wait for their end
        return fits or not before or not self._is_open

    def _hold(self, claim: Claim) -> None:
        self.depth[claim.work] += claim.changes
        self.bytes += claim.size

    def _grant(self) -> None:
        """Let in who waits, one of each lane in turn, until the next one does not fit."""
        while self.waiting:
            work, lane = next((work, lane) for work, lane in self._lanes.items() if lane)
            if not self._fits(lane[0].claim):
                return
            waiter = lane.popleft()
            if waiter.granted.cancelled():
                continue
            self._hold(waiter.claim)
            waiter.granted.set_result(None)
            self._lanes[work] = self._lanes.pop(work)  # the other lane is next
