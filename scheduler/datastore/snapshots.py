"""Copies of the whole store beside it, to go back to when its files are damaged.

    <replica>.snapshots/<head, 20 digits>/      RocksDB's checkpoint, and `SNAPSHOT`: what it is of, as JSON
    <replica>.snapshots/.writing-…              one that is being made, .removing-… one that is being removed

Invariant: what has a snapshot's name is whole and on the disk: it is written under another name, every file and the
directory synced, then renamed. Table files are hard links, so a snapshot costs what has changed since, not the store;
and damage to one in place is damage to every snapshot that shares it.
It holds at least everything up to the head in its name.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rocksdict import Checkpoint
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq, StoreId
from sp00ky.scheduler.datastore.datastore import SnapshotInfo
from sp00ky.scheduler.datastore.opening import Files, bytes_of, fault_of_disk

FACTS_FILE: Final = "SNAPSHOT"
_WRITING, _REMOVING = ".writing-", ".removing-"


def snapshots_dir(replica: Path) -> Path:
    return replica.with_name(replica.name + ".snapshots")


def list_snapshots(replica: Path) -> Sequence[SnapshotInfo]:
    """Whole ones, oldest first."""
    found = []
    directory = snapshots_dir(replica)
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.name.startswith("."):
            continue
        try:
            facts = json.loads((path / FACTS_FILE).read_text())
            found.append(SnapshotInfo(path.name, Seq(facts["head_seq"]), facts["at_ms"], bytes_of({path})))
        except (OSError, ValueError, KeyError):
            continue  # not one of ours
    return found


def snapshot_paths(replica: Path, name: str = "") -> Sequence[Path]:
    """The directory of one snapshot, or of all, newest first. Raises Fault NOT_FOUND."""
    names = [info.name for info in list_snapshots(replica)]
    if not names:
        raise Fault(Code.NOT_FOUND, f"replica {replica} has no snapshot", "start an empty replica: it is cloned again")
    if name and name not in names:
        raise Fault(Code.NOT_FOUND, f'there is no snapshot "{name}"', f"there are {', '.join(names)}")
    return [snapshots_dir(replica) / found for found in ([name] if name else reversed(names))]


def write_snapshot(
    files: Files, replica: Path, facts: tuple[StoreId, Seq], *, keep: int, lock: threading.Lock
) -> SnapshotInfo | None:
    """Blocking; for a thread, while the store is written on. `facts`: store and head; `lock` keeps the files open.

    None: the newest is of that head.

    Raises Fault DISK_FULL, UNAVAILABLE."""
    directory = snapshots_dir(replica)
    try:
        directory.mkdir(exist_ok=True)
        _remove_unfinished(directory)
        store_id, head = facts
        name = f"{head:020d}"
        info = None
        if not (directory / name).exists():
            with lock:
                info = _write(files, directory, name, store_id, head)
        _remove_all_but(directory, keep)
    except Fault:
        raise
    except Exception as error:  # of the system, or of RocksDB, which raises bare ones
        with suppress(OSError):  # what was begun would take up the room that is wanting
            _remove_unfinished(directory)
        raise fault_of_disk(f"snapshot of replica {replica}", str(error)) from error
    return info


def _write(files: Files, directory: Path, name: str, store_id: StoreId, head: Seq) -> SnapshotInfo:
    writing = directory / (_WRITING + name)
    for family in (files.log, files.rows, files.meta):
        family.flush(True)  # what is in tables is linked, what is in the write-ahead log would be copied
    Checkpoint(files.db).create_checkpoint(str(writing))
    failpoint("snap.write")
    at_ms = time.time_ns() // 1_000_000
    facts = {"store_id": store_id, "head_seq": head, "at_ms": at_ms}
    (writing / FACTS_FILE).write_text(json.dumps(facts) + "\n")
    for path in writing.iterdir():
        sync_path(path)
    sync_path(writing)
    failpoint("snap.rename")
    writing.rename(directory / name)
    sync_path(directory)
    return SnapshotInfo(name, head, at_ms, bytes_of({directory / name}))


def _remove_all_but(directory: Path, keep: int) -> None:
    whole = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    for path in whole[: -max(1, keep)]:
        removing = directory / (_REMOVING + path.name)
        path.rename(removing)  # half a snapshot never has a snapshot's name
        failpoint("snap.truncate")
        shutil.rmtree(removing)


def _remove_unfinished(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name.startswith((_WRITING, _REMOVING)):
            shutil.rmtree(path)


def sync_path(path: Path) -> None:
    """fsync of a file, or of a directory's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
