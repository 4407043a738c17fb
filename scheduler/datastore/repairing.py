"""Mending what `spky replica verify` finds, each kind of damage by an operation of its own, offline.

An operation looks at what is stored and makes it agree with the log; where nothing is amiss it does nothing, so that a
second run finds nothing. `dry_run` says what would be done. What is gone from the log cannot be mended: that takes
`spky replica restore`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from rocksdict import WriteBatch
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq, StoreId
from sp00ky.scheduler.capture.progress import PROGRESS_META, progress_of
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore import state as keys
from sp00ky.scheduler.datastore.collecting import put_superseded
from sp00ky.scheduler.datastore.migrations import require_head
from sp00ky.scheduler.datastore.opening import Files, open_files, write_owners
from sp00ky.scheduler.datastore.rocks import restart_above
from sp00ky.scheduler.datastore.state import StoredState, read_state

Findings = list[str]


def repair(replica: Path, wal_path: Path | None, name: str, *, dry_run: bool) -> Findings:
    """What was mended, or would be. Raises Fault NOT_FOUND (no such operation), UNAVAILABLE (the store is in use)."""
    operation = REPAIRS.get(name)
    if operation is None:
        raise Fault(Code.NOT_FOUND, f'there is no repair "{name}"', f"there are {', '.join(REPAIRS)}")
    wal_path = wal_path or replica
    files = open_files(replica, wal_path)
    try:
        require_head(files, f"replica {replica}", auto=False)
        state = read_state(files, f"replica {replica}")
        findings = operation(files, state, wal_path, dry_run)
        files.db.flush_wal(True)
    finally:
        files.close()
    return findings


def _repair_head(files: Files, state: StoredState, wal_path: Path, dry_run: bool) -> Findings:
    """The head is the end of the gapless log. What lies above it is dropped, and its seqs are never used again."""
    end = Seq(state.log_floor - 1)
    iterator = files.log.iter()
    iterator.seek(layout.pack_seq(state.log_floor))
    while iterator.valid() and layout.unpack_seq(iterator.key()) == end + 1:
        layout.log_entry(iterator.key(), iterator.value())
        end = Seq(end + 1)
        iterator.next()
    iterator.seek_to_last()
    highest = max(layout.unpack_seq(iterator.key()) if iterator.valid() else Seq(0), state.head)
    if end == highest == state.head:
        return []
    if end == highest:  # every entry is there: only the head was behind
        if not dry_run:
            batch = WriteBatch(raw_mode=True)
            keys.put_seq(batch, files, keys.KEY_HEAD, end)
            files.db.write(batch)
        return [f"head {state.head} becomes {end}, where the log ends"]
    dropped, compared = _versions_above(files, max(end, state.collected)), _reclone(files, state, wal_path, True)
    if not dry_run:
        batch = WriteBatch(raw_mode=True)
        for row_key in dropped:
            batch.delete(row_key, files.family("rows"))
        files.db.write(batch)
        renamed = StoreId(secrets.token_hex(4))
        write_owners(wal_path, state.store_id, renamed)
        restart_above(files, state, Seq(highest + 1), renamed)
        write_owners(wal_path, renamed)
        _repair_counts(files, read_state(files, "replica"), wal_path, dry_run)
        _reclone(files, state, wal_path, dry_run)
    lost = f"log has no entry {end + 1}: {len(dropped)} row versions above it are dropped"
    return [lost, f"numbering goes on above {highest}, under another store id", *compared]


def _versions_above(files: Files, seq: Seq) -> list[bytes]:
    found = []
    iterator = files.rows.iter()
    iterator.seek_to_first()
    while iterator.valid():
        if layout.seq_of_row_key(iterator.key()) > seq:
            found.append(iterator.key())
        iterator.next()
    return found


def _repair_counts(files: Files, state: StoredState, wal_path: Path, dry_run: bool) -> Findings:
    """Rows of each table at the head, counted."""
    findings, batch = [], WriteBatch(raw_mode=True)
    for table, (first_seq, count) in state.tables.items():
        prefix, found, record = layout.table_prefix(table), 0, b""
        iterator = files.rows.iter()
        iterator.seek(prefix)
        while iterator.valid() and iterator.key().startswith(prefix):
            this = iterator.key()[: -layout.SEQ_BYTES]
            if this != record:
                found += layout.version_of(iterator.value())[0]
                record = this
            iterator.next()
        if found != count:
            findings.append(f"table {table} counts {count} rows and holds {found}")
            value = layout.table_value(first_seq, found)
            batch.put(layout.TABLE_PREFIX + table.encode(), value, files.family("meta"))
    if findings and not dry_run:
        files.db.write(batch)
    return findings


def _repair_orphans(files: Files, state: StoredState, wal_path: Path, dry_run: bool) -> Findings:
    """Versions that no readable revision needs, left where the log no longer leads garbage collection to them."""
    begin: bytes | None = b""
    total = 0
    while begin is not None:
        batch = WriteBatch(raw_mode=True)
        begin, versions = put_superseded(files, batch, begin, state.collected)
        total += versions
        if versions and not dry_run:
            files.db.write(batch)
    return [f"{total} superseded row versions are deleted"] if total else []


def _reclone(files: Files, state: StoredState, wal_path: Path, dry_run: bool) -> Findings:
    """Have the capture compare every table with SurrealDB at its next start."""
    key = layout.NAME_PREFIX + PROGRESS_META
    progress = progress_of(files.meta.get(key))
    if progress is None or not progress.cloned:
        return []  # it will anyhow
    if not dry_run:
        batch = WriteBatch(raw_mode=True)
        batch.put(key, replace(progress, cloned=False).as_meta().value, files.family("meta"))
        files.db.write(batch)
    return ["every table is compared with SurrealDB at the next start"]


REPAIRS: Final[Mapping[str, Callable[[Files, StoredState, Path, bool], Findings]]] = {
    "head": _repair_head,
    "counts": _repair_counts,
    "orphan-versions": _repair_orphans,
    "reclone": _reclone,
}


def described() -> Mapping[str, str]:
    """Each operation, and what it does."""
    return {name: (operation.__doc__ or "").split("\n")[0] for name, operation in REPAIRS.items()}
