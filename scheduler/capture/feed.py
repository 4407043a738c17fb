"""SurrealDB's changefeed as transactions: what a page of SHOW CHANGES says, and which of it is new.

One feed row is one committed transaction; inside it changes are ordered by table, and per table as they happened. With
`INCLUDE ORIGINAL` a change is one of

    {'update': record}                            created (without INCLUDE ORIGINAL: written)
    {'current': record, 'update': reverse patch}  updated
    {'delete': {'id': …, 'original': record}}     deleted
    {'define_table': …}                           a table was defined; of what else changes the schema, nothing

A row of an aggregating view has no id there, and one of a plain view is not there at all: neither is read from the
feed. LIMIT counts (row, table) pairs, so a full page may cut its last row: that row is left for the next page. A row
that fills a page alone cannot be read whole (`is_cut`).

Invariant: `FeedRows` leave here complete (`is_cut` apart), in the order of their stamps, each at most once; a change
that cannot be understood is named in `poison` and costs its row nothing else.
Source: reference/surrealdb-embedded.md §2, traps 1–4, reproduced on core 3.2.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, NamedTuple, assert_never

from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import PackError, pack
from sp00ky.scheduler.capture.before import undone
from sp00ky.scheduler.capture.poison import Poison, poison_of
from sp00ky.scheduler.changes import NAME_CHARS_MAX
from sp00ky.scheduler.intake import KEY_BYTES_MAX, RECORD_BYTES_MAX

PAGE_ENTRIES: Final = 1000  # the most that SHOW CHANGES gives
PARSED_AT_ONCE_MAX: Final = 5_000  # changes; more are parsed beside the event loop, which goes on with other work
MESH_PREFIX: Final = "_00_"
PROBE_TABLE: Final = "_00_probe"  # the mesh's own, whose changes are told: see scheduler/probe.py,
QUERY_TABLE: Final = "_00_query"  # and scheduler/registering


class Before(Enum):
    """What a change says of the record before it."""

    ABSENT = "absent"
    PRESENT = "present"
    EXACTLY = "exactly"
    UNKNOWN = "unknown"


class Undo(NamedTuple):
    """An update's new record and the patch that leads back; applied only if somebody asks."""

    record: Mapping[str, Value]
    patch: Sequence[Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class FeedChange:
    table: str
    op: common_pb2.Op
    key: bytes  # packed
    packed: bytes | None  # the record after the change; None for a delete
    before: Before
    original: bytes | None = None  # where `before` is EXACTLY
    undo: Undo | None = None  # where it is PRESENT

    def fits(self, packed: bytes | None) -> bool:
        """Whether this may be the change of a record that was `packed`, None: that was not there."""
        match self.before:
            case Before.UNKNOWN:
                return True
            case Before.ABSENT:
                return packed is None
            case Before.EXACTLY:
                return packed == self.original
            case Before.PRESENT:
                if packed is None or self.undo is None:
                    return packed is not None
                before = undone(*self.undo)
                return before is None or packed == pack(before)  # fields of `before` come from packed records
            case never:
                assert_never(never)


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One transaction. `pairs`: what it counts against the page's limit, never too few. `is_cut`: it fills a page
    alone, so its tables after these, in the order of their names, cannot be read."""

    stamp: int
    changes: Sequence[FeedChange]
    pairs: int
    poison: Sequence[Poison] = ()
    is_cut: bool = False
    probes: Sequence[tuple[Value, int]] = ()  # whose, and the turn
    queries: Sequence[tuple[Value, int | None]] = ()  # keys of `_00_query`: written by a client (None), or deleted
    defines: bool = False  # a table that is not the mesh's own
    size: int = 0  # changes, those of the mesh's own tables too
    digests: Mapping[str, int] = field(default_factory=dict)  # by table, of what is in `changes` and `queries`


@dataclass(frozen=True, slots=True)
class Page:
    """`since`: where the next page begins, None if this was the last."""

    rows: Sequence[FeedRow]
    since: int | None


def parse_page(raw_rows: Sequence[Mapping[str, Value]], limit: int = PAGE_ENTRIES) -> Page:
    """The rows of a page, read with this limit, that are sure to be whole."""
    rows = [parse_row(raw) for raw in raw_rows]
    if sum(row.pairs for row in rows) < limit:
        return Page(rows, None)
    last = rows[-1].stamp
    whole = [row for row in rows if row.stamp != last]
    if not whole:
        return Page([replace(row, is_cut=True) for row in rows], last + 1)
    return Page(whole, last)


async def parsed(rows: Sequence[Mapping[str, Value]], entries: int) -> Page:
    """As `parse_page`."""
    if sum(len(row["changes"]) for row in rows) > PARSED_AT_ONCE_MAX:
        return await asyncio.to_thread(parse_page, rows, entries)
    return parse_page(rows, entries)


def parse_row(raw: Mapping[str, Value]) -> FeedRow:
    changes: list[FeedChange] = []
    poison: list[Poison] = []
    tables: set[str] = set()
    probes: list[tuple[Value, int]] = []
    queries: list[tuple[Value, int | None]] = []
    anonymous = 0
    defines = False
    for item in raw["changes"]:
        mesh_table = _mesh_table(item)
        if mesh_table:
            tables.add(mesh_table)  # counts towards the page's limit, and is nothing to anyone
            if mesh_table == PROBE_TABLE:
                probes += _probe(item)
            elif mesh_table == QUERY_TABLE:
                queries += _query(item)
            continue
        try:
            change = _parse_change(item)
            defines = defines or _defines_table(item)
        except (PackError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            poison.append(poison_of(item, error))
            change = None
        if change is None:
            anonymous += 1
        else:
            tables.add(change.table)
            changes.append(change)
    pairs = len(tables) + anonymous
    size, digests = len(raw["changes"]), _digests(changes, queries)
    return FeedRow(raw["versionstamp"], changes, pairs, poison, False, probes, queries, defines, size, digests)


def _probe(item: Mapping[str, Value]) -> list[tuple[Value, int]]:
    """Nothing if it is none that we wrote."""
    record = item.get("current") or item.get("update") or {}
    turn = record.get("turn")
    return [(record["id"].key, turn)] if isinstance(turn, int) else []


def _query(item: Mapping[str, Value]) -> list[tuple[Value, int | None]]:
    """Nothing if the mesh wrote the row. Of one that was deleted, its `registration`; 0 if that is not known."""
    deleted = item.get("delete")
    if deleted is not None:
        registration = (deleted.get("original") or {}).get("registration")
        return [(deleted["id"].key, registration if isinstance(registration, int) else 0)]
    record = item.get("current") or item.get("update") or {}
    return [(record["id"].key, None)] if record.get("registration") == 0 else []


def _mesh_table(item: Mapping[str, Value]) -> str:
    """The table of a change of the mesh's own records; edges are most of a busy feed, so they are not taken apart."""
    if not isinstance(item, Mapping):
        return ""
    record = item.get("current") or item.get("update") or item.get("delete")
    record_id = record.get("id") if isinstance(record, Mapping) else None
    if isinstance(record_id, RecordId) and record_id.table.startswith(MESH_PREFIX):
        return record_id.table
    return ""


def _defines_table(item: Mapping[str, Value]) -> bool:
    """One of the mesh's own is no news: there is one for every user with a view."""
    defined = item.get("define_table")
    return isinstance(defined, Mapping) and not str(defined.get("name", "")).startswith(MESH_PREFIX)


def _parse_change(item: Mapping[str, Value]) -> FeedChange | None:
    """None for what is no change of a record: a schema statement, a row of a view."""
    if "define_table" in item:
        return None
    if "delete" in item:
        original = item["delete"].get("original")
        if original is not None and "id" not in original:
            return None
        return _deleted(item["delete"]["id"], original)
    if "current" not in item:
        record = item["update"]
        return _change(common_pb2.OP_CREATE, record["id"], record, Before.ABSENT) if "id" in record else None
    record, undo = item["current"], Undo(item["current"], item["update"])
    return _change(common_pb2.OP_UPDATE, record["id"], record, Before.PRESENT, undo) if "id" in record else None


def _change(
    op: common_pb2.Op,
    record_id: RecordId,
    record: Value | None,
    before: Before,
    undo: Undo | None = None,
) -> FeedChange:
    if len(record_id.table) > NAME_CHARS_MAX:
        raise PackError(f"table name of {len(record_id.table)} characters is longer than {NAME_CHARS_MAX}")
    return FeedChange(
        table=record_id.table,
        op=op,
        key=bounded(pack(record_id.key), KEY_BYTES_MAX, "key"),
        packed=None if record is None else bounded(pack(record), RECORD_BYTES_MAX, "record"),
        before=before,
        undo=undo,
    )


def _deleted(record_id: RecordId, original: Value | None) -> FeedChange:
    """What was deleted need have had no form in the mesh."""
    change = _change(common_pb2.OP_DELETE, record_id, None, Before.UNKNOWN)
    try:
        return change if original is None else replace(change, before=Before.EXACTLY, original=pack(original))
    except PackError:
        return change


def bounded(packed: bytes, size_max: int, what: str) -> bytes:
    """Raises PackError if it is larger than the mesh takes."""
    if len(packed) > size_max:
        raise PackError(f"{what} of {len(packed)} bytes is larger than {size_max}")
    return packed


def net_changes(changes: Sequence[FeedChange]) -> list[FeedChange]:
    """One change a record: what the transaction came to, and what was before it."""
    net: dict[tuple[str, bytes], FeedChange] = {}
    for change in changes:
        record = (change.table, change.key)
        first = net.get(record)
        net[record] = change if first is None else _joined(first, change)
    return [change for change in net.values() if change.packed is not None or change.before is not Before.ABSENT]


def _joined(first: FeedChange, last: FeedChange) -> FeedChange:
    op = last.op
    if last.packed is not None:
        op = common_pb2.OP_CREATE if first.before is Before.ABSENT else common_pb2.OP_UPDATE
    return replace(last, op=op, before=first.before, original=first.original, undo=first.undo)


class Seen:
    """Which changes of which rows have been offered: by (stamp, table, digest), since two transactions may carry one
    stamp, and a row may be read again with more in it. Pruned below the oldest stamp that can be read again."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, set[int]]] = {}
        self._sizes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._parts)

    def unseen(self, rows: Iterable[FeedRow]) -> list[FeedRow]:
        """The rows with something new in them, reduced to that."""
        found = []
        for row in rows:
            known = self._parts.get(row.stamp)
            if known is None:
                found.append(row)
                continue
            fresh = {table: digest for table, digest in row.digests.items() if digest not in known.get(table, ())}
            if len(fresh) == len(row.digests) > 0:
                found.append(row)
            elif fresh:
                changes = [change for change in row.changes if change.table in fresh]
                found.append(replace(row, changes=changes, digests=fresh))
        return found

    def mark(self, rows: Iterable[FeedRow]) -> None:
        for row in rows:
            known = self._parts.setdefault(row.stamp, {})
            self._sizes[row.stamp] = max(row.size, self._sizes.get(row.stamp, 0))
            for table, digest in row.digests.items():
                known.setdefault(table, set()).add(digest)

    def merge(self, other: Seen) -> None:
        for stamp, parts in other._parts.items():
            known = self._parts.setdefault(stamp, {})
            self._sizes[stamp] = max(other._sizes[stamp], self._sizes.get(stamp, 0))
            for table, digests in parts.items():
                known.setdefault(table, set()).update(digests)

    def crowded_below(self, changes: int) -> int:
        """To read again from any stamp below this would be to read more known changes than so many."""
        for stamp in sorted(self._sizes, reverse=True):
            changes -= self._sizes[stamp]
            if changes < 0:
                return stamp + 1
        return 0

    def prune(self, below: int) -> None:
        for stamp in [stamp for stamp in self._parts if stamp < below]:
            del self._parts[stamp], self._sizes[stamp]

    def clear(self) -> None:
        self._parts.clear()
        self._sizes.clear()


def _digests(changes: Iterable[FeedChange], queries: Sequence[object]) -> dict[str, int]:
    parts: dict[str, list[tuple[int, bytes, bytes | None]]] = {}
    for change in changes:
        parts.setdefault(change.table, []).append((change.op, change.key, change.packed))
    if queries:
        parts[QUERY_TABLE] = [(0, repr(query).encode(), None) for query in queries]
    return {table: hash(tuple(part)) for table, part in parts.items()}
