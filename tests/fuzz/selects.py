"""Whole SELECTs: one choice in each of the clause dimensions gives a query, the rest is drawn.

`DIMENSIONS` is what `covering.py` combines; the first value of each is the smallest. A combination that the grammar
forbids (ORDER BY of what is not selected, a field that is not grouped) is bent until it parses; one that the engine
answers with an error is kept, since then a view must not show rows either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.fuzz.case import Query
from tests.fuzz.covering import Row as Choices
from tests.fuzz.expressions import Expressions, Row
from tests.fuzz.tables import EDGES, FIELDS

DIMENSIONS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "fields": ("*", "names", "aliases", "value", "star and more", "links", "graph", "subselect", "expressions"),
        "from": ("table", "tables", "record", "records", "list", "range", "param", "subselect", "objects", "graph"),
        "where": ("none", "comparison", "logic", "function", "link", "graph", "containment", "any"),
        "split": ("none", "none", "array"),
        "group": ("none", "none", "by", "all", "by several"),
        "order": ("none", "one", "desc", "several", "alias", "collate", "numeric", "id"),
        "limit": ("none", "some", "param", "zero"),
        "start": ("none", "some", "param"),
        "fetch": ("none", "none", "link", "links", "deep"),
        "omit": ("none", "none", "field", "part"),
        "only": ("no", "no", "no", "yes"),
    }
)
AGGREGATES: Final = (
    *("count()", "math::sum(n ?? 0)", "math::max(n)", "math::min(n)", "math::mean(n ?? 0)", "count(n > 1)"),
    *("array::group(n)", "array::distinct(n)", "n", "math::sum(n ?? 0) + 1", "count(id)", "array::len(id)", "id"),
    *("array::first(n)", "time::max(at)", "math::median(n ?? 0)", "array::flatten([id])", "array::max(n)"),
)


@dataclass
class _Draft:
    """The clauses of a query under way. `names`: what ORDER BY may name; `sortable` any field of the row as well."""

    row: Row
    fields: str = "*"
    value: bool = False
    names: list[str] = field(default_factory=list)
    stored: bool = True
    grouped: bool = False


@dataclass
class Selects(Expressions):
    """Draws queries over the tables of a case."""

    def query(self, choices: Choices, since: int = 1) -> Query:
        self.params = {}
        table = self.draw.choice(("item", "item", "item", "user", "user", "team", "likes", "knows"))
        text = self.select(Row(table), choices)
        return Query(text, tuple(self.params.items()), since)

    def select(self, row: Row, choices: Choices) -> str:
        target, row = self._target(row, choices["from"])
        draft = _Draft(row)
        where = self._where(row, choices["where"])
        group = self._group(draft, choices["group"])
        if not draft.grouped:
            self._fields(draft, choices["fields"])
        split = "" if draft.grouped or choices["split"] == "none" else self._split(draft)
        value = "VALUE " if draft.value else ""
        only = "ONLY " if choices["only"] == "yes" else ""
        omit = self._omit(draft, choices["omit"])
        text = f"SELECT {value}{draft.fields}{omit} FROM {only}{target}{where}{split}{group}"
        text += self._order(draft, choices["order"])
        limited = "some" if only and choices["limit"] == "none" and self.chance(0.8) else choices["limit"]
        return text + self._limit(limited, bool(only)) + self._start(choices["start"]) + self._fetch(draft, choices)

    # --- FROM ---

    def _target(self, row: Row, choice: str) -> tuple[str, Row]:
        table = row.table
        match choice:
            case "tables":
                others = self.draw.sample(tuple(FIELDS), 2)
                return f"{table}, {others[0] if others[0] != table else others[1]}", row
            case "record":
                return self.tables.record(table), row
            case "records":
                return f"{self.tables.record(table)}, {self.tables.record(table)}", row
            case "list":
                return f"[{self.tables.record(table)}, {self.tables.record(table)}, {self.tables.record('user')}]", row
            case "range":
                return self.draw.choice((f"{table}:1..3", f"{table}:1..=2", f"{table}:2..", f"{table}:..x")), row
            case "param":
                return self.param(f"[{self.tables.record(table)}, {self.tables.record(table)}]"), row
            case "subselect":
                inner = f"SELECT * FROM {table}{self._where(row, 'comparison') if self.chance(0.6) else ''}"
                return f"({inner}{' LIMIT 4' if self.chance(0.4) else ''})", row
            case "objects":
                return "[{ n: 1, a: 'x', s: 'b' }, { n: 2, u: user:1 }, { t: [1, 2] }]", row
            case "graph":
                walk, ends = self.graph(Row("user"))
                if walk.startswith(("->", "<-")):
                    return self.tables.record("user") + walk, Row(ends, row.parents)
        return table, row

    # --- fields ---

    def _fields(self, draft: _Draft, choice: str) -> None:
        row, names = draft.row, list(FIELDS[draft.row.table])
        draft.stored = choice in ("*", "star and more", "value")
        parts: list[str] = []
        match choice:
            case "names":
                parts = ["id", *self.draw.sample(names, 3)]
                draft.names = list(parts)
            case "aliases":
                parts = ["id", *(f"{name} AS f{place}" for place, name in enumerate(self.draw.sample(names, 2)))]
                parts.append(f"{self.anything(row)} AS f2")
                draft.names = ["id", "f0", "f1", "f2"]
            case "value":
                draft.value = True
                parts = [self.anything(row) if self.chance(0.6) else self.draw.choice(("id", *names))]
                draft.names = names
            case "star and more":
                parts = ["*", f"{self.anything(row)} AS extra"]
                draft.names = [*names, "extra"]
            case "links":
                links = [self.path(row, self.draw.choice(("text", "number", "any"))) for _ in range(2)]
                parts = ["id", f"{links[0]} AS first", links[1], f"{self.link(row)[0]}.* AS whole"]
                draft.names = ["id", "first"]
            case "graph":
                parts = ["id", f"{self.walk(row)} AS walk", self.graph(row)[0]]
                draft.names = ["id", "walk"]
            case "subselect":
                parts = ["id", f"{self.subselect(row)} AS sub", f"{self.subselect(row)}[0] AS one"]
                draft.names = ["id", "sub", "one"]
            case "expressions":
                parts = ["id", f"{self.anything(row)} AS x", f"{self.condition(row, 1)} AS y", self.number(row)]
                draft.names = ["id", "x", "y"]
            case _:
                parts = ["*"]
                draft.names = names
        draft.fields = ", ".join(parts)

    def _omit(self, draft: _Draft, choice: str) -> str:
        if choice == "none":
            return ""
        return f" OMIT {self.draw.choice(('n', 'id', 'o', 'extra'))}" if choice == "field" else " OMIT o.x, u"

    # --- WHERE, SPLIT, GROUP ---

    def _where(self, row: Row, choice: str) -> str:
        match choice:
            case "none":
                return ""
            case "comparison":
                return f" WHERE {self.comparison(row)}"
            case "function":
                return f" WHERE {self._tested(row)}"
            case "link":
                return f" WHERE {self._linked(row)}"
            case "graph":
                return f" WHERE {self._related(row)}"
            case "containment":
                return f" WHERE {self._contained(row)}"
            case _:
                return f" WHERE {self.condition(row)}"

    def _split(self, draft: _Draft) -> str:
        """SPLIT by a field, which must be selected."""
        row = draft.row
        arrays = [name for name, kind in FIELDS[row.table].items() if kind in ("numbers", "texts", "objects")]
        arrays += [name for name, kind in FIELDS[row.table].items() if kind.startswith("links:")]
        name = self.draw.choice(arrays or list(FIELDS[row.table]))
        if draft.value:
            draft.fields, draft.names = name, [name]
        elif not draft.fields.startswith("*"):
            draft.fields += f", {name}"
        return f" SPLIT {name}"

    def _group(self, draft: _Draft, choice: str) -> str:
        if choice == "none":
            return ""
        draft.grouped, draft.stored = True, False
        row = draft.row
        aggregates = [f"{each} AS g{place}" for place, each in enumerate(self.draw.sample(AGGREGATES, 2))]
        draft.names = ["g0", "g1"]
        if choice == "all":
            draft.fields = ", ".join(aggregates)
            return " GROUP ALL"
        keys = self.draw.sample(tuple(FIELDS[row.table]), 1 if choice == "by" else 2)
        parts = list(keys)
        if self.chance(0.4):
            parts[0] = f"{self.path(row, self.draw.choice(('number', 'text', 'any')))} AS k"
            keys[0] = "k"
        draft.names += keys
        draft.fields = ", ".join([*parts, *aggregates])
        return f" GROUP BY {', '.join(keys)}"

    # --- ORDER BY, LIMIT, START, FETCH ---

    def _order(self, draft: _Draft, choice: str) -> str:
        names = [name for name in draft.names if name != "id"] or ["id"]
        match choice:
            case "none":
                return ""
            case "id":
                return " ORDER BY id DESC" if "id" in draft.names or draft.stored else f" ORDER BY {names[0]}"
            case "several":
                chosen = self.draw.sample(names, min(2, len(names)))
                return " ORDER BY " + ", ".join(f"{each} {self.draw.choice(('ASC', 'DESC'))}" for each in chosen)
            case "alias":
                return f" ORDER BY {names[-1]}"
            case "desc":
                return f" ORDER BY {self.draw.choice(names)} DESC"
            case "collate" | "numeric":
                return f" ORDER BY {self.draw.choice(names)} {choice.upper()}{self.draw.choice(('', ' DESC'))}"
            case _:
                return f" ORDER BY {self.draw.choice(names)}"

    def _limit(self, choice: str, only: bool) -> str:
        number = 1 if only else self.draw.randint(1, 5)
        match choice:
            case "some":
                return f" LIMIT {number}"
            case "param":
                return f" LIMIT {self.param(str(number))}"
            case "zero":
                return " LIMIT 0"
            case _:
                return ""

    def _start(self, choice: str) -> str:
        number = self.draw.randint(0, 3)
        if choice == "none":
            return ""
        return f" START {number if choice == 'some' else self.param(str(number))}"

    def _fetch(self, draft: _Draft, choices: Choices) -> str:
        fields = FIELDS[draft.row.table]
        link = [name for name, kind in fields.items() if kind.startswith("link:")]
        links = [name for name, kind in fields.items() if kind.startswith("links:")]
        match choices["fetch"]:
            case "link" if link:
                return f" FETCH {self.draw.choice(link)}"
            case "links" if links:
                return f" FETCH {self.draw.choice(links)}"
            case "deep" if link:
                deeper = self.draw.choice(("team", "boss", "u"))
                return f" FETCH {self.draw.choice(link)}, {self.draw.choice(link)}.{deeper}"
            case _:
                return ""

    # --- sub-selects ---

    def subselect(self, row: Row) -> str:
        """Of records that point at the outer row, as a rule. No ORDER BY of a stored field with LIMIT: there the engine
        loses rows of later outer rows, differently each time (surrealdb issue 7470)."""
        if row.depth >= 2:
            return f"(SELECT VALUE {self.draw.choice(tuple(FIELDS[row.table]))} FROM {row.table} LIMIT 2)"
        table = self.draw.choice(tuple(FIELDS))
        inner = Row(table, (*row.parents, row.table))
        back = [name for name, kind in FIELDS[table].items() if kind == f"link:{row.table}"]
        back_many = [name for name, kind in FIELDS[table].items() if kind == f"links:{row.table}"]
        conditions = [f"{name} = $parent.id" for name in back] + [f"$parent.id IN {name}" for name in back_many]
        if not conditions or self.chance(0.2):
            conditions = [self.condition(inner, 2)]
        where = self.draw.choice(conditions) + (f" AND {self.comparison(inner)}" if self.chance(0.3) else "")
        shape = self.draw.randrange(8)
        name = self.draw.choice(tuple(FIELDS[table]))
        tail = self.draw.choice(("", "", " LIMIT 2", " ORDER BY id DESC LIMIT 2", " START 1"))
        if shape == 0:
            return f"(SELECT count() FROM {table} WHERE {where} GROUP ALL)"
        if shape == 1:
            return f"(SELECT {name}, count() AS c FROM {table} WHERE {where} GROUP BY {name})"
        if shape == 2:
            return f"(SELECT * FROM {table} WHERE {where}{tail})"
        if shape == 3:
            return f"(SELECT id, {self.anything(inner, 1)} AS v FROM {table} WHERE {where}{tail})"
        if shape == 4:
            return f"(SELECT id, {name} FROM {table} WHERE {where} ORDER BY {name}, id)"
        if shape == 5:
            edge = self.draw.choice(tuple(EDGES))
            side = "in" if EDGES[edge][0] == row.table else "out"
            return f"(SELECT VALUE {self.draw.choice(tuple(FIELDS[edge]))} FROM {edge} WHERE {side} = $parent.id)"
        tail = tail.replace("ORDER BY id DESC", "")
        return f"(SELECT VALUE {name} FROM {table} WHERE {where}{tail})"

    def ids_of(self, row: Row, table: str) -> str:
        """A SELECT VALUE in brackets that gives records of the table."""
        sources = [(edge, "in") for edge, ends in EDGES.items() if ends[0] == table]
        sources += [(edge, "out") for edge, ends in EDGES.items() if ends[1] == table]
        for other, fields in FIELDS.items():
            sources += [(other, name) for name, kind in fields.items() if kind == f"link:{table}"]
        source, name = self.draw.choice([*sources, (table, "id")])
        where = f" WHERE {self.comparison(Row(source))}" if self.chance(0.6) else ""
        return f"(SELECT VALUE {name} FROM {source}{where})"
