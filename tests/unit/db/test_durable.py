"""The served engine on disk: what was acknowledged survives, whatever ended the process."""

from __future__ import annotations

import asyncio
import sys

import pytest
from sp00ky.deploy.db import engine as engine_module
from sp00ky.deploy.db.engine import DurableEngine
from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault

from tests.harness.processes import running


def serving(path):
    """`spky serve db` as a child."""
    command = ["serve", "db", "--path", str(path), "--listen", "127.0.0.1:0"]
    return running([sys.executable, "-m", "sp00ky.deploy.cli", *command])


def client(url, **options):
    return Database(url, user="root", password="root", namespace="test", database="main", **options)


@pytest.mark.timeout(90)
async def test_kill_9_loses_no_acknowledged_write_and_tears_no_transaction(tmp_path):
    acknowledged: set[int] = set()
    for round_number in range(2):
        with serving(tmp_path / "db") as child:
            url = child.wait_json_line()["ws"]
            database = client(url)
            await database.connect()
            enough = asyncio.Event()

            async def write(first, database=database, enough=enough):
                for number in range(first, first + 100_000, 8):
                    pair = f"BEGIN; CREATE left:{number}; CREATE right:{number}; COMMIT"
                    await database.query(pair, conflict_retries=5)
                    acknowledged.add(number)
                    if len(acknowledged) % 300 == 299:
                        enough.set()

            await database.query("DEFINE TABLE IF NOT EXISTS left; DEFINE TABLE IF NOT EXISTS right")
            base = round_number * 1_000_000
            writers = [asyncio.create_task(write(base + each)) for each in range(8)]
            await asyncio.wait_for(enough.wait(), 30)
            child.kill()
            ends = await asyncio.gather(*writers, return_exceptions=True)
            assert all(isinstance(end, Fault) and end.code is Code.UNAVAILABLE for end in ends)
            await database.close()
    with serving(tmp_path / "db") as child:
        database = client(child.wait_json_line()["ws"])
        left, right = await database.query(
            "SELECT VALUE record::id(id) FROM left; SELECT VALUE record::id(id) FROM right"
        )
        assert set(left) == set(right)
        assert acknowledged <= set(left)
        await database.close()
        assert child.stop() == 0


async def test_a_restart_keeps_data_users_and_schema(tmp_path):
    with serving(tmp_path / "db") as child:
        database = client(child.wait_json_line()["ws"])
        await database.query(
            "DEFINE TABLE t; CREATE t:1 SET n = 1; DEFINE USER viewer ON ROOT PASSWORD 'v' ROLES VIEWER"
        )
        await database.close()
        assert child.stop() == 0, child.said()
        assert "Traceback" not in child.said() and '"level": "error"' not in child.said()
    with serving(tmp_path / "db") as child:
        url = child.wait_json_line()["ws"]
        viewer = Database(url, user="viewer", password="v", namespace="test", database="main")
        assert await viewer.query("SELECT VALUE n FROM t") == [[1]]
        await viewer.close()
        assert child.stop() == 0


async def test_the_password_of_the_settings_counts_at_every_start(tmp_path):
    for password in ("first", "sec\"o\\nd's"):
        server = DatabaseServer(path=tmp_path / "db", user="admin", password=password)
        url = await server.start("127.0.0.1:0")
        good = Database(url, user="admin", password=password, namespace="n", database="d")
        await good.connect()
        await good.close()
        await server.stop()


async def test_a_directory_in_use_is_one_clear_fault(tmp_path):
    first = DatabaseServer(path=tmp_path / "db", user="root", password="root")
    await first.start("127.0.0.1:0")
    second = DatabaseServer(path=tmp_path / "db", user="root", password="root")
    with pytest.raises(Fault) as caught:
        await second.start("127.0.0.1:0")
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.message == f'database directory "{tmp_path / "db"}" is in use by another process'
    assert "\n" not in str(caught.value)
    await first.stop()
    await second.start("127.0.0.1:0")
    await second.stop()


async def test_a_taken_port_and_a_file_in_the_way_are_one_clear_fault(tmp_path):
    first = DatabaseServer(path=None, user="root", password="root")
    url = await first.start("127.0.0.1:0")
    port = url.removeprefix("ws://127.0.0.1:").removesuffix("/rpc")
    second = DatabaseServer(path=tmp_path / "db", user="root", password="root")
    with pytest.raises(Fault, match=f"cannot listen on 127.0.0.1:{port}"):
        await second.start(f"127.0.0.1:{port}")
    await second.start("127.0.0.1:0")  # the failed start let go of the directory
    await second.stop()
    await first.stop()
    (tmp_path / "file").write_text("")
    with pytest.raises(Fault, match="cannot be made"):
        await DatabaseServer(path=tmp_path / "file" / "db", user="root", password="root").start("127.0.0.1:0")
    for listen in ("nowhere", "host:", ":80", "h:99999", "h:x"):
        with pytest.raises(Fault, match="is not host:port"):
            await DatabaseServer(path=None, user="root", password="root").start(listen)


async def test_disk_is_the_synchronous_engine_with_a_sync_for_every_commit(tmp_path, monkeypatch):
    opened: list[str] = []

    def never(url):
        raise AssertionError(f"the asynchronous engine was opened on {url}: it hangs after 2 GB")

    monkeypatch.setattr(engine_module, "AsyncEmbeddedDB", never)
    original = engine_module.SyncEmbeddedDB
    monkeypatch.setattr(engine_module, "SyncEmbeddedDB", lambda url: (opened.append(url), original(url))[1])
    engine = DurableEngine(tmp_path / "db")
    await engine.open()
    await engine.close()
    assert opened == [f"surrealkv://{tmp_path.resolve()}/db?sync=every"]
    with pytest.raises(Fault, match="question mark"):
        DurableEngine(tmp_path / "a?sync=never")


@pytest.mark.parametrize("engine", ["MemoryEngine()", "DurableEngine(Path(sys.argv[1]))"])
def test_a_process_that_opens_writes_and_closes_exits_0(tmp_path, engine):
    text = f"""
import asyncio, sys
from pathlib import Path
from sp00ky.deploy.db.engine import DurableEngine, MemoryEngine, call_as_owner

async def main():
    engine = {engine}
    await engine.open()
    await call_as_owner(engine, "use", ["n", "d"])
    await call_as_owner(engine, "query", ["CREATE t; SELECT * FROM t", {{}}])
    await engine.close()

asyncio.run(main())
"""
    for _ in range(3):
        with running([sys.executable, "-c", text, str(tmp_path / "db")]) as child:
            assert child.wait() == 0, child.said()
            assert "Traceback" not in child.said() and '"level": "error"' not in child.said()
