"""The result of one shape under one binding: its members, kept once for all views that share them.

    Δ(members) = those whose record passes now and did not (added)
               + those that pass now and did, with a newer version (updated)
               − those that passed and do not (removed)

A step may push a key several times (a window moves over it); `flush` compares with the version before the step, so that
only the net effect is emitted and what was entered and left again is never seen.

Invariant: between steps `members` is exactly the query's membership at the last step, each with the seq of the
record's last change. The digest of that set is kept lazily: `hash` takes out the old and puts in the new digest of
each key touched since it was last asked for, so it costs no more than the changes, and nothing when nobody asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sp00ky.proto import digest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole.scope import Scope
from sp00ky.ssp.circuit.arrangement import Arrangement, Row
from sp00ky.ssp.circuit.predicate import Binding, SortFunction, scope_of
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta


@dataclass(frozen=True, slots=True)
class Failure:
    """A record on which the query could not be evaluated here."""

    key: bytes
    reason: str
    not_plain: bool  # the query may still be right on SurrealDB


class Members:
    """A filter's members, in no order until they are read: a push is one dictionary write."""

    __slots__ = (
        "_arrangement", "_digests", "_sort", "_total", "_touched", "_unhashed",
        "binding", "failure", "members", "scope", "views",
    )  # fmt: skip

    def __init__(self, arrangement: Arrangement, binding: Binding, sort: SortFunction | None) -> None:
        self.binding = binding
        self.scope: Scope = scope_of(binding)
        self.views: tuple[ViewKey, ...] = ()
        self.failure: Failure | None = None  # set: the members are not to be trusted any more
        self.members: dict[bytes, MemberChange] = {}
        self._arrangement = arrangement
        self._sort = sort
        self._touched: dict[bytes, MemberChange | None] = {}  # key → the member before the step
        self._total = digest.EMPTY
        self._digests: dict[bytes, int] = {}  # key → its part of the total
        self._unhashed: set[bytes] = set()  # keys whose part is out of date

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
        added: list[MemberChange] = []
        updated: list[MemberChange] = []
        removed: list[RecordId] = []
        for key, before in touched.items():
            after = self.members.get(key)
            if after is None:
                if before is None:
                    continue
                removed.append(before.id)
            elif before is None:
                added.append(after)
            elif before.version != after.version:
                updated.append(after)
            else:
                continue
            self._unhashed.add(key)
        if not (added or updated or removed):
            return None
        return ViewDelta(self.views, seq, added, updated, removed)

    # --- reading ---

    @property
    def hash(self) -> int:
        """The digest of the set of (record id, version)."""
        for key in self._unhashed:
            member = self.members.get(key)
            self._total = digest.remove(self._total, self._digests.pop(key, digest.EMPTY))
            if member is not None:
                part = self._digests[key] = digest.member_digest(pack(member.id), member.version)
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
        rows, sort, binding, scope = self._arrangement.rows, self._sort, self.binding, self.scope
        return sorted(self.members, key=lambda key: (sort(rows[key][0], binding, scope), order_of(key)))

    def subscribe(self, key: ViewKey) -> None:
        self.views = (*self.views, key)

    def unsubscribe(self, key: ViewKey) -> None:
        self.views = tuple(each for each in self.views if each != key)

    def state_sizes(self) -> Mapping[str, int]:
        """What is held now, for `explain`."""
        return {"members": len(self.members), "views": len(self.views)}
