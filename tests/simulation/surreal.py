"""A model of SurrealDB: tables under transactions, a changefeed with the engine's traps, the mesh's own rows.

Records: a commit takes its stamp when it begins to commit and is seen later (`late_s`), so that a reader of the feed
finds rows below stamps it has read; of two that write one record meanwhile, the later one conflicts. A record's edges
go with it. Every statement of the mesh is known by its text and carried out as one transaction at one instant
(`statements.py`); nothing else is understood.

The model judges what the mesh writes: after an owner has registered a view here, nobody else may write its edges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sp00ky.proto.database import QueryError
from sp00ky.proto.revision import parse_revision
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.pack import pack

from tests.simulation.kernel import UNIX_S, Kernel, Violation

CONFLICT = "Transaction conflict: write conflict. This transaction can be retried"
FEED_ENTRIES_MAX = 1_000
Record = dict[str, Value]
Write = tuple[RecordId, Record | None]


def conflict() -> QueryError:
    return QueryError(CONFLICT, "", 0)


@dataclass(slots=True)
class Version:
    seen_at: float  # when it became the record's value
    packed: bytes | None


@dataclass(slots=True)
class FeedEntry:
    stamp: int
    changes: Sequence[Value]


@dataclass(slots=True)
class Edge:
    view: RecordId
    out: RecordId
    version: int
    parent: RecordId | None
    parent_rel: str


class Owner(NamedTuple):
    """A row of `_00_owner`."""

    epoch: int
    turn: int
    written: int


@dataclass(slots=True)
class Commit:
    """A transaction under way: its stamp is taken, and nobody sees it yet."""

    writes: Sequence[Write]
    stamp: int
    began_at: float
    done: Callable[[bool], None]


@dataclass
class ModelSurreal:
    """`tables`: those that are defined; others do not exist here."""

    kernel: Kernel
    tables: Sequence[str]
    database: str
    clock_offset: float = 0.0
    is_up: bool = True
    records: dict[str, dict[Value, Record]] = field(default_factory=dict)
    versions: dict[RecordId, list[Version]] = field(default_factory=dict)
    feed: list[FeedEntry] = field(default_factory=list)
    edges: dict[str, Edge] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    queries: dict[RecordId, Record] = field(default_factory=dict)
    facts: dict[RecordId, Record] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)
    reconciled: dict[RecordId, tuple[str, int]] = field(default_factory=dict)  # view → who registered it last
    commits: int = 0
    edge_transactions: int = 0
    refused_late: int = 0
    _last_stamp: int = 0
    _stamps: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.records = {table: {} for table in self.tables}

    # --- clocks and commits ---

    @property
    def clock_ms(self) -> int:
        return int((UNIX_S + self.kernel.now + self.clock_offset) * 1000)

    def take_stamp(self) -> int:
        stamp = self.clock_ms << 16
        self._last_stamp = max(self._last_stamp + 1, stamp)
        while self._last_stamp in self._stamps:
            self._last_stamp += 1
        self._stamps.add(self._last_stamp)
        return self._last_stamp

    def restarted(self) -> None:
        """Its process is another: stamps follow the clock again, also where that has gone back."""
        self._last_stamp = 0

    def begin(self, writes: Sequence[Write], late_s: float, done: Callable[[bool], None]) -> None:
        """Commit these writes, seen after `late_s`; `done` is told whether they were, or conflicted."""
        commit = Commit(writes, self.take_stamp(), self.kernel.now, done)
        if late_s:
            self.kernel.after(late_s, self._finish, commit)
        else:
            self._finish(commit)

    def _finish(self, commit: Commit) -> None:
        now = self.kernel.now
        for record_id, _ in commit.writes:
            versions = self.versions.get(record_id)
            if not self.is_up or (versions and versions[-1].seen_at > commit.began_at):
                commit.done(False)
                return
        changes = [change for write in commit.writes if (change := self._write(*write, now)) is not None]
        if changes:
            self.feed.append(FeedEntry(commit.stamp, changes))
            self.feed.sort(key=lambda entry: entry.stamp)
        self.commits += 1
        commit.done(True)

    def _write(self, record_id: RecordId, record: Record | None, now: float) -> Value | None:
        """Write one record; what the feed says of it."""
        table = self.records[record_id.table]
        before = table.pop(record_id.key, None)
        if record is not None:
            table[record_id.key] = record
        elif before is None:
            return None
        packed = None if record is None else pack(record)
        self.versions.setdefault(record_id, []).append(Version(now, packed))
        if record is None:
            self.edges = {key: edge for key, edge in self.edges.items() if edge.out != record_id}
            return {"delete": {"id": record_id, "original": before}}
        return {"update": record} if before is None else {"current": record, "update": _way_back(record, before)}

    # --- reading ---

    def changes_since(self, since: int, limit: int) -> list[Value]:
        """SHOW CHANGES: LIMIT counts (row, table) pairs, and cuts the last row."""
        page: list[Value] = []
        left = min(limit, FEED_ENTRIES_MAX)
        for entry in self.feed:
            if entry.stamp < since or not left:
                continue
            kept = _cut(entry.changes, left)
            left -= len(_tables(kept))
            page.append({"versionstamp": entry.stamp, "changes": kept})
        return page

    def edges_of(self, view: RecordId) -> dict[str, Edge]:
        return {key: edge for key, edge in self.edges.items() if edge.view == view}

    # --- what the mesh writes ---

    def is_held(self, ssp: str, epoch: int, turn: int, written: int) -> bool:
        """`UPDATE $owner SET written, turn WHERE epoch = $epoch AND turn < $turn`: whether it found the row."""
        owner = self.owners.get(ssp)
        if owner is None or owner.epoch != epoch or owner.turn >= turn:
            self.refused_late += 1
            return False
        self.owners[ssp] = Owner(epoch, turn, written)
        return True

    def register(self, view: RecordId, row: Record, ssp: str, epoch: int) -> None:
        self.queries[view] = {**self.queries.get(view, {}), **row}
        self.reconciled[view] = (ssp, epoch)

    def judge_writer(self, view: RecordId, ssp: str, epoch: int) -> None:
        owner = self.reconciled.get(view)
        if owner is not None and owner != (ssp, epoch):
            raise Violation(
                f"{ssp} wrote edges of view {view.key} at incarnation {epoch}, after {owner[0]} had taken them over at "
                f"{owner[1]}"
            )

    def forget(self, view: RecordId) -> None:
        self.edges = {key: edge for key, edge in self.edges.items() if edge.view != view}
        self.queries.pop(view, None)
        self.facts.pop(RecordId("_00_view", view.key), None)
        self.reconciled.pop(view, None)

    def put_edge(self, row: Mapping[str, Value]) -> None:
        parent = row.get("parent")
        key = row["id"].key
        if key in self.edges:
            self.edges[key].version = row["version"]
        else:
            self.edges[key] = Edge(row["in"], row["out"], row["version"], parent, row.get("parent_rel", ""))

    def put_facts(self, row: Record) -> None:
        """A view's revision only grows, whoever keeps it."""
        before = self.facts.get(row["id"])
        if before is not None and parse_revision(row["revision"]).seq < parse_revision(before["revision"]).seq:
            raise Violation(f"view {row['id'].key} went back from {before['revision']} to {row['revision']}")
        self.facts[row["id"]] = row


def _way_back(record: Record, before: Record) -> list[Value]:
    """The patch that leads from a record to what it was before; records of a table have the same fields."""
    fields = [name for name in record if record[name] != before[name]]
    return [{"op": "replace", "path": f"/{name}", "value": before[name]} for name in fields]


def _tables(changes: Sequence[Value]) -> set[str]:
    return {_record(change)["id"].table for change in changes}


def _record(change: Mapping[str, Value]) -> Mapping[str, Value]:
    found = change.get("current") or change.get("update") or change.get("delete") or NONE
    assert isinstance(found, Mapping)
    return found


def _cut(changes: Sequence[Value], tables_max: int) -> Sequence[Value]:
    tables = sorted(_tables(changes))
    if len(tables) <= tables_max:
        return changes
    kept = set(tables[:tables_max])
    return [change for change in changes if _record(change)["id"].table in kept]
