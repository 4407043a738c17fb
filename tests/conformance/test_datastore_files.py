"""Cases that only files can fail: restart, kill, another process, a copy, one corrupted byte."""

from __future__ import annotations

import asyncio
import gc
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
from sp00ky.scheduler.datastore.inspection import inspect
from sp00ky.scheduler.datastore.readonly import read_only
from sp00ky.scheduler.datastore.rocks import RocksDatastore

from tests.conformance.declared import covers
from tests.harness.stores import Clock, Writer, collect_all, fault_code, state_at

ROOT = str(Path(__file__).resolve().parents[2])


def grown(path: Path) -> tuple[RocksDatastore, Writer]:
    """20 entries over 5 records, in table files as well as in the write-ahead log."""
    store = RocksDatastore.open(path)
    writer = Writer(store)
    for n in range(20):
        writer.write(("t", pack(n % 5), b"%d" % n if n % 4 else None), stamp=(1, n + 1))
        if n == 10:
            store._files.rows.flush(True)
    asyncio.run(store.sync())
    return store, writer


@covers("UseAfterClose")
def test_a_closed_store_refuses(tmp_path: Path) -> None:
    store, writer = grown(tmp_path / "r")
    store.close()
    with pytest.raises(Exception, match="clos"):
        store.get("t", pack(1))
    with pytest.raises(Fault):
        writer.write(("t", pack(1), b"x"))
    store.close()


@covers("own 2")
def test_a_read_gives_the_same_bytes_across_collecting_compaction_and_restart(tmp_path: Path) -> None:
    store, _ = grown(tmp_path / "r")
    expected = {at: state_at(store, Seq(at)) for at in range(12, 21)}
    for _ in range(2):
        store.raise_floor(Seq(12))
        collect_all(store, (1, 15))
        assert {at: state_at(store, Seq(at)) for at in range(12, 21)} == expected
        store._files.rows.compact_range(None, None)
        assert {at: state_at(store, Seq(at)) for at in range(12, 21)} == expected
        store.close()
        store = RocksDatastore.open(tmp_path / "r")
        assert {at: state_at(store, Seq(at)) for at in range(12, 21)} == expected
    assert fault_code(lambda: state_at(store, Seq(11))) is Code.REVISION_GONE
    store.close()


@covers("own 15")
def test_a_pin_survives_a_restart_and_ends_with_its_time(tmp_path: Path) -> None:
    clock = Clock()
    store = RocksDatastore.open(tmp_path / "r", now_ms=clock)
    writer = Writer(store)
    for n in range(10):
        writer.write(("t", pack(1), b"%d" % n))
    writer.pin("ssp/a", Seq(4), ttl_ms=1_000)
    writer.pin("ssp/b", Seq(6), ttl_ms=1_000)
    writer.pin("ssp/b", None)
    asyncio.run(store.sync())
    clock.ms += 999
    store.close()
    store = RocksDatastore.open(tmp_path / "r", now_ms=clock)
    assert [(pin.owner, pin.at, pin.ttl_ms) for pin in store.pins()] == [("ssp/a", 4, 1_000)]
    clock.ms += 999  # it began anew
    assert store.raise_floor(Seq(10)) == 4
    clock.ms += 1
    assert store.pins() == [] and store.raise_floor(Seq(10)) == 10
    writer = Writer(store)
    writer.pin("late", Seq(4), ttl_ms=1_000)  # too late: it holds nothing, and breaks nothing
    assert store.pins() == [] and store.floor_seq == 10
    store.close()
    store = RocksDatastore.open(tmp_path / "r", now_ms=clock)
    assert store.pins() == []
    store.close()


@covers("own 6")
def test_copied_files_are_the_same_store(tmp_path: Path) -> None:
    store, writer = grown(tmp_path / "r")
    expected, token = state_at(store, Seq(20)), writer.token(17)
    store.close()
    shutil.copytree(tmp_path / "r", tmp_path / "copy")
    store = RocksDatastore.open(tmp_path / "copy")
    assert state_at(store, Seq(20)) == expected and store.check_revision(token) == 17
    store.close()


_PAUSED = """
import sys
from tests.harness.stores import Writer
from sp00ky.scheduler.datastore.rocks import RocksDatastore
store = RocksDatastore.open(sys.argv[1])
writer = Writer(store)
print("open", flush=True)
for line in sys.stdin:
    writer.write(("t", b"\\x01", line.encode()))
    print(store.head_seq, flush=True)
"""


@covers("own 7", "own 21", "ReadyStateWhenPaused")
async def test_a_frozen_owner_keeps_the_store_and_its_successor_fences_it(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": ROOT}
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PAUSED, str(tmp_path / "r")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
    )
    assert owner.stdin is not None and owner.stdout is not None
    try:
        assert await owner.stdout.readline() == b"open\n"
        owner.send_signal(signal.SIGSTOP)
        assert fault_code(lambda: RocksDatastore.open(tmp_path / "r")) is Code.UNAVAILABLE  # at once, and says why
        owner.send_signal(signal.SIGCONT)
        owner.stdin.write(b"x\n")
        assert await owner.stdout.readline() == b"1\n"
    finally:
        owner.kill()
        await owner.wait()
    store = RocksDatastore.open(tmp_path / "r")
    old = Writer(store)
    new = Writer(store)
    assert fault_code(lambda: old.write(("t", pack(1), b"late"))) is Code.FENCED
    assert new.write(("t", pack(1), b"mine")) == store.head_seq
    store.close()


@covers("own 24")
def test_what_cannot_be_written_is_refused_in_one_line() -> None:
    with pytest.raises(Fault) as caught:
        RocksDatastore.open(Path("/proc/replica"))
    assert "/proc/replica" in caught.value.message and "\n" not in caught.value.message


@covers("own 25")
@pytest.mark.parametrize("where", ["rows", "log"])
def test_a_corrupted_byte_in_a_table_file_is_named_and_not_served(tmp_path: Path, where: str) -> None:
    store, _ = grown(tmp_path / "r")
    before = set((tmp_path / "r").glob("*.sst"))
    getattr(store._files, where).flush(True)
    tables = set((tmp_path / "r").glob("*.sst")) - before
    assert tables
    store.close()
    for table in tables:
        data = bytearray(table.read_bytes())
        data[20] ^= 0xFF
        table.write_bytes(data)

    def read_all() -> object:
        store = RocksDatastore.open(tmp_path / "r")
        try:
            return state_at(store, Seq(20)), store.log(Seq(0), 100)
        finally:
            store.close()

    assert fault_code(read_all) is Code.DATA_LOSS
    gc.collect()  # the fault's traceback holds an iterator, and that the lock
    assert not inspect(tmp_path / "r").ok


async def test_a_store_open_for_reading_serves_reads_and_refuses_every_write(tmp_path: Path) -> None:
    path = tmp_path / "r"
    store, writer = await asyncio.to_thread(grown, path)
    expected, token = state_at(store, Seq(20)), writer.token(20)
    store.close()
    before = {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in [path, *path.iterdir()]}
    with read_only(path) as store:
        assert state_at(store, Seq(20)) == expected and store.check_revision(token) == 20
        assert len(store.log(Seq(0), 100)) == 20 and await store.sync() == 20
        append = writer.prepare([("t", pack(1), b"x")], Seq(20))
        store.raise_floor(Seq(0))  # nothing to do
        for write in (
            store.take_epoch,
            lambda: store.append(append),
            lambda: store.raise_floor(Seq(20)),
            lambda: store.collect(10),
        ):
            with pytest.raises(Fault) as caught:
                write()
            assert caught.value.code is Code.FORBIDDEN and "for reading only" in caught.value.message
        with pytest.raises(Fault):
            await store.snapshot(1)
    assert {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in [path, *path.iterdir()]} == before
