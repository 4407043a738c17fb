"""How the backends are: each that has a health path is asked for it every `interval_s`.

A backend is `healthy` (2xx), `unhealthy` (any other answer), `unreachable` (none within CHECK_S), or `unknown` until it
was asked. It is shown, and decides nothing: what runs jobs learns by their answers (`ssp/jobs/breaker.py`). Answers are
read no further than their head, redirects are not followed, and addresses are guarded as a job's are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Fault
from sp00ky.proto.jobs.backend import Backend, checked_backends
from sp00ky.proto.jobs.resolver import GuardedResolver
from sp00ky.proto.v1 import admin_pb2
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.datastore.datastore import Datastore, MetaWrite
from sp00ky.scheduler.outbox_figures import NOTHING, Figures, OutboxFigures

CHECK_S = 3.0
STATED_META = b"backends"  # what was put, and the configuration that it was put beside

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Health:
    """Times are monotonic seconds; None: never."""

    backend: Backend
    state: str = "unknown"
    checked_at: float | None = None
    healthy_at: float | None = None
    response_s: float = 0.0
    detail: str = ""

    def status(self, now: float, figures: Figures = NOTHING) -> admin_pb2.BackendStatus:
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
            breaker=figures.breaker,
            runners=figures.runners,
            running=figures.running,
            last_error=figures.error,
            last_error_age_seconds=max(0.0, time.time() - figures.error_at) if figures.error else 0.0,
            jobs=figures.jobs,
        )


class Backends:
    """`run` is the loop; it ends by cancellation."""

    def __init__(
        self, backends: Sequence[Backend], interval_s: float, database: Database | None = None,
        store: Datastore | None = None,
    ) -> None:  # fmt: skip
        self._interval_s = interval_s
        self._health = [Health(backend) for backend in backends]
        self._changed = asyncio.Event()
        self._configured = repr([(each.name, each.base_url, each.healthcheck) for each in backends if not each.table])
        self.figures = OutboxFigures(database, [backend.table for backend in backends if backend.table])
        if store is not None:
            self._restore(store.meta(STATED_META))

    def _restore(self, kept: bytes | None) -> None:
        """What was put counts until somebody configures other services."""
        if kept is None:
            return
        stated, configured = unpack(kept)
        if configured != self._configured:
            log.info("other services are configured than when PUT /backends replaced them: it counts no more")
            return
        try:
            self.replace(stated)
        except Fault as fault:
            log.warning("what PUT /backends said before is not taken any more: %s", fault)

    def kept(self, stated: str) -> MetaWrite:
        """What to keep of `stated`, so that it outlives this process."""
        return MetaWrite(STATED_META, pack([stated, self._configured]))

    @property
    def configured(self) -> Sequence[Backend]:
        return [health.backend for health in self._health]

    def status(self) -> list[admin_pb2.BackendStatus]:
        now = time.monotonic()
        return [health.status(now, self.figures.of(health.backend.table)) for health in self._health]

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
        await asyncio.gather(self._ask(), self.figures.run())

    async def _ask(self) -> None:
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
        if backend.is_function:
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
