"""The replica compared with the database without reading it: counts and digests made *in* the database, range by range.

    database   page of ids (after, last] ─▶ blake3 of its records' sorted digests ─┐
    replica    the rows whose ids lie in (after, last] ─▶ the same ────────────────┴▶ equal: done
                                        differing: (id, digest) of that page alone ─▶ records that differ ─▶ alignment

A record's digest is the first 16 hex digits of blake3 over SurrealDB's own text of it, which `raw_text` writes alike
for every kind of value (tests/unit/scheduler/capture/test_drift.py). Were it ever otherwise, or while writes go on, a
page differs that is equal: that costs a read of its digests and of the records in question, and nothing else, because
what is repaired is decided by an `Alignment`, at one moment.

Invariant: nothing is repaired but what differed at one moment of the database. Bytes read: about 100 a page, and for
each page that differs its ids and digests and the records that differ. The database works for at most a fifth of the
time, in statements of `PAGE_ROWS` rows; the event loop is held for `SLICE_ROWS` rows at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from blake3 import blake3
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.order import sort_key
from sp00ky.proto.values.pack import PackError, pack, unpack
from sp00ky.proto.values.text import escape_ident, raw_text
from sp00ky.scheduler.capture.alignment import Alignment
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.capture.clone import rows_of
from sp00ky.scheduler.capture.poison import Record
from sp00ky.scheduler.capture.schema import TableSchema
from sp00ky.scheduler.datastore.datastore import Datastore

PAGE_ROWS: Final = 2000
SEGMENT_PAGES: Final = 100  # compared in one pass over the replica's table
SLICE_ROWS: Final = 200
ALIGNED_RECORDS: Final = 1000
DATABASE_SHARE: Final = 0.2
FIRST_SECONDS: Final = 5.0  # after the capture is ready: transactions older than the feed have ended by then
_DIGITS: Final = 16

log = logging.getLogger(__name__)


@dataclass(slots=True)
class TableDrift:
    """`differing`: records that differed at one moment; `repaired` of them, if that was asked for."""

    name: str
    database_rows: int = 0
    replica_rows: int = 0
    differing: int = 0
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """The database's rows with ids in (after, last]; `last` None: to the end of the table."""

    after: RecordId | None
    last: RecordId | None
    rows: int
    digest: str


@dataclass(slots=True)
class Counters:
    checks: int = 0
    failures: int = 0
    differing: int = 0
    repaired: int = 0
    digest_bytes: int = 0  # of ids and digests read
    record_bytes: int = 0  # of records read
    seconds: float = 0.0


@dataclass(slots=True)
class _Range:
    """What the replica has of a page."""

    digests: list[str] = field(default_factory=list)


class Drift:
    """`interval_seconds`: between two checks of everything, 0: none but those that are asked for."""

    def __init__(self, database: Database, capture: Capture, store: Datastore, interval_seconds: float) -> None:
        self._database, self._capture, self._store = database, capture, store
        self._interval_seconds = interval_seconds
        self._one = asyncio.Lock()
        self.counters = Counters()

    @property
    def metrics(self) -> dict[str, float]:
        counters = self.counters
        return {
            "drift_checks": counters.checks,
            "drift_check_failures": counters.failures,
            "drift_differing": counters.differing,
            "drift_repaired": counters.repaired,
            "drift_read_bytes": counters.digest_bytes + counters.record_bytes,
            "drift_check_seconds": counters.seconds,
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
                await self.check((), repair=True)
            except Fault as fault:
                log.warning("the replica could not be compared with the database: %s", fault)

    async def check(self, tables: Sequence[str], *, repair: bool) -> list[TableDrift]:
        """Compare these tables, none: every one. Raises Fault NOT_FOUND (no such table), UNAVAILABLE, TIMEOUT."""
        schema = self._capture.offering.schema
        for name in tables:
            if name not in schema:
                raise Fault(Code.NOT_FOUND, f'table "{name}" is not captured', "captured are the tables of SurrealDB")
        async with self._one:
            began = time.monotonic()
            try:
                names = sorted(tables or (name for name, table in schema.items() if not table.derived))
                found = [await self._check(schema[name], repair) for name in names if not schema[name].dropped]
            except BaseException:
                self.counters.failures += 1
                raise
            finally:
                self.counters.seconds += time.monotonic() - began
            self.counters.checks += 1
        for each in found:
            if each.differing:
                log.warning("table %s: %d records differed, %d repaired", each.name, each.differing, each.repaired)
        return found

    async def _check(self, table: TableSchema, repair: bool) -> TableDrift:
        found = TableDrift(table.name, replica_rows=self._store.count(table.name))
        segment: list[Page] = []
        async for page in self._pages(table):
            found.database_rows += page.rows
            segment.append(page)
            if len(segment) == SEGMENT_PAGES or page.last is None:
                await self._compare(table, segment, found, repair)
                segment = []
        return found

    async def _pages(self, table: TableSchema) -> AsyncIterator[Page]:
        """The last is the one that reaches to the end."""
        after: RecordId | None = None
        while True:
            text = (
                f"LET $rows = ({_digests(table, after)}); RETURN {{ n: count($rows), last: array::last($rows).id,"
                " digest: crypto::blake3(array::join(array::sort($rows.digest), '')) }"
            )
            began = time.monotonic()
            results = await self._database.query_raw(text, {"after": after})
            answer: Mapping[str, Value] = results[1].result if results[0].ok and results[1].ok else {"n": 0}
            rows = answer["n"]
            last = answer["last"] if rows == PAGE_ROWS else None
            self.counters.digest_bytes += 100
            yield Page(after, last, rows, answer["digest"] if rows else _digest_of(()))
            if last is None:
                return
            after = last
            await asyncio.sleep((time.monotonic() - began) * (1 / DATABASE_SHARE - 1))

    async def _compare(self, table: TableSchema, pages: Sequence[Page], found: TableDrift, repair: bool) -> None:
        ranges = [_Range() for _ in pages]
        async for place, _, digest in self._rows_in(table.name, pages):
            ranges[place].digests.append(digest)
        differing = [page for page, mine in zip(pages, ranges, strict=True) if _digest_of(mine.digests) != page.digest]
        for page in differing:
            records = await self._records_differing(table, page)
            for begin in range(0, len(records), ALIGNED_RECORDS):
                chunk = records[begin : begin + ALIGNED_RECORDS]
                count: int = await self._capture.errand(partial(self._align, chunk, repair))
                found.differing += count
                found.repaired += count if repair else 0
                self.counters.differing += count
                self.counters.repaired += count if repair else 0

    async def _align(self, records: Sequence[Record], repair: bool, alignment: Alignment) -> int:
        differing = await alignment.read(records)
        self.counters.record_bytes += alignment.bytes_read
        if repair and differing:
            await alignment.commit()
            self._capture.offering.repairs += differing
        return differing

    async def _records_differing(self, table: TableSchema, page: Page) -> list[Record]:
        """By the digests of now, there and here."""
        rows = await rows_of(self._database, _digests(table, page.after, page.last), _bounds(page))
        theirs: dict[bytes, str] = {}
        for row in rows:
            try:
                theirs[pack(row["id"].key)] = row["digest"]
            except PackError:
                continue  # it is a dead letter since the clone
        self.counters.digest_bytes += sum(len(key) + _DIGITS for key in theirs)
        mine = {key: digest async for _, key, digest in self._rows_in(table.name, [page])}
        keys = [key for key in theirs.keys() | mine.keys() if theirs.get(key) != mine.get(key)]
        return [(table.name, key) for key in sorted(keys)]

    async def _rows_in(self, table: str, pages: Sequence[Page]) -> AsyncIterator[tuple[int, bytes, str]]:
        """(place of the page, packed key, digest) of the replica's rows in these pages, which follow one another."""
        begin = None if pages[0].after is None else sort_key(pages[0].after.key)
        ends = [sort_key(page.last.key) for page in pages if page.last is not None]
        for rows in self._slices(table):
            for row in rows:
                place_key = sort_key(unpack(row.key))
                if begin is not None and place_key <= begin:
                    continue
                place = bisect_left(ends, place_key)
                if place < len(pages):
                    yield place, row.key, record_digest(row.packed)
            await asyncio.sleep(0)

    def _slices(self, table: str) -> Iterator[Sequence[Value]]:
        after = b""
        while rows := self._store.scan(table, self._store.synced_seq, after, SLICE_ROWS):
            after = rows[-1].key
            yield rows


def record_digest(packed: bytes) -> str:
    """As the database makes it of the same record."""
    return blake3(raw_text(unpack(packed)).encode()).hexdigest()[:_DIGITS]


def _digest_of(digests: Sequence[str]) -> str:
    return blake3("".join(sorted(digests)).encode()).hexdigest()


def _digests(table: TableSchema, after: RecordId | None, last: RecordId | None = None) -> str:
    """The statement that gives id and digest of a page, without what is computed, as it is not stored here either."""
    conditions = [*(["id > $after"] if after is not None else []), *(["id <= $last"] if last is not None else [])]
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    omit = f" OMIT {', '.join(map(escape_ident, table.computed))}" if table.computed else ""
    rows = f"SELECT *{omit} FROM {escape_ident(table.name)} {where}ORDER BY id LIMIT {PAGE_ROWS}"
    return f"SELECT id, string::slice(crypto::blake3(<string>$this), 0, {_DIGITS}) AS digest FROM ({rows})"


def _bounds(page: Page) -> dict[str, Value]:
    return {"after": page.after, "last": page.last}
