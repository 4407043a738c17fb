"""A query that is kept by running it whole on SurrealDB: one run serves all views with the same text and params.

A run saw the database somewhere in (seq_before, seq_after]: everything committed before it is at or below the one,
everything it can have seen at or below the other. Once the engine has applied `seq_after` it knows whether a table that
the query reads changed in between. If none did, the result is exact at `seq_after` (and still is, until the next
touch). If one did, the query is run again; after `TRIES` such runs the last result is published at `seq_before`, the
view is lagging, and runs go on, spaced by ticks, for as long as something is dirty.

    clean ──touch──▶ dirty ──due──▶ running ──ran──▶ judged once applied ≥ seq_after ──▶ clean | dirty

Runs become deltas by a diff. A member has moved if its record has changed since the last publication; its version is
then that change's seq, and it is told even when its row is the same: a record that was deleted and created again has
lost its edges. A member whose row has another digest for another reason has the publication's seq as its version.
Invariant: between publications `rows`, `members` and `hash` are of one and the same run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from sp00ky.proto import digest
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.ssp.circuit.traced import listing
from sp00ky.ssp.engine.events import QueryFailed, QueryRan, ViewKey
from sp00ky.ssp.engine.ready import MemberChange, RunQuery, ViewDelta
from sp00ky.ssp.plan.identified import IDS_FIELD
from sp00ky.ssp.plan.nodes import Reevaluated

TRIES = 3  # overtaken runs before the view is called lagging; failed runs before its error is shown
BACKOFF_TICKS_MAX = 64
CHANGED_MAX = 100_000  # records remembered as changed since the last publication; beyond it, all count as changed
SPANS_MAX = 1_024  # touches remembered during one run; more are merged, which can only cause another run


RecordKey: TypeAlias = tuple[str, bytes]  # table, packed key


class Outcome(Enum):
    """What came of a run."""

    SETTLED = auto()  # published, exact
    OVERTAKEN = auto()  # published, but a table changed meanwhile
    AGAIN = auto()  # not published: to be run again
    BROKE = auto()  # SurrealDB will not run it as things are


@dataclass(frozen=True, slots=True)
class _Held:
    change: MemberChange
    row: int  # digest


class Rerun:
    """One query and its params. The engine feeds it touches, answers and ticks, and asks it for runs."""

    def __init__(self, plan: Reevaluated, params: bytes) -> None:
        self.plan = plan
        self.params = params
        self.views: tuple[ViewKey, ...] = ()
        self.hydrated = False
        self.rows: Value = []
        self.hash = digest.EMPTY
        self.error = ""
        self.run = 0  # number of the run under way; 0: none
        self.dirty = True
        self._members: dict[bytes, _Held] = {}
        self._exact_seq = 0
        self._clean = False
        self._answer: QueryRan | None = None
        self._spans: list[tuple[int, int]] = []
        self._changed: dict[RecordKey, int] = {}
        self._all_changed_at = 0
        self._overtaken = 0
        self._failed = 0
        self._due_tick = 0

    # --- runs ---

    def due(self, tick: int) -> bool:
        return self.dirty and not self.run and self._answer is None and tick >= self._due_tick

    def begin(self, run: int, tick: int, ticks_min: int) -> RunQuery:
        """The next run. What was touched before it lies below its `seq_before`."""
        assert not self.run and self.views
        self.run = run
        self.dirty = False
        self._spans = []
        self._due_tick = tick + ticks_min
        ids = self.plan.ids_surql
        return RunQuery(self.views[0], run, self.plan.text, self.params, ids, IDS_FIELD if ids else "")

    def touch(self, first: int, last: int, applied_before: int, changed: Mapping[RecordKey, int]) -> None:
        """A table it reads changed somewhere in [first, last]; `applied_before` is the revision before that step.
        `changed`: the records, with the seq of each one's last change."""
        self.dirty = True
        self._changed.update(changed)
        if len(self._changed) > CHANGED_MAX:
            self._changed.clear()
            self._all_changed_at = last
        if self._clean:
            self._clean = False
            self._exact_seq = applied_before
        if self.run or self._answer is not None:
            if len(self._spans) >= SPANS_MAX:
                self._spans[-1] = (self._spans[-1][0], last)
            else:
                self._spans.append((first, last))

    def ran(self, answer: QueryRan) -> None:
        self.run = 0
        self._answer = answer

    def failed(self, answer: QueryFailed, tick: int) -> Outcome:
        self.run = 0
        self.error = answer.reason
        self._failed += 1
        if answer.fatal:  # until a table it reads changes
            return Outcome.BROKE
        self.dirty = True
        self._due_tick = tick + min(BACKOFF_TICKS_MAX, 1 << min(self._failed, 6))
        if self._failed < TRIES:
            return Outcome.AGAIN
        return Outcome.OVERTAKEN if self.hydrated else Outcome.BROKE

    def judge(self, applied_seq: int) -> tuple[Outcome, ViewDelta | None] | None:
        """Publish or reject the answer that waits, once `applied_seq` allows; None: nothing to judge yet."""
        answer = self._answer
        if answer is None or applied_seq < answer.seq_after:
            return None
        self._answer = None
        self._failed = 0
        self.error = ""
        if any(first <= answer.seq_after and last > answer.seq_before for first, last in self._spans):
            self.dirty = True
            self._overtaken += 1
            if self._overtaken < TRIES:
                return Outcome.AGAIN, None
            return Outcome.OVERTAKEN, self._publish(answer, max(answer.seq_before, self._exact_seq))
        self._overtaken = 0
        self.dirty = any(last > answer.seq_after for _, last in self._spans)
        self._clean = not self.dirty
        return Outcome.SETTLED, self._publish(answer, max(answer.seq_after, self._exact_seq))

    # --- results ---

    def _publish(self, answer: QueryRan, seq: int) -> ViewDelta | None:
        """Take a run's result over; its difference to the last one, None if it is the first or there is none."""
        first, self.hydrated = not self.hydrated, True
        before, hash_before = self._members, self.hash
        self.rows = answer.rows
        self._exact_seq = seq
        self._members = self._identified(answer, seq)
        self._changed = {key: at for key, at in self._changed.items() if at > answer.seq_after}
        if self._all_changed_at <= answer.seq_after:
            self._all_changed_at = 0
        added = [held.change for key, held in self._members.items() if key not in before]
        removed = [held.change for key, held in before.items() if key not in self._members]
        updated = [
            held.change
            for key, held in self._members.items()
            if key in before and before[key].change.version != held.change.version
        ]
        self.hash = self._hash()
        if first or not (added or updated or removed or self.hash != hash_before):
            return None
        return ViewDelta(self.views, seq, added, updated, removed)

    def _identified(self, answer: QueryRan, seq: int) -> dict[bytes, _Held]:
        rows = listing(answer.rows)
        ids: Sequence[Value] = answer.ids or ()
        if len(ids) != len(rows) or not all(isinstance(each, RecordId) for each in ids):
            return {}
        members: dict[bytes, _Held] = {}
        for record, row in zip(ids, rows, strict=True):
            key = pack(record)
            content = digest.member_digest(pack(row), 0)
            changed_at = self._changed_at(record, answer.seq_after)
            held = self._members.get(key)
            if held is None or held.row != content or changed_at > held.change.version:
                held = _Held(MemberChange(record, changed_at or seq), content)
            members.setdefault(key, held)
        return members

    def _changed_at(self, record: RecordId, seq_max: int) -> int:
        """The seq of the record's last change since the last publication, as far as a run can have seen it; else 0."""
        at = max(self._all_changed_at, self._changed.get((record.table, pack(record.key)), 0))
        return at if at <= seq_max else 0

    def _hash(self) -> int:
        if not self._members:
            return digest.member_digest(pack(self.rows), 0) if listing(self.rows) else digest.EMPTY
        total = digest.EMPTY
        for key, held in self._members.items():
            total = digest.add(total, digest.member_digest(key, held.change.version))
        return total

    # --- reading ---

    def seq(self, applied_seq: int) -> int:
        """The revision at which the result is exact: the present one while nothing it reads has changed."""
        return applied_seq if self._clean else self._exact_seq

    @property
    def unsettled(self) -> bool:
        """A run is due, under way, or waits to be judged: what is shown now is about to be replaced."""
        return self.dirty or self.run != 0 or self._answer is not None

    @property
    def size(self) -> int:
        return len(self._members) if self._members else len(listing(self.rows))

    def members(self) -> list[MemberChange]:
        """In the order of the rows; empty where rows have no ids."""
        return [held.change for held in self._members.values()]

    def subscribe(self, key: ViewKey) -> None:
        self.views = (*self.views, key)

    def unsubscribe(self, key: ViewKey) -> None:
        self.views = tuple(each for each in self.views if each != key)

    def state_sizes(self) -> Mapping[str, int]:
        return {"rows": len(listing(self.rows)), "members": len(self._members), "views": len(self.views)}
