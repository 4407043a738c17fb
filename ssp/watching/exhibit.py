"""One view as those who watch it know it: its result when it was last shown, and what has become of it since.

    look(reading) = the message that brings a watcher from what was shown to what is

Only what has changed is made again: a member that is the same object has the same text, and the row of a member is
projected again if its record is another or if the circuit has said that it shows something else.

A view without a result keeps what it has shown, unless it is a user's: he may not be shown it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sp00ky.proto.folding import Member, Place, Result, diff
from sp00ky.proto.v1 import views_pb2
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import record_id_text
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import MemberChange
from sp00ky.ssp.views.lifecycle import State
from sp00ky.ssp.watching.wire import MODES, STATES, changed_message, shown_message


class Exhibit:
    """`rows`: whether the query's result is shown beside the members."""

    def __init__(self, *, rows: bool) -> None:
        self.rows = rows
        self.result: Result | None = None  # None: nothing was ever shown
        self.state = views_pb2.ResultState()
        self.single = False
        self._known: dict[int, tuple[MemberChange, Member]] = {}  # by identity of what the engine holds
        self._rows_of: dict[Place, tuple[int, str]] = {}  # version and row
        self._reshown: set[RecordId] = set()

    def reshow(self, changes: Iterable[MemberChange]) -> None:
        """These members may show something else than when they were last looked at."""
        for change in changes:
            self._reshown.add(change.id)

    def forget_rows(self) -> None:
        """Any member may show something else."""
        self._rows_of = {}

    def look(self, reading: ViewReading, revision: str) -> views_pb2.ResultChanged | views_pb2.ResultShown | None:
        """Follow the view to `revision`: the change (`from_revision` is the caller's to say), the whole result where it
        is the first or is single, or None if nothing has changed."""
        state = views_pb2.ResultState(
            revision=revision,
            hash=reading.hash,
            state=STATES[str(reading.state)],
            mode=MODES[str(reading.mode)],
            error=reading.error,
        )
        before, was, old = self.result, self.state, self.single
        new = self._made(reading, state)
        reshown = {Place(record_id_text(id_)) for id_ in self._reshown} if self._reshown else ()
        self._reshown.clear()
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
        changes = reading.members
        members = self._members(changes)
        try:
            rows = self._rows(reading, members) if self.rows else []
        except NotPlain as error:
            state.state, state.error = views_pb2.VIEW_STATE_FAILED, f"its result cannot be evaluated: {error}"
            rows, self.single = [], False
        return Result(members, rows)

    def _members(self, changes: Sequence[MemberChange]) -> list[Member]:
        known, before = {}, self._known
        members: list[Member] = []
        for change in changes:
            at = id(change)
            held = before.get(at)
            if held is None:  # what is held is kept alive, so no other object can have its identity
                held = change, _member(change)
            known[at] = held
            members.append(held[1])
        self._known = known
        return members

    def _rows(self, reading: ViewReading, members: Sequence[Member]) -> list[str]:
        count = reading.row_members
        if not count:
            self._rows_of = {}
            result = reading.rows()
            self.single = not isinstance(result, list)
            return list(map(_json, result)) if isinstance(result, list) else [_json(result)]
        self.single = False
        stale = {record_id_text(id_) for id_ in self._reshown} if self._reshown else ()
        known, rows_of = self._rows_of, dict[Place, tuple[int, str]]()
        missing = [
            at
            for at, member in enumerate(members[:count])
            if (held := known.get(member.place)) is None or held[0] != member.version or member.id in stale
        ]
        made = dict(zip(missing, map(_json, reading.rows_at(missing)), strict=True)) if missing else {}
        rows: list[str] = []
        for at, member in enumerate(members[:count]):
            row = made[at] if at in made else known[member.place][1]
            rows_of[member.place] = member.version, row
            rows.append(row)
        self._rows_of = rows_of
        return rows


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
