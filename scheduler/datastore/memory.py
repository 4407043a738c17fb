"""The datastore in memory: the plain twin of `rocks.py`, for tests and for nodes that need not outlive their process.

A table is a sorted map from packed key to the key's versions in seq order. Nothing here is durable; `sync` says it is,
because a process that lost its memory lost its acknowledged changes' store id with it: every token of it is refused.
"""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from sortedcontainers import SortedDict
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.scheduler.datastore.admission import admit_append, admit_log_read, admit_read
from sp00ky.scheduler.datastore.datastore import PAGE_BYTES_MAX, Append, MetaWrite, Row, RowWrite


class _Version(NamedTuple):
    seq: Seq
    packed: bytes | None  # None: a tombstone
    stamp: tuple[int, int]


class MemoryDatastore:
    """`base_seq`: where numbering begins; a store that replaces a lost one begins above what that one handed out."""

    engine = "memory"

    def __init__(self, base_seq: int = 0) -> None:
        self._store_id = StoreId(secrets.token_hex(4))
        self._base = self._head = self._synced = Seq(base_seq)
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
        return self._base

    @property
    def log_floor_seq(self) -> Seq:
        return Seq(self._base + 1)

    def take_epoch(self) -> Epoch:
        self._epoch = Epoch(self._epoch + 1)
        return self._epoch

    def append(self, append: Append) -> None:
        admit_append(append, self._head, self._epoch)
        log = [entry.SerializeToString() for entry in append.entries]
        for row in append.rows:
            self._write_row(row)
        for meta in append.meta:
            self._write_meta(meta)
        self._log += log
        self._head = Seq(self._head + len(log))

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
        for data in islice(self._log, after - self._base, after - self._base + limit):
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

    def close(self) -> None:
        """Nothing to release."""


def _row_at(key: bytes, versions: Sequence[_Version], at: Seq) -> Row | None:
    index = bisect_right(versions, at, key=lambda version: version.seq) - 1
    if index < 0:
        return None
    seq, packed, stamp = versions[index]
    return None if packed is None else Row(key, packed, seq, stamp)
