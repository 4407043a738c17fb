"""Edges and members that were tampered with are found, named and mended, and nothing else is taken for wrong."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sp00ky.proto.database import Database
from sp00ky.proto.v1 import common_pb2, integrity_pb2, views_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.text import record_id_text
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, Ready, ViewDelta, ViewDropped
from sp00ky.ssp.integrity import view_trees
from sp00ky.ssp.integrity.verifying import Verified
from sp00ky.ssp.integrity.view_trees import ViewTrees, edge_row, tree_of

from tests.conftest import FreshDatabase
from tests.harness.eventually import eventually
from tests.harness.small_mesh import SmallMesh, small_mesh
from tests.unit.scheduler.test_driver_capture import ready

POSTS = ViewKey("posts")
ANNS = ViewKey("anns", "user:ann")
SOME_POSTS = (RecordId("post", 17), RecordId("post", 19))


@contextlib.asynccontextmanager
async def viewing(
    fresh_database: FreshDatabase, rows: int = 300, view_audit_interval_ms: int = 0
) -> AsyncIterator[tuple[SmallMesh, Database]]:
    """Two views: every post with its author below it, by a service; and ann's own posts, by ann."""
    namespace = uuid4().hex
    database = await fresh_database(namespace)
    await database.query(
        "DEFINE TABLE user PERMISSIONS FULL; DEFINE TABLE post PERMISSIONS FULL; CREATE user:ann, user:bob;"
        f"FOR $n IN 0..{rows} {{ CREATE type::record('post', $n) SET n = $n,"
        " author = IF $n % 2 = 1 { user:ann } ELSE { user:bob } }"
    )
    own = await fresh_database(namespace)
    async with small_mesh(database, own, view_audit_interval_ms=view_audit_interval_ms) as mesh:
        await ready(mesh.scheduler)
        for key, surql in (
            (POSTS, "SELECT *, (SELECT * FROM user WHERE id = $parent.author) AS who FROM post"),
            (ANNS, "SELECT * FROM post WHERE author = user:ann"),
        ):
            wire = common_pb2.ViewKey(id=key.id, auth_id=key.auth_id)
            spec = common_pb2.ViewSpec(key=wire, surql=surql, ttl_ms=60_000)
            await mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        await eventually(lambda: all(map(mesh.ssp._integrity.views.is_settled, (POSTS, ANNS))), 20)
        yield mesh, database


async def verified(mesh: SmallMesh, *, repair: bool = False) -> dict[str, integrity_pb2.VerifiedView]:
    asked = integrity_pb2.VerifyViewsRequest(repair=repair)
    return {each.key.id: each for each in (await mesh.scheduler.integrity.VerifyViews(asked)).views}


async def stored(mesh: SmallMesh, database: Database, key: ViewKey) -> dict[RecordId, Any]:
    """Edges by member."""
    table = mesh.ssp._integrity.views.table_of(key)
    (rows,) = await database.query(f"SELECT * FROM {table} WHERE clientId != NONE")
    return {row["out"]: row for row in rows}


async def test_edges_that_were_tampered_with_are_named_and_written_again(fresh_database: FreshDatabase) -> None:
    async with viewing(fresh_database) as (mesh, database):
        found = await verified(mesh)
        assert {(each.members, each.edges, each.skipped, len(each.differences)) for each in found.values()} == {
            (300, 600, "", 0),
            (150, 150, "", 0),
        }
        edges = await stored(mesh, database, ANNS)
        one, two, three, four = (edges[RecordId("post", n)] for n in (1, 3, 5, 7))
        before = await stored(mesh, database, ANNS)
        table = one["id"].table
        more = {**one, "id": RecordId(table, "0" * 32), "out": RecordId("post", 0)}
        await database.query(
            "DELETE $one.id; UPDATE $two.id SET version = 1; UPDATE $three.id SET version = 999999999;"
            f"UPDATE $four.id SET auth = user:bob; INSERT RELATION INTO {table} $more",
            {"one": one, "two": two, "three": three, "four": four, "more": more},
        )
        wrong = (await verified(mesh))["anns"]
        assert (wrong.differing_members, wrong.differing_edges, wrong.edges) == (0, 5, 150)
        named = {each.id: (each.expected, each.found) for each in wrong.differences}
        assert set(named) == {record_id_text(each["id"]) for each in (one, two, three, four, more)}
        assert named[record_id_text(one["id"])][1] == "" and named[record_id_text(more["id"])][0] == ""
        assert "user:bob" in named[record_id_text(four["id"])][1]
        assert wrong.read_bytes < 15_000
        assert (await verified(mesh, repair=True))["anns"].repairing
        assert not (await verified(mesh))["anns"].differences
        after = await stored(mesh, database, ANNS)
        kept = {out: row for out, row in before.items() if row not in (one, two, three, four)}
        assert {out: after[out] for out in kept} == kept, "what was right was not written"
        assert after.keys() == before.keys() and after[RecordId("post", 7)]["auth"] == RecordId("user", "ann")


async def test_a_member_that_was_tampered_with_in_the_ssp_is_named_and_mended(fresh_database: FreshDatabase) -> None:
    async with viewing(fresh_database) as (mesh, database):
        holder = mesh.ssp.engine._registry.views[ANNS].holder
        assert isinstance(holder, Members)
        (gone, stale) = (key for key, each in holder.members.items() if each.id in SOME_POSTS)
        right = holder.members[stale]
        del holder.members[gone]
        holder.members[stale] = MemberChange(right.id, 1)
        found = await verified(mesh)
        assert {each.id: each.found for each in found["anns"].differences if each.what == "member"} == {
            "post:17": "",
            "post:19": "version 1",
        }
        assert found["anns"].differing_members == 2 and not found["posts"].differences
        assert (await verified(mesh, repair=True))["anns"].repairing
        again = (await verified(mesh))["anns"]
        assert not again.differences and again.members == again.edges == 150
        assert (await stored(mesh, database, ANNS))[right.id]["version"] == right.version


async def test_edges_are_mended_in_the_background(fresh_database: FreshDatabase) -> None:
    async with viewing(fresh_database, rows=20, view_audit_interval_ms=20) as (mesh, database):
        edges = await stored(mesh, database, ANNS)
        await database.query("DELETE $edge", {"edge": edges[RecordId("post", 1)]["id"]})
        counters = mesh.ssp._integrity.verifier.counters
        await eventually(lambda: counters.repaired > 0, 20)
        assert mesh.ssp.metrics()["verified_repaired"] >= 1 and counters.differing == counters.repaired
        await eventually(lambda: mesh.ssp._integrity.views.is_settled(ANNS), 20)
        assert (await stored(mesh, database, ANNS)).keys() == edges.keys()


async def test_nothing_is_said_to_differ_while_everything_changes(fresh_database: FreshDatabase) -> None:
    async with viewing(fresh_database, rows=60) as (mesh, database):
        verifier, found = mesh.ssp._integrity.verifier, list[Verified]()
        for turn in range(8):
            await database.query("UPDATE post SET n += 1, author = IF n % 3 = 1 { user:ann } ELSE { user:bob }")
            found += [await verifier.verify(key, repair=False) for key in (POSTS, ANNS)]
            assert turn >= 0
        assert sum(each.differing_edges + each.differing_members for each in found) == 0


async def test_a_views_nodes_are_those_of_its_edges_and_follow_it(fresh_database: FreshDatabase) -> None:
    async with viewing(fresh_database, rows=50) as (mesh, database):
        key = common_pb2.ViewKey(id="anns", auth_id="user:ann")

        async def root() -> integrity_pb2.GetNodeResponse:
            asked = integrity_pb2.GetNodeRequest(view=key)
            answer: integrity_pb2.GetNodeResponse = await mesh.scheduler.integrity.GetNode(asked)
            return answer

        first = await root()
        assert first.rows == 25 and len(mesh.ssp._integrity.trees) == 1
        await database.query("DELETE post:1; CREATE post:new SET author = user:ann; UPDATE post:3 SET n = 5")
        await mesh.scheduler.driver.barrier()
        await eventually(lambda: mesh.ssp.engine.applied_seq == mesh.scheduler.driver.store.head_seq)
        second = await root()
        reading = mesh.ssp.engine.view(ANNS)
        assert reading is not None and second.hash != first.hash
        table = mesh.ssp._integrity.views.table_of(ANNS)
        fresh = tree_of(edge_row(table, ANNS, member) for member in reading.members)
        assert second.hash == fresh.node("").hash and second.rows == 25


def test_trees_that_nobody_asks_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_trees, "TREES_MAX", 2)
    trees = ViewTrees(lambda key: "_00_list_ref")
    first = {name: trees.ask(ViewKey(name), now_s) for now_s, name in enumerate("abc")}
    assert len(trees) == 2 and trees.ask(ViewKey("c"), 3) is first["c"]
    assert trees.ask(ViewKey("a"), 4) is not first["a"], "two others were asked for since"
    trees.forget_unasked(view_trees.UNASKED_SECONDS + 3.5)
    assert len(trees) == 1 and trees.ask(ViewKey("c"), 1000) is not first["c"]


def test_what_moves_while_a_tree_is_made_is_as_the_step_left_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_trees, "SLICE_MEMBERS", 2)
    trees, key = ViewTrees(lambda key: "_00_list_ref"), ViewKey("v")
    member = {n: MemberChange(RecordId("a", n), 1) for n in range(8)}
    kept = trees.ask(key, 0)
    filling = trees.fill(key, kept, [member[n] for n in range(6)])
    next(filling)
    moved = MemberChange(RecordId("a", 1), 9)
    trees.take(Ready(deltas=[ViewDelta([key], 9, added=[member[7]], updated=[moved], removed=[member[5], member[0]])]))
    assert not kept.is_complete
    assert list(filling) == [None, None] and kept.is_complete
    right = [moved, member[2], member[3], member[4], member[7]]
    assert dict(kept.tree.records()) == dict(tree_of(edge_row("_00_list_ref", key, each) for each in right).records())
    begun = trees.ask(ViewKey("w"), 1)
    filling = trees.fill(ViewKey("w"), begun, [member[1]])
    trees.take(Ready(dropped=[ViewDropped(ViewKey("w"), unregistered=True)]))
    assert list(filling) == [None] and not begun.is_complete
