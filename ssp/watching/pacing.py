"""When those who watch are shown what has changed: at the cuts of the log, and soon after it falls idle between two.

Frames are cut up at the cuts only while somebody watches, since larger steps cost less. A cut that is not in the log
does no harm: states of several SSPs are put together at the cuts that they share, and the end of an idle log is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sp00ky.proto.memory import Memory
from sp00ky.proto.v1 import common_pb2
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.ready import Ready
from sp00ky.ssp.watching.hub import Hub

IDLE_SECONDS: Final = 0.02  # without entries, until what came after the last cut is shown


class Watching:
    """The hub, and its clock. `token` makes the revision of a seq."""

    def __init__(self, engine: Engine, token: Callable[[int], str], memory: Memory) -> None:
        self.hub = Hub(engine, token, memory)
        self._timer: asyncio.TimerHandle | None = None

    def parts(self, entries: Sequence[common_pb2.Entry]) -> Iterator[tuple[Sequence[common_pb2.Entry], bool]]:
        """The frame's entries up to each cut, and whether they end it."""
        if self.hub:
            begin = 0
            for index, entry in enumerate(entries[:-1], 1):
                if entry.cut:
                    yield entries[begin:index], False
                    begin = index
            entries = entries[begin:]
        yield entries, True

    def entered(self, entries: Sequence[common_pb2.Entry]) -> None:
        """These entries were stepped."""
        if not self.hub or not entries:
            return
        last = entries[-1]
        if last.cut:
            self._show(coarse=self.hub.is_coarse(last.at_ms))
        else:
            self._arm()

    def stepped(self, ready: Ready) -> None:
        """Anything was stepped."""
        self.hub.take(ready)
        if self.hub.eager:
            self._arm()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.show)

    def show(self) -> None:
        """Show everything as it is now."""
        self._show(coarse=True)

    def _show(self, *, coarse: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.hub.show(coarse=coarse)
