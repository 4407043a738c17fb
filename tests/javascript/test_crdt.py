"""The official JavaScript `loro-crdt` in node as one of three editors of a text: all end with the same one."""

from __future__ import annotations

import asyncio
import base64
import random
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.database import Database

from tests.conftest import FreshDatabase
from tests.harness.editors import Editor, merged
from tests.harness.small_mesh import small_mesh

HERE = Path(__file__).parent
MISSING = [name for name in ("node", "npm") if shutil.which(name) is None]
pytestmark = [pytest.mark.npm, pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")]

SCHEMA = "DEFINE FIELD content ON thread TYPE string DEFAULT '' COMMENT '@crdt text'; CREATE thread:1"
PLACE = {"table": "thread", "record_id": "thread:1", "field": "content"}
EDITS = 40
LORO = "loro-crdt@1.17.1"  # one of its own: no other test needs it


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose scripts find it."""
    folder = tmp_path_factory.mktemp("loro")
    shutil.copy(HERE / "editor.mjs", folder)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent", LORO]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"npm install failed: {done.stdout}{done.stderr}"
    return folder


async def edits(http: aiohttp.ClientSession, editor: Editor, draw: random.Random) -> None:
    for _ in range(EDITS):
        update = base64.b64encode(editor.edit(draw)).decode()
        async with http.post("/crdt/apply", json={**PLACE, "update": update, "peer": editor.peer}) as answer:
            assert answer.status == 200, await answer.text()
        if draw.random() < 0.3:
            async with http.get("/crdt/document", params=PLACE) as answer:
                editor.hear(base64.b64decode((await answer.json())["update"]))


async def in_javascript(package: Path, url: str) -> Editor:
    process = await asyncio.create_subprocess_exec(
        *("node", "editor.mjs", url.rstrip("/"), str(EDITS)),
        cwd=package,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaint = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, complaint.decode()
    editor = Editor(98)
    editor.hear(base64.b64decode(out))
    return editor


async def test_an_editor_in_javascript_and_two_in_python_end_with_one_text(
    package: Path, database: Database, fresh_database: FreshDatabase
) -> None:
    await database.query(SCHEMA)
    async with small_mesh(database, await fresh_database(database.namespace)) as mesh:
        server = GatewayServer(GatewaySettings.model_validate({"listen_addr": "127.0.0.1:0"}), "ssp", mesh.ssp_address)
        url = await server.start()
        async with aiohttp.ClientSession(url) as http:
            mine = [Editor(peer) for peer in (1, 2)]
            python = (edits(http, editor, random.Random(editor.peer)) for editor in mine)
            theirs, *_ = await asyncio.gather(in_javascript(package, url), *python)
            async with http.get("/crdt/document", params=PLACE) as answer:
                read = await answer.json()
        await server.stop()
    [[stored]] = await database.query("SELECT VALUE content FROM thread:1")
    assert stored == read["value"] == merged(*mine, theirs)
    assert "js" in stored and "👍" in stored
