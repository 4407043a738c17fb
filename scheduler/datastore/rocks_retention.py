"""The half of the RocksDB engine that lets go: floors, garbage, log entries, and copies of the whole store.

Invariant: each call writes one batch that holds its deletes and how far they go, and changes what is in memory only
after that batch was written; so a crash or a full disk between any two of them repeats work and loses none.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from rocksdict import RdictIter, WriteBatch
from sp00ky.proto.revision import Seq, StoreId
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore import state as keys
from sp00ky.scheduler.datastore.admission import admit_revision
from sp00ky.scheduler.datastore.collecting import Garbage, records_of
from sp00ky.scheduler.datastore.datastore import Collected, PinWrite, SnapshotInfo, Stats
from sp00ky.scheduler.datastore.opening import Files, bytes_of
from sp00ky.scheduler.datastore.recent import RecentVersions
from sp00ky.scheduler.datastore.retained import Marks, Pin, Retained
from sp00ky.scheduler.datastore.snapshots import list_snapshots, write_snapshot


class RocksRetention:
    """See `RocksDatastore`, which sets these."""

    _path: Path
    _wal_path: Path
    _store_id: StoreId
    _head: Seq
    _synced: Seq
    _files: Files
    _copying_lock: threading.Lock
    _newest: RecentVersions
    _tables: dict[str, tuple[Seq, int]]
    _marks: Marks
    _retained: Retained

    def log(self, after: Seq, limit: int) -> Sequence[bytes]:
        raise NotImplementedError

    def _write(self, batch: WriteBatch) -> None:
        raise NotImplementedError

    def _check(self, iterator: RdictIter) -> None:
        raise NotImplementedError

    def _require_writable(self) -> None:
        raise NotImplementedError

    def check_revision(self, token: str, *, readable: bool = True) -> Seq:
        return admit_revision(token, self._store_id, self._synced, self._retained, readable=readable)

    def holding(self, at: Seq) -> AbstractContextManager[Seq]:
        return self._retained.holding(at)

    def pins(self) -> Sequence[Pin]:
        return self._retained.live_pins()

    def raise_floor(self, wanted: Seq) -> Seq:
        retained = self._retained
        floor = retained.raised_floor(wanted, self._synced)
        expired = retained.expired()
        if floor == retained.floor and not expired:
            return floor
        self._require_writable()
        batch = WriteBatch(raw_mode=True)
        put_pins(batch, self._files, [PinWrite(owner, None) for owner in expired])
        keys.put_seq(batch, self._files, keys.KEY_FLOOR, floor)
        self._write(batch)
        retained.raise_floor_to(floor)
        return floor

    def collect(self, entries_max: int, stamps_from: tuple[int, int] | None = None) -> Collected:
        self._require_writable()
        retained, garbage = self._retained, Garbage(self._files, stamps_from)
        due = retained.floor - retained.collected
        page = self.log(retained.collected, min(entries_max, due)) if due else ()
        self._check(garbage.add_records(records_of(page), retained.floor))
        released, iterator = garbage.add_released(entries_max)
        self._check(iterator)
        collected = Seq(retained.collected + len(page))
        if len(garbage.batch) or page:
            keys.put_seq(garbage.batch, self._files, keys.KEY_COLLECTED, collected)
            self._write(garbage.batch)
        for record in garbage.vanished:
            self._newest.forget(record)
        retained.collected = collected
        return Collected(garbage.versions, released and collected == retained.floor)

    def trim_log(self, before: Seq) -> int:
        retained = self._retained
        floor = retained.trimmed_log_floor(before)
        trimmed = floor - retained.log_floor
        if trimmed:
            self._require_writable()
            batch = WriteBatch(raw_mode=True)
            batch.delete_range(layout.pack_seq(retained.log_floor), layout.pack_seq(floor), self._files.family("log"))
            for mark in self._marks.unneeded(floor):
                batch.delete(layout.MARK_PREFIX + layout.pack_seq(mark), self._files.family("meta"))
            keys.put_seq(batch, self._files, keys.KEY_LOG_FLOOR, floor)
            self._write(batch)
            self._marks.trim(floor)
            retained.log_floor = floor
        return trimmed

    @property
    def log_bytes(self) -> int:
        return self._marks.bytes_after(Seq(self._retained.log_floor - 1), self._head)

    def log_seq_within(self, size: int) -> Seq:
        return self._marks.seq_within(size)

    def stats(self) -> Stats:
        return Stats(
            rows=sum(count for _, count in self._tables.values()),
            versions=int(self._files.rows.property_int_value("rocksdb.estimate-num-keys") or 0),
            log_entries=self._head + 1 - self._retained.log_floor,
            log_bytes=self.log_bytes,
            disk_bytes=bytes_of({self._path, self._wal_path}),
        )

    async def snapshot(self, keep: int) -> SnapshotInfo | None:
        self._require_writable()
        facts = (self._store_id, self._synced)
        copy = partial(write_snapshot, self._files, self._path, facts, keep=keep, lock=self._copying_lock)
        return await asyncio.to_thread(copy)

    def snapshots(self) -> Sequence[SnapshotInfo]:
        return list_snapshots(self._path)


def put_pins(batch: WriteBatch, files: Files, pins: Sequence[PinWrite]) -> None:
    meta = files.family("meta")
    for owner, at, ttl_ms in pins:
        if at is None:
            batch.delete(layout.PIN_PREFIX + owner.encode(), meta)
        else:
            batch.put(layout.PIN_PREFIX + owner.encode(), layout.pin_value(at, ttl_ms), meta)
