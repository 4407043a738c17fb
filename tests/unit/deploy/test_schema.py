"""The system tables on the real engine: installed twice, closed to record users but for their own, indexed."""

from __future__ import annotations

from typing import Any

import pytest
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database
from sp00ky.proto.values.kinds import RecordId
from surrealdb import AsyncSurreal, SurrealError

TABLES = ("_00_query", "_00_list_ref", "_00_view", "_00_owner", "_00_probe", "_00_instance")


async def test_the_schema_may_be_applied_again(database: Database) -> None:
    await install(database)
    await database.query("UPSERT _00_owner:a SET epoch = 4")
    await install(database)
    [info, owners] = await database.query("INFO FOR DB; SELECT * FROM _00_owner")
    assert isinstance(info, dict)
    assert set(TABLES) <= set(info["tables"])  # type: ignore[arg-type]
    assert isinstance(owners, list)
    assert len(owners) == 1


async def test_edges_of_a_view_are_found_by_index(database: Database) -> None:
    await install(database)
    [plan] = await database.query("EXPLAIN SELECT id, version FROM _00_list_ref WHERE in = _00_query:a")
    assert "IndexScan" in str(plan)


@pytest.mark.parametrize("table", TABLES)
async def test_g2_a_record_user_sees_and_touches_no_system_table(
    database: Database, database_url: str, table: str
) -> None:
    await install(database)
    await database.query(
        "DEFINE TABLE user PERMISSIONS NONE;"
        "DEFINE ACCESS account ON DATABASE TYPE RECORD SIGNUP (CREATE user) SIGNIN (SELECT * FROM user);"
        "UPSERT _00_query:a; UPSERT _00_view:a; UPSERT _00_instance:a; UPSERT _00_owner:a SET epoch = 1;"
        "UPSERT _00_probe:a;"
        "INSERT RELATION INTO _00_list_ref {id: 'a', in: _00_query:a, out: t:1, version: 1}"
    )
    [[own]] = [await database.query(f"SELECT VALUE id FROM {table}")]
    assert own
    [names] = await database.query("RETURN [session::ns(), session::db()]")
    assert isinstance(names, list)
    client = AsyncSurreal(database_url)
    await client.connect()
    try:
        await client.signup({"namespace": names[0], "database": names[1], "access": "account"})
        assert await client.query(f"SELECT * FROM {table}") in ([], [[]])
        await client.query(f"DELETE {table}")
    finally:
        await client.close()
    [left] = await database.query(f"SELECT VALUE id FROM {table}")
    assert left


async def test_g2_a_record_user_sees_the_edges_of_its_own_views(database: Database, database_url: str) -> None:
    await install(database)
    await database.query(
        "DEFINE TABLE user PERMISSIONS NONE; DEFINE TABLE note PERMISSIONS FULL; CREATE note:1;"
        "DEFINE ACCESS account ON DATABASE TYPE RECORD"
        "    SIGNUP (CREATE type::record('user', $name)) SIGNIN (SELECT * FROM user);"
    )
    views: dict[str, RecordId | None] = {"none": None, "a": RecordId("user", "a"), "b": RecordId("user", "b")}
    for name, auth in views.items():
        await database.query(
            "UPSERT type::record('_00_query', $name) MERGE { auth: $whose };"
            "UPSERT type::record('_00_view', $name) CONTENT { hash: 'x', auth: $whose };"
            "INSERT RELATION INTO _00_list_ref"
            "    { id: $name, in: type::record('_00_query', $name), out: note:1, version: 1, auth: $whose };",
            {"name": name} | ({"whose": auth} if auth else {}),
        )
    [names] = await database.query("RETURN [session::ns(), session::db()]")
    client = AsyncSurreal(database_url)
    await client.connect()
    try:
        await client.use(names[0], names[1])
        assert str(await _answer(client, "SELECT * FROM _00_list_ref")) in ("[]", "refused")
        account = {"namespace": names[0], "database": names[1], "access": "account"}
        await client.signup({**account, "variables": {"name": "a"}})
        for table in ("_00_query", "_00_view", "_00_list_ref"):
            assert str(await _answer(client, f"SELECT VALUE meta::id(id) FROM {table}")) in ("['a']", "[['a']]")
            if table != "_00_query":  # his own rows are his: tests/unit/scheduler/registering
                await client.query(f"UPDATE {table} SET auth = user:a, version = 9")
                await client.query(f"DELETE {table}")
        shown = await _answer(client, "SELECT VALUE ->_00_list_ref->note.id FROM _00_query")
        assert str(shown).count("note") == 1
    finally:
        await client.close()
    [kept] = await database.query("SELECT VALUE [meta::id(id), version] FROM _00_list_ref ORDER BY id")
    assert kept == [["a", 1], ["b", 1], ["none", 1]]


async def _answer(client: Any, surql: str) -> object:
    try:
        return await client.query(surql)
    except SurrealError:
        return "refused"
