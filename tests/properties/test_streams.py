"""Streams of views: whatever breaks, moves or is slow, a reader who folds what he is told has the view.

The mesh here is a table: what each view is at each seq. Owners show it as SSPs do (whole, change by change, unsettled,
overtaken progress, ends of an idle log that nobody else names), break off, and move; readers come and go with the last
id they have. The sessions are the real ones, the reads for those who come back are answered from the table. One seed is
one history.
"""

from __future__ import annotations

import copy
import random
from typing import Any

import orjson
import pytest
from sp00ky.gateway.streams.feed import Feed
from sp00ky.gateway.streams.history import Budget
from sp00ky.gateway.streams.points import Progress, point_of
from sp00ky.gateway.streams.session import Bridge, Session, Step, Told, Viewed
from sp00ky.gateway.translate.streams import Shown
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.folding import Change, Member, Result, diff
from sp00ky.proto.revision import parse_revision
from sp00ky.proto.v1 import common_pb2, views_pb2

from tests.harness.folding_reader import FoldedView, FoldingReader

NAMES = ("a", "b")
LIVE = views_pb2.VIEW_STATE_LIVE
# write, cut, find, lose, show, hold back, let go, overflow, come, leave, listen, read, rest
WEIGHTS = (16, 10, 4, 1.5, 16, 2, 4, 1.5, 6, 2, 24, 8, 0.7)


def token(seq: int, epoch: int = 1) -> str:
    return f"v1.deadbeef.{epoch:08x}.{seq:020d}"


class Owner:
    """One SSP's stream of watches, with one watch, of one view."""

    def __init__(self, name: str, feed: Feed) -> None:
        self.name, self.feed = name, feed
        self.at = 0  # what it has shown
        self.progress = Progress()
        self.shown: Result | None = None
        self.held_at: int | None = None
        feed.attach(self.progress, 1)


class Reader:
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.folded = FoldingReader(several=len(names) > 1)
        self.session: Session | None = None
        self.reads: list[Viewed] = []


class World:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seq = 0
        self.cuts = [0]
        self.table: dict[str, list[Result]] = {name: [Result()] for name in NAMES}
        budget = Budget(entries_max=4, bytes_max=100_000, total_bytes_max=200_000)
        self.feeds = {name: Feed(common_pb2.ViewKey(id=name), rows=True, budget=budget) for name in NAMES}
        self.owners: dict[str, Owner | None] = dict.fromkeys(NAMES)
        self.readers = [Reader(("a",)), Reader(("b",)), Reader(NAMES), Reader(NAMES)]
        self.write([1, 2])
        self.cut()

    def step(self) -> None:
        """One thing happens."""
        draw, coin = self.random, self.random.random
        name, which = draw.choice(NAMES), draw.randrange(len(self.readers))
        match draw.choices(range(len(WEIGHTS)), WEIGHTS)[0]:
            case 0:
                self.write(draw.sample(range(4), draw.randrange(4)))
            case 1:
                self.cut()
            case 2:
                self.find(name)
            case 3:
                self.lose(name)
            case 4:
                self.show(name, draw.randrange(1, 4), coin() < 0.7, coin() < 0.5)
            case 5:
                self.hold_back(name)
            case 6:
                self.let_go(name)
            case 7:
                self.overflow(name)
            case 8:
                self.come(which, coin() < 0.3, draw.randrange(self.seq + 1) if coin() < 0.4 else None)
            case 9:
                self.leave(which, draw.randrange(5))
            case 10:
                self.listen(which, coin() < 0.3)
            case 11:
                self.read(which, coin() < 0.2)
            case _:
                self.rest()

    # --- the mesh ---

    def write(self, ids: list[int]) -> None:
        """One transaction: `b` is `a` the other way round, so that they can be told apart from any other pair."""
        self.seq += 1
        self._put("a", ids)
        self._put("b", ids[::-1])

    def _put(self, name: str, ids: list[int]) -> None:
        before = {member.id: member for member in self.table[name][-1].members}
        members = [before.get(f"r:{each}") or Member(f"r:{each}", self.seq) for each in ids]
        rows = [f'"{member.id}@{member.version}"' for member in members]
        self.table[name].append(Result(members, rows))

    def cut(self) -> None:
        if self.cuts[-1] != self.seq:
            self.cuts.append(self.seq)

    def find(self, name: str) -> None:
        if self.owners[name] is None:
            self.owners[name] = Owner(name, self.feeds[name])

    def lose(self, name: str) -> None:
        if self.owners[name] is not None:
            self.feeds[name].detach()
            self.owners[name] = None

    def show(self, name: str, steps: int, tells: bool, idle: bool) -> None:
        """The owner goes on by some cuts, or to the end of a log that fell idle for it."""
        owner = self.owners[name]
        if owner is None:
            return
        ahead = [each for each in self.cuts if each > owner.at]
        if idle and owner.at < self.seq and not [each for each in ahead if each != self.seq]:
            ahead = [self.seq]
        for seq in ahead[:steps]:
            self._show(owner, seq)
            if tells or seq == ahead[:steps][-1]:
                self._progress(owner, seq)

    def _show(self, owner: Owner, seq: int) -> None:
        result = copy.deepcopy(self.table[owner.name][seq])
        before, owner.at = owner.at, seq
        if owner.held_at is not None:
            return
        progress = self.feeds[owner.name].progress
        if owner.shown is None:
            if progress is not None and seq < progress.seq:
                return  # nothing is shown before what the feed has
            self.feeds[owner.name].handle_shown(shown_message(result, seq))
        elif change := diff(owner.shown, result):
            self.feeds[owner.name].handle_changed(changed_message(change, result, before, seq))
        owner.shown = result

    def _progress(self, owner: Owner, seq: int) -> None:
        unsettled = frozenset({1} if owner.held_at is not None or owner.shown is None else set())
        before = owner.progress.unsettled
        if unsettled - before:
            owner.feed.freeze()
        owner.progress.moved(point_of(token(seq)), unsettled)
        if before - unsettled:
            owner.feed.thaw(point_of(token(seq)))

    def hold_back(self, name: str) -> None:
        owner = self.owners[name]
        if owner is not None and owner.shown is not None and owner.held_at is None:
            owner.held_at = owner.at

    def let_go(self, name: str) -> None:
        owner = self.owners[name]
        if owner is None or owner.held_at is None or owner.shown is None:
            return
        since, owner.held_at = owner.held_at, None
        result = copy.deepcopy(self.table[name][owner.at])
        if owner.at > since and (change := diff(owner.shown, result)):
            owner.feed.handle_changed(changed_message(change, result, since, owner.at))
            owner.shown = result
        self._progress(owner, owner.at)

    def overflow(self, name: str) -> None:
        """The gateway did not keep up: it is shown the whole."""
        owner = self.owners[name]
        if owner is not None and owner.shown is not None and owner.held_at is None:
            owner.shown = copy.deepcopy(self.table[name][owner.at])
            owner.feed.handle_shown(shown_message(owner.shown, owner.at))

    # --- the readers ---

    def come(self, which: int, fresh: bool, at: int | None) -> None:
        reader = self.readers[which]
        if reader.session is not None:
            return
        if fresh:
            reader.folded = FoldingReader(several=len(reader.names) > 1)
            if at is not None:  # read before, by GET: no end of a change, nor a cut
                reader.folded.token = token(at)
                for name in reader.names:
                    view = reader.folded.views[name] = FoldedView(revision=token(at))
                    view.result = copy.deepcopy(self.table[name][at])
                    view.result.rows = [row.strip('"') for row in view.result.rows]
        reader.folded.reconnected()
        reader.session = Session(1.0, single_token=True)
        since = point_of(reader.folded.token) if reader.folded.token else None
        for name in reader.names:
            reader.session.add(name, self.feeds[name], since)

    def leave(self, which: int, lost: int) -> None:
        """In the middle of what it is being told: of that, only the first `lost` events arrive."""
        reader = self.readers[which]
        if reader.session is not None:
            self._tell(reader, self._step(reader).told[:lost])
        reader.session, reader.reads = None, []

    def listen(self, which: int, refresh: bool) -> None:
        reader = self.readers[which]
        if reader.session is None:
            return
        step = self._step(reader, refresh=refresh)
        self._tell(reader, step.told)
        if step.cut:
            assert len(reader.names) == 1
            reader.session, reader.reads = None, []

    def _step(self, reader: Reader, *, refresh: bool = False) -> Step:
        assert reader.session is not None
        step = reader.session.step(0.0, refresh=refresh)
        reader.reads += step.reads
        return step

    def read(self, which: int, lies_too_far_back: bool) -> None:
        reader = self.readers[which]
        if not reader.reads or reader.session is None:
            return
        viewed = reader.reads.pop(0)
        told = self._read(reader.session, viewed, lies_too_far_back)
        if told is not None:
            self._tell(reader, [told])

    def _read(self, session: Session, viewed: Viewed, gone: bool) -> Told | None:
        since, feed = viewed.since, viewed.feed
        assert since is not None
        if gone:
            return session.unread(viewed, Fault(Code.REVISION_GONE, "gone"), viewed.generation)
        progress = feed.progress
        assert progress is not None
        old = copy.deepcopy(self.table[viewed.given_id][since.seq])
        event = feed.bridge(old, Shown(since.token, hash_of(old), LIVE, 1, ""))
        return session.bridged(viewed, Bridge(event, feed.history.end, progress), viewed.generation)

    def _tell(self, reader: Reader, told: list[Told]) -> None:
        for event, given_id, resumable in told:
            body: dict[str, Any] = orjson.loads(event.as_message(given_id))
            kind = body.pop("type")
            reader.folded.take(kind, body, event.token if resumable else "")
            if kind == "up-to-date" or not reader.folded.several:
                self._judge(reader)

    def _judge(self, reader: Reader) -> None:
        for name, view in reader.folded.views.items():
            true = self.table[name][view.seq]
            assert view.result.members == true.members, f"{name} at {view.seq}"
            assert view.result.rows == [row.strip('"') for row in true.rows]
        seqs = {view.seq for view in reader.folded.views.values()}
        if reader.folded.several and len(reader.folded.views) == 2:
            assert len(seqs) == 1, "two views at one revision"
        if reader.folded.token:
            assert parse_revision(reader.folded.token).seq <= self.seq

    def rest(self) -> None:
        """Everything is told when all is quiet."""
        self.cut()
        for name in NAMES:
            self.find(name)
            self.let_go(name)
            self.show(name, 1_000, False, False)
        for reader in self.readers:
            if reader.session is None:
                continue
            for _ in range(4):
                step = self._step(reader, refresh=True)
                self._tell(reader, step.told)
                if step.cut:
                    reader.session, reader.reads = None, []
                    break
                while reader.reads:
                    told = self._read(reader.session, reader.reads.pop(0), False)
                    self._tell(reader, [told] if told is not None else [])
            if reader.session is not None:
                assert {view.seq for view in reader.folded.views.values()} == {self.seq}, "a reader lags for ever"
                assert set(reader.folded.views) == set(reader.names)
                assert parse_revision(reader.folded.token).seq == self.seq


def shown_message(result: Result, seq: int) -> views_pb2.ResultShown:
    state = views_pb2.ResultState(revision=token(seq), hash=hash_of(result), state=LIVE, mode=1)
    return views_pb2.ResultShown(
        watch_id=1, state=state, members=[views_pb2.Member(**each._asdict()) for each in result.members],
        rows_json=result.rows,
    )  # fmt: skip


def hash_of(result: Result) -> str:
    return ",".join(result.rows)


def changed_message(change: Change, result: Result, since: int, seq: int) -> views_pb2.ResultChanged:
    state = views_pb2.ResultState(revision=token(seq), hash=hash_of(result), state=LIVE, mode=1)
    message = views_pb2.ResultChanged(watch_id=1, from_revision=token(since), state=state)
    message.removed.extend(views_pb2.Member(**each._asdict()) for each in change.removed)
    for field, placed in ((message.added, change.added), (message.updated, change.updated)):
        for at, member in placed:
            field.add(at=at, member=views_pb2.Member(**member._asdict()))
    for at, removed, inserted in change.rows:
        message.rows.add(at=at, removed=removed, rows_json=inserted)
    return message


def play(seed: int, steps: int = 150) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    world.rest()


@pytest.mark.parametrize("block", range(4))
def test_a_reader_who_folds_what_he_is_told_has_the_view(block: int) -> None:
    for seed in range(block * 60, block * 60 + 60):
        play(seed)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_reader_who_folds_what_he_is_told_has_the_view_for_long() -> None:
    for seed in range(1_000, 11_000):
        play(seed)
