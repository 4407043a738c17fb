"""What members show beyond their own record: links, graph steps and sub-selects of the projection, FETCH, children.

Membership and order are a circuit's; this is its projection, for those rows only that are a member of some group, once
a row however many groups hold it. Each is traced, so that a comment moves the one post it stands below.

    shown(m) = (digest of what the result holds for m and of its children, the children of m)
    Δ        = members that entered, whose record changed, or of which something that shown(m) read has changed

Invariant: after `refresh` a row is in `shown` exactly if some group has it as a member, and is computed as of now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sp00ky.proto import digest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.whole.scope import Scope, Source
from sp00ky.proto.whole.select import finish
from sp00ky.ssp.circuit.arrangement import Arrangement
from sp00ky.ssp.circuit.children import children_of, shown_digest
from sp00ky.ssp.circuit.members import Members, failure_of
from sp00ky.ssp.circuit.tracing import Reader, Tracing
from sp00ky.ssp.engine.ready import MemberChange
from sp00ky.ssp.plan.nodes import Incremental

if TYPE_CHECKING:
    from sp00ky.ssp.circuit.circuit import Circuit


@dataclass(slots=True)
class Shown:
    reader: Reader
    holders: dict[Members, None]
    seq: int = 0  # of the record that was shown
    digest: int = digest.EMPTY
    children: tuple[MemberChange, ...] = ()


class Presentation:
    """The projection of a circuit whose result shows more than the members' own records."""

    def __init__(
        self, plan: Incremental, arrangement: Arrangement, tracing: Tracing, source: Source, circuit: Circuit
    ) -> None:
        self.shown: dict[bytes, Shown] = {}
        self._select = replace(plan.select, where=None, order=(), limit=None, start=None, only=False)
        self._scope = Scope(plan.params, source)
        self._source = source
        self._arrangement = arrangement
        self._tracing = tracing
        self._circuit = circuit
        self._stale: dict[bytes, None] = {}

    def touched(self, reader: Reader) -> None:
        """Something that a member shows has changed."""
        self._stale[reader.key] = None
        self._tracing.wake(self._circuit)

    def refresh(self, groups: Iterable[Members]) -> list[Members]:
        """Follow what entered and left these groups, and compute what is stale; the groups whose members now show
        something else."""
        for group in groups:
            if group.failure is None:
                self._follow(group)
        stale, self._stale = self._stale, {}
        reshown: dict[Members, None] = {}
        rows = self._arrangement.rows
        for key in stale:
            shown = self.shown.get(key)
            if shown is not None and key in rows and self._compute(key, shown):  # else of failed groups, about to leave
                for group in shown.holders:
                    group.reshow(key)
                    reshown[group] = None
        return list(reshown)

    def _follow(self, group: Members) -> None:
        rows = self._arrangement.rows
        for key in group.moved_keys():
            shown = self.shown.get(key)
            if key in group.members:
                if shown is None:
                    shown = self.shown[key] = Shown(Reader(self, key), {})
                shown.holders[group] = None
                if shown.seq != rows[key][1]:
                    self._stale[key] = None
            elif shown is not None:
                shown.holders.pop(group, None)
                self._maybe_hide(key, shown)

    def leave_all(self, group: Members) -> None:
        """The group is gone."""
        for key in list(self.shown) if group.failure is not None else list(group.members):
            shown = self.shown.get(key)
            if shown is not None:
                shown.holders.pop(group, None)
                self._maybe_hide(key, shown)

    def _maybe_hide(self, key: bytes, shown: Shown) -> bool:
        if shown.holders:
            return False
        self._tracing.release(shown.reader)
        del self.shown[key]
        return True

    def _compute(self, key: bytes, shown: Shown) -> bool:
        """Whether the member shows something else now; what cannot be evaluated fails its holders."""
        record, seq = self._arrangement.rows[key]
        before = shown.digest, shown.children
        try:
            result, children = self._tracing.trace(
                shown.reader,
                lambda: (
                    finish(self._select, [record], self._scope),
                    children_of(self._select, record, self._scope, self._version_of),
                ),
            )
            shown.digest = shown_digest(result, children)
        except Exception as error:
            for group in shown.holders:
                group.failure = group.failure or failure_of(key, error)
            return True
        shown.seq = seq
        shown.children = children
        return before != (shown.digest, shown.children)

    def _version_of(self, record: RecordId) -> int | None:
        """None too for what the view's user may not read."""
        return None if self._source.get(record) is None else self._tracing.version_of(record)
