"""Tables, records and fields with hostile names go through capture, views, edges and verify, and touch nothing else."""

from __future__ import annotations

from uuid import uuid4

from sp00ky.proto.v1 import common_pb2, integrity_pb2, views_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.proto.values.text import escape_ident
from sp00ky.ssp.engine.events import ViewKey

from tests.conftest import FreshDatabase
from tests.harness.eventually import eventually
from tests.harness.small_mesh import small_mesh
from tests.properties.test_hostile_names import HOSTILE_KEYS, INJECTIONS
from tests.unit.scheduler.test_driver_capture import ready

TABLES = INJECTIONS[:10]


async def test_i8_hostile_names_go_through_the_mesh_and_a_canary_survives(fresh_database: FreshDatabase) -> None:
    namespace = uuid4().hex
    database, own = await fresh_database(namespace), await fresh_database(namespace)
    await database.query("DEFINE TABLE canary; CREATE canary:1 SET sings = true")
    for table in TABLES:
        name = escape_ident(table)
        computed = escape_ident(f"made of {table}")
        await database.query(f"DEFINE TABLE {name}; DEFINE FIELD {computed} ON {name} COMPUTED 1")
        for key in HOSTILE_KEYS:
            await database.query(f"CREATE $id SET {name} = 1", {"id": RecordId(table, key)})
    async with small_mesh(database, own, view_audit_interval_ms=0) as mesh:
        await ready(mesh.scheduler)
        keys = [ViewKey(f"view of {table}") for table in TABLES]
        for key, table in zip(keys, TABLES, strict=True):
            name = escape_ident(table)
            wire = common_pb2.ViewKey(id=key.id)
            spec = common_pb2.ViewSpec(key=wire, surql=f"SELECT * FROM {name} WHERE {name} = 1", ttl_ms=60_000)
            await mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        await eventually(lambda: all(map(mesh.ssp._integrity.views.is_settled, keys)), 30)
        store = mesh.scheduler.driver.store
        for table in TABLES:
            (rows,) = await database.query(f"SELECT * FROM {escape_ident(table)}")
            assert len(rows) == len(HOSTILE_KEYS) and store.count(table) == len(HOSTILE_KEYS)
            assert all(store.get(table, pack(row["id"].key)) is not None for row in rows)
        told = await mesh.scheduler.integrity.VerifyTables(integrity_pb2.VerifyTablesRequest())
        assert {each.name for each in told.tables} >= {*TABLES, "canary"}
        assert all(each.database_rows == each.replica_rows and not each.differing for each in told.tables)
        shown = await mesh.scheduler.integrity.VerifyViews(integrity_pb2.VerifyViewsRequest(repair=True))
        assert {each.key.id for each in shown.views} == {key.id for key in keys}
        for each in shown.views:
            assert (each.members, each.edges, len(each.differences)) == (len(HOSTILE_KEYS), len(HOSTILE_KEYS), 0), each
        for key in keys:
            wire = common_pb2.ViewKey(id=key.id)
            await mesh.scheduler.views.UnregisterView(views_pb2.UnregisterViewRequest(key=wire))
        await eventually(lambda: not mesh.ssp.engine.view_count and not mesh.ssp._edges.owed.busy, 30)
    assert await database.query("SELECT * FROM canary; SELECT * FROM _00_list_ref") == [
        [{"id": RecordId("canary", 1), "sings": True}],
        [],
    ]
