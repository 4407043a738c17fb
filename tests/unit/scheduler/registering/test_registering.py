"""Views registered in the database: a scheduler and an SSP over the real engine, clients on its WebSocket."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.v1 import common_pb2, views_pb2
from sp00ky.proto.values.kinds import NONE, Duration, RecordId, Value
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.registering import registering as product

from tests.conftest import FreshDatabase
from tests.harness.eventually import eventually
from tests.harness.scheduler import Peer, Scheduler, fault_from, open_store
from tests.harness.small_mesh import SmallMesh, small_mesh
from tests.harness.users import DEFINE_ACCESS, claims_of, token_of

ANN, BOB = RecordId("user", "ann"), RecordId("user", "bob")
SURQL = "SELECT * FROM item"
CREATE = "CREATE $row SET surql = $surql, clientId = 'c'"
HOSTILE = ("a'b", 'a"b', "a`b", "a⟨b⟩", "a\nb", "🦊", "123", "1.5", "_00_query:x", "[1, user:ann]")


def row(key: Value) -> RecordId:
    return RecordId("_00_query", key)


class Scene:
    """A mesh, its database as root, and users who sign in beside it."""

    def __init__(self, mesh: SmallMesh, database: Database, fresh: FreshDatabase) -> None:
        self.mesh, self.database, self._fresh = mesh, database, fresh

    async def signed_in(self, user: RecordId) -> Database:
        client = await self._fresh(self.database.namespace)
        claims = claims_of(user, self.database.namespace, "main")
        await client.rpc("authenticate", [token_of(claims)])
        return client

    async def ask(self, text: str, /, **variables: Value) -> Any:
        """The answer of the last statement, as root."""
        return (await self.database.query(text, variables, conflict_retries=8))[-1]

    @property
    def registering(self) -> product.Registering:
        found = self.mesh.scheduler.driver.registering
        assert found is not None
        return found

    def views(self) -> dict[ViewKey, common_pb2.ViewSpec]:
        return {key: view.spec for key, view in self.mesh.scheduler.driver.coordinator.views.items()}

    async def registered(self, key: ViewKey) -> common_pb2.ViewSpec:
        spec = await eventually(lambda: self.views().get(key), what=f"view {key}")
        assert spec is not None
        return spec

    async def gone(self, key: ViewKey) -> None:
        """Unregistered, and what the SSP wrote of it removed."""
        await eventually(lambda: key not in self.views(), what=f"{key} to go")
        await eventually(lambda: self.mesh.ssp.engine.view(key) is None, what=f"{key} to leave its ssp")

    async def shown(self, record: RecordId, /, **expected: Value) -> Mapping[str, Any]:
        """The row, once it shows this."""

        async def found() -> Mapping[str, Any] | None:
            rows = await self.ask("SELECT * FROM $row", row=record)
            shows = rows and all(rows[0].get(name) == value for name, value in expected.items())
            return rows[0] if shows else None

        answer = await eventually(found, 10, what=f"{record} to show {expected}")
        assert answer is not None
        return answer

    async def over_grpc(self, view_id: str, surql: str = SURQL, **fields: Any) -> views_pb2.RegisterViewResponse:
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id=view_id), surql=surql, **fields)
        response: views_pb2.RegisterViewResponse
        response = await self.mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        return response

    async def given_up(self, view_id: str, client_id: str = "") -> None:
        key = common_pb2.ViewKey(id=view_id)
        request = views_pb2.UnregisterViewRequest(key=key, client_id=client_id)
        await self.mesh.scheduler.views.UnregisterView(request)

    async def sweep(self) -> None:
        """All rows read, and those that are overdue deleted."""
        for _ in range(2):  # one may be under way
            before = self.registering.sweeps
            self.registering.doubt()
            await eventually(lambda: self.registering.sweeps > before, what="a sweep")  # noqa: B023


@pytest.fixture
async def scene(database: Database, fresh_database: FreshDatabase) -> AsyncIterator[Scene]:
    await database.query(f"{DEFINE_ACCESS}; DEFINE TABLE item PERMISSIONS FOR select WHERE owner = $auth;")
    await database.query("CREATE item:1 SET owner = user:ann; CREATE item:2 SET owner = user:bob")
    few = {"row_views_per_user_max": 20}
    async with small_mesh(database, await fresh_database(database.namespace), of_scheduler=few) as mesh:
        yield Scene(mesh, database, fresh_database)


@contextlib.contextmanager
def refused(words: str) -> Any:
    with pytest.raises(QueryError, match=words):
        yield


async def test_a_row_registers_a_view_and_shows_it_and_its_deletion_unregisters_it(scene: Scene) -> None:
    await scene.ask(CREATE, row=row("v"), surql=SURQL)
    shown = await scene.shown(row("v"), state="live", rowCount=2)
    assert shown["hash"] and shown["revision"] and shown["error"] is NONE and shown["registration"] == 0
    assert len(await scene.ask("SELECT * FROM _00_list_ref WHERE in = $row", row=row("v"))) == 2
    await scene.ask("DELETE $row", row=row("v"))
    await scene.gone(ViewKey("v"))
    await eventually(lambda: _nothing_left(scene), what="edges and state to go")


async def _nothing_left(scene: Scene) -> bool:
    left = await scene.ask(
        "RETURN [(SELECT id FROM _00_list_ref), (SELECT id FROM _00_view), (SELECT id FROM _00_query)]"
    )
    return left == [[], [], []]


async def test_g2_a_signed_in_user_registers_by_function_and_sees_his_own_alone(scene: Scene) -> None:
    ann, bob = await scene.signed_in(ANN), await scene.signed_in(BOB)
    config = {"clientId": "tab", "surql": SURQL, "params": {"n": 1}, "ttl": "10m", "id": "v"}
    [answered] = await ann.query("RETURN fn::query::register($config)", {"config": config})
    assert answered == row(["v", ANN])
    spec = await scene.registered(ViewKey("v", "user:ann"))
    assert (spec.ttl_ms, spec.client_id, spec.by_row) == (600_000, "tab", True)
    await scene.shown(row(["v", ANN]), state="live", rowCount=1)
    [[own]] = await ann.query("SELECT id, state, rowCount, access FROM _00_query")
    assert own == {"id": row(["v", ANN]), "state": "live", "rowCount": 1, "access": "account"}
    assert (await bob.query("SELECT * FROM _00_query; SELECT * FROM _00_view"))[:2] == [[], []]
    await bob.query("UPDATE _00_query SET surql = 'SELECT 1'; DELETE _00_query; RETURN fn::query::unregister($row)",
                    {"row": row(["v", ANN])})  # fmt: skip
    await scene.sweep()
    assert scene.views()[ViewKey("v", "user:ann")].surql == SURQL
    await ann.query("RETURN fn::query::unregister('v')")
    await scene.gone(ViewKey("v", "user:ann"))


async def test_g2_a_user_cannot_say_who_asks_nor_what_the_mesh_says(scene: Scene) -> None:
    ann = await scene.signed_in(ANN)
    for key in ("v", ["v", BOB], [["v"], ANN], ["v", ANN, 1]):
        with refused("fn::query::register"):
            await ann.query("CREATE $row SET surql = $surql", {"row": row(key), "surql": SURQL})
    fields = "auth = user:bob, access = 'root', claims = {admin: true}, registration = 9, state = 'live', rowCount = 9"
    text = f"CREATE $row SET surql = $surql, lastActiveAt = d'2999-01-01T00:00:00Z', {fields}"
    await ann.query(text, {"row": row(["v", ANN]), "surql": SURQL})
    spec = await scene.registered(ViewKey("v", "user:ann"))
    assert b"admin" not in spec.auth and b"root" not in spec.auth
    shown = await scene.shown(row(["v", ANN]), state="live", rowCount=1)
    assert (shown["auth"], shown["access"], shown["registration"]) == (ANN, "account", 0)
    assert shown["lastActiveAt"].ns < 2e18 and "admin" not in shown["claims"]


async def test_the_function_says_what_is_missing_and_makes_the_documented_id(scene: Scene) -> None:
    ann = await scene.signed_in(ANN)
    with refused("Missing client id"):
        await ann.query("RETURN fn::query::register({surql: 'SELECT 1'})")
    with refused("Missing surql"):
        await ann.query("RETURN fn::query::register({clientId: 'c'})")
    params = {"a": 'quotes " and 🦊', "b": [1, True, None]}
    config: dict[str, Value] = {"clientId": "c", "surql": SURQL, "params": params}
    [answered] = await ann.query("RETURN fn::query::register($config)", {"config": config})
    text = json.dumps({"surql": SURQL, "params": params}, separators=(",", ":"), ensure_ascii=False)
    assert answered == row([sha256(text.encode()).hexdigest(), ANN])


async def test_hostile_ids_are_registered_under_their_own_names(scene: Scene) -> None:
    ann = await scene.signed_in(ANN)
    for name in HOSTILE:
        await scene.ask(CREATE, row=row(name), surql=SURQL)
        await ann.query("CREATE $row SET surql = $surql", {"row": row([name, ANN]), "surql": SURQL})
    wanted = {ViewKey(name, user) for name in HOSTILE for user in ("", "user:ann")}
    await eventually(lambda: scene.views().keys() == wanted, 10, what="all of them")
    for name in HOSTILE:
        await scene.shown(row(name), state="live", rowCount=2)
        await scene.shown(row([name, ANN]), state="live", rowCount=1)
    await scene.ask("DELETE _00_query")
    await eventually(lambda: not scene.views(), 10, what="none of them")


async def test_a_refused_row_says_why_and_is_tried_again_when_it_is_corrected(scene: Scene) -> None:
    await scene.ask(CREATE, row=row("v"), surql="SELECT * FROM item ORDER BY rand()")
    shown = await scene.shown(row("v"), state="failed")
    assert "rand" in shown["error"].lower() or "RANDOM" in shown["error"]
    assert not scene.views()
    await scene.ask("UPDATE $row SET surql = $surql", row=row("v"), surql=SURQL)
    await scene.shown(row("v"), state="live", rowCount=2, error=NONE)
    await scene.ask("UPDATE $row SET surql = 'DELETE item'", row=row("v"))
    await scene.shown(row("v"), state="failed")
    await scene.gone(ViewKey("v"))
    await scene.shown(row("v"), state="failed")
    await scene.ask("DELETE $row; CREATE _00_query:7 SET surql = $surql", row=row("v"), surql=SURQL)
    odd = await scene.shown(row(7), state="failed")
    assert "fn::query::register" in odd["error"]
    await scene.ask("DELETE _00_query:7")
    await eventually(lambda: _nothing_left(scene), what="what was said of them to go")


async def test_another_text_in_the_row_is_another_registration(scene: Scene) -> None:
    await scene.ask(CREATE, row=row("v"), surql=SURQL)
    first = await scene.registered(ViewKey("v"))
    await scene.shown(row("v"), rowCount=2)
    await scene.ask("UPDATE $row SET surql = $surql", row=row("v"), surql="SELECT * FROM item WHERE owner = user:ann")
    await scene.shown(row("v"), state="live", rowCount=1)
    second = scene.views()[ViewKey("v")]
    assert second.registered_seq > first.registered_seq
    with refused("another text"):
        await scene.ask("fn::query::register({clientId: 'd', id: 'v', surql: 'SELECT * FROM item'})")


async def test_a_heartbeat_keeps_a_view_and_without_it_the_sweep_ends_it(scene: Scene) -> None:
    for name in ("kept", "left"):
        await scene.ask(CREATE + ", ttl = 1h", row=row(name), surql=SURQL)
        await scene.registered(ViewKey(name))
    await scene.ask("UPDATE _00_query SET lastActiveAt = time::now() - 2h")
    await scene.ask("fn::query::heartbeat('kept')")
    await scene.sweep()
    await scene.gone(ViewKey("left"))
    assert scene.registering.expired == 1
    assert ViewKey("kept") in scene.views()
    assert await scene.ask("fn::query::heartbeat('left')") is NONE
    assert await scene.ask("SELECT VALUE id FROM _00_query") == [row("kept")]


async def test_the_longest_ttl_counts_and_a_view_ends_with_its_last_subscriber(scene: Scene) -> None:
    register = "fn::query::register({clientId: $client, id: 'v', surql: $surql, ttl: $ttl})"
    for client, ttl in (("one", "2h"), ("two", "1m")):
        await scene.ask(register, client=client, surql=SURQL, ttl=ttl)
    await scene.registered(ViewKey("v"))
    await eventually(lambda: scene.views()[ViewKey("v")].client_id == "two", what="the second")
    assert scene.views()[ViewKey("v")].ttl_ms == 7_200_000
    await scene.over_grpc("v", client_id="three", ttl_ms=60_000)
    shown = await scene.shown(row("v"))
    assert [each["id"] for each in shown["subscribers"]] == ["one", "two", "three"]
    assert shown["ttl"] == Duration(7_200 * 10**9)
    await scene.ask("fn::query::unregister('v', 'one')")
    await scene.ask("fn::query::unregister('v', 'nobody')")
    await scene.given_up("v", "three")
    await scene.sweep()
    assert ViewKey("v") in scene.views()
    await scene.ask("fn::query::unregister('v', 'two')")
    await scene.gone(ViewKey("v"))


async def test_a_subscriber_who_gives_no_sign_goes_with_the_sweep_and_the_view_stays(scene: Scene) -> None:
    seen = "[{id: 'old', seenAt: time::now() - 2h}, {id: 'new', seenAt: time::now()}]"
    await scene.ask(f"{CREATE}, ttl = 1h, subscribers = {seen}", row=row("v"), surql=SURQL)
    await scene.registered(ViewKey("v"))
    await scene.sweep()
    shown = await scene.shown(row("v"))
    assert [each["id"] for each in shown["subscribers"]] == ["new"]
    assert ViewKey("v") in scene.views()


async def test_a_view_that_came_another_way_is_not_made_renewed_or_raised_by_the_row_that_shows_it(
    scene: Scene,
) -> None:
    await scene.over_grpc("v", client_id="http", ttl_ms=60_000)
    shown = await scene.shown(row("v"), state="live")
    assert shown["registration"] == scene.views()[ViewKey("v")].registered_seq
    before = scene.mesh.scheduler.driver.store.head_seq
    await scene.sweep()
    await scene.over_grpc("v", client_id="http", ttl_ms=60_000)
    assert not scene.views()[ViewKey("v")].by_row and scene.mesh.scheduler.driver.store.head_seq == before
    await scene.given_up("v")
    await scene.gone(ViewKey("v"))
    await eventually(lambda: _nothing_left(scene), what="its rows to go")
    await scene.over_grpc("v", client_id="http")
    await scene.shown(row("v"), state="live")
    await scene.sweep()
    assert not scene.views()[ViewKey("v")].by_row, "the deletion of the former row says nothing of it"
    await scene.ask("DELETE $row", row=row("v"))
    await scene.gone(ViewKey("v"))


async def test_a_client_who_joins_by_row_takes_the_view_over_with_all_who_hold_it(scene: Scene) -> None:
    for client in ("one", "two"):
        await scene.over_grpc("v", client_id=client, ttl_ms=60_000)
    first = scene.views()[ViewKey("v")].registered_seq
    await scene.shown(row("v"), state="live")
    await scene.ask("fn::query::register({clientId: 'db', id: 'v', surql: $surql, ttl: '1h'})", surql=SURQL)
    await eventually(lambda: scene.views()[ViewKey("v")].by_row, what="taken over")
    assert scene.views()[ViewKey("v")].registered_seq == first, "the same registration"
    shown = await scene.shown(row("v"), registration=0)
    assert {each["id"] for each in shown["subscribers"]} == {"one", "two", "db"}
    for client in ("one", "db"):
        await scene.given_up("v", client)
    assert ViewKey("v") in scene.views()
    await scene.given_up("v")
    await scene.gone(ViewKey("v"))
    assert await scene.ask("SELECT id FROM _00_query") == []
    await scene.sweep()
    assert not scene.views(), "it does not rise again"


async def test_over_grpc_a_view_ends_with_its_last_client(scene: Scene) -> None:
    for client, ttl_ms in (("one", 120_000), ("two", 60_000)):
        await scene.over_grpc("v", client_id=client, ttl_ms=ttl_ms)
    assert scene.views()[ViewKey("v")].ttl_ms == 120_000
    await scene.given_up("v", "one")
    await scene.given_up("v", "stranger")
    assert ViewKey("v") in scene.views()
    await scene.over_grpc("v", client_id="two", ttl_ms=60_000)
    assert scene.views()[ViewKey("v")].ttl_ms == 60_000, "whoever is alone says how long"
    await scene.given_up("v", "two")
    await scene.gone(ViewKey("v"))
    key = common_pb2.ViewKey(id="v")
    call = scene.mesh.scheduler.views.UnregisterView(views_pb2.UnregisterViewRequest(key=key, client_id="two"))
    assert (await fault_from(call)).code == "SPKY_NOT_FOUND"


async def test_the_sweep_comes_by_itself(database: Database, fresh_database: FreshDatabase) -> None:
    often = {"ttl_cleanup_interval_secs": 1}
    async with small_mesh(database, await fresh_database(database.namespace), of_scheduler=often) as mesh:
        scene = Scene(mesh, database, fresh_database)
        await scene.ask(CREATE + ", ttl = 1ms", row=row("v"), surql="RETURN 1")
        await eventually(lambda: scene.registering.expired, what="the end of its time")
        await eventually(lambda: _nothing_left(scene), what="what was said of it to go")


async def test_where_changes_are_captured_by_events_rows_are_found_all_the_same(
    database: Database, fresh_database: FreshDatabase
) -> None:
    posted = {"capture": "events"}
    async with small_mesh(database, await fresh_database(database.namespace), of_scheduler=posted) as mesh:
        scene = Scene(mesh, database, fresh_database)
        await scene.ask(CREATE, row=row("v"), surql="RETURN 1")
        await scene.shown(row("v"), state="failed")


async def test_what_clients_did_while_the_scheduler_was_down_is_found(
    database: Database, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    await database.query("DEFINE TABLE item; CREATE item:1; CREATE item:2")

    async def mesh() -> AbstractAsyncContextManager[SmallMesh]:
        connections = [await fresh_database(database.namespace) for _ in range(2)]
        return small_mesh(*connections, store=open_store("rocksdb", tmp_path / "store"))

    async with await mesh() as first:
        scene = Scene(first, database, fresh_database)
        for name in ("deleted", "kept", "changed"):
            await scene.ask(CREATE, row=row(name), surql=SURQL)
            await scene.shown(row(name), state="live")
        await scene.over_grpc("http")
        await scene.shown(row("http"), state="live")
        bad = "SELECT * FROM item ORDER BY rand()"
        await scene.ask(CREATE, row=row("refused"), surql=bad)
        await scene.shown(row("refused"), state="failed")
    await scene.ask("DELETE $rows", rows=[row("deleted"), row("refused")])
    await scene.ask(CREATE, row=row("made"), surql=SURQL)
    await scene.ask("UPDATE $row SET surql = $surql", row=row("changed"), surql="SELECT * FROM item WHERE id = item:1")
    async with await mesh() as second:
        scene = Scene(second, database, fresh_database)
        await scene.shown(row("made"), state="live", rowCount=2)
        await scene.shown(row("changed"), state="live", rowCount=1)
        await eventually(lambda: {key.id for key in scene.views()} == {"kept", "made", "changed", "http"}, what="views")
        assert not scene.views()[ViewKey("http")].by_row
        await scene.gone(ViewKey("deleted"))
        await scene.sweep()
        assert await scene.ask("SELECT VALUE id FROM _00_view WHERE by != NONE") == []


async def test_without_an_ssp_a_row_waits_and_says_so(database: Database, fresh_database: FreshDatabase) -> None:
    await install(database)
    await database.query("DEFINE TABLE item; CREATE item:1")
    async with Scheduler(MemoryDatastore(), await fresh_database(database.namespace)) as scheduler:
        await database.query(CREATE, {"row": row("v"), "surql": SURQL})

        async def shown() -> object:
            return (await database.query("SELECT VALUE error FROM _00_query WHERE state = 'pending'"))[0]

        assert "no ready ssp" in str(await eventually(lambda: _said(shown), what="why it waits"))
        peer = Peer(scheduler.address, "one")
        try:
            await peer.join()
            await eventually(lambda: ViewKey("v") in scheduler.driver.coordinator.views, what="registered")
        finally:
            await peer.close()


async def _said(shown: Callable[[], Awaitable[object]]) -> object:
    found = await shown()
    return found if found not in ([], [NONE]) else None


async def test_a_user_registers_no_more_views_than_he_may(scene: Scene) -> None:
    ann, bob = await scene.signed_in(ANN), await scene.signed_in(BOB)
    for client, user in ((ann, ANN), (bob, BOB)):
        for name in ("a", *range(19)):
            await client.query("CREATE $row SET surql = $surql", {"row": row([str(name), user]), "surql": SURQL})
    await eventually(lambda: len(scene.views()) == 40, what="as many as they may")
    await ann.query("CREATE $row SET surql = $surql", {"row": row(["c", ANN]), "surql": SURQL})
    assert "holds 20 views" in (await scene.shown(row(["c", ANN]), state="failed"))["error"]
    assert scene.registering.metrics()["row_views"] == 40 and scene.registering.refused == 1
    await ann.query("DELETE $row", {"row": row(["a", ANN])})
    await scene.gone(ViewKey("a", "user:ann"))
    await scene.sweep()
    await scene.shown(row(["c", ANN]), state="live", error=NONE)


async def test_what_is_too_long_or_has_no_form_on_the_wire_is_refused_by_the_database(scene: Scene) -> None:
    with refused("65536 characters"):
        await scene.ask(CREATE, row=row("v"), surql="x" * 70_000)
    with refused("CBOR"):
        await scene.ask(f"{CREATE}, params = {{n: /a/}}", row=row("v"), surql=SURQL)
    subscribers = [{"id": "c", "seenAt": (await scene.ask("RETURN time::now()"))}] * 1_001
    with refused("1000 subscribers"):
        await scene.ask(f"{CREATE}, subscribers = $all", row=row("v"), surql=SURQL, all=subscribers)
