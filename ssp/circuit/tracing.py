"""What was read to compute something, and who must be told when it changes.

A *reader* is one computed value: a derived column of one row, what a member shows, a whole result. While it is being
computed every read of a table leaves a location:

    (table, RECORD, key)     one record, there or not
    (table, field, value)    the records whose field has this value
    (table, SCAN, None)      the table

A change of a record touches the readers of its key, of each field's value before and after, and of the scan; nobody
else. Invariant: a reader's locations are exactly what its last computation read, so a reader that was not touched would
compute the same again (self-adjusting computation: Acar, 2005; the demand-driven form of Adapton, PLDI 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.order import hash_key
from sp00ky.proto.values.pack import PackError, pack, unpack
from sp00ky.proto.values.text import to_surql
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.ssp.circuit.arrangement import Arrangement, Moved

T = TypeVar("T")

RECORD: Final = 0
SCAN: Final = 1
Location: TypeAlias = tuple[str, int | str, Hashable]
_Readers: TypeAlias = "dict[Reader, None]"


class TableMissing(Exception):
    """A table was read that this SSP does not hold (yet)."""

    def __init__(self, table: str) -> None:
        super().__init__(f"table {table} is not held")
        self.table = table


class Unreadable(NotPlain):
    """A record was read that could not be decoded."""

    def __init__(self, table: str, key: bytes, reason: str) -> None:
        super().__init__(f"record {table}:{shown_key(key)}: {reason}")
        self.culprit = (table, key)


def shown_key(key: bytes) -> str:
    """A packed key as text, whatever it holds."""
    try:
        return to_surql(unpack(key))
    except (PackError, ValueError, TypeError):
        return key.hex()


class Node(Protocol):
    """Whoever computes values for readers."""

    def touched(self, reader: Reader) -> None:
        """Something it read has changed: to be computed again before the step ends."""


class Sleeper(Protocol):
    """A node that settles what was touched once every table has moved."""

    def settle(self) -> None: ...


class Reader:
    """One computed value of a node; `key` tells the node which."""

    __slots__ = ("key", "locations", "node")

    def __init__(self, node: Node, key: Any) -> None:
        self.node = node
        self.key = key
        self.locations: frozenset[Location] = frozenset()


class _Reads:
    """Who read what of one table."""

    __slots__ = ("records", "scans", "values")

    def __init__(self) -> None:
        self.records: dict[Hashable, _Readers] = {}
        self.values: dict[str, dict[Hashable, _Readers]] = {}
        self.scans: _Readers = {}

    def put(self, kind: int | str, value: Hashable, reader: Reader) -> None:
        if kind is RECORD:
            self.records.setdefault(value, {})[reader] = None
        elif kind is SCAN:
            self.scans[reader] = None
        else:
            assert isinstance(kind, str), "a kind is RECORD, SCAN or a field"
            self.values.setdefault(kind, {}).setdefault(value, {})[reader] = None

    def drop(self, kind: int | str, value: Hashable, reader: Reader) -> None:
        if kind is RECORD:
            _drop(self.records, value, reader)
        elif kind is SCAN:
            del self.scans[reader]
        else:
            assert isinstance(kind, str), "a kind is RECORD, SCAN or a field"
            _drop(self.values[kind], value, reader)
            if not self.values[kind]:
                del self.values[kind]

    @property
    def empty(self) -> bool:
        return not (self.records or self.values or self.scans)


def _drop(readers: dict[Hashable, _Readers], value: Hashable, reader: Reader) -> None:
    held = readers[value]
    del held[reader]
    if not held:
        del readers[value]


class Tracing:
    """All readers of an SSP. `held` are its tables; `table_names` answers all tables that exist.

    A record that could not be decoded is an error to whoever reads it, or a set of records that it may belong to."""

    def __init__(self, held: Mapping[str, Arrangement], why_closed: Callable[[str], str],
                 table_names: Callable[[], Iterable[str]]) -> None:  # fmt: skip
        self._held = held
        self._why_closed = why_closed
        self._table_names = table_names
        self._reads: dict[str, _Reads] = {}
        self._current: set[Location] | None = None
        self._awake: dict[Sleeper, None] = {}
        self.stale: dict[str, None] = {}  # tables with rows of which a column is to be computed again
        self.source = HeldTables(self)

    # --- computing ---

    def trace(self, reader: Reader, compute: Callable[[], T]) -> T:
        """`compute()`, remembering what it reads as the reader's; also of a computation that raises."""
        outer, self._current = self._current, set()
        try:
            return compute()
        finally:
            found, self._current = self._current, outer
            if found != reader.locations:
                self._settle(reader, frozenset(found))
            if outer is not None:
                outer |= found

    def release(self, reader: Reader) -> None:
        """The value is no longer kept."""
        if reader.locations:
            self._settle(reader, frozenset())

    def _settle(self, reader: Reader, locations: frozenset[Location]) -> None:
        for table, kind, value in locations - reader.locations:
            reads = self._reads.get(table)
            if reads is None:
                reads = self._reads[table] = _Reads()
            reads.put(kind, value, reader)
        for table, kind, value in reader.locations - locations:
            self._drop(table, kind, value, reader)
        reader.locations = locations

    def _drop(self, table: str, kind: int | str, value: Hashable, reader: Reader) -> None:
        """What nobody reads by any more the table need not keep."""
        reads = self._reads[table]
        reads.drop(kind, value, reader)
        held = self._held.get(table)
        if held is not None:
            if kind is SCAN and not reads.scans:
                held.forget(None)
            elif isinstance(kind, str) and kind not in reads.values:
                held.forget(kind)
        if reads.empty:
            del self._reads[table]

    # --- changes ---

    def touch(self, table: str, moved: Sequence[Moved]) -> None:
        """Tell the readers of what these changes touch."""
        reads = self._reads.get(table)
        if reads is None or not moved:
            return
        found: _Readers = dict(reads.scans)
        records, values = reads.records, tuple(reads.values.items())
        held = self._held.get(table)
        poisoned = held.poisoned if held is not None else {}
        for key, before, after in moved:
            here = records.get(key)
            if here:
                found.update(here)
            if key in poisoned:
                for _, by_value in values:  # it may have any value
                    for everyone in by_value.values():
                        found.update(everyone)
            for field, readers in values:
                for row in (before, after):
                    if row is not None:
                        here = readers.get(hash_key(row[0].get(field, NONE)))
                        if here:
                            found.update(here)
        for reader in found:
            reader.node.touched(reader)

    def is_read(self, table: str) -> bool:
        return table in self._reads

    def wake(self, node: Sleeper) -> None:
        """The node has something to settle in this step."""
        self._awake[node] = None

    def sleep(self, node: Sleeper) -> None:
        """The node is gone."""
        self._awake.pop(node, None)

    def awake(self) -> list[Sleeper]:
        """Who has something to settle; each is told once."""
        awake, self._awake = list(self._awake), {}
        return awake

    def clear(self) -> None:
        """All tables are gone, and all nodes with them."""
        self._reads.clear()
        self._awake.clear()
        self.stale.clear()

    # --- reading ---

    @property
    def tracing(self) -> bool:
        """Whether a computation is traced: what it reads will be read again."""
        return self._current is not None

    def read(self, table: str, kind: int | str, value: Hashable) -> Arrangement:
        """The table, of which this much is about to be read. Raises TableMissing, Unreadable, and NotPlain for a closed
        table."""
        if self._current is not None:
            self._current.add((table, kind, value))
        arrangement = self._held.get(table)
        if arrangement is None:
            reason = self._why_closed(table)
            if reason:
                raise NotPlain(reason)
            raise TableMissing(table)
        poisoned = arrangement.poisoned
        if poisoned and (kind is not RECORD or value in poisoned):
            culprit = value if kind is RECORD else min(poisoned)
            assert isinstance(culprit, bytes), "records are read by their packed keys"
            raise Unreadable(table, culprit, poisoned[culprit])
        return arrangement

    def tables(self) -> list[str]:
        return sorted(self._table_names())

    def version_of(self, record: RecordId) -> int | None:
        """The seq of the record's last change, None if it does not exist. A read."""
        key = pack(record.key)
        row = self.read(record.table, RECORD, key).rows.get(key)
        return None if row is None else row[1]

    @property
    def readers(self) -> int:
        """How many readers read something of some table; for metrics and tests."""
        found: set[Reader] = set()
        for reads in self._reads.values():
            found.update(reads.scans)
            for held in reads.records.values():
                found.update(held)
            for by_value in reads.values.values():
                for held in by_value.values():
                    found.update(held)
        return len(found)


class HeldTables:
    """The held tables as a `Source` of `proto.whole`, every read noted."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def rows(self, table: str) -> list[tuple[RecordId, dict[str, Value]]]:
        arrangement = self._tracing.read(table, SCAN, None)
        return _listed(arrangement, arrangement.ordered_keys(keep=self._tracing.tracing))

    def get(self, record: RecordId) -> dict[str, Value] | None:
        key = pack(record.key)
        row = self._tracing.read(record.table, RECORD, key).rows.get(key)
        return None if row is None else row[0]

    def rows_where(self, table: str, field: str, value: Value) -> list[tuple[RecordId, dict[str, Value]]]:
        hashed = hash_key(value)
        arrangement = self._tracing.read(table, field, hashed)
        return _listed(arrangement, arrangement.keys_where(field, hashed, keep=self._tracing.tracing))

    def tables(self) -> list[str]:
        return self._tracing.tables()


def _listed(arrangement: Arrangement, keys: Iterable[bytes]) -> list[tuple[RecordId, dict[str, Value]]]:
    rows = arrangement.rows
    return [((record := rows[key][0])["id"], record) for key in keys]
