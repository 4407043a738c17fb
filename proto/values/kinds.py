"""The kinds of value SurrealDB has, as Python values.

| SurrealDB | Python            | SurrealDB | Python                       |
|-----------|-------------------|-----------|------------------------------|
| NONE      | `NONE` (singleton)| datetime  | `Datetime(ns)`               |
| NULL      | `None`            | duration  | `Duration(ns)`               |
| bool      | `bool`            | uuid      | `uuid.UUID`                  |
| int       | `int`             | array     | `list`                       |
| float     | `float`           | set       | `SurrealSet` (sorted, unique)|
| decimal   | `decimal.Decimal` | object    | `dict[str, Value]`           |
| string    | `str`             | record    | `RecordId(table, key)`       |
| bytes     | `bytes`           | range     | `Range(begin, end)`          |
| table     | `Table(name)`     | geometry  | `Geometry(kind, coordinates)`|
| file      | `File(bucket,key)`| regex     | `Regex(pattern)`             |

Invariant: NONE and NULL are different values everywhere in this project, and no value here is ever mutated once it has
been handed on: a record is replaced, not edited. So no value is part of a cycle, and the kinds that most records have
are structs that the garbage collector does not follow (`gc=False`): a flat record costs it nothing however long it is
kept, and decoding one calls no Python constructor.

Source: SurrealDB's value model (data types in its documentation, core 3.2); which kinds travel is in `cbor.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

Value: TypeAlias = Any  # one of the kinds above; recursive aliases of unions cost more than they tell


class NoneKind:
    """The type of `NONE`: the value of a field that is not there. Falsy, equal to itself only."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NONE"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "NONE"

    def __copy__(self) -> NoneKind:
        return self

    def __deepcopy__(self, memo: object) -> NoneKind:
        return self


NONE: Final = NoneKind()


class Datetime(msgspec.Struct, frozen=True, order=True, gc=False):
    """Nanoseconds since the Unix epoch, UTC; may be negative."""

    ns: int

    @classmethod
    def of(cls, seconds: int, nanos: int) -> Datetime:
        return cls(seconds * 1_000_000_000 + nanos)

    @property
    def seconds(self) -> int:
        return self.ns // 1_000_000_000

    @property
    def nanos(self) -> int:
        return self.ns % 1_000_000_000


class Duration(msgspec.Struct, frozen=True, order=True, gc=False):
    """Nanoseconds, never negative."""

    ns: int

    @classmethod
    def of(cls, seconds: int, nanos: int = 0) -> Duration:
        return cls(seconds * 1_000_000_000 + nanos)


@dataclass(frozen=True, slots=True)
class Bound:
    value: Value
    inclusive: bool

    def __hash__(self) -> int:
        return hash((hashable(self.value), self.inclusive))


@dataclass(frozen=True, slots=True)
class Range:
    """`begin..end`; a bound that is None is open."""

    begin: Bound | None
    end: Bound | None


class RecordId(msgspec.Struct, frozen=True, eq=False, gc=False):
    """`table:key`; the key is an int, str, UUID, list, dict or Range."""

    table: str
    key: Value

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RecordId)
            and self.table == other.table
            and type(self.key) is type(other.key)
            and bool(self.key == other.key)
        )

    def __ne__(self, other: object) -> bool:
        return not self == other  # a struct has an answer of its own to this

    def __hash__(self) -> int:
        return hash((self.table, hashable(self.key)))


@dataclass(frozen=True, slots=True)
class Table:
    name: str


@dataclass(frozen=True, slots=True)
class File:
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Regex:
    pattern: str


@dataclass(frozen=True, slots=True)
class Geometry:
    """`kind` as in GeoJSON; a Point's coordinates are (longitude, latitude), the others nest tuples of it; a
    GeometryCollection's coordinates are a tuple of `Geometry`."""

    kind: str
    coordinates: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SurrealSet:
    """SurrealDB's set: unique values in SurrealDB's order. The database sorts; this class keeps what it was given."""

    values: tuple[Value, ...]

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SurrealSet) and self.values == other.values

    def __hash__(self) -> int:
        return hash(tuple(hashable(value) for value in self.values))


def hashable(value: Value) -> Any:
    """A hashable stand-in with Python's equality; lists and objects become tuples.

    Only for `__hash__`: it does not tell True from 1. Keys that must follow SurrealQL's `=` come from `order.py`."""
    if isinstance(value, list):
        return tuple(hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple(sorted((name, hashable(item)) for name, item in value.items()))
    return value


__all__ = [
    "NONE",
    "UUID",
    "Bound",
    "Datetime",
    "Decimal",
    "Duration",
    "File",
    "Geometry",
    "NoneKind",
    "Range",
    "RecordId",
    "Regex",
    "SurrealSet",
    "Table",
    "Value",
    "hashable",
]
