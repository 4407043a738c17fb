"""Files of the scheduler's store that are missing, doubled or exchanged (D3), tried on each file in turn.

The store is made so that several write-ahead logs are needed at once, and copied while it is open, as a machine's death
leaves it. Whatever is done to its files, it either opens with everything that was synced, or refuses with one line that
names the replica and the command that helps. Never does it open with less.

One damage is left out, because nothing in the store tells it from an honest torn write: the newest log cut short, to
nothing even, or gone.
"""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.rocks import RocksDatastore
from sp00ky.scheduler.datastore.wal import log_files

from tests.harness.stores import Writer

ROUNDS = 3
WRITES = 5
Damage = Callable[[list[Path], int], None]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Files of a dead machine: some table files, and logs of which each holds what is in no table."""
    folder = tmp_path_factory.mktemp("segments")
    store = RocksDatastore.open(folder / "live")
    writer = Writer(store)
    for number in range(ROUNDS):
        for write in range(WRITES):
            writer.write(("t", pack(number * WRITES + write), b"some record"))
        asyncio.run(store.sync())
        store._files.rows.flush(True)  # begins another log; the older one is still needed by the other families
    writer.write(("t", pack(99), b"last"))
    asyncio.run(store.sync())
    shutil.copytree(folder / "live", folder / "image")
    store.close()
    yield folder / "image"


def missing(files: list[Path], index: int) -> None:
    files[index].unlink()


def exchanged(files: list[Path], index: int) -> None:
    other = files[(index + 1) % len(files)]
    here, there = files[index].read_bytes(), other.read_bytes()
    files[index].write_bytes(there)
    other.write_bytes(here)


def doubled(files: list[Path], index: int) -> None:
    """The same contents once more, as the newest file."""
    newest = files[-1]
    again = newest.with_name(f"{int(newest.stem) + 1:06d}{newest.suffix}")
    again.write_bytes(files[index].read_bytes())


def emptied(files: list[Path], index: int) -> None:
    files[index].write_bytes(b"")


@pytest.mark.parametrize("damage", [missing, exchanged, doubled, emptied])
@pytest.mark.parametrize("kind", ["log", "sst"])
def test_d3_files_missing_doubled_or_exchanged(image: Path, tmp_path: Path, kind: str, damage: Damage) -> None:
    files = names_of(image, kind)
    assert len(files) >= 3
    refused = 0
    last = len(files) - (kind == "log" and damage in (missing, emptied))
    for index in range(last):
        replica = tmp_path / str(index)
        shutil.copytree(image, replica)
        damage(names_of(replica, kind), index)
        try:
            store = RocksDatastore.open(replica)
        except Fault as fault:
            assert fault.code is Code.DATA_LOSS, fault
            assert str(replica) in fault.message and "\n" not in fault.message
            assert "spky replica" in fault.hint, fault
            refused += 1
        else:
            whole = store.head_seq == ROUNDS * WRITES + 1 and store.count("t") == ROUNDS * WRITES + 1
            rows = {row.key: row.packed for row in store.scan("t", store.head_seq, limit=100)}
            store.close()
            assert whole and rows[pack(0)] == b"some record", f"{damage.__name__} {files[index].name}: opened with less"
        gc.collect()  # the fault's traceback may hold the files' lock
    if damage in (missing, emptied):
        assert refused, "no file mattered"


def names_of(replica: Path, kind: str) -> list[Path]:
    return list(log_files(replica)) if kind == "log" else sorted(replica.glob("*.sst"))
