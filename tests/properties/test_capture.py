"""The feed's reader against a scripted feed: late commits, cut pages, clock steps; nothing lost, doubled or torn.

The script stands for a database whose stamps are taken at one time and whose commits are seen up to two seconds later,
and whose LIMIT counts (row, table) pairs and cuts the last row, as measured on the real engine.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.database import Database, StatementResult
from sp00ky.proto.faults import Fault
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import unpack
from sp00ky.scheduler.capture.alignment import Alignment
from sp00ky.scheduler.capture.cursor import OVERLAP_MS, PATIENCE_EVERY_MS, PATIENCE_MS, stamp_of_ms
from sp00ky.scheduler.capture.offering import Offering
from sp00ky.scheduler.capture.progress import Progress
from sp00ky.scheduler.capture.reader import FeedReader
from sp00ky.scheduler.capture.schema import TableSchema

from tests.capture.__main__ import plan_of, play
from tests.capture.history import CHECKED_MIN, Plan
from tests.harness.replica_sink import ReplicaSink

PAGE_ENTRIES = 8
CLOCK_MS = 1_800_000_000_000
SWEEP_MS = 1000
LATE_MAX_MS = PATIENCE_MS - PATIENCE_EVERY_MS - 2 * SWEEP_MS


@dataclass
class ScriptedFeed:
    """`now_ms`: real time. `offset_ms`: the database's clock less real time; `counts_on`: stamps never go back."""

    now_ms: int = 0
    offset_ms: int = CLOCK_MS
    counts_on: bool = True
    last_stamp: int = stamp_of_ms(CLOCK_MS)
    rows: list[tuple[int, int, list[Value]]] = field(default_factory=list)  # (stamp, seen from, changes)
    committed: dict[int, frozenset[str]] = field(default_factory=dict)  # number → tables
    contents: dict[RecordId, Value] = field(default_factory=dict)  # of records, beyond their ids
    pages: int = 0

    @property
    def clock_ms(self) -> int:
        return self.now_ms + self.offset_ms

    def commit(self, tables: int, late_ms: int) -> None:
        number = len(self.committed)
        stamp = stamp_of_ms(self.clock_ms)
        taken = {row[0] for row in self.rows}
        stamp = max(stamp, self.last_stamp + 1) if self.counts_on else stamp
        while stamp in taken:
            stamp += 1
        self.last_stamp = stamp
        names = [f"t{n}" for n in range(tables)]
        changes = [{"update": {"id": RecordId(name, number)}} for name in names]
        self.rows.append((stamp, self.now_ms + late_ms, changes))
        self.committed[number] = frozenset(names)

    async def connect(self) -> None:
        """It is never lost."""

    async def query(self, text: str) -> list[Value]:
        since = re.fullmatch(rf"SHOW CHANGES FOR DATABASE SINCE (\d+) LIMIT {PAGE_ENTRIES}", text)
        assert since is not None
        self.pages += 1
        page: list[Value] = []
        left = PAGE_ENTRIES
        for stamp, seen_from, changes in sorted(self.rows, key=lambda row: row[0]):
            if stamp >= int(since[1]) and seen_from <= self.now_ms and left:
                page.append({"versionstamp": stamp, "changes": changes[:left]})
                left -= len(page[-1]["changes"])
        return [page]

    async def query_raw(self, text: str, variables: Mapping[str, Value]) -> list[StatementResult]:
        """BEGIN; a page; INFO of tables; records; COMMIT: all of one moment."""
        statements = text.split("; ")
        results = [StatementResult(True, None), StatementResult(True, (await self.query(statements[1]))[0])]
        results += [StatementResult(True, {"fields": []}) for each in statements if each.startswith("INFO")]
        shown = [change for _, seen, changes in self.rows if seen <= self.now_ms for change in changes]
        there = {(change.get("current") or change["update"])["id"] for change in shown if "delete" not in change}
        there -= {change["delete"]["id"] for change in shown if "delete" in change}  # none is made again
        found = [{"id": each, **self.contents.get(each, {})} for each in variables["ids"] if each in there]
        return [*results, *([StatementResult(True, found)] if variables["ids"] else []), StatementResult(True, None)]


class Script:
    def __init__(self) -> None:
        self.feed = ScriptedFeed()
        self.sink = ReplicaSink()
        self._swept_ms = 0
        self.start(Progress(True, 1, stamp_of_ms(CLOCK_MS) - 1, False, CLOCK_MS, ""))
        self.done: dict[int, frozenset[str]] = {}
        self.compared: set[int] = set()
        self.repaired: set[int] = set()

    def start(self, progress: Progress) -> None:
        """A process that finds this progress in the store."""
        self.offering = Offering(self.sink)
        self.offering.schema = {f"t{n}": TableSchema(f"t{n}", n) for n in range(PAGE_ENTRIES)}
        self.reader = FeedReader(
            cast(Database, self.feed),
            self.offering,
            progress,
            page_entries=PAGE_ENTRIES,
            now_ms=lambda: self.feed.now_ms,
        )

    async def pass_time(self, passed_ms: int) -> None:
        """Polls as often as asked, but a sweep each second, as the capture does."""
        until = self.feed.now_ms + passed_ms
        while self.feed.now_ms < until:
            self.feed.now_ms = max(self.feed.now_ms, min(until, self._swept_ms + SWEEP_MS))
            if self.feed.now_ms - self._swept_ms >= SWEEP_MS:
                await self.reader.sweep()
                await self.align()
                try:
                    await self.reader.follow_clock(self.feed.clock_ms)
                except Fault:
                    await self.compare()
                if self.offering.stale:
                    self.repaired |= self._visible()
                    self.offering.stale.clear()
                self._swept_ms = self.feed.now_ms
        await self.reader.poll()

    async def align(self) -> None:
        if self.reader.is_held:
            alignment = Alignment(cast(Database, self.feed), self.offering, self.reader)
            await alignment.read(self.reader.held)
            await alignment.commit()

    async def compare(self) -> None:
        """What the capture does when stamps can no longer be trusted: all that can be seen is known from here on."""
        self.done |= self.offered()
        self.sink.transactions.clear()
        self.compared |= self._visible()
        progress = replace(self.reader.progress, source_epoch=self.reader.progress.source_epoch + 1)
        await self.reader.restart_at(self.feed.clock_ms, progress)

    def _visible(self) -> set[int]:
        return {changes[0]["update"]["id"].key for _, seen, changes in self.feed.rows if seen <= self.feed.now_ms}

    async def settle(self) -> None:
        await self.pass_time(OVERLAP_MS)
        await self.pass_time(2 * SWEEP_MS)

    def offered(self) -> dict[int, frozenset[str]]:
        """Number → tables of each transaction; asserts that none came twice or in parts."""
        found: dict[int, frozenset[str]] = {}
        for transaction in self.sink.transactions:
            for number in {unpack(change.key) for change in transaction}:
                assert number not in found and number not in self.compared
                found[number] = frozenset(change.table for change in transaction if unpack(change.key) == number)
        return found


commits = st.tuples(st.just("commit"), st.integers(1, PAGE_ENTRIES - 1), st.integers(0, OVERLAP_MS - 100))
prompt_commits = st.tuples(st.just("commit"), st.integers(1, PAGE_ENTRIES - 1), st.just(0))
waits = st.tuples(st.just("wait"), st.integers(0, 1500), st.just(0))
leaps = st.tuples(st.just("leap"), st.integers(-5_000, 100_000), st.just(0))


async def _play(script: Script, steps: list[tuple[str, int, int]]) -> None:
    for kind, amount, late_ms in steps:
        if kind == "commit":
            script.feed.commit(amount, late_ms)
        elif kind == "leap":
            script.feed.offset_ms += amount
        else:
            await script.pass_time(amount)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, LATE_MAX_MS), st.integers(0, 1500)), max_size=12))
def test_on_a_calm_feed_a_commit_that_took_long_is_found(commits: list[tuple[int, int]]) -> None:
    """As a large transaction may: its stamp is taken before it is written."""

    async def run() -> None:
        script = Script()
        for late_ms, wait_ms in commits:
            script.feed.commit(2, late_ms)
            await script.pass_time(wait_ms)
        for _ in range(0, PATIENCE_MS, SWEEP_MS):
            script.feed.commit(1, 0)
            await script.pass_time(SWEEP_MS)
        await script.settle()
        assert script.offered() == script.feed.committed and not script.repaired

    asyncio.run(run())


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(commits, commits, waits, leaps), max_size=50))
def test_every_transaction_is_offered_once_and_whole(steps: list[tuple[str, int, int]]) -> None:
    """Or known from a comparison, where the clock went back while commits were on their way."""

    async def run() -> None:
        script = Script()
        await _play(script, steps)
        await script.settle()
        assert script.repaired <= script.compared or any(kind == "leap" and amount < 0 for kind, amount, _ in steps)
        offered = script.done | script.offered()
        assert offered.keys() | script.compared | script.repaired == script.feed.committed.keys()
        assert all(script.feed.committed[number] == tables for number, tables in offered.items())
        assert len(script.reader.seen) <= len(steps)

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(st.one_of(prompt_commits, waits), max_size=25),
    back_ms=st.one_of(st.integers(3_000, 20_000), st.integers(3_000, 7_200_000)),
    counts_on=st.booleans(),
    after=st.lists(st.one_of(commits, commits, waits), max_size=25),
)
def test_after_the_clock_went_back_only_what_is_new_is_offered(
    before: list[tuple[str, int, int]], back_ms: int, counts_on: bool, after: list[tuple[str, int, int]]
) -> None:
    """The tables are compared in between, so what the feed held is known; stamps may or may not go back with it."""

    async def run() -> None:
        script = Script()
        await _play(script, before)
        await script.settle()
        known = len(script.feed.committed)
        script.feed.offset_ms -= back_ms
        script.feed.counts_on = counts_on
        await script.compare()
        await _play(script, after)
        await script.settle()
        new = script.feed.committed.keys() - set(range(known))
        assert script.offered() == {number: script.feed.committed[number] for number in new}

    asyncio.run(run())


def test_what_was_compared_before_a_restart_is_not_new_after_it() -> None:
    """The clock went back to just before a record was made. It was removed too, at a stamp that is read no more: read
    again by another process its making fits, and nothing would ever take it away."""

    async def run() -> None:
        script = Script()
        feed = script.feed
        feed.commit(1, 0)
        feed.now_ms = 3_000
        feed.rows.append((stamp_of_ms(feed.clock_ms), 3_000, [{"delete": {"id": RecordId("t0", 0)}}]))
        feed.offset_ms -= 3_500
        progress = replace(script.reader.progress, source_epoch=2)
        await script.reader.restart_at(feed.clock_ms, progress)
        await script.reader.sweep()
        script.start(script.reader.progress)
        await script.reader.sweep()
        assert script.reader.is_held and not script.sink.transactions
        await script.align()
        await script.reader.sweep()
        assert not script.reader.is_held and not script.sink.transactions

    asyncio.run(run())


def test_reading_after_a_wide_step_does_not_read_the_old_rows_again() -> None:
    async def run() -> None:
        script = Script()
        for _ in range(500):
            script.feed.commit(4, 0)
            script.feed.now_ms += 10
        script.feed.offset_ms -= 3_600_000
        script.feed.counts_on = False
        await script.compare()
        script.feed.pages = 0
        for _ in range(20):
            script.feed.commit(1, 0)
            await script.pass_time(15)
        assert len(script.offered()) == 20
        assert script.feed.pages < 150

    asyncio.run(run())


def test_a_row_wider_than_a_page_is_held() -> None:
    async def run() -> None:
        script = Script()
        script.feed.commit(2, 0)
        script.feed.commit(PAGE_ENTRIES + 3, 0)
        script.feed.commit(3, 0)
        await script.pass_time(15)
        assert script.reader.is_held and script.offered().keys() == {0}

    asyncio.run(run())


def _pair(number: int, before: int | None) -> list[Value]:
    """A change of left:1 and right:1 to this number, `before`: from that one; None: created."""
    changes: list[Value] = []
    for table in ("t0", "t1"):
        record = {"id": RecordId(table, 1), "n": number}
        patch = [{"op": "replace", "path": "/n", "value": before}]
        changes.append({"update": record} if before is None else {"current": record, "update": patch})
    return changes


def _numbers(script: Script) -> list[list[int]]:
    pairs = [[change for change in each if unpack(change.key) == 1] for each in script.sink.transactions]
    return [[unpack(change.packed)["n"] for change in pair] for pair in pairs if pair]


def test_g3_a_change_that_was_built_on_a_late_commit_waits_for_it() -> None:
    """The poll passed the first one's stamp, and meets the second alone: it is held, the sweep finds the first, which
    might be known as it comes late to a record without a stamp, so the database is asked: both show with one seq."""

    async def run() -> None:
        script = Script()
        feed = script.feed
        feed.now_ms = 900
        feed.commit(1, 0)
        await script.reader.poll()
        feed.rows.append((stamp_of_ms(CLOCK_MS + 700), 910, _pair(1, None)))
        feed.rows.append((stamp_of_ms(CLOCK_MS + 920), 920, _pair(2, 1)))
        feed.now_ms = 930
        await script.reader.poll()
        assert script.reader.is_held and not _numbers(script)
        await script.reader.sweep()
        assert not _numbers(script) and script.reader.cursor.near_ms > 200
        feed.contents = {RecordId(table, 1): {"n": 2} for table in ("t0", "t1")}
        await script.align()
        assert not script.reader.is_held and _numbers(script) == [[2, 2]]

    asyncio.run(run())


@pytest.mark.parametrize("stays", [2, 3])
def test_g3_two_transactions_built_on_one_state_end_as_the_database_says(stays: int) -> None:
    """As the engine in memory lets happen: the order of stamps does not tell which of them stayed."""

    async def run() -> None:
        script = Script()
        feed = script.feed
        for stamp, (number, before) in enumerate([(1, None), (2, 1), (3, 1), (4, stays)]):
            feed.rows.append((stamp_of_ms(CLOCK_MS + 10 + stamp), 10 + stamp, _pair(number, before)))
        feed.now_ms = 12
        feed.contents = {RecordId(table, 1): {"n": stays} for table in ("t0", "t1")}
        await script.reader.poll()
        assert script.reader.is_held and _numbers(script) == [[1, 1], [2, 2]]
        await script.reader.sweep()
        await script.align()
        assert _numbers(script)[2:] == [[stays, stays]]
        feed.now_ms = 13
        await script.reader.poll()
        assert not script.reader.is_held and _numbers(script)[-1] == [4, 4]

    asyncio.run(run())


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("engine", ["memory", "files"])
def test_g3_g5_histories_against_real_engines(engine: str, seed: int) -> None:
    """A short one of those that `python -m tests.capture` plays for minutes."""
    wide = 40 if seed == 2 else 0
    plan = Plan(seed, writers=4, rounds=15, wide=wide, has_conflicts=engine == "files", kills=1, stall_seconds=0.02)
    outcome = asyncio.run(play(plan, in_memory=engine == "memory"))
    assert outcome.checked >= CHECKED_MIN


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_histories(seed: int) -> None:
    asyncio.run(play(plan_of(seed, in_memory=seed % 2 == 0), in_memory=seed % 2 == 0))
