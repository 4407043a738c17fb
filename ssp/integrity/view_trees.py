"""The Merkle tree of a view: of the edges that it should have, so that SurrealDB's stored ones sum up to the same.

A leaf is an edge: its place is that of its record id, its digest that of what it says (`edge_row`: view, member,
version, parent, who may read it). A tree is made when it is first asked for, kept current by the view's deltas from
then on, O(log n) each, and forgotten when nobody has asked for `UNASKED_SECONDS`, or `TREES_MAX` others were asked for
since: views that nobody compares cost nothing. It is made in slices; what a step moves meanwhile is as the step left
it.

Invariant: a tree that is complete is that of the view's members after the engine's last step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.merkle import Tree, digest_of, place_of
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.text import parse_record_id
from sp00ky.ssp.edges.outbox import edge_of, record_of_view
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, Ready, ViewDelta

TREES_MAX: Final = 64
UNASKED_SECONDS: Final = 600.0
SLICE_MEMBERS: Final = 200
COMPARED: Final = "id, in, out, version, parent, parent_rel, auth"  # of a stored edge

TableOf = Callable[[ViewKey], str]


def edge_row(table: str, key: ViewKey, member: MemberChange) -> dict[str, Value]:
    """What the edge from a view to its member is to say, as `SELECT {COMPARED}` shows it."""
    return {
        "id": RecordId(table, edge_of(key, member)),
        "in": record_of_view(key),
        "out": member.id,
        "version": member.version,
        "parent": NONE if member.parent is None else member.parent,
        "parent_rel": NONE if member.parent is None else member.parent_rel,
        "auth": parse_record_id(key.auth_id) if key.auth_id else NONE,
    }


def tree_of(rows: Iterable[dict[str, Value]]) -> Tree:
    tree = Tree()
    for row in rows:
        tree.put(place_of(row["id"]), digest_of(row))
    return tree


def sliced(members: Sequence[MemberChange]) -> Iterator[Sequence[MemberChange]]:
    return (members[begin : begin + SLICE_MEMBERS] for begin in range(0, len(members), SLICE_MEMBERS))


@dataclass(slots=True)
class Kept:
    """`moved`: places that steps have moved since the tree was begun; None once it is complete."""

    asked_at: float  # seconds, of whatever clock the caller has
    tree: Tree = field(default_factory=Tree)
    moved: set[str] | None = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        return self.moved is None


class ViewTrees:
    """`table_of`: the table that a view's edges lie in."""

    def __init__(self, table_of: TableOf) -> None:
        self._table_of = table_of
        self._kept: dict[ViewKey, Kept] = {}  # the longest unasked first

    def __len__(self) -> int:
        return len(self._kept)

    def ask(self, key: ViewKey, now_s: float) -> Kept:
        """The view's, begun if there is none: it is complete once `fill` is."""
        kept = self._kept.pop(key, None) or Kept(now_s)
        kept.asked_at = now_s
        self._kept[key] = kept
        self.forget_unasked(now_s)
        return kept

    def fill(self, key: ViewKey, kept: Kept, members: Sequence[MemberChange]) -> Iterator[None]:
        """Put in the members that the view had when the tree was begun, a slice at a time. What was forgotten meanwhile
        stays incomplete."""
        table = self._table_of(key)
        for some in sliced(members):
            for member in some:
                row = edge_row(table, key, member)
                place = place_of(row["id"])
                if kept.moved is not None and place not in kept.moved:
                    kept.tree.put(place, digest_of(row))
            yield
        if self._kept.get(key) is kept:
            kept.moved = None

    def forget_unasked(self, now_s: float) -> None:
        for key, kept in list(self._kept.items()):
            if len(self._kept) <= TREES_MAX and now_s - kept.asked_at < UNASKED_SECONDS:
                return
            del self._kept[key]

    def take(self, ready: Ready) -> None:
        """What an engine step did."""
        if not self._kept:
            return
        for gone in (*(each.key for each in ready.hydrated), *(each.key for each in ready.dropped)):
            self._kept.pop(gone, None)
        for delta in ready.deltas:
            for key in delta.views:
                kept = self._kept.get(key)
                if kept is not None:
                    self._move(key, kept, delta)

    def _move(self, key: ViewKey, kept: Kept, delta: ViewDelta) -> None:
        table = self._table_of(key)
        places = set[str]()
        for member in delta.removed:
            place = place_of(RecordId(table, edge_of(key, member)))
            kept.tree.remove(place)
            places.add(place)
        for member in (*delta.added, *delta.updated):
            row = edge_row(table, key, member)
            place = place_of(row["id"])
            kept.tree.put(place, digest_of(row))
            places.add(place)
        if kept.moved is not None:
            kept.moved |= places
