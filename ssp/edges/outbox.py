"""What is still to be written to the edges, view by view: deltas of a throttle window, folded into their net effect.

Invariant: an edge is in at most one of `put` and `gone` of its view. Folding is idempotent by edge id, and the
edge id is derived from (view, record, parent), so writing a fold twice changes nothing and a redo after a lost answer
is safe. The size of an outbox is bounded by the members of its views, however long the database is away.

Pure: no clock, no I/O; `writer.py` empties it once a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from sp00ky.proto.digest import edge_id
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.text import parse_record_id
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta

EDGES_PER_TRANSACTION_MAX = 2_000
EDGES_TOGETHER_MAX = 250  # of several views: what a transaction costs SurrealDB grows faster than its edges
USERS_TOGETHER_MAX = 250  # each may have a table of edges; with the mesh's own a transaction touches 256 at most


def edge_of(key: ViewKey, member: MemberChange) -> str:
    """The key of a member's edge in `_00_list_ref`."""
    parents = [(member.parent, member.parent_rel)] if member.parent is not None else []
    return edge_id(key.id, key.auth_id, member.id, parents)


@dataclass(slots=True)
class PendingEdges:
    """Net changes of one view's edges since they were last written.

    A member that has moved may need a new edge: SurrealDB deletes a record's edges with the record, so the edge of a
    member that was deleted and created again between two windows is gone without our doing. `fresh`, of those in `put`,
    were not stored when they were told: a hint, by which they are written faster."""

    put: dict[str, MemberChange] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    fresh: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.put) + len(self.gone)

    def enter(self, edge: str, member: MemberChange, *, fresh: bool = False) -> None:
        if edge in self.gone:
            self.gone.remove(edge)
        elif fresh and edge not in self.put:
            self.fresh.add(edge)
        self.put[edge] = member

    def leave(self, edge: str) -> None:
        self.put.pop(edge, None)
        self.fresh.discard(edge)
        self.gone.add(edge)

    def fold(self, key: ViewKey, delta: ViewDelta) -> None:
        """Fold one delta of this view in."""
        for member in delta.added:
            self.enter(edge_of(key, member), member, fresh=True)
        for member in delta.updated:
            self.enter(edge_of(key, member), member)
        for member in delta.removed:
            self.leave(edge_of(key, member))

    def then(self, later: PendingEdges) -> PendingEdges:
        """This followed by `later`: what to write when this could not be written in time."""
        for edge, member in later.put.items():
            self.enter(edge, member, fresh=edge in later.fresh)
        for edge in later.gone:
            self.leave(edge)
        return self

    def split(self, edges_max: int) -> list[PendingEdges]:
        """In parts of at most `edges_max` edges, removals first."""
        steps: list[tuple[str, MemberChange | None]] = [*((edge, None) for edge in self.gone), *self.put.items()]
        parts = []
        for start in range(0, len(steps), edges_max):
            part = PendingEdges()
            for edge, member in steps[start : start + edges_max]:
                if member is None:
                    part.gone.add(edge)
                else:
                    part.enter(edge, member, fresh=edge in self.fresh)
            parts.append(part)
        return parts


def difference(key: ViewKey, members: Iterable[MemberChange], stored: Mapping[str, int]) -> PendingEdges:
    """What turns the stored edges (edge → version) of a view into those of `members`, and nothing more."""
    wanted: dict[str, MemberChange] = {edge_of(key, member): member for member in members}
    put = {edge: member for edge, member in wanted.items() if stored.get(edge, -1) < member.version}
    return PendingEdges(put, {edge for edge in stored if edge not in wanted}, put.keys() - stored.keys())


def batches(
    pending: Mapping[ViewKey, PendingEdges],
    together_max: int = EDGES_TOGETHER_MAX,
    users_max: int = USERS_TOGETHER_MAX,
) -> list[dict[ViewKey, PendingEdges]]:
    """Transactions of whole views' edges: of several up to `together_max` edges of `users_max` users, or of one."""
    whole: list[dict[ViewKey, PendingEdges]] = []
    batch: dict[ViewKey, PendingEdges] = {}
    users: set[str] = set()
    size = 0
    for key, edges in pending.items():
        full = size + len(edges) > together_max or len(users | {key.auth_id}) > users_max
        if full and batch:
            whole.append(batch)
            batch, users, size = {}, set(), 0
        batch[key] = edges
        users.add(key.auth_id)
        size += len(edges)
    return [*whole, batch] if batch else whole


def halves(batch: Mapping[ViewKey, PendingEdges]) -> Sequence[dict[ViewKey, PendingEdges]]:
    """A failing batch in two, to find the view whose statement fails."""
    items = list(batch.items())
    middle = len(items) // 2
    return [dict(items[:middle]), dict(items[middle:])]


def record_of_view(key: ViewKey) -> RecordId:
    """The `_00_query` row that the edges of a view start at: `_00_query:id`, or of a user `_00_query:[id, user]`."""
    return RecordId("_00_query", [key.id, user_of(key.auth_id)] if key.auth_id else key.id)


@lru_cache(65_536)
def user_of(auth_id: str) -> RecordId:
    """The record of a view's user, who has one."""
    return parse_record_id(auth_id)
