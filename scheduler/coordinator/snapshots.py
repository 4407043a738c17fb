"""At which revision an SSP loads: its own incarnation, or one that others load at already.

SSPs that say hello within a quantum of the first share that one's revision, so that the pages of N loads are read from
the store once. It must still be readable, and the log after it retained.
"""

from __future__ import annotations

from sp00ky.proto.revision import Seq
from sp00ky.scheduler.coordinator.events import NO_SEQ


class Snapshots:
    def __init__(self, quantum_ms: int) -> None:
        """0: each SSP loads at its own incarnation."""
        self._quantum_ms = quantum_ms
        self._at_seq = NO_SEQ
        self._since_ms = 0

    def seq_for(self, incarnation: Seq, now_ms: int, floor_seq: Seq, log_floor_seq: Seq) -> Seq:
        """The revision for an SSP that joins as `incarnation`."""
        shared = (
            self._at_seq
            and now_ms - self._since_ms < self._quantum_ms
            and self._at_seq >= floor_seq
            and self._at_seq + 1 >= log_floor_seq
        )
        if not shared:
            self._at_seq, self._since_ms = incarnation, now_ms
        return self._at_seq

    def forget(self, at_seq: Seq) -> None:
        """The revision turned out to be gone: nobody else is sent there."""
        if self._at_seq == at_seq:
            self._at_seq = NO_SEQ
