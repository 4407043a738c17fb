"""What becomes of a damaged store: a torn tail is cut, all other damage is refused, named, and mended or restored."""

from __future__ import annotations

import errno
import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdict import WriteBatch
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture.progress import PROGRESS_META, Progress, progress_of
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore import state as keys
from sp00ky.scheduler.datastore.inspection import inspect, revision_of
from sp00ky.scheduler.datastore.opening import Files, open_files
from sp00ky.scheduler.datastore.repairing import REPAIRS, repair
from sp00ky.scheduler.datastore.rocks import RocksDatastore
from sp00ky.scheduler.datastore.wal import check_tails, crc32c, log_files, whole_prefix

from tests.harness.stores import Writer, collect_all, fault_code, state_at

ROOT = str(Path(__file__).resolve().parents[2])

_WRITER = """
import asyncio, os, signal, sys
from tests.harness.stores import Writer
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.rocks import RocksDatastore

async def main(path):
    store = RocksDatastore.open(path)
    writer = Writer(store)
    for n in range(12):
        writer.write(("t", pack(n), b"v%d" % n))
        await store.sync()
    writer.write(("t", pack(99), b"x" * 70_000))
    writer.write(("t", pack(12), b"v12"))
    await store.sync()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a process that was killed: 14 entries, all of them in the write-ahead log alone."""
    path = tmp_path_factory.mktemp("killed") / "r"
    env = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, "-c", _WRITER, str(path)], check=False, env=env, timeout=60)
    assert done.returncode == -signal.SIGKILL
    return path


def opened_with(killed: Path, target: Path, data: bytes) -> int | Code:
    """The head of the store with such a write-ahead log, or the code it is refused with."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(killed, target)
    log_files(target)[-1].write_bytes(data)
    try:
        store = RocksDatastore.open(target)
    except Fault as fault:
        assert "spky replica restore" in fault.hint
        return fault.code
    try:
        return store.head_seq
    finally:
        store.close()


def records_of(data: bytes) -> list[int]:
    """Ends of the records, found by their headers alone."""
    ends, at = [], 0
    while at + 7 <= len(data):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        at += 7 + int.from_bytes(data[at + 4 : at + 6], "little")
        if whole_prefix(data[:at])[0] == at:
            ends.append(at)
    return ends


def test_checksums_are_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_a_torn_tail_is_cut_wherever_it_was_torn(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every length of the last record for our own reading of it; RocksDB's at some, as an opening takes a while."""
    data = log_files(killed)[-1].read_bytes()
    ends = records_of(data)
    last = ends[-2]
    for size in range(last, len(data)):
        (tmp_path / "wal").mkdir(exist_ok=True)
        (tmp_path / "wal" / "000004.log").write_bytes(data[:size])
        torn = check_tails(tmp_path / "wal")
        assert (torn.offset, torn.size) == (last, size - last) if torn else size == last
    for size in (last, last + 1, last + 6, last + 7, last + 60, len(data) - 1):
        with caplog.at_level(logging.WARNING):
            assert opened_with(killed, tmp_path / "r", data[:size]) == 13
        assert ("torn write" in caplog.text) == (size != last)
        caplog.clear()
    assert opened_with(killed, tmp_path / "r", data) == 14
    assert "torn write" not in caplog.text
    assert opened_with(killed, tmp_path / "r", data + bytes(500)) in {14, Code.DATA_LOSS}  # room that was never used


def test_a_torn_tail_is_cut_after_recovery_was_killed_too(killed: Path, tmp_path: Path) -> None:
    """Recovery begins a new file before the old one is gone. With whole records in it, the old one lacks some."""
    data = log_files(killed)[-1].read_bytes()
    ends = records_of(data)
    for later, expected in ((b"", 13), (bytes(400), 13), (data[:9], 13), (data[: ends[0]], Code.DATA_LOSS)):
        shutil.rmtree(tmp_path / "r", ignore_errors=True)
        shutil.copytree(killed, tmp_path / "r")
        (tmp_path / "r" / "000011.log").write_bytes(later)
        torn = data[: ends[-2] + 9]
        (tmp_path / "r" / "000004.log").write_bytes(torn)
        if expected is Code.DATA_LOSS:
            assert fault_code(lambda: RocksDatastore.open(tmp_path / "r")) is expected
            continue
        assert inspect(tmp_path / "r").ok
        store = RocksDatastore.open(tmp_path / "r")
        assert store.head_seq == expected
        store.close()


def test_a_record_of_many_blocks_is_torn_too(killed: Path, tmp_path: Path) -> None:
    data = log_files(killed)[-1].read_bytes()
    begin, end = records_of(data)[-3:-1]
    assert end - begin > 65_536
    for size in (begin + 1, begin + 40_000, end - 1):
        assert opened_with(killed, tmp_path / "r", data[:size]) == 12


def test_damage_in_the_middle_is_refused_at_every_byte(killed: Path, tmp_path: Path) -> None:
    """The header bytes of one record by opening the store, all of them; of its body a few, which RocksDB's checksum
    covers. RocksDB alone takes a length that is too long for a torn tail and drops what follows."""
    data = log_files(killed)[-1].read_bytes()
    begin = records_of(data)[5]
    for at in (*range(begin, begin + 7), begin + 7, begin + 40, begin + 100):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        assert opened_with(killed, tmp_path / "r", bytes(damaged)) is Code.DATA_LOSS, f"byte {at - begin}"


def test_a_log_cut_in_the_middle_is_refused_by_its_gap(killed: Path, tmp_path: Path) -> None:
    data = log_files(killed)[-1].read_bytes()
    ends = records_of(data)
    assert opened_with(killed, tmp_path / "r", data[: ends[4]] + data[ends[6] :]) is Code.DATA_LOSS


def test_files_without_current_are_a_damaged_store_and_no_new_one(tmp_path: Path) -> None:
    made(tmp_path / "r").close()
    (tmp_path / "r" / "CURRENT").unlink()
    before = mtimes(tmp_path / "r")
    for use in (
        lambda: RocksDatastore.open(tmp_path / "r"),
        lambda: repair(tmp_path / "r", None, "head", dry_run=True),
        lambda: revision_of(tmp_path / "r"),
    ):
        with pytest.raises(Fault) as caught:
            use()
        assert caught.value.code is Code.DATA_LOSS and f"{tmp_path}/r is damaged" in caught.value.message
        assert "replica verify" in caught.value.hint and "replica restore" in caught.value.hint
    assert inspect(tmp_path / "r").damage == [f"replica {tmp_path}/r is damaged: its file CURRENT is missing"]
    assert mtimes(tmp_path / "r") == before


@pytest.mark.parametrize("left", ["STORE_ID", "MANIFEST-000001"])
def test_a_new_directory_is_a_new_store_whatever_its_predecessor_was(tmp_path: Path, left: str) -> None:
    """An id that is left says nothing; and RocksDB, killed in its first opening, leaves its first manifest alone."""
    store = RocksDatastore.open(tmp_path / "r")
    old = store.store_id
    store.close()
    for file in (tmp_path / "r").iterdir():
        if file.name != "STORE_ID":
            file.unlink()
    (tmp_path / "r" / left).touch()
    store = RocksDatastore.open(tmp_path / "r")
    assert store.store_id != old and store.head_seq == 0
    store.close()


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EIO])
async def test_a_failed_fsync_is_final_whatever_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """DISK_FULL would say that nothing was applied; here it is, and may hold or not."""
    store = RocksDatastore.open(tmp_path / "r")
    writer = Writer(store)

    def fail(name: str) -> None:
        if name == "wal.fsync":
            raise OSError(reason, os.strerror(reason))

    writer.write(("t", pack(1), b"one"))
    with monkeypatch.context() as armed:
        armed.setattr("sp00ky.scheduler.datastore.rocks.failpoint", fail)
        with pytest.raises(Fault) as caught:
            await store.sync()
    assert caught.value.code is Code.UNAVAILABLE and "fsync" in caught.value.message
    with pytest.raises(Fault, match="fsync"):  # there is room again
        await store.sync()
    for write in (store.take_epoch, lambda: writer.write(("t", pack(2), b"two"))):
        assert fault_code(write) is Code.UNAVAILABLE
    store.close()
    store = RocksDatastore.open(tmp_path / "r")
    assert store.head_seq == 1 and Writer(store).write(("t", pack(2), b"two")) == 2
    store.close()


# Verifying and mending


def made(path: Path) -> RocksDatastore:
    store = RocksDatastore.open(path)
    writer = Writer(store)
    writer.write(*[("t", pack(n), b"one") for n in range(5)], meta=[Progress(True, 1, 5, True, 0, "i").as_meta()])
    writer.write(("t", pack(0), b"two"), ("t", pack(1), None), ("u", pack(1), b"one"))
    store._synced = store._head
    store.raise_floor(Seq(6))
    collect_all(store)
    store.trim_log(Seq(4))
    writer.write(("t", pack(0), b"three"), ("t", pack(2), None))
    return store


def edit(path: Path, change: Callable[[Files, WriteBatch], None]) -> None:
    files, batch = open_files(path, path), WriteBatch(raw_mode=True)
    change(files, batch)
    files.db.write(batch)
    files.close()


def row_key(table: str, key: object, seq: int) -> bytes:
    return layout.table_prefix(table) + pack(key) + layout.inverted(Seq(seq))  # type: ignore[arg-type]


def mtimes(path: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in [path, *path.iterdir()]}


def test_verify_finds_a_whole_store_whole_and_writes_nothing(tmp_path: Path) -> None:
    made(tmp_path / "r").close()
    before = mtimes(tmp_path / "r")
    report = inspect(tmp_path / "r")
    assert report.ok and report.damage == []
    assert mtimes(tmp_path / "r") == before
    assert {name: report.facts[name] for name in ("head", "floor", "collected", "log_floor", "log_entries")} == {
        "head": 10,
        "floor": 6,
        "collected": 6,
        "log_floor": 4,
        "log_entries": 7,
    }
    assert report.facts["tables"] == {"t": 3, "u": 1}


def test_verify_refuses_a_store_in_use(tmp_path: Path) -> None:
    store = made(tmp_path / "r")
    code = (
        "import sys; from pathlib import Path; from sp00ky.scheduler.datastore.inspection import inspect\n"
        "try: inspect(Path(sys.argv[1]))\nexcept Exception as fault: print(fault)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "r")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "in use by another process" in said.stdout
    store.close()


DAMAGES: dict[str, tuple[Callable[[Files, WriteBatch], None], str]] = {
    "row gone": (
        lambda files, batch: batch.delete(row_key("t", 0, 9), files.family("rows")),
        "9 of table t is gone",
    ),
    "row changed": (
        lambda files, batch: batch.put(row_key("t", 0, 9), layout.row_value(b"3", (0, 0)), files.family("rows")),
        "not what its log entry says",
    ),
    "row added": (
        lambda files, batch: batch.put(row_key("t", 7, 9), layout.row_value(b"3", (0, 0)), files.family("rows")),
        "rows hold 5 versions above 6, the log 4 changes",
    ),
    "row above the head": (
        lambda files, batch: batch.put(row_key("t", 7, 99), layout.row_value(b"3", (0, 0)), files.family("rows")),
        "lies above the head",
    ),
    "entry gone": (
        lambda files, batch: batch.delete(layout.pack_seq(8), files.family("log")),
        "log holds entry 9 where 8 was due",
    ),
    "entry changed": (
        lambda files, batch: batch.put(layout.pack_seq(8), b"1234" + b"x", files.family("log")),
        "log entry 8 is damaged: wrong checksum",
    ),
    "head low": (lambda files, batch: keys.put_seq(batch, files, keys.KEY_HEAD, 9), "log ends at 10, the head is 9"),
    "count wrong": (
        lambda files, batch: batch.put(layout.TABLE_PREFIX + b"t", layout.table_value(Seq(1), 9), files.family("meta")),
        "table t counts 9 rows and holds 3",
    ),
    "orphan": (
        lambda files, batch: batch.put(row_key("t", 4, 2), layout.row_value(b"0", (0, 0)), files.family("rows")),
        "1 row versions are superseded",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_verify_names_each_kind_of_damage(tmp_path: Path, name: str) -> None:
    change, sentence = DAMAGES[name]
    made(tmp_path / "r").close()
    edit(tmp_path / "r", change)
    report = inspect(tmp_path / "r")
    assert not report.ok and any(sentence in found for found in report.damage), report.damage


@pytest.mark.parametrize(
    ("operation", "damage"), [("head", "head low"), ("counts", "count wrong"), ("orphan-versions", "orphan")]
)
def test_a_repair_mends_and_a_second_run_finds_nothing(tmp_path: Path, operation: str, damage: str) -> None:
    store = made(tmp_path / "r")
    expected = state_at(store, store.head_seq)
    store.close()
    assert repair(tmp_path / "r", None, operation, dry_run=False) == []
    edit(tmp_path / "r", DAMAGES[damage][0])
    would = repair(tmp_path / "r", None, operation, dry_run=True)
    assert would and not inspect(tmp_path / "r").ok
    assert repair(tmp_path / "r", None, operation, dry_run=False) == would
    assert inspect(tmp_path / "r").ok
    assert repair(tmp_path / "r", None, operation, dry_run=False) == []
    store = RocksDatastore.open(tmp_path / "r")
    assert state_at(store, store.head_seq) == expected
    store.close()


def test_a_head_whose_log_is_gone_is_given_up_and_never_used_again(tmp_path: Path) -> None:
    store = made(tmp_path / "r")
    old, expected = store.store_id, state_at(store, Seq(8))
    store.close()
    edit(tmp_path / "r", lambda files, batch: batch.delete(layout.pack_seq(9), files.family("log")))
    assert fault_code(lambda: RocksDatastore.open(tmp_path / "r")) is Code.DATA_LOSS
    gc.collect()  # the fault's traceback holds an iterator, and that the lock
    assert len(repair(tmp_path / "r", None, "head", dry_run=False)) == 3
    report = inspect(tmp_path / "r")
    assert report.ok, report.damage
    assert repair(tmp_path / "r", None, "head", dry_run=False) == []
    store = RocksDatastore.open(tmp_path / "r")
    assert store.head_seq == 11 and store.store_id != old
    assert state_at(store, Seq(11)) == expected and store.count("t") == 4
    store.close()
    assert not is_cloned(tmp_path / "r")


def test_reclone_has_every_table_compared(tmp_path: Path) -> None:
    made(tmp_path / "r").close()
    said = ["every table is compared with SurrealDB at the next start"]
    assert repair(tmp_path / "r", None, "reclone", dry_run=True) == said
    assert repair(tmp_path / "r", None, "reclone", dry_run=False) == said
    assert repair(tmp_path / "r", None, "reclone", dry_run=False) == []
    assert not is_cloned(tmp_path / "r")


def is_cloned(path: Path) -> bool:
    store = RocksDatastore.open(path)
    progress = progress_of(store.meta(PROGRESS_META))
    store.close()
    assert progress is not None and progress.stamp == 5
    return progress.cloned


def test_an_unknown_repair_names_the_known_ones(tmp_path: Path) -> None:
    made(tmp_path / "r").close()
    with pytest.raises(Fault) as caught:
        repair(tmp_path / "r", None, "everything", dry_run=True)
    assert caught.value.code is Code.NOT_FOUND and all(name in caught.value.hint for name in REPAIRS)
