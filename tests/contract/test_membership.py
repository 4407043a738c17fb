"""`/admin/ssp/…`: what operators ask of the SSPs, over HTTP and by the command."""

from __future__ import annotations

import asyncio

from sp00ky.deploy.cli import app
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2
from typer.testing import CliRunner

from tests.harness.served_gateway import Served


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
    assert await spky(client, "drain", "ssp-1") == (0, "ssp-1 drains, views: 3\n")
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
