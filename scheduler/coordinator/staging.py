"""What one group of events has come to so far: numbers given out, writes staged, answers promised.

Invariant: whatever is staged goes into one commit, and no answer staged with it leaves before that commit is durable.
"""

from __future__ import annotations

from sp00ky.proto.faults import Fault
from sp00ky.proto.revision import Epoch, Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.coordinator.ready import Ready, Reply, SessionEnded, SspWelcomed
from sp00ky.scheduler.coordinator.sequencer import Sequencer
from sp00ky.scheduler.datastore.datastore import MetaWrite, PinWrite

CUT_MS = 20  # the least time between two cuts: so often is who watches views shown what has changed


class Staging:
    def __init__(self, epoch: Epoch, head_seq: Seq, now_ms: int) -> None:
        self.sequencer = Sequencer(epoch, head_seq)
        self.ready = Ready()
        self.now_ms, self.wall_ms = now_ms, 0  # of the last tick: monotonic for timeouts, unix for people
        self.durable_seq = head_seq
        self._cut_ms = now_ms - CUT_MS

    @property
    def head_seq(self) -> Seq:
        return self.sequencer.head_seq

    def drain(self) -> Ready:
        drained, self.ready = self.ready, Ready()
        if drained.entries and self.now_ms - self._cut_ms >= CUT_MS:
            drained.entries.cut()
            self._cut_ms = self.now_ms
        return drained

    def command(self, entry: common_pb2.Entry, txn_last: bool = True) -> Seq:
        """Number a command (an entry with only its body set)."""
        return self.sequencer.sequence_command(entry, self.wall_ms, self.ready, txn_last)

    def keep(self, meta: MetaWrite) -> None:
        self.ready.meta.append(meta)

    def pin(self, owner: str, at: Seq | None, ttl_ms: int = 0) -> None:
        self.ready.pins.append(PinWrite(owner, at, ttl_ms))

    def reply(self, ticket: int, seq: Seq) -> None:
        self.ready.replies.append(Reply(ticket, seq))

    def refuse(self, ticket: int, fault: Fault) -> None:
        self.ready.replies.append(Reply(ticket, self.head_seq, fault))

    def welcome(self, welcomed: SspWelcomed) -> None:
        self.ready.welcomed.append(welcomed)

    def end(self, ended: SessionEnded) -> None:
        self.ready.ended.append(ended)
