"""The result of one shape under one binding: its members, kept once for all views that share them.

    Δ(members) = those whose record passes now and did not (added)
               + those that pass now and did, with a newer version (updated)
               − those that passed and do not (removed)

A step may push a key several times (a window moves over it); `flush` compares with the version before the step, so that
only the net effect is emitted and what was entered and left again is never seen.

Members of a circuit with a `Presentation` may also be updated without a new version, when what they show has changed,
and have children; a child that stands below two members alike is one edge, and is counted.

Invariant: between steps `members` is exactly the query's membership at the last step, each with the seq of the
record's last change. The digest of that set is kept lazily: `hash` takes out the old and puts in the new digest of
each key touched since it was last asked for, so it costs no more than the changes, and nothing when nobody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sp00ky.proto import digest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import PackError, pack
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope, Source
from sp00ky.ssp.circuit.arrangement import Arrangement, Row
from sp00ky.ssp.circuit.predicate import Binding, SortFunction, scope_of
from sp00ky.ssp.circuit.tracing import Reader, TableMissing, Unreadable
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta

if TYPE_CHECKING:
    from sp00ky.ssp.circuit.presentation import Presentation

ChildKey: TypeAlias = tuple[RecordId | None, str, RecordId]

_NO_KIN: dict[bytes, tuple[MemberChange, ...]] = {}
_NO_CHILDREN: dict[ChildKey, tuple[MemberChange, int]] = {}


@dataclass(frozen=True, slots=True)
class Failure:
    """A record on which the query could not be evaluated here."""

    key: bytes
    reason: str
    not_plain: bool  # the query may still be right on SurrealDB
    missing: str = ""  # a table that has to be loaded first
    culprit: tuple[str, bytes] | None = None  # a record of another table that cannot be decoded


def failure_of(key: bytes, error: Exception) -> Failure:
    """What an exception during an evaluation means for the result that was being computed."""
    if isinstance(error, TableMissing):
        return Failure(key, str(error), not_plain=False, missing=error.table)
    if isinstance(error, Unreadable):
        return Failure(key, str(error), not_plain=False, culprit=error.culprit)
    not_plain = isinstance(error, NotPlain) and not isinstance(error, EvaluationError)
    not_plain = not_plain or isinstance(error, PackError)  # a value that is too deep for here
    return Failure(key, str(error) or type(error).__name__, not_plain)


class Members:
    """A filter's members, in no order until they are read: a push is one dictionary write."""

    __slots__ = (
        "_arrangement", "_children", "_digests", "_kin", "_presentation", "_reshown", "_scope", "_sort", "_total",
        "_touched", "_unhashed", "binding", "binding_readers", "failure", "members", "readers", "source", "static",
        "views",
    )  # fmt: skip

    def __init__(
        self,
        arrangement: Arrangement,
        binding: Binding,
        sort: SortFunction | None,
        presentation: Presentation | None = None,
    ) -> None:
        self.binding = binding
        self.static: Binding | None = None  # the binding as it was asked for, if some of it is dynamic
        self.source: Source | None = None  # what the group's expressions read beside their row
        self.views: tuple[ViewKey, ...] = ()
        self.failure: Failure | None = None  # set: the members are not to be trusted any more
        self.members: dict[bytes, MemberChange] = {}
        self.readers: dict[bytes, Reader] = {}  # key → what the group's own condition read for it
        self.binding_readers: tuple[Reader, ...] = ()
        self._arrangement = arrangement
        self._scope: Scope | None = None
        self._sort = sort
        self._presentation = presentation
        self._touched: dict[bytes, MemberChange | None] = {}  # key → the member before the step
        self._total = digest.EMPTY
        self._digests: dict[bytes, int] = {}  # key → its part of the total
        self._unhashed: dict[bytes, None] = {}  # keys whose part is out of date
        self._reshown: dict[bytes, None] = {}  # keys that show something else since the last flush
        alone = presentation is None  # has no children: one empty dictionary does for all such groups
        self._kin: dict[bytes, tuple[MemberChange, ...]] = _NO_KIN if alone else {}  # key → its children
        self._children: dict[ChildKey, tuple[MemberChange, int]] = _NO_CHILDREN if alone else {}  # each once, how often

    def rebind(self, binding: Binding) -> None:
        """Dynamic constants are others now."""
        self.binding = binding
        self._scope = None

    @property
    def scope(self) -> Scope:
        """What the group's expressions are evaluated in; most groups have none and never need it."""
        if self._scope is None:
            self._scope = scope_of(self.binding, self.source)
        return self._scope

    def known(self) -> set[bytes]:
        """The keys that were pushed and pass."""
        return set(self.members)

    def moved_keys(self) -> Iterable[bytes]:
        """The keys that this step has pushed."""
        return self._touched

    def reshow(self, key: bytes) -> None:
        """What the member shows has changed."""
        self._reshown[key] = None
        self._touched.setdefault(key, self.members.get(key))

    # --- the operator's two verbs ---

    def push(self, key: bytes, row: Row | None) -> None:
        """The record passes with this row now, or (None) does not."""
        if row is None:
            self._leave(key)
        else:
            self._enter(key, row)

    def _enter(self, key: bytes, row: Row) -> None:
        member = self.members.get(key)
        if member is not None and member.version == row[1]:
            return
        if key not in self._touched:
            self._touched[key] = member
        self.members[key] = MemberChange(row[0]["id"], row[1])

    def _leave(self, key: bytes) -> None:
        member = self.members.pop(key, None)
        if member is not None and key not in self._touched:
            self._touched[key] = member

    # --- what came of it ---

    def flush(self, seq: int) -> ViewDelta | None:
        """The net delta since the last flush; None if there is none. Keeps `hash`."""
        touched, self._touched = self._touched, {}
        reshown = self._reshown
        added: list[MemberChange] = []
        updated: list[MemberChange] = []
        removed: list[MemberChange] = []
        for key, before in touched.items():
            after = self.members.get(key)
            if after is None:
                if before is None:
                    continue
                removed.append(before)
            elif before is None:
                added.append(after)
            elif before.version != after.version or key in reshown:
                updated.append(after)
            else:
                continue
            self._unhashed[key] = None
        if self._presentation is not None:
            self._reshown = {}
            self._flush_children(touched, added, updated, removed)
        if not (added or updated or removed):
            return None
        return ViewDelta(self.views, seq, added, updated, removed)

    def _flush_children(
        self,
        touched: Iterable[bytes],
        added: list[MemberChange],
        updated: list[MemberChange],
        removed: list[MemberChange],
    ) -> None:
        """The net change of the children below the touched members, after the members themselves."""
        assert self._presentation is not None, "only a presentation knows children"
        shown = self._presentation.shown
        before: dict[ChildKey, MemberChange | None] = {}
        for key in touched:
            old = self._kin.get(key, ())
            new = shown[key].children if key in self.members else ()
            if old == new:
                continue
            for child in old:
                self._count(child, -1, before)
            for child in new:
                self._count(child, 1, before)
            if new:
                self._kin[key] = new
            else:
                del self._kin[key]
        for place, was in before.items():
            now = self._children.get(place)
            if now is None:
                if was is not None:
                    removed.append(was)
            elif was is None:
                added.append(now[0])
            elif was.version != now[0].version:
                updated.append(now[0])

    def _count(self, child: MemberChange, by: int, before: dict[ChildKey, MemberChange | None]) -> None:
        place = (child.parent, child.parent_rel, child.id)
        held = self._children.get(place)
        before.setdefault(place, None if held is None else held[0])
        count = by + (0 if held is None else held[1])
        if count == 0:
            self._children.pop(place, None)
        elif held is None or child.version >= held[0].version:
            self._children[place] = (child, count)
        else:
            self._children[place] = (held[0], count)

    # --- reading ---

    @property
    def hash(self) -> int:
        """The digest of the set of (record id, version), and of what they show if that is more than their records."""
        for key in self._unhashed:
            member = self.members.get(key)
            self._total = digest.remove(self._total, self._digests.pop(key, digest.EMPTY))
            if member is not None:
                part = digest.member_digest(pack(member.id), member.version)
                if self._presentation is not None:
                    part = digest.add(part, self._presentation.shown[key].digest)
                self._digests[key] = part
                self._total = digest.add(self._total, part)
        self._unhashed.clear()
        return self._total

    @property
    def size(self) -> int:
        return len(self.members)

    def ordered(self) -> Sequence[bytes]:
        """The members' keys in the query's order: ORDER BY first, then record id."""
        order_of = self._arrangement.order_of
        if self._sort is None:
            return sorted(self.members, key=order_of)
        rows, sort, binding, scope = self._arrangement.images, self._sort, self.binding, self.scope
        return sorted(self.members, key=lambda key: (sort(rows[key][0], binding, scope), order_of(key)))

    def children(self) -> list[MemberChange]:
        """Every child once, in the order of the members and, below each, of what it shows: one state, one order."""
        if not self._children:
            return []
        found: dict[ChildKey, MemberChange] = {}
        for key in self.ordered():
            for child in self._kin.get(key, ()):
                place = (child.parent, child.parent_rel, child.id)
                found.setdefault(place, self._children[place][0])
        return list(found.values())

    def subscribe(self, key: ViewKey) -> None:
        self.views = (*self.views, key)

    def unsubscribe(self, key: ViewKey) -> None:
        self.views = tuple(each for each in self.views if each != key)

    def state_sizes(self) -> Mapping[str, int]:
        """What is held now, for `explain`."""
        return {"members": len(self.members), "views": len(self.views)}
