"""A replica that is behind what the mesh wrote into SurrealDB numbers on above it: empty, lost, or restored."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sp00ky.deploy.compose import start_scheduler
from sp00ky.deploy.surreal.install import install
from sp00ky.deploy.surreal.marks import seqs_handed_out
from sp00ky.proto.channel import open_channel
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc
from sp00ky.scheduler.config import SchedulerSettings

from tests.conformance.test_datastore_migrations import old_store
from tests.conftest import DB_PASS, DB_USER


async def test_the_mark_is_the_highest_seq_that_an_ssp_wrote_under_or_up_to(database: Database) -> None:
    await install(database)
    assert await seqs_handed_out(database) == 0
    await database.query("UPSERT _00_owner:a SET epoch = 7, written = 400; UPSERT _00_owner:b SET epoch = 90;")
    assert await seqs_handed_out(database) == 400
    await database.query(f"UPSERT _00_owner:b SET epoch = {2**53 + 1}")
    assert await seqs_handed_out(database) == 2**53 + 1


@pytest.mark.parametrize("engine", ["rocksdb", "memory"])
async def test_a_scheduler_numbers_on_above_the_mark(
    database: Database, database_url: str, tmp_path: Path, engine: str
) -> None:
    await install(database)
    settings = settings_of(database, database_url, tmp_path, replica_engine=engine)
    first = await head_of(settings)
    assert first < 1_000_000
    await database.query("UPSERT _00_owner:a SET epoch = 1000000, written = 1000004")
    assert await head_of(settings) >= 1_000_004
    again = await head_of(settings)
    assert again >= 1_000_004


def settings_of(database: Database, url: str, data_dir: Path, **more: Any) -> SchedulerSettings:
    return SchedulerSettings(
        grpc_addr="127.0.0.1:0",
        data_dir=data_dir,
        db_ws=url,
        db_user=DB_USER,
        db_pass=DB_PASS,
        db_ns=database.namespace,
        db_name=database.database,
        **more,
    )


async def test_an_old_layout_is_migrated_at_start_unless_it_may_not(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    old_store(tmp_path / "replica")
    with pytest.raises(Fault) as caught:
        await head_of(settings_of(database, database_url, tmp_path, replica_auto_migrate=False))
    assert caught.value.hint == "run `spky replica migrate head`"
    assert await head_of(settings_of(database, database_url, tmp_path)) >= 14


async def test_nothing_is_served_while_a_restore_is_unfinished(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "replica.restoring").mkdir()
    with pytest.raises(Fault) as caught:
        await head_of(settings_of(database, database_url, tmp_path))
    assert caught.value.code is Code.NOT_READY and "spky replica restore" in caught.value.hint
    assert not (tmp_path / "replica").exists()


async def head_of(settings: SchedulerSettings) -> int:
    """The head of a scheduler that is started and stopped."""
    async with AsyncExitStack() as stack:
        address = await start_scheduler(stack, settings)
        channel = open_channel(address, settings.auth_secret)
        stack.push_async_callback(channel.close)
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        status = await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=20)
        return int(status.head_seq)
