"""The tables, queries and changes that the benches of the engine share; nothing here is timed.

20,000 threads of 6 fields, and as many users, comments and likes where a shape reads them. Changes are 55 % creates,
33 % updates, 12 % deletes; an update moves the record to another constant once in ten times. They travel as the bytes
of a frame, as the scheduler sends them, and all begin at one seq, so that engines with different numbers of views take
the same bytes.

Constants are drawn evenly from CONSTANTS values, and view number n asks for the n-th. With `same_touch` one value in
TOUCHED_EVERY is view 0's and the others are nobody's: however many views there are, a change touches view 0 or none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, product

from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.kinds import Datetime, RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import EntriesReceived, PageReceived, WelcomeReceived

ROWS = 20_000
CONSTANTS = 10_000
TOUCHED_EVERY = 20
SCORES = 1_000_000
FRAME = 256
FIRST_SEQ = 1_000_000  # of the changes, less one
NOBODY = 1_000_000  # views from this number on ask for what no record has
SSP = "bench"


@dataclass(frozen=True, slots=True)
class Shape:
    """`params` of view number n, and the same for `same_touch`; `changes`: the share of each table."""

    surql: str
    params: Callable[[int], dict[str, Value]] = lambda n: {"n": n}
    same_params: Callable[[int], dict[str, Value]] | None = None
    changes: Mapping[str, float] = field(default_factory=lambda: {"thread": 1.0})
    linked: bool = False  # a thread's author is a user, who has the constant

    def params_of(self, number: int, *, same_touch: bool) -> dict[str, Value]:
        if same_touch and self.same_params is not None:
            return self.same_params(number)
        return self.params(number)


def _above(number: int) -> dict[str, Value]:
    return {"n": SCORES + number if number >= NOBODY else SCORES - 1 - number}


def _above_or_nobody(number: int) -> dict[str, Value]:
    return {"n": SCORES + number if number else SCORES - SCORES // TOUCHED_EVERY}


def _between(number: int) -> dict[str, Value]:
    return {"from": number * 100, "to": number * 100 + 100}


def _between_or_nobody(number: int) -> dict[str, Value]:
    """The others lie below every score, where one bisected bound alone excludes none of them."""
    return {"from": -100 * number, "to": -100 * number + 100} if number else {"from": 0, "to": SCORES // TOUCHED_EVERY}


_COMMENTS = "(SELECT * FROM comment WHERE thread = $parent.id ORDER BY created DESC LIMIT 3) AS comments"

SHAPES: Mapping[str, Shape] = {
    "eq": Shape("SELECT * FROM thread WHERE author = $n"),
    "eq2": Shape("SELECT * FROM thread WHERE author = $n AND category = 3 AND (score > 10 OR pinned = true)"),
    "in": Shape(
        "SELECT * FROM thread WHERE author IN $list",
        lambda n: {"list": [n, n + 3 * CONSTANTS, n + 4 * CONSTANTS]},
    ),
    "range": Shape("SELECT * FROM thread WHERE score >= $n", _above, _above_or_nobody),
    "interval": Shape("SELECT * FROM thread WHERE score >= $from AND score < $to", _between, _between_or_nobody),
    "prefix": Shape("SELECT * FROM thread WHERE string::starts_with(title, $p)", lambda n: {"p": f"{n:07d} "}),
    "topk_user": Shape("SELECT * FROM thread WHERE author = $n ORDER BY score DESC LIMIT 20"),
    "topk_global": Shape("SELECT * FROM thread ORDER BY score DESC LIMIT 20", lambda n: {}),
    "link": Shape(
        "SELECT * FROM thread WHERE author.company = $n", changes={"thread": 0.9, "user": 0.1}, linked=True
    ),
    "hop": Shape(
        "SELECT * FROM thread WHERE <-likes<-user CONTAINS $u",
        lambda n: {"u": RecordId("user", n)},
        changes={"thread": 0.5, "likes": 0.5},
    ),
    "nested": Shape(
        f"SELECT *, {_COMMENTS} FROM thread WHERE author = $n", changes={"thread": 0.2, "comment": 0.8}
    ),
    "group": Shape("SELECT category, count() AS n FROM thread WHERE author = $n GROUP BY category"),
    "group_all": Shape("SELECT count() FROM thread GROUP ALL", lambda n: {}),
}  # fmt: skip


def many_shapes(count: int) -> list[str]:
    """Queries over one table, each of another shape."""
    equals = ("author = $n", "title = $n", "created = $n", "author = $n AND pinned = true")
    others = product(("score", "category", "title"), ("<", "<=", ">", ">="), equals, ("", " ORDER BY score LIMIT 20",
                     " ORDER BY created DESC"))  # fmt: skip
    return [f"SELECT * FROM thread WHERE {equal} AND {name} {op} $n{order}"
            for name, op, equal, order in islice(others, count)]  # fmt: skip


class Workload:
    """The rows and changes of one shape. The same arguments make the same bytes."""

    def __init__(self, shape: Shape, *, same_touch: bool = False, rows: int = ROWS, nested: bool = False) -> None:
        self.shape = shape
        self.same_touch = same_touch
        self.rows = rows
        self._nested = nested
        self._source = random.Random(7)
        self._constants = [self._constant() for _ in range(65_537)]
        self._live: dict[str, list[int]] = {}
        self._top: dict[str, int] = {}

    def _constant(self) -> int:
        if not self.same_touch:
            return self._source.randrange(CONSTANTS)
        return 0 if self._source.random() * TOUCHED_EVERY < 1 else CONSTANTS + self._source.randrange(CONSTANTS)

    def record(self, table: str, key: int, *, moves: bool = False) -> dict[str, Value]:
        source = self._source
        constant = self._constant() if moves and source.random() < 0.1 else self._constants[key % 65_537]
        elsewhere = key * 7_919 % self.rows
        record: dict[str, Value] = {"id": RecordId(table, key), "created": Datetime.of(1_700_000_000 + key, 0)}
        match table:
            case "thread":
                record["author"] = RecordId("user", elsewhere) if self.shape.linked else constant
                record["category"] = source.randrange(50)
                record["score"] = source.randrange(SCORES)
                record["pinned"] = source.random() < 0.1
                record["title"] = f"{constant:07d} a thread about something, number {key}"
            case "user":
                record |= {"company": constant, "name": f"user {key} {source.randrange(1_000)}"}
            case "comment":
                record |= {"thread": RecordId("thread", elsewhere), "body": f"a comment of some length {key}"}
            case "likes":
                record |= {"in": RecordId("user", constant), "out": RecordId("thread", elsewhere)}
        if self._nested:
            record["tags"] = ["one", f"two {key}", source.randrange(100)]
            record["place"] = {"city": f"city {key % 977}", "at": [key % 180, key % 90]}
        return record

    def page(self, table: str, keys: Iterable[int]) -> list[replication_pb2.Row]:
        return [replication_pb2.Row(key=pack(key), packed=pack(self.record(table, key)), seq=1) for key in keys]

    def frames(self, changes: int) -> Iterator[bytes]:
        """The changes, in frames."""
        for first in range(0, changes, FRAME):
            entries = [self._entry(FIRST_SEQ + 1 + at) for at in range(first, min(first + FRAME, changes))]
            yield replication_pb2.Entries(entries=entries).SerializeToString()

    def _entry(self, seq: int) -> common_pb2.Entry:
        source = self._source
        (table,) = source.choices(list(self.shape.changes), list(self.shape.changes.values()))
        live = self._live.get(table)
        if live is None:
            live = self._live[table] = list(range(self.rows))
        choice = source.random()
        op, packed, key = common_pb2.OP_UPDATE, b"", 0
        if choice < 0.55 or not live:
            key = self._top.setdefault(table, self.rows)
            self._top[table] += 1
            live.append(key)
            packed = pack(self.record(table, key))
        elif choice < 0.88:
            key = source.choice(live)
            packed = pack(self.record(table, key, moves=True))
        else:
            place = source.randrange(len(live))
            live[place], live[-1] = live[-1], live[place]
            key, op = live.pop(), common_pb2.OP_DELETE
        change = common_pb2.Change(table=table, op=op, key=pack(key), packed=packed)
        return common_pb2.Entry(seq=seq, txn_last=True, change=change)

    # --- views ---

    def spec(self, number: int, surql: str = "") -> common_pb2.ViewSpec:
        params = self.shape.params_of(number, same_touch=self.same_touch)
        key = common_pb2.ViewKey(id=f"v{number}")
        return common_pb2.ViewSpec(key=key, surql=surql or self.shape.surql, params=pack(params))

    def registrations(self, specs: Iterable[common_pb2.ViewSpec], first_seq: int) -> bytes:
        """A frame that registers these views, two entries each."""
        frame = replication_pb2.Entries()
        for at, spec in enumerate(specs):
            frame.entries.add(seq=first_seq + 2 * at, view_registered=common_pb2.ViewRegistered(spec=spec))
            assigned = common_pb2.ViewAssigned(spec=spec, ssp_id=SSP)
            frame.entries.add(seq=first_seq + 2 * at + 1, txn_last=True, view_assigned=assigned)
        return frame.SerializeToString()


def entries_of(frame: bytes) -> EntriesReceived:
    return EntriesReceived(replication_pb2.Entries.FromString(frame).entries)


def loaded(
    workload: Workload, *, views: int = 0, page_rows: int = 1_000, after_page: Callable[[], object] = lambda: None
) -> Engine:
    """An engine that holds the tables of the shape, by a view of it that no change touches; its applied seq leaves
    room for so many registrations before the changes."""
    engine = Engine(ssp_id=SSP)
    welcome = replication_pb2.Welcome(at_seq=FIRST_SEQ - 2 * views)
    welcome.views.add(spec=workload.spec(NOBODY), assigned_seq=1)
    engine.step(WelcomeReceived(welcome))
    progress: dict[str, int] = {}
    while loads := engine.ready().loads:
        for load in loads:
            first = progress.get(load.table, 0)
            last = first if load.table.startswith("_") else min(first + page_rows, workload.rows)
            progress[load.table] = last
            rows = workload.page(load.table, range(first, last))
            more = rows[-1].key if rows and last < workload.rows else b""
            engine.step(PageReceived(load.load_id, load.table, rows, more))
            after_page()
    assert engine.loaded, "every table that was asked for has come"
    return engine


def with_views(workload: Workload, views: int) -> Engine:
    """An engine that holds the tables and so many views of the shape, at the seq before the first change."""
    engine = loaded(workload, views=views)
    engine.step(entries_of(workload.registrations(map(workload.spec, range(views)), engine.applied_seq + 1)))
    engine.ready()
    assert engine.applied_seq == FIRST_SEQ
    return engine
