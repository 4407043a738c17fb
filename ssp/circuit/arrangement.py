"""One table, held: every record by its packed key, and the hash indexes that circuits on the table share.

An arrangement is kept once a table, however many circuits read it. A step gives it the *net* effect on each record (the
last change of a batch), so that a record is decoded once and pushed once, with its image before and after.

Invariants: `rows[key]` is the record after the last step, with the seq that wrote it; an index holds exactly the keys
of `rows`, under the hash key of their fields; a row is a plain tuple and is replaced, never edited.

A record that cannot be decoded is not a row: it is listed in `poisoned` until a later change replaces it, and views
over the table cannot be trusted meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias

from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.order import hash_key, sort_key
from sp00ky.proto.values.pack import PackError, unpack

Record: TypeAlias = dict[str, Value]
Row: TypeAlias = tuple[Record, int]  # (record, seq of its last change)
NetChange: TypeAlias = tuple[bytes | None, int]  # (packed record or None when it is gone, seq)


class Listener(Protocol):
    """A circuit, as an index sees it: `buckets` by hash key, and what is told about a record that concerns one."""

    @property
    def buckets(self) -> Mapping[Hashable, Any]: ...

    def push(self, key: bytes, before: Row | None, after: Row | None, left: Any, entered: Any) -> None: ...


class _Absent:
    """Hash key of a row that is not there: equal to no binding."""

    __slots__ = ()


ABSENT: Hashable = _Absent()
_PLAIN = frozenset({str, int})


def key_function(fields: tuple[str, ...]) -> Callable[[Record], Hashable]:
    """The hash key of a record's fields: bare for one field, a tuple for several, () for none."""
    if not fields:
        return lambda record: ()
    if len(fields) == 1:
        field = fields[0]

        def one(record: Record) -> Hashable:
            value = record.get(field, NONE)
            return value if type(value) in _PLAIN else hash_key(value)

        return one
    return lambda record: tuple([hash_key(record.get(field, NONE)) for field in fields])


class HashIndex:
    """Keys of the rows by the values of `fields`, and the circuits that dispatch on them.

    Δ(index) moves one key from its old value to its new one; with no fields there is nothing to keep."""

    __slots__ = ("_arrangement", "_key_of", "fields", "keys", "listeners")

    def __init__(self, arrangement: Arrangement, fields: tuple[str, ...]) -> None:
        self.fields = fields
        self.keys: dict[Hashable, dict[bytes, None]] = {}
        self.listeners: tuple[Listener, ...] = ()
        self._key_of = key_function(fields)
        self._arrangement = arrangement
        if fields:
            for key, row in arrangement.rows.items():
                self._put(key, self._key_of(row[0]))

    def push(self, key: bytes, before: Row | None, after: Row | None) -> None:
        """One record's change, to the circuits that have a bucket for it: the others do not hear of it."""
        key_of = self._key_of
        old = ABSENT if before is None else key_of(before[0])
        new = ABSENT if after is None else key_of(after[0])
        moved = old != new
        if moved and self.fields:
            if before is not None:
                self._drop(key, old)
            if after is not None:
                self._put(key, new)
        for listener in self.listeners:
            left = listener.buckets.get(old)
            entered = listener.buckets.get(new) if moved else left
            if left is not None or entered is not None:
                listener.push(key, before, after, left, entered)

    def rows_at(self, value: Hashable) -> Iterable[tuple[bytes, Row]]:
        """The rows whose fields have this hash key: all of them for an index without fields."""
        rows = self._arrangement.rows
        if not self.fields:
            return rows.items()
        return [(key, rows[key]) for key in self.keys.get(value, ())]

    def _put(self, key: bytes, value: Hashable) -> None:
        held = self.keys.get(value)
        if held is None:
            held = self.keys[value] = {}
        held[key] = None

    def _drop(self, key: bytes, value: Hashable) -> None:
        held = self.keys[value]
        del held[key]
        if not held:
            del self.keys[value]


class Arrangement:
    """`step` applies net changes; circuits hear of each through the index they attached to."""

    __slots__ = ("_order", "indexes", "poisoned", "rows", "table")

    def __init__(self, table: str) -> None:
        self.table = table
        self.rows: dict[bytes, Row] = {}
        self.indexes: dict[tuple[str, ...], HashIndex] = {}
        self.poisoned: dict[bytes, str] = {}  # key → why it could not be decoded
        self._order: dict[bytes, tuple[Any, ...]] = {}

    def load(self, key: bytes, packed: bytes, seq: int) -> None:
        """A row of the first load, before anything listens."""
        record = self._decode(key, packed)
        if record is not None:
            self.rows[key] = (record, seq)

    def step(self, changes: Mapping[bytes, NetChange]) -> None:
        """Δrows, pushed through every index: each key once, whatever happened to it in between."""
        rows = self.rows
        poisoned = self.poisoned
        indexes = tuple(self.indexes.values())
        for key, (packed, seq) in changes.items():
            before = rows.get(key)
            if poisoned:
                poisoned.pop(key, None)
            record = None if packed is None else self._decode(key, packed)
            if record is None:
                if before is None:
                    continue
                after = None
                del rows[key]
                self._order.pop(key, None)
            else:
                after = rows[key] = (record, seq)
            for index in indexes:
                index.push(key, before, after)

    def _decode(self, key: bytes, packed: bytes) -> Record | None:
        try:
            record = unpack(packed)
        except PackError as error:
            self.poisoned[key] = str(error)
            return None
        if type(record) is not dict:
            self.poisoned[key] = f"a record is an object, not {type(record).__name__}"
            return None
        if type(record.get("id")) is RecordId:
            return record
        return self._with_id(key, record)

    def _with_id(self, key: bytes, record: Record) -> Record | None:
        """A record that came without its id (`/ingest` takes them so) gets it from the key."""
        try:
            named = {**record, "id": RecordId(self.table, unpack(key))}
        except PackError as error:
            self.poisoned[key] = str(error)
            return None
        return {name: named[name] for name in sorted(named)}

    # --- indexes ---

    def attach(self, fields: tuple[str, ...], listener: Listener) -> HashIndex:
        index = self.indexes.get(fields)
        if index is None:
            index = self.indexes[fields] = HashIndex(self, fields)
        index.listeners = (*index.listeners, listener)
        return index

    def detach(self, index: HashIndex, listener: Listener) -> None:
        index.listeners = tuple(each for each in index.listeners if each is not listener)
        if not index.listeners:
            del self.indexes[index.fields]

    # --- order ---

    def order_of(self, key: bytes) -> tuple[Any, ...]:
        """Sort key of a row's record id, the order in which SurrealDB scans a table; kept, as it never changes."""
        order = self._order.get(key)
        if order is None:
            order = self._order[key] = (sort_key(self.rows[key][0]["id"].key), key)
        return order

    def scan(self) -> Iterator[tuple[bytes, Row]]:
        """All rows in record id order."""
        for key in sorted(self.rows, key=self.order_of):
            yield key, self.rows[key]
