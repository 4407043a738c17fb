"""`spky verify`: names what differs on every side, mends it, and its exit code says whether anything is left."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from sp00ky.deploy.cli import app
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import common_pb2, views_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.ssp.engine.events import ViewKey
from typer.testing import CliRunner

from tests.conftest import FreshDatabase
from tests.harness.eventually import eventually
from tests.harness.small_mesh import SmallMesh, small_mesh
from tests.unit.scheduler.test_driver_capture import ready


async def spky(mesh: SmallMesh, *arguments: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    url = f"grpc://{mesh.scheduler.address}"
    result = await asyncio.to_thread(CliRunner().invoke, app, ["verify", *arguments, "--url", url])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


async def test_a_view_that_its_own_query_has_failed_is_skipped_and_fails_nothing(fresh_database: FreshDatabase) -> None:
    namespace = uuid4().hex
    database, own = await fresh_database(namespace), await fresh_database(namespace)
    await database.query("CREATE post:1 SET n = 1")
    async with small_mesh(database, own, view_audit_interval_ms=0) as mesh:
        await ready(mesh.scheduler)
        for view_id, surql in (("v", "SELECT * FROM post"), ("bad", "SELECT * FROM post WHERE string::len(n) > 3")):
            spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id=view_id), surql=surql)
            await mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        await eventually(lambda: mesh.ssp._integrity.views.is_settled(ViewKey("v")), 20)
        code, printed = await spky(mesh)
        assert code == 0 and "skipped, failed: function string::len" in printed
        code, printed = await spky(mesh, "--view", "bad", "--json")
        [view] = json.loads(printed)["views"]
        assert code == 0 and view["skipped"].startswith("failed: function string::len")
        await database.query("DELETE type::table($table)", {"table": mesh.ssp._integrity.views.table_of(ViewKey("v"))})
        assert (await spky(mesh))[0] == 1, "what differs still fails"


def test_a_user_without_views_is_refused() -> None:
    with pytest.raises(Fault, match="needs --view"):
        CliRunner().invoke(app, ["verify", "--auth", "user:a"], catch_exceptions=False)


async def test_verify_names_and_mends_rows_and_edges(fresh_database: FreshDatabase) -> None:
    namespace = uuid4().hex
    database, own = await fresh_database(namespace), await fresh_database(namespace)
    await database.query("FOR $n IN 0..50 { CREATE type::record('post', $n) SET n = $n }; CREATE other:1")
    async with small_mesh(database, own, view_audit_interval_ms=0) as mesh:
        await ready(mesh.scheduler)
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM post", ttl_ms=60_000)
        await mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        await eventually(lambda: mesh.ssp._integrity.views.is_settled(ViewKey("v")), 20)
        assert (await spky(mesh))[0] == 0
        table = mesh.ssp._integrity.views.table_of(ViewKey("v"))
        await database.query(
            "OPTION IMPORT; UPDATE post:7 SET n = -1; DELETE type::table($table) WHERE out = post:9", {"table": table}
        )
        code, printed = await spky(mesh)
        assert code == 1 and "post:7" in printed and "out: post:9" in printed and "n: -1" in printed
        code, printed = await spky(mesh, "post", "--json")
        answer: dict[str, Any] = json.loads(printed)
        assert code == 1 and answer["views"] == [] and [each["name"] for each in answer["tables"]] == ["post"]
        assert (answer["tables"][0]["differing"], answer["tables"][0]["repaired"]) == (1, 0)
        assert answer["tables"][0]["differences"] == [
            {
                "what": "record",
                "id": "post:7",
                "expected": "{ id: post:7, n: -1 }",
                "found": "{ id: post:7, n: 7 }",
            }
        ]
        code, printed = await spky(mesh, "--view", "v")
        assert code == 1 and "post:9" in printed and "post:7" not in printed
        assert (await spky(mesh, "--repair"))[0] == 0
        await eventually(lambda: mesh.ssp._integrity.views.is_settled(ViewKey("v")), 20)
        assert (await spky(mesh))[0] == 0
        row = mesh.scheduler.driver.store.get("post", pack(7))
        assert row is not None and unpack(row.packed)["n"] == -1
        with pytest.raises(Exception, match=r'table "nope" does not exist.*there are: other, post'):
            await spky(mesh, "nope")
    (edges,) = await database.query(f"SELECT VALUE out FROM {table}")
    assert RecordId("post", 9) in edges
