"""`spky deploy` on the real engine: the plan changes nothing, what is done is the plan, and is done once."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from uuid import uuid4

import pytest
from sp00ky.deploy.cli import app
from sp00ky.deploy.environment import load_service
from sp00ky.deploy.surreal.definitions import read_part
from sp00ky.deploy.surreal.deployment import Wanted, deploy, planned, say_place
from sp00ky.deploy.surreal.install import bring_to
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId
from sp00ky.scheduler.config import SchedulerSettings
from surrealdb import AsyncSurreal
from typer.testing import CliRunner

from tests.conftest import DB_PASS, DB_USER, FreshDatabase


@pytest.fixture
def place(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace that is not there; the environment names it."""
    name = f"deploy_{uuid4().hex}"
    stated = {"DB_WS": database_url, "DB_USER": DB_USER, "DB_PASS": DB_PASS, "DB_NS": name, "DB_NAME": "main"}
    for field, value in stated.items():
        monkeypatch.setenv(f"SPKY_{field}", value)
    monkeypatch.delenv("SPKY_CAPTURE", raising=False)
    return name


async def run(*words: str) -> tuple[int, str]:
    """In a thread, as the command has an event loop of its own."""
    import asyncio

    result = await asyncio.to_thread(CliRunner().invoke, app, ["deploy", *words])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.exit_code, result.output


async def steps(*words: str) -> dict[str, str]:
    """Of every change, what is done."""
    code, output = await run(*words, "--json")
    assert code == 0
    told = json.loads(output)
    return {step["what"]: step["action"] for step in told["steps"] if step["action"] != "keep"}


async def namespaces(server: Database) -> Any:
    info: Any = (await server.query("INFO FOR ROOT"))[0]
    return info["namespaces"]


async def test_a_plan_for_what_is_not_there_makes_nothing_and_is_what_is_done(place: str, database: Database) -> None:
    plan = await steps("--dry-run")
    assert place not in await namespaces(database)
    assert (
        plan[f"NAMESPACE {place}"] == plan["DATABASE main"] == plan["changefeed"] == plan["TABLE _00_query"] == "create"
    )
    assert await steps() == plan
    assert await steps() == await steps("--dry-run") == {}
    assert (await run("--dry-run"))[1].startswith("nothing to do: all ")
    definition: Any = (await database.query(f"USE NS {place}; INFO FOR NS"))[1]
    assert "CHANGEFEED 1d INCLUDE ORIGINAL" in definition["databases"]["main"]


async def test_a_database_that_a_service_would_make_is_warned_of_and_one_that_is_there_is_told(
    place: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sp00ky.deploy.surreal.deployment")
    settings = load_service(SchedulerSettings, {}, None).settings
    await say_place(settings)
    assert place not in await namespaces(database), "to look makes nothing"
    await run()
    await say_place(settings)
    [made, there] = caplog.records
    assert made.levelname == "WARNING" and f"database {place}/main did not exist" in made.message
    assert "SPKY_DB_NS, SPKY_DB_NAME" in made.message
    assert there.levelname == "INFO" and there.message.startswith(f"namespace {place}, database main of")


async def test_data_and_definitions_of_the_user_are_as_they_were(place: str, fresh_database: FreshDatabase) -> None:
    database = await fresh_database(place)
    await database.query(
        "DEFINE TABLE person SCHEMAFULL PERMISSIONS FOR select FULL CHANGEFEED 1h; DEFINE FIELD n ON person TYPE int;"
        "DEFINE INDEX i ON person FIELDS n; DEFINE EVENT mine ON person WHEN true THEN { RETURN 1 };"
        "DEFINE PARAM $mine VALUE 1; DEFINE FUNCTION fn::mine() { RETURN 1 }; CREATE person:1 SET n = 1"
    )
    own = "INFO FOR TABLE person; SELECT * FROM person; (INFO FOR DB).tables.person; (INFO FOR DB).params.mine"
    before = await database.query(own)
    for words in ((), ("--events",), ("--no-events",), ()):
        await steps(*words)
        if words != ("--events",):
            assert await database.query(own) == before


async def test_a_feed_that_lost_its_originals_gets_them(place: str, fresh_database: FreshDatabase) -> None:
    database = await fresh_database(place)
    await steps()
    await database.query("DEFINE DATABASE OVERWRITE main CHANGEFEED 3d COMMENT 'x'")
    assert await steps("--dry-run") == {"changefeed": "upgrade"}
    assert await steps() == {"changefeed": "upgrade"}
    info: Any = (await database.query("INFO FOR NS"))[0]
    assert "CHANGEFEED 3d INCLUDE ORIGINAL" in info["databases"]["main"] and "COMMENT 'x'" in info["databases"]["main"]


async def test_events_follow_the_schema_and_go_again(place: str, fresh_database: FreshDatabase) -> None:
    database = await fresh_database(place)
    await database.query(
        "DEFINE TABLE person; DEFINE FIELD n ON person TYPE int; DEFINE TABLE knows TYPE RELATION;"
        "DEFINE TABLE counted AS SELECT count() FROM person GROUP ALL"
    )
    made = await steps("--events", "--endpoint", "http://mesh:1/")
    of_tables = {
        f"EVENT _00_{table}_{what} ON {table}" for table in ("person", "knows") for what in ("mutation", "delete")
    }
    assert {what for what in made if what.startswith(("EVENT _00_", "PARAM"))} - {
        "EVENT _00_crdt_pushed ON _00_crdt"
    } >= {
        *of_tables,
        "PARAM sp00ky_endpoint",
    }
    assert not any("counted" in what for what in made)
    assert await steps("--events") == await steps() == {}  # and they stay where nothing is said of them
    await database.query("DEFINE TABLE later; DEFINE FIELD s ON person TYPE string; REMOVE FIELD n ON person")
    assert await steps() == {
        "EVENT _00_later_mutation ON later": "create",
        "EVENT _00_later_delete ON later": "create",
        "EVENT _00_person_mutation ON person": "upgrade",
        "EVENT _00_person_delete ON person": "upgrade",
    }
    assert set((await steps("--no-events")).values()) == {"remove"}
    [left] = await database.query("RETURN [(INFO FOR DB).params, (INFO FOR TABLE person).events]")
    assert left == [{}, {}]
    assert await steps("--no-events") == await steps() == {}


async def test_the_setting_asks_for_events_too_and_the_secret_is_never_shown(
    place: str, monkeypatch: pytest.MonkeyPatch, fresh_database: FreshDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("SPKY_CAPTURE", "events")
    monkeypatch.setenv("SPKY_AUTH_SECRET", "very secret")
    code, output = await run("--dry-run", "--json")
    assert code == 0 and "PARAM sp00ky_endpoint" in output and "http://localhost:9667" in output
    assert "very secret" not in output
    assert "very secret" not in (await run())[1]
    database = await fresh_database(place)
    await database.query("DEFINE TABLE person; DEFINE PARAM $sp00ky_secret VALUE 'very secret' PERMISSIONS NONE")
    shown = [await run("--dry-run", "--json"), await run("--json")]
    assert "Authorization: '…'" in shown[0][1] and '"PARAM sp00ky_secret"' in shown[0][1]
    [params] = await database.query("RETURN object::keys((INFO FOR DB).params)")
    assert params == ["sp00ky_endpoint"]
    events = dict.fromkeys(("EVENT _00_person_mutation ON person", "EVENT _00_person_delete ON person"), "upgrade")
    monkeypatch.setenv("SPKY_AUTH_SECRET", "very secret too")
    assert await steps("--dry-run") == events
    altered = "DEFINE EVENT OVERWRITE _00_person_delete ON person WHEN true THEN { RETURN 'very secret' }"
    await database.query(altered)
    shown += [await run("--dry-run"), await run("--dry-run", "--json"), await run("--json")]
    assert "altered by hand" in shown[2][1]
    assert await steps("--endpoint", "http://other:1") == events | {"PARAM sp00ky_endpoint": "upgrade"}
    await database.query(altered)
    shown += [await run("--dry-run"), await run("--no-events", "--dry-run", "--json"), await run("--no-events")]
    assert all(code == 0 and "very secret" not in output for code, output in shown)
    assert "very secret" not in caplog.text


async def test_the_mesh_itself_accepts_what_deploy_left(place: str, fresh_database: FreshDatabase) -> None:
    from sp00ky.deploy.surreal.install import install

    database = await fresh_database(place)
    await database.query("DEFINE TABLE person")
    await steps("--events")
    await install(database)
    assert await steps("--dry-run") == {}


async def test_what_cannot_be_is_one_fault(place: str, fresh_database: FreshDatabase) -> None:
    with pytest.raises(Fault) as caught:
        await run("--endpoint", "mesh:9667")
    assert caught.value.code is Code.INVALID
    with pytest.raises(Fault) as caught:
        await run("--pass", "wrong")
    assert caught.value.code is Code.UNAUTHENTICATED
    with pytest.raises(Fault) as caught:
        await run("--db", "127.0.0.1:1")
    assert caught.value.code is Code.UNAVAILABLE
    database = await fresh_database(place)
    await bring_to(database, [read_part("views", 999, "DEFINE TABLE IF NOT EXISTS _00_query")])
    with pytest.raises(Fault) as caught:
        await run("--dry-run")
    assert caught.value.code is Code.CONFLICT and "newer version" in caught.value.message


async def test_a_run_that_died_anywhere_is_finished_by_the_next(
    database_url: str, fresh_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies once the database has carried out its n-th change, for every n: whatever else it asks changes nothing."""
    sent = Database._call
    ends: list[Any] = []
    died = True
    while died:
        place = {"db_ws": database_url, "db_user": DB_USER, "db_pass": DB_PASS, "db_ns": f"died_{uuid4().hex}"}
        settings = SchedulerSettings.model_validate({**place, "db_name": "main"})
        changes = 0

        async def dying(self: Database, socket: Any, method: str, params: Any) -> Any:
            nonlocal changes
            answer = await sent(self, socket, method, params)
            if method == "query" and "DEFINE " in params[0]:
                changes += 1
                if changes > len(ends):
                    raise Died
            return answer

        monkeypatch.setattr(Database, "_call", dying)
        with contextlib.suppress(Died):
            await deploy(settings, Wanted(events=True))
            died = False
        monkeypatch.setattr(Database, "_call", sent)
        await deploy(settings, Wanted(events=True))
        assert {step.action for step in await planned(settings, Wanted())} == {"keep"}
        ends.append(await shape(await fresh_database(settings.db_ns)))
    assert len(ends) == 5 and all(end == ends[-1] for end in ends)  # namespace, database, definitions, feed; none


class Died(Exception):
    pass


async def shape(database: Database) -> Any:
    """Everything that is there, but for when it came to be."""
    [info, space, rows] = await database.query(
        "INFO FOR DB; (INFO FOR NS).databases; SELECT version, name, checksum, definitions FROM _00_migrations"
        " WHERE name != 'stamp' ORDER BY version"
    )
    return info, space, rows


async def test_older_names_register_views_and_show_their_edges(
    place: str, fresh_database: FreshDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPKY_SSP_REF_MODE", "single")
    database = await fresh_database(place)
    made = await steps("--legacy-names")
    assert made["TABLE _spooky_query"] == made["TABLE _spooky_list_ref"] == "create"
    assert await steps() == await steps("--legacy-names") == {}
    await database.query(
        "DEFINE TABLE user; DEFINE TABLE note PERMISSIONS FULL; CREATE note:1;"
        "DEFINE ACCESS account ON DATABASE TYPE RECORD SIGNUP (CREATE type::record('user', $name))"
    )
    query = "_spooky_query:abc SET surql = 'SELECT * FROM note', clientId = $client, ttl = '10m'"
    edges = "SELECT VALUE [out, version] FROM _spooky_list_ref WHERE in = _spooky_query:abc"
    clients = {}
    for name in ("ann", "bob"):
        client = clients[name] = AsyncSurreal(database_url)
        await client.connect()
        await client.signup({"namespace": place, "database": "main", "access": "account", "variables": {"name": name}})
        await client.query(f"CREATE {query}", {"client": name})
    try:
        [views] = await database.query("SELECT VALUE [id.id(), surql, <string> ttl] FROM _00_query ORDER BY id")
        users = [RecordId("user", name) for name in ("ann", "bob")]
        assert views == [[["abc", user], "SELECT * FROM note", "10m"] for user in users]
        await clients["ann"].query(f"UPSERT {query}", {"client": "ann's other"})
        await clients["ann"].query("UPSERT _spooky_query:abc SET clientId = 'ann'")
        for nothing in (
            "UPDATE _spooky_query:abc SET surql = 'x'",
            "DELETE _spooky_query",
            "SELECT * FROM _spooky_query",
        ):
            assert await clients["ann"].query(nothing) in ([], [[]])
        held = "SELECT VALUE subscribers.id FROM _00_query WHERE auth = user:ann"
        assert await database.query(held) == [[["ann", "ann's other"]]]
        edge = "INSERT RELATION INTO _00_list_ref { id: 'e', in: $in, out: note:1, version: 1, auth: user:ann }"
        await database.query(edge, {"in": RecordId("_00_query", ["abc", users[0]])})
        await database.query("UPDATE _00_list_ref:e SET version = 7")
        assert str(await clients["ann"].query(edges)).count("7") == 1
        assert await clients["bob"].query(edges) in ([], [[]])
        await database.query("DELETE note:1")
        assert await database.query("SELECT * FROM _spooky_list_ref") == [[]]
    finally:
        for client in clients.values():
            await client.close()
    assert set((await steps("--no-legacy-names")).values()) == {"remove"}
    assert await steps() == {}


async def test_older_names_are_refused_where_edges_are_not_in_one_table(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPKY_SSP_REF_MODE", "dedicated")
    with pytest.raises(Fault) as caught:
        await run("--legacy-names")
    assert caught.value.code is Code.INVALID and "SPKY_SSP_REF_MODE=single" in caught.value.hint
