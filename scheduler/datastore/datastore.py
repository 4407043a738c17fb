"""The datastore: log and multi-version replica behind one interface.

The log is the truth; the replica is the log, folded. One `append` holds log entries, row versions and the head in one
atomic commit, so there is never a state in which they disagree. Rows keep every version down to the floor, so any
revision in [floor, head] is read exactly while writing goes on.

Invariants: seqs are gapless from 1; `append` succeeds only if `expected_head` is the head and `epoch` the newest taken
(compare-and-set: two writers never interleave); `synced_seq ≤ head_seq`, and nothing above `synced_seq` is shown to
anyone. A row's version is the seq of the entry that wrote it.

Pages are bounded in bytes as well as in rows (`PAGE_BYTES_MAX`, but at least one item): only an empty page is the end.

Engines: `memory.py`, `rocks.py`; what both check is in `admission.py`. One conformance suite
(tests/conformance/test_datastore.py) runs over both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2

PAGE_BYTES_MAX: Final = 8 * 1024 * 1024


class Row(NamedTuple):
    """One record at a revision. `stamp` is (source epoch, source stamp), (0, 0) if it came by /ingest or a clone."""

    key: bytes
    packed: bytes
    seq: Seq
    stamp: tuple[int, int]


class RowWrite(NamedTuple):
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

    def close(self) -> None: ...
