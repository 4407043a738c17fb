"""Roots and upper nodes of the trees in `_00_merkle`, for whoever looks at the database alone: what changed, at a
bounded rate.

A row says a node: [table, prefix], hash, rows, and the revision at which the tree had it. The root is written of every
table, its 16 children of one that is larger than a leaf. Invariant: what a row says was so at its revision; it is
behind by the interval at most, where SurrealDB takes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Fault
from sp00ky.proto.merkle import Node
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.scheduler.integrity.trees import TableTrees

TABLE: Final = "_00_merkle"
NODES_MAX: Final = 2_000  # written at a time; the rest waits for the next

WRITE: Final = "FOR $node IN $nodes { UPSERT $node.id CONTENT $node RETURN NONE }; DELETE $gone RETURN NONE"

log = logging.getLogger(__name__)
Place = tuple[str, str]  # table, prefix


class Publishing:
    """`interval_secs`: between two writes, 0: never. `may_write`: whether SurrealDB is there to be written to."""

    def __init__(
        self,
        database: Database,
        trees: TableTrees,
        interval_secs: float,
        token: Callable[[Seq], str],
        may_write: Callable[[], bool],
    ) -> None:
        self._database, self._trees, self._interval_secs = database, trees, interval_secs
        self._token, self._may_write = token, may_write
        self._said: dict[Place, Node] = {}
        self.written = 0

    def metrics(self) -> dict[str, float]:
        return {"merkle_published": self.written}

    async def run(self) -> None:
        """Until cancelled."""
        while self._interval_secs:
            await asyncio.sleep(self._interval_secs)
            if not self._may_write():
                continue
            try:
                await self.write()
            except Fault as fault:
                log.warning("nodes of trees were not written to %s: %s", TABLE, fault)

    async def write(self) -> int:
        """What changed since it was written last; how many nodes that were. Raises Fault."""
        async with self._trees.lock:  # the trees are exact, each at its revision
            now = {place: (node, at) for place, node, at in self._nodes()}
        changed = [place for place, (node, _) in now.items() if self._said.get(place) != node][:NODES_MAX]
        gone = [place for place in self._said if place not in now]
        if not changed and not gone:
            return 0
        rows = [_row(place, now[place][0], self._token(now[place][1])) for place in changed]
        await self._database.query(WRITE, {"nodes": rows, "gone": [_id(place) for place in gone]})
        for place in changed:
            self._said[place] = now[place][0]
        for place in gone:
            del self._said[place]
        self.written += len(changed)
        return len(changed)

    def _nodes(self) -> Iterator[tuple[Place, Node, Seq]]:
        for table, kept in self._trees.trees.items():
            yield (table, ""), kept.tree.node(""), kept.at
            if kept.tree.is_inner(""):
                for prefix, node in kept.tree.children("").items():
                    yield (table, prefix), node, kept.at


def _id(place: Place) -> RecordId:
    return RecordId(TABLE, list(place))


def _row(place: Place, node: Node, revision: str) -> dict[str, Value]:
    table, prefix = place
    return {
        "id": _id(place),
        "table": table,
        "prefix": prefix,
        "hash": node.hash,
        "rows": node.rows,
        "revision": revision,
    }
