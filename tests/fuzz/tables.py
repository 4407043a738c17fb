"""Tables, rows and histories of a case, drawn from one `random.Random`.

Five tables that link to each other in a ring, two of them edges. Names are few, values tie often, links may dangle, a
field may be missing or NULL, and in a `wild` field any kind of value may stand. `Tables` follows which records exist,
so that most statements do something; what they really did is read back from the engine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.fuzz.case import Case

# fmt: off
# kind of a field: any, number, text, numbers, texts, time, bool, object, objects, link:<table>, links:<table>
FIELDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "item": {
            "a": "any", "b": "any", "n": "number", "s": "text", "t": "numbers", "o": "object", "u": "link:user",
            "ls": "links:item", "at": "time", "objs": "objects", "ok": "bool",
        },
        "user": {
            "name": "text", "age": "number", "team": "link:team", "tags": "texts", "boss": "link:user",
            "n": "number", "meta": "object", "any": "any",
        },
        "team": {"name": "text", "lead": "link:user", "n": "number", "items": "links:item", "x": "any"},
        "likes": {"w": "number", "s": "text", "in": "link:user", "out": "link:item"},
        "knows": {"n": "number", "at": "time", "in": "link:user", "out": "link:user"},
    }
)
# fmt: on
# parts of an object field, and of the elements of `objects`
PARTS: Final[Mapping[str, str]] = MappingProxyType({"x": "any", "y": "text", "n": "number", "l": "link:user"})
EDGES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({"likes": ("user", "item"), "knows": ("user", "user")})
NODES: Final = ("item", "user", "team")
ROWS_MAX: Final = 12

_UUID = "u'018f0000-0000-7000-8000-00000000000"
KEYS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "item": ("1", "2", "3", "10", "x", "`y z`", "`1`", "[1, 'a']", "[2]", "{ k: 1 }", f"{_UUID}1'"),
        "user": ("1", "2", "3", "4", "ann", "bob", f"{_UUID}2'"),
        "team": ("1", "2", "red", "[1]", "{ k: 2 }"),
        "likes": ("1", "2", "3", "4", "5", "6", "a", "[1, 2]"),
        "knows": ("1", "2", "3", "4", "b"),
    }
)
# fmt: off
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "any": "any", "number": "number", "text": "string", "numbers": "array<number>", "texts": "array<string>",
        "time": "datetime", "bool": "bool", "object": "object", "objects": "any",
    }
)
# fmt: on
NUMBERS: Final = ("0", "1", "2", "3", "-1", "5", "1.0", "2.5", "2dec", "10")
TEXTS: Final = ("''", "'a'", "'b'", "'ab'", "'B'", "'a b'", "'10'", "'2'", "'é'")
TIMES: Final = ("d'2024-01-01T00:00:00Z'", "d'2024-05-06T07:08:09Z'", "d'2025-01-01T00:00:00.5Z'")
POINT: Final = "(1.5, 2.5)"
ODD: Final = (
    *("NONE", "NULL", "true", "false", "[]", "{}", "1h", "90s", "[1, 2]", "['a']", "{ x: 1 }", "user:1", "item:2"),
    *("d'2024-01-01T00:00:00Z'", 'b"00ff"', f"{_UUID}3'", "1..3", "{1, 2}", POINT, "[[1], [2]]"),
)


@dataclass
class Tables:
    """What may stand in the tables of one case. `draw` decides everything."""

    draw: random.Random
    wild: frozenset[str] = frozenset()  # "table.field": any kind of value may stand there
    full: frozenset[str] = frozenset()  # tables that are SCHEMAFULL
    indexes: tuple[str, ...] = ()  # definitions
    keys: dict[str, list[str]] = field(default_factory=dict)  # the records that (we think) exist

    @staticmethod
    def drawn(draw: random.Random) -> Tables:
        names = [f"{table}.{name}" for table, fields in FIELDS.items() for name in fields if name not in ("in", "out")]
        wild = frozenset(draw.sample(names, 3)) if draw.random() < 0.5 else frozenset()
        full = frozenset(table for table in FIELDS if draw.random() < 0.25)
        indexes = tuple(_index(draw, number) for number in range(draw.choice((0, 0, 0, 1, 2, 3))))
        return Tables(draw, wild, full, indexes, {table: [] for table in FIELDS})

    # --- values ---

    def value(self, kind: str) -> str:
        """The text of a value of the kind; `any` is mostly small numbers and texts, so that equals meet."""
        pick = self.draw.choice
        kind, _, table = kind.partition(":")
        match kind:
            case "number":
                return pick(NUMBERS)
            case "text":
                return pick(TEXTS)
            case "time":
                return pick(TIMES)
            case "bool":
                return pick(("true", "false"))
            case "numbers":
                return self._several(lambda: pick(NUMBERS))
            case "texts":
                return self._several(lambda: pick(TEXTS))
            case "link":
                return self.record(table)
            case "links":
                return self._several(lambda: self.record(table))
            case "object":
                return self._object()
            case "objects":
                return self._several(self._object)
            case _:
                return pick((*NUMBERS, *TEXTS) if self.draw.random() < 0.6 else ODD)

    def record(self, table: str) -> str:
        """A record of the table: most often one that exists."""
        there = self.keys.get(table, [])
        key = self.draw.choice(there if there and self.draw.random() < 0.85 else KEYS[table])
        return f"{table}:{key}"

    def _several(self, one: Callable[[], str]) -> str:
        return f"[{', '.join(one() for _ in range(self.draw.choice((0, 1, 2, 2, 3))))}]"

    def _object(self) -> str:
        parts = [f"{name}: {self.value(kind)}" for name, kind in PARTS.items() if self.draw.random() < 0.7]
        return f"{{ {', '.join(parts)} }}" if parts else "{}"

    def stored(self, table: str, name: str) -> str:
        """What a statement writes into a field."""
        kind = FIELDS[table][name]
        if f"{table}.{name}" in self.wild and table not in self.full:
            kind = "any"
        elif table not in self.full and self.draw.random() < 0.06:
            return "NULL"
        return self.value(kind)

    def content(self, table: str, share: float = 0.8) -> dict[str, str]:
        names = [name for name in FIELDS[table] if name not in ("in", "out") and self.draw.random() < share]
        return {name: self.stored(table, name) for name in names}

    # --- statements ---

    def schema(self) -> list[str]:
        statements = []
        for table, fields in FIELDS.items():
            kind = "SCHEMAFULL" if table in self.full else "SCHEMALESS"
            relation = ""
            if table in EDGES:
                ends = f" IN {EDGES[table][0]} OUT {EDGES[table][1]}" if self.draw.random() < 0.7 else ""
                relation = f" TYPE RELATION{ends}"
            statements.append(f"DEFINE TABLE {table}{relation} {kind}")
            if table in self.full:
                statements += [_field(table, name, kind) for name, kind in fields.items() if name not in ("in", "out")]
        return [*statements, *self.indexes]

    def data(self) -> list[str]:
        statements = []
        for table in NODES:
            for key in self.draw.sample(KEYS[table], self.draw.randint(1, min(8, len(KEYS[table])))):
                self.keys[table].append(key)
            statements += [_create(f"{table}:{key}", self.content(table)) for key in self.keys[table]]
        for table in EDGES:
            for _ in range(self.draw.randint(0, 5)):
                statements += self._relate(table)
        return statements

    def transaction(self) -> list[str]:
        statements: list[str] = []
        for _ in range(self.draw.choice((1, 1, 1, 2, 3, 6))):
            statements += self.draw.choice(self._moves())()
        return statements

    def _moves(self) -> list[Callable[[], list[str]]]:
        return [
            *(self._create, self._create, self._update, self._update, self._update, self._merge, self._unset),
            *(self._replace, self._delete, self._delete_edge, self._move_link, self._relate_any, self._relate_any),
            *(self._update_many, self._recreate, self._upsert),
        ]

    def _there(self, *tables: str) -> tuple[str, str] | None:
        found = [(table, key) for table in tables for key in self.keys[table]]
        return self.draw.choice(found) if found else None

    def _create(self) -> list[str]:
        table = self.draw.choice(NODES)
        free = [key for key in KEYS[table] if key not in self.keys[table]]
        if not free:
            return []
        key = self.draw.choice(free)
        self.keys[table].append(key)
        return [_create(f"{table}:{key}", self.content(table))]

    def _update(self) -> list[str]:
        if (found := self._there(*FIELDS)) is None:
            return []
        names = [name for name in FIELDS[found[0]] if name not in ("in", "out")]
        chosen = self.draw.sample(names, self.draw.choice((1, 1, 2)))
        sets = ", ".join(f"{name} = {self.stored(found[0], name)}" for name in chosen)
        return [f"UPDATE {found[0]}:{found[1]} SET {sets}"]

    def _merge(self) -> list[str]:
        found = self._there(*FIELDS)
        return [f"UPDATE {found[0]}:{found[1]} MERGE {_braced(self.content(found[0], 0.3))}"] if found else []

    def _unset(self) -> list[str]:
        if (found := self._there(*FIELDS)) is None:
            return []
        names = [name for name in FIELDS[found[0]] if name not in ("in", "out")]
        return [f"UPDATE {found[0]}:{found[1]} UNSET {self.draw.choice(names)}"]

    def _replace(self) -> list[str]:
        found = self._there(*NODES)
        return [f"UPDATE {found[0]}:{found[1]} CONTENT {_braced(self.content(found[0]))}"] if found else []

    def _upsert(self) -> list[str]:
        table = self.draw.choice(NODES)
        key = self.draw.choice(KEYS[table])
        if key not in self.keys[table]:
            self.keys[table].append(key)
        return [f"UPSERT {table}:{key} MERGE {_braced(self.content(table, 0.5))}"]

    def _delete(self) -> list[str]:
        """A node, whose edges go with it."""
        if (found := self._there(*NODES)) is None:
            return []
        self.keys[found[0]].remove(found[1])
        return [f"DELETE {found[0]}:{found[1]}"]

    def _delete_edge(self) -> list[str]:
        if (found := self._there(*EDGES)) is None:
            return []
        self.keys[found[0]].remove(found[1])
        return [f"DELETE {found[0]}:{found[1]}"]

    def _recreate(self) -> list[str]:
        gone = self._delete()
        if not gone:
            return []
        record = gone[0].removeprefix("DELETE ")
        table, _, key = record.partition(":")
        self.keys[table].append(key)
        return [*gone, f"INSERT INTO {table} {_braced({'id': record, **self.content(table)})}"]

    def _move_link(self) -> list[str]:
        links = [(table, name) for table in NODES for name, kind in FIELDS[table].items() if kind.startswith("link:")]
        table, name = self.draw.choice(links)
        found = self._there(table)
        return [f"UPDATE {table}:{found[1]} SET {name} = {self.value(FIELDS[table][name])}"] if found else []

    def _update_many(self) -> list[str]:
        table = self.draw.choice(NODES)
        return [f"UPDATE {table} SET n = {self.draw.choice(NUMBERS)} WHERE n = {self.draw.choice(NUMBERS)}"]

    def _relate_any(self) -> list[str]:
        return self._relate(self.draw.choice(tuple(EDGES)))

    def _relate(self, table: str) -> list[str]:
        free = [key for key in KEYS[table] if key not in self.keys[table]]
        begin, end = (self._there(side) for side in EDGES[table])
        if not free or begin is None or end is None:
            return []
        key = self.draw.choice(free)
        self.keys[table].append(key)
        arrow = f"{begin[0]}:{begin[1]}->{table}:{key}->{end[0]}:{end[1]}"
        return [f"RELATE {arrow} CONTENT {_braced(self.content(table))}"]


def _field(table: str, name: str, kind: str) -> str:
    base, _, other = kind.partition(":")
    kind = {"link": f"record<{other}>", "links": f"array<record<{other}>>"}.get(base) or TYPES[base]
    flexible = " FLEXIBLE" if kind == "object" else ""
    wrapped = kind if kind == "any" else f"option<{kind}>"
    return f"DEFINE FIELD {name} ON {table} TYPE {wrapped}{flexible}"


def _index(draw: random.Random, number: int) -> str:
    table = draw.choice(tuple(FIELDS))
    columns = draw.sample(tuple(FIELDS[table]), draw.choice((1, 1, 1, 2)))
    return f"DEFINE INDEX i{number} ON {table} FIELDS {', '.join(columns)}{' UNIQUE' if draw.random() < 0.1 else ''}"


def _create(record: str, content: Mapping[str, str]) -> str:
    return f"CREATE {record} CONTENT {_braced(content)}"


def _braced(content: Mapping[str, str]) -> str:
    return f"{{ {', '.join(f'{name}: {value}' for name, value in content.items())} }}" if content else "{}"


def drawn_history(draw: random.Random, steps: int) -> tuple[Tables, Case]:
    """A case without queries, and the tables for drawing them."""
    tables = Tables.drawn(draw)
    schema, data = tables.schema(), tables.data()
    before = {table: list(keys) for table, keys in tables.keys.items()}
    history = tuple(tuple(step) for _ in range(steps) if (step := tables.transaction()))
    tables.keys = before
    return tables, Case(tuple(schema), tuple(data), history, ())
