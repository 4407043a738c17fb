"""The datastore in memory: the plain twin of `rocks.py`, for tests and for nodes that need not outlive their process.

A table is a sorted map from packed key to the key's versions in seq order. Nothing here is durable; `sync` says it is,
because a process that lost its memory lost its acknowledged changes' store id with it: every token of it is refused.
"""

from __future__ import annotations

import secrets
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import NamedTuple

from sortedcontainers import SortedDict
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.datastore.admission import admit_append, admit_log_read, admit_read, admit_revision
from sp00ky.scheduler.datastore.datastore import (
    PAGE_BYTES_MAX,
    Append,
    Collected,
    MetaWrite,
    Row,
    RowWrite,
    SnapshotInfo,
    Stats,
)
from sp00ky.scheduler.datastore.retained import Marks, Pin, Retained
from sp00ky.scheduler.entries import EncodedEntries


class _Version(NamedTuple):
    seq: Seq
    packed: bytes | None  # None: a tombstone
    stamp: tuple[int, int]


class MemoryDatastore:
    """`base_seq`: where numbering begins; a store that replaces a lost one begins above what that one handed out."""

    engine = "memory"

    def __init__(self, base_seq: int = 0, now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000) -> None:
        self._store_id = StoreId(secrets.token_hex(4))
        self._head = self._synced = base = Seq(base_seq)
        self._retained = Retained(floor=base, collected=base, log_floor=Seq(base + 1), epochs={}, now_ms=now_ms)
        self._marks = Marks([(base, 0)], 0)
        self._kept: set[tuple[tuple[int, int], str, bytes, Seq]] = set()  # tombstones that outlive the floor
        self._epoch = Epoch(0)
        self._log: list[bytes] = []
        self._tables: dict[str, SortedDict[bytes, list[_Version]]] = {}
        self._first_seqs: dict[str, Seq] = {}
        self._counts: dict[str, int] = {}
        self._metas: SortedDict[bytes, bytes] = SortedDict()

    @property
    def store_id(self) -> StoreId:
        return self._store_id

    @property
    def head_seq(self) -> Seq:
        return self._head

    @property
    def synced_seq(self) -> Seq:
        return self._synced

    @property
    def floor_seq(self) -> Seq:
        return self._retained.floor

    @property
    def log_floor_seq(self) -> Seq:
        return self._retained.log_floor

    def take_epoch(self) -> Epoch:
        self._epoch = Epoch(self._epoch + 1)
        self._retained.took(self._epoch, self._head)
        return self._epoch

    def append(self, append: Append) -> None:
        admit_append(append, self._head, self._epoch)
        log = EncodedEntries.of(append.entries).encoded
        for row in append.rows:
            self._write_row(row)
        for meta in append.meta:
            self._write_meta(meta)
        self._log += log
        self._head = Seq(self._head + len(log))
        self._marks.appended(self._head, sum(map(len, log)))
        for pin in append.pins:
            self._retained.pin(*pin)

    def _write_row(self, row: RowWrite) -> None:
        rows = self._tables.get(row.table)
        if rows is None:
            rows = self._tables[row.table] = SortedDict()
            self._first_seqs[row.table] = row.seq
            self._counts[row.table] = 0
        versions = rows.setdefault(row.key, [])
        was_live = bool(versions) and versions[-1].packed is not None
        versions.append(_Version(row.seq, row.packed, row.stamp))
        self._counts[row.table] += (row.packed is not None) - was_live

    def _write_meta(self, meta: MetaWrite) -> None:
        if meta.value is None:
            self._metas.pop(meta.name, None)
        else:
            self._metas[meta.name] = meta.value

    async def sync(self) -> Seq:
        self._synced = self._head
        return self._synced

    def get(self, table: str, key: bytes, at: Seq | None = None) -> Row | None:
        seq = admit_read(at, self)
        rows = self._tables.get(table)
        versions = rows.get(key) if rows is not None else None
        return _row_at(key, versions, seq) if versions else None

    def stamp_of(self, table: str, key: bytes) -> tuple[int, int]:
        rows = self._tables.get(table)
        versions = rows.get(key) if rows is not None else None
        return versions[-1].stamp if versions else (0, 0)

    def scan(self, table: str, at: Seq, after_key: bytes = b"", limit: int = 1000) -> Sequence[Row]:
        admit_read(at, self)
        page: list[Row] = []
        rows = self._tables.get(table)
        if rows is None:
            return page
        size = 0
        for key in rows.irange(after_key, inclusive=(False, True)):
            row = _row_at(key, rows[key], at)
            if row is None:
                continue
            size += len(row.packed)
            if (page and size > PAGE_BYTES_MAX) or len(page) >= limit:
                break
            page.append(row)
        return page

    def log(self, after: Seq, limit: int) -> Sequence[bytes]:
        admit_log_read(after, self)
        page: list[bytes] = []
        size = 0
        begin = after + 1 - self._retained.log_floor
        for data in islice(self._log, begin, begin + limit):
            size += len(data)
            if page and size > PAGE_BYTES_MAX:
                break
            page.append(data)
        return page

    def tables(self, at: Seq | None = None) -> Sequence[str]:
        seq = admit_read(at, self)
        return sorted(table for table, first in self._first_seqs.items() if first <= seq)

    def count(self, table: str) -> int:
        return self._counts.get(table, 0)

    def meta(self, name: bytes) -> bytes | None:
        value: bytes | None = self._metas.get(name)
        return value

    def metas(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        found = []
        for name in self._metas.irange(prefix):
            if not name.startswith(prefix):
                break
            found.append((name, self._metas[name]))
        return found

    # --- retention ---------------------------------------------------------------------------------------------------

    def check_revision(self, token: str, *, readable: bool = True) -> Seq:
        return admit_revision(token, self._store_id, self._synced, self._retained, readable=readable)

    def holding(self, at: Seq) -> AbstractContextManager[Seq]:
        return self._retained.holding(at)

    def pins(self) -> Sequence[Pin]:
        return self._retained.live_pins()

    def raise_floor(self, wanted: Seq) -> Seq:
        self._retained.raise_floor_to(self._retained.raised_floor(wanted, self._synced))
        return self._retained.floor

    def collect(self, entries_max: int, stamps_from: tuple[int, int] | None = None) -> Collected:
        retained, gone = self._retained, 0
        page = self.log(retained.collected, min(entries_max, retained.floor - retained.collected))
        for data in page:
            change = common_pb2.Entry.FromString(data).change
            gone += self._let_go(change.table, change.key, stamps_from)
        retained.collected = Seq(retained.collected + len(page))
        due = sorted(kept for kept in self._kept if stamps_from is None or kept[0] < stamps_from)
        for kept in due[:entries_max]:
            self._kept.remove(kept)
            gone += self._delete_version(*kept[1:])
        is_done = len(due) <= entries_max and retained.collected == retained.floor
        return Collected(gone, is_done)

    def _let_go(self, table: str, key: bytes, stamps_from: tuple[int, int] | None) -> int:
        """Leave of a record what revisions from the floor on read; how many versions went."""
        versions = self._tables[table].get(key) if table in self._tables else None
        index = bisect_right(versions, self._retained.floor, key=lambda version: version.seq) - 1 if versions else -1
        if versions is None or index < 0:
            return 0
        newest = versions[index]
        del versions[:index]
        if newest.packed is not None:
            return index
        if stamps_from is None or newest.stamp < stamps_from:
            return index + self._delete_version(table, key, newest.seq)
        self._kept.add((newest.stamp, table, key, newest.seq))
        return index

    def _delete_version(self, table: str, key: bytes, seq: Seq) -> int:
        versions = self._tables[table].get(key, [])
        left = [version for version in versions if version.seq != seq]
        if left:
            self._tables[table][key] = left
        elif versions:
            del self._tables[table][key]
        return len(versions) - len(left)

    def trim_log(self, before: Seq) -> int:
        retained = self._retained
        floor = retained.trimmed_log_floor(before)
        trimmed = floor - retained.log_floor
        del self._log[:trimmed]
        self._marks.trim(floor)
        retained.log_floor = floor
        return trimmed

    @property
    def log_bytes(self) -> int:
        return self._marks.bytes_after(Seq(self._retained.log_floor - 1), self._head)

    def log_seq_within(self, size: int) -> Seq:
        return self._marks.seq_within(size)

    def stats(self) -> Stats:
        versions = sum(len(versions) for rows in self._tables.values() for versions in rows.values())
        return Stats(sum(self._counts.values()), versions, len(self._log), self.log_bytes, 0)

    async def snapshot(self, keep: int) -> SnapshotInfo | None:
        """Memory is not copied."""
        return None

    def snapshots(self) -> Sequence[SnapshotInfo]:
        return ()

    def close(self) -> None:
        """Nothing to release."""


def _row_at(key: bytes, versions: Sequence[_Version], at: Seq) -> Row | None:
    index = bisect_right(versions, at, key=lambda version: version.seq) - 1
    if index < 0:
        return None
    seq, packed, stamp = versions[index]
    return None if packed is None else Row(key, packed, seq, stamp)
