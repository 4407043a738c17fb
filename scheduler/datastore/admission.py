"""What every engine checks before it writes or reads, so that no engine can be laxer than another.

Invariant: an append is admitted only if its epoch is the newest taken and its `expected_head` is the head; its entries
are then numbered gaplessly from the head, and each row write belongs to one of them. A read names a revision in
[floor, head]; the log is read after a seq in [log floor - 1, head]. A token is taken back only if this store handed it
out on the branch it still follows.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final, Protocol

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Revision, Seq, StoreId, parse_revision
from sp00ky.scheduler.datastore.datastore import Append
from sp00ky.scheduler.datastore.retained import Retained
from sp00ky.scheduler.entries import EncodedEntries

_seq_of: Final = attrgetter("seq")


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
    entries = EncodedEntries.of(append.entries)
    assert not entries.encoded or entries.first_seq == head + 1, f"entry {entries.first_seq} where {head + 1} was due"
    last = head + len(entries.encoded)
    for seq in {min(map(_seq_of, append.rows)), max(map(_seq_of, append.rows))} if append.rows else ():
        assert head < seq <= last, f"row write of seq {seq} outside of its append ({head}, {last}]"
    for pin in append.pins:
        assert pin.at is None or pin.at <= last, f"pin of {pin.owner} at {pin.at} above its append's head, {last}"


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


def admit_revision(token: str, store: StoreId, synced: Seq, retained: Retained, *, readable: bool) -> Seq:
    """The seq that a token names here. `readable`: it must still be retained, as an exact read needs it.

    Raises Fault, its details' `reason` one of: garbage (INVALID); foreign, lost_branch, future, trimmed (REVISION_GONE,
    with the tokens `floor` and `head` of what can be read instead)."""
    try:
        revision = parse_revision(token)
    except Fault as fault:
        raise Fault(fault.code, fault.message, fault.hint, {"reason": "garbage"}) from None
    newest = max(retained.epochs, default=Epoch(0))
    facts = {
        "floor": str(Revision(store, newest, retained.floor)),
        "head": str(Revision(store, newest, synced)),
    }
    if revision.store != store:
        message, hint = f"revision {token} belongs to another store", f"this store is {store}"
        raise Fault(Code.REVISION_GONE, message, hint, {"reason": "foreign", **facts})
    end = retained.branch_end(revision.epoch, synced)
    if end is None or (revision.seq > end and revision.epoch != newest):
        message, hint = f"revision {token} is of a branch that was lost", "read again without it"
        raise Fault(Code.REVISION_GONE, message, hint, {"reason": "lost_branch", **facts})
    if revision.seq > synced:
        message, hint = f"revision {token} is above the head", "pass back a token that a write returned"
        raise Fault(Code.REVISION_GONE, message, hint, {"reason": "future", **facts})
    if readable and revision.seq < retained.floor:
        message, hint = f"revision {token} is no longer retained", "read between floor and head"
        raise Fault(Code.REVISION_GONE, message, hint, {"reason": "trimmed", **facts})
    return revision.seq
