"""The gateway over a fake mesh: real HTTP in front, real gRPC behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.exchange import Api, Limits
from sp00ky.gateway.server import GatewayServer

from tests.harness.fake_mesh import FakeMesh, ssp_status

Served = tuple[aiohttp.ClientSession, FakeMesh]
Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(api, secret=…, limits=…)` → (an HTTP client rooted at the server, the mesh behind it). What else is
    named is a setting."""
    opened: list[Callable[[], Awaitable[None]]] = []

    async def start(api: Api = "scheduler", secret: str = "", limits: Limits | None = None, **stated: object) -> Served:
        mesh = FakeMesh(secret)
        address = await mesh.start()
        own = address
        if api == "ssp":
            ssp = FakeMesh(secret, ssp_status())
            own = await ssp.start()
            opened.append(ssp.stop)
            mesh.ssp = ssp
        settings = GatewaySettings.model_validate({"listen_addr": "127.0.0.1:0", "auth_secret": secret} | stated)
        server = GatewayServer(settings, api, own, address if api == "ssp" else None, limits)
        session = aiohttp.ClientSession(await server.start())
        opened.extend((mesh.stop, server.stop, session.close))
        return session, mesh

    yield start
    for close in reversed(opened):
        await close()


@pytest.fixture
async def scheduler(serve: Serve) -> Served:
    return await serve("scheduler")


@pytest.fixture
async def ssp(serve: Serve) -> Served:
    """The mesh is the scheduler behind the SSP; the SSP itself is `mesh.ssp`."""
    return await serve("ssp")
