"""Which row versions no readable revision needs, as deletes in a batch.

At a floor F the newest version at or below F of each record stays, since F itself is read; older ones go. A tombstone
that is the newest goes too: that a record is not there needs no row. Only its stamp may still be needed, to recognise a
change that the feed delivers again: then it stays, with an index entry that sorts by stamp, until it is released.

A version is deleted by its exact key, which no other version ever has, so that deleting twice is deleting once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rocksdict import RdictIter, WriteBatch
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore.layout import SEQ_BYTES
from sp00ky.scheduler.datastore.opening import Files

_STAMPS_END: Final = (2**32, 0)
_SWEEP_ROWS: Final = 4_096


def records_of(entries: Iterable[bytes]) -> set[bytes]:
    """The records (table prefix and key) that serialized log entries changed."""
    records = set()
    prefixes: dict[str, bytes] = {}
    for data in entries:
        entry = common_pb2.Entry.FromString(data)
        if entry.HasField("change"):
            table = entry.change.table
            prefix = prefixes.get(table) or prefixes.setdefault(table, layout.table_prefix(table))
            records.add(prefix + entry.change.key)
    return records


class Garbage:
    """Gathers deletes into `batch`. `stamps_from`: tombstones with such a stamp or a later one stay; None: none do."""

    def __init__(self, files: Files, stamps_from: tuple[int, int] | None) -> None:
        self.batch = WriteBatch(raw_mode=True)
        self.vanished: list[bytes] = []  # records of which no version is left
        self._gone: set[bytes] = set()
        self._files = files
        self._rows, self._meta = files.family("rows"), files.family("meta")
        self._stamps_from = stamps_from if stamps_from is not None else _STAMPS_END

    def add_records(self, records: Iterable[bytes], floor: Seq) -> RdictIter:
        """What a floor lets go of; the iterator that was used, for its status."""
        iterator = self._files.rows.iter()
        suffix = layout.inverted(floor)
        for record in sorted(records):
            iterator.seek(record + suffix)
            if iterator.valid() and iterator.key()[:-SEQ_BYTES] == record:
                self._add_versions(iterator, record)
        return iterator

    def _add_versions(self, iterator: RdictIter, record: bytes) -> None:
        """The iterator is on the newest version that the floor reads."""
        row_key = iterator.key()
        is_live, stamp = layout.version_of(iterator.value())
        if not is_live:
            if stamp < self._stamps_from:
                self._delete(row_key)
                self.vanished.append(record)
            else:
                self.batch.put(layout.kept_key(stamp, row_key), b"", self._meta)
        iterator.next()
        while iterator.valid() and (row_key := iterator.key())[:-SEQ_BYTES] == record:
            self._delete(row_key)
            iterator.next()

    def add_released(self, limit: int) -> tuple[bool, RdictIter]:
        """Kept tombstones that nothing can meet any more; whether these were all."""
        iterator = self._files.meta.iter()
        iterator.seek(layout.KEPT_PREFIX)
        for _ in range(limit):
            if not self._is_released(iterator):
                break
            _, row_key = layout.kept_of(iterator.key())
            if row_key in self._files.rows:  # else a later version has superseded it, and it went with that
                self._delete(row_key)
                self.vanished.append(row_key[:-SEQ_BYTES])
            self.batch.delete(iterator.key(), self._meta)
            iterator.next()
        return not self._is_released(iterator), iterator

    def _is_released(self, iterator: RdictIter) -> bool:
        """Whether it stands at a kept tombstone that nothing can meet any more."""
        if not iterator.valid() or not iterator.key().startswith(layout.KEPT_PREFIX):
            return False
        stamp, _ = layout.kept_of(iterator.key())
        return bool(stamp < self._stamps_from)

    @property
    def versions(self) -> int:
        """How many are deleted."""
        return len(self._gone)

    def _delete(self, row_key: bytes) -> None:
        self.batch.delete(row_key, self._rows)
        self._gone.add(row_key)


def delete_superseded(files: Files, floor: Seq) -> Iterator[int]:
    """Leave of every record its newest version at or below the floor, over the whole store, as collecting would have
    done: for a store that has no log to walk. Yields how many versions went with each batch."""
    begin: bytes | None = b""
    while begin is not None:
        batch = WriteBatch(raw_mode=True)
        begin, versions = put_superseded(files, batch, begin, floor)
        files.db.write(batch)
        yield versions


def put_superseded(files: Files, batch: WriteBatch, begin: bytes, floor: Seq) -> tuple[bytes | None, int]:
    """Deletes from a record's first row key on; where to go on (None: that was all), and how many versions go.

    A tombstone that is the newest stays, to be released by its stamp."""
    iterator, rows, meta = files.rows.iter(), files.family("rows"), files.family("meta")
    record, seen, versions = b"", 0, 0
    iterator.seek(begin)
    while iterator.valid():
        row_key: bytes = iterator.key()
        if layout.seq_of_row_key(row_key) <= floor:
            if row_key[:-SEQ_BYTES] == record:
                batch.delete(row_key, rows)
                versions += 1
            elif seen >= _SWEEP_ROWS:
                return row_key, versions
            else:
                is_live, stamp = layout.version_of(iterator.value())
                if not is_live:
                    batch.put(layout.kept_key(stamp, row_key), b"", meta)
            record = row_key[:-SEQ_BYTES]
        seen += 1
        iterator.next()
    iterator.status()
    return None, versions
