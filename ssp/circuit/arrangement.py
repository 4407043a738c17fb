"""One table, held: every record by its packed key, its derived columns, and the indexes that reads and circuits use.

An arrangement is kept once a table, however many circuits read it. A step has two phases, so that nobody sees half of
it: `apply` takes the *net* effect on each record (the last change of a batch) into `rows` and the lookups of every
table; then `propagate` makes the images and pushes each, before and after, through the dispatch indexes.

    rows     what SurrealDB holds: what links, graph steps and sub-selects read
    images   the same with derived columns beside the fields: what conditions and sort keys see

Invariants: `rows[key]` is the record after the last step, with the seq that wrote it; between steps an image is its row
and the present value of each column; an index holds exactly the keys of `rows`, under the hash key of their fields; a
row is a plain tuple and is replaced, never edited. Without columns `images` is `rows`.

A record that cannot be decoded is not a row: it is listed in `poisoned` until a later change replaces it, and views
over the table cannot be trusted meanwhile; nor can what has read it, if only by a link (`Tracing.read`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.order import hash_key, sort_key
from sp00ky.proto.values.pack import PackError, pack, unpack

Record: TypeAlias = dict[str, Value]
Row: TypeAlias = tuple[Record, int]  # (record, seq of its last change)
NetChange: TypeAlias = tuple[bytes | None, int]  # (packed record or None when it is gone, seq)
Moved: TypeAlias = tuple[bytes, Row | None, Row | None]  # (key, row before, row after)


class Listener(Protocol):
    """A circuit, as an index sees it: `buckets` by hash key, and what is told about a record that concerns one."""

    @property
    def buckets(self) -> Mapping[Hashable, Any]: ...

    def push(self, key: bytes, before: Row | None, after: Row | None, left: Any, entered: Any) -> None: ...

    def push_many(
        self, key: bytes, before: Row | None, after: Row | None, left: Sequence[Hashable], entered: Sequence[Hashable]
    ) -> None: ...


class Deriving(Protocol):
    """A derived column: its value for a row, and that nobody needs it for a row that is gone."""

    name: str

    def value(self, key: bytes, record: Record) -> Value: ...

    def forget(self, key: bytes) -> None: ...


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

    __slots__ = ("_arrangement", "fields", "key_of", "keys", "listeners")

    def __init__(self, arrangement: Arrangement, fields: tuple[str, ...]) -> None:
        self.fields = fields
        self.keys: dict[Hashable, dict[bytes, None]] = {}
        self.listeners: tuple[Listener, ...] = ()
        self.key_of = key_function(fields)
        self._arrangement = arrangement
        if fields:
            for key, row in arrangement.images.items():
                self._put(key, self.key_of(row[0]))

    def push(self, key: bytes, before: Row | None, after: Row | None) -> None:
        """One record's change, to the circuits that have a bucket for it: the others do not hear of it."""
        key_of = self.key_of
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

    def rows_at(self, values: Iterable[Hashable]) -> Iterable[tuple[bytes, Row]]:
        """The rows whose fields have one of these hash keys: all of them for an index without fields."""
        images = self._arrangement.images
        if not self.fields:
            return images.items()
        return [(key, images[key]) for value in values for key in self.keys.get(value, ())]

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


class MultiIndex:
    """Like a hash index, but a row lies under several keys: the elements of a list, the beginnings of a text.

    `keys_of` answers the keys of a record; ABSENT among them stands for "may concern every group"."""

    __slots__ = ("_arrangement", "_keys_of", "keys", "listeners")

    def __init__(self, arrangement: Arrangement, keys_of: Callable[[Record], Iterable[Hashable]]) -> None:
        self.keys: dict[Hashable, dict[bytes, None]] = {}
        self.listeners: tuple[Listener, ...] = ()
        self._keys_of = keys_of
        self._arrangement = arrangement
        for key, row in arrangement.images.items():
            for value in keys_of(row[0]):
                self.keys.setdefault(value, {})[key] = None

    def push(self, key: bytes, before: Row | None, after: Row | None) -> None:
        old = () if before is None else tuple(self._keys_of(before[0]))
        new = () if after is None else tuple(self._keys_of(after[0]))
        if old != new:
            for value in old:
                held = self.keys[value]
                held.pop(key, None)
                if not held:
                    del self.keys[value]
            for value in new:
                self.keys.setdefault(value, {})[key] = None
        for listener in self.listeners:
            listener.push_many(key, before, after, old, new)

    def rows_at(self, values: Iterable[Hashable]) -> Iterable[tuple[bytes, Row]]:
        """The rows that lie under one of these keys, each once. ABSENT among the values: every row."""
        images = self._arrangement.images
        wanted = tuple(values)
        if ABSENT in wanted:
            return images.items()
        found: dict[bytes, None] = {}
        for value in (*wanted, ABSENT):
            found.update(self.keys.get(value, {}))
        return [(key, images[key]) for key in found]


Index: TypeAlias = HashIndex | MultiIndex


class Lookup:
    """Keys of the rows by the value of one stored field: what `WHERE field = value` inside a query reads."""

    __slots__ = ("field", "keys")

    def __init__(self, field: str, rows: Mapping[bytes, Row]) -> None:
        self.field = field
        self.keys: dict[Hashable, dict[bytes, None]] = {}
        for key, row in rows.items():
            self.keys.setdefault(hash_key(row[0].get(field, NONE)), {})[key] = None

    def move(self, key: bytes, before: Row | None, after: Row | None) -> None:
        old = ABSENT if before is None else hash_key(before[0].get(self.field, NONE))
        new = ABSENT if after is None else hash_key(after[0].get(self.field, NONE))
        if old == new:
            return
        if before is not None:
            held = self.keys[old]
            del held[key]
            if not held:
                del self.keys[old]
        if after is not None:
            self.keys.setdefault(new, {})[key] = None


class Arrangement:
    """`apply` and then `propagate` move it one step; circuits hear of each row through the index they attached to."""

    __slots__ = ("_order", "_scan", "columns", "images", "indexes", "lookups", "poisoned", "rows", "stale", "table")

    def __init__(self, table: str) -> None:
        self.table = table
        self.rows: dict[bytes, Row] = {}
        self.images: dict[bytes, Row] = self.rows
        self.columns: dict[str, Deriving] = {}
        self.stale: dict[bytes, None] = {}  # rows of which a column is to be computed again
        self.indexes: dict[object, Index] = {}
        self.lookups: dict[str, Lookup] = {}
        self.poisoned: dict[bytes, str] = {}  # key → why it could not be decoded
        self._order: dict[bytes, tuple[Any, ...]] = {}
        self._scan: list[tuple[Any, ...]] | None = None  # the order of all rows, once somebody scans

    def load(self, key: bytes, packed: bytes, seq: int) -> None:
        """A row of the first load, before anything listens."""
        record = self._decode(key, packed)
        if record is not None:
            self.rows[key] = (record, seq)

    # --- a step ---

    def apply(self, changes: Mapping[bytes, NetChange]) -> list[Moved]:
        """Phase one, Δrows: each key once, whatever happened to it in between. Nobody is told yet."""
        rows, poisoned, lookups = self.rows, self.poisoned, tuple(self.lookups.values())
        moved: list[Moved] = []
        for key, (packed, seq) in changes.items():
            before = rows.get(key)
            if poisoned:
                poisoned.pop(key, None)
            record = None if packed is None else self._decode(key, packed)
            after: Row | None = None
            if record is not None:
                after = rows[key] = (record, seq)
                if before is None and self._scan is not None:
                    insort(self._scan, self.order_of(key))
            elif before is None:
                if key in poisoned:
                    moved.append((key, None, None))  # whoever found nothing there may not believe it any more
                continue
            else:
                self._unscan(key)
                del rows[key]
            for lookup in lookups:
                lookup.move(key, before, after)
            moved.append((key, before, after))
        return moved

    def _unscan(self, key: bytes) -> None:
        if self._scan is not None:
            del self._scan[bisect_left(self._scan, self.order_of(key))]
        self._order.pop(key, None)

    def propagate(self, moved: Sequence[Moved]) -> None:
        """Phase two: images, then every index, of what `apply` moved and of rows whose columns are stale."""
        if self.columns:
            moved = self._imaged(moved)
        for index in tuple(self.indexes.values()):
            push = index.push
            for key, before, after in moved:
                push(key, before, after)

    def _imaged(self, moved: Sequence[Moved]) -> list[Moved]:
        images, columns = self.images, tuple(self.columns.values())
        changed: list[Moved] = []
        for key, _, after in moved:
            self.stale.pop(key, None)
            old = images.get(key)
            if after is None:
                images.pop(key, None)
                for column in columns:
                    column.forget(key)
                changed.append((key, old, None))
            else:
                new = images[key] = self._image(key, after)
                changed.append((key, old, new))
        stale, self.stale = self.stale, {}
        for key in stale:
            row = self.rows.get(key)
            if row is None:
                continue
            old, new = images[key], self._image(key, row)
            if any(pack(old[0][name]) != pack(new[0][name]) for name in self.columns):
                images[key] = new
                changed.append((key, old, new))
        return changed

    def _image(self, key: bytes, row: Row) -> Row:
        record = row[0]
        return {**record, **{name: column.value(key, record) for name, column in self.columns.items()}}, row[1]

    # --- decoding ---

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

    # --- columns ---

    def derive(self, column: Deriving) -> None:
        """Add a column and compute it for every row. What it raises leaves the arrangement as it was."""
        computed = {key: column.value(key, row[0]) for key, row in self.rows.items()}
        self.images = {key: ({**image[0], column.name: computed[key]}, image[1]) for key, image in self.images.items()}
        self.columns[column.name] = column

    def underive(self, name: str) -> None:
        """Nobody uses the column any more."""
        column = self.columns.pop(name)
        for key in self.rows:
            column.forget(key)
        if not self.columns:
            self.images = self.rows

    # --- indexes ---

    def attach(self, kind: object, make: Callable[[Arrangement], Index], listener: Listener) -> Index:
        """The index of this kind, made if there is none, with the listener among its listeners."""
        index = self.indexes.get(kind)
        if index is None:
            index = self.indexes[kind] = make(self)
        index.listeners = (*index.listeners, listener)
        return index

    def detach(self, kind: object, listener: Listener) -> None:
        index = self.indexes[kind]
        index.listeners = tuple(each for each in index.listeners if each is not listener)
        if not index.listeners:
            del self.indexes[kind]

    # --- what queries read ---

    def keys_where(self, field: str, hashed: Hashable, *, keep: bool) -> list[bytes]:
        """Keys of the rows whose stored field has this hash key, in record id order. `keep`: it will be asked again."""
        lookup = self.lookups.get(field) or Lookup(field, self.rows)
        if keep:
            self.lookups[field] = lookup
        found = lookup.keys.get(hashed)
        if not found:
            return []
        return list(found) if len(found) == 1 else sorted(found, key=self.order_of)

    # --- order ---

    def order_of(self, key: bytes) -> tuple[Any, ...]:
        """Sort key of a row's record id, the order in which SurrealDB scans a table; kept, as it never changes."""
        order = self._order.get(key)
        if order is None:
            order = self._order[key] = (sort_key(self.rows[key][0]["id"].key), key)
        return order

    def ordered_keys(self, *, keep: bool) -> Iterator[bytes]:
        """The keys of all rows in record id order. `keep`: it will be asked again."""
        scan = self._scan or sorted(map(self.order_of, self.rows))
        if keep:
            self._scan = scan
        return (order[-1] for order in scan)

    def forget(self, field: str | None) -> None:
        """Nobody reads by this field any more; None: nobody scans."""
        if field is None:
            self._scan = None
        else:
            self.lookups.pop(field, None)
