"""The official JavaScript SDK in node against the served database: each story of `sdk.mjs` is an application's.

The SDK is installed by npm as `package.json` says: into a folder of the run, unless NODE_PACKAGES names one that has
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.database import Database
from sp00ky.proto.v1 import common_pb2, views_pb2
from sp00ky.proto.viewer import pack_viewer, viewer_of

from tests.conftest import FreshDatabase
from tests.harness.edges import stored_edges
from tests.harness.eventually import eventually
from tests.harness.small_mesh import small_mesh

HERE = Path(__file__).parent
MISSING = [name for name in ("node", "npm") if shutil.which(name) is None]
pytestmark = [pytest.mark.npm, pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")]

STORY_SECONDS = 30.0
SCHEMA = """
DEFINE TABLE user PERMISSIONS FOR select WHERE id = $auth;
DEFINE TABLE note PERMISSIONS FOR select, update WHERE owner = $auth FOR create, delete FULL;
DEFINE FIELD secret ON note PERMISSIONS FOR select NONE;
DEFINE ACCESS account ON DATABASE TYPE RECORD
    SIGNUP (CREATE type::record('user', $name) SET name = $name, pass = $pass)
    SIGNIN (SELECT * FROM type::record('user', $name) WHERE pass = $pass)
    DURATION FOR TOKEN 1h, FOR SESSION 1h;
CREATE user:ada SET name = 'ada', pass = "ada's"; CREATE user:bob SET name = 'bob', pass = "bob's";
CREATE note:adas SET owner = user:ada, secret = 1, text = 'a'; CREATE note:bobs SET owner = user:bob, text = 'b';
"""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose scripts find the SDK."""
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(HERE / "sdk.mjs", folder)
    if given := os.environ.get("NODE_PACKAGES"):
        (folder / "node_modules").symlink_to(Path(given).resolve() / "node_modules")
        return folder
    shutil.copy(HERE / "package.json", folder)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--legacy-peer-deps", "--silent"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"npm install failed: {done.stdout}{done.stderr}"
    return folder


class Story:
    """A story being played; `asks` is what it wants done, `done` lets it go on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def asks(self) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), STORY_SECONDS)
        assert line, (await self.complaint())[-3000:]
        return json.loads(line)

    def done(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"1\n")

    async def complaint(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()


@contextlib.asynccontextmanager
async def played(story: str, packages: Path, url: str, namespace: str) -> AsyncIterator[Story]:
    """At the end the story is over, well."""
    node = ("node", "sdk.mjs", story, url.removesuffix("/rpc"), namespace)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*node, cwd=packages, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield (telling := Story(process))
        assert await telling.asks() == "done"
        assert await asyncio.wait_for(process.wait(), STORY_SECONDS) == 0, await telling.complaint()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    "story",
    [
        "signs_in_as_root",
        "reads_and_writes_records",
        "sees_what_its_permissions_allow",
        "signs_up",
        "transactions_are_one_request",
        "follows_a_table",
    ],
)
async def test_an_application(story: str, packages: Path, embedded_url: str, database: Database) -> None:
    await database.query(SCHEMA)
    async with played(story, packages, embedded_url, database.namespace):
        pass


async def has_edges(database: Database, user: str) -> bool:
    return any(edge.user == user for edge in await stored_edges(database))


async def test_a_user_follows_the_edges_of_its_view(
    packages: Path, embedded_url: str, database: Database, fresh_database: FreshDatabase
) -> None:
    """Through the whole mesh: writes → capture → view of the user → edges → LIVE under the edges' PERMISSIONS."""
    await database.query(SCHEMA)
    viewer = viewer_of({"id": "user:ada", "access": "account"})
    async with (
        small_mesh(database, await fresh_database(database.namespace)) as mesh,
        played("follows_its_own_edges", packages, embedded_url, database.namespace) as story,
    ):
        assert await story.asks() == "register"
        for key, query, auth in (("hers", "SELECT * FROM note", viewer), ("all", "SELECT * FROM note", None)):
            spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id=key), surql=query)
            if auth is not None:
                spec.key.auth_id, spec.auth = "user:ada", pack_viewer(auth)
            await mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        await eventually(partial(has_edges, database, "user:ada"), 20.0, what="the edge of note:adas")
        story.done()
        assert await story.asks() == "write"
        await database.query("CREATE note:others SET owner = user:bob; CREATE note:second SET owner = user:ada")
        story.done()
        assert await story.asks() == "delete"
        await database.query("DELETE note:bobs; DELETE note:adas")
        story.done()


async def test_an_application_goes_on_after_a_restart_of_the_database(packages: Path, tmp_path: Path) -> None:
    server = DatabaseServer(path=tmp_path / "db", user="root", password="root")
    url = await server.start("127.0.0.1:0")
    listen = url.removeprefix("ws://").removesuffix("/rpc")
    try:
        database = Database(url, user="root", password="root", namespace="restarted", database="main")
        await database.connect()
        await database.query("DEFINE TABLE person")
        await database.close()
        async with played("comes_back_by_itself", packages, url, "restarted") as story:
            assert await story.asks() == "restart"
            await server.stop()
            server = DatabaseServer(path=tmp_path / "db", user="root", password="root")
            await server.start(listen)
            story.done()
    finally:
        await server.stop()
