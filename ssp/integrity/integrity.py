"""What an SSP keeps and does for the comparing of its views, in one place: their trees, and the verifier."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.merkle import Tree
from sp00ky.ssp.edges.writer import EdgeWriter
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import Ready, ViewDelta
from sp00ky.ssp.exact import ExactReads
from sp00ky.ssp.integrity.verifying import Verifier
from sp00ky.ssp.integrity.view_trees import ViewTrees

FORGET_SECONDS = 60.0


class VerifiedViews:
    """The views as the verifier sees them. `carry_out` does what the engine wants done, as after any of its steps."""

    def __init__(
        self, engine: Engine, edges: EdgeWriter, exact: ExactReads, carry_out: Callable[[Ready], None]
    ) -> None:
        self._engine, self._edges, self._carry_out = engine, edges, carry_out
        self.exact = exact

    def view(self, key: ViewKey) -> ViewReading | None:
        return self._engine.view(key)

    def view_keys(self) -> Iterable[ViewKey]:
        return [reading.key for reading in self._engine.views()]

    def is_settled(self, key: ViewKey) -> bool:
        return self._edges.owed.is_settled(key)

    def table_of(self, key: ViewKey) -> str:
        return self._edges.table_of(key)

    def retract(self, delta: ViewDelta) -> None:
        self._edges.take(Ready(deltas=[delta], applied_seq=self._engine.applied_seq))

    def hydrate_anew(self, key: ViewKey) -> None:
        self._engine.rehydrate(key)
        self._carry_out(self._engine.ready())


class Integrity:
    def __init__(self, views: VerifiedViews, verifier: Verifier) -> None:
        self.views, self.verifier = views, verifier
        self.trees = ViewTrees(views.table_of)
        self._one = asyncio.Lock()

    def metrics(self) -> dict[str, float]:
        return {"view_trees": len(self.trees), **self.verifier.metrics()}

    async def tree(self, key: ViewKey, reading: ViewReading) -> Tree:
        """The view's, as of the engine's last step. Raises Fault NOT_READY if the view begins anew meanwhile."""
        async with self._one:
            kept = self.trees.ask(key, time.monotonic())
            if not kept.is_complete:
                for _ in self.trees.fill(key, kept, reading.members):
                    await asyncio.sleep(0)
            if not kept.is_complete:
                raise Fault(Code.NOT_READY, f'view "{key.id}" begins anew', "retry")
            return kept.tree

    def take(self, ready: Ready) -> None:
        """What an engine step did."""
        self.trees.take(ready)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.verifier.run())
            group.create_task(self._forget())

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            self.trees.forget_unasked(time.monotonic())
