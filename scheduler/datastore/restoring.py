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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Final, NamedTuple

from rocksdict import Rdict
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq, StoreId
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore import state as keys
from sp00ky.scheduler.datastore.migrations import require_head
from sp00ky.scheduler.datastore.opening import CURRENT_FILE, Files, fault_of_disk, open_files, owners_of, write_owners
from sp00ky.scheduler.datastore.rocks import restart_above
from sp00ky.scheduler.datastore.snapshots import FACTS_FILE, list_snapshots, snapshot_paths, sync_path

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
    """Go back to a snapshot, the store's newest whole one unless one is named, and number on above `above` and every
    head that the old store's files tell. One that was built already is taken up, unless another is named.

    Raises Fault NOT_FOUND, UNAVAILABLE (in use), DISK_FULL, DATA_LOSS (the snapshots, too, are damaged)."""
    wal_path = wal_path if wal_path is not None and wal_path != replica else None
    restoring = restoring_dir(replica)
    try:
        with locked(replica):
            built = _built(restoring)
            if built is None or name not in {"", built.snapshot}:
                sources = snapshot_paths(replica, owners_of(wal_path or replica), name)
                above = max(above, built.head if built is not None else 0, _known_head(replica, wal_path))
                built = _build_whole(sources, replica, above, is_named=bool(name))
            damaged = _swap(replica, wal_path, restoring, built.store_id)
    except OSError as error:
        raise fault_of_disk(f"replica {error.filename or replica}", str(error.strerror)) from error
    return built._replace(damaged=damaged)


def _built(restoring: Path) -> Restored | None:
    """What lies there complete."""
    ready = restoring / READY_FILE
    facts = ready.read_text().split() if ready.exists() else []
    if len(facts) != 4:
        return None
    return Restored(facts[0], StoreId(facts[1]), Seq(int(facts[2])), Seq(int(facts[3])), None)


def _known_head(replica: Path, wal_path: Path | None) -> Seq:
    """The highest head that the replica tells, or a snapshot, or a replica that was moved away: a restore killed after
    it moved the replica finds nothing else of the branch that is given up."""
    heads = [readable_head(replica, wal_path), *(info.head_seq for info in list_snapshots(replica))]
    for damaged in replica.parent.glob(f"{escape(replica.name)}.damaged-*"):
        moved = wal_path.with_name(wal_path.name + damaged.name.removeprefix(replica.name)) if wal_path else None
        heads.append(readable_head(damaged, moved if moved is not None and moved.exists() else wal_path))
    return max(heads)


def readable_head(replica: Path, wal_path: Path | None = None) -> Seq:
    """The head that a store's files still tell, whatever else is damaged; 0 if they tell none."""
    if not (replica / CURRENT_FILE).exists():
        return Seq(0)  # also a reader would make the directory
    with suppress(Fault, KeyError):
        files = open_files(replica, wal_path or replica, read_only=True)
        try:
            return layout.unpack_seq(dict(keys.with_prefix(files.meta, b"\x00", "replica"))[keys.KEY_HEAD])
        finally:
            files.close()
    return Seq(0)


def _build_whole(sources: Sequence[Path], replica: Path, above: int, *, is_named: bool) -> Restored:
    """Build from the first snapshot that is whole. If none is, nothing stays in the way of a start."""
    restoring, damage = restoring_dir(replica), []
    for source in sources:
        _clear(restoring)
        try:
            return _build(source, restoring, above)
        except Fault as fault:
            if fault.code is not Code.DATA_LOSS:
                raise
            damage.append(f"snapshot {source.name}: {fault.message}")
    _clear(restoring)
    if replica.exists() or not is_named:  # else it says on that what was here is moved away, and not restored
        restoring.rmdir()
    if is_named:
        hint = "`spky replica restore` without --snapshot takes the newest that is whole"
        raise Fault(Code.DATA_LOSS, f"the snapshot is damaged, too: {damage[0]}", hint)
    hint = f"move {replica} away and start; it is cloned again from SurrealDB, what came by /ingest alone is lost"
    raise Fault(Code.DATA_LOSS, f"no snapshot is whole: {'; '.join(damage)}", hint)


def _clear(restoring: Path) -> None:
    """Empty the directory, and let it stand: as long as it does, nothing is served."""
    restoring.mkdir(exist_ok=True)
    (restoring / READY_FILE).unlink(missing_ok=True)  # first: what remains after a kill is not complete
    for path in restoring.iterdir():
        path.unlink()


def _build(source: Path, restoring: Path, above: int) -> Restored:
    """Raises Fault DATA_LOSS for a snapshot that cannot be read to its end."""
    shutil.copytree(source, restoring, copy_function=_link_or_copy, dirs_exist_ok=True)
    (restoring / FACTS_FILE).unlink()
    failpoint("restore.copied")
    store_id = StoreId(secrets.token_hex(4))
    files = open_files(restoring, restoring)
    try:
        _require_readable(files, f"replica {restoring}")
        require_head(files, f"snapshot {source}", auto=True)
        state = keys.read_state(files, f"snapshot {source}")
        head = Seq(max(above, state.head) + 1)  # never a seq that the old branch may have used
        restart_above(files, state, head, store_id)
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
    return Restored(source.name, store_id, state.head, head, None)


def _require_readable(files: Files, name: str) -> None:
    """Read every block, which compares its checksum: damage to a table file in place is also the snapshot's."""
    for family in (files.log, files.rows, files.meta):
        reason = _damage_of(family)
        if reason:
            raise fault_of_disk(name, reason)


def _damage_of(family: Rdict) -> str:
    """Not raised from here: a traceback would hold the iterator, and that the files' lock."""
    iterator = family.iter()
    iterator.seek_to_first()
    while iterator.valid():
        iterator.next()
    try:
        iterator.status()
    except Exception as error:  # rocksdict raises bare ones
        return str(error)
    return ""


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
