"""Collaborative fields over HTTP and gRPC, against a real SSP and SurrealDB: what is taken, what is refused, by whose
rights, and what is in the database then."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from loro import EphemeralStore
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.channel import open_channel
from sp00ky.proto.database import Database
from sp00ky.proto.v1 import crdt_pb2, crdt_pb2_grpc
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.crdt.presence import STATE_BYTES_MAX, UPDATE_BYTES_MAX
from sp00ky.ssp.driver import SspDriver

from tests.conftest import FreshDatabase
from tests.harness.editors import Editor
from tests.harness.eventually import eventually
from tests.harness.served_gateway import Served, serve, ssp
from tests.harness.small_mesh import small_mesh
from tests.harness.users import ACCESS, claims_of
from tests.unit.gateway.tokens import SHARED, token

__all__ = ["serve", "ssp"]  # fixtures

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = f"""
DEFINE TABLE user;
DEFINE TABLE thread PERMISSIONS FOR select WHERE owner = $auth OR public FOR update WHERE owner = $auth;
DEFINE FIELD content ON thread TYPE string DEFAULT '' COMMENT '@crdt text' ASSERT string::len($value) < 100;
DEFINE FIELD likes ON thread TYPE int DEFAULT 0 COMMENT '@crdt counter'
    PERMISSIONS FOR select FULL FOR update WHERE owner.admin;
DEFINE FIELD secret ON thread TYPE string DEFAULT '' COMMENT '@crdt text' PERMISSIONS NONE;
DEFINE FIELD title ON thread TYPE option<string>;
CREATE user:ada; CREATE user:bob SET admin = true;
CREATE thread:1 SET owner = user:ada; CREATE thread:2 SET owner = user:bob, public = true;
DEFINE ACCESS {ACCESS} ON DATABASE TYPE RECORD WITH JWT ALGORITHM HS512 KEY '{SHARED}';
"""


@dataclass(frozen=True)
class Site:
    http: aiohttp.ClientSession
    database: Database
    ssp: SspDriver
    grpc: str

    async def apply(self, told: bytes, field: str = "content", record: str = "thread:1", **more: str) -> Any:
        """Status and body; `bearer` is whose."""
        body = {"table": "thread", "record_id": record, "field": field, "peer": "p", "update": _base64(told)}
        headers = {"Authorization": f"Bearer {more.pop('bearer', 'all')}"}
        async with self.http.post("/crdt/apply", json=body | more, headers=headers) as answer:
            return answer.status, await answer.json()

    async def read(self, bearer: str = "all", **asks: str) -> Any:
        params = {"table": "thread", "record_id": "thread:1", "field": "content"} | asks
        headers = {"Authorization": f"Bearer {bearer}"}
        async with self.http.get("/crdt/document", params=params, headers=headers) as answer:
            return answer.status, await answer.json()

    async def stored(self) -> list[Any]:
        """All that an update could have changed."""
        return await self.database.query("SELECT * FROM thread; SELECT * FROM _00_crdt ORDER BY id")

    def token(self, user: str) -> str:
        """As the application's own sign-in makes it: one that SurrealDB and the edge both take."""
        claims = claims_of(RecordId("user", user), self.database.namespace, self.database.database)
        return token(algorithm="HS512", **claims)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
async def site(database: Database, fresh_database: FreshDatabase) -> AsyncIterator[Site]:
    await database.query(SCHEMA)
    own = await fresh_database(database.namespace)
    async with small_mesh(database, own, crdt_update_bytes_max=5_000) as mesh:
        stated = {"listen_addr": "127.0.0.1:0", "auth_secret": "all", "jwt_secret": SHARED}
        server = GatewayServer(GatewaySettings.model_validate(stated), "ssp", mesh.ssp_address)
        async with aiohttp.ClientSession(await server.start()) as http:
            yield Site(http, database, mesh.ssp, mesh.ssp_address)
        await server.stop()


async def test_an_update_is_in_the_document_and_in_the_field(site: Site) -> None:
    editor = Editor(1)
    assert await site.apply(editor.type("Hello")) == (200, {"rev": 1})
    assert await site.apply(editor.told[0]) == (200, {"rev": 1}), "twice is once"
    assert await site.apply(editor.type(" world")) == (200, {"rev": 2})
    rows, (row,) = await site.stored()
    assert rows[0]["content"] == "Hello world"
    assert (row["record_id"], row["field"], row["rev"], row["peer"]) == (RecordId("thread", 1), "content", 2, "p")
    reader = Editor(2)
    reader.hear(base64.b64decode(row["state"]))
    assert reader.text == "Hello world"
    await site.database.query("DELETE thread:1")
    assert (await site.stored())[1] == [], "a document goes with its record"


async def test_a_document_is_read_from_where_one_is(site: Site) -> None:
    editor, reader = Editor(1), Editor(2)
    assert (await site.read())[1]["value"] == ""
    await site.apply(editor.type("one"))
    status, whole = await site.read()
    reader.hear(base64.b64decode(whole["update"]))
    assert (status, whole["rev"], whole["kind"], whole["value"], reader.text) == (200, 1, "text", "one", "one")
    await site.apply(editor.type(" two"))
    _, rest = await site.read(version=whole["version"])
    reader.hear(base64.b64decode(rest["update"]))
    assert reader.text == rest["value"] == "one two" and len(rest["update"]) < len(whole["update"])
    assert (await site.read(version="!"))[0] == (await site.read(version="//8="))[0] == 400


def hostile() -> dict[str, tuple[bytes, dict[str, str], int]]:
    """Update, what else is stated, and the status."""
    update = Editor(9).type("x")
    ahead, long = Editor(10), Editor(11)
    ahead.type("seen by nobody")
    return {
        "corrupt": (update[:-1], {}, 400),
        "damaged": (update[:20] + b"~" + update[21:], {}, 400),
        "no update": (b"no update", {}, 400),
        "no base64": (b"", {"update": "?"}, 400),
        "huge": (Editor(12).type("a" * 5_000), {}, 413),
        "from the future": (ahead.type("!"), {}, 400),
        "another field's": (Editor(13, "title").type("x"), {}, 400),
        "another kind": (Editor(14).changed(lambda doc: doc.get_map("content").insert("a", 1)), {}, 400),
        "of another table's record": (update, {"record_id": "user:ada"}, 400),
        "of the mesh's own table": (update, {"table": "_00_crdt", "record_id": "_00_crdt:a"}, 400),
        "of no record": (update, {"record_id": "thread:3"}, 404),
        "of a range": (update, {"record_id": "thread:1..2"}, 400),
        "no record id": (update, {"record_id": "thread"}, 400),
        "not collaborative": (update, {"field": "title"}, 400),
        "not there": (update, {"field": "none"}, 400),
        "an expression": (update, {"field": "content = 1 OR owner"}, 400),
        "refused by the field's own rule": (long.type("a" * 100), {}, 400),
        "with a long name": (update, {"peer": "p" * 129}, 400),
    }


async def test_i10_corrupt_huge_and_foreign_updates_change_nothing(site: Site) -> None:
    editor = Editor(1)
    await site.apply(editor.type("kept"))
    before = await site.stored()
    for name, (update, stated, status) in hostile().items():
        answered, body = await site.apply(update, **stated)
        assert answered == status, (name, body)
        assert body["code"].startswith("SPKY_") and body["message"], name
        assert await site.stored() == before, name
    assert await site.apply(editor.type("!")) == (200, {"rev": 2}), "and the document goes on"
    refused = {name: value for name, value in site.ssp.metrics().items() if name.startswith("crdt_rejected_total")}
    assert sum(refused.values()) == len(hostile()) - 1, refused  # what is no base64 does not come that far


async def test_i10_one_bad_update_does_not_take_the_others_with_it(site: Site) -> None:
    good = [Editor(peer) for peer in range(1, 9)]
    bad = [Editor(9).type("a" * 100), Editor(10).type("x")[:-1], Editor(11, "title").type("x")]
    answers = await asyncio.gather(*(site.apply(each.type("g")) for each in good), *(site.apply(each) for each in bad))
    assert [status for status, _ in answers] == [200] * 8 + [400] * 3
    assert (await site.stored())[0][0]["content"] == "g" * 8


@pytest.mark.parametrize("missing", ["table", "record_id", "field", "update", "peer"])
async def test_a_body_of_the_wrong_shape_is_422(site: Site, missing: str) -> None:
    body: dict[str, object] = {
        "table": "thread",
        "record_id": "thread:1",
        "field": "content",
        "peer": "p",
        "update": "",
    }
    for wrong in ({name: value for name, value in body.items() if name != missing}, body | {missing: 1}):
        async with site.http.post("/crdt/apply", json=wrong, headers={"Authorization": "Bearer all"}) as answer:
            assert answer.status == 422, await answer.text()


async def test_what_an_ssp_that_is_not_ready_answers(site: Site) -> None:
    site.ssp._bootstrapped = False
    for status, body in (await site.apply(Editor(1).type("x")), await site.read()):
        assert (status, body["code"]) == (503, "SSP_NOT_READY")


async def test_users_may_what_their_records_allow(site: Site) -> None:
    ada, bob = site.token("ada"), site.token("bob")
    strange = token(algorithm="HS512", ID="user:ada")  # the edge takes it, SurrealDB does not: it names no access
    editor = Editor(1)
    assert (await site.apply(editor.type("hers"), bearer=ada))[0] == 200
    assert (await site.apply(editor.type("!"), bearer=bob))[0] == 403
    assert (await site.apply(Editor(2).type("x"), record="thread:2", bearer=ada))[0] == 403, "she sees it, no more"
    assert (await site.apply(Editor(2).type("x"), record="thread:3", bearer=ada))[0] == 403, "nor is told of it"
    assert (await site.apply(editor.type("?"), bearer=strange))[0] == 401
    assert (await site.apply(Editor(3, "secret").type("x"), field="secret", bearer=ada))[0] == 403
    like = Editor(4).changed(lambda doc: doc.get_counter("likes").increment(1))
    assert (await site.apply(like, field="likes", bearer=ada))[0] == 403, "the field has a rule of its own"
    assert (await site.apply(like, field="likes", record="thread:2", bearer=bob))[0] == 200
    assert (await site.apply(like, field="likes", record="thread:2", bearer=ada))[0] == 403
    assert (await site.read(ada))[1]["value"] == "hers"
    assert (await site.read(bob))[0] == (await site.read(ada, field="secret"))[0] == 403
    assert (await site.read(ada, record_id="thread:2"))[0] == 200
    rows, _ = await site.stored()
    assert [(row["content"], row["likes"]) for row in rows] == [("hers", 0), ("", 1)]
    await site.database.query("UPDATE thread:1 SET owner = user:bob")
    told = editor.lacks(base64.b64decode((await site.read())[1]["version"]))

    async def revoked() -> bool:
        return (await site.apply(told, bearer=ada))[0] == 403

    await eventually(revoked, 10, what="revocation")


async def test_a_client_that_writes_the_row_itself_is_merged(site: Site) -> None:
    mesh, client = Editor(1), Editor(2)
    state = _base64(client.snapshot())
    client.type("client ")
    made = "CREATE _00_crdt:theirs SET record_id = thread:1, field = 'content', state = $state"
    await site.database.query(made, {"state": _base64(client.snapshot())})

    async def content(*wanted: str) -> bool:
        text = (await site.stored())[0][0]["content"]
        return sorted(text.split()) == sorted(wanted)

    await eventually(lambda: content("client"), 10, what="the client's state in the field")
    await site.apply(mesh.type("mesh "))
    client.type("again ")  # knows nothing of "mesh"
    for state in (_base64(client.snapshot()), "garbage", ""):
        await site.database.query("UPDATE _00_crdt:theirs SET state = $state", {"state": state}, conflict_retries=9)
        await eventually(lambda: content("client", "again", "mesh"), 10, what="both in the field")

    async def all_taken() -> bool:
        return await site.database.query("SELECT * FROM _00_crdt_push") == [[]]

    await eventually(all_taken, 10)
    mesh.hear(base64.b64decode((await site.stored())[1][0]["state"]))
    assert sorted(mesh.text.split()) == ["again", "client", "mesh"]


async def test_presence_is_shown_and_forgotten(site: Site) -> None:
    def cursor(name: str, at: int) -> bytes:
        store = EphemeralStore(60_000)
        store.set(name, {"at": at})
        encoded: bytes = store.encode_all()
        return encoded

    before = (await site.stored())[0]
    assert (await site.apply(cursor("ada", 3), "_cursor_content", bearer=site.token("ada")))[0] == 200
    assert (await site.apply(cursor("bob", 4), "_cursor_content"))[0] == 200
    rows, (row,) = await site.stored()
    shown = EphemeralStore(60_000)
    shown.apply(base64.b64decode(row["state"]))
    assert shown.get_all_states() == {"ada": {"at": 3}, "bob": {"at": 4}}
    assert rows == before, "it is in no record"
    for update, status in ((b"x", 400), (cursor("c" * UPDATE_BYTES_MAX, 1), 413)):
        assert (await site.apply(update, "_cursor_content"))[0] in {status, 413}
    assert (await site.apply(cursor("x", 1), "_cursor_title"))[0] == 400
    assert (await site.apply(cursor("x", 1), "_cursor_content", bearer=site.token("bob")))[0] == 403
    assert UPDATE_BYTES_MAX < STATE_BYTES_MAX


async def test_it_is_a_service_of_grpc_as_well(site: Site) -> None:
    channel = open_channel(site.grpc)
    stub: Any = crdt_pb2_grpc.CrdtServiceStub(channel)
    place = {"table": "thread", "record_id": "thread:1", "field": "likes"}
    update = Editor(1).changed(lambda doc: doc.get_counter("likes").increment(2))
    assert (await stub.ApplyUpdate(crdt_pb2.ApplyUpdateRequest(**place, update=update))).rev == 1
    read = await stub.GetDocument(crdt_pb2.GetDocumentRequest(**place))
    assert (read.rev, read.kind, read.value_json) == (1, crdt_pb2.CRDT_KIND_COUNTER, "2")
    await channel.close()


async def test_the_token_goes_to_the_ssp_for_users_alone(ssp: Served) -> None:
    client, mesh = ssp
    assert mesh.ssp is not None
    mesh.ssp.answers["ApplyUpdate"] = crdt_pb2.ApplyUpdateResponse(rev=7)
    body = {"table": "t", "record_id": "t:1", "field": "f", "update": "eA==", "peer": "p"}
    async with client.post("/crdt/apply", json=body) as answer:
        assert (answer.status, await answer.json()) == (200, {"rev": 7})
    assert mesh.ssp.asked[-1] == crdt_pb2.ApplyUpdateRequest(**body | {"update": b"x"})


async def test_the_example_of_the_readme_runs_as_written(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "ssp" / "README.md").read_text()
    section = text[text.index("## Collaborative fields") :]
    schema, program = re.search(r"```surql\n(.*?)```", section, re.S), re.search(r"```python\n(.*?)```", section, re.S)
    assert schema is not None and program is not None
    await site.database.query("REMOVE TABLE thread; " + schema[1])
    assert "http://localhost:8667" in program[1]
    source = program[1].replace("http://localhost:8667", str(site.http._base_url))
    source = source.replace("ClientSession(", "ClientSession(headers={'Authorization': 'Bearer all'}, base_url=")

    def run() -> None:
        exec(compile(source, "README", "exec"), {"__name__": "example"})

    await asyncio.to_thread(run)
    assert capsys.readouterr().out == "{'rev': 1}\n"
    assert (await site.stored())[0][0]["content"] == "Hello, "
