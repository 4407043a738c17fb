"""Time, order and chance of one simulated world: a heap of what is due, and an event loop for each process.

The product's own asyncio code runs unchanged; what is simulated is the loop beneath it. A process is a `ProcessLoop`:
it runs when something of its own is due, until it has nothing left to do at that instant (a *turn*, the unit of
`--steps`), it is killed by never being run again (no handler, no `finally` of it matters to anyone), and it is paused
by being run later. All randomness comes from one generator, so a seed is a history.

Invariant: between two turns no process is in the middle of anything but an await.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from typing import Any

UNIX_S = 1_800_000_000.0
RESOLUTION_S = 1e-6  # of every clock
HANDLES_MAX = 200_000  # of one turn: a process that spins at one instant is a bug of its own


class Violation(AssertionError):
    """The world saw what must never be."""


class Killed(BaseException):
    """This process has just died, in the middle of what it did."""


class Kernel:
    """`now`: seconds since the world began. `current`: the process that is running."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.turns = 0
        self.current: ProcessLoop | None = None
        self.loops: list[ProcessLoop] = []
        self.errors: list[BaseException] = []
        self._due: list[tuple[float, float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        """Acts due at one instant come in any order."""
        heapq.heappush(self._due, (when, self.random.random(), next(self._numbers), act, args))

    def after(self, delay: float, act: Callable[..., None], *args: Any) -> None:
        self.at(self.now + delay, act, *args)

    def advance(self) -> None:
        """The next act. There always is one: processes tick."""
        when, _, _, act, args = heapq.heappop(self._due)
        self.now = max(self.now, when)
        act(*args)
        if self.errors:
            raise self.errors[0]

    def end(self) -> None:
        """Let go of every process, quietly."""
        for loop in self.loops:
            loop.alive = False
        for loop in self.loops:
            loop.bury()
        self.loops.clear()
        self._due.clear()


async def elapse(seconds: float) -> None:
    """Let simulated time pass in the process that runs."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    loop.call_later(seconds, lambda: over.done() or over.set_result(None))
    await over


def _run_into(answer: asyncio.Future[Any], func: Callable[..., object], args: tuple[Any, ...]) -> None:
    if answer.done():
        return
    try:
        answer.set_result(func(*args))
    except Exception as error:
        answer.set_exception(error)


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of one process. Its clock is monotonic; `lag` is what it did not count while it was paused."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel, self.name = kernel, name
        self.alive = True
        self.lag = 0.0
        self.wall_offset = 0.0
        self.paused_until = 0.0
        self.armed_failpoint = ""
        self.on_failure: Callable[[BaseException], None] | None = None
        self.on_death: Callable[[ProcessLoop], None] = lambda _: None
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._armed = float("inf")
        self._running = False
        self._tasks: set[asyncio.Task[Any]] = set()
        kernel.loops.append(self)

    # --- clocks ---

    def time(self) -> float:
        return self.kernel.now - self.lag

    def wall(self) -> float:
        return UNIX_S + self.kernel.now + self.wall_offset

    # --- what asyncio asks of a loop ---

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if not self._running:
            self._arm(self.kernel.now)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + max(0.0, delay), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        due = max(when, self.time() + RESOLUTION_S)  # else a wait of nothing would be waited for ever
        heapq.heappush(self._timers, (due, next(self._numbers), handle))
        self._arm(due + self.lag)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when it comes up."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., object], *args: Any
    ) -> asyncio.Future[Any]:
        """A thread, as long as it takes: carried out at one instant, a moment later."""
        answer = self.create_future()
        self.call_later(self.kernel.random.random() * 0.005, _run_into, answer, func, args)
        return answer

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return not self.alive

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.alive and isinstance(error, BaseException) and not isinstance(error, Killed):
            self.fail(error)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    # --- life ---

    def fail(self, error: BaseException) -> None:
        if self.on_failure is not None:
            self.on_failure(error)
        else:
            self.kernel.errors.append(error)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run this in the process; what it raises is the process's failure."""
        task = self.create_task(work)
        task.add_done_callback(self._spawned_ended)
        return task

    def _spawned_ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or not self.alive:
            return
        error = task.exception()
        if error is not None and not isinstance(error, Killed):
            self.fail(error)

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            self.kernel.after(0.0, self.on_death, self)

    def pause(self, seconds: float, *, counts: bool) -> None:
        """Stand still. `counts`: the monotonic clock goes on meanwhile."""
        self.paused_until = self.kernel.now + seconds
        if not counts:
            self.lag += seconds

    def bury(self) -> None:
        """Close what a dead process has left half done, so that nothing of it is told when it is collected."""
        for task in list(self._tasks):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with contextlib.suppress(BaseException):
                task.get_coro().close()  # type: ignore[union-attr]
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()

    # --- running ---

    def _arm(self, when: float) -> None:
        if not self._running and when < self._armed:
            self._armed = when
            self.kernel.at(when, self._turn, when)

    def _turn(self, armed: float) -> None:
        if not self.alive or armed != self._armed:
            return
        kernel = self.kernel
        self._armed = float("inf")
        if kernel.now < self.paused_until:
            self._arm(self.paused_until)
            return
        kernel.turns += 1
        kernel.current, self._running = self, True
        asyncio._set_running_loop(self)
        try:
            self._run(self.time())
        finally:
            asyncio._set_running_loop(None)
            kernel.current, self._running = None, False
        if self.alive and self._ready:
            self._arm(kernel.now)
        elif self.alive and self._timers:
            self._arm(self._timers[0][0] + self.lag)

    def _run(self, now: float) -> None:
        timers, ready = self._timers, self._ready
        while timers and timers[0][0] <= now + 1e-9:
            handle = heapq.heappop(timers)[2]
            if not handle._cancelled:  # type: ignore[attr-defined]
                ready.append(handle)
        left = HANDLES_MAX
        while ready and self.alive:
            next_handle = ready.popleft()
            if not next_handle._cancelled:  # type: ignore[attr-defined]
                next_handle._run()
            left -= 1
            if not left:
                raise Violation(f"{self.name} spins at {self.kernel.now:.3f} s")
