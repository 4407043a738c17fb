"""What the documents show of HTTP, recorded, against real servers: a scheduler and an SSP over a real database.

Each request is written as the page writes it ("POST /ssp/register {ssp_id, url}"), each answer likewise; the page and
the arrow of its diagram stand beside it. Environment blocks of the page are taken as they are, with places of our own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sp00ky.deploy.compose import compose_scheduler, compose_ssp
from sp00ky.deploy.environment import MODELS
from sp00ky.deploy.ports import free_ports
from sp00ky.proto.database import Database
from sp00ky.proto.settings import load
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings

from tests.conftest import FreshDatabase
from tests.harness.eventually import eventually

# The Architecture page, "Deployment Modes".
SINGLE = """
# No scheduler needed
SURREALDB_ADDR=localhost:8000
LISTEN_ADDR=0.0.0.0:8667
"""
SCHEDULER = """
# Scheduler
SPOOKY_SCHEDULER_INGEST_PORT=9667
SPOOKY_SCHEDULER_DB_URL=surrealdb:8000/rpc
SPOOKY_SCHEDULER_REPLICA_DB_PATH=./data/replica
SPOOKY_SCHEDULER_WAL_PATH=./data/event_wal.log
"""
SSP = """
# SSP instances
SCHEDULER_URL=http://scheduler:9667
SSP_ID=ssp-01 # Unique per instance
"""


def environment(block: str, **places: str) -> dict[str, str]:
    """The block's names and values, hosts and ports replaced by our own."""
    found = dict(re.findall(r"^(\w+)=(\S+)", block, re.M))
    for written, own in places.items():
        assert any(written in value for value in found.values()), written
        found = {name: value.replace(written, own) for name, value in found.items()}
    return found


@dataclass(frozen=True)
class Mesh:
    scheduler: str  # URLs
    ssp: str
    http: aiohttp.ClientSession

    async def ask(self, method: str, url: str, body: object = None, **call: Any) -> tuple[int, Any]:
        async with self.http.request(method, url, json=body, **call) as response:
            text = await response.read()
            return (
                response.status,
                await response.json() if text and response.content_type == "application/json" else {},
            )


@contextlib.asynccontextmanager
async def served(database: Database, url: str, folder: Path, secret: str = "") -> AsyncIterator[Mesh]:
    """A scheduler and an SSP as the page's blocks have them."""
    http, grpc, ssp_http, ssp_grpc = free_ports(4)
    address = url.removeprefix("ws://")
    ours = {"SPKY_DB_NS": database.namespace, "SPKY_DB_NAME": "main", "SPKY_AUTH_SECRET": secret}
    first = environment(SCHEDULER, **{"9667": str(http), "surrealdb:8000/rpc": address, "./data": str(folder)})
    second = environment(SSP, **{"http://scheduler:9667": f"http://127.0.0.1:{http}"})
    loopback = {"SPOOKY_SCHEDULER_INGEST_HOST": "127.0.0.1", "SPKY_SCHEDULER_GRPC_ADDR": f"127.0.0.1:{grpc}"}
    listen = {"LISTEN_ADDR": f"127.0.0.1:{ssp_http}", "SPKY_SSP_GRPC_ADDR": f"127.0.0.1:{ssp_grpc}"}
    others = list(MODELS.values())
    async with AsyncExitStack() as stack:
        await compose_scheduler(stack, load(SchedulerSettings, env={**first, **loopback, **ours}, others=others))
        own = {**second, **listen, **ours, "SURREALDB_ADDR": address}
        await compose_ssp(stack, load(SspSettings, env=own, others=others))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        mesh = Mesh(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{ssp_http}", session)

        async def ready() -> bool:
            return (await mesh.ask("GET", f"{mesh.scheduler}/health"))[0] == 200

        await eventually(ready, 30)
        yield mesh


@pytest.fixture
async def mesh(database: Database, embedded_url: str, tmp_path: Path) -> AsyncIterator[Mesh]:
    await database.query("CREATE user:alice SET name = 'Alice', active = true; CREATE user:bob SET active = false")
    async with served(database, embedded_url, tmp_path) as running:
        yield running


async def test_architecture_lifecycle_of_an_ssp(mesh: Mesh) -> None:
    """SSP->>Scheduler: POST /ssp/register {ssp_id, url} … 202 Accepted {snapshot_seq}; /proxy/query; heartbeats."""
    url = mesh.scheduler
    status, answer = await mesh.ask("POST", f"{url}/ssp/register", {"ssp_id": "ssp-02", "url": "http://127.0.0.1:1"})
    assert status == 202 and answer["snapshot_seq"] > 0
    for handshake in ("/proxy/signin", "/proxy/use"):
        assert (await mesh.ask("POST", f"{url}{handshake}"))[0] == 200
    status, rows = await mesh.ask("POST", f"{url}/proxy/query", {"query": "SELECT * FROM user"})
    assert status == 200 and [row["id"] for row in rows] == ["user:alice", "user:bob"]
    beat = {"ssp_id": "ssp-02", "timestamp": 1_700_000_000, "views": 0}
    for more in ({"cpu_usage": 0.1, "memory_usage": 1024.0}, {"cpu": 0.1, "memory": 1024.0}):
        assert (await mesh.ask("POST", f"{url}/ssp/heartbeat", {**beat, **more}))[0] == 200
    status, error = await mesh.ask("POST", f"{url}/ssp/heartbeat", {**beat, "ssp_id": "never-registered"})
    assert (status, error["code"]) == (404, "SPKY_NOT_FOUND")


async def test_architecture_health_of_an_ssp(mesh: Mesh) -> None:
    """Scheduler->>SSP: GET /health … {status: "ok"}, which the Deployment page's API calls `ready`."""
    assert await mesh.ask("GET", f"{mesh.ssp}/health") == (200, {"status": "ready"})


async def test_architecture_query_registration(mesh: Mesh) -> None:
    """Client->>Scheduler: POST /query/register {query_id, view_plan} … {ssp_id, ssp_url}; then directly to the SSP."""
    plan = {"query_id": "q1", "view_plan": "SELECT * FROM user WHERE active = true"}
    status, placed = await mesh.ask("POST", f"{mesh.scheduler}/query/register", plan)
    assert (status, placed["ssp_id"], placed["query_id"]) == (200, "ssp-01", "q1")
    assert placed["ssp_url"].rstrip("/") == mesh.ssp
    with_rows = {"id": "q1", "surql": plan["view_plan"], "clientId": "c", "ttl": "30m", "rows": 1}
    status, initial = await mesh.ask("POST", f"{mesh.ssp}/view/register", with_rows)
    assert status == 200 and [row["name"] for row in initial["rows"]] == ["Alice"]  # "200 OK + initial results"
    asked = {"consistency": "fully_consistent"}
    status, view = await mesh.ask("GET", f"{placed['ssp_url'].rstrip('/')}/view/q1", params=asked)
    assert status == 200 and [member["id"] for member in view["members"]] == ["user:alice"]


async def test_architecture_data_ingestion(mesh: Mesh) -> None:
    """DB->>Scheduler: change event (CREATE/UPDATE/DELETE) … Update views … 200 OK, at either door."""
    await mesh.ask("POST", f"{mesh.scheduler}/view/register", {"id": "all", "surql": "SELECT * FROM sensor"})
    for door, op, record, members in (
        (mesh.scheduler, "CREATE", {"id": "sensor:1", "value": 1}, ["sensor:1"]),
        (mesh.ssp, "UPDATE", {"id": "sensor:1", "value": 2}, ["sensor:1"]),
        (mesh.scheduler, "DELETE", {}, []),
    ):
        change = {"table": "sensor", "op": op, "id": "sensor:1", "record": record}
        status, answer = await mesh.ask("POST", f"{door}/ingest", change)
        assert status == 200
        asked = {"consistency": "at_least_as_fresh", "revision": answer["revision"]}
        status, view = await mesh.ask("GET", f"{mesh.scheduler}/view/all", params=asked)
        assert (status, [each["id"] for each in view["members"]]) == (200, members)


async def test_deployment_any_bearer_will_do_without_a_secret(mesh: Mesh) -> None:
    """SPKY_AUTH_SECRET: when unset the auth middleware accepts any bearer."""
    for headers in ({}, {"Authorization": "Bearer anything"}):
        for url in (mesh.scheduler, mesh.ssp):
            assert (await mesh.ask("GET", f"{url}/views", headers=headers))[0] == 200


async def test_deployment_a_secret_is_asked_for(database: Database, embedded_url: str, tmp_path: Path) -> None:
    """When set, callers to /proxy/* must send Authorization: Bearer <secret>; so must those of the SSP's API."""
    async with served(database, embedded_url, tmp_path, "open sesame") as mesh:
        bearer = {"Authorization": "Bearer open sesame"}
        query = {"query": "SELECT * FROM user"}
        for headers, status in (({}, 401), ({"Authorization": "Bearer other"}, 401), (bearer, 200)):
            assert (await mesh.ask("POST", f"{mesh.scheduler}/proxy/query", query, headers=headers))[0] == status
            for handshake in ("/proxy/signin", "/proxy/use"):
                assert (await mesh.ask("POST", f"{mesh.scheduler}{handshake}", headers=headers))[0] == status
            assert (await mesh.ask("GET", f"{mesh.ssp}/views", headers=headers))[0] == status
        for path in ("/health", "/version", "/info"):
            assert (await mesh.ask("GET", f"{mesh.ssp}{path}"))[0] == 200


async def test_architecture_a_single_ssp(fresh_database: FreshDatabase, embedded_url: str, tmp_path: Path) -> None:
    """Single SSP (Development): no scheduler needed; the client connects directly to the SSP."""
    database = await fresh_database()
    await database.query("CREATE user:alice SET active = true")
    http, grpc = free_ports(2)
    places = {"localhost:8000": embedded_url.removeprefix("ws://"), "0.0.0.0:8667": f"127.0.0.1:{http}"}
    ours = {"SPKY_DB_NS": database.namespace, "SPKY_DB_NAME": "main", "SPKY_DATA_DIR": str(tmp_path)}
    env = {**environment(SINGLE, **places), **ours, "SPKY_SSP_GRPC_ADDR": f"127.0.0.1:{grpc}"}
    async with AsyncExitStack() as stack:
        await compose_ssp(stack, load(SspSettings, env=env, others=list(MODELS.values())))
        mesh = Mesh("", f"http://127.0.0.1:{http}", await stack.enter_async_context(aiohttp.ClientSession()))

        async def ready() -> bool:
            return (await mesh.ask("GET", f"{mesh.ssp}/health"))[0] == 200

        await eventually(ready, 30)
        view = {"id": "v", "surql": "SELECT * FROM user WHERE active = true", "rows": 1}
        status, answer = await mesh.ask("POST", f"{mesh.ssp}/view/register", view)
        assert (status, [row["id"] for row in answer["rows"]]) == (200, ["user:alice"])
        await database.query("CREATE user:carol SET active = true")
        asked = {"consistency": "fully_consistent"}
        status, read = await mesh.ask("GET", f"{mesh.ssp}/view/v", params=asked)
        assert sorted(each["id"] for each in read["members"]) == ["user:alice", "user:carol"]
