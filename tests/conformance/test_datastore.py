"""Every datastore engine keeps the same promises: one suite over both, and what only files can lose."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rocksdict import WriteBatch
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Seq
from sp00ky.proto.values.kinds import NONE, RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore.datastore import PAGE_BYTES_MAX, Append, Datastore, MetaWrite, Row, RowWrite
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.rocks import RocksDatastore

from tests.conformance.declared import covers
from tests.harness.stores import Write, Writer, entries_of, fault_code, scan_all

HOSTILE_KEYS = [
    0,
    1,
    -1,
    2**63 - 1,
    -(2**63),
    "",
    "\x00",
    "a",
    "a\x00",
    "a\x00b",
    "ab",
    "1",
    "⟨`'\"\\\n",
    "\U0001f9db" * 20,
    "k" * 70_000,
    UUID(int=0),
    UUID(int=2**128 - 1),
    [],
    [0],
    ["a", [None, NONE, True]],
    [RecordId("other", ["x"])],
    {},
    {"a": 1, "": {"b": [b"\x00\xff"]}},
]


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    store = MemoryDatastore() if request.param == "memory" else RocksDatastore.open(tmp_path / "replica")
    assert store.engine == request.param
    yield store
    store.close()


# The interface, on every engine


def test_a_new_store_is_empty(store: Datastore) -> None:
    assert (store.head_seq, store.synced_seq, store.floor_seq, store.log_floor_seq) == (0, 0, 0, 1)
    assert len(store.store_id) == 8 and int(store.store_id, 16) >= 0
    assert store.get("person", pack(1)) is None
    assert store.stamp_of("person", pack(1)) == (0, 0)
    assert list(store.scan("person", Seq(0))) == [] == list(store.log(Seq(0), 10))
    assert list(store.tables()) == [] == list(store.metas(b""))
    assert store.count("person") == 0


def test_an_append_commits_entries_rows_and_meta_together(store: Datastore) -> None:
    writer = Writer(store)
    head = writer.write(
        ("person", pack(1), b"one"), ("city", pack("b"), b"bonn"), meta=[MetaWrite(b"cursor", b"7")], stamp=(3, 99)
    )
    assert head == store.head_seq == 2
    assert store.get("person", pack(1)) == Row(pack(1), b"one", 1, (3, 99))
    assert store.get("city", pack("b")) == Row(pack("b"), b"bonn", 2, (3, 99))
    assert store.meta(b"cursor") == b"7"
    assert [entry.seq for entry in entries_of(store.log(Seq(0), 10))] == [1, 2]
    assert list(store.tables()) == ["city", "person"]
    assert (store.count("person"), store.count("city"), store.count("person ")) == (1, 1, 0)


def test_an_append_that_expects_another_head_changes_nothing(store: Datastore) -> None:
    writer = Writer(store)
    writer.write(("person", pack(1), b"one"))
    for expected in (Seq(0), Seq(2)):
        stale = writer.prepare([("person", pack(1), b"two")], expected, [MetaWrite(b"m", b"1")])
        assert fault_code(lambda stale=stale: store.append(stale)) is Code.FENCED
    assert store.head_seq == 1 and store.meta(b"m") is None
    assert store.get("person", pack(1)) == Row(pack(1), b"one", 1, (0, 0))


def test_an_older_epoch_is_fenced(store: Datastore) -> None:
    old = Writer(store)
    old.write(("person", pack(1), b"one"))
    new = Writer(store)
    assert new.epoch == old.epoch + 1
    assert fault_code(lambda: old.write(("person", pack(1), b"old"))) is Code.FENCED
    new.write(("person", pack(1), b"new"))
    row = store.get("person", pack(1))
    assert row is not None and row.packed == b"new"


def test_an_epoch_that_was_never_taken_is_fenced(store: Datastore) -> None:
    writer = Writer(store)
    append = writer.prepare([("person", pack(1), b"one")], Seq(0))
    ahead = Append(Epoch(writer.epoch + 1), append.expected_head, append.entries, append.rows)
    assert fault_code(lambda: store.append(ahead)) is Code.FENCED


def test_misnumbered_entries_are_our_own_bug(store: Datastore) -> None:
    writer = Writer(store)
    append = writer.prepare([("person", pack(1), b"one")], Seq(0))
    append.entries[0].seq = 2
    with pytest.raises(AssertionError):
        store.append(append)
    row = RowWrite("person", pack(1), b"one", Seq(2), (0, 0))
    append = writer.prepare([("person", pack(1), b"one")], Seq(0))
    with pytest.raises(AssertionError):
        store.append(Append(writer.epoch, Seq(0), append.entries, [row]))
    assert store.head_seq == 0 and store.get("person", pack(1)) is None


def test_every_revision_reads_as_it_was(store: Datastore) -> None:
    writer = Writer(store)
    history = [b"a", b"b", None, None, b"c", b"d", None, b"e"]  # deleted twice, re-created twice
    for packed in history:
        writer.write(("person", pack(1), packed), ("other", pack(1), b"beside"))
    for index, packed in enumerate(history):
        seq = Seq(2 * index + 1)
        expected = None if packed is None else Row(pack(1), packed, seq, (0, 0))
        for at in (seq, Seq(seq + 1)):
            assert store.get("person", pack(1), at) == expected
            assert list(store.scan("person", at)) == ([expected] if expected else [])
    assert store.get("person", pack(1), Seq(0)) is None
    assert store.count("person") == 1
    assert list(store.tables(Seq(0))) == [] and list(store.tables(Seq(1))) == ["person"]


def test_a_tombstone_keeps_its_stamp(store: Datastore) -> None:
    writer = Writer(store)
    writer.write(("person", pack(1), b"one"), stamp=(1, 5))
    writer.write(("person", pack(1), None), stamp=(2**32 - 1, 2**64 - 1))
    assert store.get("person", pack(1)) is None
    assert store.stamp_of("person", pack(1)) == (2**32 - 1, 2**64 - 1)
    assert store.count("person") == 0 and list(store.tables()) == ["person"]


def test_one_append_may_write_a_record_often(store: Datastore) -> None:
    writer = Writer(store)
    key = pack("x")
    writer.write(("t", key, b"1"), ("t", key, None), ("t", key, b"3"), ("t", pack("y"), b"4"), ("t", key, None))
    assert [store.get("t", key, Seq(at)) is not None for at in range(6)] == [False, True, False, True, True, False]
    assert store.count("t") == 1


def test_hostile_keys_and_tables_keep_apart(store: Datastore) -> None:
    writer = Writer(store)
    keys = [pack(key) for key in HOSTILE_KEYS]
    tables = ["t", "t\x00", "tt", "", "⟨ü⟩", "T" * 300]
    for table in tables:
        writer.write(*[(table, key, table.encode() + b"|" + key) for key in keys])
    head = store.head_seq
    for table in tables:
        assert [row.key for row in scan_all(store, table, head, limit=4)] == sorted(keys)
        for key in keys:
            row = store.get(table, key)
            assert row is not None and row.packed == table.encode() + b"|" + key
        assert store.count(table) == len(keys)
    assert list(store.tables()) == sorted(tables)


def test_a_scan_goes_on_after_any_bytes(store: Datastore) -> None:
    writer = Writer(store)
    keys = sorted(pack(key) for key in ("", "a", "ab", "b", 1, 200, [1], {}))
    writer.write(*[("t", key, b"v") for key in keys])
    writer.write(*[("t", key, b"w") for key in keys])
    probes = [b"", b"\x00", b"\xff" * 12, *keys, *[key[:-1] for key in keys], *[key + b"\x00" for key in keys]]
    for probe in probes:
        for at in (Seq(len(keys)), store.head_seq):
            found = [row.key for row in store.scan("t", at, probe)]
            assert found == [key for key in keys if key > probe]


def test_pages_are_bounded_in_bytes(store: Datastore) -> None:
    writer = Writer(store)
    body = bytes(PAGE_BYTES_MAX // 3)
    for key in range(5):
        writer.write(("big", pack(key), body))
    writer.write(("big", pack(5), bytes(PAGE_BYTES_MAX * 2)))
    assert len(store.scan("big", store.head_seq)) == 3
    assert [len(row.packed) for row in scan_all(store, "big", store.head_seq)] == [len(body)] * 5 + [PAGE_BYTES_MAX * 2]
    assert len(store.scan("big", store.head_seq, pack(4))) == 1
    assert 1 <= len(store.log(Seq(0), 100)) <= 3
    assert len(store.log(Seq(5), 100)) == 1


def test_the_log_is_read_in_order_and_in_range(store: Datastore) -> None:
    writer = Writer(store)
    appended = [writer.prepare([("t", pack(n), b"%d" % n)], Seq(n)) for n in range(10)]
    for append in appended:
        store.append(append)
    stored = [append.entries[0].SerializeToString() for append in appended]
    assert list(store.log(Seq(0), 100)) == stored
    assert list(store.log(Seq(3), 4)) == stored[3:7]
    assert list(store.log(Seq(10), 4)) == []
    assert fault_code(lambda: store.log(Seq(11), 1)) is Code.REVISION_GONE


def test_reads_outside_of_what_is_kept_are_refused(store: Datastore) -> None:
    Writer(store).write(("t", pack(1), b"1"))
    assert fault_code(lambda: store.get("t", pack(1), Seq(2))) is Code.REVISION_GONE
    assert fault_code(lambda: store.scan("t", Seq(2))) is Code.REVISION_GONE
    assert fault_code(lambda: store.tables(Seq(2))) is Code.REVISION_GONE


@pytest.mark.parametrize("engine", ["memory", "rocksdb"])
def test_a_store_may_begin_above_a_lost_one(engine: str, tmp_path: Path) -> None:
    base = 2**40 + 5
    store = MemoryDatastore(base) if engine == "memory" else RocksDatastore.open(tmp_path, base_seq=base)
    writer = Writer(store)
    for n in range(3):
        writer.write(("t", pack(1), b"%d" % n), ("t", pack(2), None))
    assert (store.head_seq, store.floor_seq, store.log_floor_seq) == (base + 6, base, base + 1)
    assert [entry.seq for entry in entries_of(store.log(Seq(base + 1), 3))] == [base + 2, base + 3, base + 4]
    row = store.get("t", pack(1), Seq(base + 4))
    assert row is not None and (row.packed, row.seq) == (b"1", base + 3)
    assert fault_code(lambda: store.log(Seq(base - 1), 1)) is Code.REVISION_GONE
    assert fault_code(lambda: store.get("t", pack(1), Seq(base - 1))) is Code.REVISION_GONE
    store.close()


def test_metas_are_listed_by_prefix(store: Datastore) -> None:
    writer = Writer(store)
    names = [b"view/a", b"view/b\x00", b"view/", b"view0", b"vie", b"\xff\xff", b""]
    writer.write(meta=[MetaWrite(name, b"<" + name) for name in names])
    assert list(store.metas(b"view/")) == [(name, b"<" + name) for name in sorted(names[:3])]
    assert [name for name, _ in store.metas(b"")] == sorted(names)
    writer.write(meta=[MetaWrite(b"view/a", None), MetaWrite(b"never was", None), MetaWrite(b"vie", b"")])
    assert store.meta(b"view/a") is None and store.meta(b"vie") == b""
    assert [name for name, _ in store.metas(b"view/")] == [b"view/", b"view/b\x00"]
    assert store.head_seq == 0


async def test_sync_makes_what_was_appended_durable_and_shares_the_work(store: Datastore) -> None:
    writer = Writer(store)
    first = writer.write(("t", pack(1), b"1"))
    assert store.synced_seq == 0
    waiting = [asyncio.create_task(store.sync()) for _ in range(3)]
    second = writer.write(("t", pack(2), b"2"))
    assert min(await asyncio.gather(*waiting)) >= first
    assert await store.sync() == second == store.synced_seq
    assert await store.sync() == second


async def test_appending_goes_on_during_a_sync(store: Datastore) -> None:
    writer = Writer(store)
    for n in range(200):
        writer.write(("t", pack(n % 7), b"%d" % n))
        syncing = asyncio.create_task(store.sync())
        await asyncio.wait([syncing], timeout=0)
        writer.write(("t", pack(n % 7), None))
        assert await syncing >= 2 * n + 1
        assert store.synced_seq <= store.head_seq
    assert await store.sync() == 400


def test_a_page_by_page_read_is_exact_while_writing_goes_on(store: Datastore) -> None:
    writer = Writer(store)
    at = writer.write(*[("t", pack(n), b"old") for n in range(50)])
    seen: list[Row] = []
    while page := store.scan("t", at, seen[-1].key if seen else b"", 7):
        seen += page
        writer.write(*[("t", pack(n), b"new" if n % 3 else None) for n in range(60)])
    assert [(row.key, row.packed) for row in seen] == sorted((pack(n), b"old") for n in range(50))


_transactions = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["t", "u", ""]),
            st.sampled_from([pack(key) for key in (0, 1, "", "a", "a\x00", [1], {"a": NONE})]),
            st.one_of(st.none(), st.binary(max_size=3)),
        ),
        min_size=1,
        max_size=5,
    ),
    max_size=12,
)


@pytest.mark.parametrize("engine", ["memory", "rocksdb"])
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(transactions=_transactions, limit=st.integers(1, 4), reopen_after=st.integers(0, 12))
def test_an_engine_equals_a_dict_of_versions(
    engine: str, transactions: list[list[Write]], limit: int, reopen_after: int
) -> None:
    path = Path(tempfile.mkdtemp(prefix="datastore"))
    try:
        store: Datastore = MemoryDatastore() if engine == "memory" else RocksDatastore.open(path)
        writer = Writer(store)
        states: list[dict[tuple[str, bytes], Row]] = [{}]
        for index, transaction in enumerate(transactions):
            writer.write(*transaction)
            for table, key, packed in transaction:
                state = dict(states[-1])
                state.pop((table, key), None)
                if packed is not None:
                    state[(table, key)] = Row(key, packed, Seq(len(states)), (0, 0))
                states.append(state)
            if engine == "rocksdb" and index == reopen_after:
                store.close()
                store = RocksDatastore.open(path)
                writer = Writer(store)
        for at, state in enumerate(states):
            for table in ("t", "u", ""):
                expected = sorted(row for (name, _), row in state.items() if name == table)
                assert scan_all(store, table, Seq(at), limit) == expected
                for _, _, packed in [write for transaction in transactions for write in transaction]:
                    assert packed is None or isinstance(packed, bytes)
                if at == len(states) - 1:
                    assert store.count(table) == len(expected)
            for (table, key), row in state.items():
                assert store.get(table, key, Seq(at)) == row
        store.close()
    finally:
        shutil.rmtree(path)


# What only files can lose


async def test_rocks_finds_everything_again(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path / "deep" / "replica", tmp_path / "wal")
    writer = Writer(store)
    writer.write(("t", pack(1), b"1"), ("u", pack(1), b"u"), meta=[MetaWrite(b"m", b"v")], stamp=(1, 2))
    writer.write(("t", pack(1), None), stamp=(1, 3))
    await store.sync()
    before = (store.store_id, store.head_seq, list(store.tables()), store.count("t"), store.count("u"))
    store.close()
    store.close()
    again = RocksDatastore.open(tmp_path / "deep" / "replica", tmp_path / "wal")
    assert (again.store_id, again.head_seq, list(again.tables()), again.count("t"), again.count("u")) == before
    assert again.synced_seq == again.head_seq == 3
    assert again.stamp_of("t", pack(1)) == (1, 3) and again.meta(b"m") == b"v"
    assert again.get("t", pack(1), Seq(1)) == Row(pack(1), b"1", 1, (1, 2))
    assert again.take_epoch() == writer.epoch + 1
    assert [entry.seq for entry in entries_of(again.log(Seq(0), 9))] == [1, 2, 3]
    again.close()


def test_rocks_belongs_to_one_process(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path)
    assert fault_code(lambda: RocksDatastore.open(tmp_path)) is Code.UNAVAILABLE
    code = "import sys; from sp00ky.scheduler.datastore.rocks import RocksDatastore as R\ntry: R.open(sys.argv[1])\n"
    code += "except Exception as fault: print(fault)"
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (
        said.stdout.strip() == f"replica {tmp_path} is in use by another process (stop that one, or give another path)"
    )
    store.close()
    RocksDatastore.open(tmp_path).close()


def test_rocks_says_in_one_line_why_a_directory_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/replica")):
        with pytest.raises(Fault) as caught:
            RocksDatastore.open(path)
        assert str(path) in caught.value.message and "\n" not in caught.value.message


def test_rocks_refuses_the_log_of_another_replica(tmp_path: Path) -> None:
    for name in ("a", "b"):
        store = RocksDatastore.open(tmp_path / name, tmp_path / f"{name}-wal")
        Writer(store).write(("t", pack(1), b"1"))
        store.close()
    assert fault_code(lambda: RocksDatastore.open(tmp_path / "a", tmp_path / "b-wal")) is Code.INVALID
    assert fault_code(lambda: RocksDatastore.open(tmp_path / "a")) is Code.INVALID
    assert fault_code(lambda: RocksDatastore.open(tmp_path / "new", tmp_path / "a-wal")) is Code.INVALID
    store = RocksDatastore.open(tmp_path / "a", tmp_path / "a-wal")
    assert store.head_seq == 1
    store.close()


def test_rocks_refuses_another_format(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path)
    _put(store, "meta", b"\x00format", b"2")
    store.close()
    assert fault_code(lambda: RocksDatastore.open(tmp_path)) is Code.INVALID


def _put(store: RocksDatastore, family: str, key: bytes, value: bytes | None) -> None:
    batch = WriteBatch(raw_mode=True)
    handle = store._files.family(family)
    if value is None:
        batch.delete(key, handle)
    else:
        batch.put(key, value, handle)
    store._files.db.write(batch)


@pytest.mark.parametrize("damage", ["changed", "moved", "missing", "above the head", "head missing"])
def test_rocks_detects_a_damaged_log(tmp_path: Path, damage: str) -> None:
    store = RocksDatastore.open(tmp_path)
    writer = Writer(store)
    for n in range(5):
        writer.write(("t", pack(n), b"some record"))
    values = {seq: store._files.log[layout.pack_seq(seq)] for seq in range(1, 6)}
    flipped = values[3][:-1] + bytes([values[3][-1] ^ 1])
    seq, value = {
        "changed": (3, flipped),
        "moved": (3, values[2]),
        "missing": (3, None),
        "above the head": (6, values[5]),
        "head missing": (5, None),
    }[damage]
    _put(store, "log", layout.pack_seq(seq), value)
    if seq == 3:
        assert len(store.log(Seq(0), 2)) == 2
        assert fault_code(lambda: store.log(Seq(0), 9)) is Code.DATA_LOSS
    store.close()
    gc.collect()  # the fault's traceback holds an iterator, and that the lock
    assert fault_code(lambda: RocksDatastore.open(tmp_path)) is Code.DATA_LOSS


_WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.harness.stores import Writer
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.datastore import MetaWrite
from sp00ky.scheduler.datastore.rocks import RocksDatastore

async def main(path, limit):
    store = RocksDatastore.open(path)
    writer = Writer(store)
    while limit is None or store.head_seq < limit:
        n = store.head_seq
        value = b"%d" % n * 20
        writer.write(("a", pack(n % 50), value), ("b", pack(n % 50), value), meta=[MetaWrite(b"n", b"%d" % n)])
        if n % 16 == 0 or limit is not None:
            print(await store.sync(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1], int(sys.argv[2]) if sys.argv[2] else None))
"""


def _start_writer(path: Path, limit: int | None) -> subprocess.Popen[str]:
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-c", _WRITER, str(path), str(limit or "")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def _run_writer(path: Path, limit: int) -> None:
    """A child appends, syncs and is killed: its write-ahead log is all there is."""
    with _start_writer(path, limit) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


@covers("own 8", "own 22")
def test_g4_rocks_loses_nothing_synced_when_killed(tmp_path: Path) -> None:
    acknowledged = 0
    for _ in range(3):
        with _start_writer(tmp_path / "r", None) as process:
            assert process.stdout is not None
            for _ in range(40):
                acknowledged = int(process.stdout.readline())
            process.kill()
            said = process.stdout.read().split()
            acknowledged = max([acknowledged, *(int(line) for line in said[:-1])])
        store = RocksDatastore.open(tmp_path / "r")
        head = store.head_seq
        assert head >= acknowledged and head % 2 == 0
        assert store.meta(b"n") == b"%d" % (head - 2)
        _assert_rows_are_the_folded_log(store)
        store.close()


def _assert_rows_are_the_folded_log(store: RocksDatastore) -> None:
    folded: dict[str, dict[bytes, Row]] = {}
    after = Seq(0)
    while page := entries_of(store.log(after, 1000)):
        for entry in page:
            assert entry.seq == after + 1
            after = Seq(entry.seq)
            change = entry.change
            folded.setdefault(change.table, {})[change.key] = Row(change.key, change.packed, after, (0, 0))
    assert after == store.head_seq
    for table, rows in folded.items():
        assert scan_all(store, table, store.head_seq) == [rows[key] for key in sorted(rows)]
        assert store.count(table) == len(rows)


def _wal_of(path: Path) -> Path:
    return max(path.glob("*.log"), key=lambda file: file.stat().st_size)


def test_rocks_tolerates_a_torn_tail(tmp_path: Path) -> None:
    _run_writer(tmp_path / "r", 200)
    wal = _wal_of(tmp_path / "r")
    os.truncate(wal, wal.stat().st_size - 7)
    store = RocksDatastore.open(tmp_path / "r")
    assert store.head_seq == 198
    _assert_rows_are_the_folded_log(store)
    store.close()


def test_rocks_refuses_damage_in_the_middle(tmp_path: Path) -> None:
    _run_writer(tmp_path / "r", 200)
    wal = _wal_of(tmp_path / "r")
    data = bytearray(wal.read_bytes())
    data[len(data) // 2] ^= 0xFF
    wal.write_bytes(data)
    assert fault_code(lambda: RocksDatastore.open(tmp_path / "r")) is Code.DATA_LOSS


def test_rocks_refuses_when_a_file_is_gone(tmp_path: Path) -> None:
    _run_writer(tmp_path / "r", 200)
    RocksDatastore.open(tmp_path / "r").close()  # replays the log into table files
    max((tmp_path / "r").glob("*.sst"), key=lambda file: file.stat().st_size).unlink()
    assert fault_code(lambda: RocksDatastore.open(tmp_path / "r")) is Code.DATA_LOSS


@covers("Retries", "own 23")
def test_d1_a_full_disk_applies_nothing_and_heals(tmp_path: Path) -> None:
    """The disk is this process's file size limit: RocksDB sees the same failing write."""
    store = RocksDatastore.open(tmp_path)
    writer = Writer(store)
    writer.write(("t", pack(0), b"first"), ("u", pack(0), b"untouched"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = _wal_of(tmp_path).stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 500_000, hard))
        body, written = bytes(100_000), 0
        with pytest.raises(Fault) as caught:
            for written in range(20):
                writer.write(("t", pack(written), body), meta=[MetaWrite(b"n", b"%d" % written)])
        assert caught.value.code is Code.DISK_FULL and 0 < written < 6
        for _ in range(2):
            assert fault_code(lambda: writer.write(("t", pack(99), body * 20))) is Code.DISK_FULL
            assert store.head_seq == 2 + written
            assert store.meta(b"n") == b"%d" % (written - 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # not even recovery can write
        for _ in range(2):
            assert fault_code(lambda: writer.write(("t", pack(99), b"x"))) is Code.DISK_FULL
            assert store.get("u", pack(0)) == Row(pack(0), b"untouched", 2, (0, 0))
            assert len(store.log(Seq(0), 99)) == store.head_seq == 2 + written
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert store.get("t", pack(99)) is None and store.count("t") == written
    head = writer.write(("t", pack(99), body))
    assert asyncio.run(store.sync()) == head == 3 + written
    assert [entry.seq for entry in entries_of(store.log(Seq(0), 99))] == list(range(1, head + 1))
    store.close()
    again = RocksDatastore.open(tmp_path)
    assert again.head_seq == head and again.count("t") == written + 1 and again.count("u") == 1
    again.close()
