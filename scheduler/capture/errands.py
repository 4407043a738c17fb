"""What others ask of the capture between two reads of the feed: a dead letter tried again, drift mended.

Invariant: an errand is done by the capture's own task, so nothing else reads the feed or offers meanwhile; each is
answered once, with its result or its fault. A fault that is the database's or the store's is the capture's too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.capture.alignment import Alignment

T = TypeVar("T")
Errand: TypeAlias = tuple[Callable[[Alignment], Awaitable[Any]], asyncio.Future[Any]]
_LOSS: Final = frozenset({Code.UNAVAILABLE, Code.TIMEOUT, Code.FENCED, Code.DISK_FULL, Code.INTERNAL})


class Errands:
    def __init__(self) -> None:
        self._waiting: deque[Errand] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, work: Callable[[Alignment], Awaitable[T]]) -> asyncio.Future[T]:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        return answer

    async def run(self, alignment_of: Callable[[], Alignment]) -> None:
        """All that wait, each with an alignment of its own. Raises Fault if the database or the store is lost."""
        while self._waiting:
            work, answer = self._waiting.popleft()
            if answer.done():
                continue  # who asked went away
            try:
                result = await work(alignment_of())
            except BaseException as error:
                fault = error if isinstance(error, Exception) else Fault(Code.UNAVAILABLE, "capture has ended")
                if not answer.done():
                    answer.set_exception(fault)
                if not isinstance(error, Fault) or error.code in _LOSS:
                    raise
            else:
                if not answer.done():
                    answer.set_result(result)

    def refuse(self, fault: Fault) -> None:
        while self._waiting:
            _, answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(fault)
