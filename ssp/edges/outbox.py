"""What is still to be written to the edges, view by view: deltas of a throttle window, folded into their net effect.

Invariant: an edge is in at most one of `new`, `moved` and `gone` of its view. Folding is idempotent by edge id, and the
edge id is derived from (view, record, parent), so writing a fold twice changes nothing and a redo after a lost answer
is safe. The size of an outbox is bounded by the members of its views, however long the database is away.

Pure: no clock, no I/O; `writer.py` empties it once a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sp00ky.proto.digest import edge_id
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta

EDGES_PER_TRANSACTION_MAX = 2_000


def edge_of(key: ViewKey, member: MemberChange) -> str:
    """The key of a member's edge in `_00_list_ref`."""
    parents = [(member.parent, member.parent_rel)] if member.parent is not None else []
    return edge_id(key.id, key.auth_id, member.id, parents)


@dataclass(slots=True)
class PendingEdges:
    """Net changes of one view's edges since they were last written."""

    new: dict[str, MemberChange] = field(default_factory=dict)
    moved: dict[str, MemberChange] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.new) + len(self.moved) + len(self.gone)

    def put(self, edge: str, member: MemberChange) -> None:
        self.gone.discard(edge)
        self.moved.pop(edge, None)
        self.new[edge] = member

    def move(self, edge: str, member: MemberChange) -> None:
        if edge in self.new:
            self.new[edge] = member
        elif edge not in self.gone:
            self.moved[edge] = member

    def drop(self, edge: str) -> None:
        self.new.pop(edge, None)
        self.moved.pop(edge, None)
        self.gone.add(edge)

    def fold(self, key: ViewKey, delta: ViewDelta) -> None:
        """Fold one delta of this view in."""
        for member in delta.added:
            self.put(edge_of(key, member), member)
        for member in delta.updated:
            self.move(edge_of(key, member), member)
        for record in delta.removed:
            self.drop(edge_of(key, MemberChange(record, 0)))

    def then(self, later: PendingEdges) -> PendingEdges:
        """This followed by `later`: what to write when this could not be written in time."""
        for edge, member in later.new.items():
            self.put(edge, member)
        for edge, member in later.moved.items():
            self.move(edge, member)
        for edge in later.gone:
            self.drop(edge)
        return self

    def split(self, edges_max: int) -> list[PendingEdges]:
        """In parts of at most `edges_max` edges; removals first, so that a part never shows a record twice."""
        parts: list[PendingEdges] = []
        part = PendingEdges()
        steps: Iterable[tuple[str, MemberChange | None, bool]] = [
            *((edge, None, False) for edge in self.gone),
            *((edge, member, True) for edge, member in self.new.items()),
            *((edge, member, False) for edge, member in self.moved.items()),
        ]
        for edge, member, fresh in steps:
            if len(part) >= edges_max:
                parts.append(part)
                part = PendingEdges()
            if member is None:
                part.gone.add(edge)
            elif fresh:
                part.new[edge] = member
            else:
                part.moved[edge] = member
        return [*parts, part]


def difference(key: ViewKey, members: Iterable[MemberChange], stored: Mapping[str, int]) -> PendingEdges:
    """What turns the stored edges (edge → version) of a view into those of `members`, and nothing more."""
    pending = PendingEdges()
    wanted: dict[str, MemberChange] = {edge_of(key, member): member for member in members}
    for edge, member in wanted.items():
        if edge not in stored:
            pending.new[edge] = member
        elif stored[edge] < member.version:
            pending.moved[edge] = member
    pending.gone = {edge for edge in stored if edge not in wanted}
    return pending


def batches(
    pending: Mapping[ViewKey, PendingEdges], edges_max: int = EDGES_PER_TRANSACTION_MAX
) -> list[dict[ViewKey, PendingEdges]]:
    """Transactions of at most `edges_max` edges. A view's delta is split only if it alone is larger."""
    whole: list[dict[ViewKey, PendingEdges]] = []
    batch: dict[ViewKey, PendingEdges] = {}
    size = 0
    for key, edges in pending.items():
        if len(edges) > edges_max:
            whole.extend({key: part} for part in edges.split(edges_max))
            continue
        if size + len(edges) > edges_max and batch:
            whole.append(batch)
            batch, size = {}, 0
        batch[key] = edges
        size += len(edges)
    return [*whole, batch] if batch else whole


def halves(batch: Mapping[ViewKey, PendingEdges]) -> Sequence[dict[ViewKey, PendingEdges]]:
    """A failing batch in two, to find the view whose statement fails."""
    items = list(batch.items())
    middle = len(items) // 2
    return [dict(items[:middle]), dict(items[middle:])]


def record_of_view(key: ViewKey) -> RecordId:
    """The `_00_query` row that the edges of a view start at."""
    return RecordId("_00_query", key.id if not key.auth_id else f"{key.id}\u0000{key.auth_id}")
