"""The tree of every table of the replica, kept as it changes, beside the intake and never on it.

    commit loop ─▶ marks (table, key): a set insertion a change
    once a second ─▶ the marked records read at one revision, digested, put into their trees ─▶ exact at that revision

What is folded is what the records *are* at that revision, so a record that changed a hundred times is digested once,
and folding one twice changes nothing: a fold that fails is made again with the next. While more is written than
SHARE of a core can digest, folds take longer than a second and each record's many changes become one; only past
MARKED_MAX marks is no heed paid to that, so memory is bounded.

A table that has no tree yet is read from the store at one revision in slices, at BUILD_SHARE of a core, after the
scheduler has become ready; what changes meanwhile is marked and folded afterwards. Nothing is stored: to digest a
record costs about what it costs to read and check a stored digest.

Invariant: a tree of `trees` is exact at its `at`, whenever `lock` is free; its records are those of `store.scan(table,
at)`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.merkle import Tree, digest_of_text, packed_digest, place_of
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import unpack
from sp00ky.scheduler.datastore.datastore import Datastore, RowWrite

FOLD_SECONDS: Final = 1.0
SLICE_ROWS: Final = 100
SHARE: Final = 0.05  # of a core, of folding
BUILD_SHARE: Final = 0.2
MARKED_MAX: Final = 500_000
MESH_PREFIX: Final = "_00_"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    folds: int = 0
    records: int = 0  # digested by folds
    leaves: int = 0  # of them, those that were news to their leaf
    seconds: float = 0.0  # of folds, but for their rests
    builds: int = 0


@dataclass(slots=True)
class TableTree:
    """A table's tree, exact at revision `at`."""

    tree: Tree
    at: Seq


class Pace:
    """Gives way after each slice, and rests so that the work takes this share of a core; 1: never rests."""

    def __init__(self, share: float, hurries: Callable[[], bool] = lambda: False) -> None:
        self._share, self._hurries = share, hurries
        self._began = time.monotonic()
        self.seconds = 0.0

    async def rest(self) -> None:
        spent = time.monotonic() - self._began
        self.seconds += spent
        rests = 0.0 if self._hurries() else spent * (1 / self._share - 1)
        await asyncio.sleep(rests)
        self._began = time.monotonic()


class TableTrees:
    """`is_ready`: whether tables may be read to build trees. `marked` is to be told all that is durable."""

    def __init__(self, store: Datastore, is_ready: Callable[[], bool] = lambda: True) -> None:
        self._store, self._is_ready = store, is_ready
        self.trees: dict[str, TableTree] = {}
        self._marks: dict[str, dict[bytes, None]] = {}
        self._written: dict[str, Seq] = {}  # by table: the newest row that was marked
        self._asked = 0  # callers who wait for a fold
        self.lock = asyncio.Lock()
        self.counters = Counters()

    @property
    def marks(self) -> int:
        """Records that wait to be folded."""
        return sum(map(len, self._marks.values()))

    def metrics(self) -> dict[str, float]:
        counters = self.counters
        return {
            "merkle_tables": len(self.trees),
            "merkle_nodes": sum(each.tree.nodes for each in self.trees.values()),
            "merkle_marked": self.marks,
            "merkle_folds": counters.folds,
            "merkle_folded_records": counters.records,
            "merkle_dirty_leaves": counters.leaves,
            "merkle_fold_seconds": counters.seconds,
        }

    def mark(self, rows: Iterable[RowWrite]) -> None:
        """These are durable."""
        marks = self._marks
        for row in rows:
            keys = marks.get(row.table)
            if keys is None:
                keys = marks[row.table] = {}
            keys[row.key] = None
            self._written[row.table] = row.seq

    async def run(self) -> None:
        """Until cancelled: fold, and build what is missing."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._build_missing())
            group.create_task(self._fold_always())

    async def _fold_always(self) -> None:
        while True:
            await asyncio.sleep(FOLD_SECONDS)
            async with self.lock:
                await self._fold(Pace(SHARE, lambda: self._asked > 0 or self.marks > MARKED_MAX))

    async def _build_missing(self) -> None:
        while True:
            for table in self.tables() if self._is_ready() else ():
                if table not in self.trees:
                    self._marks.setdefault(table, {})
                    self.trees[table] = await self.built(table, BUILD_SHARE)
                    self.counters.builds += 1
            await asyncio.sleep(FOLD_SECONDS)

    def tables(self) -> list[str]:
        """Those that have trees, or will."""
        return [name for name in self._store.tables() if not name.startswith(MESH_PREFIX)]

    async def built(self, table: str, share: float) -> TableTree:
        """A tree of the table as it is stored now, apart from the one that is kept."""
        pace, tree = Pace(share, lambda: self._asked > 0), Tree()
        with self._store.holding(self._store.synced_seq) as at:
            for rows in slices(self._store, table, at):
                for key, packed in rows:
                    tree.put(place_of(RecordId(table, unpack(key))), stored_digest(packed))
                await pace.rest()
        return TableTree(tree, at)

    async def settled(self) -> None:
        """Until all that is durable now is in the trees that there are."""
        self._asked += 1
        try:
            async with self.lock:
                await self._fold(Pace(1.0))
        finally:
            self._asked -= 1

    async def tree(self, table: str) -> TableTree:
        """The table's, as of now. Raises Fault NOT_FOUND, NOT_READY while it is built."""
        if table not in self.trees:
            if table in self.tables():
                raise Fault(Code.NOT_READY, f'the tree of table "{table}" is being built', "retry soon")
            raise Fault(Code.NOT_FOUND, f'table "{table}" is not in the replica')
        await self.settled()
        return self.trees[table]

    async def drop_if_wrong(self, table: str, stored: TableTree) -> bool:
        """Whether the kept tree does not say what is stored; it is built again then. Where the table was written since
        it was read, that is not known, and left to another time."""
        async with self.lock:
            kept = self.trees.get(table)
            moved = self._marks.get(table) or self._written.get(table, 0) > stored.at
            if kept is None or moved or kept.tree.node("") == stored.tree.node(""):
                return False
            log.error("the tree of table %s did not say what is stored, and is built again", table)
            del self.trees[table]
            return True

    async def _fold(self, pace: Pace) -> None:
        kept = list(self.trees.values())
        batch = {table: self._marks.pop(table) for table in list(self._marks) if table in self.trees}
        try:
            with self._store.holding(self._store.synced_seq) as at:
                for table, keys in batch.items():
                    await self._put(table, list(keys), at, pace)
        except BaseException:
            for table, keys in batch.items():  # some of it is folded already: it will be again
                self._marks[table] = keys | self._marks.get(table, {})
            raise
        for each in kept:
            each.at = max(each.at, at)
        if batch:
            self.counters.folds += 1
            self.counters.seconds += pace.seconds

    async def _put(self, table: str, keys: Sequence[bytes], at: Seq, pace: Pace) -> None:
        kept = self.trees.get(table)
        if kept is None:
            return  # it is built again, of what is there now
        tree, get = kept.tree, self._store.get
        for begin in range(0, len(keys), SLICE_ROWS):
            for key in keys[begin : begin + SLICE_ROWS]:
                row, place = get(table, key, at), place_of(RecordId(table, unpack(key)))
                news = tree.remove(place) if row is None else tree.put(place, stored_digest(row.packed))
                self.counters.leaves += news
            self.counters.records += min(SLICE_ROWS, len(keys) - begin)
            await pace.rest()


def slices(store: Datastore, table: str, at: Seq) -> Iterator[list[tuple[bytes, bytes]]]:
    """(key, record) of the table's rows at a revision, SLICE_ROWS at a time, both packed."""
    after = b""
    while rows := store.scan(table, at, after, SLICE_ROWS):
        after = rows[-1].key
        yield [(row.key, row.packed) for row in rows]


def stored_digest(packed: bytes) -> int:
    """Of a stored record; of one that cannot be read, a digest that no record has but by chance."""
    try:
        return packed_digest(packed)
    except (ValueError, TypeError, RecursionError):
        return digest_of_text(f"unreadable {packed.hex()}")


__all__ = ["Pace", "TableTree", "TableTrees", "slices", "stored_digest"]
