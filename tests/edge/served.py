"""A served API in a thread of its own, for clients that are not asynchronous: before a fake mesh or a scheduler."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.exchange import Api
from sp00ky.gateway.server import GatewayServer
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.driver import SchedulerDriver

from tests.harness.fake_mesh import FakeMesh, ssp_status

LOCAL = "127.0.0.1:0"
START_SECONDS = 20.0


@asynccontextmanager
async def before_fake_mesh(api: Api) -> AsyncIterator[str]:
    """Its services answer the same whatever is asked: what varies is the edge's own doing."""
    mesh, ssp = FakeMesh(), FakeMesh("", ssp_status())
    behind, own = await mesh.start(), await ssp.start()
    upstream, scheduler = (own, behind) if api == "ssp" else (behind, None)
    server = GatewayServer(GatewaySettings(listen_addr=LOCAL), api, upstream, scheduler)
    yield await server.start()
    for stop in (server.stop, ssp.stop, mesh.stop):
        await stop()


@asynccontextmanager
async def before_scheduler(api: Api) -> AsyncIterator[str]:
    """A scheduler without a database or an SSP: it appends, reads and refuses by itself."""
    driver = SchedulerDriver(SchedulerSettings(grpc_addr=LOCAL), MemoryDatastore(), None)
    server = GatewayServer(GatewaySettings(listen_addr=LOCAL), api, await driver.start())
    yield await server.start()
    await server.stop()
    await driver.stop()


@contextmanager
def in_thread(serving: Callable[[], AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """The URL of what `serving` serves, on an event loop in another thread, until the block ends."""
    begun, url, failed = threading.Event(), [""], []
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        try:
            async with serving() as url[0]:
                begun.set()
                await ended.wait()
        except BaseException as error:
            failed.append(error)
            begun.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert begun.wait(START_SECONDS), "nothing was served in time"
        assert not failed, failed
        yield url[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(START_SECONDS)
        loop.close()
    assert not failed, failed
