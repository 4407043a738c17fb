"""The datastore on RocksDB: log, versions, head, counts and meta values of one append go into one write batch.

The batch is written unsynced, and `sync` flushes the write-ahead log for all that is waiting, in a thread:
`flush_wal(True)` frees the interpreter lock, a synced write would hold it for the whole fsync.

Invariant: since the batch is atomic, after any crash the head names an entry that is in the log, no entry lies above
it, and rows and counts are those of the head; `verifying.py` refuses anything else at open. A floor is stored before,
or in the batch of, the deletes below it.

A failed write leaves RocksDB refusing every later one. Nothing of that append was applied; the next append reopens the
files and goes on if the head is where it was. A failed fsync is final (the kernel may have dropped the pages): every
later call raises, and the process starts again from what is on the disk.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rocksdict import RdictIter, WriteBatch
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore import state as keys
from sp00ky.scheduler.datastore.admission import admit_append, admit_log_read, admit_read
from sp00ky.scheduler.datastore.collecting import delete_superseded
from sp00ky.scheduler.datastore.datastore import PAGE_BYTES_MAX, Append, Row, RowWrite
from sp00ky.scheduler.datastore.migrations import head_revision, require_head, stored_revision
from sp00ky.scheduler.datastore.opening import (
    Files,
    fault_of_disk,
    has_room,
    open_files,
    own_directories,
    value_of,
    write_owners,
)
from sp00ky.scheduler.datastore.recent import RecentVersions
from sp00ky.scheduler.datastore.retained import Retained
from sp00ky.scheduler.datastore.rocks_retention import RocksRetention, put_pins
from sp00ky.scheduler.datastore.scanning import is_version, rows_at
from sp00ky.scheduler.datastore.verifying import verify_owner, verify_tail
from sp00ky.scheduler.datastore.wal import check_tails
from sp00ky.scheduler.entries import EncodedEntries

log = logging.getLogger(__name__)


class RocksDatastore(RocksRetention):
    """Made by `open`. `path` and `wal_path` belong to one process at a time (RocksDB's own lock)."""

    engine = "rocksdb"

    def __init__(
        self, path: Path, wal_path: Path, files: Files, now_ms: Callable[[], int], refusal: Fault | None = None
    ) -> None:
        self._path, self._wal_path, self._name = path, wal_path, f"replica {path}"
        self._files = files
        self._files_lock = threading.Lock()  # held by whoever closes the files or flushes their log
        self._copying_lock = threading.Lock()  # held while a snapshot is taken of them
        self._flushing: asyncio.Task[None] | None = None
        self._newest = RecentVersions()
        self._is_writable = True
        self._sync_fault = refusal  # what every write raises
        self._now_ms = now_ms
        self._retained = self._read_state(None)

    @classmethod
    def open(
        cls,
        path: Path | str,
        wal_path: Path | str | None = None,
        *,
        base_seq: int = 0,
        auto_migrate: bool = True,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> RocksDatastore:
        """Open the replica, or make an empty one. Raises Fault with one line.

        `base_seq`: seqs up to it were handed out once. A store that is behind lost them: it goes on above, with an
        empty log and another id."""
        path = Path(path)
        wal_path = Path(wal_path) if wal_path is not None else path
        owners = own_directories(path, wal_path)
        torn = check_tails(wal_path)
        if torn is not None:
            log.warning("write-ahead log %s: a torn write of %d bytes is cut; it was never acknowledged", *torn[::2])
        files = open_files(path, wal_path)
        try:
            if stored_revision(files) is None:
                keys.make_store(files, owners[0], head_revision(), Seq(base_seq))
            require_head(files, f"replica {path}", auto=auto_migrate)
            state = keys.read_state(files, f"replica {path}")
            verify_owner(state, owners, wal_path, f"replica {path}")
            verify_tail(files, state, f"replica {path}")
            if state.head < base_seq:
                log.warning("replica %s ends at seq %d, below %d which was handed out", path, state.head, base_seq)
                renamed = StoreId(secrets.token_hex(4))
                write_owners(wal_path, state.store_id, renamed)
                restart_above(files, state, Seq(base_seq), renamed)
                write_owners(wal_path, renamed)
            return cls(path, wal_path, files, now_ms)
        except BaseException:
            files.close()
            raise

    def _read_state(self, before: Retained | None) -> Retained:
        state = keys.read_state(self._files, self._name)
        self._store_id, self._epoch, self._head = state.store_id, state.epoch, state.head
        self._synced = self._head  # recovery writes what it replays into synced files
        self._tables = state.tables
        self._marks = state.marks
        return Retained(
            floor=state.floor,
            collected=state.collected,
            log_floor=state.log_floor,
            epochs=state.epochs,
            pins=state.pins,
            now_ms=self._now_ms,
            before=before,
        )

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
        self._require_writable()
        epoch = Epoch(self._epoch + 1)
        batch = WriteBatch(raw_mode=True)
        keys.put_seq(batch, self._files, keys.KEY_EPOCH, epoch)
        keys.put_seq(batch, self._files, layout.EPOCH_PREFIX + layout.pack_seq(epoch), self._head)
        self._write(batch)
        self._flush()
        self._epoch = epoch
        self._retained.took(epoch, self._head)
        return epoch

    def append(self, append: Append) -> None:
        admit_append(append, self._head, self._epoch)
        self._require_writable()
        head = Seq(self._head + len(append.entries))
        batch = WriteBatch(raw_mode=True)
        size = self._put_entries(batch, append)
        try:
            touched = self._put_rows(batch, append.rows)
            self._put_state(batch, touched, head, size)
            put_pins(batch, self._files, append.pins)
            self._write(batch)
        except BaseException:
            self._newest.clear()  # it is ahead of the rows now
            raise
        self._tables.update(touched)
        self._head = head
        self._marks.appended(head, size)
        for pin in append.pins:
            self._retained.pin(*pin)

    def _put_state(self, batch: WriteBatch, touched: Mapping[str, tuple[Seq, int]], head: Seq, size: int) -> None:
        meta = self._files.family("meta")
        for table, (first_seq, count) in touched.items():
            batch.put(layout.TABLE_PREFIX + table.encode(), layout.table_value(first_seq, count), meta)
        batch.put(keys.KEY_HEAD, layout.pack_seq(head), meta)
        total = layout.pack_seq(self._marks.total + size)
        batch.put(keys.KEY_LOG_BYTES, total, meta)
        if self._marks.is_due(size):
            batch.put(layout.MARK_PREFIX + layout.pack_seq(head), total, meta)

    def _put_entries(self, batch: WriteBatch, append: Append) -> int:
        """Put entries and meta values; bytes of the entries."""
        log, meta, put, size = self._files.family("log"), self._files.family("meta"), batch.put, 0
        pack_seq, log_value = layout.pack_seq, layout.log_value
        for seq, entry in enumerate(EncodedEntries.of(append.entries).encoded, append.expected_head + 1):
            log_key = pack_seq(seq)
            logged = log_value(log_key, entry)
            size += len(logged)
            put(log_key, logged, log)
        for name, value in append.meta:
            if value is None:
                batch.delete(layout.NAME_PREFIX + name, meta)
            else:
                put(layout.NAME_PREFIX + name, value, meta)
        return size

    def _put_rows(self, batch: WriteBatch, rows: Sequence[RowWrite]) -> dict[str, tuple[Seq, int]]:
        """Put the versions; the new (first seq, count) of every table they touch."""
        family, put = self._files.family("rows"), batch.put
        inverted, row_value = layout.inverted, layout.row_value
        first_seqs = {row.table: row.seq for row in reversed(rows)}
        prefixes = {table: layout.table_prefix(table) for table in first_seqs}
        records = [prefixes[row.table] + row.key for row in rows]
        versions = self._newest_of(records)
        counts = {table: self.count(table) for table in prefixes}
        for record, row in zip(records, rows, strict=True):
            is_live = row.packed is not None
            if versions[record][0] is not is_live:
                counts[row.table] += 1 if is_live else -1
            versions[record] = (is_live, row.stamp)
            put(record + inverted(row.seq), row_value(row.packed, row.stamp), family)
        self._newest.update(versions)
        return {table: (self._tables.get(table, (first, 0))[0], counts[table]) for table, first in first_seqs.items()}

    def _newest_of(self, records: Iterable[bytes]) -> dict[bytes, layout.Version]:
        """The newest version of each record; those not known are sought in key order, which halves the cost."""
        found, unknown = self._newest.split(records)
        if unknown:
            unknown.sort()
            iterator = self._files.rows.iter()
            for record in unknown:
                iterator.seek(record)
                found[record] = layout.version_of(iterator.value()) if is_version(iterator, record) else layout.ABSENT
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
        except Fault:
            pass  # it is kept, and raised to everyone who waits
        finally:
            self._flushing = None

    def get(self, table: str, key: bytes, at: Seq | None = None) -> Row | None:
        seq = admit_read(at, self)
        record = layout.table_prefix(table) + key
        iterator = self._files.rows.iter()
        iterator.seek(record + layout.inverted(seq))
        if not is_version(iterator, record):
            self._check(iterator)
            return None
        return layout.row_of(key, layout.seq_of_row_key(iterator.key()), iterator.value())

    def stamp_of(self, table: str, key: bytes) -> tuple[int, int]:
        record = layout.table_prefix(table) + key
        found = self._newest_of((record,))
        self._newest.update(found)
        return found[record][1]

    def scan(self, table: str, at: Seq, after_key: bytes = b"", limit: int = 1000) -> Sequence[Row]:
        admit_read(at, self)
        page: list[Row] = []
        size = 0
        iterator = self._files.rows.iter()
        for row in rows_at(iterator, layout.table_prefix(table), at, after_key):
            size += len(row.packed)
            if len(page) >= limit or (page and size > PAGE_BYTES_MAX):
                break
            page.append(row)
        self._check(iterator)
        return page

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
                message = f"log entry {due} of {self._name} is missing"
                raise Fault(Code.DATA_LOSS, message, layout.RESTORE_HINT)
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
        return value_of(self._files.meta, layout.NAME_PREFIX + name, self._name)

    def metas(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        found = keys.with_prefix(self._files.meta, layout.NAME_PREFIX + prefix, self._name)
        return [(name[1:], value) for name, value in found]

    def close(self) -> None:
        """Flush the log and release the files; waits for a flush under way. Safe to call twice."""
        self._sync_fault = self._sync_fault or Fault(Code.UNAVAILABLE, f"{self._name} is closed")
        with self._copying_lock, self._files_lock:
            # A disk that no longer takes anything does not keep the files open: nothing above `synced` was promised.
            with suppress(Exception):
                self._files.db.flush_wal(True)
            self._files.close()

    def _write(self, batch: WriteBatch) -> None:
        try:
            self._files.db.write(batch)
        except Exception as error:
            self._is_writable = False
            raise fault_of_disk(self._name, str(error)) from error

    def _flush(self) -> None:
        with self._files_lock:
            try:
                failpoint("wal.fsync")
                self._files.db.flush_wal(True)
            except Exception as error:  # final, whatever it says: what was written may hold or not
                message = f"{self._name}: fsync of the write-ahead log failed: {' '.join(str(error).split())}"
                self._sync_fault = Fault(Code.UNAVAILABLE, message, "start the process again")
                raise self._sync_fault from error

    def _require_writable(self) -> None:
        if self._sync_fault is not None:
            raise self._sync_fault
        if not self._is_writable:
            self._reopen()

    def _reopen(self) -> None:
        """After a failed write: RocksDB stays read-only until its files are opened anew.

        No frame that can raise from a write may hold a family's handle: its traceback would keep the files locked."""
        head = self._head
        if not has_room(self._path, self._wal_path):
            raise Fault(Code.DISK_FULL, f"{self._name}: no space left", "free some space, then try again")
        with self._copying_lock, self._files_lock:
            self._files.close()
            try:
                self._files = open_files(self._path, self._wal_path)
            except Fault:
                self._files = open_files(self._path, self._wal_path, read_only=True)  # reads go on
                raise
        self._retained = self._read_state(self._retained)
        if self._head != head:
            self._sync_fault = Fault(Code.DATA_LOSS, f"{self._name} fell back from {head} to {self._head}")
            raise self._sync_fault
        self._is_writable = True

    def _check(self, iterator: RdictIter) -> None:
        """An iterator that met damage only stops being valid; raises Fault(DATA_LOSS) then."""
        try:
            iterator.status()
        except Exception as error:
            raise fault_of_disk(self._name, str(error)) from error


def restart_above(files: Files, state: keys.StoredState, head: Seq, store_id: StoreId) -> None:
    """Empty the log and number on above `head`: what was handed out up to there is not handed out again. The store is
    another one from here on, and knows none of the epochs before: its tokens of the lost branch are foreign.

    Rows stay as they were at the old head. Killed in between, superseded versions may be left (`repair` finds them)."""
    batch, meta = WriteBatch(raw_mode=True), files.family("meta")
    batch.delete_range(layout.pack_seq(0), layout.pack_seq(head + 1), files.family("log"))
    for prefix in (layout.PIN_PREFIX, layout.MARK_PREFIX):
        batch.delete_range(prefix, bytes([prefix[0] + 1]), meta)
    keys.put_empty_log(batch, files, head, state.marks.total)
    batch.put(keys.KEY_STORE, store_id.encode(), meta)
    batch.delete_range(layout.EPOCH_PREFIX, layout.KEPT_PREFIX, meta)
    files.db.write(batch)
    for _ in delete_superseded(files, head):
        pass
    files.db.flush_wal(True)
