"""Reads that wait: for a view's first result, or until it is exact at or after a seq.

A waiter is woken after every engine step and looks again; how many there are is bounded by the calls in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from sp00ky.proto.faults import RESOURCE_NAME, RESOURCE_TYPE, Code, Fault
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading

FIRST_RESULT_SECONDS = 2.0


class Freshness:
    """What readers wait for on one engine; `stepped` is called after each of its steps."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiters: set[asyncio.Future[None]] = set()

    def stepped(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def view_at_least(self, key: ViewKey, seq: int, timeout_s: float) -> ViewReading:
        """The view once it is hydrated and exact at or after `seq`; raises Fault NOT_FOUND, TIMEOUT. With `seq` 0 (no
        freshness asked for) a view whose first result takes longer than FIRST_RESULT_SECONDS is answered as pending."""
        engine = self._engine
        deadline = time.monotonic() + (timeout_s if seq else min(timeout_s, FIRST_RESULT_SECONDS))
        while True:
            reading = engine.view(key)
            if reading is None and engine.loaded and engine.applied_seq >= seq:
                resource = {RESOURCE_TYPE: "view", RESOURCE_NAME: key.id}
                raise Fault(Code.NOT_FOUND, f'view "{key.id}" is not on this ssp', "", resource)
            if reading is not None and (reading.seq >= max(seq, 1) or self._failed_for_good(reading, seq)):
                return reading
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                if reading is not None and not seq:
                    return reading
                at = reading.seq if reading is not None else engine.applied_seq
                raise Fault(
                    Code.TIMEOUT, f'view "{key.id}" is at {at}, not yet at {seq}', "read it with less freshness"
                )
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await waiter
            self._waiters.discard(waiter)

    def _failed_for_good(self, reading: ViewReading, seq: int) -> bool:
        """The view has failed as of `seq`, and no run under way will say otherwise."""
        return str(reading.state) == "failed" and self._engine.applied_seq >= seq and not reading.unsettled
