"""What every engine checks before it writes or reads, so that no engine can be laxer than another.

Invariant: an append is admitted only if its epoch is the newest taken and its `expected_head` is the head; its entries
are then numbered gaplessly from the head, and each row write belongs to one of them. A read names a revision in
[floor, head]; the log is read after a seq in [log floor - 1, head].
"""

from __future__ import annotations

from typing import Protocol

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Seq
from sp00ky.scheduler.datastore.datastore import Append


class Bounds(Protocol):
    """The part of a datastore that says which seqs it holds."""

    @property
    def head_seq(self) -> Seq: ...
    @property
    def floor_seq(self) -> Seq: ...
    @property
    def log_floor_seq(self) -> Seq: ...


def admit_append(append: Append, head: Seq, epoch: Epoch) -> None:
    """Raises Fault(FENCED) unless this writer is the newest and has seen the head; asserts the numbering."""
    if append.epoch != epoch:
        raise Fault(Code.FENCED, f"epoch {append.epoch} was overtaken by epoch {epoch}", "another scheduler took over")
    if append.expected_head != head:
        raise Fault(Code.FENCED, f"head is {head}, the writer expected {append.expected_head}", "read the head again")
    for seq, entry in enumerate(append.entries, head + 1):
        assert entry.seq == seq, f"entry {entry.seq} where {seq} was due"
    last = head + len(append.entries)
    for row in append.rows:
        assert head < row.seq <= last, f"row write of seq {row.seq} outside of its append ({head}, {last}]"


def admit_read(at: Seq | None, bounds: Bounds) -> Seq:
    """The revision to read; raises Fault(REVISION_GONE) outside of [floor, head]."""
    if at is None:
        return bounds.head_seq
    if at < bounds.floor_seq:
        raise Fault(
            Code.REVISION_GONE, f"revision {at} is below the oldest kept, {bounds.floor_seq}", "read a newer one"
        )
    if at > bounds.head_seq:
        raise Fault(Code.REVISION_GONE, f"revision {at} is above the head, {bounds.head_seq}", "it is of a lost branch")
    return at


def admit_log_read(after: Seq, bounds: Bounds) -> None:
    """Raises Fault(REVISION_GONE) if the entry after `after` was trimmed, or `after` never existed here."""
    if after + 1 < bounds.log_floor_seq:
        message = f"log begins at {bounds.log_floor_seq}, entry {after + 1} is gone"
        raise Fault(Code.REVISION_GONE, message, "load a snapshot")
    if after > bounds.head_seq:
        raise Fault(Code.REVISION_GONE, f"seq {after} is above the head, {bounds.head_seq}", "it is of a lost branch")
