"""Opening RocksDB files: options, the directories' ownership, and RocksDB's errors as our faults.

Invariant: the write-ahead log replayed into a replica is the replica's own. RocksDB does not check that: with another
`wal_path` than before it opens without a word, and what was only in the log is gone. So the directory of the log holds
a file with the store's id, and a replica whose log is elsewhere is refused. While
a store's id changes, both are in it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
)
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import StoreId
from sp00ky.scheduler.datastore.layout import RESTORE_HINT

OWNER_FILE: Final = "STORE_ID"
CURRENT_FILE: Final = "CURRENT"  # RocksDB's: which manifest is the store
_FIRST_MANIFEST: Final = "MANIFEST-000001"
_WRITE_BUFFER_BYTES: Final = 64 * 1024 * 1024
_WAL_BYTES_MAX: Final = 128 * 1024 * 1024  # also what opening has to replay and verify at most
_ROOM_BYTES: Final = 4 * 1024 * 1024
_CACHE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Files:
    """An open RocksDB and its column families.

    A handle for batches is asked for by name, batch by batch: one that is kept keeps the database and its lock open."""

    db: Rdict
    log: Rdict
    rows: Rdict
    meta: Rdict

    def family(self, name: str) -> ColumnFamily:
        return self.db.get_column_family_handle(name)

    def close(self) -> None:
        """Release the lock: the database lives as long as any of its families is open. Safe to call twice.

        Closing also writes tables, which a full disk refuses; what they would hold is in the write-ahead log."""
        for opened in (self.log, self.rows, self.meta, self.db):
            with suppress(Exception):
                opened.close()


def own_directories(path: Path, wal_path: Path) -> Sequence[StoreId]:
    """Make the directories if they are new; the id of the store in them, two while it changes. Where there is no store
    its id is a new one, also beside a leftover `STORE_ID`: the tokens of what was there before are another's.

    Raises Fault with the path in its message; DATA_LOSS, with nothing written, if a store's files lack `CURRENT`."""
    try:
        require_current(path)
        is_new = not (path / CURRENT_FILE).exists()
        path.mkdir(parents=True, exist_ok=True)
        wal_path.mkdir(parents=True, exist_ok=True)
        if not is_new and (wal_path / OWNER_FILE).exists():
            return owners_of(wal_path)
        if not is_new:
            message = f"wal directory {wal_path} does not hold the log of replica {path}"
            raise Fault(Code.INVALID, message, "give the wal path that the replica was made with")
        if any(wal_path.glob("*.log")):
            message = f"wal directory {wal_path} holds the log of another replica"
            raise Fault(Code.INVALID, message, "give an empty directory")
        return write_owners(wal_path, StoreId(secrets.token_hex(4)))
    except OSError as error:
        raise fault_of_disk(f"replica directory {error.filename or path}", str(error.strerror)) from error


def holds_store(path: Path) -> bool:
    """Whether a directory holds a store, whole or not.

    The first manifest alone is none: RocksDB writes it before `CURRENT`, and all else after."""
    if (path / CURRENT_FILE).exists():
        return True
    found = (file for pattern in ("MANIFEST-*", "*.sst", "*.log") for file in path.glob(pattern))
    return any(file.name != _FIRST_MANIFEST for file in found)


def require_current(path: Path) -> None:
    """Raises Fault DATA_LOSS for a store without `CURRENT`, which RocksDB would take for a new directory."""
    if not (path / CURRENT_FILE).exists() and holds_store(path):
        message = f"replica {path} is damaged: its file {CURRENT_FILE} is missing"
        raise Fault(Code.DATA_LOSS, message, RESTORE_HINT)


def owners_of(wal_path: Path) -> Sequence[StoreId]:
    """The ids of the store that a write-ahead log belongs to; none if it has no owner."""
    owner = wal_path / OWNER_FILE
    return [StoreId(line) for line in owner.read_text().split()] if owner.exists() else []


def write_owners(wal_path: Path, *store_ids: StoreId) -> Sequence[StoreId]:
    """Durable, and whole or not at all."""
    writing = wal_path / f".{OWNER_FILE}"
    with writing.open("w") as file:
        file.write("\n".join(store_ids) + "\n")
        file.flush()
        os.fsync(file.fileno())
    writing.rename(wal_path / OWNER_FILE)
    return store_ids


def open_files(path: Path, wal_path: Path, *, read_only: bool = False) -> Files:
    """Raises Fault: UNAVAILABLE if another process holds it or it cannot be written, DATA_LOSS if it is damaged.

    `read_only`: writes nothing, not even what recovery would; for a disk that takes nothing."""
    require_current(path)
    families = {name: _family_options() for name in ("log", "rows", "meta")}
    access = AccessType.read_only(False) if read_only else AccessType.read_write()
    options = _database_options(wal_path)
    if read_only:
        options.set_db_log_dir(tempfile.gettempdir())  # even a reader writes a log of what it does
    try:
        db = Rdict(str(path), options, families, access)
    except Exception as error:  # rocksdict raises bare Exception for every RocksDB status
        raise fault_of_disk(f"replica {path}", str(error)) from error
    return Files(
        db=db,
        log=db.get_column_family("log"),
        rows=db.get_column_family("rows"),
        meta=db.get_column_family("meta"),
    )


def has_room(path: Path, wal_path: Path) -> bool:
    """Whether opening can write what recovery has to: tables of what is in the write-ahead log, and its own files."""
    needed = _ROOM_BYTES + 2 * sum(file.stat().st_size for file in wal_path.glob("*.log"))
    return shutil.disk_usage(path).free >= needed


def bytes_of(paths: Iterable[Path]) -> int:
    """Bytes of the files right below some directories; one that goes meanwhile counts nothing."""
    total = 0
    for path in paths:
        for file in path.iterdir():
            with suppress(OSError):
                total += file.stat().st_size
    return total


def value_of(family: Rdict, key: bytes, name: str) -> bytes | None:
    """Raises Fault DATA_LOSS where rocksdict raises a bare exception."""
    try:
        value: bytes | None = family.get(key)
    except Exception as error:
        raise fault_of_disk(name, str(error)) from error
    return value


def fault_of_disk(name: str, reason: str) -> Fault:
    """The fault behind an error text of the system or of RocksDB; one line."""
    reason = " ".join(reason.split())
    if any(text in reason for text in ("No space left", "File too large", "quota exceeded")):
        return Fault(Code.DISK_FULL, f"{name}: no space left", "free some space, then try again")
    if "lock" in reason and ("LOCK" in reason or "held by" in reason):
        return Fault(Code.UNAVAILABLE, f"{name} is in use by another process", "stop that one, or give another path")
    gone = "No such file" in reason and any(text in reason for text in ("MANIFEST-", ".sst", ".log"))
    if gone or "Corruption" in reason or "CURRENT file" in reason:
        return Fault(Code.DATA_LOSS, f"{name} is damaged: {reason}", RESTORE_HINT)
    return Fault(Code.UNAVAILABLE, f"{name} cannot be used: {reason}", "check the path and its permissions")


def _database_options(wal_path: Path) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_wal_dir(str(wal_path))
    # The default drops synced records silently after damage; this one tolerates a torn tail only, and else refuses.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_max_total_wal_size(_WAL_BYTES_MAX)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(3)
    options.set_max_log_file_size(4 * 1024 * 1024)
    options.set_skip_stats_update_on_db_open(True)
    return options


def _family_options() -> Options:
    options = Options(raw_mode=True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_compression_type(DBCompressionType.lz4())
    table = BlockBasedOptions()
    table.set_block_cache(Cache(_CACHE_BYTES))
    options.set_block_based_table_factory(table)
    return options
