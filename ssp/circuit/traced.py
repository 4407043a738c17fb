"""A whole result, evaluated here and traced: the circuit of a query that has none.

    result = run(query)      Δ: when something that the last run has read is touched, run again and tell the difference

What was read is narrow where the query is: the records it names, the rows under a value of a field, the edges of a
record. So a change costs nothing to a result that did not read it, and one run, at the step's end, to one that did.

Its twin is the query run fresh; there is no other state to be wrong. Invariant: between steps the result is exact, or
`failure` says why there is none; what a failed run had read brings the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from sp00ky.proto import digest
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole.scope import Scope, Source
from sp00ky.proto.whole.select import chosen, run_select
from sp00ky.ssp.circuit.children import children_of, shown_digest, shows_more
from sp00ky.ssp.circuit.members import Failure, failure_of
from sp00ky.ssp.circuit.tracing import Location, Reader, Tracing
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta
from sp00ky.ssp.plan.identified import has_ids
from sp00ky.ssp.plan.nodes import Traced

_Place: TypeAlias = tuple[RecordId | None, str, RecordId]


class TracedResult:
    """One query, its params and its user; shared by all views that have the same."""

    def __init__(self, plan: Traced, key: object, tracing: Tracing, source: Source) -> None:
        self.plan = plan
        self.key = key
        self.views: tuple[ViewKey, ...] = ()
        self.failure: Failure | None = None
        self.rows: Value = []
        self.runs = 0
        self.seq = 0  # of the last change of the result
        self._members: dict[_Place, MemberChange] = {}
        self._digests: dict[RecordId, int] = {}
        self._hash = digest.EMPTY
        self._tracing = tracing
        self._reader = Reader(self, None)
        self._source = source
        self._scope = Scope(plan.params, source)
        self._stale = True

    @property
    def locations(self) -> frozenset[Location]:
        """What its last run has read."""
        return self._reader.locations

    def touched(self, reader: Reader) -> None:
        self._stale = True
        self._tracing.wake(self)

    def settle(self) -> None:
        """Nothing but to run again, which `flush` does once everything has moved."""

    def close(self) -> None:
        self._tracing.release(self._reader)
        self._tracing.sleep(self)
        del self._reader  # which knows this result: nothing that was let go waits for the collector

    def flush(self, seq: int) -> ViewDelta | None:
        """Run if it must; the difference to the last result, None if there is none or the run failed."""
        if not self._stale:
            return None
        self._stale = False
        self.runs += 1
        before, digests, hash_before = self._members, self._digests, self._hash
        self.failure = None
        try:
            self._tracing.trace(self._reader, self._run)
        except Exception as error:
            self.failure = failure_of(b"", error)
            return None
        added = [member for place, member in self._members.items() if place not in before]
        removed = [member for place, member in before.items() if place not in self._members]
        updated = [
            member
            for place, member in self._members.items()
            if place in before and (before[place].version != member.version or self._moved(member, digests))
        ]
        if not (added or updated or removed or self._hash != hash_before):
            return None
        self.seq = seq
        return ViewDelta(self.views, seq, added, updated, removed)

    def _moved(self, member: MemberChange, digests: Mapping[RecordId, int]) -> bool:
        return member.parent is None and digests.get(member.id) != self._digests.get(member.id)

    def _run(self) -> None:
        select, scope = self.plan.select, self._scope
        rows = run_select(select, scope)
        members: dict[_Place, MemberChange] = {}
        digests: dict[RecordId, int] = {}
        if has_ids(select):
            records = chosen(select, scope)
            listed = listing(rows)
            for at, record in enumerate(records):
                identity = record.get("id") if type(record) is dict else None
                version = self._version_of(identity) if isinstance(identity, RecordId) else None
                if version is None or identity is None:
                    members, digests = {}, {}
                    break
                children = children_of(select, record, scope, self._version_of) if shows_more(select) else ()
                for member in (MemberChange(identity, version), *children):
                    members.setdefault((member.parent, member.parent_rel, member.id), member)
                if at < len(listed):  # a record may stand in several rows
                    before = digests.get(identity, digest.EMPTY)
                    digests[identity] = digest.add(before, shown_digest(listed[at], children))
        self.rows, self._members, self._digests = rows, members, digests
        self._hash = self._hashed()

    def _version_of(self, record: RecordId) -> int | None:
        """None for a record that is not there, or not for the user to see: an object in FROM may name any."""
        return None if self._source.get(record) is None else self._tracing.version_of(record)

    def _hashed(self) -> int:
        if not self._members:
            return digest.member_digest(pack(self.rows), 0) if listing(self.rows) else digest.EMPTY
        total = digest.EMPTY
        for member in self._members.values():
            if member.parent is None:
                total = digest.add(total, digest.member_digest(pack(member.id), member.version))
                total = digest.add(total, self._digests.get(member.id, digest.EMPTY))
        return total

    # --- reading ---

    @property
    def hash(self) -> int:
        return self._hash

    @property
    def size(self) -> int:
        outermost = sum(member.parent is None for member in self._members.values())
        return outermost or len(listing(self.rows))

    def members(self) -> list[MemberChange]:
        """In the order of the rows, the children behind; empty where rows have no ids."""
        outermost = [member for member in self._members.values() if member.parent is None]
        return outermost + [member for member in self._members.values() if member.parent is not None]

    def subscribe(self, key: ViewKey) -> None:
        self.views = (*self.views, key)

    def unsubscribe(self, key: ViewKey) -> None:
        self.views = tuple(each for each in self.views if each != key)

    def state_sizes(self) -> Mapping[str, int]:
        return {
            "rows": len(listing(self.rows)),
            "members": len(self._members),
            "reads": len(self._reader.locations),
            "runs": self.runs,
            "views": len(self.views),
        }


def listing(rows: Value) -> list[Value]:
    """The rows of a result; FROM ONLY answers a row itself, or NONE."""
    if isinstance(rows, list):
        return rows
    return [] if rows is None or rows is NONE else [rows]
