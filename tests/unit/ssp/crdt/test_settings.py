"""Each setting of collaborative fields has its effect, against a real SurrealDB."""

from __future__ import annotations

import asyncio
import base64
import random

import pytest
from loro import EphemeralStore
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.crdt.declared import Kind
from sp00ky.ssp.crdt.document import is_shallow
from sp00ky.ssp.crdt.documents import Documents
from sp00ky.ssp.crdt.limits import GROUP_MAX, WAITING_MAX, limits_of
from sp00ky.ssp.crdt.measures import CrdtMeasures
from sp00ky.ssp.crdt.service import Address, Collaboration
from sp00ky.ssp.crdt.store import Store

from tests.harness.editors import Editor
from tests.harness.eventually import eventually

SCHEMA = """
DEFINE FIELD content ON thread TYPE string DEFAULT '' COMMENT '@crdt text';
DEFINE FIELD title ON thread TYPE string DEFAULT '';
CREATE |thread:1..5| RETURN NONE;
"""
THREAD = Address("thread", "thread:1", "content")


@pytest.fixture
async def thread(database: Database) -> Database:
    await install(database)
    await database.query(SCHEMA)
    return database


def with_settings(database: Database, **settings: object) -> Collaboration:
    return Collaboration(SspSettings.model_validate(settings), database, lambda: True)


async def refused(call: object) -> Code:
    with pytest.raises(Fault) as raised:
        await call  # type: ignore[misc]
    return raised.value.code


async def test_fields_are_those_of_the_setting_in_place_of_the_comments(thread: Database) -> None:
    found = with_settings(thread)
    named = with_settings(thread, crdt_fields='{"thread": ["title"]}')
    title, content = Editor(1, "title").type("t"), Editor(1).type("c")
    assert await found.apply(THREAD, content, "", "") == 1
    assert await refused(found.apply(THREAD._replace(field="title"), title, "", "")) is Code.INVALID
    assert await named.apply(THREAD._replace(field="title"), title, "", "") == 1
    assert await refused(named.apply(THREAD, content, "", "")) is Code.INVALID
    assert await refused(_made(thread, crdt_fields="[]")) is Code.INVALID


async def _made(database: Database, **settings: object) -> Collaboration:
    return with_settings(database, **settings)


async def test_as_many_documents_are_kept_as_is_set(thread: Database) -> None:
    few = with_settings(thread, crdt_cache_size=2)
    for number in range(1, 5):
        await few.apply(THREAD._replace(record=f"thread:{number}"), Editor(number).type("x"), "", "")
    await eventually(lambda: few.metrics()["crdt_documents"] == 2)
    assert few.metrics()["crdt_evictions_total"] == 2
    editor = Editor(1)
    _, reading = await few.read(THREAD, b"", "")
    editor.hear(reading.update)
    await few.apply(THREAD, editor.type("y"), "", "")
    assert (await few.read(THREAD, b"", ""))[1].value == "xy", "what was dropped is read again"


async def test_a_large_document_counts_as_several(thread: Database) -> None:
    few = with_settings(thread, crdt_cache_size=5)
    for number in range(1, 5):
        await few.apply(THREAD._replace(record=f"thread:{number}"), Editor(number).type(_noise(70_000)), "", "")
    await eventually(lambda: few.metrics()["crdt_documents"] < 4)


def _noise(size: int) -> str:
    """What does not pack."""
    return random.Random(size).randbytes(size * 3 // 4).hex()[:size]


async def test_an_update_is_as_large_as_is_set(thread: Database) -> None:
    update = Editor(1).type("a" * 500)
    small = with_settings(thread, crdt_update_bytes_max=len(update) - 1)
    assert await refused(small.apply(THREAD, update, "", "")) is Code.TOO_LARGE
    assert await with_settings(thread, crdt_update_bytes_max=len(update)).apply(THREAD, update, "", "") == 1


async def test_a_document_is_as_large_as_is_set(thread: Database) -> None:
    small, editor = with_settings(thread, crdt_document_bytes_max=4_000), Editor(1)
    await small.apply(THREAD, editor.type(_noise(1_200)), "", "")
    before = await thread.query("SELECT * FROM _00_crdt")
    assert await refused(small.apply(THREAD, editor.type(_noise(2_000)), "", "")) is Code.TOO_LARGE
    assert await refused(small.apply(THREAD, Editor(2).type(_noise(3_500)), "", "")) is Code.TOO_LARGE
    assert await thread.query("SELECT * FROM _00_crdt") == before
    assert (await small.read(THREAD, b"", ""))[1].value == _noise(1_200)


async def test_history_is_dropped_past_the_size_and_age_that_are_set(thread: Database) -> None:
    draw, editor, now = random.Random(1), Editor(1), [1_000.0]
    settings = SspSettings.model_validate({"crdt_history_bytes": 1_000, "crdt_history_secs": 60})
    measures = CrdtMeasures()
    documents = Documents(Store(thread), limits_of(settings), measures, clock=lambda: now[0])
    place = THREAD.place()

    async def shallow() -> bool:
        for _ in range(300):
            editor.edit(draw)
        await documents.apply(place, Kind.TEXT, editor.snapshot(), "")
        [[state]] = await thread.query("SELECT VALUE state FROM _00_crdt")
        return is_shallow(base64.b64decode(state))

    assert [await shallow() for _ in range(3)] == [False] * 3
    now[0] += 60
    assert await shallow()
    assert (await documents.read(place, Kind.TEXT, b"")).value == editor.text
    await documents.apply(place, Kind.TEXT, editor.type("and on"), "")
    assert (await documents.read(place, Kind.TEXT, b"")).value == editor.text


async def test_a_cursor_is_shown_as_long_as_is_set(thread: Database) -> None:
    store = EphemeralStore(60_000)
    store.set("ada", 1)
    await with_settings(thread).apply(THREAD._replace(field="_cursor_content"), store.encode_all(), "", "")
    shown = "SELECT VALUE field FROM _00_crdt"
    await with_settings(thread, crdt_presence_secs=3600).expire_presence()
    assert await thread.query(shown) == [["_cursor_content"]]
    await thread.query("UPDATE _00_crdt SET field = field")  # said again, now
    long_ago = "SELECT VALUE time::now() - shown_at > 1ms FROM ONLY _00_crdt LIMIT 1"
    await eventually(lambda: _first(thread, long_ago))
    brief = with_settings(thread, crdt_presence_secs=1)

    async def gone() -> bool:
        await brief.expire_presence()
        return await thread.query(shown) == [[]]

    await eventually(gone, 10)


async def test_only_what_is_ephemeral_is_ever_forgotten(thread: Database) -> None:
    """A document is shown at no time, and for SurrealDB no time is before any time."""
    fields = with_settings(thread, crdt_presence_secs=1)
    await fields.apply(THREAD, Editor(1).type("kept"), "", "")
    kept = await thread.query("SELECT * FROM _00_crdt")
    await thread.query("CREATE _00_crdt:theirs SET record_id = thread:2, field = 'content'")
    await fields.expire_presence()
    assert len((await thread.query("SELECT id FROM _00_crdt"))[0]) == 2
    assert await thread.query("SELECT * FROM _00_crdt WHERE record_id = thread:1") == kept


async def _first(database: Database, surql: str) -> bool:
    return bool((await database.query(surql))[0])


async def test_g6_as_many_wait_for_a_document_as_there_is_room(thread: Database) -> None:
    crowded, editor = with_settings(thread), Editor(1)
    update = editor.type("x")
    calls = [
        asyncio.create_task(crowded.documents.apply(THREAD.place(), Kind.TEXT, update, ""))
        for _ in range(WAITING_MAX + 10)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    faults = [answer for answer in answers if isinstance(answer, Fault)]
    assert len(faults) == 10 and {fault.code for fault in faults} == {Code.OVERLOADED}
    assert GROUP_MAX < WAITING_MAX and set(answers) - set(faults) == {1}
