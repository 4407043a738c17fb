"""A library of linked tables, drawn at random, and the naive twin of every view over it.

The twin of a view is its query run whole, fresh, over the same rows (through `Permitted` for a user); its members are
the rows that the query chose, its children are read off the result itself, where each sub-select shows the ids of its
rows and FETCH has put records in place of theirs.

Everything is drawn from one `random.Random`, so that a seed is a history.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sp00ky.proto.surrealql.ast import FieldPart, Select, Subquery
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import NONE, Bound, Range, RecordId, SurrealSet, Value
from sp00ky.proto.values.order import sort_key
from sp00ky.proto.whole.permitted import Permitted
from sp00ky.proto.whole.rules import NOBODY, TableRules, auth_params, parse_rules
from sp00ky.proto.whole.scope import Indexed, Scope
from sp00ky.proto.whole.select import chosen, run_select
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.plan.identified import has_ids

from tests.harness.driven_engine import Driven, Place
from tests.harness.oracle import exact

TABLES = ("person", "robot", "post", "comment", "wrote")
NAMES = ("ann", "bob", "anna", "b", "")
TEAMS = ("red", "blue")
NUMBERS: tuple[Value, ...] = (0, 1, 2, 3, 4, 2.5, None, "2", True)
ODD: tuple[Value, ...] = ("a", "ann", "", None, 1, True, [], ["a"], ["ann", 1], [["a"], ["a"]], {"a": 1})
LISTS: tuple[Value, ...] = (
    *(["ann", "bob"], ["ann", "ann"], [], [["a"], "b"], [1, 2], [None, ""], "annab", "", None, 3, {"a": 1}),
    *(SurrealSet(("ann", 1)), Range(Bound(1, True), Bound(3, False)), RecordId("person", 1)),
)


@dataclass(frozen=True)
class Change:
    """`record` None: the record is deleted."""

    table: str
    key: Value
    record: dict[str, Value] | None


@dataclass(frozen=True)
class Query:
    """`auth`: of the user whose view it is, as a view's specification has it."""

    surql: str
    params: Mapping[str, Value] = field(default_factory=dict)
    auth: Mapping[str, Value] | None = None

    @property
    def select(self) -> Select:
        return parse_select(self.surql)


class Draw:
    """Records, transactions and parameters, all from `source`."""

    def __init__(self, source: random.Random) -> None:
        self.source = source

    def params(self, surql: str) -> dict[str, Value]:
        """A value for each parameter that the text names; `$list` and `$odd` are of any kind."""
        drawn: dict[str, Value] = {
            "name": self.source.choice(NAMES),
            "team": self.source.choice(TEAMS),
            "n": self.source.choice((0, 1, 2, 3)),
            "me": self.person(),
            "list": self.source.choice(LISTS),
            "odd": self.source.choice((*ODD, NONE)),
            "records": [self.link(("person", "post")) for _ in range(self.source.randint(0, 3))],
        }
        return {name: value for name, value in drawn.items() if f"${name}" in surql}

    def person(self) -> RecordId:
        return RecordId("person", self.source.randint(1, 4))

    def link(self, tables: tuple[str, ...]) -> RecordId:
        return RecordId(self.source.choice(tables), self.source.randint(1, 4))

    def transaction(self) -> list[Change]:
        return [self.change() for _ in range(self.source.choice((1, 1, 2, 4)))]

    def change(self) -> Change:
        table, key = self.source.choice(TABLES), self.source.randint(1, 4)
        if self.source.random() < 0.2:
            return Change(table, key, None)
        drawn = {name: value for name, value in self._record(table).items() if self.source.random() < 0.9}
        return Change(table, key, {"id": RecordId(table, key), **drawn})

    def _record(self, table: str) -> dict[str, Value]:
        choice = self.source.choice
        match table:
            case "person" | "robot":
                return {
                    "name": choice(NAMES),
                    "age": choice(NUMBERS),
                    "team": choice(TEAMS),
                    "boss": self.person(),
                    "tags": self._tags(),
                }
            case "post":
                return {
                    "title": choice(NAMES),
                    "author": self.link(("person", "person", "robot")),
                    "n": choice(NUMBERS),
                    "odd": choice(ODD),
                    "tags": self._tags(),
                    "open": choice((True, False)),
                    "readers": [self.person() for _ in range(self.source.randint(0, 2))],
                }
            case "comment":
                return {"post": self.link(("post",)), "by": self.person(), "n": choice(NUMBERS), "text": choice(NAMES)}
            case _:
                return {"in": self.person(), "out": self.link(("post",)), "n": choice(NUMBERS)}

    def _tags(self) -> list[Value]:
        return [self.source.choice(NAMES) for _ in range(self.source.randint(0, 3))]


class Library:
    """The rows as they are now, each with the seq of its last change, and the rules of the tables."""

    def __init__(self) -> None:
        self.held: dict[RecordId, tuple[dict[str, Value], int]] = {}
        self.rules: dict[str, TableRules] = {}

    def apply(self, changes: Iterable[Change], first_seq: int) -> None:
        for seq, change in enumerate(changes, first_seq):
            record = RecordId(change.table, change.key)
            self.held.pop(record, None)
            if change.record is not None:
                self.held[record] = change.record, seq

    def rows(self, table: str) -> list[tuple[RecordId, dict[str, Value]]]:
        found = [(record, row) for record, (row, _) in self.held.items() if record.table == table]
        return sorted(found, key=lambda each: sort_key(each[0]))

    def get(self, record: RecordId) -> dict[str, Value] | None:
        found = self.held.get(record)
        return None if found is None else found[0]

    def tables(self) -> list[str]:
        return sorted(TABLES)

    def rule(self, table: str, select: str = NOBODY, fields: Iterable[Mapping[str, Value]] = ()) -> None:
        self.rules[table] = parse_rules(select, fields)

    def seen_by(self, auth: Mapping[str, Value]) -> Permitted:
        return Permitted(Indexed(self), lambda name: self.rules.get(name, TableRules()), auth_params(auth))

    def version(self, record: RecordId) -> int:
        return self.held[record][1]


# --- the twin --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Twin:
    """What a view must be: its result, its members in order, its children."""

    rows: Value
    members: list[tuple[RecordId, int]]
    children: dict[Place, int]

    @property
    def listed(self) -> list[Value]:
        return self.rows if isinstance(self.rows, list) else [] if self.rows in (None, NONE) else [self.rows]

    @property
    def moving(self) -> object:
        """What a delta or a hash tells of: everything but the order. Rows that are members' are theirs: two that swap
        what they show have both moved, though the rows are the same."""
        rows: Iterable[str] = map(exact, self.listed)
        if len(self.members) == len(self.listed):
            rows = (f"{member} {row}" for (member, _), row in zip(self.members, rows, strict=True))
        return Counter(rows), sorted(map(repr, self.members)), self.children


def twin(library: Library, query: Query) -> Twin:
    """Raises NotPlain where the query, or its user's rules, cannot be evaluated."""
    select, params = query.select, dict(query.params)
    if query.auth is None:
        scope = Scope(params, Indexed(library))
    else:
        source = library.seen_by(query.auth)
        source.check_query(select)
        scope = Scope({**params, **auth_params(query.auth)}, source)
    rows = run_select(select, scope)
    members: list[RecordId] = []
    if has_ids(select):
        members = list(dict.fromkeys(row["id"] for row in chosen(select, scope)))
    places = dict.fromkeys(_children(select, rows, members)) if members else {}
    versions = {place: library.version(place[2]) for place in places}
    return Twin(rows, [(record, library.version(record)) for record in members], versions)


def _children(select: Select, rows: Value, members: list[RecordId]) -> Iterator[Place]:
    listed = rows if isinstance(rows, list) else [rows]
    for place, row in enumerate(listed):
        if not isinstance(row, dict):
            continue
        parent = row.get("id") or members[place]
        for each in select.fields:
            if isinstance(each.expr, Subquery) and each.alias is not None and has_ids(each.expr.select):
                relation = print_node(each.alias)
                below = row[relation]
                for child in below if isinstance(below, list) else [below]:
                    if isinstance(child, dict):
                        yield parent, relation, child["id"]
                yield from _children(each.expr.select, below, [])
        for path in select.fetch:
            yield from _fetched(row, [part.name for part in path.parts if isinstance(part, FieldPart)], parent)


def _fetched(value: Value, names: list[str], parent: RecordId) -> Iterator[Place]:
    if not names:
        return
    found = value.get(names[0])
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, dict):
            yield parent, names[0], each["id"]
            yield from _fetched(each, names[1:], each["id"])


# --- a history -------------------------------------------------------------------------------------------------------


class Told:
    """An engine and its views, held against the twin; knows what each view was at the last check."""

    def __init__(self, driven: Driven, library: Library, views: Mapping[str, Query]) -> None:
        self.driven = driven
        self.library = library
        self.views = views
        self._before: dict[str, tuple[object, str]] = {}
        self._deltas = self._hydrated = 0

    def check(self) -> None:
        """Every view is what its twin is, in every way in which it can be read, and was told of every move."""
        driven = self.driven
        told = {key.id for delta in driven.deltas[self._deltas :] for key in delta.views}
        anew = {each.key.id for each in driven.hydrated[self._hydrated :]}
        self._deltas, self._hydrated = len(driven.deltas), len(driven.hydrated)
        for view, query in self.views.items():
            reading = driven.engine.view(ViewKey(view))
            assert reading is not None
            about = f"{view}: {query.surql} with {query.params} for {query.auth}"
            assert (reading.mode, reading.reason) == ("incremental", ""), about
            assert (reading.state, reading.error) == ("live", ""), about
            expected = twin(self.library, query)
            assert exact(reading.rows()) == exact(expected.rows), about
            outermost = [(each.id, each.version) for each in reading.members if each.parent is None]
            assert outermost == expected.members, about
            assert driven.current_children(view) == expected.children, about
            assert driven.members[ViewKey(view)] == dict(outermost), f"deltas of {about}"
            assert driven.children[ViewKey(view)] == expected.children, f"children in deltas of {about}"
            assert reading.size == (len(expected.members) or len(expected.listed)), about
            before = self._before.get(view)
            if before is not None and view not in anew:
                moved = before[0] != expected.moving
                assert (view in told) == moved, f"{'no' if moved else 'a needless'} delta of {about}"
                assert (reading.hash != before[1]) == moved, f"hash of {about}"
            self._before[view] = expected.moving, reading.hash


def append(driven: Driven, changes: list[Change]) -> None:
    """One transaction."""
    for place, change in enumerate(changes, 1):
        driven.log.change(change.table, change.key, change.record, txn_last=place == len(changes))
