"""Records made equal to the database's, in one transaction with all that the feed shows by then.

A record that is read tells of the present; the replica is where the feed has been read to. Folded by itself it would
show a transaction's one record and not its other. So records are read *in one transaction of the database with the
feed's tail* (one snapshot: measured), the tail is folded first, and whatever then still differs is the repair. Several
reads may come before the one `commit`: rows that the tail of a later one shows are folded over what earlier ones read.

A backlog that is folded so is committed in parts, each whole transactions of the database, once it is long. Until the
last is durable the progress says that the replica may differ (`cloned` is false): what was in doubt in a part is found
again only by comparing every table.

Invariant: after `commit` the replica's records that were read, and all that the feed told of meanwhile, are as they
were in the database at one moment, and became so with one seq; in parts (`split`), with the last of several.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sp00ky.proto.database import Database, QueryError, cause_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import PackError, pack, unpack
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.capture.cursor import NEAR_MS, back
from sp00ky.scheduler.capture.feed import Page, Seen, bounded, parsed
from sp00ky.scheduler.capture.offering import Letter, Offering, letters_of
from sp00ky.scheduler.capture.pending import Pending
from sp00ky.scheduler.capture.poison import Record, is_unencodable, poison_of
from sp00ky.scheduler.capture.schema import TABLES_TEXT, computed_fields
from sp00ky.scheduler.datastore.datastore import MetaWrite
from sp00ky.scheduler.intake import KEY_BYTES_MAX, RECORD_BYTES_MAX

if TYPE_CHECKING:
    from sp00ky.scheduler.capture.reader import FeedReader

READS_MAX: Final = 8
FOLDED_CHANGES_MAX: Final = 10_000  # of the feed's tail, in one part
RECORDS_MAX: Final = 1000  # read in one request, unless the feed casts doubt on more

log = logging.getLogger(__name__)


class Alignment:
    """`differing`: records read so far of stored tables that were not as the feed had them, tables apart that are read
    for the first time; `differences`: which they were, as the feed had them and as they are; `bytes_read`: of records,
    packed."""

    def __init__(self, database: Database, offering: Offering, reader: FeedReader) -> None:
        self._database = database
        self._offering = offering
        self._reader = reader
        self._pending = Pending(offering.sink.store)
        self._seen = Seen()
        self._letters: list[Letter] = []
        self.unreadable: dict[Record, str] = {}  # what the database has of them has no form here, and why
        self._since = reader.open_since
        self._high = 0
        self._is_checked = reader.progress.cloned
        self.split = 0
        self.differences: list[tuple[Record, bytes | None, bytes | None]] = []
        self.bytes_read = 0

    def __len__(self) -> int:
        """Records that may change."""
        return len(self._pending)

    async def read(self, records: Iterable[Record]) -> int:
        """Make these equal; how many differ from what the feed says. Raises Fault."""
        wanted = list(dict.fromkeys(records))
        some = (wanted[begin : begin + RECORDS_MAX] for begin in range(0, max(1, len(wanted)), RECORDS_MAX))
        try:
            return sum([await self._read(chunk) for chunk in some])
        except BaseException:
            if self.split:  # what was in doubt in a part is not known to anyone else
                self._offering.stale |= self._offering.schema.keys()
            raise

    async def _read(self, records: Iterable[Record]) -> int:
        wanted = dict.fromkeys(records)
        found: Mapping[Record, bytes] = {}
        read: list[Record] = []
        for _ in range(READS_MAX):
            read = list(wanted)
            found, doubts = await self._snapshot(read)
            if doubts <= wanted.keys():
                break
            wanted.update(dict.fromkeys(doubts))  # read again with these: all that is in doubt at one moment
        differing = 0
        for record in read:
            actual = found.get(record)
            known = self._pending.packed(record)
            if record in self.unreadable or actual == known:
                continue
            self._pending.put(record, actual, self._pending.stamp(record))
            if self._offering.is_settled(record[0]):
                self.differences.append((record, known, actual))
                differing += 1
        return differing

    @property
    def differing(self) -> int:
        return len(self.differences)

    def packed(self, record: Record) -> bytes | None:
        """As it will be."""
        return self._pending.packed(record)

    def keys(self, table: str) -> list[bytes]:
        """Of the rows that this will make or change."""
        return self._pending.keys(table)

    async def commit(self, meta: Sequence[MetaWrite] = ()) -> int:
        """Make it durable, as one transaction; how many changes it was."""
        transaction = await self._pending.transaction()
        progress = self._reader.progress_at(self._high)
        if self.split and self._is_checked and not self._reader.owes_comparison:
            progress = replace(progress, cloned=True)
        await self._offering.offer_aligned(transaction, [progress.as_meta(), *meta], self._letters)
        self._reader.took(self._seen, self._high, progress)
        self._pending, self._seen, self._letters = Pending(self._offering.sink.store), Seen(), []
        self.unreadable = {}
        return len(transaction)

    async def _commit_part(self) -> None:
        """What has been folded, all that came before it, and nothing that came after."""
        self.split += 1
        self._offering.split += 1
        if self.split == 1:
            log.warning("more than %d changes, of which one was in doubt, are committed in parts", FOLDED_CHANGES_MAX)
        progress = replace(self._reader.progress_at(self._high), cloned=False)
        await self._offering.offer_aligned(await self._pending.transaction(), [progress.as_meta()], self._letters)
        self._reader.took(self._seen, self._high, progress)
        self._pending, self._seen, self._letters = Pending(self._offering.sink.store), Seen(), []

    async def _snapshot(self, records: Sequence[Record]) -> tuple[Mapping[Record, bytes], set[Record]]:
        """Fold the feed up to a moment at which these records were read: those that exist, and who is in doubt."""
        doubts: set[Record] = set()
        while True:
            page, rows = await self._read_both(records)
            doubts |= await self._fold(page)
            if page.since is None:
                self._since = max(self._since, back(self._high, NEAR_MS))
                return rows, doubts
            self._since = page.since
            if len(self._pending) >= FOLDED_CHANGES_MAX:
                await self._commit_part()

    async def _read_both(self, records: Sequence[Record]) -> tuple[Page, Mapping[Record, bytes]]:
        """A page of the feed and the records that exist, of one moment, with what the tables compute at that moment."""
        tables = {table for table, _ in records}
        while True:
            ids = [RecordId(table, unpack(key)) for table, key in records if table in tables]
            since = self._reader.cursor.jump(self._since)
            page_text, entries = self._reader.page_text(since), self._reader.paging.entries
            names = sorted({record_id.table for record_id in ids})
            infos = "".join(f"INFO FOR TABLE {escape_ident(name)} STRUCTURE; " for name in names)
            text = f"BEGIN; {page_text}; {infos}SELECT * FROM $ids; COMMIT" if ids else f"BEGIN; {page_text}; COMMIT"
            await self._database.connect()
            try:
                results = await self._database.query_raw(text, {"ids": ids})
            except QueryError as error:
                if not is_unencodable(error):
                    raise
                self._since = max(self._since, await self._reader.readable_since(self._since))
                records = await self._readable(records)
                continue
            except Fault as fault:
                await self._reader.lost(self._since, fault)
                self._since = max(self._since, self._reader.cursor.floor)
                continue
            failure = cause_of(results)
            if failure is None:
                page = await parsed(results[1].result, entries)
                computed = {name: computed_fields(info.result) for name, info in zip(names, results[2:], strict=False)}
                return page, self._packed(results[-2].result, computed) if ids else {}
            existing = await self._existing()
            if failure.code is not Code.NOT_FOUND or tables <= existing:
                raise failure
            tables &= existing  # a table was removed: its records are not there

    async def _readable(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those without what the database cannot put on the wire; that becomes a dead letter and stays as it is."""
        if not records:
            return records
        ids = [RecordId(table, unpack(key)) for table, key in records]
        try:
            await self._database.query_raw("SELECT * FROM $ids", {"ids": ids})
        except QueryError as error:
            if not is_unencodable(error):
                raise
            if len(records) == 1:
                self.refuse({"id": ids[0]}, error)
                return ()
            half = len(records) // 2
            return [*await self._readable(records[:half]), *await self._readable(records[half:])]
        return records

    async def _existing(self) -> set[str]:
        return {table["name"] for table in (await self._database.query(TABLES_TEXT))[0]}

    async def _fold(self, page: Page) -> set[Record]:
        reader = self._reader
        rows = self._seen.unseen(reader.fresh(page.rows))
        doubts: set[Record] = set()
        epoch, is_checked = reader.progress.source_epoch, self._is_checked
        for row in rows:
            reading = await self._offering.read(row, epoch, self._pending, is_checked=is_checked)
            doubts |= reading.doubts
            self._high = max(self._high, row.stamp)
        self._seen.mark(rows)
        self._letters += letters_of(rows)
        return doubts

    def _packed(self, rows: Sequence[Value], computed: Mapping[str, Collection[str]]) -> Mapping[Record, bytes]:
        records: dict[Record, bytes] = {}
        for row in rows:
            try:
                table = row["id"].table
                record = {name: value for name, value in row.items() if name not in computed[table]}
                key = bounded(pack(record["id"].key), KEY_BYTES_MAX, "key")
                packed = bounded(pack(record), RECORD_BYTES_MAX, "record")
            except (PackError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
                self.refuse(row, error)
                continue
            records[(table, key)] = packed
            self.bytes_read += len(packed)
        return records

    def refuse(self, row: Value, error: Exception) -> None:
        """A record of the database that has no form here: what the replica has of it stays."""
        poison = poison_of(row, error)
        if not any(record in self.unreadable for record in poison.records):
            self._letters.append(("database", 0, poison))
        self.unreadable |= dict.fromkeys(poison.records, poison.reason)
