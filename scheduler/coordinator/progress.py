"""How far one SSP has come along the log: what it holds, what was sent, how much more it may be sent.

Invariant: 0 ≤ acked < next ≤ head + 1; the frames in flight are within every limit of the credit (frames, entries,
bytes), or there is one frame only. `acked` is what the SSP says is in its circuit, `next` the first entry not yet sent
to it, `taken` the last one of a frame that it has given the credit back for: it is ahead of `acked` while a
transaction larger than a frame comes in. Credit counts frames and entries too, because gRPC's own flow control lets
thousands of small messages run ahead of a slow reader.

Source: raft's tracker.Progress, with the transitions inside it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import replication_pb2
from sp00ky.scheduler.errors import SchedulerInvariantError

CREDIT_FRAMES_MAX = 64
CREDIT_ENTRIES_MAX = 65_536
CREDIT_BYTES_MAX = 64 * 1024 * 1024


class Credit(NamedTuple):
    """What may be in flight; a frame that alone is larger goes alone."""

    frames: int
    entries: int = CREDIT_ENTRIES_MAX
    bytes: int = CREDIT_BYTES_MAX


class Sent(NamedTuple):
    """A frame in flight."""

    last_seq: Seq
    entries: int
    bytes: int


def credit_of(hello: replication_pb2.Hello) -> Credit:
    """What an SSP asks for, within our own limits; 0 is the limit."""
    return Credit(
        max(1, min(hello.credit, CREDIT_FRAMES_MAX)),
        min(hello.credit_entries or CREDIT_ENTRIES_MAX, CREDIT_ENTRIES_MAX),
        min(hello.credit_bytes or CREDIT_BYTES_MAX, CREDIT_BYTES_MAX),
    )


@dataclass(slots=True)
class Progress:
    acked_seq: Seq
    next_seq: Seq
    credit: Credit
    taken_seq: Seq
    flowing: bool = False  # entries may be sent: the snapshot is in, or the stream resumed
    inflight: deque[Sent] = field(default_factory=deque)
    inflight_entries: int = 0
    inflight_bytes: int = 0

    @classmethod
    def at(cls, seq: Seq, credit: Credit, flowing: bool) -> Progress:
        """An SSP that holds everything up to `seq`."""
        return cls(seq, Seq(seq + 1), credit, seq, flowing)

    @property
    def inflight_frames(self) -> int:
        return len(self.inflight)

    def sendable(self, head_seq: Seq) -> bool:
        """Whether there is an entry to send, and credit for the smallest frame."""
        return self.flowing and self.next_seq <= head_seq and self.has_room(1, 0)

    def has_room(self, entries: int, size: int) -> bool:
        """Whether a frame may follow those in flight."""
        return not self.inflight or (
            len(self.inflight) < self.credit.frames
            and self.inflight_entries + entries <= self.credit.entries
            and self.inflight_bytes + size <= self.credit.bytes
        )

    def sent_to(self, seq: Seq, size: int, head_seq: Seq) -> None:
        """One frame was sent, up to and with `seq`, of `size` bytes."""
        entries = seq - self.next_seq + 1
        if not self.sendable(head_seq) or entries < 1 or not self.has_room(entries, size):
            raise SchedulerInvariantError(f"a frame of {size} bytes up to {seq} was sent against {self}")
        self.next_seq = Seq(seq + 1)
        self.inflight.append(Sent(seq, entries, size))
        self.inflight_entries += entries
        self.inflight_bytes += size
        self.check(head_seq)

    def maybe_acked_to(self, seq: Seq, frames: int, head_seq: Seq) -> bool:
        """Take an acknowledgement; False if it names what was never sent or returns credit never taken."""
        if seq >= self.next_seq or frames > len(self.inflight):
            return False
        self.acked_seq = max(self.acked_seq, seq)
        for _ in range(frames):
            sent = self.inflight.popleft()
            self.inflight_entries -= sent.entries
            self.inflight_bytes -= sent.bytes
            self.taken_seq = sent.last_seq
        self.check(head_seq)
        return True

    def check(self, head_seq: Seq) -> None:
        ordered = 0 <= self.acked_seq < self.next_seq <= head_seq + 1
        over = self.inflight_entries > self.credit.entries or self.inflight_bytes > self.credit.bytes
        counted = len(self.inflight) <= self.credit.frames and (len(self.inflight) <= 1 or not over)
        if not ordered or not counted:
            raise SchedulerInvariantError(f"{self} against head {head_seq}")
