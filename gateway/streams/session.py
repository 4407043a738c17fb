"""What one reader is told, and when: from the feeds of his views, nothing twice, and nothing left out.

    step(now) = the events to be written now, the reads to be made for them, or the end

One view is followed change by change. Several move together, to points at which all of them are known: the changes of
each up to there, then `up-to-date` with the revision that is true of all. The next such point is the latest that every
feed's progress has reached and no change spans. Where a reader stands in a feed is the number of its next entry; who
comes back with a revision is put where the history names it, else it is read as it was, and the difference told.

Invariant: what a reader was told of a view, folded, is the view at a point; at an `up-to-date` all of his views are at
its revision. A reader who stands nowhere any more is cut off, or, of several views, put back by a read: his views wait
for each other, and that is not his fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from sp00ky.gateway.streams.events import Event
from sp00ky.gateway.streams.feed import Feed
from sp00ky.gateway.streams.points import Point
from sp00ky.gateway.translate.streams import fault_body, revision_body
from sp00ky.proto.faults import Code, Fault


class Told(NamedTuple):
    """An event, the view it is of, if of one, and whether its revision is true of everything the reader has."""

    event: Event
    given_id: str | None
    resumable: bool


class Phase(Enum):
    OPENING = auto()  # nothing was told since it began, or began anew
    READING = auto()  # its result at `since` is being read
    FOLLOWING = auto()


@dataclass(eq=False, slots=True)
class Viewed:
    """One view of one reader. `since`: what he says, or is known, to have; `cursor`: the next entry; `seq`: where he
    is; `has`: the revision at which he has the result; `deadline`: by when a revision ahead of the feed must be
    reached."""

    given_id: str
    feed: Feed
    since: Point | None
    generation: int = -1
    phase: Phase = Phase.OPENING
    cursor: int = 0
    seq: int = 0
    has: Point | None = None
    deadline: float | None = None
    begun: bool = False


class Bridge(NamedTuple):
    """From a result that was read to the one that is held: `cursor` and `has` are where the reader is then."""

    event: Event | None
    cursor: int
    has: Point


@dataclass(slots=True)
class Step:
    told: list[Told] = field(default_factory=list)
    reads: list[Viewed] = field(default_factory=list)
    gone: list[Viewed] = field(default_factory=list)
    cut: str = ""  # the reader is cut off: why
    waits: bool = False  # for progress
    deadline: float | None = None  # to be asked again then


class Session:
    """`ahead_s`: how long a revision is waited for that the feed has not reached. `count`: called with the reason of
    each `must-refetch`. `single_token`: the reader comes back with one revision for all of his views, so there must be
    no other that he could have."""

    def __init__(
        self, ahead_s: float, count: Callable[[str], None] = lambda reason: None, *, single_token: bool = False
    ) -> None:
        self.views: dict[str, Viewed] = {}
        self._single_token = single_token
        self._committed = False  # there is a revision that he may come back with
        self._ahead_s = ahead_s
        self._count = count
        self._reached: Point | None = None  # of all views, last told
        self._told = ""  # the last token told that is true of everything
        self._owed = False  # `up-to-date`: a view has begun

    def add(self, given_id: str, feed: Feed, since: Point | None) -> Viewed:
        assert given_id not in self.views
        viewed = self.views[given_id] = Viewed(given_id, feed, since)
        self._committed = self._committed or since is not None
        return viewed

    def remove(self, given_id: str) -> Viewed | None:
        return self.views.pop(given_id, None)

    def step(self, now: float, *, refresh: bool = False) -> Step:
        """What is to be done now. `refresh`: also say how far the views are, if that has moved."""
        step = Step()
        for viewed in list(self.views.values()):
            self._prepare(viewed, now, step)
        if len(self.views) == 1:
            self._flow(next(iter(self.views.values())), step, refresh=refresh)
        else:
            self._move(step, refresh=refresh)
        return step

    def bridged(self, viewed: Viewed, bridge: Bridge, generation: int) -> Told | None:
        """The result that a view had was read, and compared with what is held. What is told of it."""
        if viewed.phase is not Phase.READING or viewed.generation != generation:
            return None  # it began anew meanwhile
        self._begin(viewed, bridge.cursor, bridge.has.seq, bridge.has)
        return None if bridge.event is None else self._told_of(viewed, bridge.event)

    def unread(self, viewed: Viewed, why: Fault, generation: int) -> Told | None:
        """It could not be read."""
        if viewed.phase is not Phase.READING or viewed.generation != generation:
            return None
        return self._refetch(viewed, why)

    # --- one view begins ---------------------------------------------------------------------------------------------

    def _prepare(self, viewed: Viewed, now: float, step: Step) -> None:
        feed = viewed.feed
        if feed.gone is not None:
            step.told.append(Told(Event("gone", "", fault_body(feed.gone)), viewed.given_id, False))
            step.gone.append(viewed)
            del self.views[viewed.given_id]
            return
        if viewed.begun and viewed.generation != feed.generation:
            assert feed.refetch is not None
            step.told.append(self._refetch(viewed, feed.refetch))
        viewed.generation = feed.generation
        if viewed.phase is Phase.OPENING and feed.result is not None:
            self._open(viewed, now, step)

    def _open(self, viewed: Viewed, now: float, step: Step) -> None:
        feed, since = viewed.feed, viewed.since
        progress = feed.progress
        assert progress is not None
        viewed.begun = True
        if since is not None and since.store != progress.store:
            why = Fault(Code.REVISION_GONE, f"revision {since.token} belongs to another store")
            step.told.append(self._refetch(viewed, why))
            since = None
        elif since is not None and since.seq < feed.registered_seq:
            why = Fault(Code.REVISION_GONE, f"the view was registered anew after {since.token}")
            step.told.append(self._refetch(viewed, why))
            since = None
        if since is None:
            step.told.append(self._told_of(viewed, feed.snapshot()))
            self._begin(viewed, feed.history.end, max(feed.history.seq, feed.at.seq), feed.at)
            return
        cursor = feed.cursor_of(since)
        if cursor is not None:
            self._begin(viewed, cursor, since.seq, since)
        elif since.seq <= progress.seq:
            viewed.phase = Phase.READING
            step.reads.append(viewed)
        elif viewed.deadline is None or now < viewed.deadline:
            viewed.deadline = viewed.deadline or now + self._ahead_s
            step.deadline = min(viewed.deadline, step.deadline or viewed.deadline)
            step.waits = True
        else:
            why = Fault(Code.TIMEOUT, f"revision {since.token} was not reached in time")
            step.told.append(self._refetch(viewed, why))
            self._open(viewed, now, step)

    def _begin(self, viewed: Viewed, cursor: int, seq: int, has: Point) -> None:
        viewed.phase, viewed.since, viewed.deadline = Phase.FOLLOWING, None, None
        viewed.cursor, viewed.seq, viewed.has = cursor, seq, has
        self._owed = True

    def _refetch(self, viewed: Viewed, why: Fault) -> Told:
        self._count(why.code.value)
        viewed.phase, viewed.since, viewed.deadline, viewed.begun = Phase.OPENING, None, None, False
        return Told(Event("must-refetch", "", fault_body(why)), viewed.given_id, False)

    def _told_of(self, viewed: Viewed, event: Event) -> Told:
        alone = len(self.views) == 1
        if alone:
            self._told = event.token
        return Told(event, viewed.given_id, alone)

    # --- one view alone ----------------------------------------------------------------------------------------------

    def _flow(self, viewed: Viewed, step: Step, *, refresh: bool) -> None:
        if viewed.phase is not Phase.FOLLOWING:
            return
        history = viewed.feed.history
        if viewed.cursor < history.first:
            step.cut = "slow"
            return
        self._tell(viewed, history.end, step)
        progress = viewed.feed.progress
        if progress is not None and (self._owed or (refresh and progress.token != self._told)):
            if progress.seq >= viewed.seq:
                viewed.seq, viewed.has = progress.seq, progress
            self._say(progress, step)

    # --- several together --------------------------------------------------------------------------------------------

    def _move(self, step: Step, *, refresh: bool) -> None:
        following = [each for each in self.views.values() if each.phase is Phase.FOLLOWING]
        pending = self._owed or any(each.cursor != each.feed.history.end for each in following)
        if not following or not (pending or refresh) or self._must_wait():
            return
        reach = _reach(following)
        if reach is not None and (lost := [each for each in following if each.cursor < each.feed.history.first]):
            for each in lost:
                each.phase, each.since = Phase.READING, each.has
            step.reads += lost
            return
        if reach is None:
            step.waits = step.waits or pending
            return
        moved = False
        for each in following:
            entries = each.feed.history.after(each.cursor)
            end = each.cursor + sum(1 for entry in entries if entry.at <= reach.seq)
            moved = self._tell(each, end, step) or moved
            each.seq, each.has = reach.seq, reach
        self._reached = reach
        if moved or self._owed or (refresh and reach.token != self._told):
            self._say(reach, step)
        step.waits = step.waits or any(each.cursor != each.feed.history.end for each in following)

    def _must_wait(self) -> bool:
        """Whether the views may not be moved without those that have not begun. One of which the reader has something
        must not be left behind; and who comes back with one revision must have all of them at it, or none."""
        others = [each for each in self.views.values() if each.phase is not Phase.FOLLOWING]
        return any(each.since is not None for each in others) or (
            bool(others) and self._single_token and self._committed
        )

    def _put_back(self, viewed: Viewed, step: Step) -> bool:
        """Whether there is a revision to read: the one that all views were at."""
        if self._reached is None or self._reached.seq < viewed.seq:
            why = Fault(Code.REVISION_GONE, "the views did not come together in time")
            step.told.append(self._refetch(viewed, why))
            step.waits = True
            return False
        viewed.phase, viewed.since = Phase.READING, self._reached
        return True

    def _tell(self, viewed: Viewed, end: int, step: Step) -> bool:
        """The view's entries up to this number."""
        moved = False
        for entry in viewed.feed.history.after(viewed.cursor):
            if viewed.cursor == end:
                break
            viewed.cursor += 1
            viewed.seq, viewed.has = entry.at, entry.to
            if entry.event is not None:
                step.told.append(self._told_of(viewed, entry.event))
                moved = True
        return moved

    def _say(self, point: Point, step: Step) -> None:
        resumable = all(each.phase is Phase.FOLLOWING for each in self.views.values())
        if self._single_token and not resumable:
            return  # it is owed until it is true of every view
        self._owed, self._told = False, point.token
        self._committed = self._committed or resumable
        step.told.append(Told(Event(UP_TO_DATE, point.token, revision_body(point.token)), None, resumable))


UP_TO_DATE: Final = "up-to-date"


def _reach(views: Iterable[Viewed]) -> Point | None:
    """The latest point, at or after where each of the views is, at which all of them are known."""
    feeds = [each.feed for each in views]
    least = max(each.seq for each in views)
    points = [progress for feed in feeds if (progress := feed.progress) is not None]
    if len(points) < len(feeds) or len({point.store for point in points}) > 1:
        return None
    reach = min(points, key=lambda point: point.seq)
    while reach.seq >= least:
        known = [feed.known(reach.seq) for feed in feeds]
        if None in known:
            return None
        lowest = min((point for point in known if point is not None), key=lambda point: point.seq)
        if lowest.seq == reach.seq:
            return reach
        reach = lowest
    return None
