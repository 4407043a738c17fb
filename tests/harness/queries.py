"""Seeded queries, rows and changes for the rings that hold the circuit against its twin and against the engine.

Everything is drawn from one `random.Random`, so a seed is a history. Values are few and of many
kinds, so that equal, missing and differently typed values meet; sort keys tie often.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from sp00ky.proto.values.kinds import Datetime, Duration, RecordId, Value

TABLE = "item"
FIELDS = ("a", "b", "c", "d")
KEYS: tuple[Value, ...] = (1, 2, 3, 4, 5, 10, "x", "y z", "1", [1, "a"], [2, "b"], 7, 8, 9)
VALUES: tuple[Value, ...] = (
    *(0, 1, 2, 3, -1, 1.0, 2.5, "", "a", "b", "1", True, False, None),
    *([1, 2], ["a"], [], {"k": 1}, RecordId("user", 1), RecordId("user", "a"), Datetime.of(10, 5), Duration.of(3)),
)
NUMBERS: tuple[Value, ...] = (0, 1, 2, 3, 4, 5)
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
MEMBERSHIPS = ("IN", "NOT IN", "CONTAINS", "CONTAINSNOT")


@dataclass(frozen=True)
class Change:
    """`record` None: the record is deleted."""

    key: Value
    record: dict[str, Value] | None


@dataclass
class Draw:
    """Draws from `source`. `plain`: numbers and short strings only."""

    source: random.Random
    plain: bool = False
    params: dict[str, Value] = field(default_factory=dict)

    def value(self) -> Value:
        return self.source.choice(NUMBERS if self.plain else VALUES)

    def record(self, key: Value) -> dict[str, Value]:
        record: dict[str, Value] = {"id": RecordId(TABLE, key)}
        for name in FIELDS:
            if self.source.random() < 0.85:
                record[name] = self.value()
        return record

    def change(self) -> Change:
        key = self.source.choice(KEYS)
        return Change(key, None if self.source.random() < 0.25 else self.record(key))

    def changes(self, count: int) -> list[Change]:
        return [self.change() for _ in range(count)]

    # --- queries ---

    def query(self) -> tuple[str, dict[str, Value]]:
        """An incremental query over TABLE, and its parameters."""
        self.params = {}
        names, fields = self._projection()
        text = f"SELECT {fields} FROM {TABLE}"
        if self.source.random() < 0.85:
            text += f" WHERE {self.condition(2)}"
        order = self.source.sample(names, self.source.choice((0, 0, 1, 1, 2)))
        if order:
            keys = [f"{name} {self.source.choice(('ASC', 'DESC', ''))}".strip() for name in order]
            text += f" ORDER BY {', '.join(keys)}"
        limited = self.source.random() < 0.5
        if limited:
            text += f" LIMIT {self._number(0, 6)}"
        if self.source.random() < 0.3 and (limited or not order):  # ordered and open-ended is re-evaluated
            text += f" START {self._number(0, 4)}"
        return text, self.params

    def rebound(self, params: dict[str, Value]) -> dict[str, Value]:
        """Other constants for the same query: a number stays one, since it may be a LIMIT."""
        return {
            name: self.source.choice(NUMBERS) if type(value) is int else value if type(value) is list else self.value()
            for name, value in params.items()
        }

    def _projection(self) -> tuple[list[str], str]:
        """Names that ORDER BY may use, and the field list."""
        choice = self.source.randrange(3)
        if choice == 0:
            return list(FIELDS), "*"
        if choice == 1:
            return list(FIELDS), ", ".join(("id", *FIELDS))
        return ["first", "b"], f"id, a AS first, b, {self.source.choice(FIELDS)} = 1 AS same"

    def _number(self, low: int, high: int) -> str:
        number = self.source.randint(low, high)
        return self._param(number) if self.source.random() < 0.3 else str(number)

    def condition(self, depth: int) -> str:
        choice = self.source.random()
        if depth and choice < 0.3:
            return f"{self.condition(depth - 1)} AND {self.condition(depth - 1)}"
        if depth and choice < 0.45:
            return f"({self.condition(depth - 1)} OR {self.condition(depth - 1)})"
        if depth and choice < 0.53:
            return f"!({self.condition(depth - 1)})"
        if choice < 0.6:
            return self.source.choice(FIELDS)
        if choice < 0.68:
            return f"{self.source.choice(FIELDS)} {self.source.choice(COMPARISONS)} {self.source.choice(FIELDS)}"
        if choice < 0.76:
            listed = [self.value() for _ in range(self.source.randint(0, 3))]
            return f"{self.source.choice(FIELDS)} {self.source.choice(MEMBERSHIPS)} {self._param(listed)}"
        left, right = self.source.choice(FIELDS), self._constant()
        if self.source.random() < 0.2:
            left, right = right, left
        return f"{left} {self.source.choice(COMPARISONS)} {right}"

    def _constant(self) -> str:
        value = self.value()
        if type(value) in (int, str, bool) and self.source.random() < 0.4:
            return {True: "true", False: "false"}[value] if type(value) is bool else repr(value)
        return self._param(value)

    def _param(self, value: Value) -> str:
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f"${name}"
