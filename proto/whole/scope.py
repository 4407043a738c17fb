"""What an expression may see besides its row, and the two ways in which evaluation stops.

`NotPlain` is the promise of this package: never a wrong answer. Whatever is not known to give SurrealDB's own result
raises it, and the caller asks SurrealDB instead.

Tables are read through a `Source` alone, and as narrowly as the query allows (`access.py`, `graph.py`): who hands in a
source that writes down what it is asked knows afterwards what the answer depends on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.order import hash_key

Row: TypeAlias = tuple[RecordId, dict[str, Value]]


class NotPlain(Exception):
    """This evaluator cannot answer. `name`: the construct, e.g. `function fn::mine`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class EvaluationError(NotPlain):
    """SurrealDB answers this with an error as well, such as `1 + 'a'`; the wording is its own."""


class Tables(Protocol):
    """Tables at one revision."""

    def rows(self, table: str) -> Iterable[Row]:
        """Every record of a table in id order; nothing for an unknown table. A record need not hold its `id`."""

    def get(self, record: RecordId) -> dict[str, Value] | None:
        """The record, or None."""

    def tables(self) -> Iterable[str]:
        """The names of all tables, sorted."""


class Source(Tables, Protocol):
    """Tables, and their records by the value of a field."""

    def rows_where(self, table: str, field: str, value: Value) -> Iterable[Row]:
        """The records whose stored `field` equals the value (`order.hash_key`), in id order. The value is not NONE,
        and the field not `id`."""


class Hiding(Tables):
    """Tables as one user sees them (`permitted.py`)."""

    @abstractmethod
    def everything(self) -> Source:
        """The tables as they are."""


class Indexed:
    """Tables as a `Source`: a table is read whole, once for each field that is asked for, and remembered by it."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._indexes: dict[tuple[str, str], dict[Hashable, list[Row]]] = {}

    def rows(self, table: str) -> Iterable[Row]:
        return self._tables.rows(table)

    def get(self, record: RecordId) -> dict[str, Value] | None:
        return self._tables.get(record)

    def tables(self) -> Iterable[str]:
        return self._tables.tables()

    def rows_where(self, table: str, field: str, value: Value) -> Iterable[Row]:
        index = self._indexes.get((table, field))
        if index is None:
            index = self._indexes[table, field] = {}
            for record, row in self._tables.rows(table):
                if field in row:
                    index.setdefault(hash_key(row[field]), []).append((record, row))
        return index.get(hash_key(value), [])


@dataclass(frozen=True, slots=True)
class Scope:
    """`params` are without `$`. `parent` is the row of the enclosing query, `$parent`. `document` is the row that a
    path began at while one of its parts is evaluated on a value further along: closures, indexes and sub-selects see
    it. A tuple of one, empty where no path has begun. `isolated`: in a closure, where a row is not its own
    `$parent`. `repeat`: what `.@` does in a recursion."""

    params: Mapping[str, Value]
    source: Source | None = None
    parent: Value = NONE
    document: tuple[Value, ...] = ()
    isolated: bool = False
    repeat: Callable[[Value], Value] | None = None

    def along(self, row: Value) -> Scope:
        """The scope of a part of a path that began at `row`: `$parent` is what the path began at."""
        if self.document:
            return self
        return replace(self, parent=row, document=(row,))

    def within(self, row: Value) -> Scope:
        """The scope of a sub-select in an expression on `row`."""
        return replace(self, parent=self.began_at(row), document=(), isolated=False)

    def began_at(self, row: Value) -> Value:
        return self.document[0] if self.document else row


def record_row(record: RecordId, scope: Scope) -> dict[str, Value] | None:
    """The record with its id, or None if it does not exist. NotPlain without a source."""
    found = tables_of(scope, "a record link").get(record)
    return None if found is None else with_id(record, found)


def with_id(record: RecordId, content: dict[str, Value]) -> dict[str, Value]:
    return content if "id" in content else {**content, "id": record}


def tables_of(scope: Scope, reader: str) -> Source:
    """The tables; NotPlain if there are none to read."""
    if scope.source is None:
        raise NotPlain(f"{reader}, without tables to read")
    return scope.source
