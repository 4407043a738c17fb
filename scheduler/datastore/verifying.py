"""What opening checks of a store: that its log ends at its head, and that what damage could have touched is whole.

The write-ahead log is the only file without checksums that RocksDB checks on every read, and it is small; so the newest
entries, as many as it can hold, are read and their checksums compared. Older ones are checked when they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq, StoreId
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore.opening import Files, fault_of_disk
from sp00ky.scheduler.datastore.state import StoredState

_VERIFY_BYTES_MAX: Final = 128 * 1024 * 1024


def verify_owner(state: StoredState, owners: Sequence[StoreId], wal_path: object, name: str) -> None:
    """Raises Fault(INVALID) if the write-ahead log that was replayed is another store's."""
    if state.store_id not in owners:
        message = f"wal directory {wal_path} belongs to store {' '.join(owners)}, {name} is {state.store_id}"
        raise Fault(Code.INVALID, message, "give the wal path that the replica was made with")


def verify_tail(files: Files, state: StoredState, name: str) -> None:
    """Raises Fault(DATA_LOSS) unless the log ends at the head and its recent entries are whole and gapless."""
    due, size, begin = state.head, 0, state.log_floor - 1
    iterator = files.log.iter()
    iterator.seek_to_last()
    while due > begin and size < _VERIFY_BYTES_MAX:
        seq = layout.unpack_seq(iterator.key()) if iterator.valid() else begin
        if seq != due:
            message = f"log of {name} holds entry {seq} where {due} was due"
            raise Fault(Code.DATA_LOSS, message, layout.RESTORE_HINT)
        size += len(layout.log_entry(iterator.key(), iterator.value()))
        due = Seq(due - 1)
        iterator.prev()
    if due == begin and iterator.valid():
        message = f"log of {name} holds entries outside of its bounds, {state.log_floor} to {state.head}"
        raise Fault(Code.DATA_LOSS, message, layout.RESTORE_HINT)
    try:
        iterator.status()
    except Exception as error:
        raise fault_of_disk(name, str(error)) from error
