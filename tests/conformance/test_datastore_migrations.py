"""The chain of layouts: every step from every stored revision, killed between any two, and never back.

Spec case: Migration."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rocksdict import WriteBatch
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.coordinator.coordinator import META_PREFIXES, Coordinator, CoordinatorConfig
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore import state as keys
from sp00ky.scheduler.datastore.inspection import inspect, revision_of
from sp00ky.scheduler.datastore.migrations import MIGRATIONS, Migration, head_revision, migrate_files, steps_to
from sp00ky.scheduler.datastore.opening import open_files
from sp00ky.scheduler.datastore.rocks import RocksDatastore

from tests.conformance.declared import covers
from tests.harness.stores import Writer, collect_all, entries_of, state_at

ROOT = str(Path(__file__).resolve().parents[2])
FIRST = "1"
SPEC = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM t").SerializeToString()
OLD_METAS = {
    b"view/" + pack(["v", ""]): [SPEC, "b", 7, 1_700_000_000, "a"],
    b"view/" + pack(["w", ""]): [SPEC.replace(b"v", b"w", 1), "", 0, 0, ""],
    b"ssp/b": [7, True, "http://b", "b:1", "0.1.0"],
}


def old_store(path: Path) -> dict[str, object]:
    """A store as revision 1 laid it out: 9 entries above base 5, written under epoch 2. What is in it."""
    store = RocksDatastore.open(path, base_seq=5)
    store.take_epoch()
    writer = Writer(store)
    for n in range(3):
        writer.write(("t", pack(n), b"x" * 700_000), ("t", pack(n % 2), b"small"), ("u", pack(n), None))
    facts = contents(store)
    store.close()
    files, batch = open_files(path, path), WriteBatch(raw_mode=True)
    meta = files.family("meta")
    for key in (keys.KEY_FLOOR, keys.KEY_COLLECTED, keys.KEY_LOG_FLOOR, keys.KEY_LOG_BYTES):
        batch.delete(key, meta)
    batch.delete_range(layout.PIN_PREFIX, b"\x07", meta)
    batch.put(b"\x00base", layout.pack_seq(5), meta)
    for name, value in OLD_METAS.items():
        batch.put(layout.NAME_PREFIX + name, pack(value), meta)
    batch.put(keys.KEY_FORMAT, FIRST.encode(), meta)
    files.db.write(batch)
    files.close()
    return facts


def contents(store: RocksDatastore) -> dict[str, object]:
    return {
        "states": [state_at(store, Seq(at)) for at in range(store.floor_seq, store.head_seq + 1)],
        "log": entries_of(store.log(store.floor_seq, 100)),
        "bounds": (store.store_id, store.floor_seq, store.log_floor_seq, store.head_seq),
        "log_bytes": store.log_bytes,
    }


@covers("Migration")
def test_a_store_of_the_first_layout_is_brought_to_head_and_keeps_everything(tmp_path: Path) -> None:
    before = old_store(tmp_path / "r")
    assert revision_of(tmp_path / "r") == FIRST
    store = RocksDatastore.open(tmp_path / "r")
    assert contents(store) == before
    writer = Writer(store)
    assert store.check_revision(writer.token(9)) == 9
    writer.write(("t", pack(0), b"later"))
    store._synced = store._head
    assert store.raise_floor(Seq(14)) == 14
    assert collect_all(store) > 0 and store.trim_log(Seq(15)) == 9
    store.close()
    assert inspect(tmp_path / "r").ok


def test_an_old_store_is_refused_unless_it_may_be_migrated(tmp_path: Path) -> None:
    old_store(tmp_path / "r")
    with pytest.raises(Fault) as caught:
        RocksDatastore.open(tmp_path / "r", auto_migrate=False)
    assert caught.value.code is Code.INVALID
    assert f'"{FIRST}"' in caught.value.message and f'"{head_revision()}"' in caught.value.message
    assert caught.value.hint == "run `spky replica migrate head`"
    assert revision_of(tmp_path / "r") == FIRST


def test_a_dry_run_only_says(tmp_path: Path) -> None:
    old_store(tmp_path / "r")
    said = migrate_files(tmp_path / "r", None, "head", dry_run=True)
    assert said == (FIRST, [migration.name for migration in MIGRATIONS[1:]])
    assert revision_of(tmp_path / "r") == FIRST
    assert migrate_files(tmp_path / "r", None, "head", dry_run=False) == said
    assert migrate_files(tmp_path / "r", None, "head", dry_run=False) == (head_revision(), [])


@pytest.mark.parametrize(("wanted", "reason"), [(FIRST, "no way back"), ("9-unheard-of", "newer")])
def test_neither_back_nor_to_the_unknown(tmp_path: Path, wanted: str, reason: str) -> None:
    RocksDatastore.open(tmp_path / "r").close()
    with pytest.raises(Fault) as caught:
        migrate_files(tmp_path / "r", None, wanted, dry_run=False)
    assert caught.value.code is Code.INVALID and reason in caught.value.hint
    assert revision_of(tmp_path / "r") == head_revision()


def test_an_unknown_stored_revision_is_refused(tmp_path: Path) -> None:
    RocksDatastore.open(tmp_path / "r").close()
    files, batch = open_files(tmp_path / "r", tmp_path / "r"), WriteBatch(raw_mode=True)
    batch.put(keys.KEY_FORMAT, b"9-tomorrow", files.family("meta"))
    files.db.write(batch)
    files.close()
    with pytest.raises(Fault) as caught:
        RocksDatastore.open(tmp_path / "r")
    assert caught.value.code is Code.INVALID and '"9-tomorrow"' in caught.value.message
    assert head_revision() in caught.value.message


def test_views_and_ssps_of_the_first_layout_are_known_to_the_coordinator(tmp_path: Path) -> None:
    old_store(tmp_path / "r")
    store = RocksDatastore.open(tmp_path / "r")
    config = CoordinatorConfig(store.store_id, store.take_epoch())
    metas = [meta for prefix in META_PREFIXES for meta in store.metas(prefix)]
    coordinator = Coordinator(config, store.head_seq, metas)
    views = {key.id: (view.ssp_id, view.assigned_seq, view.fence_ssp_ids) for key, view in coordinator.views.items()}
    assert views == {"v": ("b", 7, ("a",)), "w": ("", 0, ())}
    [member] = coordinator.ssps.values()
    assert (member.id, member.incarnation, member.loaded, member.draining) == ("b", 7, True, False)
    assert (member.http_url, member.grpc_address, member.version) == ("http://b", "b:1", "0.1.0")
    store.close()


@pytest.mark.parametrize("term", ["abort", "1*off->abort"])
@pytest.mark.parametrize(
    "failpoint", ["migrate.before_prepare", "migrate.batch", "migrate.prepared", "migrate.written", "migrate.durable"]
)
def test_killed_between_any_two_steps_a_second_run_reaches_head(tmp_path: Path, failpoint: str, term: str) -> None:
    before = old_store(tmp_path / "r")
    code = (
        "import sys; from pathlib import Path; from sp00ky.scheduler.datastore import migrations\n"
        "migrations.BATCH_MAX = 1\nmigrations.migrate_files(Path(sys.argv[1]), None, 'head', dry_run=False)"
    )
    env = {**os.environ, "PYTHONPATH": ROOT, "SPKY_FAILPOINTS": f"{failpoint}={term}"}
    command = [sys.executable, "-c", code, str(tmp_path / "r")]
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert revision_of(tmp_path / "r") in [migration.name for migration in MIGRATIONS]
    migrate_files(tmp_path / "r", None, "head", dry_run=False)
    store = RocksDatastore.open(tmp_path / "r", auto_migrate=False)
    assert contents(store) == before
    store.close()


def chain(*links: tuple[str, str | None]) -> list[Migration]:
    return [Migration(name, replaces, "") for name, replaces in links]


@pytest.mark.parametrize(
    "links",
    [
        (("a", None), ("b", "a"), ("c", "a")),
        (("a", None), ("b", None)),
        (("a", None), ("b", "x")),
        (("a", None), ("a", None)),
        (("a", "b"), ("b", "a")),
        (),
    ],
)
def test_a_chain_that_forks_or_has_a_gap_has_no_head(links: tuple[tuple[str, str | None], ...]) -> None:
    with pytest.raises(AssertionError):
        head_revision(chain(*links))


def test_the_steps_between_two_revisions() -> None:
    links = chain(("a", None), ("c", "b"), ("b", "a"), ("d", "c"))
    assert head_revision(links) == "d"
    assert [step.name for step in steps_to("a", "d", links)] == ["b", "c", "d"]
    assert [step.name for step in steps_to("b", "c", links)] == ["c"]
    assert steps_to("d", "d", links) == []
    assert MIGRATIONS[0].name == FIRST
