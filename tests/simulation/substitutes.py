"""What of the product's surroundings is replaced while a world runs: clocks, chance, sockets, failpoints. No logic.

Replaced are module attributes, found by name in the modules of the scheduler and the SSP, and put back afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import Any

import sp00ky.proto.failpoints
import sp00ky.scheduler.capture.capture
import sp00ky.scheduler.commit
import sp00ky.scheduler.driver
import sp00ky.scheduler.fanout
import sp00ky.scheduler.registering.specs
import sp00ky.ssp.driver
import sp00ky.ssp.edges.writer
import sp00ky.ssp.reruns
import sp00ky.ssp.rpc.upstream
from sp00ky.proto.memory import Memory
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.registering.specs import shape_of as product_shape_of

from tests.simulation.channel import FakeChannel
from tests.simulation.kernel import RESOLUTION_S, Kernel, Killed, Violation
from tests.simulation.wire import FakeServer, Network

PACKAGES = ("sp00ky.scheduler", "sp00ky.ssp")
# Seconds between what a process does when nothing happens: fewer turns for the same history.
PACE: dict[str, float] = {"TICK_SECONDS": 0.4, "READINESS_SECONDS": 0.5, "RETRY_SECONDS": 0.1, "LOOK_SECONDS": 60.0}
SMALL: dict[str, int] = {"FRAME_ENTRIES_MAX": 4, "RING_ENTRIES_MAX": 40, "FRAMES_CACHED_MAX": 4}


class WorldClock:
    """`time`, of the process that runs."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def monotonic(self) -> float:
        current = self._kernel.current
        return current.time() if current is not None else self._kernel.now

    def monotonic_ns(self) -> int:
        return int(self.monotonic() * 1_000_000_000)

    perf_counter = monotonic

    def time_ns(self) -> int:
        current = self._kernel.current
        return int((current.wall() if current is not None else self._kernel.now) * 1_000_000_000)

    def time(self) -> float:
        return self.time_ns() / 1_000_000_000


class Idle:
    """Stands for the garbage policy and the process's own figures, which have no part in a history."""

    def __init__(self, *_: object) -> None:
        """Nothing to set up."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: 0.0

    def memory_info(self) -> SimpleNamespace:
        return SimpleNamespace(rss=1)

    def cpu_times(self) -> SimpleNamespace:
        return SimpleNamespace(user=0.0, system=0.0)


class Boundless(Memory):
    """What this machine has left, or its container allows, is none of the history's."""

    def __init__(self, *_: object) -> None:
        super().__init__(read=lambda: 1)
        self.bytes_max = 0


class Ears(logging.Handler):
    """What the product logs with a traceback at error level is a bug that it has survived."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(logging.ERROR)
        self._kernel = kernel

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, Killed):
            self._kernel.errors.append(
                Violation(f"{record.getMessage()}: {error!r}").with_traceback(error.__traceback__)
            )


# Parsed once a process, not once a request: pure, and most of what a request costs.
admitted = lru_cache(256)(sp00ky.scheduler.registering.specs.admit)
shapes: dict[str, str] = {}


def shape_of(spec: common_pb2.ViewSpec) -> str:
    if spec.surql not in shapes:
        shapes[spec.surql] = product_shape_of(spec)
    return shapes[spec.surql]


async def wait_for(awaited: Awaitable[Any], seconds: float | None) -> Any:
    """`asyncio.wait_for` as newer Pythons have it: without a task of its own, which is half of an idle loop's cost."""
    async with asyncio.timeout(seconds if seconds is None else max(seconds, RESOLUTION_S)):
        return await awaited


def modules() -> list[ModuleType]:
    return [module for name, module in sorted(sys.modules.items()) if name.startswith(PACKAGES)]


@contextmanager
def surroundings(kernel: Kernel, network: Network) -> Iterator[None]:
    """Run the product in this world."""
    clock, chance = WorldClock(kernel), random.Random(kernel.random.random())

    def failpoint(name: str) -> None:
        current = kernel.current
        if current is not None and current.armed_failpoint == name:
            current.armed_failpoint = ""
            network.count(f"killed at {name}")
            current.kill()
            raise Killed(name)

    undo: list[tuple[ModuleType, str, Any]] = []

    def put(module: ModuleType, name: str, value: object) -> None:
        undo.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    FakeServer.network = network
    replaced = {
        "failpoint": failpoint,
        "open_channel": lambda address, secret="": FakeChannel(network, address),
        "Server": FakeServer,
        "Garbage": Idle,
        "psutil": SimpleNamespace(Process=Idle),
        "Memory": Boundless,
        "version": lambda _: "simulated",
        "admit": admitted,
        "shape_of": shape_of,
        "uuid4": lambda: SimpleNamespace(hex=f"{chance.getrandbits(64):016x}"),
        **PACE,
        **SMALL,
    }
    put(asyncio, "wait_for", wait_for)
    root = logging.getLogger("sp00ky")
    ears, level, propagates = Ears(kernel), root.level, root.propagate
    try:
        for module in modules():
            for name, value in replaced.items():
                if name in vars(module):
                    put(module, name, value)
            if vars(module).get("time") is time:
                put(module, "time", clock)
            if vars(module).get("random") is random:
                put(module, "random", chance)
        root.addHandler(ears)
        root.setLevel(logging.ERROR)
        root.propagate = False
        yield
    finally:
        root.removeHandler(ears)
        root.setLevel(level)
        root.propagate = propagates
        for module, name, value in reversed(undo):
            setattr(module, name, value)
