"""Going back to a snapshot: a new store, with the rows of the old one.

What was handed out after the snapshot is lost, so nothing of the old branch may be taken for the new one: the restored
store has another id (every old token is refused as foreign, every SSP loads anew), and numbers on above everything that
is known to have been handed out, since seqs are also the epochs that fence edge writers, and the versions of edges.

Steps, each of which leaves a state that the next attempt, or a start, recognises:

    <replica>.restoring    built aside from the snapshot, complete once it has the file `RESTORED`
    <replica>              renamed to <replica>.damaged-<ms>, with its write-ahead log; then .restoring takes its name

As long as there is a `.restoring`, nothing is served: an empty replica made in its place would hide the loss.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq, StoreId
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore import state as keys
from sp00ky.scheduler.datastore.migrations import require_head
from sp00ky.scheduler.datastore.opening import fault_of_disk, open_files, owners_of, write_owners
from sp00ky.scheduler.datastore.rocks import restart_above
from sp00ky.scheduler.datastore.snapshots import FACTS_FILE, snapshot_path, sync_path

READY_FILE: Final = "RESTORED"


class Restored(NamedTuple):
    snapshot: str
    store_id: StoreId
    snapshot_head: Seq
    head: Seq  # where it numbers on from
    damaged: Path | None  # where the old files are now


def restoring_dir(replica: Path) -> Path:
    return replica.with_name(replica.name + ".restoring")


def require_restored(replica: Path) -> None:
    """Raises Fault NOT_READY if a restore did not come to its end, UNAVAILABLE if that cannot be seen."""
    try:
        is_half_done = restoring_dir(replica).exists()
    except OSError as error:
        raise fault_of_disk(f"replica {replica}", error.strerror or str(error)) from error
    if is_half_done:
        raise Fault(
            Code.NOT_READY, f"replica {replica} is being restored, or was left half so", "run `spky replica restore`"
        )


@contextmanager
def locked(replica: Path) -> Iterator[None]:
    """Keep others from opening a replica. Raises Fault UNAVAILABLE if somebody has it open."""
    lock = replica / "LOCK"
    if not lock.exists():
        yield
        return
    with lock.open("r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"replica {replica} is in use by another process"
            raise Fault(Code.UNAVAILABLE, message, "stop the scheduler first") from error
        yield


def restore(replica: Path, wal_path: Path | None = None, *, name: str = "", above: int = 0) -> Restored:
    """Go back to a snapshot, the newest unless one is named, and number on above `above` and the old store's head.

    Raises Fault NOT_FOUND, UNAVAILABLE (in use), DISK_FULL, DATA_LOSS (the snapshot, too, is damaged)."""
    wal_path = wal_path if wal_path is not None and wal_path != replica else None
    source = snapshot_path(replica, name)
    restoring = restoring_dir(replica)
    try:
        with locked(replica):
            above = max(above, readable_head(replica, wal_path))
            ready = restoring / READY_FILE
            if not ready.exists() or ready.read_text().split()[0] != source.name:
                shutil.rmtree(restoring, ignore_errors=True)
                _build(source, restoring, above)
            _, store_id, snapshot_head, head = ready.read_text().split()
            damaged = _swap(replica, wal_path, restoring, StoreId(store_id))
    except OSError as error:
        raise fault_of_disk(f"replica {error.filename or replica}", str(error.strerror)) from error
    return Restored(source.name, StoreId(store_id), Seq(int(snapshot_head)), Seq(int(head)), damaged)


def readable_head(replica: Path, wal_path: Path | None = None) -> Seq:
    """The head that a store's files still tell, whatever else is damaged; 0 if they tell none."""
    with suppress(Fault, KeyError):
        files = open_files(replica, wal_path or replica, read_only=True)
        try:
            return layout.unpack_seq(dict(keys.with_prefix(files.meta, b"\x00", "replica"))[keys.KEY_HEAD])
        finally:
            files.close()
    return Seq(0)


def _build(source: Path, restoring: Path, above: int) -> None:
    shutil.copytree(source, restoring, copy_function=_link_or_copy)
    (restoring / FACTS_FILE).unlink()
    failpoint("restore.copied")
    store_id = StoreId(secrets.token_hex(4))
    files = open_files(restoring, restoring)
    try:
        require_head(files, f"snapshot {source}", auto=True)
        state = keys.read_state(files, f"snapshot {source}")
        head = max(above, state.head) + 1  # never a seq that the old branch may have used
        restart_above(files, state, Seq(head), store_id)
        for family in (files.log, files.rows, files.meta):
            family.flush(True)  # nothing may be left in the write-ahead log, which goes elsewhere
    finally:
        files.close()
    for log in restoring.glob("*.log"):
        log.unlink()
    for path in restoring.iterdir():
        sync_path(path)
    (restoring / READY_FILE).write_text(f"{source.name} {store_id} {state.head} {head}\n")
    sync_path(restoring / READY_FILE)
    sync_path(restoring)
    failpoint("restore.built")


def _swap(replica: Path, wal_path: Path | None, restoring: Path, store_id: StoreId) -> Path | None:
    """Put the new files in the place of the old ones, which are kept."""
    suffix = f".damaged-{time.time_ns() // 1_000_000}"
    damaged = None
    if replica.exists():
        damaged = replica.with_name(replica.name + suffix)
        replica.rename(damaged)
    failpoint("restore.moved")
    if wal_path is not None and wal_path.exists() and owners_of(wal_path) != [store_id]:
        wal_path.rename(wal_path.with_name(wal_path.name + suffix))
    owned = wal_path or restoring
    owned.mkdir(parents=True, exist_ok=True)
    write_owners(owned, store_id)
    failpoint("restore.owned")
    restoring.rename(replica)
    sync_path(replica.parent)
    (replica / READY_FILE).unlink()
    return damaged


def _link_or_copy(source: str, target: str) -> None:
    """Table files never change, so one name more is a copy."""
    if source.endswith(".sst"):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)
