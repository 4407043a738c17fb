"""What a watch tells, and the result that is folded from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sp00ky.proto.folding import Change, Member, Place, Placed, Result, diff, fold


@dataclass(frozen=True, slots=True)
class Delta:
    """How a view has moved, and how it is now.

    `members` and `rows` are the result at `revision`, in the query's order; `rows` is None unless rows are watched, and
    the value itself for a query with ONLY. `added`, `updated` and `removed` are what has changed since the delta
    before: of the first one everything is added. Treat all of them as read-only."""

    view: str
    revision: str
    hash: str
    state: str  # pending, live, lagging, failed
    mode: str  # incremental, reevaluated
    error: str
    added: Sequence[Member]
    updated: Sequence[Member]
    removed: Sequence[Member]
    members: Sequence[Member]
    rows: Any


@dataclass(frozen=True, slots=True)
class Step:
    """Several views at one revision: those that have moved."""

    revision: str
    deltas: Mapping[str, Delta]


@dataclass(slots=True)
class Folded:
    """A view as it was told: `take` one event of it after the other, `delta` tells what came of them."""

    view: str
    rows_asked: bool
    _stated: Mapping[str, Any] = field(default_factory=dict)
    _result: Result = field(default_factory=Result)
    _before: Result = field(default_factory=Result)  # when `delta` was last asked for
    _updated: set[Place] = field(default_factory=set)
    _rows: list[Any] = field(default_factory=list)
    _single: bool = False

    def take(self, kind: str, body: Mapping[str, Any]) -> None:
        """A `snapshot` or a `delta`."""
        self._stated = body
        if kind == "snapshot":
            self._result = Result([_member(each) for each in body["members"]])
            self._single, self._rows = "row" in body, [body["row"]] if "row" in body else list(body.get("rows", ()))
            return
        change = Change(
            [_member(each) for each in body.get("removed", ())],
            [Placed(each["at"], _member(each)) for each in body.get("added", ())],
            [Placed(each["at"], _member(each)) for each in body.get("updated", ())],
        )
        self._updated.update(each.member.place for each in change.updated)
        fold(self._result, change)
        if "row" in body:
            self._single, self._rows = True, [body["row"]]
        for splice in body.get("rows", ()):
            self._rows[splice["at"] : splice["at"] + splice["remove"]] = splice["insert"]

    def delta(self, revision: str) -> Delta:
        """What has changed since the last one."""
        change = diff(self._before, self._result, self._updated)
        self._before = Result(list(self._result.members))
        self._updated.clear()
        rows: Any = None
        if self.rows_asked:
            rows = (self._rows[0] if self._rows else None) if self._single else list(self._rows)
        return Delta(
            view=self.view,
            revision=revision,
            hash=self._stated.get("hash", ""),
            state=self._stated.get("state", ""),
            mode=self._stated.get("mode", ""),
            error=self._stated.get("error", ""),
            added=[each.member for each in change.added],
            updated=[each.member for each in change.updated],
            removed=list(change.removed),
            members=self._before.members,
            rows=rows,
        )


def _member(body: Mapping[str, Any]) -> Member:
    return Member(body["id"], body.get("version", 0), body.get("parent", ""), body.get("parent_rel", ""))
