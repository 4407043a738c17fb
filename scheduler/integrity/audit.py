"""The replica held against SurrealDB by descent, without reading either: only what differs is read, and mended.

    the replica, scanned ─▶ a tree of what is stored now ─┐
    SurrealDB: its sums (`proto/sums.py`) ────────────────┴▶ equal, or records that differ ─▶ alignment

The replica's own tree is made from the store each time, so that a value that was altered *there* is found, and so is a
kept tree (`trees.py`) that does not say what is stored.

While writes go on, nodes differ that are equal, and their records are looked at. That costs reads and nothing else: a
record that was written here since the scan is not in question, since the feed told of all of it; and what differs is
decided by an `Alignment`, at one moment of the database.

Invariant: nothing is repaired but what differed at one moment of the database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.merkle import place_of
from sp00ky.proto.sums import Effort, Rows, Sums, descend
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import PackError, pack, unpack
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.capture.alignment import Alignment
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.capture.poison import Record
from sp00ky.scheduler.capture.schema import TableSchema
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.integrity.trees import TableTree, TableTrees, slices

ALIGNED_RECORDS: Final = 1000
NAMED_MAX: Final = 1000  # differences that are named, of one table
HINTED_MAX: Final = 20  # tables, to who has misspelt one
BACKGROUND_SHARE: Final = 0.2
ASKED_SHARE: Final = 0.5  # of the database's time, and of a core for the scan
FIRST_SECONDS: Final = 5.0  # after the capture is ready: transactions older than the feed have ended by then

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """A record, packed, as SurrealDB has it and as the replica had it; None: it has none."""

    record: RecordId
    database: bytes | None
    replica: bytes | None


@dataclass(slots=True)
class Verified:
    """`differing`: records that differed at one moment; `repaired` of them, if that was asked for; `named`: the first
    of them. `read_bytes`: of SurrealDB's answers."""

    name: str
    database_rows: int = 0
    replica_rows: int = 0
    differing: int = 0
    repaired: int = 0
    named: list[Difference] = field(default_factory=list)
    nodes: int = 0
    read_bytes: int = 0


@dataclass(slots=True)
class Counters:
    checks: int = 0
    failures: int = 0
    differing: int = 0
    repaired: int = 0
    nodes: int = 0
    read_bytes: int = 0
    seconds: float = 0.0
    wrong_trees: int = 0  # kept trees that did not say what is stored


class Audit:
    """`interval_seconds`: between two checks of everything, 0: none but those that are asked for."""

    def __init__(
        self, database: Database, capture: Capture, store: Datastore, trees: TableTrees, interval_seconds: float
    ) -> None:
        self._database, self._capture, self._store, self._trees = database, capture, store, trees
        self._interval_seconds = interval_seconds
        self._one = asyncio.Lock()
        self._complete_at = time.monotonic()  # everything was compared, or we began
        self.counters = Counters()

    @property
    def metrics(self) -> dict[str, float]:
        counters = self.counters
        return {
            "audit_checks": counters.checks,
            "audit_failures": counters.failures,
            "audit_differing": counters.differing,
            "audit_repaired": counters.repaired,
            "audit_nodes": counters.nodes,
            "audit_read_bytes": counters.read_bytes,
            "audit_seconds": counters.seconds,
            "audit_wrong_trees": counters.wrong_trees,
            "audit_age_seconds": time.monotonic() - self._complete_at,
        }

    async def run(self) -> None:
        """Until cancelled: a check soon after the start, then every interval, each of which mends what it finds."""
        pause = FIRST_SECONDS
        while self._interval_seconds:
            await asyncio.sleep(pause)
            if self._capture.state != "ready" or self._capture.lost:
                pause = FIRST_SECONDS
                continue
            pause = self._interval_seconds
            try:
                await self.check((), repair=True, share=BACKGROUND_SHARE)
            except Fault as fault:
                log.warning("the replica could not be compared with the database: %s", fault)

    async def check(self, tables: Sequence[str], *, repair: bool, share: float = ASKED_SHARE) -> list[Verified]:
        """Compare these tables, none: every one. Raises Fault NOT_FOUND (no such table), UNAVAILABLE, TIMEOUT."""
        schema = self._capture.offering.schema
        for name in tables:
            if name not in schema:
                there = ", ".join(sorted(each for each, table in schema.items() if not table.dropped)[:HINTED_MAX])
                message = f'table "{name}" does not exist in SurrealDB, or is not captured'
                raise Fault(Code.NOT_FOUND, message, f"there are: {there or 'none'}")
        async with self._one:
            began = time.monotonic()
            try:
                names = sorted(tables or (name for name, table in schema.items() if not table.derived))
                found = [await self._check(schema[name], repair, share) for name in names if not schema[name].dropped]
            except BaseException:
                self.counters.failures += 1
                raise
            finally:
                self.counters.seconds += time.monotonic() - began
            self.counters.checks += 1
            if not tables:
                self._complete_at = time.monotonic()
        for each in found:
            if each.differing:
                log.warning("table %s: %d records differed, %d repaired", each.name, each.differing, each.repaired)
        return found

    async def _check(self, table: TableSchema, repair: bool, share: float) -> Verified:
        found, effort = Verified(table.name), Effort()
        stored = await self._trees.built(table.name, share)
        self.counters.wrong_trees += await self._trees.drop_if_wrong(table.name, stored)
        sums = Sums(self._database, _rows_of(table), share, effort)
        try:
            root = await sums.root()
            found.database_rows, found.replica_rows = root.rows, len(stored.tree)
            if root != stored.tree.node(""):
                depth, differing = await descend(sums, stored.tree, max(root.rows, len(stored.tree)))
                await self._compare(sums, stored, (depth, differing), found, repair)
        finally:
            found.nodes, found.read_bytes = effort.nodes, found.read_bytes + effort.read_bytes
            self.counters.nodes += effort.nodes
            self.counters.read_bytes += found.read_bytes
        return found

    async def _compare(
        self, sums: Sums, stored: TableTree, below: tuple[int, Sequence[str]], found: Verified, repair: bool
    ) -> None:
        """The records below nodes of this depth, by their digests."""
        depth, prefixes = below
        wanted = frozenset(prefixes)
        mine = {place: digest for prefix in prefixes for place, digest in stored.tree.records(prefix)}
        waiting: list[Record] = []
        async for page in sums.records(prefixes, depth):
            for record_id, digest in page:
                place = place_of(record_id)
                if place[:depth] not in wanted or mine.pop(place, None) == digest:
                    continue
                try:
                    waiting.append((found.name, pack(record_id.key)))
                except PackError:
                    continue  # it is a dead letter since the clone
            waiting = await self._align(waiting, stored, found, repair, ALIGNED_RECORDS)
        if mine:  # the database did not show these
            with self._store.holding(self._store.synced_seq) as at:
                for rows in slices(self._store, found.name, at):
                    ids = ((key, RecordId(found.name, unpack(key))) for key, _ in rows)
                    waiting += [(found.name, key) for key, record_id in ids if place_of(record_id) in mine]
                    await asyncio.sleep(0)
        await self._align(waiting, stored, found, repair, 1)

    async def _align(
        self, waiting: list[Record], stored: TableTree, found: Verified, repair: bool, least: int
    ) -> list[Record]:
        """Decide on these, once there are so many; those that go on waiting."""
        while len(waiting) >= least:
            chunk, waiting = waiting[:ALIGNED_RECORDS], waiting[ALIGNED_RECORDS:]
            chunk = [record for record in chunk if not self._is_written_since(record, stored)]
            if chunk:
                await self._capture.errand(partial(self._align_chunk, chunk, found, repair))
        return waiting

    def _is_written_since(self, record: Record, stored: TableTree) -> bool:
        row = self._store.get(*record)
        return row is not None and row.seq > stored.at

    async def _align_chunk(
        self, records: Sequence[Record], found: Verified, repair: bool, alignment: Alignment
    ) -> None:
        await alignment.read(records)
        found.read_bytes += alignment.bytes_read
        differences = [each for each in alignment.differences if each[0][0] == found.name]
        for (table, key), replica, database in differences[: NAMED_MAX - len(found.named)]:
            found.named.append(Difference(RecordId(table, unpack(key)), database, replica))
        count = len(differences)
        found.differing += count
        self.counters.differing += count
        if repair and count:
            await alignment.commit()
            self._capture.offering.repairs += count
            found.repaired += count
            self.counters.repaired += count


def _rows_of(table: TableSchema) -> Rows:
    """Without what is computed, as it is not stored in the replica either."""
    omit = f" OMIT {', '.join(map(escape_ident, sorted(table.computed)))}" if table.computed else ""
    return Rows(f"SELECT *{omit} FROM {escape_ident(table.name)}")
