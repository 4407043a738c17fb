"""Waiting for a condition with a deadline: the one way a test waits for something that happens elsewhere."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.005


async def eventually(
    predicate: Callable[[], T | Awaitable[T]], timeout_s: float = 5.0, *, what: str = "", every_s: float = POLL_S
) -> T:
    """The first truthy answer of `predicate` (plain or async); AssertionError after `timeout_s`, with the last one."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    tick = asyncio.Event()  # never set: waiting for it is waiting for the next poll
    while True:
        answer = predicate()
        value: T = await answer if inspect.isawaitable(answer) else answer  # type: ignore[assignment]
        if value:
            return value
        if asyncio.get_running_loop().time() >= deadline:
            raise AssertionError(f"{what or 'condition'} did not hold within {timeout_s:g} s; last answer: {value!r}")
        try:
            await asyncio.wait_for(tick.wait(), every_s)
        except TimeoutError:
            continue
