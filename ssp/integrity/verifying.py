"""A view held against a fresh evaluation of its query, and its stored edges against its members.

    members here, at seq ─── the same query, evaluated anew on the replica at that seq ─▶ members that differ
    the edges they ask for ─ SurrealDB's sums of the stored ones, by descent ──────────▶ edges that differ

Edges are compared while the view owes none. What differs then is read again, twice, and is a difference only if the
view owed nothing and asked for the same edge both times: so a write that is under way is never taken for one.

Repairing writes what differs and nothing else: the view is planned and hydrated anew, which emits the members that it
should have; edges that say something else than they should are removed, and written by the reconciling that every
hydration begins with.

Invariant: nothing is said to differ that the mesh was about to write.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.merkle import Tree, digest_of, place_of
from sp00ky.proto.sums import Effort, Rows, Sums, descend
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.record_text import record_text
from sp00ky.proto.values.text import escape_ident, record_id_text
from sp00ky.ssp.edges.outbox import edge_of, record_of_view
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta
from sp00ky.ssp.exact import ExactReads
from sp00ky.ssp.integrity.view_trees import COMPARED, edge_row, sliced

NAMED_MAX: Final = 1_000
SETTLED_SECONDS: Final = 10.0  # to wait for the edges that a view owes
POLL_SECONDS: Final = 0.02
TRIES: Final = 5
BACKGROUND_SHARE: Final = 0.02  # of the database's time, and of ours
ASKED_SHARE: Final = 0.5
READ_AGAIN_MAX: Final = 1_000  # edges, in one statement
Pair: TypeAlias = tuple[dict[str, Value] | None, dict[str, Value] | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """`what`: member or edge; texts, empty for nothing."""

    what: str
    id: str
    expected: str
    found: str


@dataclass(slots=True)
class Verified:
    key: ViewKey
    seq: int = 0
    members: int = 0
    edges: int = 0
    differing_members: int = 0
    differing_edges: int = 0
    named: list[Difference] = field(default_factory=list)
    repairing: bool = False
    skipped: str = ""
    read_bytes: int = 0

    def name(self, difference: Difference) -> None:
        if len(self.named) < NAMED_MAX:
            self.named.append(difference)


@dataclass(slots=True)
class Counters:
    views: int = 0
    differing: int = 0
    repaired: int = 0
    skipped: int = 0
    nodes: int = 0
    read_bytes: int = 0


class Views(Protocol):
    """What is needed of the driver: views as they are now, and what they owe."""

    exact: ExactReads

    def view(self, key: ViewKey) -> ViewReading | None: ...

    def view_keys(self) -> Iterable[ViewKey]: ...

    def is_settled(self, key: ViewKey) -> bool:
        """All edges of the view that this SSP is to write are written."""
        ...

    def table_of(self, key: ViewKey) -> str: ...

    def retract(self, delta: ViewDelta) -> None:
        """Write the delta's edges as gone."""
        ...

    def hydrate_anew(self, key: ViewKey) -> None: ...


class Verifier:
    """One view at a time."""

    def __init__(self, views: Views, database: Database, interval_ms: int) -> None:
        self._views, self._database, self._interval_s = views, database, interval_ms / 1000
        self._one = asyncio.Lock()
        self.counters = Counters()

    def metrics(self) -> dict[str, float]:
        counters = self.counters
        return {
            "verified_views": counters.views,
            "verified_differing": counters.differing,
            "verified_repaired": counters.repaired,
            "verified_skipped": counters.skipped,
            "verified_nodes": counters.nodes,
            "verified_read_bytes": counters.read_bytes,
        }

    async def run(self) -> None:
        """Until cancelled: one view after the other, its edges alone, each of which is mended; `interval_ms` apart at
        least, 0: none."""
        while self._interval_s:
            await asyncio.sleep(self._interval_s)
            for key in self._views.view_keys():
                began = time.monotonic()
                if self._views.is_settled(key):
                    await self._audit(key)
                spent = time.monotonic() - began
                await asyncio.sleep(max(self._interval_s, spent * (1 / BACKGROUND_SHARE - 1)))

    async def _audit(self, key: ViewKey) -> None:
        try:
            found = await self.verify(key, repair=True, members=False, share=BACKGROUND_SHARE)
        except Fault as fault:
            log.info("view %s could not be compared with its edges: %s", key.id, fault)
            return
        if found.differing_edges:
            log.warning("view %s: %d edges were not as they should be", key.id, found.differing_edges)

    async def verify(self, key: ViewKey, *, repair: bool, members: bool = True, share: float = ASKED_SHARE) -> Verified:
        """Raises Fault NOT_FOUND, UNAVAILABLE, TIMEOUT."""
        async with self._one:
            found = Verified(key)
            reading = self._reading(key)
            found.seq, found.members = reading.seq, reading.size
            if not reading.seq:
                found.skipped = reading.error or "it has no result yet"
            else:
                wrong = await self._members(key, found) if members else False
                edges = await self._edges(key, found, share)
                if repair and (wrong or edges):
                    await self._repair(key, edges)
                    found.repairing = True
            self._count(found)
            return found

    def _count(self, found: Verified) -> None:
        counters, differing = self.counters, found.differing_members + found.differing_edges
        counters.views += 1
        counters.differing += differing
        counters.repaired += differing if found.repairing else 0
        counters.skipped += bool(found.skipped)
        counters.read_bytes += found.read_bytes

    def _reading(self, key: ViewKey) -> ViewReading:
        reading = self._views.view(key)
        if reading is None:
            raise Fault(Code.NOT_FOUND, f'view "{key.id}" is not kept here', "it was unregistered, or has moved")
        return reading

    # --- members -----------------------------------------------------------------------------------------------------

    async def _members(self, key: ViewKey, found: Verified) -> bool:
        reading = self._reading(key)
        shown = {edge_of(key, member): member for member in reading.members}
        try:
            fresh = await self._views.exact.view_at(reading.spec, reading.seq)
        except Fault as fault:
            if fault.code is not Code.REVISION_GONE:
                raise
            found.skipped = f"its members could not be evaluated anew: {fault.message}"
            return False
        wanted = {edge_of(key, member): member for member in fresh.members}
        for edge in sorted(wanted.keys() | shown.keys()):
            want, has = wanted.get(edge), shown.get(edge)
            if want != has:
                found.differing_members += 1
                member = record_id_text((want or has).id)  # type: ignore[union-attr]
                found.name(Difference("member", member, _member_text(want), _member_text(has)))
        return found.differing_members > 0

    # --- edges -------------------------------------------------------------------------------------------------------

    async def _edges(self, key: ViewKey, found: Verified, share: float) -> list[RecordId]:
        """Those that differ, by what is stored of them; [] also where that cannot be said."""
        if not await self._is_settled(key):
            found.skipped = "its edges are written by another, or are still to be written"
            return []
        effort, table = Effort(), self._views.table_of(key)
        select = f"SELECT {COMPARED} FROM {escape_ident(table)}"
        sums = Sums(self._database, Rows(select, "in = $query", {"query": record_of_view(key)}), share, effort)
        try:
            mine, members = await self._tree(key)
            root = await sums.root()
            found.edges = root.rows
            if root == mine.node(""):
                return []
            suspects = sorted(await _suspects(sums, mine, root.rows, members), key=record_id_text)
            return await self._confirmed(key, suspects, members, found)
        finally:
            found.read_bytes += effort.read_bytes
            self.counters.nodes += effort.nodes

    async def _tree(self, key: ViewKey) -> tuple[Tree, dict[RecordId, RecordId]]:
        """Of the edges that the members of now ask for; and whose each of them is."""
        tree, members, table = Tree(), dict[RecordId, RecordId](), self._views.table_of(key)
        for some in sliced(self._reading(key).members):
            for member in some:
                row = edge_row(table, key, member)
                tree.put(place_of(row["id"]), digest_of(row))
                members[row["id"]] = member.id
            await asyncio.sleep(0)
        return tree, members

    async def _is_settled(self, key: ViewKey) -> bool:
        try:
            async with asyncio.timeout(SETTLED_SECONDS):
                while not self._views.is_settled(key):  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _confirmed(
        self, key: ViewKey, suspects: list[RecordId], members: Mapping[RecordId, RecordId], found: Verified
    ) -> list[RecordId]:
        """Of these edges, those that differ while nothing is being written of them."""
        wrong: list[RecordId] = []
        for begin in range(0, len(suspects), READ_AGAIN_MAX):
            some = suspects[begin : begin + READ_AGAIN_MAX]
            for _ in range(TRIES):
                first = await self._pairs(key, some, members, found)
                second = await self._pairs(key, some, members, found)
                if first is not None and first == second:
                    wrong += self._named(first, found)
                    break
            else:
                found.skipped = "its edges change all the time"
        return wrong

    async def _pairs(
        self, key: ViewKey, some: list[RecordId], members: Mapping[RecordId, RecordId], found: Verified
    ) -> dict[RecordId, Pair] | None:
        """Of each edge, as it should be and as it is; None if the view owes some by then."""
        if not await self._is_settled(key):
            return None
        (rows,) = await self._database.query(f"SELECT {COMPARED} FROM $edges", {"edges": some})
        found.read_bytes += sum(len(record_text(row)) for row in rows)
        if not self._views.is_settled(key):
            return None
        table = self._views.table_of(key)
        of = {members[edge] for edge in some if edge in members} | {row["out"] for row in rows}
        wanted = {
            row["id"]: row
            for row in (edge_row(table, key, each) for each in self._reading(key).members if each.id in of)
        }
        stored = {row["id"]: row for row in rows}
        return {edge: (wanted.get(edge), stored.get(edge)) for edge in some}

    def _named(self, pairs: Mapping[RecordId, Pair], found: Verified) -> Iterable[RecordId]:
        for edge, (want, has) in pairs.items():
            if want != has:
                found.differing_edges += 1
                found.name(Difference("edge", record_id_text(edge), _row_text(want), _row_text(has)))
                yield edge

    # --- repair ------------------------------------------------------------------------------------------------------

    async def _repair(self, key: ViewKey, edges: list[RecordId]) -> None:
        """Remove the edges that say something wrong, then have the view's first result again."""
        table, wrong = self._views.table_of(key), set(edges)
        reading = self._reading(key)
        stored_wrongly = [each for each in reading.members if RecordId(table, edge_of(key, each)) in wrong]
        if stored_wrongly:
            self._views.retract(ViewDelta(views=[key], seq=reading.seq, removed=stored_wrongly))
            await self._is_settled(key)
        self._views.hydrate_anew(key)


async def _suspects(sums: Sums, mine: Tree, rows: int, edges: Iterable[RecordId]) -> set[RecordId]:
    depth, prefixes = await descend(sums, mine, max(rows, len(mine)))
    here = {place: digest for prefix in prefixes for place, digest in mine.records(prefix)}
    below, found = frozenset(prefixes), set[RecordId]()
    async for page in sums.records(prefixes, depth):
        for edge, digest in page:
            place = place_of(edge)
            if place[:depth] in below and here.pop(place, None) != digest:
                found.add(edge)
    return found | {edge for edge in edges if place_of(edge) in here}


def _member_text(member: MemberChange | None) -> str:
    if member is None:
        return ""
    under = "" if member.parent is None else f" under {record_id_text(member.parent)} by {member.parent_rel}"
    return f"version {member.version}{under}"


def _row_text(row: Mapping[str, Value] | None) -> str:
    return "" if row is None else record_text({name: value for name, value in row.items() if name != "id"})
