"""Records what attempts came to: as many as are waiting, in one transaction, each guarded by its own epoch.

Invariant: `record` answers whether the row took it. False is no error: the lease was over, and somebody else has the
job. While the database is away endings wait, and their jobs' slots with them, so that a runner holds no more than its
concurrency. An ending that the row's schema refuses does not hold up the others: the batch is then tried one by one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Fault
from sp00ky.proto.jobs import statements
from sp00ky.proto.jobs.lifecycle import Signal
from sp00ky.proto.values.kinds import NONE, RecordId, Value

BATCH_MAX = 64
CONFLICT_RETRIES = 8
RETRY_S_MAX = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """What a claim under `epoch` came to (NONE: of a runner that knows no epochs). `errors`: the new ones."""

    signal: Signal
    row: RecordId
    epoch: Value
    errors: Sequence[Value] = ()
    result: Value = NONE
    keep_s: int = 0
    pause_ms: int = 0


@dataclass(slots=True)
class _Waiting:
    ending: Ending
    until_s: float  # monotonic; nobody waits for it longer
    recorded: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Recorder:
    """The one writer of endings of an SSP; `run` is its loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self.batches = 0
        self.refused = 0  # endings that the database would not take in any form

    async def record(self, ending: Ending, patience_s: float) -> bool:
        """Whether the row took it within `patience_s`."""
        waiting = _Waiting(ending, time.monotonic() + patience_s)
        self._waiting.append(waiting)
        self._wake.set()
        return await waiting.recorded

    async def run(self) -> None:
        """Ends only by cancellation."""
        delay = 0.0
        while True:
            await self._wake.wait()
            if not self._waiting:
                self._wake.clear()
                continue
            taken = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            try:
                await self._write(taken)
                delay = 0.0
            except Fault as fault:
                log.warning("what became of %d jobs is not recorded yet: %s", len(taken), fault)
                self._put_back(taken)
                delay = min(RETRY_S_MAX, 0.05 + 2 * delay)
                await asyncio.sleep(delay * (0.5 + random.random() / 2))

    def _put_back(self, taken: Sequence[_Waiting]) -> None:
        now = time.monotonic()
        for waiting in reversed(taken):
            if waiting.until_s > now:
                self._waiting.appendleft(waiting)
            elif not waiting.recorded.done():
                waiting.recorded.set_result(False)

    async def _write(self, taken: Sequence[_Waiting]) -> None:
        """Raises Fault where the database cannot be asked, with nothing lost."""
        failpoint("jobs.before_record")
        try:
            outcomes = await self._transact([waiting.ending for waiting in taken])
        except QueryError as error:
            if error.retryable:
                raise
            for waiting in taken:
                self._tell(waiting, await self._alone(waiting.ending))
            return
        failpoint("jobs.recorded")
        for waiting, outcome in zip(taken, outcomes, strict=True):
            self._tell(waiting, outcome)

    @staticmethod
    def _tell(waiting: _Waiting, recorded: bool) -> None:
        if not waiting.recorded.done():
            waiting.recorded.set_result(recorded)

    async def _transact(self, endings: Sequence[Ending]) -> list[bool]:
        texts = [statements.ending(ending.signal, number) for number, ending in enumerate(endings)]
        params: dict[str, Value] = {}
        for number, ending in enumerate(endings):
            params |= statements.ending_params(
                ending.signal, number, row=ending.row, epoch=ending.epoch, errors=ending.errors, result=ending.result,
                keep_s=ending.keep_s, pause_ms=ending.pause_ms,
            )  # fmt: skip
        results = await self._database.query(statements.batch(texts), params, conflict_retries=CONFLICT_RETRIES)
        self.batches += 1
        return [bool(result) for result in results[1:-1]]

    async def _alone(self, ending: Ending) -> bool:
        """By itself; where the table's schema refuses its result, without it."""
        note: Value = {"code": 0, "reason": "the result was refused by the table and not kept"}
        plain = replace(ending, result=NONE, errors=[note, *ending.errors])
        for form in (ending, plain, replace(ending, result=NONE, errors=())):
            try:
                return (await self._transact([form]))[0]
            except QueryError as error:
                if error.retryable:
                    raise
                log.warning("job %s: %s is refused by its table: %s", ending.row, ending.signal, error)
        self.refused += 1
        return False
