"""One view as those who watch it know it: its result when it was last shown, and what has become of it since.

    look(reading) = the message that brings a watcher from what was shown to what is

Only what has changed is made again: a member that is the same object has the same text, and the row of a member is
projected again if its record is another or if the circuit has said that it shows something else.

A view without a result keeps what it has shown, unless it is a user's: he may not be shown it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sp00ky.proto.folding import Member, Result, diff
from sp00ky.proto.v1 import views_pb2
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.text import record_id_text
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import MemberChange
from sp00ky.ssp.views.lifecycle import State
from sp00ky.ssp.watching.wire import MODES, STATES, changed_message, shown_message


@dataclass(slots=True)
class Kept:
    """A member as the engine holds it, which keeps its identity from being another's, and what was made of it."""

    change: MemberChange
    member: Member
    row: str | None = None


class Exhibit:
    """`rows`: whether the query's result is shown beside the members."""

    def __init__(self, *, rows: bool) -> None:
        self.rows = rows
        self.result: Result | None = None  # None: nothing was ever shown
        self.state = views_pb2.ResultState()
        self.single = False
        self._kept: dict[int, Kept] = {}  # by the identity of `change`
        self._reshown: dict[int, MemberChange] = {}  # likewise

    def reshow(self, changes: Iterable[MemberChange]) -> None:
        """These members may show something else than when they were last looked at."""
        for change in changes:
            self._reshown[id(change)] = change

    def forget_rows(self) -> None:
        """Any member may show something else."""
        for kept in self._kept.values():
            kept.row = None

    def look(self, reading: ViewReading, revision: str) -> views_pb2.ResultChanged | views_pb2.ResultShown | None:
        """Follow the view to `revision`: the change (`from_revision` is the caller's to say), the whole result where it
        is the first or is single, or None if nothing has changed."""
        state = views_pb2.ResultState(
            revision=revision,
            hash=reading.hash,
            state=STATES[str(reading.state)],
            mode=MODES[str(reading.mode)],
            error=reading.error,
            registered_seq=reading.spec.registered_seq,
        )
        before, was, old = self.result, self.state, self.single
        new = self._made(reading, state)
        reshown = {_member(each).place for each in self._reshown.values()}
        self._reshown = {}
        self.result, self.state = new, state
        if before is None:
            return self.whole()
        change = diff(before, new, reshown)
        if not change and _same(was, state):
            return None
        return self.whole() if self.single or old else changed_message(change, state)

    def whole(self) -> views_pb2.ResultShown:
        """What was shown last, for one who has not seen it."""
        assert self.result is not None, "there is something to be shown"
        return shown_message(self.result, self.state, single=self.single)

    @property
    def size(self) -> int:
        return 0 if self.result is None else max(len(self.result.members), len(self.result.rows))

    def _made(self, reading: ViewReading, state: views_pb2.ResultState) -> Result:
        standing = self._keep(reading.members)
        members = [kept.member for kept in standing]
        try:
            rows = self._rows(reading, standing) if self.rows else []
        except NotPlain as error:
            state.state, state.error = views_pb2.VIEW_STATE_FAILED, f"its result cannot be evaluated: {error}"
            rows, self.single = [], False
        return Result(members, rows)

    def _keep(self, changes: Sequence[MemberChange]) -> list[Kept]:
        before = self._kept
        standing = [before.get(id(change)) or Kept(change, _member(change)) for change in changes]
        self._kept = {id(kept.change): kept for kept in standing}
        return standing

    def _rows(self, reading: ViewReading, standing: Sequence[Kept]) -> list[str]:
        count = reading.row_members
        if not count:
            result = reading.rows()
            self.single = not isinstance(result, list)
            return list(map(_json, result)) if isinstance(result, list) else [_json(result)]
        self.single = False
        owners = standing[:count]
        for at in self._reshown:
            if (kept := self._kept.get(at)) is not None:
                kept.row = None
        missing = [at for at, kept in enumerate(owners) if kept.row is None]
        for at, row in zip(missing, reading.rows_at(missing) if missing else (), strict=True):
            owners[at].row = _json(row)
        return [kept.row or "" for kept in owners]


def withdrawn(reading: ViewReading) -> bool:
    """Whether the view has nothing to be shown now, not even what was shown before."""
    return reading.state is State.PENDING and bool(reading.spec.auth)


def _json(value: Value) -> str:
    return encode_json(value).decode()


def _member(change: MemberChange) -> Member:
    parent = "" if change.parent is None else record_id_text(change.parent)
    return Member(record_id_text(change.id), change.version, parent, change.parent_rel)


def _same(was: views_pb2.ResultState, now: views_pb2.ResultState) -> bool:
    return (was.hash, was.state, was.mode, was.error) == (now.hash, now.state, now.mode, now.error)
