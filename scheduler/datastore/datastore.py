"""The datastore: log and multi-version replica behind one interface.

The log is the truth; the replica is the log, folded. One `append` holds log entries, row versions and the head in one
atomic commit, so there is never a state in which they disagree. Rows keep every version down to the floor, so any
revision in [floor, head] is read exactly while writing goes on.

What is below the floor goes in three bounded steps, each crash-safe by itself: `raise_floor` ends the readability of
old revisions, `collect` deletes the versions that no readable revision needs (by walking the log, so the cost is that
of what changed, never that of the store), `trim_log` drops log entries. None of them passes a live pin, a read in
progress (`holding`) or what is not durable.

Invariants: seqs are gapless from 1; `append` succeeds only if `expected_head` is the head and `epoch` the newest taken
(compare-and-set: two writers never interleave); `synced_seq ≤ head_seq`, and nothing above `synced_seq` is shown to
anyone. A row's version is the seq of the entry that wrote it.

Pages are bounded in bytes as well as in rows (`PAGE_BYTES_MAX`, but at least one item): only an empty page is the end.

Engines: `memory.py`, `rocks.py`; what both check is in `admission.py`. One conformance suite
(tests/conformance/test_datastore.py) runs over both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import msgspec
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.datastore.retained import Pin

PAGE_BYTES_MAX: Final = 8 * 1024 * 1024


class Row(msgspec.Struct, frozen=True, order=True, gc=False):
    """One record at a revision. `stamp` is (source epoch, source stamp), (0, 0) if it came by /ingest or a clone."""

    key: bytes
    packed: bytes
    seq: Seq
    stamp: tuple[int, int]


class RowWrite(msgspec.Struct, frozen=True, gc=False):
    """What one entry does to the replica: the record's bytes after it, or None for a tombstone."""

    table: str
    key: bytes
    packed: bytes | None
    seq: Seq
    stamp: tuple[int, int]


class MetaWrite(NamedTuple):
    """A small named value committed with the entries (cursor of the capture, placement of a view, …); None deletes."""

    name: bytes
    value: bytes | None


class PinWrite(NamedTuple):
    """A pin set or taken away with the entries: revision `at` stays readable for its owner. None: the pin goes.

    `ttl_ms` is how long a pin outlives the last time it was set, by the monotonic clock of the process that has the
    store; it starts anew with each process."""

    owner: str
    at: Seq | None
    ttl_ms: int = 0


@dataclass(frozen=True, slots=True)
class Append:
    """One commit: entries with seqs expected_head+1 …, their row writes, meta values, and pins."""

    epoch: Epoch
    expected_head: Seq
    entries: Sequence[common_pb2.Entry]
    rows: Sequence[RowWrite]
    meta: Sequence[MetaWrite] = ()
    pins: Sequence[PinWrite] = ()


class Collected(NamedTuple):
    """What one slice of collecting did. `is_done`: there is no garbage left below the floor."""

    versions: int
    is_done: bool


class Stats(NamedTuple):
    """`versions` is the engine's estimate."""

    rows: int
    versions: int
    log_entries: int
    log_bytes: int
    disk_bytes: int


class SnapshotInfo(NamedTuple):
    """A copy of the whole store on disk. `head_seq`: at least this much is in it."""

    name: str
    head_seq: Seq
    at_ms: int  # unix, for people
    size: int  # bytes of its files, of which most are shared with the store
    store_id: StoreId  # whose it is; another's is restored only when it is named


class Datastore(Protocol):
    """Synchronous but for `sync`: every other call is a few microseconds on RocksDB's memory. One owner at a time."""

    engine: str

    @property
    def store_id(self) -> StoreId: ...
    @property
    def head_seq(self) -> Seq: ...
    @property
    def synced_seq(self) -> Seq: ...
    @property
    def floor_seq(self) -> Seq:
        """The oldest readable revision."""
        ...

    @property
    def log_floor_seq(self) -> Seq:
        """The oldest entry in the log; head_seq + 1 when the log is empty."""
        ...

    def take_epoch(self) -> Epoch:
        """A new epoch, durable on return; older writers are fenced from here on."""
        ...

    def append(self, append: Append) -> None:
        """Commit, unsynced. Raises Fault FENCED (older epoch, other head), DISK_FULL."""
        ...

    async def sync(self) -> Seq:
        """Make everything appended so far durable, off the event loop; returns the new `synced_seq`."""
        ...

    def get(self, table: str, key: bytes, at: Seq | None = None) -> Row | None:
        """The record at a revision (None: the head, tombstones are None). Raises Fault REVISION_GONE."""
        ...

    def stamp_of(self, table: str, key: bytes) -> tuple[int, int]:
        """The stamp of the newest version, tombstones included; (0, 0) if there is none."""
        ...

    def scan(self, table: str, at: Seq, after_key: bytes = b"", limit: int = 1000) -> Sequence[Row]:
        """Rows at a revision in storage order (of packed key bytes), after a key. Raises Fault REVISION_GONE.

        A page may hold fewer than `limit` rows (bytes are bounded too); an empty one is the end."""
        ...

    def log(self, after: Seq, limit: int) -> Sequence[bytes]:
        """Serialized entries after a seq, checksums verified; empty at the head, else at least one, gapless.

        Raises Fault REVISION_GONE (trimmed, or above the head), DATA_LOSS."""
        ...

    def tables(self, at: Seq | None = None) -> Sequence[str]:
        """Names of tables that had a row at or before a revision, sorted; those whose rows are all gone too."""
        ...

    def count(self, table: str) -> int:
        """Rows of a table at the head."""
        ...

    def meta(self, name: bytes) -> bytes | None: ...

    def metas(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]: ...

    # --- retention ---------------------------------------------------------------------------------------------------

    def check_revision(self, token: str, *, readable: bool = True) -> Seq:
        """The seq that a token names in this store; `readable`: which an exact read can still be made at.

        Raises Fault INVALID (reason garbage), REVISION_GONE (reason foreign, lost_branch, future, trimmed)."""
        ...

    def holding(self, at: Seq) -> AbstractContextManager[Seq]:
        """Keep a revision readable while a block runs that waits between its reads. Raises Fault REVISION_GONE."""
        ...

    def pins(self) -> Sequence[Pin]:
        """Those that live, lowest first. Set and taken away by `append`."""
        ...

    def raise_floor(self, wanted: Seq) -> Seq:
        """Let go of revisions below `wanted`, a transaction's last, as far as pins and reads allow; the new floor."""
        ...

    def collect(self, entries_max: int, stamps_from: tuple[int, int] | None = None) -> Collected:
        """One slice of deleting what lies below the floor: of at most `entries_max` log entries, and kept tombstones.

        A tombstone whose stamp is `stamps_from` or later stays for now: a change delivered again must still meet it.
        None: nothing is delivered again. Raises Fault DISK_FULL, DATA_LOSS."""
        ...

    def trim_log(self, before: Seq) -> int:
        """Drop log entries below `before`, as far as collecting has come; how many went."""
        ...

    @property
    def log_bytes(self) -> int:
        """Bytes of the log; too many by 1 MiB and one append at most."""
        ...

    def log_seq_within(self, size: int) -> Seq:
        """The lowest seq, as known, above which the log has at most `size` bytes."""
        ...

    def stats(self) -> Stats: ...

    async def snapshot(self, keep: int) -> SnapshotInfo | None:
        """Copy the store aside unless the newest copy is of this head; the newest `keep` stay. None: nothing to do.

        Raises Fault DISK_FULL, UNAVAILABLE."""
        ...

    def snapshots(self) -> Sequence[SnapshotInfo]:
        """Oldest first."""
        ...

    def close(self) -> None: ...
