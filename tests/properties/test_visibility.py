"""An edge is never seen before the record version that it refers to.

A writer counts records up, and keeps at which seq the log has each count; a reader on a connection of its own reads the
edges, then the records. Whatever it finds, the record is at least as far as the edge's version says.
"""

from __future__ import annotations

import asyncio

import pytest
from sp00ky.proto.database import Database
from sp00ky.proto.v1 import common_pb2, ingest_pb2, proxy_pb2, views_pb2
from sp00ky.proto.values.pack import unpack

from tests.conftest import FreshDatabase
from tests.harness.edges import stored_edges
from tests.harness.scheduler import change
from tests.harness.small_mesh import SmallMesh, small_mesh

RECORDS, ROUNDS = 8, 60


async def counts_at(mesh: SmallMesh, seq: int) -> dict[str, int]:
    """Each record's count in the revision of this seq."""
    token = mesh.ssp.token(seq)
    answer = await mesh.scheduler.proxy.Query(
        proxy_pb2.QueryRequest(query="SELECT VALUE [<string> id, n] FROM item", revision=token)
    )
    return dict(unpack(answer.result))


@pytest.mark.parametrize("hinted", [False, True])
async def test_g3_no_edge_before_its_record(database: Database, fresh_database: FreshDatabase, hinted: bool) -> None:
    """`hinted`: posts tell of what is not committed yet, as events do from inside open transactions; the record is read
    again, so nothing of it shows."""
    await database.query("DEFINE TABLE item")
    own, looking = await fresh_database(database.namespace), await fresh_database(database.namespace)
    seen: set[tuple[str, int, int]] = set()  # record, version of its edge, count of the record after that
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            edges = await stored_edges(looking)
            found = dict((await looking.query("SELECT VALUE [<string> id, n] FROM item"))[0])
            seen.update((edge.member, edge.version, found[edge.member]) for edge in edges)

    async def write(mesh: SmallMesh) -> None:
        for number in range(1, ROUNDS + 1):
            record = f"item:{number % RECORDS}"
            if hinted:
                told = change("item", number % RECORDS, "UPDATE", n=number + 1_000_000)
                await mesh.scheduler.ingest.Ingest(ingest_pb2.IngestRequest(changes=[told]))
            await database.query(f"BEGIN; UPSERT {record} SET n = {number}; SLEEP 5ms; COMMIT", conflict_retries=20)

    async with small_mesh(database, own) as mesh:
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM item")
        await mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        reader = asyncio.create_task(look())
        try:
            await write(mesh)
        finally:
            done.set()
            await reader
        at = {version: await counts_at(mesh, version) for version in {version for _, version, _ in seen}}
        for record, version, count in seen:
            assert count >= at[version][record], f"{record} was {count}, its edge said {at[version][record]}"
    assert len(at) > RECORDS, "edges were seen at many versions"
