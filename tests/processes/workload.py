"""What the process tests do to a mesh: 200 views of many shapes, thousands of writes, and the oracle at the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sp00ky.proto.database import Database
from sp00ky.proto.edge_tables import SHARED
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId

from tests.harness.edges import stored_edges
from tests.harness.eventually import eventually
from tests.harness.mesh import Mesh

AUTHORS = 60
BATCH = 25


@dataclass(frozen=True)
class View:
    id: str
    surql: str
    params: Mapping[str, Any] = field(default_factory=dict)
    ordered: bool = False

    def statement(self) -> str:
        """The query as one statement, its parameters set before it."""
        lets = "".join(f"LET ${name} = {value!r}; " for name, value in self.params.items())
        return f"RETURN {{ {lets}{self.surql} }}" if lets else self.surql


# name, query, the parameters it takes, whether its order is total
SHAPES: list[tuple[str, str, tuple[str, ...], bool]] = [
    ("eq", "SELECT * FROM $TABLE WHERE author = $author", ("author",), False),
    ("and", "SELECT * FROM $TABLE WHERE author = $author AND score > $low", ("author", "low"), False),
    ("range", "SELECT * FROM $TABLE WHERE score >= $low AND score < $high", ("low", "high"), False),
    (
        "or",
        "SELECT id, title FROM $TABLE WHERE author = $author OR (!live AND score > $high)",
        ("author", "high"),
        False,
    ),
    ("top", "SELECT * FROM $TABLE WHERE author = $author ORDER BY score DESC, id LIMIT 5", ("author",), True),
    ("page", "SELECT * FROM $TABLE ORDER BY score DESC, id LIMIT 10 START $from", ("from",), True),
    ("none", "SELECT * FROM $TABLE WHERE missing = NONE AND author = $author", ("author",), False),
    ("mine", "SELECT title, score FROM $TABLE WHERE author = $author ORDER BY score, title", ("author",), False),
    ("link", "SELECT id, writer.name AS name FROM $TABLE WHERE author = $author", ("author",), False),
]


def views(table: str, count: int) -> list[View]:
    """`count` views of a table, most of them of a few shapes (as users have them), about a seventh re-evaluated."""
    made: list[View] = []
    for number in range(count):
        score = (number * 37) % 1000
        values = {"author": f"a{number % AUTHORS}", "low": score, "high": score + 20, "from": number % 50}
        name, surql, params, ordered = SHAPES[number % len(SHAPES)]
        if number % 20 == 19:
            name, surql, params, ordered = "group", "SELECT author, count() AS n FROM $TABLE GROUP BY author", (), False
        text = surql.replace("$TABLE", table)
        made.append(View(f"{table}-{name}-{number}", text, {param: values[param] for param in params}, ordered))
    return made


@dataclass
class Written:
    """What was acknowledged: record key → score it was last given, None once deleted. Keys in doubt are left out."""

    scores: dict[str, int | None] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    count: int = 0


class Writer:
    """Writers that go on through a lost database: what failed may or may not be in, and is not counted."""

    def __init__(self, databases: Sequence[Database], table: str, seed: int) -> None:
        """One writer a connection: the requests of one connection are carried out one after another."""
        self._databases = databases
        self._table = table
        self._random = random.Random(seed)
        self._next = 0
        self.written = Written()

    async def run(self, writes: int, at_half: Callable[[], None] | None = None) -> Written:
        """`writes` acknowledged writes, several writers at once; `at_half` is called in the middle."""
        done = asyncio.Event()
        target = self.written.count + writes
        half = self.written.count + writes // 2

        async def one(number: int) -> None:
            nonlocal at_half
            while self.written.count < target:
                await self._transaction(number)
                if at_half is not None and self.written.count >= half:
                    act, at_half = at_half, None
                    act()
            done.set()

        await asyncio.gather(*(one(number) for number in range(len(self._databases))))
        return self.written

    async def _transaction(self, number: int) -> None:
        """A transaction of up to BATCH creates, updates and deletes of this writer's own records."""
        statements: list[str] = []
        params: dict[str, Any] = {}
        effects: dict[str, int | None] = {}
        known = [key for key, score in self.written.scores.items() if score is not None]
        mine = [key for key in known[-200:] if key.startswith(f"w{number}-") and key not in effects]
        for index in range(self._random.randint(1, BATCH)):
            score = self._random.randrange(1000)
            roll = self._random.random()
            target = self._random.choice(mine) if mine and roll < 0.5 else ""
            if not target or target in effects:
                self._next += 1
                target = f"w{number}-{self._next}"
                statements.append(f"CREATE $id{index} CONTENT $row{index} RETURN NONE")
                params[f"row{index}"] = {
                    "author": f"a{self._random.randrange(AUTHORS)}",
                    "writer": RecordId("person", self._random.randrange(AUTHORS)),
                    "title": f"title {self._random.randrange(100000)}",
                    "score": score,
                    "live": self._random.random() < 0.5,
                }
                effects[target] = score
            elif roll < 0.1:
                statements.append(f"DELETE $id{index} RETURN NONE")
                effects[target] = None
            else:
                statements.append(f"UPDATE $id{index} SET score = $row{index}, author = $who{index} RETURN NONE")
                params[f"row{index}"] = score
                params[f"who{index}"] = f"a{self._random.randrange(AUTHORS)}"
                effects[target] = score
            params[f"id{index}"] = RecordId(self._table, target)
        text = "BEGIN; " + "; ".join(statements) + "; COMMIT;"
        try:
            await self._databases[number].query(text, params, conflict_retries=20)
        except Fault as fault:
            assert fault.code in (Code.UNAVAILABLE, Code.TIMEOUT), fault
            self.written.doubtful |= effects.keys()
            await self._reconnect(self._databases[number])
            return
        self.written.scores |= effects
        self.written.count += len(effects)

    async def _reconnect(self, database: Database) -> None:
        async def connected() -> bool:
            try:
                await database.connect()
            except Fault:
                return False
            return True

        await eventually(connected, 30.0, what="the database to be back", every_s=0.05)


async def prepare(database: Database) -> None:
    """The persons that the records of every workload link to."""
    people = [{"id": RecordId("person", number), "name": f"name {number}"} for number in range(AUTHORS)]
    await database.query(
        "DEFINE TABLE IF NOT EXISTS person; INSERT INTO person $people RETURN NONE", {"people": people}
    )


async def register(mesh: Mesh, database: Database, table: str, count: int) -> list[View]:
    """A table of its own for a workload, and its views, twenty at a time."""
    await database.query(f"DEFINE TABLE IF NOT EXISTS {table}")
    registered = views(table, count)
    for start in range(0, count, 20):
        part = registered[start : start + 20]
        await asyncio.gather(*(mesh.register(view.id, view.surql, view.params) for view in part))
    return registered


async def unregister(mesh: Mesh, registered: list[View]) -> None:
    for start in range(0, len(registered), 20):
        await asyncio.gather(*(mesh.unregister(view.id) for view in registered[start : start + 20]))


def normal(rows: Any, ordered: bool) -> Any:
    """Rows as a list that can be compared: in order where the query has one."""
    if not isinstance(rows, list):
        return rows
    return rows if ordered else sorted(rows, key=repr)


async def assert_all_equal(mesh: Mesh, registered: list[View], timeout_s: float = 30.0) -> dict[str, Any]:
    """The oracle: every view equals the same query run fresh on SurrealDB. Answers the views by id."""
    gate = asyncio.Semaphore(16)

    async def held(view: View) -> Any:
        async with gate:
            return await mesh.consistent(view.id, timeout_s)

    answers = await asyncio.gather(*(held(view) for view in registered))
    truths = await mesh.sql(";\n".join(view.statement() for view in registered))
    wrong = [
        f"{view.statement()} {answer['mode']}:\n  view  {answer['rows']}\n  fresh {truth}"
        for view, answer, truth in zip(registered, answers, truths, strict=True)
        if normal(answer["rows"], view.ordered) != normal(truth, view.ordered)
    ]
    assert not wrong, f"{len(wrong)} of {len(registered)} views differ: {wrong[0][:3000]}"
    return {view.id: answer for view, answer in zip(registered, answers, strict=True)}


async def assert_nothing_lost(database: Database, table: str, written: Written) -> None:
    """G4: every acknowledged write is there, as it was last acknowledged."""
    rows = (await database.query(f"SELECT id, score FROM {table}"))[0]
    stored = {row["id"].key: row["score"] for row in rows}
    for key, score in written.scores.items():
        if key not in written.doubtful:
            assert stored.get(key) == score, f"{table}:{key} was acknowledged as {score}, is {stored.get(key)}"


async def assert_edges_equal(mesh: Mesh, database: Database, held: dict[str, Any], timeout_s: float = 20.0) -> None:
    """G1: at rest, the edges of every view whose members have ids are exactly its members, at their versions."""
    expected = {
        view: {member["id"]: member["version"] for member in answer["members"]} for view, answer in held.items()
    }
    found: dict[str, dict[str, int]] = {}

    async def equal() -> bool:
        nonlocal found
        found = {view: {} for view in expected}
        for edge in await stored_edges(database, [SHARED]):
            if edge.view in found:
                found[edge.view][edge.member] = edge.version
        return found == expected

    try:
        await eventually(equal, timeout_s, what="edges to equal members", every_s=0.2)
    except AssertionError as error:
        wrong = next(view for view in expected if expected[view] != found.get(view))
        differ = expected[wrong].items() ^ found[wrong].items()
        raise AssertionError(f"{error}; view {wrong} differs by {differ}\n{mesh.said()}") from error
