"""The one place where a change gets its number.

Invariant: seqs are gapless from `head_seq + 1`, in the order offered; exactly the last entry of a transaction carries
`txn_last`. A row write is made beside its entry, so log and replica cannot disagree: UPDATE is the whole record,
DELETE a tombstone, and the row's version is the entry's seq.
"""

from __future__ import annotations

from collections.abc import Sequence

from sp00ky.proto.revision import Epoch, Seq
from sp00ky.proto.v1.common_pb2 import Entry
from sp00ky.scheduler.changes import CanonicalChange
from sp00ky.scheduler.coordinator.ready import Ready
from sp00ky.scheduler.datastore.datastore import RowWrite
from sp00ky.scheduler.entries import CHANGE, Headers, header, length


class Sequencer:
    def __init__(self, epoch: Epoch, head_seq: Seq) -> None:
        self._epoch = epoch
        self.head_seq = head_seq

    def sequence_changes(
        self, transactions: Sequence[Sequence[CanonicalChange]], wall_ms: int, ready: Ready
    ) -> list[Seq]:
        """Number the changes into `ready`; returns the last seq of each transaction."""
        seq, lasts = int(self.head_seq), list[Seq]()
        ready.entries.starts_at(seq + 1)
        put, put_row, join = ready.entries.encoded.append, ready.rows.append, b"".join
        headers = Headers(seq + 1, self._epoch, wall_ms)
        for changes in transactions:
            last = seq + len(changes)
            for change in changes:
                seq += 1
                low = seq & 0x7F
                if not low:
                    headers = Headers(seq, self._epoch, wall_ms)
                rest, data = headers.ending if seq == last else headers.inner, change.encoded
                put(join((headers.opening[low], rest, CHANGE, length(data), data)))
                put_row(RowWrite(change.table, change.key, change.packed, Seq(seq), change.stamp))
            lasts.append(Seq(last))
        self.head_seq = Seq(seq)
        return lasts

    def sequence_command(self, entry: Entry, wall_ms: int, ready: Ready, txn_last: bool = True) -> Seq:
        """Number a command (an entry with only its body set); returns its seq."""
        seq = self.head_seq = Seq(self.head_seq + 1)
        entries = ready.entries
        entries.starts_at(seq)
        ready.commands.append(entry)
        entries.encoded.append(header(seq, self._epoch, txn_last, wall_ms) + entry.SerializeToString())
        return seq
