"""`spky replica …` on the files of a scheduler that is not there, and against one that serves."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sp00ky.deploy.cli import app
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.rocks import RocksDatastore
from typer.testing import CliRunner

from tests.harness.scheduler import Scheduler
from tests.harness.stores import Writer, fault_code


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    store = RocksDatastore.open(tmp_path / "replica")
    writer = Writer(store)
    for n in range(5):
        writer.write(("t", pack(1), b"%d" % n), ("t", pack(2), None))
    asyncio.run(store.sync())
    asyncio.run(store.snapshot(2))
    store.close()
    return tmp_path


def spky(*arguments: str, code: int = 0) -> Any:
    """What a command prints, as JSON. Raises the fault it ends with."""
    done = CliRunner().invoke(app, ["replica", *arguments])
    if isinstance(done.exception, Fault):
        raise done.exception
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.output)


def on(data_dir: Path) -> tuple[str, str]:
    return "--data-dir", str(data_dir)


def test_verify_reports_and_ends_1_on_damage(data_dir: Path) -> None:
    report = spky("verify", *on(data_dir))
    assert report["ok"] and report["head"] == 10 and report["tables"] == {"t": 1}
    table = max((data_dir / "replica").glob("*.sst"), key=lambda file: file.stat().st_size)
    table.write_bytes(table.read_bytes()[:-60] + bytes(60))
    report = spky("verify", *on(data_dir), code=1)
    assert not report["ok"] and report["damage"]


def test_gc_offline_leaves_the_head(data_dir: Path) -> None:
    answer = spky("gc", "--offline", *on(data_dir))
    assert answer == {"versions": 9, "log_entries": 10, "floor_seq": 10}
    assert spky("gc", "--offline", *on(data_dir)) == {"versions": 0, "log_entries": 0, "floor_seq": 10}
    assert spky("verify", *on(data_dir))["ok"]


def test_repairs_are_listed_and_carried_out(data_dir: Path) -> None:
    listed = CliRunner().invoke(app, ["replica", "repair"]).output
    assert all(name in listed for name in ("head", "counts", "orphan-versions", "reclone"))
    assert spky("repair", "counts", "--dry-run", *on(data_dir)) == {"repair": "counts", "dry_run": True, "findings": []}


def test_restore_goes_back_to_a_snapshot(data_dir: Path) -> None:
    done = spky("restore", *on(data_dir))
    assert (done["rows_as_of_seq"], done["numbers_on_above"]) == (10, 11)
    assert Path(done["damaged_files"]).is_dir()
    report = spky("verify", *on(data_dir))
    assert report["ok"] and report["store_id"] == done["store_id"]


def test_migrate_and_version_name_revisions(data_dir: Path) -> None:
    shown = spky("version", *on(data_dir))
    assert shown["stored"] == shown["head"]
    assert spky("migrate", "head", *on(data_dir)) == {"from": shown["head"], "steps": [], "dry_run": False}
    with pytest.raises(Fault) as caught:
        spky("migrate", "nowhere", *on(data_dir))
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("command", ["verify", "version", "repair counts", "migrate", "gc --offline"])
def test_where_there_is_no_replica_it_is_said(tmp_path: Path, command: str) -> None:
    assert fault_code(lambda: spky(*command.split(), *on(tmp_path))) is Code.NOT_FOUND
    assert list(tmp_path.iterdir()) == []


def test_a_replica_without_its_current_file_is_said_to_be_damaged(data_dir: Path) -> None:
    (data_dir / "replica" / "CURRENT").unlink()
    report = spky("verify", *on(data_dir), code=1)
    assert not report["ok"] and "CURRENT is missing" in report["damage"][0]
    for command in ("version", "repair counts", "migrate", "gc --offline"):
        assert fault_code(partial(spky, *command.split(), *on(data_dir))) is Code.DATA_LOSS
    assert spky("restore", *on(data_dir))["rows_as_of_seq"] == 10
    assert spky("verify", *on(data_dir))["ok"]


async def test_a_serving_scheduler_is_asked(tmp_path: Path) -> None:
    store = RocksDatastore.open(tmp_path / "replica")
    writer = Writer(store)
    for n in range(5):
        writer.write(("t", pack(1), b"%d" % n))
    async with Scheduler(store, replica_gc_window_secs=0, replica_gc_interval_secs=3600) as scheduler:
        url = f"grpc://{scheduler.address}"
        shown = await asyncio.to_thread(spky, "status", "--json", "--url", url)
        assert shown["engine"] == "rocksdb" and shown["tables"][0]["rows"] == "1"
        answer = await asyncio.to_thread(spky, "gc", "--url", url)
        assert answer["floor"] == scheduler.driver.token(5) and answer["log_floor_seq"] == 6
        assert store.stats().log_entries == 0
