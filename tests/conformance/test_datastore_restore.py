"""Snapshots beside the store, and going back to one: nothing of the lost branch is taken for the new one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.datastore import MetaWrite
from sp00ky.scheduler.datastore.restoring import require_restored, restore, restoring_dir
from sp00ky.scheduler.datastore.rocks import RocksDatastore
from sp00ky.scheduler.datastore.snapshots import snapshots_dir

from tests.harness.stores import Writer, fault_code, state_at

ROOT = str(Path(__file__).resolve().parents[2])


async def filled(path: Path, wal_path: Path | None = None) -> RocksDatastore:
    """A store with a snapshot at 6 and a head at 8."""
    store = RocksDatastore.open(path, wal_path)
    writer = Writer(store)
    writer.write(*[("t", pack(n), b"one") for n in range(4)])
    writer.write(("t", pack(0), b"two"), ("t", pack(1), None), meta=[MetaWrite(b"view/a", b"kept")])
    await store.sync()
    info = await store.snapshot(2)
    assert info is not None and info.head_seq == 6
    writer.write(("t", pack(0), b"lost"), ("u", pack(9), b"lost"))
    await store.sync()
    return store


async def test_a_snapshot_is_taken_once_for_a_head_and_the_newest_stay(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path / "r")
    writer = Writer(store)
    for n in range(4):
        writer.write(("t", pack(n), b"x" * 1000))
        await store.sync()
        assert (await store.snapshot(2)) is not None
        assert (await store.snapshot(2)) is None
    assert [info.head_seq for info in store.snapshots()] == [3, 4]
    assert all(info.size > 0 and info.at_ms > 0 for info in store.snapshots())
    store.close()


@pytest.mark.parametrize("has_own_wal", [False, True])
async def test_a_restored_store_is_another_one_that_numbers_on(tmp_path: Path, has_own_wal: bool) -> None:
    path, wal_path = tmp_path / "r", tmp_path / "wal" if has_own_wal else None
    store = await filled(path, wal_path)
    old = store.store_id
    expected = state_at(store, Seq(6))
    old_token = Writer(store).token(6)
    store.close()

    restored = restore(path, wal_path)
    assert (restored.snapshot_head, restored.head) == (6, 9)  # above the damaged store's 8
    assert restored.damaged is not None and (restored.damaged / "CURRENT").exists()

    store = RocksDatastore.open(path, wal_path)
    assert store.store_id == restored.store_id != old
    assert (store.head_seq, store.floor_seq, store.log_floor_seq) == (9, 9, 10)
    assert state_at(store, Seq(9)) == expected and store.meta(b"view/a") == b"kept"
    with pytest.raises(Fault) as caught:
        store.check_revision(old_token)
    assert caught.value.details["reason"] == "foreign"
    assert fault_code(lambda: store.log(Seq(6), 1)) is Code.REVISION_GONE
    assert store.stats().versions <= 4
    writer = Writer(store)
    assert writer.write(("t", pack(1), b"again")) == 10
    assert store.count("t") == 4
    store.close()
    assert fault_code(lambda: restore(path, wal_path, name="no such")) is Code.NOT_FOUND


async def test_a_store_in_use_is_not_restored(tmp_path: Path) -> None:
    store = await filled(tmp_path / "r")
    code = (
        "import sys; from pathlib import Path; from sp00ky.scheduler.datastore.restoring import restore\n"
        "try: restore(Path(sys.argv[1]))\nexcept Exception as fault: print(fault)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "r")]
    said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=60)
    assert "is in use by another process" in said.stdout
    store.close()


async def test_a_store_whose_files_are_gone_is_restored_above_the_mark(tmp_path: Path) -> None:
    path = tmp_path / "r"
    (await filled(path)).close()
    shutil.rmtree(path)
    assert restore(path, above=5_000).head == 5_001
    store = RocksDatastore.open(path, base_seq=7_000)  # and what SurrealDB knows of is higher still
    assert (store.head_seq, store.floor_seq) == (7_000, 7_000)
    assert [row.packed for row in state_at(store, Seq(7_000))["t"]] == [b"two", b"one", b"one"]
    store.close()
    store = RocksDatastore.open(path, base_seq=7_000)
    assert store.head_seq == 7_000
    store.close()


_COMMAND = """
import asyncio, sys
from pathlib import Path
from sp00ky.scheduler.datastore.restoring import restore
from sp00ky.scheduler.datastore.rocks import RocksDatastore

async def snapshot(path):
    store = RocksDatastore.open(path)
    await store.snapshot(1)
    store.close()

if sys.argv[1] == "snapshot":
    asyncio.run(snapshot(sys.argv[2]))
else:
    restore(Path(sys.argv[2]))
"""


def run_killed(what: str, path: Path, failpoint: str) -> None:
    env = {**os.environ, "PYTHONPATH": ROOT, "SPKY_FAILPOINTS": f"{failpoint}=abort"}
    command = [sys.executable, "-c", _COMMAND, what, str(path)]
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("failpoint", ["snap.write", "snap.rename", "snap.truncate"])
async def test_a_snapshot_cut_short_is_none(tmp_path: Path, failpoint: str) -> None:
    path = tmp_path / "r"
    (await filled(path)).close()
    run_killed("snapshot", path, failpoint)
    store = RocksDatastore.open(path)
    whole = [info.head_seq for info in store.snapshots()]
    assert whole == ([8] if failpoint == "snap.truncate" else [6])
    Writer(store).write(("t", pack(5), b"on"))
    await store.sync()
    info = await store.snapshot(1)
    assert info is not None and info.head_seq == 9
    assert [path.name for path in snapshots_dir(path).iterdir()] == [info.name]
    store.close()


@pytest.mark.parametrize("failpoint", ["restore.copied", "restore.built", "restore.moved", "restore.owned"])
async def test_a_restore_cut_short_is_taken_up_again(tmp_path: Path, failpoint: str) -> None:
    path = tmp_path / "r"
    store = await filled(path)
    expected = state_at(store, Seq(6))
    store.close()
    run_killed("restore", path, failpoint)
    assert restoring_dir(path).exists()
    assert fault_code(lambda: require_restored(path)) is Code.NOT_READY
    restored = restore(path)
    require_restored(path)
    store = RocksDatastore.open(path)
    assert store.store_id == restored.store_id
    assert store.head_seq == restored.head > 8 or failpoint in {"restore.moved", "restore.owned"}
    assert store.head_seq > 8
    assert state_at(store, store.head_seq) == expected
    store.close()


# Snapshots share table files with the store, and with one another


def damage(*tables: Path) -> None:
    """In place, so in every directory that links the file."""
    for table in tables:
        with table.open("r+b") as file:
            file.seek(20)
            file.write(bytes(8))


async def with_two_snapshots(path: Path) -> tuple[RocksDatastore, list[str]]:
    """At 6 and 8, of which the second has tables of its own; the head is at 9."""
    store = await filled(path)
    assert (await store.snapshot(2)) is not None
    Writer(store).write(("t", pack(3), b"lost"))
    await store.sync()
    return store, [info.name for info in store.snapshots()]


async def test_an_older_snapshot_serves_where_the_newest_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "r"
    store, (older, newer) = await with_two_snapshots(path)
    expected = state_at(store, Seq(6))
    store.close()
    tables = {name: {file.name for file in (snapshots_dir(path) / name).glob("*.sst")} for name in (older, newer)}
    assert tables[newer] - tables[older]
    damage(*(path / table for table in tables[newer] - tables[older]))
    with pytest.raises(Fault) as caught:
        restore(path, name=newer)
    assert caught.value.code is Code.DATA_LOSS and "without --snapshot" in caught.value.hint
    assert not restoring_dir(path).exists() and (path / "CURRENT").exists()
    restored = restore(path)
    assert (restored.snapshot, restored.head) == (older, 9)  # the head of 9 cannot be read, the snapshot of 8 is known
    store = RocksDatastore.open(path)
    assert state_at(store, store.head_seq) == expected
    store.close()


async def test_where_no_snapshot_is_whole_the_way_out_is_named_and_open(tmp_path: Path) -> None:
    path = tmp_path / "r"
    (await with_two_snapshots(path))[0].close()
    damage(*path.glob("*.sst"))
    for _ in range(2):
        with pytest.raises(Fault) as caught:
            restore(path)
        assert caught.value.code is Code.DATA_LOSS and "no snapshot is whole" in caught.value.message
        assert f"move {path} away and start" in caught.value.hint and "/ingest" in caught.value.hint
    require_restored(path)
    path.rename(tmp_path / "away")
    RocksDatastore.open(path).close()


@pytest.mark.parametrize("has_own_wal", [False, True])
async def test_a_restore_from_another_snapshot_numbers_above_what_was_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_own_wal: bool
) -> None:
    """Killed when the replica has moved: what it knew is in the moved files, and in what was built."""
    path, wal_path = tmp_path / "r", tmp_path / "wal" if has_own_wal else None
    store = await filled(path, wal_path)
    assert (await store.snapshot(2)) is not None
    Writer(store).write(*[("t", pack(n), b"lost") for n in range(500)])
    await store.sync()
    older, head = store.snapshots()[0].name, store.head_seq
    store.close()

    def die(name: str) -> None:
        if name == died_at:
            raise KeyboardInterrupt

    for died_at in ("restore.moved", "restore.copied"):  # the second attempt has taken away what the first one built
        with monkeypatch.context() as armed:
            armed.setattr("sp00ky.scheduler.datastore.restoring.failpoint", die)
            with pytest.raises(KeyboardInterrupt):
                restore(path, wal_path, name="" if died_at == "restore.moved" else older)
        assert fault_code(lambda: require_restored(path)) is Code.NOT_READY
    restored = restore(path, wal_path, name=older)
    assert restored.snapshot == older and restored.head > head
    assert restored.damaged is None  # nothing was made in its place meanwhile


async def test_another_stores_snapshots_go_first_and_are_gone_back_to_only_by_name(tmp_path: Path) -> None:
    """Whatever their heads: those of different stores do not compare."""
    path = tmp_path / "r"
    store, (_, second) = await with_two_snapshots(path)
    old = store.store_id
    store.close()
    shutil.rmtree(path)
    RocksDatastore.open(path).close()
    with pytest.raises(Fault) as caught:
        restore(path)
    assert caught.value.code is Code.NOT_FOUND and f"{second} of store {old}" in caught.value.hint

    store = RocksDatastore.open(path)
    writer = Writer(store)
    kept = []
    for n in range(3):
        writer.write(("new", pack(n), b"new"))
        await store.sync()
        assert (await store.snapshot(2)) is not None
        kept.append([(info.store_id == old, info.head_seq) for info in store.snapshots()])
    assert kept == [[(True, 8), (False, 1)], [(False, 1), (False, 2)], [(False, 2), (False, 3)]]
    store.close()
    assert restore(path).snapshot_head == 3
    store = RocksDatastore.open(path)
    assert store.tables() == ["new"] and store.count("new") == 3
    store.close()


async def test_two_stores_snapshots_of_one_head_stand_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "r"
    old = await filled(path)
    old.close()
    shutil.rmtree(path)
    store = await filled(path)
    names = [info.name for info in store.snapshots()]
    assert [info.store_id for info in store.snapshots()] == [old.store_id, store.store_id]
    assert names == [f"{6:020d}", f"{6:020d}-{store.store_id}"]
    store.close()
    shutil.rmtree(path)
    assert fault_code(lambda: restore(path)) is Code.NOT_FOUND  # whose it was is not known any more
    assert restore(path, name=names[1]).snapshot == names[1]
