"""What is installed in SurrealDB, on the real engine: versions, upgrades, races, deaths, and what is never touched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sp00ky.deploy.surreal import install as installing
from sp00ky.deploy.surreal.definitions import Part, permissions_of, read_part
from sp00ky.deploy.surreal.install import bring_to, install, parts, plan_of, read_installed
from sp00ky.deploy.surreal.steps import Action
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault

from tests.conftest import FreshDatabase

OLD = """
DEFINE TABLE IF NOT EXISTS _00_x SCHEMALESS PERMISSIONS NONE;
DEFINE FIELD IF NOT EXISTS n ON _00_x TYPE int; -- a number
DEFINE FIELD IF NOT EXISTS old ON TABLE _00_x TYPE option<string>;
DEFINE INDEX IF NOT EXISTS by_n ON _00_x FIELDS n;
DEFINE FUNCTION IF NOT EXISTS fn::mesh::one($a: int) { LET $b = $a; RETURN $b + 1; };
DEFINE PARAM IF NOT EXISTS $mesh_p VALUE 'a' PERMISSIONS NONE;
DEFINE EVENT IF NOT EXISTS seen ON _00_x WHEN $event = 'CREATE' THEN { UPDATE _00_x:0 SET n = 1; };
"""
NEW = """
DEFINE TABLE IF NOT EXISTS _00_x SCHEMALESS PERMISSIONS FOR select FULL FOR create, update, delete NONE;
DEFINE FIELD IF NOT EXISTS n ON _00_x TYPE int;
REMOVE FIELD IF EXISTS old ON _00_x;
DEFINE INDEX IF NOT EXISTS by_n ON _00_x FIELDS n;
DEFINE FUNCTION IF NOT EXISTS fn::mesh::one($a: int) { RETURN $a + 2 };
DEFINE PARAM IF NOT EXISTS $mesh_p VALUE 'b' PERMISSIONS NONE;
DEFINE EVENT IF NOT EXISTS seen ON _00_x WHEN $event = 'DELETE' THEN { UPDATE _00_x:0 SET n = 2 };
"""


def with_x(source: str, version: int = 1) -> tuple[Part, ...]:
    return (*parts(), read_part("x", version, source))


async def changes(database: Database, wanted: tuple[Part, ...]) -> list[tuple[str, str]]:
    plan = plan_of(wanted, await read_installed(database))
    return [(step.action, step.what) for step in plan.steps if step.action is not Action.KEEP]


async def everything(database: Database) -> list[Any]:
    """What INFO and SELECT say of the whole database."""
    info: Any = (await database.query("INFO FOR DB"))[0]
    names = sorted(info["tables"])
    rest = [f"INFO FOR TABLE `{name}`; SELECT * FROM `{name}`" for name in names]
    return [info, *(await database.query(";".join(rest)) if rest else [])]


async def test_a_second_install_finds_nothing_to_do(database: Database) -> None:
    assert {action for action, _ in await changes(database, parts())} == {"create"}
    done = await bring_to(database, parts())
    assert len(done.due) == len(parts())
    before = await everything(database)
    again = await bring_to(database, parts())
    assert again.due == () and {step.action for step in again.steps} == {Action.KEEP}
    assert {step.note for step in again.steps} == {""}
    assert await everything(database) == before
    [rows] = await database.query("SELECT version, name, checksum FROM _00_migrations WHERE name != 'stamp'")
    assert isinstance(rows, list)
    assert {tuple(row.values()) for row in rows} == {(p.checksum, p.name, p.label) for p in parts()}  # type: ignore[union-attr]


async def test_a_changed_definition_is_upgraded_and_it_alone(database: Database) -> None:
    await bring_to(database, with_x(OLD))
    await database.query("CREATE _00_x:0 SET n = 0, old = 'kept'; CREATE _00_x:1 SET n = 5")
    assert await changes(
        database, with_x(OLD.replace(" -- a number", "").replace("; }", " }; ").replace("\n", " \n"))
    ) == [
        ("upgrade", "FUNCTION mesh::one"),
        ("upgrade", "EVENT seen ON _00_x"),
    ]
    wanted = with_x(NEW, 2)
    assert await changes(database, wanted) == [
        ("upgrade", "TABLE _00_x"),
        ("remove", "FIELD old ON _00_x"),
        ("upgrade", "FUNCTION mesh::one"),
        ("upgrade", "PARAM mesh_p"),
        ("upgrade", "EVENT seen ON _00_x"),
    ]
    await bring_to(database, wanted)
    assert await changes(database, wanted) == []
    answers = await database.query(
        "RETURN [fn::mesh::one(1), $mesh_p]; SELECT VALUE n FROM _00_x ORDER BY n; SELECT VALUE old FROM ONLY _00_x:0"
    )
    assert answers == [[3, "b"], [1, 5], "kept"]
    [versions] = await database.query("SELECT VALUE version FROM _00_migrations WHERE name = 'x' ORDER BY version")
    assert versions == ["mesh/x/1", "mesh/x/2"]


async def test_a_newer_database_is_refused_and_left_alone(database: Database) -> None:
    await bring_to(database, with_x(NEW, 2))
    before = await everything(database)
    for wanted in (with_x(OLD, 1), parts()):
        with pytest.raises(Fault) as caught:
            await bring_to(database, wanted)
        assert caught.value.code is Code.CONFLICT
        assert "newer version of the mesh is installed" in caught.value.message
    assert await everything(database) == before


async def test_what_was_there_before_the_ledger_is_taken_over(database: Database) -> None:
    await database.query(OLD.replace("TYPE int", "TYPE any").replace("FIELDS n;", "FIELDS n, old;"))
    await database.query("CREATE _00_x:0 SET n = 7")
    await bring_to(database, with_x(OLD))
    found = (await read_installed(database)).found
    assert found["FIELD n ON _00_x"].startswith("DEFINE FIELD n ON _00_x TYPE int")
    assert "FIELDS n, old" in found["INDEX by_n ON _00_x"]  # reading every row again is not done unasked
    assert await changes(database, with_x(OLD)) == []


async def test_what_an_operator_altered_stays_and_is_told(database: Database) -> None:
    await bring_to(database, with_x(OLD))
    rule = "FOR select WHERE record_id.owner = $auth.id, FOR create, update, delete NONE"
    await database.query(f"ALTER TABLE _00_crdt PERMISSIONS {rule}; ALTER TABLE _00_x PERMISSIONS FULL")
    plan = await bring_to(database, with_x(OLD))
    told = {step.what: step.note for step in plan.steps if step.note}
    assert set(told) == {"TABLE _00_crdt", "TABLE _00_x"}
    assert all(note.startswith("altered by hand: DEFINE TABLE") for note in told.values())
    collaborative = next(part for part in parts() if part.name == "collaborative")
    table = collaborative.definitions[0]
    changed = read_part("collaborative", 1, table.text.replace("'collaborative fields'", "'another'"))
    plan = await bring_to(database, (*[part for part in parts() if part != collaborative], changed, with_x(NEW)[-1]))
    told = {step.what: step.note for step in plan.steps if step.note and step.action is Action.UPGRADE}
    assert told["TABLE _00_crdt"] == f"its permissions are kept: {rule}"
    assert told["TABLE _00_x"].startswith("replaces what was altered by hand: DEFINE TABLE _00_x")
    found = (await read_installed(database)).found
    assert permissions_of(found["TABLE _00_crdt"]) == rule and "another" in found["TABLE _00_crdt"]
    assert permissions_of(found["TABLE _00_x"]) == "FOR select FULL, FOR create, update, delete NONE"


async def test_what_somebody_removed_is_put_back(database: Database) -> None:
    await bring_to(database, with_x(OLD))
    await database.query("REMOVE FIELD n ON _00_x; REMOVE TABLE _00_probe")
    plan = await bring_to(database, with_x(OLD))
    made = {step.what: step.note for step in plan.steps if step.action is Action.CREATE}
    assert made == {"FIELD n ON _00_x": "somebody removed it", "TABLE _00_probe": "somebody removed it"}
    assert await changes(database, with_x(OLD)) == []


async def test_many_at_once_end_as_one_would(fresh_database: FreshDatabase) -> None:
    first = await fresh_database()
    others = [await fresh_database(first.namespace, first.database) for _ in range(5)]
    await asyncio.gather(*(install(one) for one in (first, *others)))
    await asyncio.gather(*(bring_to(one, with_x(NEW if number % 2 else OLD)) for number, one in enumerate(others)))
    wanted = with_x(NEW, 2)
    done = await asyncio.gather(*(bring_to(one, wanted) for one in others))
    assert [bool(plan.due) for plan in done].count(True) == 1
    assert await changes(first, wanted) == []


async def test_an_older_program_that_decided_earlier_is_stopped_by_the_stamp(
    fresh_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = await fresh_database()
    newer = await fresh_database(older.namespace, older.database)
    await bring_to(older, with_x(OLD, 1))
    read = read_installed

    async def overtaken(database: Database, wanted: Sequence[Part]) -> installing.Installed:
        installed = await read(database, wanted)
        if database is older:
            monkeypatch.setattr(installing, "read_installed", read)
            await bring_to(newer, with_x(NEW, 2))
        return installed

    monkeypatch.setattr(installing, "read_installed", overtaken)
    with pytest.raises(Fault) as caught:
        await bring_to(older, with_x(OLD + "DEFINE TABLE IF NOT EXISTS _00_y;", 1))
    assert caught.value.code is Code.CONFLICT
    assert await changes(newer, with_x(NEW, 2)) == []


async def test_a_statement_that_is_refused_leaves_nothing(database: Database) -> None:
    await database.query("CREATE t:1 SET n = 1; CREATE t:2 SET n = 1")
    before = await everything(database)
    broken = "DEFINE TABLE IF NOT EXISTS _00_x; DEFINE INDEX IF NOT EXISTS a ON t FIELDS n UNIQUE;"
    with pytest.raises(QueryError):
        await bring_to(database, with_x(broken))
    assert await everything(database) == before


async def test_rows_of_other_tools_in_the_ledger_stay(database: Database) -> None:
    await database.query(
        "DEFINE TABLE _00_migrations SCHEMAFULL; DEFINE FIELD version ON _00_migrations TYPE string;"
        "DEFINE FIELD name ON _00_migrations TYPE string; DEFINE FIELD checksum ON _00_migrations TYPE string;"
        "CREATE _00_migrations:a SET version = '20250101', name = 'init', checksum = 'c'"
    )
    await install(database)
    [row] = await database.query("SELECT version, name, checksum FROM ONLY _00_migrations:a")
    assert row == {"version": "20250101", "name": "init", "checksum": "c"}
    assert await changes(database, parts()) == []


@pytest.mark.parametrize(
    "statement",
    [
        *("CREATE a", "DEFINE TABLE a", "DEFINE TABLE OVERWRITE a", "REMOVE TABLE IF EXISTS a", "REMOVE FIELD a ON b"),
        *("DELETE a", "DEFINE USER IF NOT EXISTS a ON ROOT PASSWORD 'x'", "UPDATE a SET b = 1", "BEGIN"),
    ],
)
def test_a_part_may_only_define(statement: str) -> None:
    with pytest.raises(Fault) as caught:
        read_part("x", 1, f"DEFINE TABLE IF NOT EXISTS ok; {statement};")
    assert caught.value.code is Code.INVALID
