"""Records that come and go in ways SurrealDB has side effects for, against a whole mesh: edges equal members again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sp00ky.proto.database import Database

from tests.harness.edges import edges_of
from tests.harness.eventually import eventually
from tests.harness.mesh import Mesh, running_mesh

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]
INCREMENTAL = "SELECT * FROM p WHERE n > 0"
REEVALUATED = "SELECT id, n, friend.n AS f FROM p WHERE n > 0"


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path, ssps=1) as mesh:
        yield mesh


async def assert_edges_are_members(mesh: Mesh, database: Database) -> None:
    for view in ("inc", "ree"):
        answer = await mesh.consistent(view)
        expected = {member["id"]: member["version"] for member in answer["members"]}

        async def equal(view: str = view, expected: Any = expected) -> bool:
            return await edges_of(database, view) == expected

        await eventually(equal, 10.0, what=f"edges of {view} to equal {expected}", every_s=0.05)


async def test_g1_edges_of_records_that_are_deleted_and_created_again(mesh: Mesh) -> None:
    """SurrealDB deletes a record's edges with it; a view that nets the two changes must put them back."""
    database = await mesh.database()
    await database.query("CREATE p:1 SET n = 1; CREATE p:2 SET n = 2; CREATE p:3 SET n = 3")
    await mesh.register("inc", INCREMENTAL)
    await mesh.register("ree", REEVALUATED)
    await assert_edges_are_members(mesh, database)
    for text in (
        "DELETE p:1; CREATE p:1 SET n = 1",  # alike
        "BEGIN; DELETE p:2; UPSERT p:2 SET n = 5; COMMIT",
        "DELETE p:3; CREATE p:3 SET n = 0; UPDATE p:3 SET n = 4",
    ):
        await database.query_raw(text)
        await assert_edges_are_members(mesh, database)


async def test_a_table_of_ingest_that_appears_in_surrealdb_is_surrealdbs(mesh: Mesh) -> None:
    """One source per table: once the database has it, rows that only /ingest knew are gone."""
    database = await mesh.database()
    body = {"table": "late", "op": "CREATE", "id": "late:1", "record": {"n": 1}}
    async with mesh.http.post(f"{mesh.url}/ingest", json=body) as response:
        assert response.status == 200, await response.text()
    await mesh.register("late", "SELECT * FROM late")
    assert [row["id"] for row in (await mesh.consistent("late"))["rows"]] == ["late:1"]
    await database.query("CREATE late:2 SET n = 2")

    async def settled() -> bool:
        return [row["id"] for row in (await mesh.view("late", rows="1"))[1]["rows"]] == ["late:2"]

    await eventually(settled, 10.0, what="only the database's rows to be left", every_s=0.05)
