"""The circuit equals the real engine: after every transaction a view has the rows, in the order, of a fresh query."""

from __future__ import annotations

import random

import pytest
from sp00ky.proto.database import Database
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.ssp.circuit.traced import listing
from sp00ky.ssp.engine.events import QueryRan, ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import RunQuery

from tests.harness.driven_engine import Driven
from tests.harness.queries import TABLE, Change, Draw

STEPS = 6
VIEWS = 25


async def write(database: Database, changes: list[Change]) -> None:
    """One transaction. The engine loses a record that is deleted and then upserted in one: each is written once."""
    statements, params = [], {}
    for place, change in enumerate({repr(change.key): change for change in changes}.values()):
        params[f"id{place}"] = RecordId(TABLE, change.key)
        if change.record is None:
            statements.append(f"DELETE $id{place}")
        else:
            params[f"record{place}"] = change.record
            statements.append(f"UPSERT $id{place} CONTENT $record{place}")
    await database.query("BEGIN; " + "; ".join(statements) + "; COMMIT;", params)


@pytest.mark.parametrize("seed", range(8))
async def test_incremental_views_equal_a_fresh_query(database: Database, seed: int) -> None:
    draw, driven = Draw(random.Random(seed), plain=seed % 2 == 0), Driven()
    await database.query(f"DEFINE TABLE {TABLE} SCHEMALESS")
    queries = {f"v{number}": draw.query() for number in range(VIEWS)}
    driven.welcome()
    for view, (surql, params) in queries.items():
        driven.log.register(view, surql, params)
    driven.catch_up()
    for _ in range(STEPS):
        changes = draw.changes(draw.source.choice((1, 3, 8)))
        await write(database, changes)
        for change in changes:
            driven.log.change(TABLE, change.key, change.record)
        driven.catch_up()
        for view, (surql, params) in queries.items():
            reading = driven.engine.view(ViewKey(view))
            assert reading is not None and (reading.mode, str(reading.state)) == ("incremental", "live"), surql
            fresh = (await database.query(surql, params))[0]
            assert reading.rows() == fresh, f"{surql} with {params}"
            assert [member.id for member in reading.members] == [row["id"] for row in fresh]
            assert driven.members[ViewKey(view)] == driven.current(view)


FIXED = (
    "SELECT * FROM item WHERE id = item:1",
    "SELECT * FROM item WHERE id > item:2 AND id <= item:x",
    "SELECT * FROM item WHERE id IN [item:1, item:x]",
    "SELECT VALUE a FROM item WHERE b ORDER BY c DESC LIMIT 3",
    "SELECT VALUE a AS b FROM item ORDER BY b LIMIT 5 START 1",
    "SELECT id, a AS b, b AS a FROM item ORDER BY a LIMIT 4",
    "SELECT id, a AS x, b AS x FROM item ORDER BY x LIMIT 4",
    "SELECT *, a = 1 AS b FROM item ORDER BY b DESC LIMIT 4",
    "SELECT id, [a, b] AS both, { k: c } AS object FROM item ORDER BY both LIMIT 5",
    "SELECT id, a = 1 AND b AS chosen FROM item ORDER BY chosen DESC, id LIMIT 5",
    "SELECT id, type::is_string(a) AS text FROM item WHERE type::is_string(a) OR a > 1",
    "SELECT * FROM item WHERE a ?? b = 1 OR (a ?: c) = 'a'",
    "SELECT * FROM item WHERE a == 1 OR b ?= 1",
    "SELECT * FROM item WHERE a IS NOT NONE AND !(b = NULL)",
    "SELECT * FROM item WHERE 1 <= a AND 2 >= a",
    "SELECT * FROM item WHERE a = 1 AND a = 1.0 AND b > 0 AND b > -1",
    "SELECT * FROM item WHERE [1, 2] CONTAINS a OR a CONTAINSANY ['a', 1]",
    "SELECT * FROM item WHERE (IF a THEN b ELSE c END) = 1",
    "SELECT * FROM item LIMIT 0",
    "SELECT * FROM item LIMIT 3 START 2",
    "SELECT * FROM item START 3",
)


async def test_fixed_queries_equal_a_fresh_query(database: Database) -> None:
    draw, driven = Draw(random.Random(1)), Driven()
    await database.query(f"DEFINE TABLE {TABLE} SCHEMALESS")
    driven.welcome()
    for number, surql in enumerate(FIXED):
        driven.log.register(f"v{number}", surql)
    driven.catch_up()
    for _ in range(8):
        changes = draw.changes(4)
        await write(database, changes)
        for change in changes:
            driven.log.change(TABLE, change.key, change.record)
        driven.catch_up()
        for number, surql in enumerate(FIXED):
            reading = driven.engine.view(ViewKey(f"v{number}"))
            assert reading is not None and (reading.mode, reading.error) == ("incremental", ""), surql
            assert reading.rows() == (await database.query(surql))[0], surql


async def run(database: Database, query: RunQuery, params: dict[str, Value], at: int) -> QueryRan:
    """What the driver does between two barriers."""
    rows = (await database.query(query.surql, params))[0]
    ids = None
    if query.ids_surql:
        identified = (await database.query(query.ids_surql, params))[0]
        listed = identified if isinstance(identified, list) else [identified] if isinstance(identified, dict) else []
        ids = [row[query.ids_field] for row in listed]
    return QueryRan(query.key, query.run, at, at, rows, ids)


WITH_IDS = (
    "SELECT * FROM ONLY post:1",
    "SELECT * FROM ONLY post:404",
    "SELECT title FROM ONLY post WHERE title = 'c' LIMIT 1",
    "SELECT author.name FROM post",
    "SELECT title, author.name AS by FROM post WHERE author.name = 'ann' ORDER BY by",
    "SELECT VALUE title FROM post ORDER BY title COLLATE DESC",
    "SELECT VALUE author.name FROM post",
    "SELECT VALUE { t: title, by: author.name } FROM post LIMIT 2",
    "SELECT * OMIT id FROM post",
    "SELECT * FROM post FETCH author",
    "SELECT * FROM post:1, post:3",
    "SELECT * FROM post:1..3",
    "SELECT * FROM [post:2, person:1]",
    "SELECT * FROM post, person",
    "SELECT * FROM $records",
    "SELECT * FROM post ORDER BY title COLLATE DESC",
    "SELECT *, (SELECT VALUE name FROM person WHERE id = $parent.author) AS names FROM post",
    "SELECT ->wrote->post AS posts FROM person",
    "SELECT name FROM person WHERE ->wrote->post",
    "SELECT * FROM person:1->wrote->post",
)
WITHOUT_IDS = (
    "SELECT count() FROM post GROUP ALL",
    "SELECT author, count() AS n FROM post GROUP BY author",
    "SELECT * FROM post SPLIT tags",
    "SELECT * FROM (SELECT title FROM post)",
    "SELECT * FROM [{ id: 1 }, { id: 2 }] WHERE id < count((SELECT * FROM post))",
)
PARAMS = {"records": [RecordId("post", 3), RecordId("person", 2)]}
TABLES = ("person", "post", "wrote")


@pytest.fixture
async def library(database: Database) -> Database:
    await database.query(
        """
        CREATE person:1 SET name = 'ann'; CREATE person:2 SET name = 'bob';
        CREATE post:1 SET title = 'b', author = person:1, tags = ['x', 'y'];
        CREATE post:2 SET title = 'a', author = person:2, tags = ['x'];
        CREATE post:3 SET title = 'c', author = person:1, tags = [];
        RELATE person:1->wrote:1->post:1; RELATE person:2->wrote:2->post:2; RELATE person:1->wrote:3->post:3;
        """
    )
    return database


async def registered(library: Database, surql: str, *, computed: bool) -> Driven:
    """An engine that is told the library and a view of it. `computed`: its records are not what is stored."""
    driven = Driven()
    for table in TABLES:
        driven.log.schema(table, computed=computed)
        for row in (await library.query(f"SELECT * FROM {table}"))[0]:
            driven.log.change(table, row["id"].key, row)
    driven.welcome()
    driven.log.register("v", surql, PARAMS)
    driven.catch_up()
    return driven


def view(driven: Driven) -> ViewReading:
    reading = driven.engine.view(ViewKey("v"))
    assert reading is not None and str(reading.state) == "live"
    return reading


@pytest.mark.parametrize("surql", [*WITH_IDS, *WITHOUT_IDS])
async def test_reevaluated_views_know_their_members(library: Database, surql: str) -> None:
    """And they are those of the same query kept incrementally."""
    driven = await registered(library, surql, computed=True)
    (query,) = driven.queries
    assert bool(query.ids_surql) == (surql in WITH_IDS)
    driven.step(await run(library, query, PARAMS, driven.engine.applied_seq))
    reading, kept = view(driven), view(await registered(library, surql, computed=False))
    assert (reading.mode, kept.mode) == ("reevaluated", "incremental")
    assert reading.rows() == kept.rows() == (await library.query(surql, PARAMS))[0]
    rows = listing(reading.rows())
    assert reading.size == kept.size == len(rows)
    members = [member.id for member in reading.members]
    assert members == [member.id for member in kept.members if member.parent is None]
    if surql in WITHOUT_IDS:
        assert members == []
        return
    assert len(members) == reading.size
    for member, row in zip(members, rows, strict=True):
        assert isinstance(member, RecordId)
        if isinstance(row, dict) and isinstance(row.get("id"), RecordId):
            assert row["id"] == member
