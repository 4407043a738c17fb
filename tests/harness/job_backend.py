"""A backend of jobs over real HTTP that counts: which idempotency keys it has seen, how often, and what it answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class JobBackend:
    """`answer` decides what is said; `held` (set: nothing is held) keeps answers back. A call whose caller has gone
    is not in flight any more."""

    url: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)  # key, path, payload
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: Answering | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)
    inflight: int = 0
    inflight_most: int = 0

    def __post_init__(self) -> None:
        self.held.set()

    @property
    def keys(self) -> Counter[str]:
        return Counter(key for key, _, _ in self.calls)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":  # how it is
            return web.Response(text="well")
        self.calls.append((request.headers.get("Idempotency-Key", ""), request.path_qs, await request.json()))
        self.headers.append(dict(request.headers))
        self.inflight += 1
        self.inflight_most = max(self.inflight, self.inflight_most)
        try:
            await self.held.wait()
            if self.answer is not None:
                return await self.answer(request)
            return web.json_response({"done": request.path})
        finally:
            self.inflight -= 1


@contextlib.asynccontextmanager
async def job_backend() -> AsyncIterator[JobBackend]:
    backend = JobBackend()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", backend.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    backend.url = f"http://127.0.0.1:{port}"
    try:
        yield backend
    finally:
        backend.held.set()
        await runner.cleanup()
