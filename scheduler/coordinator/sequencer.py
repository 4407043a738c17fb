"""The one place where a change gets its number.

Invariant: seqs are gapless from `head_seq + 1`, in the order offered; exactly the last entry of a transaction carries
`txn_last`. A row write is made beside its entry, so log and replica cannot disagree: UPDATE is the whole record,
DELETE a tombstone, and the row's version is the entry's seq.
"""

from __future__ import annotations

from collections.abc import Sequence

from sp00ky.proto.revision import Epoch, Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.v1.common_pb2 import Entry
from sp00ky.scheduler.coordinator.ready import Ready
from sp00ky.scheduler.datastore.datastore import RowWrite

UNSOURCED = (0, 0)


class Sequencer:
    def __init__(self, epoch: Epoch, head_seq: Seq) -> None:
        self._epoch = epoch
        self.head_seq = head_seq

    def sequence_changes(
        self, transactions: Sequence[Sequence[common_pb2.Change]], wall_ms: int, ready: Ready
    ) -> list[Seq]:
        """Number the changes into `ready`; returns the last seq of each transaction."""
        entries, rows, epoch = ready.entries, ready.rows, self._epoch
        seq, lasts = int(self.head_seq), []
        for changes in transactions:
            last = seq + len(changes)
            for change in changes:
                seq += 1
                entries.append(Entry(seq=seq, epoch=epoch, txn_last=seq == last, at_ms=wall_ms, change=change))
                packed = None if change.op == common_pb2.OP_DELETE else change.packed
                stamp = (change.source.epoch, change.source.stamp) if change.HasField("source") else UNSOURCED
                rows.append(RowWrite(change.table, change.key, packed, Seq(seq), stamp))
            lasts.append(Seq(last))
        self.head_seq = Seq(seq)
        return lasts

    def sequence_command(self, entry: Entry, wall_ms: int, ready: Ready, txn_last: bool = True) -> Seq:
        """Number a command (an entry with only its body set); returns its seq."""
        self.head_seq = Seq(self.head_seq + 1)
        entry.seq, entry.epoch, entry.txn_last, entry.at_ms = self.head_seq, self._epoch, txn_last, wall_ms
        ready.entries.append(entry)
        return self.head_seq
