"""Binding, and leaving: one clear line for a taken port, requests in flight finish, nothing waits for ever."""

from __future__ import annotations

import asyncio
import socket
import time

import aiohttp
import pytest
from sp00ky.gateway import server as server_module
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.faults import Fault

from tests.harness.eventually import eventually
from tests.harness.fake_mesh import FakeMesh


def gateway(listen: str, upstream: str = "127.0.0.1:1") -> GatewayServer:
    return GatewayServer(GatewaySettings(listen_addr=listen), "gateway", upstream)


async def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Fault, match=f"^cannot listen on {address}: address already in use"):
            await gateway(address).start()


async def test_an_address_of_another_machine_is_one_clear_line() -> None:
    address = "203.0.113.9:0"
    with pytest.raises(Fault) as caught:
        await gateway(address).start()
    assert caught.value.message.startswith(f"cannot listen on {address}: ")
    assert "\n" not in caught.value.message


async def test_stop_lets_a_request_finish() -> None:
    mesh = FakeMesh()
    server = gateway("127.0.0.1:0", await mesh.start())
    mesh.held = asyncio.Event()
    async with aiohttp.ClientSession(await server.start()) as client:
        request = asyncio.create_task(client.get("/view/v1"))
        await eventually(lambda: bool(mesh.asked), 5)
        stopping = asyncio.create_task(server.stop())
        await eventually(lambda: not _accepts(server.url), 5)
        mesh.held.set()
        assert (await request).status == 200
        await stopping
    await mesh.stop()


async def test_stop_cuts_a_request_that_does_not_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "DRAIN_SECONDS", 0.2)
    mesh = FakeMesh()
    server = gateway("127.0.0.1:0", await mesh.start())
    mesh.held = asyncio.Event()
    async with aiohttp.ClientSession(await server.start()) as client:
        request = asyncio.create_task(client.get("/view/v1"))
        await eventually(lambda: bool(mesh.asked), 5)
        begun = time.monotonic()
        await server.stop()
        assert time.monotonic() - begun < 2
        with pytest.raises(aiohttp.ClientError):
            await request
    await server.stop()
    await mesh.stop()


async def test_a_wildcard_is_not_hidden_from_who_advertises_it() -> None:
    server = gateway("0.0.0.0:0")
    assert (await server.start()).startswith("http://0.0.0.0:")
    await server.stop()


async def test_two_servers_fit_one_process() -> None:
    mesh = FakeMesh()
    address = await mesh.start()
    servers = [gateway("127.0.0.1:0", address) for _ in range(2)]
    urls = {await server.start() for server in servers}
    assert len(urls) == 2
    for server in servers:
        await server.stop()
    await mesh.stop()


def _accepts(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
