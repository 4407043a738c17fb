"""The life of one process: set up, start, say where it listens, wait for a signal, drain.

The first SIGTERM or SIGINT drains; the second ends the process at once. A supervised process also drains when its
stdin closes, so that a killed supervisor leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from sp00ky.deploy.logs import set_up_logging
from sp00ky.deploy.telemetry import start_tracing
from sp00ky.proto.settings import MeshSettings, ProcessSettings

EXIT_AT_ONCE = 130

Compose = Callable[[AsyncExitStack], Awaitable[None]]

log = logging.getLogger(__name__)


def run_process(
    service: str,
    settings: ProcessSettings,
    compose: Compose,
    *,
    supervised: bool = False,
    at_once: Callable[[], None] = lambda: None,
) -> None:
    """Run until a signal; returns when drained. `compose` starts everything and announces it; `at_once` is what the
    second signal does before the end. Raises the faults of `compose`."""
    set_up_logging(settings.log_level, service, settings.log_format)
    stop_tracing = start_tracing(settings, service) if isinstance(settings, MeshSettings) else lambda: None
    try:
        asyncio.run(_live(compose, supervised, at_once))
    finally:
        stop_tracing()


async def _live(compose: Compose, supervised: bool, at_once: Callable[[], None]) -> None:
    stopping = stop_on_signals(at_once)
    if supervised:
        await stop_on_closed_stdin(stopping)
    async with AsyncExitStack() as stack:
        if await finished_before(compose(stack), stopping):
            await stopping.wait()
        log.info("draining")


def stop_on_signals(at_once: Callable[[], None]) -> asyncio.Event:
    """An event that the first signal sets; the second calls `at_once` and ends the process."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            at_once()
            os._exit(EXIT_AT_ONCE)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stopping


async def stop_on_closed_stdin(stopping: asyncio.Event) -> None:
    """Set the event when the other end of stdin is gone."""

    class Watch(asyncio.Protocol):
        def connection_lost(self, _error: Exception | None) -> None:
            stopping.set()

    await asyncio.get_running_loop().connect_read_pipe(Watch, sys.stdin)


async def finished_before(work: Awaitable[None], stopping: asyncio.Event) -> bool:
    """Run `work` to its end, raising what it raises; cancel it and return False when `stopping` is set first."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if task.cancelled():
        return False
    task.result()
    return True
