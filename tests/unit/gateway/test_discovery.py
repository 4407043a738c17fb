"""From `SPKY_SCHEDULER_URL` to a gRPC address."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.discovery import resolve_scheduler, with_host_of
from sp00ky.proto.faults import Code, Fault

from tests.harness.served_gateway import Serve, Served


def unused() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    ("url", "address"),
    [("grpc://h:9668", "h:9668"), ("grpc://[::1]:9668", "[::1]:9668"), ("unix:/run/s.sock", "unix:/run/s.sock")],
)
async def test_a_grpc_address_is_taken_as_written(url: str, address: str) -> None:
    assert await resolve_scheduler(url, 0) == address


@pytest.mark.parametrize(
    "url", ["", " , ", "host:9667", "ftp://h:1", "grpc://h", "http://", "http://h:x", "grpc://h:99999"]
)
async def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(Fault) as caught:
        await resolve_scheduler(url, 0)
    assert caught.value.code is Code.INVALID


async def test_a_scheduler_on_every_interface_is_reached_by_the_urls_host(scheduler: Served) -> None:
    client, _ = scheduler
    assert client._base_url is not None
    assert await resolve_scheduler(f"http://127.0.0.1:{client._base_url.port}", 2) == "127.0.0.1:9668"
    assert await resolve_scheduler(f"{unused()}, http://127.0.0.1:{client._base_url.port}/", 2) == "127.0.0.1:9668"


async def test_a_separate_gateway_names_the_host_it_calls_itself(serve: Serve) -> None:
    client, _ = await serve("gateway")
    async with client.get("/info") as response:
        assert (await response.json())[0]["grpc_address"] == "127.0.0.1:9668"


@pytest.mark.parametrize(
    ("url", "address", "found"),
    [
        ("http://mesh:9667", "0.0.0.0:9668", "mesh:9668"),
        ("http://[::1]:9667", "[::]:9668", "[::1]:9668"),
        ("http://mesh:9667", "10.0.0.1:9668", "10.0.0.1:9668"),
    ],
)
def test_a_wildcard_takes_the_urls_host(url: str, address: str, found: str) -> None:
    assert with_host_of(url, address) == found


async def test_it_waits_for_a_scheduler_that_is_still_starting(scheduler: Served) -> None:
    url = unused()
    resolving = asyncio.create_task(resolve_scheduler(url, 10))
    _, mesh = scheduler
    server = GatewayServer(GatewaySettings(listen_addr=url.removeprefix("http://")), "scheduler", mesh.address)
    await server.start()
    assert await resolving == "127.0.0.1:9668"
    await server.stop()


async def test_a_silent_place_is_named_when_time_is_up() -> None:
    with pytest.raises(Fault, match="does not answer") as caught:
        await resolve_scheduler(unused(), 0.1)
    assert caught.value.code is Code.UNAVAILABLE


async def test_another_server_is_no_scheduler(ssp: Served) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    app = web.Application()
    app.router.add_get("/info", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client, _ = ssp
    assert client._base_url is not None
    for port in (runner.addresses[0][1], client._base_url.port):
        with pytest.raises(Fault, match=r"is not a scheduler's|names no grpc_address"):
            await resolve_scheduler(f"http://127.0.0.1:{port}", 0.1)
    await runner.cleanup()
