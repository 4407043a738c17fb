"""Collaborative fields converge: several editors, several SSPs, clients that write the row themselves, in any order,
with duplicates, with SSPs that end in the middle: document, field and Loro's own merge are the same, and nothing that
was acknowledged is missing."""

from __future__ import annotations

import asyncio
import base64
import random

import pytest
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.crdt.service import Address, Collaboration

from tests.conftest import FreshDatabase
from tests.harness.editors import Editor, merged

THREAD = Address("thread", "thread:1", "content")
SCHEMA = """
DEFINE FIELD content ON thread TYPE string COMMENT '@crdt text';
CREATE thread:1 SET content = '';
"""
EDITS = 40


class Mesh:
    """SSPs over one database, each on a connection of its own."""

    def __init__(self, fresh: FreshDatabase, database: Database) -> None:
        self._fresh, self.database = fresh, database
        self.ssps: list[Collaboration] = []

    async def start(self) -> Collaboration:
        own = await self._fresh(self.database.namespace)
        ssp = Collaboration(SspSettings.model_validate({"crdt_history_bytes": 600}), own, lambda: True)
        self.ssps.append(ssp)
        return ssp

    async def kill(self, draw: random.Random) -> None:
        """One ends with what it is doing, another takes its place."""
        ended = self.ssps.pop(draw.randrange(len(self.ssps)))
        await asyncio.gather(ended.stop(), self.start())

    async def stop(self) -> None:
        for ssp in self.ssps:
            await ssp.stop()


@pytest.fixture
async def mesh(database: Database, fresh_database: FreshDatabase) -> Mesh:
    await install(database)
    await database.query(SCHEMA)
    made = Mesh(fresh_database, database)
    for _ in range(2):
        await made.start()
    return made


async def sent(mesh: Mesh, editor: Editor, update: bytes, draw: random.Random) -> None:
    """Until it is acknowledged: by whichever SSP, after a duplicate or two, with more where an SSP asks for more."""
    for _ in range(40):
        try:
            await draw.choice(mesh.ssps or [await mesh.start()]).apply(THREAD, update, editor.peer, "")
            return
        except Fault as fault:
            assert fault.code is Code.UNAVAILABLE or "version" in fault.details, fault
            if "version" in fault.details:
                update = editor.lacks(base64.b64decode(fault.details["version"]))
    raise AssertionError("an update is never taken")


async def edits(mesh: Mesh, editor: Editor, draw: random.Random) -> None:
    held: list[bytes] = []
    for _ in range(EDITS):
        held.append(editor.edit(draw))
        if draw.random() < 0.6:
            draw.shuffle(held)
            await asyncio.gather(*(sent(mesh, editor, update, draw) for update in held))
            held = [draw.choice(held)] if draw.random() < 0.3 else []  # a duplicate of one
        if draw.random() < 0.2:
            _, reading = await draw.choice(mesh.ssps or [await mesh.start()]).read(THREAD, b"", "")
            editor.hear(reading.update)
        if draw.random() < 0.1 and mesh.ssps:
            await mesh.kill(draw)
    for update in held:
        await sent(mesh, editor, update, draw)


async def pushes(mesh: Mesh, editor: Editor, draw: random.Random) -> None:
    """As the shipped client does: the whole state over whatever is in the row."""
    for _ in range(EDITS // 8):
        editor.edit(draw)
        state = base64.b64encode(editor.snapshot()).decode()
        await mesh.database.query(
            "UPDATE _00_crdt SET state = $state WHERE record_id = thread:1 AND field = 'content'",
            {"state": state},
            conflict_retries=20,
        )
        await asyncio.gather(*(ssp.merge_pushed() for ssp in list(mesh.ssps)), return_exceptions=True)


async def converged(mesh: Mesh, editors: list[Editor]) -> None:
    for ssp in mesh.ssps:
        await ssp.merge_pushed()
    whole = merged(*editors)
    [[stored]] = await mesh.database.query("SELECT VALUE content FROM thread:1")
    assert stored == whole
    for ssp in mesh.ssps:
        _, reading = await ssp.read(THREAD, b"", "")
        assert reading.value == whole
    for editor in editors:
        editor.hear(reading.update)
        assert editor.text == whole
    await mesh.stop()


@pytest.mark.parametrize("seed", range(3))
async def test_all_editors_end_with_loros_own_merge(mesh: Mesh, seed: int) -> None:
    draw = random.Random(seed)
    editors = [Editor(peer) for peer in (1, 2, 3)]
    await asyncio.gather(*(edits(mesh, editor, draw) for editor in editors))
    await converged(mesh, editors)


@pytest.mark.parametrize("seed", range(2))
async def test_a_client_that_writes_the_row_itself_is_merged(mesh: Mesh, seed: int) -> None:
    draw = random.Random(seed)
    editors = [Editor(peer) for peer in (1, 2, 3)]
    await sent(mesh, editors[0], editors[0].type("first"), draw)
    await asyncio.gather(pushes(mesh, editors[2], draw), *(edits(mesh, editor, draw) for editor in editors[:2]))
    await converged(mesh, editors)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(10, 40))
async def test_all_editors_end_with_loros_own_merge_again_and_again(mesh: Mesh, seed: int) -> None:
    await test_a_client_that_writes_the_row_itself_is_merged(mesh, seed)
