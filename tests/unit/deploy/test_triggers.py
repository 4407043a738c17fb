"""The events of `SPKY_CAPTURE=events` on the real engine. It has no http: what would be posted is recorded by a
function in the place of `http::post`, and posted here, to the real gateway over a real scheduler."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from sp00ky.deploy.surreal.definitions import Part
from sp00ky.deploy.surreal.install import bring_to, install, parts, read_installed
from sp00ky.deploy.surreal.triggers import VERSION_MAX, UserTable, events_part, secret_of, user_tables
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from surrealdb import AsyncSurreal, SurrealError

from tests.conftest import FreshDatabase
from tests.harness.eventually import eventually
from tests.harness.scheduler import Scheduler

HOSTILE = ("we`ird ⟩'\"\\; DROP", "sel\nect", "⟨a⟩", "select", "1st", "naïve 🙂", "${x}", "a.b", "-- x", "$after")
INSPECTING = (
    *("INFO FOR DB", "INFO FOR DB STRUCTURE", "INFO FOR NS", "INFO FOR ROOT", "RETURN (INFO FOR TABLE note).events"),
    *("INFO FOR TABLE note", "INFO FOR TABLE note STRUCTURE", "SHOW CHANGES FOR DATABASE SINCE 1"),
    "SHOW CHANGES FOR TABLE _00_migrations SINCE 1",
)
FORMER = ("sp00ky_endpoint", "sp00ky_secret")
PROTECTED = {"auth", "access", "token", "session"}  # LET refuses them
HOSTILE_VALUES = (
    "'http://evil'",
    "{ id: note:5, version: 9223372036854775807 }",
    "{ id: note:5, version: 40 }",
    "NONE",
)
RECORDED = """
DEFINE TABLE posted PERMISSIONS NONE;
DEFINE FUNCTION fn::recorded($url: string, $body: object, $headers: object) {
    CREATE posted SET url = $url, text = encoding::json::encode($body), bearer = $headers.Authorization RETURN NONE
};
"""


async def recording(database: Database, secret: str = "") -> None:
    """Every table that is there now records what it would post."""
    tables = await user_tables(database)
    await database.query(RECORDED)
    part = events_part(tables, "http://mesh:9667", secret)
    made = [replace(each, text=each.text.replace("http::post(", "fn::recorded(")) for each in part.definitions]
    await bring_to(database, (*parts(), Part(part.name, part.version, tuple(made))))


async def posted(database: Database, secret: str = "") -> list[dict[str, Any]]:
    """What was posted since it was last asked, all of it to the mesh, with its secret."""
    [rows] = await database.query("DELETE posted RETURN BEFORE")
    assert isinstance(rows, list)
    assert all(row["bearer"] == f"Bearer {secret}" for row in rows)  # type: ignore[index,call-overload]
    assert all(row["url"] == "http://mesh:9667/ingest" for row in rows)  # type: ignore[index,call-overload]
    return [json.loads(row["text"]) for row in rows]  # type: ignore[index,call-overload,arg-type]


async def test_the_payload_is_the_documented_one(database: Database) -> None:
    await database.query(
        "DEFINE TABLE person SCHEMALESS; DEFINE FIELD name ON person TYPE string; DEFINE FIELD at ON person TYPE"
        " option<datetime>; DEFINE FIELD boss ON person TYPE option<record<person>>; DEFINE FIELD tags ON person TYPE"
        " option<array<record>>; DEFINE FIELD address ON person TYPE option<object>; DEFINE FIELD address.zip ON person"
        " TYPE option<string>; DEFINE FIELD born ON person TYPE string | datetime;"
    )
    await recording(database)
    await database.query("CREATE person:a SET name = 'a', born = 'x', at = d'2024-01-02T03:04:05Z', more = 1")
    record: dict[str, Any] = {
        "id": "person:a",
        "address": None,
        "at": "2024-01-02T03:04:05Z",
        "born": "x",
        "boss": "",
        "name": "a",
        "tags": None,
        "_00_rv": 1,
    }
    [created] = await posted(database)
    assert created == {"table": "person", "op": "CREATE", "id": "person:a", "record": record, "hash": ""}
    assert list(created["record"]) == sorted(created["record"])
    await database.query("UPDATE person:a SET name = 'b', boss = person:`x y`, at = NONE, tags = [person:1]")
    [updated] = await posted(database)
    assert updated["op"] == "UPDATE"
    assert updated["record"] == record | {
        "name": "b",
        "boss": "person:`x y`",
        "at": "",
        "tags": ["person:1"],
        "_00_rv": 2,
    }
    await database.query("UPDATE person:a SET name = 'b'")
    assert await posted(database) == []
    await database.query("LET $sp00ky_target_version = { id: person:a, version: 40 }; UPDATE person:a SET name = 'c'")
    await database.query("UPDATE person:a SET name = 'd'")
    assert [each["record"]["_00_rv"] for each in await posted(database)] in ([40, 41], [41, 40])
    await database.query("DELETE person:a")
    [gone] = await posted(database)
    assert gone["op"] == "DELETE" and gone["record"]["name"] == "d" and "_00_rv" not in gone["record"]
    await database.query("CREATE person:a SET name = 'a', born = 'x'")
    assert [each["record"]["_00_rv"] for each in await posted(database)] == [1]
    [versions] = await database.query("SELECT VALUE [record_id, version] FROM _00_version")
    assert str(versions) == "[[RecordId(table='person', key='a'), 1]]"


async def test_a_record_that_is_older_than_the_events_gets_a_version(database: Database) -> None:
    await database.query("DEFINE TABLE person; CREATE person:a SET n = 1")
    await recording(database)
    await database.query("UPDATE person:a SET n = 2; UPDATE person:a SET n = 3")
    assert sorted(each["record"]["_00_rv"] for each in await posted(database)) == [1, 2]


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_name_is_taken_for_a_statement(database: Database, name: str) -> None:
    table, field = escape_ident(name), escape_ident(f"f{name}")
    await database.query(f"DEFINE TABLE {table}; DEFINE FIELD {field} ON {table} TYPE option<datetime>")
    await recording(database)
    await database.query(f"CREATE type::record($table, $key) SET {field} = time::now()", {"table": name, "key": name})
    [created] = await posted(database)
    assert created["table"] == name and set(created["record"]) == {"id", f"f{name}", "_00_rv"}
    await database.query("DELETE type::record($table, $key)", {"table": name, "key": name})
    assert [each["op"] for each in await posted(database)] == ["DELETE"]
    assert (await bring_to(database, parts())).due == ()


async def test_the_events_are_stored_and_without_http_they_say_so(database: Database) -> None:
    await database.query("DEFINE TABLE person; DEFINE TABLE knows TYPE RELATION")
    wanted = (*parts(), events_part(await user_tables(database), "http://mesh:9667", "it's"))
    await bring_to(database, wanted)
    found = (await read_installed(database, wanted)).found
    for table in ("person", "knows"):
        shown = found[f"EVENT _00_{table}_mutation ON {table}"]
        assert "http::post('http://mesh:9667/ingest'" in shown and secret_of(shown) == "it's"
    with pytest.raises(QueryError, match="HTTP"):
        await database.query("CREATE person:1")


async def test_a_record_user_posts_with_a_secret_he_cannot_read(
    fresh_database: FreshDatabase, database_url: str
) -> None:
    database = await fresh_database()
    await database.query(
        "DEFINE TABLE user; DEFINE TABLE note PERMISSIONS FULL; DEFINE ACCESS account ON DATABASE TYPE RECORD SIGNUP"
        " (CREATE user)"
    )
    await recording(database, "very secret")
    client = AsyncSurreal(database_url)
    await client.connect()
    try:
        await client.signup({"namespace": database.namespace, "database": database.database, "access": "account"})
        await client.query("CREATE note:1")
        for statement in INSPECTING:
            with pytest.raises(SurrealError):
                await client.query(statement)
        for table in ("_00_version", "_00_migrations", "posted"):
            assert await client.query(f"SELECT * FROM {table}") in ([], [[]])
        assert "NONE" in str(await client.query("RETURN <string> [_00_migrations:['events', 1].definitions]"))
    finally:
        await client.close()
    [bearers] = await database.query("SELECT VALUE bearer FROM posted")
    assert set(bearers) == {"Bearer very secret"}  # type: ignore[arg-type]


async def test_what_a_writer_lets_changes_nothing_and_reaches_nobody(
    fresh_database: FreshDatabase, database_url: str
) -> None:
    database = await fresh_database()
    await database.query(
        "DEFINE TABLE user; DEFINE TABLE note PERMISSIONS FULL; DEFINE FIELD n ON note TYPE int; DEFINE ACCESS account"
        " ON DATABASE TYPE RECORD SIGNUP (CREATE user)"
    )
    await recording(database, "very secret")
    [events] = await database.query("RETURN <string> (INFO FOR TABLE note).events")
    names = {*re.findall(r"\$(\w+)", str(events)), *FORMER, "value", "input", "this", "parent"}
    assert {"record", "version", "counted", "before", "after", "event", "auth", "sp00ky_target_version"} <= names
    client = AsyncSurreal(database_url)
    await client.connect()
    try:
        await client.signup({"namespace": database.namespace, "database": database.database, "access": "account"})
        writes = "CREATE note:5 SET n = 1; UPDATE note:5 SET n = 2; DELETE note:5"
        assert len(await posted(database, "very secret")) == 1  # of the user himself
        for name in sorted(names - PROTECTED):
            for value in HOSTILE_VALUES:
                for written in (f"LET ${name} = {value}; {writes}", f"{{ LET ${name} = {value}; {writes} }}"):
                    await client.query(written)
                    bodies = {each.pop("op"): each for each in await posted(database, "very secret")}
                    assert {op: each["record"] for op, each in bodies.items()} == {
                        "CREATE": {"id": "note:5", "n": 1, "_00_rv": 1},
                        "UPDATE": {"id": "note:5", "n": 2, "_00_rv": 2},
                        "DELETE": {"id": "note:5", "n": 2},
                    }, written
                    assert all((each["table"], each["id"]) == ("note", "note:5") for each in bodies.values())
        for name in PROTECTED:
            with pytest.raises(SurrealError, match="protected"):
                await client.query(f"LET ${name} = 'http://evil'")
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("version", "heeded"),
    [("1", True), ("9007199254740992", True), ("9007199254740993", False), ("9223372036854775807", False)]
    + [(each, False) for each in ("0", "-1", "1.5", "'7'", "NONE", "[9]", "{ a: 1 }")],
)
async def test_a_system_user_says_a_version_and_none_breaks_the_record(
    database: Database, version: str, heeded: bool
) -> None:
    await database.query("DEFINE TABLE note; CREATE note:5 SET n = 0")
    await recording(database)
    await database.query(f"LET $sp00ky_target_version = {{ id: note:5, version: {version} }}; UPDATE note:5 SET n = 1")
    [first] = [each["record"]["_00_rv"] for each in await posted(database)]
    assert first == (int(version) if heeded else 1)
    await database.query("UPDATE note:5 SET n = 2")
    [second] = [each["record"]["_00_rv"] for each in await posted(database)]
    assert second == min(first + 1, VERSION_MAX)
    await database.query("UPDATE _00_version SET version = 9223372036854775807; UPDATE note:5 SET n = 3")
    [third] = [each["record"]["_00_rv"] for each in await posted(database)]
    assert third == VERSION_MAX  # also what was broken before goes on


@pytest.mark.parametrize("secret", ["", "shared secret"])
async def test_the_gateway_takes_exactly_these_requests_as_hints(database: Database, secret: str) -> None:
    names = ["person", *HOSTILE]
    await install(database)
    for name in names:
        await database.query(
            f"DEFINE TABLE {escape_ident(name)}; DEFINE FIELD n ON {escape_ident(name)} TYPE option<int>"
        )
    await database.query("DEFINE TABLE knows TYPE RELATION")
    await recording(database, secret)
    for name in names:
        ids = {"a": [name, "k"], "b": [name, name], "c": [name, 1], "d": [name, ["x", 1, {"y": None}]]}
        for field, (table, key) in ids.items():
            id_ = {"t": table, "k": key}
            await database.query(
                f"CREATE type::record($t, $k) SET n = 1, {field} = 1; UPDATE type::record($t, $k) SET n = 2", id_
            )
    await database.query("RELATE person:k->knows->person:1; DELETE person:k")
    [rows] = await database.query("DELETE posted RETURN BEFORE")
    assert isinstance(rows, list)
    assert len(rows) == len(names) * 8 + 3  # the relation goes with its person
    async with Scheduler(MemoryDatastore(), database) as scheduler:
        settings = GatewaySettings.model_validate({"listen_addr": "127.0.0.1:0", "auth_secret": secret})
        server = GatewayServer(settings, "scheduler", scheduler.address)
        url = await server.start()
        try:
            await eventually(lambda: scheduler.driver.state == "ready", 20, what="cloned")
            async with aiohttp.ClientSession(url) as session:
                for row in rows:
                    headers = {"Authorization": row["bearer"], "Content-Type": "application/json"}  # type: ignore[index,call-overload]
                    async with session.post("/ingest", data=row["text"], headers=headers) as response:  # type: ignore[index,call-overload]
                        body = await response.json()
                        assert (response.status, body.get("hints")) == (200, 1), (row, body)
        finally:
            await server.stop()


def test_a_kind_decides_what_is_posted_as_text() -> None:
    kinds = {
        "a": "none | record<x | y>",
        "b": "array<datetime>",
        "c": "datetime | record",
        "d": "string | datetime",
        "e": "none",
        "f": "any",
        "g": "'datetime' | datetime",
    }
    [_, _, mutation, _] = events_part([UserTable("t", kinds)], "", "").definitions
    assert {name for name in kinds if f"'{name}': <string>" in mutation.text} == {"a", "c"}
