"""Readers are woken a few at a time: a change with a thousand readers keeps no request waiting for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

BATCH: Final = 32  # readers woken between two looks at what else there is to do


class Waking:
    """First come, first woken; each once, however often he is named before his turn."""

    def __init__(self) -> None:
        self._asleep: deque[asyncio.Event] = deque()
        self._named: set[asyncio.Event] = set()

    def wake(self, reader: asyncio.Event) -> None:
        if reader.is_set() or reader in self._named:
            return
        self._named.add(reader)
        self._asleep.append(reader)
        if len(self._asleep) == 1:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        for _ in range(min(BATCH, len(self._asleep))):
            reader = self._asleep.popleft()
            self._named.discard(reader)
            reader.set()
        if self._asleep:
            asyncio.get_running_loop().call_soon(self._go_on)
