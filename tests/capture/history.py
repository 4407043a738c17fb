"""One history: writers of every kind, a capture that is killed, stalled and started again, and what must hold.

Writers keep three things true in every transaction: `left:k` and `right:k` carry one number or are both absent; the
rows of the wide tables all carry one number; and what `acc_a` and `acc_b` hold together never changes (on an engine
that finds write conflicts: the one in memory does not always). Others do what comes to mind: single records, tables
that come and go, definitions that take the feed away.

What must hold: at every seq that ends a transaction, since the capture was first ready, the replica has those three;
and when all is quiet it equals the database. What an engine itself lets pass is not the capture's doing, so the same is
asserted of the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.integrity.audit import Audit
from sp00ky.scheduler.integrity.trees import TableTrees

from tests.capture.engine import StallingDatabase, passed
from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink

PAIRS = 6
ACCOUNTS = 5
TOTAL = 1000 * ACCOUNTS * 2
CHECKED_MIN = 20  # ends of transactions, before the writers may stop
QUIET_SECONDS = 240  # a bound, not a wait: 1,200 tables and six writers on a busy machine


@dataclass(frozen=True, slots=True)
class Plan:
    """`wide`: tables that one transaction writes at once, 0: none. `has_conflicts`: the engine finds them all.
    `drops_feed`: the database's definition is written over without its clause, and writes go on. `feed_first`: there
    is a feed before anybody writes, else the capture defines it meanwhile."""

    seed: int
    writers: int = 6
    rounds: int = 40
    wide: int = 0
    has_conflicts: bool = True
    kills: int = 3
    stall_seconds: float = 0.05
    drops_feed: bool = False
    feed_first: bool = True
    rows_before: int = 300

    @property
    def misses(self) -> bool:
        """Whether commits may be in no feed: those of transactions that began before it was defined, or without it.
        They are found by the check for drift."""
        return self.drops_feed or not self.feed_first


class Torn(AssertionError):
    """A reader could have seen a part of a transaction."""


@dataclass
class Watch:
    """The replica's tables that have an invariant, folded entry by entry."""

    plan: Plan
    rows: dict[tuple[str, bytes], int] = field(default_factory=dict)
    wide: Counter[int] = field(default_factory=Counter)
    is_strict: bool = False
    checked: int = 0

    def fold(self, transaction: list[common_pb2.Change]) -> None:
        touched: set[str] = set()
        pairs: set[bytes] = set()
        for change in transaction:
            record = (change.table, change.key)
            before = self.rows.pop(record, None)
            after = None if change.op == common_pb2.OP_DELETE else unpack(change.packed).get("n", 0)
            if after is not None:
                self.rows[record] = after
            touched.add(change.table)
            if change.table in ("left", "right"):
                pairs.add(change.key)
            if change.table.startswith("wide"):
                self.wide.subtract([before] if before is not None else [])
                self.wide.update([after] if after is not None else [])
        if self.is_strict:
            self.check(touched, pairs)

    def check(self, touched: set[str], pairs: set[bytes]) -> None:
        self.checked += 1
        for key in pairs:
            left, right = self.rows.get(("left", key)), self.rows.get(("right", key))
            if left != right:
                raise Torn(f"left:{unpack(key)} is {left}, right:{unpack(key)} is {right}")
        numbers = {number: count for number, count in self.wide.items() if count}
        if any(table.startswith("wide") for table in touched) and len(numbers) != 1:
            raise Torn(f"wide tables hold {numbers}")
        if self.plan.has_conflicts and touched & {"acc_a", "acc_b"}:
            total = sum(n for (table, _), n in self.rows.items() if table in ("acc_a", "acc_b"))
            if total != TOTAL:
                raise Torn(f"accounts hold {total}")


class WatchedSink(ReplicaSink):
    """Shares the store and the watch of the one before."""

    def __init__(self, watch: Watch, before: WatchedSink | None = None) -> None:
        super().__init__(None if before is None else before.store)
        self.watch = watch
        self.capture: Capture | None = None

    async def offer_transactions(self, transactions, meta):  # type: ignore[no-untyped-def]
        if self.capture is not None and self.capture.state == "ready":
            self.watch.is_strict = not self.watch.plan.misses
        known = len(self.transactions)
        seq = await super().offer_transactions(transactions, meta)
        for transaction in self.transactions[known:]:
            self.watch.fold(transaction)
        del self.transactions[:]
        return seq


@dataclass
class Outcome:
    checked: int = 0
    holds: int = 0
    repairs: int = 0
    near_ms: int = 0
    comparisons: int = 0
    split: int = 0
    drifted: int = 0


class History:
    def __init__(self, url: str, plan: Plan) -> None:
        self.plan = plan
        self.url = url
        self.namespace = f"h{uuid4().hex}"
        self.chance = random.Random(plan.seed)
        self.watch = Watch(plan)
        self.outcome = Outcome()
        self.sink: WatchedSink | None = None
        self.captured = asyncio.Event()
        self.tables = ["left", "right", "acc_a", "acc_b", *(f"wide{n:04}" for n in range(plan.wide))]

    def client(self) -> Database:
        return Database(self.url, user="root", password="root", namespace=self.namespace, database="main")

    async def run(self) -> Outcome:
        database = self.client()
        writers = [self.client() for _ in range(3)]
        try:
            await self._prepare(database)
            capturing = asyncio.create_task(self._capture_with_kills())
            writing = [
                asyncio.create_task(self._write(writers[n % 3], n, random.Random(self.plan.seed * 1000 + n)))
                for n in range(self.plan.writers)
            ]
            await asyncio.gather(*writing)
            await capturing
            await self._assert_quiet(database)
        finally:
            for client in (database, *writers):
                await client.close()
        self.outcome.checked = self.watch.checked
        return self.outcome

    # --- writing -----------------------------------------------------------------------------------------------------

    async def _prepare(self, database: Database) -> None:
        await database.query("".join(f"DEFINE TABLE {table};" for table in self.tables))
        if self.plan.feed_first:
            await database.query("DEFINE DATABASE OVERWRITE main CHANGEFEED 1d INCLUDE ORIGINAL")
        numbers = range(1, ACCOUNTS + 1)
        accounts = "".join(f"CREATE {table}:{n} SET n = 1000;" for table in ("acc_a", "acc_b") for n in numbers)
        pairs = "".join(f"CREATE left:{n} SET n = 0; CREATE right:{n} SET n = 0;" for n in range(PAIRS))
        await database.query(f"BEGIN; {accounts} {pairs} COMMIT")
        bulk = self.plan.rows_before
        await database.query(f"FOR $n IN 0..{bulk} {{ CREATE type::record('bulk', $n) SET n = $n RETURN NONE }}")
        if self.plan.wide:
            await database.query(self._wide_text(0))

    def _wide_text(self, number: int) -> str:
        return "BEGIN;" + "".join(f"UPSERT wide{n:04}:1 SET n={number};" for n in range(self.plan.wide)) + "COMMIT"

    async def _write(self, client: Database, writer: int, chance: random.Random) -> None:
        for n in count():
            if n >= self.plan.rounds and self.captured.is_set():
                return
            if n >= self.plan.rounds:
                await passed(chance.uniform(0, 0.02))
            text = self._transaction(writer, writer * 100_000 + n, chance)
            with contextlib.suppress(QueryError):  # a conflict too many, a table just removed
                await client.query(text, conflict_retries=200)

    def _transaction(self, writer: int, number: int, chance: random.Random) -> str:
        pair = chance.randrange(PAIRS)
        pause = f"SLEEP {chance.randrange(30)}ms;" if chance.random() < 0.1 else ""
        kind = chance.random()
        if kind < 0.35:
            return f"BEGIN; UPSERT left:{pair} SET n = {number}; {pause} UPSERT right:{pair} SET n = {number}; COMMIT"
        if kind < 0.45:
            return f"BEGIN; DELETE left:{pair}; {pause} DELETE right:{pair}; COMMIT"
        if kind < 0.75:
            source, target = chance.sample(("acc_a", "acc_b"), 2)
            one, two = chance.randint(1, ACCOUNTS), chance.randint(1, ACCOUNTS)
            return f"BEGIN; UPDATE {source}:{one} SET n -= 7; {pause} UPDATE {target}:{two} SET n += 7; COMMIT"
        if kind < 0.9:
            return f"UPSERT bulk:{chance.randrange(400)} SET n = {number}, text = 'a text of {number}'"
        if kind < 0.93:
            return f"DELETE bulk:{chance.randrange(400)}"
        if kind < 0.94 and self.plan.wide:
            return self._wide_text(number)
        return self._definition(writer, number, chance)

    def _definition(self, writer: int, number: int, chance: random.Random) -> str:
        name = f"own{writer}"
        choices = [
            f"CREATE {name} SET n = {number}",
            f"REMOVE TABLE IF EXISTS {name}",
            f"REMOVE TABLE IF EXISTS {name}; CREATE {name}:1",
            f"DEFINE TABLE OVERWRITE {name}; CREATE {name}:{number}",
            f"DEFINE FIELD OVERWRITE twice ON bulk COMPUTED n * {number}",
            "REMOVE FIELD IF EXISTS twice ON bulk",
            f"DEFINE TABLE OVERWRITE {chance.choice(('left', 'bulk'))} CHANGEFEED 1h",
            f"DEFINE TABLE OVERWRITE {chance.choice(('left', 'bulk'))}",
        ]
        if self.plan.drops_feed:
            choices.append("DEFINE DATABASE OVERWRITE main")
        return chance.choice(choices)

    # --- capturing ---------------------------------------------------------------------------------------------------

    async def _capture_with_kills(self) -> None:
        try:
            for turn in range(self.plan.kills + 1):
                await self._capture_once(is_last=turn == self.plan.kills)
        finally:
            self.captured.set()

    async def _capture_once(self, is_last: bool) -> None:
        link = StallingDatabase(self.url, self.namespace)
        link.chance, link.stall_seconds = self.chance, self.plan.stall_seconds
        self.sink = WatchedSink(self.watch, self.sink)
        capture = self.sink.capture = Capture(link, self.sink)
        running = asyncio.create_task(capture.run())
        try:
            if is_last:
                link.stall_seconds = 0
                await self._watch_until_enough(capture)
                return
            end = asyncio.get_running_loop().time() + self.chance.uniform(0.02, 1.0)
            while asyncio.get_running_loop().time() < end:
                await self._trouble(link)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self.outcome.holds += int(capture.metrics["capture_held"])
            self.outcome.repairs += capture.repairs
            self.outcome.split += int(capture.metrics["capture_split_comparisons"])
            self.outcome.near_ms = max(self.outcome.near_ms, int(capture.metrics["capture_near_ms"]))
            await link.close()

    async def _watch_until_enough(self, capture: Capture) -> None:
        if self.plan.drops_feed:
            self.captured.set()  # it could go on for ever: the feed is taken away again and again
        await eventually(lambda: capture.state == "ready" and not capture.lost, QUIET_SECONDS, what="ready")
        if not self.plan.misses:
            await eventually(lambda: self.watch.checked >= CHECKED_MIN, QUIET_SECONDS, what="checks")

    async def _trouble(self, link: StallingDatabase) -> None:
        kind = self.chance.random()
        if kind < 0.1:
            await link.cut()
        elif kind < 0.2:
            link.running.clear()
        await passed(self.chance.uniform(0, 0.2))
        link.running.set()

    async def _assert_quiet(self, database: Database) -> None:
        link = StallingDatabase(self.url, self.namespace)
        self.sink = WatchedSink(self.watch, self.sink)
        capture = self.sink.capture = Capture(link, self.sink)
        running = asyncio.create_task(capture.run())
        try:
            await eventually(
                lambda: capture.state == "ready" and not capture.lost, QUIET_SECONDS, what=f"ready, {capture.lost}"
            )
            for _ in range(100):
                with contextlib.suppress(Fault):
                    await asyncio.wait_for(capture.barrier(), QUIET_SECONDS)
                    break
            if self.plan.misses:
                store = self.sink.store
                audit = Audit(link, capture, store, TableTrees(store), 0)
                self.outcome.drifted += sum(each.repaired for each in await audit.check((), repair=True))
            await assert_equal(database, self.sink)
            self.watch.check(
                {"left", "acc_a", *(["wide0000"] if self.plan.wide else [])}, {pack(n) for n in range(PAIRS)}
            )
            assert capture.poisoned == 0
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self.outcome.repairs += capture.repairs
            await link.close()


async def assert_equal(database: Database, sink: ReplicaSink) -> None:
    """The replica is the database, table by table, row by row."""
    info = (await database.query("INFO FOR DB STRUCTURE"))[0]
    tables = {table["name"] for table in info["tables"] if not table["name"].startswith("_00_")}
    assert {unpack(key) for key in sink.rows("_00_schema")} == tables
    for table in tables | (set(sink.store.tables()) - {"_00_schema"}):
        expected: dict[bytes, Value] = {}
        if table in tables:
            rows = (await database.query("SELECT * OMIT twice FROM type::table($table)", {"table": table}))[0]
            expected = {pack(row["id"].key): row for row in rows}
        found = sink.rows(table)
        differing = {key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)}
        assert not differing, (table, [(unpack(key), found.get(key), expected.get(key)) for key in differing][:3])
