"""What no change should be: malformed, enormous, very many at once (P1, P2, P4). It costs itself and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sp00ky.proto.database import QueryError

from tests.faults.scene import VIEWS, Scene, running_scene
from tests.harness.eventually import eventually
from tests.harness.mesh_client import SECRET
from tests.harness.processes import spawn
from tests.processes.workload import View

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
MIB = 1024 * 1024
BULK = View("bulk", "SELECT id, part FROM bulk")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, db_ws: str) -> AsyncIterator[Scene]:
    async with running_scene(tmp_path_factory.mktemp("poison"), db_ws, views=[*VIEWS, BULK], ssps=("one",)) as scene:
        await scene.database.query("DEFINE TABLE bulk")
        await scene.settled()
        yield scene


async def sent(scene: Scene, body: bytes) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json"}
    async with scene.parts.http.post(f"{scene.parts.url}/ingest", data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, await answer.json()


def change_of(**fields: Any) -> dict[str, Any]:
    return {"table": "sensor", "op": "CREATE", "id": "sensor:poison", "record": {"value": 1}} | fields


POISON = {
    "a record that is none": (change_of(record=[1]), "record"),
    "nan": (change_of(record={"value": float("nan")}), ""),
    "deep nesting": (change_of(record={"value": "DEEP"}), ""),
    "unknown op": (change_of(op="UPSERT"), "UPSERT"),
    "no id": ({"table": "sensor", "op": "CREATE", "record": {}}, "id"),
    "a table of the mesh": (change_of(table="_00_query", id="_00_query:1"), "_00_query"),
}


@pytest.mark.parametrize("what", POISON)
async def test_p1_a_poisoned_change_is_refused_at_the_door_with_all_of_its_request(scene: Scene, what: str) -> None:
    poison, named = POISON[what]
    good = change_of(id="sensor:beside")
    text = json.dumps([good, poison]).replace('"DEEP"', "[" * 500 + "]" * 500)
    status, body = await sent(scene, text.encode())
    assert status == 400 and body["code"] == "SPKY_INVALID" and named in body["message"], body
    _, posted = await scene.ingest()
    assert posted.status == 200
    await scene.settled()  # which finds a sensor that was never acknowledged


async def spky(scene: Scene, *arguments: str, code: int = 0) -> Any:
    """What `spky dlq …` prints."""
    child = spawn(["dlq", *arguments, "--json", "--url", scene.parts.url, "--secret", SECRET])
    try:
        assert await asyncio.to_thread(child.wait, 30.0) == code, child.said()
        return json.loads(await asyncio.to_thread(child.wait_line))
    finally:
        await asyncio.to_thread(child.close)


async def test_p1_a_poisoned_record_of_surrealdb_is_a_dead_letter_and_the_others_go_on(scene: Scene) -> None:
    """A regex, which SurrealDB itself cannot put on the wire; and what `spky dlq` does about it."""
    database = scene.database
    with pytest.raises(QueryError, match="encode"):
        await database.query(
            "BEGIN; CREATE bulk:poison SET part = 1, r = /ab+/; CREATE bulk:beside SET part = 1; COMMIT"
        )
    await scene.write()

    async def letters() -> list[dict[str, Any]]:
        return [letter for letter in (await spky(scene, "list"))["dead_letters"] if letter["source"] == "database"]

    await eventually(letters, 20.0, what="a dead letter", every_s=0.2)
    (letter,) = await letters()
    assert letter["records"] == ["bulk:poison"] and "encode" in letter["reason"]
    rows = (await scene.parts.consistent(BULK.id))["rows"]
    assert [row["id"] for row in rows] == ["bulk:beside"]
    retried = await spky(scene, "retry", str(letter["id"]), code=1)
    assert retried["failed"] == 1
    await database.query("DELETE bulk:poison, bulk:beside RETURN NONE")
    retried = await spky(scene, "retry", str(letter["id"]))
    assert retried["applied"] == 1 and not await letters()
    await spky(scene, "drop", "--all")
    assert (await spky(scene, "list"))["dead_letters"] == []
    await scene.settled()


async def test_p2_what_is_too_large_is_refused_with_the_limit_and_what_is_below_is_taken(scene: Scene) -> None:
    """A record above 16 MiB, and a key above 64 KiB, are refused; 12 MiB, and 100,000 fields, are a record like any."""
    for large in (change_of(record={"value": "x" * (17 * MIB)}), change_of(id="sensor:" + "k" * MIB)):
        status, body = await sent(scene, json.dumps([large]).encode())
        assert (status, body["code"]) in ((400, "SPKY_INVALID"), (413, "SPKY_TOO_LARGE")), str(body)[:500]
        assert re.search(r"16777216|65536", str(body)), body  # the limit
    for number, record in enumerate(({"value": "x" * (12 * MIB)}, {f"f{n}": n for n in range(100_000)})):
        large = change_of(table="huge", id=f"huge:{number}", record=record)
        status, body = await sent(scene, json.dumps([large]).encode())
        assert status == 200, body
    _, posted = await scene.ingest()
    assert posted.status == 200
    await scene.settled()


async def test_p4_a_transaction_of_very_many_changes_is_seen_whole_and_starves_nobody(scene: Scene) -> None:
    await seen_whole(scene, 5_000)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_p4_a_transaction_of_100_000_changes(tmp_path: Path, db_ws: str) -> None:
    """With the lease that there is by default: to apply so many keeps an SSP from its heartbeats for seconds."""
    lease = {"SPKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS": "15000"}
    async with running_scene(tmp_path, db_ws, lease, ssps=("one",)) as own:
        await own.settled()
        await seen_whole(own, 100_000)


async def seen_whole(scene: Scene, count: int) -> None:
    table = f"bulk{count}"
    await scene.database.query(f"DEFINE TABLE {table}")
    await scene.parts.register(table, f"SELECT part, count() AS n FROM {table} GROUP BY part")
    loaded = asyncio.create_task(load(scene, table, count))
    seen: set[tuple[int, int]] = set()
    others = 0
    while (count, 10) not in seen:
        status, parts = await scene.parts.view(table, rows="1")
        assert status == 200, parts
        seen.add((sum(row["n"] for row in parts["rows"]), len(parts["rows"])))
        assert seen <= {(0, 0), (count, 10)}, "a reader saw a part of the transaction"
        _, posted = await scene.ingest()
        assert posted.status == 200
        others += 1
    await loaded
    assert others > 3
    await scene.write()
    await scene.settled()


async def load(scene: Scene, table: str, count: int) -> None:
    """One transaction."""
    create = f"CREATE type::record('{table}', $n) SET part = $n % 10 RETURN NONE"
    await scene.database.query(f"BEGIN; FOR $n IN 0..{count} {{ {create} }}; COMMIT")
