"""Collaborative fields of a real mesh, over HTTP, while SSPs are killed that merge: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import base64
import random
from pathlib import Path

import aiohttp
import pytest

from tests.harness.editors import FIELD, Editor, merged
from tests.harness.eventually import eventually
from tests.harness.mesh import Mesh, running_mesh

pytestmark = [pytest.mark.processes, pytest.mark.timeout(170)]
SCHEMA = "DEFINE FIELD content ON thread TYPE string DEFAULT '' COMMENT '@crdt text'; CREATE thread:1"
PLACE = {"table": "thread", "record_id": "thread:1", "field": FIELD}
GONE = (aiohttp.ClientError, ConnectionError, TimeoutError)


class Site:
    """The SSPs' own HTTP, which stays where it is over restarts."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.urls = [str(ssp["http"]) for ssp in mesh.ready["ssps"]]
        self.acknowledged = 0
        self.repeated = 0

    async def apply(self, editor: Editor, update: bytes, draw: random.Random) -> None:
        """Until it is acknowledged, by whichever SSP; where one asks for more, more."""

        async def is_taken() -> bool:
            nonlocal update
            body = {**PLACE, "update": base64.b64encode(update).decode(), "peer": editor.peer}
            try:
                async with self.mesh.http.post(f"{draw.choice(self.urls)}/crdt/apply", json=body) as answer:
                    said = await answer.json()
            except GONE:
                self.repeated += 1
                return False
            if answer.status == 200:
                return True
            version = said.get("details", {}).get("version")
            assert answer.status == 503 or version, said
            if version:
                update = editor.lacks(base64.b64decode(version))
            self.repeated += 1
            return False

        await eventually(is_taken, 60.0, what="an update to be taken", every_s=0.02)
        self.acknowledged += 1

    async def read(self, url: str) -> tuple[bytes, str]:
        """The document and its value, once that SSP answers."""

        async def found() -> tuple[bytes, str] | None:
            try:
                async with self.mesh.http.get(f"{url}/crdt/document", params=PLACE) as answer:
                    said = await answer.json()
                    return (base64.b64decode(said["update"]), said["value"]) if answer.status == 200 else None
            except GONE:
                return None

        return await eventually(found, 60.0, what=f"the document of {url}")


async def edit_under_fire(folder: Path, kills: int) -> None:
    """Three editors, each of whom waits for his answers; the SSPs are killed in turn meanwhile."""
    async with running_mesh(folder, ssps=2) as mesh:
        database = await mesh.database()
        await database.query(SCHEMA)
        site, editors = Site(mesh), [Editor(peer) for peer in (1, 2, 3)]

        ceased = asyncio.Event()

        async def edit(editor: Editor) -> None:
            draw = random.Random(int(editor.peer))
            while not ceased.is_set():
                await site.apply(editor, editor.edit(draw), draw)

        async def fire() -> None:
            for number in range(kills):
                name, before = f"ssp-{number % 2 + 1}", site.acknowledged
                await eventually(lambda before=before: site.acknowledged >= before + 10, 60.0, what="further edits")
                pid = mesh.pid_of(name)
                mesh.kill(name)
                await eventually(lambda name=name, pid=pid: mesh.pid_of(name) != pid, 60.0, what=f"{name} again")
            ceased.set()

        await asyncio.gather(fire(), *(edit(editor) for editor in editors))
        assert site.acknowledged == sum(len(editor.told) for editor in editors) and site.repeated > 0
        whole = merged(*editors)
        for url in site.urls:
            update, value = await site.read(url)
            assert value == whole, url
            for editor in editors:
                editor.hear(update)
        assert {editor.text for editor in editors} == {whole}
        assert await database.query("SELECT VALUE content FROM thread") == [[whole]]


async def test_editors_converge_while_ssps_are_killed(tmp_path: Path) -> None:
    await edit_under_fire(tmp_path, kills=1)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_editors_converge_while_ssps_are_killed_twenty_times(tmp_path: Path) -> None:
    await edit_under_fire(tmp_path, kills=20)
