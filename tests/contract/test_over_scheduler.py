"""The gateway over a real scheduler: what one door wrote, the other reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.discovery import resolve_scheduler
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.driver import SchedulerDriver

from tests.harness.eventually import eventually


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """The scheduler's API over a scheduler without a database: its tables live by /ingest alone."""
    driver = SchedulerDriver(SchedulerSettings(grpc_addr="127.0.0.1:0"), MemoryDatastore(), None)
    server = GatewayServer(GatewaySettings(listen_addr="127.0.0.1:0"), "scheduler", await driver.start())
    async with aiohttp.ClientSession(await server.start()) as session:

        async def ready() -> bool:
            async with session.get("/health/ready") as response:
                return response.status == 200

        await eventually(ready, 10)
        yield session
    await server.stop()
    await driver.stop()


async def rows(client: aiohttp.ClientSession, query: str, **more: object) -> object:
    async with client.post("/proxy/query", json={"query": query, **more}) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_what_was_ingested_is_read_at_its_revision(client: aiohttp.ClientSession) -> None:
    note = {"table": "note", "op": "CREATE", "id": "note:1", "record": {"text": "one"}}
    async with client.post("/ingest", json=note) as response:
        assert response.status == 200, await response.text()
        first = response.headers["Spky-Revision"]
    lines = b"\n".join(
        orjson.dumps(change)
        for change in (
            {**note, "op": "UPDATE", "record": {"text": "two"}},
            {**note, "id": "2", "record": {"text": "other"}},
            {**note, "id": "note:3", "op": "CREATE"},
            {"table": "note", "id": "note:3", "op": "DELETE"},
        )
    )
    async with client.post("/ingest", data=lines, headers={"Content-Type": "application/x-ndjson"}) as response:
        assert response.status == 200, await response.text()
        last = await response.json()
    assert last["revision"] > first
    assert await rows(client, "SELECT VALUE text FROM note", revision=first) == ["one"]
    assert await rows(client, "SELECT id, text FROM note ORDER BY id", revision=last["revision"]) == [
        {"id": "note:1", "text": "two"},
        {"id": "note:2", "text": "other"},
    ]
    assert await rows(client, "SELECT VALUE id FROM note WHERE text = $text", vars={"text": "other"}) == ["note:2"]


async def test_a4_an_ingest_call_that_is_sent_again_changes_nothing(client: aiohttp.ClientSession) -> None:
    """By its idempotency key, with or without other changes in between."""
    note = {"table": "note", "op": "CREATE", "id": "note:1", "record": {"text": "one"}}

    async def send(text: str, key: str) -> dict[str, object]:
        change = {**note, "op": "UPDATE", "record": {"text": text}}
        async with client.post("/ingest", json=change, headers={"Idempotency-Key": key}) as response:
            assert response.status == 200, await response.text()
            answer: dict[str, object] = await response.json()
            return answer

    first = await send("one", "k1")
    assert await send("one", "k1") == first
    second = await send("two", "k2")
    assert await send("one", "k1") == first
    assert await rows(client, "SELECT VALUE text FROM note") == ["two"]
    async with client.get("/health/snapshot") as response:
        assert (await response.json())["latest_seq"] == second["seq"]


async def test_its_refusals_have_their_documented_status(client: aiohttp.ClientSession) -> None:
    async with client.post("/proxy/query", json={"query": "DELETE note"}) as response:
        assert response.status == 400
    async with client.post("/view/register", json={"id": "v", "surql": "SELECT * FROM note"}) as response:
        assert (response.status, (await response.json())["code"]) == (503, "SPKY_NO_READY_SSP")
    async with client.post("/view/register", json={"id": "v", "surql": "DELETE note"}) as response:
        assert (response.status, (await response.json())["code"]) == (400, "SPKY_UNSUPPORTED_QUERY")
    async with client.post(
        "/view/register", json={"id": "v", "surql": "SELECT * FROM note", "auth": "nobody"}
    ) as response:
        assert (response.status, (await response.json())["code"]) == (400, "SPKY_INVALID")
    for path in ("/view/nope", "/view/_00_query:nope"):
        async with client.get(path) as response:
            assert response.status == 404
    async with client.post("/view/unregister", json={"id": "nope"}) as response:
        assert response.status == 404


async def test_its_own_information(client: aiohttp.ClientSession) -> None:
    async with client.get("/info") as response:
        (own,) = await response.json()
    assert (own["entity"], own["status"]) == ("scheduler", "ready")
    assert await resolve_scheduler(str(client._base_url), 2) == own["grpc_address"]
    async with client.get("/health") as response:
        assert (response.status, (await response.json())["status"]) == (503, "unavailable")
    async with client.get("/metrics/prometheus") as response:
        assert "spky_event_seq" in await response.text()
