"""A stream of events: what is written, and each of its ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from sp00ky.gateway.connections import Connections
from sp00ky.gateway.exchange import Limits
from sp00ky.gateway.server import GuardedSite
from sp00ky.gateway.sse import KEEP_ALIVE, Streams, encode_event
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.proto.faults import Code, Fault

from tests.harness.eventually import eventually

Chunks = Callable[[], AsyncGenerator[bytes, None]]
Open = Callable[..., Awaitable[aiohttp.ClientResponse]]


class Stage:
    """One server whose only endpoint streams `chunks`."""

    def __init__(self, limits: Limits, chunks: Chunks, expires: float | None = None) -> None:
        self.telemetry, self._limits, self._chunks, self._expires = Telemetry(), limits, chunks, expires
        self.streams = Streams(limits, self.telemetry)
        self.session = aiohttp.ClientSession()

    async def start(self) -> aiohttp.ClientResponse:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self.streams.serve(request, self._chunks(), expires=self._expires)

        app = web.Application()
        app.router.add_get("/", handle)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        assert self.runner.server is not None
        site = GuardedSite(self.runner, Connections(self._limits, self.telemetry, self.runner.server), "127.0.0.1", 0)
        await site.start()
        self.response = await self.session.get(f"http://127.0.0.1:{self.runner.addresses[0][1]}/")
        return self.response

    async def stop(self) -> None:
        self.response.close()
        await self.session.close()
        self.streams.close()
        await self.runner.cleanup()

    def counted(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def stage() -> AsyncIterator[Callable[..., Stage]]:
    built: list[Stage] = []

    def build(chunks: Chunks, expires: float | None = None, **limits: int) -> Stage:
        built.append(Stage(Limits(**limits), chunks, expires))
        return built[-1]

    yield build
    for each in built:
        await each.stop()


async def endless() -> AsyncGenerator[bytes, None]:
    yield encode_event(b"1")
    await asyncio.Event().wait()


def test_an_event_is_written_as_the_standard_has_it() -> None:
    assert encode_event(b'{"a":1}', name="sample", event_id="7", retry_ms=500) == (
        b'event: sample\nid: 7\nretry: 500\ndata: {"a":1}\n\n'
    )
    assert encode_event(b"one\ntwo") == b"data: one\ndata: two\n\n"
    assert encode_event(b"") == b"data:\n\n"


async def test_a_quiet_stream_says_that_it_lives(stage: Callable[..., Stage]) -> None:
    response = await stage(endless, keep_alive_ms=20).start()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["Cache-Control"] == "no-store"
    assert await response.content.readexactly(9 + 2 * len(KEEP_ALIVE)) == b"data: 1\n\n" + 2 * KEEP_ALIVE


async def test_a_stream_ends_with_its_source_and_a_fault_is_its_last_event(stage: Callable[..., Stage]) -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield encode_event(b"1")
        raise Fault(Code.UNAVAILABLE, "scheduler went away", "ask again")

    response = await stage(failing).start()
    assert await response.text() == (
        "data: 1\n\nevent: fault\n"
        'data: {"code":"SPKY_UNAVAILABLE","message":"scheduler went away","hint":"ask again"}\n\n'
    )


async def test_a_stream_ends_when_its_bearer_does(stage: Callable[..., Stage]) -> None:
    response = await stage(endless, expires=time.time() + 0.2).start()
    assert await response.text() == "data: 1\n\n"  # a proper end, and no more


async def test_a_stream_ends_when_its_server_does(stage: Callable[..., Stage]) -> None:
    serving = stage(endless)
    response = await serving.start()
    assert await response.content.readexactly(9) == b"data: 1\n\n"
    serving.streams.close()
    assert await response.text() == ""
    async with serving.session.get(response.url) as again:
        assert again.status == 500, "none begins any more; there is no middleware here that makes 503 of it"


async def test_its_source_is_closed_at_once_when_the_reader_leaves(stage: Callable[..., Stage]) -> None:
    closed = asyncio.Event()

    async def watched() -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in endless():
                yield chunk
        finally:
            closed.set()

    serving = stage(watched)
    response = await serving.start()
    await response.content.readexactly(9)
    assert serving.counted("spky_http_streams") == 1
    response.close()
    await asyncio.wait_for(closed.wait(), 5)
    await eventually(lambda: serving.counted("spky_http_streams") == 0)


async def test_l6_a_reader_that_takes_nothing_is_cut_off(stage: Callable[..., Stage]) -> None:
    written = 0

    async def flood() -> AsyncGenerator[bytes, None]:
        nonlocal written
        while True:
            yield encode_event(b"x" * 16_384)
            written += 16_384

    serving = stage(flood, write_timeout_ms=200)
    response = await serving.start()

    def cut() -> bool:
        return (
            sum(
                serving.counted("spky_admission_rejected_total", **{"class": kind, "reason": "write"})
                for kind in ("stream", "connection")
            )
            > 0
        )

    await eventually(cut, 10)
    await eventually(lambda: serving.counted("spky_http_streams") == 0)
    held = written
    with pytest.raises(aiohttp.ClientError):
        await response.read()
    assert written == held, "nothing more was made for it"
