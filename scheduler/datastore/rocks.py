"""The datastore on RocksDB: log, versions, head, counts and meta values of one append go into one write batch.

The batch is written unsynced, and `sync` flushes the write-ahead log for all that is waiting, in a thread:
`flush_wal(True)` frees the interpreter lock, a synced write would hold it for the whole fsync.

Invariant: since the batch is atomic, after any crash the head names an entry that is in the log, no entry lies above
it, and rows and counts are those of the head; `_verify` refuses anything else, and re-reads the checksums of all that
a damaged write-ahead log could have touched. Older entries are verified when they are read.

A failed write leaves RocksDB refusing every later one. Nothing of that append was applied; the next append reopens the
files and goes on if the head is where it was. A failed fsync is final (the kernel may have dropped the pages): every
later call raises, and the process starts again from what is on the disk.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rocksdict import RdictIter, WriteBatch
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore.admission import admit_append, admit_log_read, admit_read
from sp00ky.scheduler.datastore.datastore import PAGE_BYTES_MAX, Append, Row, RowWrite
from sp00ky.scheduler.datastore.opening import Files, fault_of_disk, has_room, open_files, own_directories
from sp00ky.scheduler.datastore.recent import RecentVersions

_FORMAT = b"1"
_VERIFY_BYTES_MAX = 128 * 1024 * 1024
_KEY_FORMAT, _KEY_STORE, _KEY_EPOCH = b"\x00format", b"\x00store", b"\x00epoch"
_KEY_HEAD, _KEY_BASE = b"\x00head", b"\x00base"


class RocksDatastore:
    """Made by `open`. `path` and `wal_path` belong to one process at a time (RocksDB's own lock)."""

    engine = "rocksdb"

    def __init__(self, path: Path, wal_path: Path, files: Files) -> None:
        self._path, self._wal_path = path, wal_path
        self._files = files
        self._files_lock = threading.Lock()  # held by whoever closes the files or flushes their log
        self._flushing: asyncio.Task[None] | None = None
        self._newest = RecentVersions()
        self._is_writable = True
        self._sync_fault: Fault | None = None
        self._read_state()

    @classmethod
    def open(cls, path: Path | str, wal_path: Path | str | None = None, *, base_seq: int = 0) -> RocksDatastore:
        """Open the replica, or make an empty one that numbers from `base_seq` + 1. Raises Fault with one line."""
        path = Path(path)
        wal_path = Path(wal_path) if wal_path is not None else path
        store_id = own_directories(path, wal_path)
        files = open_files(path, wal_path)
        try:
            if files.meta.get(_KEY_FORMAT) is None:
                _make_store(files, store_id, Seq(base_seq))
            store = cls(path, wal_path, files)
            store._verify(store_id)
        except BaseException:
            files.close()
            raise
        return store

    def _read_state(self) -> None:
        stored = dict(self._metas_raw(b"\x00"))
        found = stored[_KEY_FORMAT]
        if found != _FORMAT:
            message = f"replica {self._path} has format {found.decode(errors='replace')}, this version reads 1"
            raise Fault(Code.INVALID, message, "run the version that wrote it")
        self._store_id = StoreId(stored[_KEY_STORE].decode())
        self._epoch = Epoch(layout.unpack_seq(stored[_KEY_EPOCH]))
        self._head = layout.unpack_seq(stored[_KEY_HEAD])
        self._base = layout.unpack_seq(stored[_KEY_BASE])
        self._synced = self._head  # recovery writes what it replays into synced files
        self._tables = {
            name[1:].decode(): layout.table_of(value) for name, value in self._metas_raw(layout.TABLE_PREFIX)
        }

    def _verify(self, owner: StoreId) -> None:
        """Raises Fault(DATA_LOSS) unless the log ends at the head and its recent entries are whole and gapless."""
        if self._store_id != owner:
            message = (
                f"wal directory {self._wal_path} belongs to store {owner}, replica {self._path} is {self._store_id}"
            )
            raise Fault(Code.INVALID, message, "give the wal path that the replica was made with")
        due, size = self._head, 0
        iterator = self._files.log.iter()
        iterator.seek_to_last()
        while due > self._base and size < _VERIFY_BYTES_MAX:
            seq = layout.unpack_seq(iterator.key()) if iterator.valid() else self._base
            if seq != due:
                message = f"log of replica {self._path} holds entry {seq} where {due} was due"
                raise Fault(Code.DATA_LOSS, message, "restore it from a backup, or start an empty one")
            size += len(layout.log_entry(iterator.key(), iterator.value()))
            due = Seq(due - 1)
            iterator.prev()
        if due == self._base and iterator.valid():
            message = f"log of replica {self._path} holds entries above its head, {self._head}"
            raise Fault(Code.DATA_LOSS, message, "restore it from a backup, or start an empty one")
        self._check(iterator)

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
        epoch = Epoch(self._epoch + 1)
        batch = WriteBatch(raw_mode=True)
        batch.put(_KEY_EPOCH, layout.pack_seq(epoch), self._files.family("meta"))
        self._write(batch)
        self._flush()
        self._epoch = epoch
        return epoch

    def append(self, append: Append) -> None:
        admit_append(append, self._head, self._epoch)
        if self._sync_fault is not None:
            raise self._sync_fault
        if not self._is_writable:
            self._reopen()
        head = Seq(self._head + len(append.entries))
        batch = WriteBatch(raw_mode=True)
        self._put_entries(batch, append)
        try:
            touched = self._put_rows(batch, append.rows)
            self._put_state(batch, touched, head)
            self._write(batch)
        except BaseException:
            self._newest.clear()  # it is ahead of the rows now
            raise
        self._tables.update(touched)
        self._head = head

    def _put_state(self, batch: WriteBatch, touched: Mapping[str, tuple[Seq, int]], head: Seq) -> None:
        meta = self._files.family("meta")
        for table, (first_seq, count) in touched.items():
            batch.put(layout.TABLE_PREFIX + table.encode(), layout.table_value(first_seq, count), meta)
        batch.put(_KEY_HEAD, layout.pack_seq(head), meta)

    def _put_entries(self, batch: WriteBatch, append: Append) -> None:
        log, meta, put = self._files.family("log"), self._files.family("meta"), batch.put
        for seq, entry in enumerate(append.entries, append.expected_head + 1):
            log_key = layout.pack_seq(seq)
            put(log_key, layout.log_value(log_key, entry.SerializeToString()), log)
        for name, value in append.meta:
            if value is None:
                batch.delete(layout.NAME_PREFIX + name, meta)
            else:
                put(layout.NAME_PREFIX + name, value, meta)

    def _put_rows(self, batch: WriteBatch, rows: Sequence[RowWrite]) -> dict[str, tuple[Seq, int]]:
        """Put the versions; the new (first seq, count) of every table they touch."""
        family, put, newest = self._files.family("rows"), batch.put, self._newest
        prefixes = {table: layout.table_prefix(table) for table in {row.table for row in rows}}
        records = [prefixes[row.table] + row.key for row in rows]
        before = self._newest_of(records)
        touched: dict[str, tuple[Seq, int]] = {}
        for record, (table, _, packed, seq, stamp) in zip(records, rows, strict=True):
            is_live = packed is not None
            first_seq, count = touched.get(table) or self._tables.get(table) or (seq, 0)
            touched[table] = (first_seq, count + is_live - before[record][0])
            version = before[record] = (is_live, stamp)
            newest.put(record, version)
            put(record + layout.inverted(seq), layout.row_value(packed, stamp), family)
        return touched

    def _newest_of(self, records: Iterable[bytes]) -> dict[bytes, layout.Version]:
        """The newest version of each record; those not known are sought in key order, which halves the cost."""
        found: dict[bytes, layout.Version] = {}
        unknown = []
        for record in records:
            version = self._newest.get(record)
            if version is None:
                unknown.append(record)
            else:
                found[record] = version
        if unknown:
            unknown.sort()
            iterator = self._files.rows.iter()
            for record in unknown:
                iterator.seek(record)
                found[record] = layout.version_of(iterator.value()) if _is_version(iterator, record) else layout.ABSENT
            self._check(iterator)
        return found

    async def sync(self) -> Seq:
        target = self._head
        while self._synced < target:
            if self._sync_fault is not None:
                raise self._sync_fault
            if self._flushing is None:
                self._flushing = asyncio.create_task(self._flush_group())
            await asyncio.shield(self._flushing)
        return self._synced

    async def _flush_group(self) -> None:
        """One fsync for everything appended before it began; a caller that is cancelled does not stop it."""
        head = self._head
        try:
            await asyncio.to_thread(self._flush)
            self._synced = Seq(max(self._synced, head))
        except Fault as fault:
            self._sync_fault = fault
        finally:
            self._flushing = None

    def get(self, table: str, key: bytes, at: Seq | None = None) -> Row | None:
        seq = admit_read(at, self)
        record = layout.table_prefix(table) + key
        iterator = self._files.rows.iter()
        iterator.seek(record + layout.inverted(seq))
        if not _is_version(iterator, record):
            self._check(iterator)
            return None
        return layout.row_of(key, layout.seq_of_row_key(iterator.key()), iterator.value())

    def stamp_of(self, table: str, key: bytes) -> tuple[int, int]:
        record = layout.table_prefix(table) + key
        newest = self._newest_of((record,))[record]
        self._newest.put(record, newest)
        return newest[1]

    def scan(self, table: str, at: Seq, after_key: bytes = b"", limit: int = 1000) -> Sequence[Row]:
        admit_read(at, self)
        page: list[Row] = []
        size = 0
        for row in self._rows_at(layout.table_prefix(table), at, after_key):
            size += len(row.packed)
            if len(page) >= limit or (page and size > PAGE_BYTES_MAX):
                break
            page.append(row)
        return page

    def _rows_at(self, prefix: bytes, at: Seq, after_key: bytes) -> Iterator[Row]:
        """Live rows under a table's prefix at a revision, after a key: of a record the first version not newer."""
        iterator = self._files.rows.iter()
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
        self._check(iterator)

    def log(self, after: Seq, limit: int) -> Sequence[bytes]:
        admit_log_read(after, self)
        page: list[bytes] = []
        size = 0
        last = min(after + limit, self._head)
        iterator = self._files.log.iter()
        iterator.seek(layout.pack_seq(after + 1))
        for due in range(after + 1, last + 1):
            log_key = layout.pack_seq(due)
            if not iterator.valid() or iterator.key() != log_key:
                self._check(iterator)
                message = f"log entry {due} of replica {self._path} is missing"
                raise Fault(Code.DATA_LOSS, message, "restore the replica from a backup")
            entry = layout.log_entry(log_key, iterator.value())
            size += len(entry)
            if page and size > PAGE_BYTES_MAX:
                break
            page.append(entry)
            iterator.next()
        return page

    def tables(self, at: Seq | None = None) -> Sequence[str]:
        seq = admit_read(at, self)
        return sorted(table for table, (first_seq, _) in self._tables.items() if first_seq <= seq)

    def count(self, table: str) -> int:
        return self._tables.get(table, (0, 0))[1]

    def meta(self, name: bytes) -> bytes | None:
        value = self._files.meta.get(layout.NAME_PREFIX + name)
        return None if value is None else bytes(value)

    def metas(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        return [(name[1:], value) for name, value in self._metas_raw(layout.NAME_PREFIX + prefix)]

    def _metas_raw(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        found = []
        iterator = self._files.meta.iter()
        iterator.seek(prefix)
        while iterator.valid() and iterator.key().startswith(prefix):
            found.append((iterator.key(), iterator.value()))
            iterator.next()
        self._check(iterator)
        return found

    def close(self) -> None:
        """Flush the log and release the files; waits for a flush under way. Safe to call twice."""
        with self._files_lock:
            # A disk that no longer takes anything does not keep the files open: nothing above `synced` was promised.
            with suppress(Exception):
                self._files.db.flush_wal(True)
            self._files.close()

    def _write(self, batch: WriteBatch) -> None:
        try:
            self._files.db.write(batch)
        except Exception as error:
            self._is_writable = False
            raise fault_of_disk(f"replica {self._path}", str(error)) from error

    def _flush(self) -> None:
        with self._files_lock:
            try:
                failpoint("wal.fsync")
                self._files.db.flush_wal(True)
            except Exception as error:
                raise fault_of_disk(f"replica {self._path}", str(error)) from error

    def _reopen(self) -> None:
        """After a failed write: RocksDB stays read-only until its files are opened anew.

        No frame that can raise from a write may hold a family's handle: its traceback would keep the files locked."""
        head = self._head
        if not has_room(self._path, self._wal_path):
            raise Fault(Code.DISK_FULL, f"replica {self._path}: no space left", "free some space, then try again")
        with self._files_lock:
            self._files.close()
            try:
                self._files = open_files(self._path, self._wal_path)
            except Fault:
                self._files = open_files(self._path, self._wal_path, read_only=True)  # reads go on
                raise
        self._read_state()
        if self._head != head:
            self._sync_fault = Fault(Code.DATA_LOSS, f"replica {self._path} fell back from {head} to {self._head}")
            raise self._sync_fault
        self._is_writable = True

    def _check(self, iterator: RdictIter) -> None:
        """An iterator that met damage only stops being valid; raises Fault(DATA_LOSS) then."""
        try:
            iterator.status()
        except Exception as error:
            raise fault_of_disk(f"replica {self._path}", str(error)) from error


def _is_version(iterator: RdictIter, record: bytes) -> bool:
    return iterator.valid() and iterator.key()[: -layout.SEQ_BYTES] == record


def _make_store(files: Files, store_id: StoreId, base_seq: Seq) -> None:
    batch = WriteBatch(raw_mode=True)
    for name, value in (
        (_KEY_STORE, store_id.encode()),
        (_KEY_EPOCH, layout.pack_seq(0)),
        (_KEY_BASE, layout.pack_seq(base_seq)),
        (_KEY_HEAD, layout.pack_seq(base_seq)),
        (_KEY_FORMAT, _FORMAT),
    ):
        batch.put(name, value, files.family("meta"))
    files.db.write(batch)
    files.db.flush_wal(True)
