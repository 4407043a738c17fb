"""One view as its owner shows it to this gateway: the folded result, and the recent changes of it.

    owner ── shown, changed, progress ──▶ Feed ── events ──▶ every reader of the view

A feed outlives the stream it is fed by. When that breaks, the result stays as it was at the point up to which it was
known; whoever owns the view next shows it whole, at or after that point, and what has come between is one ordinary
change, `diff(held, shown)`. So readers see neither gap nor repeat, whatever moved.

Invariant: `result` is the view's at `progress`. A feed whose history leads nowhere (another store, a branch that was
given up, a query that was registered anew) starts a new *generation*; readers of the one before must fetch again.

A member whose record has not changed but which shows something else, through a link, is named as updated by the SSP
alone: after a break the hash says so, and the rows do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sp00ky.gateway.streams.events import Event
from sp00ky.gateway.streams.history import Budget, Entry, History
from sp00ky.gateway.streams.points import Point, Progress, point_of
from sp00ky.gateway.translate.streams import Shown, delta_body, shown_of, snapshot_body
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.folding import Change, Member, Placed, Result, Splice, diff, fold
from sp00ky.proto.v1 import common_pb2, views_pb2

Waker = Callable[[], None]


@dataclass(slots=True)
class _Era:
    """One watch on one stream. `low`: from here on its points are points of this feed; None: it was not shown yet.
    `number`: of the progress that was there when it was shown, which does not speak of it. `high`: where it ended."""

    progress: Progress
    watch_id: int
    low: int | None = None
    number: int = 0
    high: int | None = None
    frozen: bool = False


class Feed:
    """Of (`key`, `rows`)."""

    def __init__(self, key: common_pb2.ViewKey, *, rows: bool, budget: Budget) -> None:
        self.key, self.rows = key, rows
        self.history = History(budget)
        self.result: Result | None = None  # None: nothing was shown yet
        self.shown: Shown | None = None
        self.single = False
        self.registered_seq = 0  # since when the view has the query whose result this is
        self.generation = 0
        self.refetch: Fault | None = None  # why this generation began
        self.gone: Fault | None = None
        self.readers: dict[Waker, None] = {}  # called when there is something to tell
        self._own: Point | None = None
        self._era: _Era | None = None
        self._before: _Era | None = None
        self._snapshot: Event | None = None

    # --- what is known -----------------------------------------------------------------------------------------------

    @property
    def progress(self) -> Point | None:
        """The last point at which the result is known; None while there is none."""
        own, era = self._own, self._era
        if own is None or era is None or era.low is None or era.number == era.progress.number:
            return own
        point = era.progress.point
        if point is None or point.store != own.store or point.seq < own.seq:
            return own
        lagging = self.shown is not None and self.shown.state == views_pb2.VIEW_STATE_LAGGING
        return own if era.watch_id in era.progress.unsettled and not lagging else point

    @property
    def at(self) -> Point:
        """The revision that the result was shown at."""
        assert self.shown is not None
        return point_of(self.shown.token)

    def known(self, seq: int) -> Point | None:
        """The last point at or before `seq` at which the result is known, and its history goes back to."""
        while True:
            best = max(self._points(seq), key=lambda point: point.seq, default=None)
            if best is None or self.history.base is None or best.seq < self.history.base.seq:
                return None
            spanning = self.history.spanning(best.seq)
            if spanning is None:
                return best
            seq = spanning.since.seq

    def _points(self, seq: int) -> Iterable[Point]:
        progress = self.progress
        if progress is not None and progress.seq <= seq:
            yield progress
        for era in (self._era, self._before):
            if era is None or era.low is None:
                continue
            high = era.high if era.high is not None else progress.seq if progress is not None else 0
            point = era.progress.latest(min(seq, high))
            if point is not None and point.seq >= era.low:
                yield point
        point = next(self.history.points(seq), None)
        if point is not None:
            yield point

    def cursor_of(self, since: Point) -> int | None:
        """Where in the history the reader stands who has the result at this revision; None if that is not known."""
        if self._own is None or since.store != self._own.store:
            return None
        cursor = self.history.cursor_of(since.token)
        if cursor is not None:
            return cursor
        known = self.known(since.seq)
        return self.history.cursor_at(since.seq) if known is not None and known.token == since.token else None

    def snapshot(self) -> Event:
        """The whole result as an event."""
        assert self.result is not None and self.shown is not None
        if self._snapshot is None:
            rest = snapshot_body(self.shown, self.result, rows=self.rows, single=self.single)
            self._snapshot = Event("snapshot", self.shown.token, rest)
        return self._snapshot

    def bridge(self, old: Result, had: Shown) -> Event | None:
        """The event that brings one who has `old`, the result at some point up to `progress`, to what is held."""
        progress = self.progress
        assert self.result is not None and self.shown is not None and progress is not None
        change = diff(old, self.result)
        if not change and had.same(self.shown):
            return None
        shown = replace(self.shown, token=progress.token)
        rest = delta_body(shown, had.token, change, self.result, single=self.single)
        return Event("delta", progress.token, rest)

    # --- its watch ---------------------------------------------------------------------------------------------------

    def attach(self, progress: Progress, watch_id: int) -> None:
        """A watch is open; nothing was shown on it yet."""
        assert self._era is None
        self._era = _Era(progress, watch_id)

    def detach(self) -> None:
        """The watch is over: what is known is what was known."""
        era, self._own = self._era, self.progress
        self._era = None
        if era is not None and era.low is not None:
            era.high = self._own.seq if self._own is not None else None
            self._before = era

    def freeze(self) -> None:
        """The next progress will not speak of this watch: called before it is made."""
        era = self._era
        if era is not None and era.low is not None and not era.frozen:
            self._own = self.progress
            era.frozen = True

    def thaw(self, point: Point) -> None:
        """This progress speaks of it again: called when it is made. How it was between is not known."""
        era = self._era
        if era is None or era.low is None or not era.frozen:
            return
        era.frozen = False
        if self._own is not None and self._own.store == point.store and self._own.seq < point.seq:
            self._append(self._own, point, None)
            self._own = point

    def handle_shown(self, message: views_pb2.ResultShown) -> None:
        """Raises Fault INVALID."""
        assert self._era is not None
        shown, point = shown_of(message.state), point_of(message.state.revision)
        result = Result(_members(message.members), list(message.rows_json) if self.rows else [])
        before, held = self.progress, self.result
        anew, self.registered_seq = message.state.registered_seq != self.registered_seq, message.state.registered_seq
        if held is None or before is None or anew or self._breaks(before, point, message.single):
            self._restart(before, point)
            self.result, self.shown, self.single, self._own = result, shown, message.single, point
        else:
            self._follow(diff(held, result), result, shown, before, point)
        if self._era.low is None:
            self._era.low = point.seq
        self._era.number = self._era.progress.number
        self._tell()

    def _breaks(self, before: Point, point: Point, single: bool) -> bool:
        return before.store != point.store or point.seq < before.seq or single != self.single

    def _restart(self, before: Point | None, point: Point) -> None:
        if before is not None:  # what was shown until now does not lead here
            self.refetch = Fault(Code.REVISION_GONE, f"no change leads from {before.token} to {point.token}")
            self.generation += 1
        self._before, self._snapshot = None, None
        self.history.restart(point)

    def handle_changed(self, message: views_pb2.ResultChanged) -> None:
        """Raises Fault INVALID, DATA_LOSS: the watch must be opened anew."""
        shown, since, to = shown_of(message.state), point_of(message.from_revision), point_of(message.state.revision)
        before = self.progress
        if self.result is None or self._era is None or self._era.low is None or before is None:
            raise Fault(Code.DATA_LOSS, "a change came before the result it changes")
        if since.store != before.store or to.seq <= since.seq:
            raise Fault(Code.DATA_LOSS, f"a change leads from {since.token} to {to.token}")
        change = Change(
            _members(message.removed),
            [Placed(each.at, _member(each.member)) for each in message.added],
            [Placed(each.at, _member(each.member)) for each in message.updated],
            [Splice(each.at, each.removed, tuple(each.rows_json)) for each in message.rows] if self.rows else [],
        )
        fold(self.result, change)
        self.registered_seq = message.state.registered_seq
        self._follow(change, self.result, shown, since if since.seq > before.seq else before, to)
        self._tell()

    def _follow(self, change: Change, result: Result, shown: Shown, since: Point, to: Point) -> None:
        assert self.shown is not None
        event = None
        same = not change and shown.same(self.shown)
        self.result, self.shown, self._snapshot = result, shown, None
        if not same:
            rest = delta_body(shown, since.token, change, result, single=self.single)
            event = Event("delta", shown.token, rest)
        self._append(since, to, event)
        if self._own is None or to.seq > self._own.seq:
            self._own = to
        elif since.seq > self._own.seq:
            self._own = since

    def _append(self, since: Point, to: Point, event: Event | None) -> None:
        if event is not None or to.seq > since.seq:
            since = since._replace(seq=max(since.seq, self.history.seq))
            self.history.append(Entry(since, to, max(to.seq, since.seq + 1), event))

    def forget(self, why: Fault) -> None:
        """What is held belongs to a store or a branch that is gone: what is shown next begins anew."""
        if self.result is not None:
            self.generation += 1
            self.refetch = why
        self.result = self.shown = self._own = self._before = self._snapshot = None
        self.history.restart(None)
        self._tell()

    def become_gone(self, why: Fault) -> None:
        """The view is no more."""
        self.gone = why
        self._tell()

    def close(self) -> None:
        """Nobody reads it any more; its part of the budget is free."""
        self.history.restart(None)

    def _tell(self) -> None:
        for wake in tuple(self.readers):
            wake()


def _member(member: views_pb2.Member) -> Member:
    return Member(member.id, member.version, member.parent, member.parent_rel)


def _members(members: Sequence[views_pb2.Member]) -> list[Member]:
    return [_member(each) for each in members]
