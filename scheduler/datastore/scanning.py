"""Reading rows at a revision from the rows family: of each record, the first version that is not newer."""

from __future__ import annotations

from collections.abc import Iterator

from rocksdict import RdictIter
from sp00ky.proto.revision import Seq
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore.datastore import Row
from sp00ky.scheduler.datastore.layout import SEQ_BYTES


def is_version(iterator: RdictIter, record: bytes) -> bool:
    """Whether the iterator is on a version of a record (table prefix and key)."""
    return iterator.valid() and iterator.key()[: -layout.SEQ_BYTES] == record


def rows_at(iterator: RdictIter, prefix: bytes, at: Seq, after_key: bytes) -> Iterator[Row]:
    """Live rows under a table's prefix at a revision, after a key. The caller asks the iterator's status afterwards.

    Seqs are compared as they lie, inverted: what is older sorts behind."""
    valid, row_key_of, value_of, advance = iterator.valid, iterator.key, iterator.value, iterator.next
    newest, start, row_of, seq_of = layout.inverted(at), len(prefix), layout.row_of, layout.seq_of_row_key
    iterator.seek(prefix + after_key)
    done, stepped = after_key, False
    while valid():
        row_key: bytes = row_key_of()
        if not row_key.startswith(prefix):
            return
        key = row_key[start:-SEQ_BYTES]
        if key <= done:  # another version, or a record that sorts before a key that is none
            if stepped:
                iterator.seek(prefix + key + layout.AFTER_VERSIONS)
            else:  # most records have few versions: what comes next is likely another record
                stepped = True
                advance()
            continue
        stepped = False
        if row_key[-SEQ_BYTES:] < newest:
            iterator.seek(prefix + key + newest)
            continue
        row = row_of(key, seq_of(row_key), value_of())
        if row is not None:
            yield row
        done = key
        advance()
