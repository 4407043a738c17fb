"""`/admin/ssp/…`: what operators ask of the SSPs, over HTTP and by the command. `/ssp/…`: SSPs that speak HTTP only."""

from __future__ import annotations

import asyncio

import pytest
from sp00ky.deploy.cli import app
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, membership_pb2
from typer.testing import CliRunner

from tests.harness.fake_mesh import token
from tests.harness.served_gateway import Serve, Served


async def test_an_ssp_is_drained_and_undrained(scheduler: Served) -> None:
    client, mesh = scheduler
    async with client.post("/admin/ssp/ssp-1/drain") as response:
        assert (response.status, await response.json()) == (200, {"ssp_id": "ssp-1", "draining": True, "views": 3})
    async with client.post("/admin/ssp/a%2Fb/drain?undo=1") as response:
        assert (await response.json())["draining"] is False
    assert mesh.asked[-2:] == [
        admin_pb2.DrainSspRequest(ssp_id="ssp-1"),
        admin_pb2.DrainSspRequest(ssp_id="a/b", undo=True),
    ]
    mesh.answers["DrainSsp"] = Fault(Code.NOT_FOUND, 'ssp "x" is not known')
    async with client.post("/admin/ssp/x/drain") as response:
        assert response.status == 404


async def test_ssps_are_told_to_load_anew(scheduler: Served) -> None:
    client, mesh = scheduler
    for path, ssp_id in (("/admin/ssp/resync-all", ""), ("/admin/ssp/ssp-1/resync", "ssp-1")):
        async with client.post(path) as response:
            assert (response.status, await response.json()) == (200, {"marked_for_resync": 1, "ssp_ids": ["ssp-1"]})
        assert mesh.asked[-1] == admin_pb2.ResyncSspsRequest(ssp_id=ssp_id)


async def spky(client: object, *arguments: str) -> tuple[int, str]:
    url = str(client._base_url)  # type: ignore[attr-defined]
    runner = CliRunner()
    result = await asyncio.to_thread(runner.invoke, app, ["ssp", *arguments, "--url", url])
    return result.exit_code, result.output


async def test_the_command(scheduler: Served) -> None:
    client, mesh = scheduler
    code, output = await spky(client, "list")
    assert code == 0 and "ssp-1\tready\t3\t0.5" in output
    assert await spky(client, "drain", "ssp-1") == (
        0,
        "ssp-1 drains, views: 3; they stay until another ssp takes them\n",
    )
    asked = asyncio.create_task(spky(client, "drain", "ssp-1", "--wait", "--json"))
    while len([each for each in mesh.asked if isinstance(each, admin_pb2.DrainSspRequest)]) < 2:
        await asyncio.wait({asked}, timeout=0.01)
    mesh.answers["DrainSsp"] = admin_pb2.DrainSspResponse(views=0)
    assert await asked == (0, '{"ssp_id": "ssp-1", "draining": true, "views": 0}\n')
    assert await spky(client, "undrain", "ssp-1") == (0, "ssp-1 does not drain, views: 0\n")
    assert await spky(client, "resync") == (0, "told to load anew: ssp-1\n")
    mesh.answers["DrainSsp"] = admin_pb2.DrainSspResponse(views=2)
    code, _ = await spky(client, "drain", "ssp-1", "--wait", "--timeout", "0.1")
    assert code == 1


REGISTRATION = {"ssp_id": "ssp-9", "url": "http://10.0.0.7:8667"}  # as documented
HEARTBEAT = {"ssp_id": "ssp-9", "timestamp": 1_700_000_000, "views": 3, "cpu_usage": 0.5, "memory_usage": 2048.0}


async def test_an_ssp_that_speaks_http_only_registers(scheduler: Served) -> None:
    client, mesh = scheduler
    async with client.post("/ssp/register", json=REGISTRATION) as response:
        assert (response.status, await response.json()) == (
            202,
            {"snapshot_seq": 42, "table_hashes": {"person": "b3:00"}, "epoch": 1, "revision": token(42)},
        )
    assert mesh.asked[-1] == membership_pb2.RegisterSspRequest(ssp_id="ssp-9", url="http://10.0.0.7:8667")
    more = {"version": "1.2.3", "env": {"SPKY_SSP_ID": "ssp-9"}}
    async with client.post("/ssp/register", json={**REGISTRATION, **more}) as response:
        assert response.status == 202
    assert (mesh.asked[-1].version, dict(mesh.asked[-1].env)) == ("1.2.3", {"SPKY_SSP_ID": "ssp-9"})
    for fault, status in ((Code.INVALID, 400), (Code.CONFLICT, 409), (Code.NOT_READY, 503), (Code.OVERLOADED, 429)):
        mesh.answers["RegisterSsp"] = Fault(fault, "no")
        async with client.post("/ssp/register", json=REGISTRATION) as response:
            assert response.status == status


async def test_its_heartbeats(scheduler: Served) -> None:
    client, mesh = scheduler
    async with client.post("/ssp/heartbeat", json=HEARTBEAT) as response:
        assert (response.status, await response.read()) == (200, b"")
    assert mesh.asked[-1] == membership_pb2.BeatSspRequest(ssp_id="ssp-9", views=3, cpu_ratio=0.5, memory_bytes=2048)
    unknown = {"ssp_id": "ssp-9", "timestamp": 0, "views": 0, "cpu_usage": None, "memory_usage": None, "version": "1"}
    async with client.post("/ssp/heartbeat", json=unknown) as response:
        assert response.status == 200
    assert mesh.asked[-1] == membership_pb2.BeatSspRequest(ssp_id="ssp-9")
    for fault, status in ((Code.NOT_FOUND, 404), (Code.CONFLICT, 409), (Code.NOT_READY, 503)):
        mesh.answers["BeatSsp"] = Fault(fault, "no")
        async with client.post("/ssp/heartbeat", json=HEARTBEAT) as response:
            assert response.status == status


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/ssp/register", {"ssp_id": "a"}, 422),
        ("/ssp/register", {"url": "http://h"}, 422),
        ("/ssp/register", {"ssp_id": "", "url": "http://h"}, 400),
        ("/ssp/register", {**REGISTRATION, "env": {"A": 1}}, 422),
        ("/ssp/register", {**REGISTRATION, "env": ["A"]}, 422),
        ("/ssp/register", [REGISTRATION], 422),
        ("/ssp/heartbeat", {}, 422),
        ("/ssp/heartbeat", {**HEARTBEAT, "views": "three"}, 422),
        ("/ssp/heartbeat", {**HEARTBEAT, "views": True}, 422),
        ("/ssp/heartbeat", {**HEARTBEAT, "views": -1}, 400),
    ],
)
async def test_what_they_say_wrongly_is_refused(scheduler: Served, path: str, body: object, status: int) -> None:
    client, mesh = scheduler
    async with client.post(path, json=body) as response:
        assert (response.status, "message" in await response.json()) == (status, True)
    assert not mesh.asked


async def test_only_an_ssp_registers_and_only_it_reads_the_shared_pin(serve: Serve) -> None:
    client, mesh = await serve("scheduler", secret="all", client_secret="app", ssp_secret="ssp")
    for bearer, status in (("app", 403), ("ssp", 202), ("all", 202), ("", 401)):
        async with client.post("/ssp/register", json=REGISTRATION, headers=bearing(bearer)) as response:
            assert response.status == status
    for bearer, shared in (("app", False), ("ssp", True)):
        for more, expected in (
            ({}, shared),
            ({"consistency": "minimize_latency"}, False),
            ({"revision": token(42)}, False),
        ):
            body = {"query": "SELECT * FROM t", **more}
            async with client.post("/proxy/query", json=body, headers=bearing(bearer)) as response:
                assert response.status == 200
            assert mesh.asked[-1].shared_pin is expected


def bearing(bearer: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {bearer}"}
