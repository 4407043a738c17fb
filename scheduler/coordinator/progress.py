"""How far one SSP has come along the log: what it holds, what was sent, how much more it may be sent.

Invariant: 0 ≤ acked < next ≤ head + 1 and 0 ≤ inflight ≤ credit, where `head` is the durable head. `acked` is what the
SSP says is in its circuit, `next` the first entry not yet sent to it. Credit counts frames, not bytes, because gRPC's
own flow control lets thousands of small messages run ahead of a slow reader.

Source: raft's tracker.Progress, with the transitions inside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sp00ky.proto.revision import Seq
from sp00ky.scheduler.errors import SchedulerInvariantError

CREDIT_FRAMES_MAX = 64


@dataclass(slots=True)
class Progress:
    acked_seq: Seq
    next_seq: Seq
    credit_frames: int
    inflight_frames: int = 0
    flowing: bool = False  # entries may be sent: the snapshot is in, or the stream resumed

    @classmethod
    def at(cls, seq: Seq, credit_frames: int, flowing: bool) -> Progress:
        """An SSP that holds everything up to `seq`."""
        return cls(seq, Seq(seq + 1), max(1, min(credit_frames, CREDIT_FRAMES_MAX)), 0, flowing)

    def sendable(self, head_seq: Seq) -> bool:
        return self.flowing and self.inflight_frames < self.credit_frames and self.next_seq <= head_seq

    def sent_to(self, seq: Seq, head_seq: Seq) -> None:
        """One frame was sent, up to and with `seq`."""
        if not self.sendable(head_seq) or seq < self.next_seq:
            raise SchedulerInvariantError(f"a frame up to {seq} was sent against {self}")
        self.next_seq = Seq(seq + 1)
        self.inflight_frames += 1
        self.check(head_seq)

    def maybe_acked_to(self, seq: Seq, frames: int, head_seq: Seq) -> bool:
        """Take an acknowledgement; False if it names what was never sent or returns credit never taken."""
        if seq >= self.next_seq or frames > self.inflight_frames:
            return False
        self.acked_seq = max(self.acked_seq, seq)
        self.inflight_frames -= frames
        self.check(head_seq)
        return True

    def check(self, head_seq: Seq) -> None:
        ordered = 0 <= self.acked_seq < self.next_seq <= head_seq + 1
        if not ordered or not 0 <= self.inflight_frames <= self.credit_frames:
            raise SchedulerInvariantError(f"{self} against head {head_seq}")
