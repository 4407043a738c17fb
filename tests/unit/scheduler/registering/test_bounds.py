"""Rows of any size and content: what the database refuses, and that what is there all the same stops no other."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.registering.reading import read_all, read_rows

from tests.conftest import FreshDatabase
from tests.harness.eventually import eventually
from tests.harness.scheduler import fault_from
from tests.harness.small_mesh import small_mesh
from tests.harness.users import DEFINE_ACCESS, claims_of, token_of
from tests.unit.scheduler.registering.test_registering import CREATE, SURQL, Scene, row

ANN = RecordId("user", "ann")
FIVE_MB = "x" * 5_000_000
IMPORT = "OPTION IMPORT; CREATE $row SET surql = $surql, registration = 0, params = "


async def test_the_database_refuses_a_row_that_is_too_large(database: Database, fresh_database: FreshDatabase) -> None:
    await install(database)
    await database.query(DEFINE_ACCESS)
    ann = await fresh_database(database.namespace)
    await ann.rpc("authenticate", [token_of(claims_of(ANN, database.namespace, "main"))])
    now = (await database.query("RETURN time::now()"))[0]
    large: list[tuple[dict[str, Value], str]] = [
        ({"params": {"a": "x" * 1024 * 1024}}, "params are larger"),
        ({"clientId": "x" * 513}, "clientId is longer"),
        ({"format": "x" * 65}, "format is longer"),
        ({"subscribers": [{"id": "x" * 513, "seenAt": now}]}, "id of a subscriber"),
    ]
    for fields, words in large:
        with pytest.raises(QueryError, match=words):
            await ann.query("CREATE $row CONTENT $fields", {"row": row(["v", ANN]), "fields": fields})
    for name in ("a", "b", "c"):
        with pytest.raises(QueryError, match="params are larger"):
            await database.query("CREATE $row SET params = {a: $a}", {"row": row(name), "a": "x" * 3_000_000})
    for client, key in ((ann, ["x" * 513, ANN]), (database, "x" * 513), (database, {"a": "x" * 3_000})):
        with pytest.raises(QueryError, match="id of a query is longer"):
            await client.query("CREATE $row", {"row": row(key)})  # type: ignore[dict-item]
    most: dict[str, Value] = {
        "params": {"a": "x" * (1024 * 1024 - 16)},
        "clientId": "🦊" * 512,
        "format": "x" * 64,
        "surql": "🦊" * 65_536,
        "subscribers": [{"id": "🦊" * 512, "seenAt": now}],
    }
    await ann.query("CREATE $row CONTENT $fields RETURN NONE", {"row": row(["🦊" * 512, ANN]), "fields": most})


async def test_a_row_past_the_rules_is_refused_or_passed_over_and_stops_no_other(
    database: Database, fresh_database: FreshDatabase
) -> None:
    await database.query("DEFINE TABLE item; CREATE item:1")
    async with small_mesh(database, await fresh_database(database.namespace)) as mesh:
        scene = Scene(mesh, database, fresh_database)
        await scene.ask(CREATE, row=row("odd"), surql=SURQL)
        await scene.registered(ViewKey("odd"))
        await scene.ask(IMPORT + "{a: $a}", row=row("large"), surql=SURQL, a=FIVE_MB)
        await scene.ask("OPTION IMPORT; UPDATE $row SET params = {a: /a/}", row=row("odd"))
        await scene.ask(CREATE, row=row("z"), surql=SURQL)
        await scene.registered(ViewKey("z"))
        await scene.sweep()
        assert scene.views().keys() == {ViewKey("odd"), ViewKey("z")}, "what cannot be read stays as it is"
        assert scene.registering.metrics()["rows_unreadable"] == 1 and not scene.registering.lost
        said = await scene.ask("SELECT state, error FROM ONLY _00_view:large")
        assert said["state"] == "failed" and "bytes; use at most 4194304" in said["error"]
        await scene.ask("DELETE $rows RETURN NONE", rows=[row("large"), row("odd")])
        await scene.sweep()  # the feed cannot tell of a row without a form on the wire
        await scene.gone(ViewKey("odd"))
        assert scene.registering.metrics()["rows_unreadable"] == 0


async def test_rows_are_read_in_answers_of_few_bytes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await install(database)
    for n in range(7):
        await database.query("CREATE $row SET params = {a: $a} RETURN NONE", {"row": row(f"{n}"), "a": "x" * 1_000_000})
    await database.query(IMPORT + "{a: $a}", {"row": row("8"), "surql": SURQL, "a": FIVE_MB})
    await database.query("CREATE $row SET registration = 5 RETURN NONE", {"row": row("9")})
    asked: list[int] = []
    query = database.query

    async def counted(surql: str, variables: Any = None, **options: Any) -> list[Any]:
        answer: list[Any] = await query(surql, variables, **options)
        asked.append(len(pack(answer[0])))
        return answer

    monkeypatch.setattr(database, "query", counted)
    [read] = [each async for each in read_all(database)]
    assert [found["id"].key for found in read.rows] == ["0", "1", "2", "3", "4", "5", "6", "8", "9"]
    assert max(asked) < 4_300_000 and "params" not in read.rows[-1] and read.rows[-2]["bytes"] > 5_000_000
    gone = await read_rows(database, [row("none")])
    assert not gone.rows and not gone.unreadable


async def test_tables_that_somebody_removed_are_installed_again(
    database: Database, fresh_database: FreshDatabase
) -> None:
    await database.query("DEFINE TABLE item; CREATE item:1")
    async with small_mesh(database, await fresh_database(database.namespace)) as mesh:
        scene = Scene(mesh, database, fresh_database)
        mesh.scheduler.driver.registering._prepare = partial(install, database)  # type: ignore[union-attr]
        for texts in ("REMOVE TABLE _00_query", "REMOVE TABLE _00_view"):
            await scene.ask(CREATE, row=row("v"), surql=SURQL)
            await scene.registered(ViewKey("v"))
            await scene.ask(texts)
            await scene.sweep()
            await scene.ask("DELETE _00_query RETURN NONE")
            await scene.gone(ViewKey("v"))
            shown = (await scene.ask("INFO FOR DB"))["tables"]
            assert "auth = $auth" in shown["_00_query"] and "auth = $auth" in shown["_00_view"]
        await scene.ask("REMOVE TABLE _00_query; CREATE _00_query:x")
        await scene.sweep()
        await scene.ask("REMOVE TABLE _00_query")
        await scene.sweep()
        await scene.ask(CREATE, row=row("w"), surql=SURQL)
        await scene.shown(row("w"), state="live", rowCount=1)


async def test_over_grpc_a_client_id_is_bounded_too(database: Database, fresh_database: FreshDatabase) -> None:
    await database.query("DEFINE TABLE item")
    async with small_mesh(database, await fresh_database(database.namespace)) as mesh:
        scene = Scene(mesh, database, fresh_database)
        for fields in ({"client_id": "x" * 513}, {"format": "x" * 65}):
            fault = await fault_from(scene.over_grpc("v", **fields))
            assert fault.code == "SPKY_TOO_LARGE"
        await scene.over_grpc("v", client_id="x" * 512, format="x" * 64)
        await eventually(lambda: ViewKey("v") in scene.views(), what="the view")
