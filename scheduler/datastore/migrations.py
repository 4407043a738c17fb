"""The store's layout has a revision, and a chain of migrations leads from each revision to the next.

A migration names the revision it makes and the one it replaces. It may `prepare`: an idempotent step outside of any
transaction, repeated whole after a crash. It then `put`s the rest into one write batch that holds the new revision too:
so the stored revision says exactly which migrations are done, wherever the process was killed.

Head is the one revision that none replaces. There is no way back: an older program cannot know what a newer one wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rocksdict import WriteBatch
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore import state as keys
from sp00ky.scheduler.datastore.opening import Files, open_files, value_of
from sp00ky.scheduler.datastore.retained import Marks

BATCH_MAX: Final = 1_000
_KEY_BASE: Final = b"\x00base"  # of revision 1: head and floors of the empty store


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    replaces: str | None
    about: str
    prepare: Callable[[Files], None] | None = None
    put: Callable[[Files, WriteBatch], None] | None = None


def _stored_seq(files: Files, key: bytes) -> Seq:
    value = value_of(files.meta, key, "replica")
    assert value is not None, f"there is no {key!r}"
    return layout.unpack_seq(value)


def _mark_log(files: Files) -> None:
    """Cumulative sizes of the log, from its beginning: the same marks however often it is done."""
    marks, batch, meta = Marks((), 0), WriteBatch(raw_mode=True), files.family("meta")
    base = _stored_seq(files, _KEY_BASE)
    batch.put(layout.MARK_PREFIX + layout.pack_seq(base), layout.pack_seq(0), meta)
    marks.appended(base, 0)
    iterator = files.log.iter()
    iterator.seek_to_first()
    while iterator.valid():
        total = marks.appended(layout.unpack_seq(iterator.key()), len(iterator.value()))
        if total is not None:
            batch.put(layout.MARK_PREFIX + iterator.key(), layout.pack_seq(total), meta)
        if len(batch) >= BATCH_MAX:
            files.db.write(batch)
            batch = WriteBatch(raw_mode=True)
            failpoint("migrate.batch")
        iterator.next()
    iterator.status()
    batch.put(keys.KEY_LOG_BYTES, layout.pack_seq(marks.total), meta)
    files.db.write(batch)


def _put_floors(files: Files, batch: WriteBatch) -> None:
    """Floors where the store began; every epoch so far is one branch, as far as anyone knows."""
    meta = files.family("meta")
    base, head = _stored_seq(files, _KEY_BASE), _stored_seq(files, keys.KEY_HEAD)
    for key, seq in ((keys.KEY_FLOOR, base), (keys.KEY_COLLECTED, base), (keys.KEY_LOG_FLOOR, Seq(base + 1))):
        batch.put(key, layout.pack_seq(seq), meta)
    for epoch in range(1, _stored_seq(files, keys.KEY_EPOCH) + 1):
        batch.put(layout.EPOCH_PREFIX + layout.pack_seq(epoch), layout.pack_seq(head), meta)
    batch.delete(_KEY_BASE, meta)


def _put_ownership(files: Files, batch: WriteBatch) -> None:
    """Views and SSPs in the form of the coordinator that hands views over: no view has a known shape, at most one owner
    that was lost, and none that hands over; no SSP drains."""
    meta = files.family("meta")
    for key, value in keys.with_prefix(files.meta, layout.NAME_PREFIX + b"view/", "the replica"):
        spec, ssp_id, assigned_seq, assigned_at_s, lost = unpack(value)
        fences = [lost] if lost else []
        batch.put(key, pack([spec, "", ssp_id, assigned_seq, assigned_at_s, fences, "", 0]), meta)
    for key, value in keys.with_prefix(files.meta, layout.NAME_PREFIX + b"ssp/", "the replica"):
        incarnation, loaded, *addresses = unpack(value)
        batch.put(key, pack([incarnation, loaded, False, *addresses]), meta)


MIGRATIONS: Final = (
    Migration("1", None, "log, row versions, meta values"),
    Migration("2-retention", "1", "floors that move, pins, epochs, sizes of the log", _mark_log, _put_floors),
    Migration("3-ownership", "2-retention", "views that are handed over, SSPs that drain", put=_put_ownership),
)


def head_revision(migrations: Sequence[Migration] = MIGRATIONS) -> str:
    """The only revision that none replaces. Raises AssertionError for a chain that forks, has a gap, or is empty."""
    names = [migration.name for migration in migrations]
    replaced = [migration.replaces for migration in migrations if migration.replaces is not None]
    assert len(set(names)) == len(names) and len(set(replaced)) == len(replaced) == len(names) - 1, "chain forks"
    assert set(replaced) <= set(names), "a migration replaces what there is not"
    [head] = set(names) - set(replaced)
    return head


def steps_to(found: str, wanted: str, migrations: Sequence[Migration] = MIGRATIONS) -> list[Migration]:
    """The migrations that lead from one revision to another. Raises Fault INVALID: unknown, or a way back."""
    by_name = {migration.name: migration for migration in migrations}
    known = ", ".join(by_name)
    for name in (found, wanted):
        if name not in by_name:
            message = f'schema revision "{name}" of the replica is unknown here; known are {known}'
            raise Fault(Code.INVALID, message, "run the version of spky that wrote it, or a newer one")
    steps: list[Migration] = []
    at: str | None = wanted
    while at is not None and at != found:
        steps.insert(0, by_name[at])
        at = by_name[at].replaces
    if at is None:
        message = f'replica is at schema revision "{found}", which is newer than "{wanted}"'
        raise Fault(Code.INVALID, message, "there is no way back: restore a snapshot made before, or clone again")
    return steps


def stored_revision(files: Files) -> str | None:
    """None: there is no store yet."""
    value = value_of(files.meta, keys.KEY_FORMAT, "replica")
    return None if value is None else value.decode(errors="replace")


def migrate(files: Files, steps: Sequence[Migration]) -> None:
    """Carry them out, each durable before the next. Asserts that the store is where each step begins and ends."""
    for step in steps:
        assert stored_revision(files) == step.replaces, f"{step.name} replaces {step.replaces}"
        failpoint("migrate.before_prepare")
        if step.prepare is not None:
            step.prepare(files)
            files.db.flush_wal(True)
        failpoint("migrate.prepared")
        batch = WriteBatch(raw_mode=True)
        if step.put is not None:
            step.put(files, batch)
        batch.put(keys.KEY_FORMAT, step.name.encode(), files.family("meta"))
        files.db.write(batch)
        failpoint("migrate.written")
        files.db.flush_wal(True)
        assert stored_revision(files) == step.name
        failpoint("migrate.durable")


def require_head(files: Files, name: str, *, auto: bool) -> None:
    """Bring the store to today's revision, or say what would. Raises Fault INVALID."""
    found, head = stored_revision(files), head_revision()
    assert found is not None
    steps = steps_to(found, head)
    if steps and not auto:
        message = f'{name} has schema revision "{found}", this version serves "{head}"'
        raise Fault(Code.INVALID, message, "run `spky replica migrate head`")
    migrate(files, steps)


def migrate_files(replica: Path, wal_path: Path | None, wanted: str, *, dry_run: bool) -> tuple[str, list[str]]:
    """Bring a store that nobody serves to a revision, `head` or a name: where it was, and the steps.

    Raises Fault UNAVAILABLE (in use), INVALID (unknown revision, or a way back)."""
    files = open_files(replica, wal_path or replica)
    try:
        found = stored_revision(files) or ""
        steps = steps_to(found, head_revision() if wanted == "head" else wanted)
        if not dry_run:
            migrate(files, steps)
    finally:
        files.close()
    return found, [step.name for step in steps]
