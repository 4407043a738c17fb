"""Copies of the whole store beside it, to go back to when its files are damaged.

    <replica>.snapshots/<head, 20 digits>/      RocksDB's checkpoint, and `SNAPSHOT`: what it is of, as JSON
    <replica>.snapshots/<head>-<store id>/      the same, where another store's has that head
    <replica>.snapshots/.writing-…              one that is being made, .removing-… one that is being removed

Invariant: what has a snapshot's name is whole and on the disk: it is written under another name, every file and the
directory synced, then renamed. Table files are hard links, so a snapshot costs what has changed since, not the store;
and damage to one in place is damage to every snapshot that shares it.
It holds at least everything up to the head in its name.

Heads compare within one store only. Another store's snapshots (of one that was here before, or was gone back from) are
older than every own one, whatever their heads; they go first, and are gone back to only by name.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Sequence, Set
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
    """Whole ones, of this store and of others, oldest first."""
    found: list[SnapshotInfo] = []
    directory = snapshots_dir(replica)
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.name.startswith("."):
            continue
        try:
            facts = json.loads((path / FACTS_FILE).read_text())
            head, store_id = Seq(facts["head_seq"]), StoreId(facts["store_id"])
            found.append(SnapshotInfo(path.name, head, facts["at_ms"], bytes_of({path}), store_id))
        except (OSError, ValueError, KeyError):
            continue  # not one of ours
    return by_age(found)


def by_age(found: Iterable[SnapshotInfo]) -> Sequence[SnapshotInfo]:
    """Oldest first: stores by their last snapshot, and those of one store by head, as a clock may jump back."""
    by_store: dict[StoreId, list[SnapshotInfo]] = {}
    for info in found:
        by_store.setdefault(info.store_id, []).append(info)
    stores = sorted(by_store.values(), key=lambda infos: max(info.at_ms for info in infos))
    return [info for infos in stores for info in sorted(infos, key=lambda info: info.head_seq)]


def snapshot_paths(replica: Path, owners: Sequence[StoreId], name: str = "") -> Sequence[Path]:
    """The directory of one snapshot, or of all of a store, newest first. `owners`: its ids; if they are not known, all
    snapshots have to be of one store. Raises Fault NOT_FOUND."""
    found = list_snapshots(replica)
    if not found:
        raise Fault(Code.NOT_FOUND, f"replica {replica} has no snapshot", "start an empty replica: it is cloned again")
    listed = ", ".join(f"{info.name} of store {info.store_id}" for info in found)
    if name:
        if name not in {info.name for info in found}:
            raise Fault(Code.NOT_FOUND, f'there is no snapshot "{name}"', f"there are {listed}")
        return [snapshots_dir(replica) / name]
    is_one_store = len({info.store_id for info in found}) == 1
    own = [info for info in found if info.store_id in owners or (not owners and is_one_store)]
    if not own:
        message = f"replica {replica} has no snapshot that is known to be its own"
        raise Fault(Code.NOT_FOUND, message, f"name another store's with --snapshot: {listed}")
    return [snapshots_dir(replica) / info.name for info in reversed(own)]


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
        info = None
        if facts not in {(info.store_id, info.head_seq) for info in list_snapshots(replica)}:
            name = f"{head:020d}"
            if (directory / name).exists():
                name += f"-{store_id}"
            with lock:
                info = _write(files, directory, name, store_id, head)
        _remove_all_but(_kept(list_snapshots(replica), store_id, keep), directory)
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
    return SnapshotInfo(name, head, at_ms, bytes_of({directory / name}), store_id)


def _kept(found: Sequence[SnapshotInfo], store_id: StoreId, keep: int) -> Set[str]:
    """The newest `keep`, at least one; every own one is newer than those of other stores."""
    ordered = sorted(found, key=lambda info: info.store_id == store_id)  # stable
    return {info.name for info in ordered[-max(1, keep) :]}


def _remove_all_but(kept: Set[str], directory: Path) -> None:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name in kept:
            continue
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
