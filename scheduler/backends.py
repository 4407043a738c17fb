"""How the backends are: each that has a health path is asked for it every `interval_s`.

A backend is `healthy` (2xx), `unhealthy` (any other answer), `unreachable` (none within CHECK_S), or `unknown` until it
was asked. It is shown, and decides nothing: what runs jobs learns by their answers (`ssp/jobs/breaker.py`). Answers are
read no further than their head, redirects are not followed, and addresses are guarded as a job's are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from sp00ky.proto.jobs.backend import Backend, checked_backends
from sp00ky.proto.jobs.resolver import GuardedResolver
from sp00ky.proto.v1 import admin_pb2

CHECK_S = 3.0


@dataclass(slots=True)
class Health:
    """Times are monotonic seconds; None: never."""

    backend: Backend
    state: str = "unknown"
    checked_at: float | None = None
    healthy_at: float | None = None
    response_s: float = 0.0
    detail: str = ""

    def status(self, now: float) -> admin_pb2.BackendStatus:
        backend = self.backend
        return admin_pb2.BackendStatus(
            name=backend.name,
            url=backend.base_url,
            table=backend.table,
            state=self.state,
            healthcheck=backend.healthcheck,
            checked_age_seconds=-1 if self.checked_at is None else now - self.checked_at,
            healthy_age_seconds=-1 if self.healthy_at is None else now - self.healthy_at,
            response_seconds=self.response_s,
            detail=self.detail,
            port=backend.port or 0,
            env=dict(each.partition("=")[::2] for each in backend.env),
        )


class Backends:
    """`run` is the loop; it ends by cancellation."""

    def __init__(self, backends: Sequence[Backend], interval_s: float) -> None:
        self._interval_s = interval_s
        self._health = [Health(backend) for backend in backends]
        self._changed = asyncio.Event()

    @property
    def configured(self) -> Sequence[Backend]:
        return [health.backend for health in self._health]

    def status(self) -> list[admin_pb2.BackendStatus]:
        now = time.monotonic()
        return [health.status(now) for health in self._health]

    def replace(self, stated: str) -> int:
        """The services whose health is asked for become these; one with the same name and address keeps its state, and
        those that run jobs stay. Raises Fault INVALID."""
        known = {(health.backend.name, health.backend.base_url): health for health in self._health}
        running = [health for health in self._health if health.backend.table]
        names = {health.backend.name for health in running}
        services = [backend for backend in checked_backends(stated) if backend.name not in names]
        fresh = [known.get((backend.name, backend.base_url)) or Health(backend) for backend in services]
        for health, backend in zip(fresh, services, strict=True):
            health.backend = backend
        self._health = [*running, *fresh]
        self._changed.set()
        return len(self._health)

    async def run(self) -> None:
        while True:
            self._changed.clear()
            await asyncio.gather(*(self._check(health) for health in self._health if health.backend.healthcheck))
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _check(self, health: Health) -> None:
        backend = health.backend
        if backend.module:
            return
        begun = time.monotonic()
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(backend.trusted), limit=1)
        timeout = aiohttp.ClientTimeout(total=CHECK_S)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(backend.base_url.rstrip("/") + backend.healthcheck, allow_redirects=False) as response,
            ):
                is_well = 200 <= response.status < 300
                health.state = "healthy" if is_well else "unhealthy"
                health.detail = "" if is_well else f"status {response.status}"
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            health.state = "unreachable"
            health.detail = f"{type(error).__name__}: {error}"[:300]
        health.checked_at = time.monotonic()
        health.response_s = health.checked_at - begun
        if health.state == "healthy":
            health.healthy_at = health.checked_at
