"""The SSP's documented API: what it answers itself, and what it forwards to its scheduler."""

from __future__ import annotations

import aiohttp
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.v1 import admin_pb2, common_pb2, ingest_pb2, views_pb2

from tests.harness.fake_mesh import NOT_FOUND, FakeMesh, ssp_status, token
from tests.harness.served_gateway import Serve, Served

EVENT = {"table": "user", "op": "CREATE", "id": "user:1", "record": {"name": "Alice"}}
VIEW = {
    "id": "q1",
    "surql": "SELECT * FROM user",
    "clientId": "c",
    "ttl": "10m",
    "lastActiveAt": "2026-01-01T00:00:00Z",
}
FORWARDED = [("/ingest", EVENT), ("/view/register", VIEW), ("/view/unregister", {"id": "q1"})]


@pytest.mark.parametrize(("path", "body"), FORWARDED)
async def test_it_forwards_to_its_scheduler_once_ready(ssp: Served, path: str, body: dict[str, object]) -> None:
    client, scheduler = ssp
    async with client.post(path, json=body) as response:
        assert (response.status, response.headers["Spky-Revision"][:3]) == (200, "v1.")
    assert len(scheduler.asked) == 1
    assert scheduler.ssp is not None
    assert [type(each) for each in scheduler.ssp.asked] == [admin_pb2.GetStatusRequest]


@pytest.mark.parametrize(("path", "body"), FORWARDED)
@pytest.mark.parametrize(("state", "word"), [("bootstrapping", "Bootstrapping"), ("failed", "Failed")])
async def test_it_refuses_until_ready_as_documented(
    ssp: Served, path: str, body: dict[str, object], state: str, word: str
) -> None:
    client, scheduler = ssp
    assert scheduler.ssp is not None
    scheduler.ssp.answers["GetStatus"] = ssp_status(state)
    async with client.post(path, json=body) as response:
        error = await response.json()
        assert (response.status, error["code"]) == (503, "SSP_NOT_READY")
        assert error["message"] == f"SSP is in {word} state"
    assert not scheduler.asked


async def test_ingest_needs_no_content_type(ssp: Served) -> None:
    client, scheduler = ssp
    async with client.post("/ingest", data=b'{"table":"t","op":"delete","id":"t:1"}') as response:
        assert response.status == 200
    assert len(scheduler.last(ingest_pb2.IngestRequest).changes) == 1


@pytest.mark.parametrize(
    ("state", "shown", "status"),
    [
        ("ready", "ready", 200),
        ("bootstrapping", "bootstrapping", 503),
        ("replaying", "bootstrapping", 503),
        ("failed", "failed", 503),
    ],
)
async def test_health_is_open_and_says_the_state(serve: Serve, state: str, shown: str, status: int) -> None:
    client, scheduler = await serve("ssp", secret="s")
    assert scheduler.ssp is not None
    scheduler.ssp.answers["GetStatus"] = ssp_status(state)
    for path in ("/health", "/health/ready"):
        async with client.get(path) as response:
            assert (response.status, await response.json()) == (status, {"status": shown})


async def test_it_reads_its_own_views(ssp: Served) -> None:
    client, scheduler = ssp
    assert scheduler.ssp is not None
    async with client.get("/view/v1?rows=1") as response:
        assert (response.status, (await response.json())["rows"]) == (200, [{"name": "Ada", "age": 36}])
    async with client.get("/debug/view/_00_query:v1") as response:
        assert (await response.json())["view_id"] == "_00_query:v1"
    scheduler.ssp.answers["GetView"] = NOT_FOUND
    async with client.get("/debug/view/nope") as response:
        assert response.status == 404
    assert not scheduler.asked


async def test_a_fully_consistent_read_waits_for_the_schedulers_barrier(ssp: Served) -> None:
    client, scheduler = ssp
    assert scheduler.ssp is not None
    async with client.get("/view/v1?consistency=fully_consistent") as response:
        assert response.status == 200
    scheduler.last(admin_pb2.BarrierRequest)
    request = scheduler.ssp.last(views_pb2.GetViewRequest)
    assert (request.consistency, request.revision) == (common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH, token(50))


async def test_info_version_and_metrics(ssp: Served) -> None:
    client, _ = ssp
    async with client.get("/info") as response:
        (own,) = await response.json()
    assert (own["entity"], own["status"], own["circuit_tables"]) == ("ssp", "ready", {"person": 2})
    assert own["ref_mode"] == "dedicated"
    async with client.get("/version") as response:
        assert await response.json() == {"version": "0.1.0", "service": "ssp", "mode": "streaming"}
    async with client.get("/metrics") as response:
        assert (await response.json())["ssp"]["applied_seq"] == 40
    async with client.get("/metrics/prometheus") as response:
        assert 'spky_event_seq{ssp="ssp-1",stage="applied"} 40.0' in await response.text()


@pytest.mark.parametrize("path", ["/proxy/query", "/query/register", "/ssps"])
async def test_the_schedulers_own_endpoints_are_not_here(ssp: Served, path: str) -> None:
    client, _ = ssp
    async with client.post(path, json={}) as response:
        assert response.status == 404


async def test_without_a_scheduler_there_is_nothing_to_forward_to() -> None:
    mesh = FakeMesh(status=ssp_status())
    server = GatewayServer(GatewaySettings(listen_addr="127.0.0.1:0"), "ssp", await mesh.start())
    async with aiohttp.ClientSession(await server.start()) as client, client.post("/ingest", json=EVENT) as response:
        assert (response.status, (await response.json())["hint"]) == (503, "set SPKY_SCHEDULER_URL")
    await server.stop()
    await mesh.stop()
