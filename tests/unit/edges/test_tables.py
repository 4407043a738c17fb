"""Tables of edges on the real engine: a user's own, made before the first edge and gone after the last view."""

from __future__ import annotations

import asyncio
import random

import pytest
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.text import record_id_text
from sp00ky.ssp.edges import statements
from sp00ky.ssp.edges.tables import REMOVE, TABLES_A_SWEEP_MAX, TableSweep
from sp00ky.ssp.edges.writer import EdgeWriter, TablesLost
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import ViewDelta, ViewDropped

from tests.harness.edge_writer import hydrated, member, tell, writer_of
from tests.harness.edges import StoredEdge, edge_tables, stored_edges, table_of
from tests.harness.users import ACCESS, DEFINE_ACCESS, claims_of, token_of

ANN, BOB = ViewKey("v", "user:ann"), ViewKey("v", "user:bob")
NOBODYS = ViewKey("v")
OF_ANN, OF_BOB, SHARED = table_of("user:ann"), table_of("user:bob"), table_of()


def edge(table: str, user: str, number: int, version: int = 1) -> StoredEdge:
    return StoredEdge(table, "v", user, f"t:{number}", version)


async def dropped(writer: EdgeWriter, *keys: ViewKey) -> None:
    tell(writer, *(ViewDropped(key, unregistered=True) for key in keys))
    await writer.flush()


async def test_g2_each_users_edges_are_the_users_alone(installed: Database, database_url: str) -> None:
    await installed.query(f"{DEFINE_ACCESS}; DEFINE TABLE user; DEFINE TABLE t PERMISSIONS FULL")
    writer = writer_of(installed, "a", 5)
    for number, key in enumerate((ANN, BOB, NOBODYS)):
        tell(writer, hydrated([member(number)], key))
    await writer.flush()
    expected = [edge(SHARED, "", 2), edge(OF_ANN, "user:ann", 0), edge(OF_BOB, "user:bob", 1)]
    assert sorted(await stored_edges(installed), key=lambda found: found.table) == expected
    place = installed.namespace, installed.database
    for user, own in (("ann", expected[1]), ("bob", expected[2])):
        client = Database(database_url, user="root", password="root", namespace=place[0], database=place[1])
        try:
            await client.connect()
            await client.rpc("authenticate", [token_of(claims_of(RecordId("user", user), *place))])
            assert await stored_edges(client, [SHARED, OF_ANN, OF_BOB]) == [own]
            (named,) = await client.query("SELECT VALUE edges FROM _00_view")
            assert named == [own.table]
            for forged in (f"UPDATE {own.table} SET version = 9", f"DELETE {own.table}",
                           f"INSERT RELATION INTO {own.table} {{ in: _00_query:v, out: t:9, version: 1 }}",
                           "SELECT * FROM _00_reader", "DELETE _00_reader"):  # fmt: skip
                answers = await client.query_raw(forged)
                assert all(answer.result in ([], None) or not answer.ok for answer in answers), forged
        finally:
            await client.close()
    assert sorted(await stored_edges(installed), key=lambda found: found.table) == expected
    assert ACCESS


async def test_a_table_that_another_user_made_first_is_not_taken_for_ones_own(
    installed: Database, database_url: str
) -> None:
    """Writing to a table that is not there makes it, open to no record user: it would hide what is written there."""
    await installed.query(f"{DEFINE_ACCESS}; DEFINE TABLE user; DEFINE TABLE t PERMISSIONS FULL")
    place = installed.namespace, installed.database
    client = Database(database_url, user="root", password="root", namespace=place[0], database=place[1])
    try:
        await client.connect()
        await client.rpc("authenticate", [token_of(claims_of(RecordId("user", "bob"), *place))])
        await client.query_raw(f"CREATE {OF_ANN} SET planted = 1")
        assert OF_ANN in (table["name"] for table in (await installed.query("INFO FOR DB STRUCTURE"))[0]["tables"])
        tell(writer := writer_of(installed, "a", 5), hydrated([member(0)], ANN))
        await writer.flush()
        await client.rpc("authenticate", [token_of(claims_of(RecordId("user", "ann"), *place))])
        assert await stored_edges(client, [OF_ANN]) == [edge(OF_ANN, "user:ann", 0)]
    finally:
        await client.close()
    tell(writer, hydrated([member(0), member(1)], ViewKey("w", "user:ann")))
    await writer.flush()
    assert len(await stored_edges(installed)) == 3  # a second view leaves the table alone


@pytest.mark.parametrize("key", ["a b", "`; DELETE t; --", "⟨x⟩", "\n'\"", "7", "😀"])
async def test_a_users_key_is_never_text_of_a_statement(installed: Database, key: str) -> None:
    await installed.query("CREATE t:1")
    auth_id = record_id_text(RecordId("user", key))
    view = ViewKey("v", auth_id)
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)], view))
    await writer.flush()
    assert [found.member for found in await stored_edges(installed)] == ["t:1"]
    tables = (await installed.query("INFO FOR DB STRUCTURE"))[0]["tables"]
    (own,) = (table for table in tables if table["name"] == table_of(auth_id))
    assert own["permissions"]["create"] is False
    assert own["permissions"]["select"].replace("(", "").replace(")", "") == f"$auth = {auth_id}"
    await dropped(writer, view)
    assert await stored_edges(installed) == []
    assert (await installed.query("SELECT VALUE id FROM t"))[0] == [RecordId("t", 1)]


@pytest.mark.parametrize("to_single", [True, False])
async def test_another_mode_leaves_no_edge_of_the_former(installed: Database, to_single: bool) -> None:
    """At the next hydrate a view's edges are in one table, the other one's are gone, and nobody else's have moved."""
    before = writer_of(installed, "a", 5, dedicated=to_single)
    for key in (ANN, BOB, NOBODYS):
        tell(before, hydrated([member(1), member(2)], key))
    await before.flush()
    after = writer_of(installed, "a", 9, dedicated=not to_single)
    tell(after, hydrated([member(2), member(3)], ANN))
    await after.flush()
    of_ann, of_bob = (SHARED, OF_BOB) if to_single else (OF_ANN, SHARED)
    expected = [edge(of_ann, "user:ann", 2), edge(of_ann, "user:ann", 3), edge(of_bob, "user:bob", 1),
                edge(of_bob, "user:bob", 2), edge(SHARED, "", 1), edge(SHARED, "", 2)]  # fmt: skip
    order = lambda found: (found.user, found.member)  # noqa: E731
    assert sorted(await stored_edges(installed), key=order) == sorted(expected, key=order)
    await dropped(after, ANN, BOB, NOBODYS)
    assert await stored_edges(installed) == []
    assert await TableSweep(installed, kept_seconds=0.0).sweep() == (2 if to_single else 1)
    assert await edge_tables(installed) == [SHARED]


async def test_a_table_goes_a_while_after_the_last_view(installed: Database) -> None:
    writer, other = writer_of(installed, "a", 5), writer_of(installed, "b", 6)
    second = ViewKey("w", "user:ann")
    tell(writer, hydrated([member(1)], ANN))
    tell(other, hydrated([member(1)], second))
    await asyncio.gather(writer.flush(), other.flush())
    now, later = TableSweep(installed, kept_seconds=0.0), TableSweep(installed)
    await dropped(writer, ANN)
    assert await now.sweep() == 0, "another SSP has a view of the user"
    await dropped(other, second)
    assert await later.sweep() == 0 and OF_ANN in await edge_tables(installed), "a client's LIVE query may be on it"
    tell(writer, hydrated([member(1)], ANN))
    await writer.flush()
    assert await now.sweep() == 0, "the user is back"
    await dropped(writer, ANN)
    assert await now.sweep() == 1 and await edge_tables(installed) == [SHARED]
    assert now.removed == 1 and (await installed.query("SELECT * FROM _00_reader"))[0] == []


async def test_a_sweep_removes_a_bounded_number(installed: Database) -> None:
    writer = writer_of(installed, "a", 5)
    keys = [ViewKey("v", f"user:u{number}") for number in range(TABLES_A_SWEEP_MAX + 3)]
    for key in keys:
        tell(writer, hydrated([], key))
    await writer.flush()
    await dropped(writer, *keys)
    sweep = TableSweep(installed, kept_seconds=0.0)
    assert [await sweep.sweep() for _ in range(3)] == [TABLES_A_SWEEP_MAX, 3, 0]
    assert await edge_tables(installed) == [SHARED]


async def test_no_table_goes_in_which_another_ssp_writes(installed: Database) -> None:
    """Two SSPs register and remove a user's views while a third sweeps without patience: whoever has a view registered
    finds its table there, every time, and an edge in it."""
    randomly = random.Random(7)
    sweep = TableSweep(installed, kept_seconds=0.0)
    done = asyncio.Event()

    async def sweeping() -> None:
        while not done.is_set():
            await sweep.sweep()

    async def registering(ssp: str, rounds: int) -> None:
        writer, key = writer_of(installed, ssp, 5), ViewKey(ssp, "user:ann")
        for number in range(rounds):
            tell(writer, hydrated([member(1, number)], key))
            await writer.flush()
            for version in range(randomly.randrange(3)):
                tell(writer, ViewDelta([key], 100 + version, added=[member(2, 100 + version)]))
                await writer.flush()
            assert (ssp, "t:1", number) in [(e.view, e.member, e.version) for e in await stored_edges(installed)]
            await dropped(writer, key)
            assert not writer.owed.quarantined

    task = asyncio.create_task(sweeping())
    try:
        await asyncio.gather(registering("a", 25), registering("b", 25))
    finally:
        done.set()
        await task
    assert sweep.removed > 3, "it was removed many times, and never too early"


async def test_the_sweep_and_a_registration_at_the_same_time_exclude_each_other(installed: Database) -> None:
    """Both read the same row, then write it: SurrealDB lets one of them commit, and the other one sees it."""
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([], ANN))
    await writer.flush()
    await dropped(writer, ANN)
    query, swept = installed.query, list[str]()

    async def swept_before(*arguments: object, **options: object) -> object:
        if arguments[0] == statements.register(ANN, writer._tables) and not swept:
            swept.append(str(await TableSweep(installed, kept_seconds=0.0).sweep()))
        return await query(*arguments, **options)  # type: ignore[arg-type]

    installed.query = swept_before  # type: ignore[assignment, method-assign]
    tell(writer, hydrated([member(1)], ANN))
    await writer.flush()
    assert swept == ["1"] and [found.member for found in await stored_edges(installed)] == ["t:1"]
    reader = {"reader": RecordId("_00_reader", OF_ANN), "table": OF_ANN, "kept": 0}
    with pytest.raises(QueryError):
        await query(REMOVE, reader)  # type: ignore[arg-type]
    assert OF_ANN in await edge_tables(installed)


async def test_a_table_that_somebody_removed_is_made_again_and_never_without_its_permissions(
    installed: Database,
) -> None:
    writer = writer_of(installed, "a", 5)
    tell(writer, hydrated([member(1)], ANN))
    await writer.flush()
    await installed.query(f"REMOVE TABLE {OF_ANN}")
    tell(writer, ViewDelta([ANN], 11, added=[member(2, 11)]))
    with pytest.raises(TablesLost):
        await writer.flush()
    assert OF_ANN not in await edge_tables(installed), "an INSERT into it makes it, open to nobody"
    again = writer_of(installed, "a", 9)
    tell(again, hydrated([member(1), member(2, 11)], ANN))
    await again.flush()
    assert {(found.table, found.member) for found in await stored_edges(installed)} == {
        (OF_ANN, "t:1"),
        (OF_ANN, "t:2"),
    }
