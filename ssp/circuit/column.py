"""A derived column: an expression over each row of a table that reads other records, kept once for all circuits.

`author.name` of a post is a field of the post to whoever filters or sorts by it; that it follows a link is nobody's
concern but the column's. Δ(column) is the rows that changed, and those whose link's target did: the value of each row
is traced, and a touched one is computed again in the step's second phase, when every table has moved.

    c(r) = evaluate(expr, r)      Δc = { r : r ∈ ΔR or something that c(r) read has changed }

Invariant: between steps the image of every row holds the column's present value.
"""

from __future__ import annotations

from itertools import islice
from typing import Protocol

from sp00ky.proto.surrealql.ast import Expr
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.scope import Scope
from sp00ky.ssp.circuit.arrangement import Arrangement, Record
from sp00ky.ssp.circuit.tracing import Reader, Tracing


class User(Protocol):
    """A circuit that refers to a column."""

    def break_on(self, key: bytes, error: Exception) -> None:
        """The column could not be computed for a row."""


class Column:
    """`users`: circuits that refer to it; the last one to `release` it takes it off the table. A row of which it cannot
    be computed has NONE in it, stands in `broken`, and fails the users' groups."""

    def __init__(self, name: str, expr: Expr, arrangement: Arrangement, tracing: Tracing) -> None:
        self.name = name
        self.users: dict[User, None] = {}
        self.broken: dict[bytes, Exception] = {}
        self._expr = expr
        self._arrangement = arrangement
        self._tracing = tracing
        self._scope = Scope({}, tracing.source)
        self._readers: dict[bytes, Reader] = {}

    def value(self, key: bytes, record: Record) -> Value:
        """The expression's value on the row, traced."""
        reader = self._readers.get(key) or Reader(self, key)
        try:
            value = self._tracing.trace(reader, lambda: evaluate(self._expr, record, self._scope))
            if self.broken:
                self.broken.pop(key, None)
        except Exception as error:
            value = NONE
            self.broken[key] = error
            for user in self.users:
                user.break_on(key, error)
        if reader.locations:
            self._readers[key] = reader
        else:
            self._readers.pop(key, None)
        return value

    def forget(self, key: bytes) -> None:
        self.broken.pop(key, None)
        reader = self._readers.pop(key, None)
        if reader is not None:
            self._tracing.release(reader)

    def tables_read(self, rows_max: int) -> set[str]:
        """By the first rows that read anything."""
        return {table for reader in islice(self._readers.values(), rows_max) for table, _, _ in reader.locations}

    def touched(self, reader: Reader) -> None:
        self._arrangement.stale[reader.key] = None
        self._tracing.stale[self._arrangement.table] = None

    def release(self, user: User) -> None:
        del self.users[user]
        if not self.users:
            self._arrangement.underive(self.name)


def column_of(arrangement: Arrangement, name: str, expr: Expr, tracing: Tracing, user: User) -> Column:
    """The table's column of that name, made if there is none; `user` releases it."""
    column = arrangement.columns.get(name)
    if column is None:
        column = Column(name, expr, arrangement, tracing)
        arrangement.derive(column)
    assert isinstance(column, Column), "columns are made here only"
    column.users[user] = None
    return column
