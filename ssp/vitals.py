"""What an SSP says of itself: its heartbeat, at its interval, and at once when memory becomes short or is so no more.

The scheduler places and moves views by the last one, so one that is late costs an SSP that fills up its life.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import psutil
from sp00ky.proto.memory import Memory
from sp00ky.proto.pressure import Pressure
from sp00ky.proto.v1 import replication_pb2
from sp00ky.ssp.edges.writer import EdgeWriter
from sp00ky.ssp.engine.engine import Engine

LOOK_SECONDS: Final = 0.25  # between two looks at the memory
CLOCK_SECONDS: Final = 0.001  # what is left of a sleep that is over


class Vitals:
    def __init__(self, engine: Engine, edges: EdgeWriter, memory: Memory, interval_s: float) -> None:
        self._engine, self._edges, self._memory = engine, edges, memory
        self._interval_s = interval_s
        self._said: Pressure | None = None  # None: nothing yet, on this stream
        self._process = psutil.Process()
        self._process.cpu_percent()

    def welcomed(self) -> None:
        """The scheduler knows nothing of us, or only what was."""
        self._said = None

    def heartbeat(self, written_seq: int) -> replication_pb2.Heartbeat:
        self._said = self._memory.measure()
        return replication_pb2.Heartbeat(
            views=self._engine.view_count,
            cpu_ratio=self._process.cpu_percent() / 100,
            memory_bytes=self._memory.bytes,
            memory_bytes_max=self._memory.bytes_max,
            applied_seq=self._engine.applied_seq,
            written_seq=written_seq,
            edges_written=self._edges.owed.edges_written,
            views_failed=self._engine.views_by_state().get("failed", 0),
        )

    async def until_due(self) -> None:
        due = time.monotonic() + self._interval_s
        while (left := due - time.monotonic()) > CLOCK_SECONDS:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            if self._memory.measure() is not self._said:
                return
