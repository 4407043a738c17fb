"""Reading rows at a revision from the rows family: of each record, the first version that is not newer."""

from __future__ import annotations

from collections.abc import Iterator

from rocksdict import RdictIter
from sp00ky.proto.revision import Seq
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore.datastore import Row


def is_version(iterator: RdictIter, record: bytes) -> bool:
    """Whether the iterator is on a version of a record (table prefix and key)."""
    return iterator.valid() and iterator.key()[: -layout.SEQ_BYTES] == record


def rows_at(iterator: RdictIter, prefix: bytes, at: Seq, after_key: bytes) -> Iterator[Row]:
    """Live rows under a table's prefix at a revision, after a key. The caller asks the iterator's status afterwards."""
    iterator.seek(prefix + after_key)
    done = after_key
    while iterator.valid():
        row_key = iterator.key()
        if not row_key.startswith(prefix):
            return
        key = row_key[len(prefix) : -layout.SEQ_BYTES]
        if key <= done:  # another version, or a record that sorts before a key that is none
            iterator.seek(prefix + key + layout.AFTER_VERSIONS)
            continue
        seq = layout.seq_of_row_key(row_key)
        if seq > at:
            iterator.seek(prefix + key + layout.inverted(at))
            continue
        row = layout.row_of(key, seq, iterator.value())
        if row is not None:
            yield row
        done = key
        iterator.next()
