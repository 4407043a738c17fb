"""A derived column: there for every row, computed again where something that it read has moved, gone with its users."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.order import hash_key
from sp00ky.proto.values.pack import pack
from sp00ky.ssp.circuit.arrangement import Arrangement, HashIndex, Row
from sp00ky.ssp.circuit.column import Column
from sp00ky.ssp.circuit.tracing import TableMissing, Tracing

ANN, BOB = RecordId("person", 1), RecordId("person", 2)


class Bed:
    """Posts with a column over their authors."""

    def __init__(self, text: str = "author.name") -> None:
        self.posts, self.people = Arrangement("post"), Arrangement("person")
        self.held = {"post": self.posts, "person": self.people}
        self.tracing = Tracing(self.held, lambda table: "", lambda: self.held)
        self.failed: list[tuple[bytes, Exception]] = []
        self._text = text
        self._seqs: Iterator[int] = count(1)

    def change(self, record: RecordId, content: dict[str, Value] | None) -> None:
        """One step of the engine: every table, then who has read what moved, then images and indexes."""
        table = self.held[record.table]
        packed = None if content is None else pack({"id": record, **content})
        moved = table.apply({pack(record.key): (packed, next(self._seqs))})
        self.tracing.touch(record.table, moved)
        stale, self.tracing.stale = self.tracing.stale, {}
        for name in dict.fromkeys((record.table, *stale)):
            self.held[name].propagate(moved if name == record.table else ())

    def derived(self) -> Column:
        column = Column("name", parse_expr(self._text), self.posts, self.tracing)
        self.posts.derive(column)
        column.users[self] = None
        return column

    def break_on(self, key: bytes, error: Exception) -> None:
        self.failed.append((key, error))

    @property
    def names(self) -> dict[object, Value]:
        return {row[0]["id"].key: row[0]["name"] for row in self.posts.images.values()}


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.change(ANN, {"name": "ann"})
    bed.change(RecordId("post", 1), {"author": ANN})
    bed.change(RecordId("post", 2), {"author": BOB})
    return bed


def test_the_column_stands_beside_the_fields_and_rows_stay_as_they_are_stored(bed: Bed) -> None:
    bed.derived()
    assert bed.names == {1: "ann", 2: NONE}
    assert all("name" not in row[0] for row in bed.posts.rows.values())


def test_it_follows_the_row_and_what_it_links_to(bed: Bed) -> None:
    bed.derived()
    bed.change(BOB, {"name": "bob"})
    assert bed.names == {1: "ann", 2: "bob"}
    bed.change(RecordId("post", 1), {"author": BOB})
    assert bed.names == {1: "bob", 2: "bob"}
    bed.change(ANN, {"name": "nobody's"})
    assert bed.names == {1: "bob", 2: "bob"}
    bed.change(BOB, None)
    assert bed.names == {1: NONE, 2: NONE}


class Heard:
    """A listener with a bucket for every name."""

    def __init__(self) -> None:
        self.pushed: list[tuple[Value, Value]] = []
        self.buckets = {"ann": 1, "bob": 1, "eve": 1}

    def push(self, key: bytes, before: Row | None, after: Row | None, left: object, entered: object) -> None:
        self.pushed.append((before and before[0]["name"], after and after[0]["name"]))

    def push_many(self, *arguments: object) -> None: ...


def test_an_index_moves_a_row_whose_column_did_and_no_other(bed: Bed) -> None:
    bed.derived()
    heard = Heard()
    index = bed.posts.attach(("name",), lambda held: HashIndex(held, ("name",)), heard)
    bed.change(ANN, {"name": "eve"})
    assert heard.pushed == [("ann", "eve")] and set(index.keys) == {"eve", hash_key(NONE)}
    assert [key for key, _ in index.rows_at(["eve"])] == [pack(1)] and not list(index.rows_at(["ann"]))
    bed.change(ANN, {"name": "eve", "age": 3})
    assert heard.pushed == [("ann", "eve")], "what the column read has changed, the column has not"


def test_the_last_user_takes_it_off_the_table_with_all_it_read(bed: Bed) -> None:
    column, other = bed.derived(), Bed()
    column.users[other] = None
    assert bed.tracing.readers == 2
    column.release(bed)
    assert list(bed.posts.columns) == ["name"]
    column.release(other)
    assert not bed.posts.columns and bed.posts.images is bed.posts.rows and bed.tracing.readers == 0
    bed.change(ANN, {"name": "eve"})
    assert not bed.posts.stale


def test_a_row_that_is_gone_reads_nothing_any_more(bed: Bed) -> None:
    bed.derived()
    bed.change(RecordId("post", 1), None)
    assert bed.names == {2: NONE} and bed.tracing.readers == 1
    bed.change(RecordId("post", 2), {"author": None})
    assert bed.tracing.readers == 0, "it reads no record now"


def test_where_it_cannot_be_computed_its_users_fail_and_the_row_mends_it(bed: Bed) -> None:
    column = bed.derived()
    bed.change(RecordId("post", 1), {"author": RecordId("pet", 1)})
    ((key, error),) = bed.failed
    assert key == pack(1) and isinstance(error, TableMissing) and error.table == "pet"
    assert bed.names[1] is NONE and list(column.broken) == [pack(1)]
    bed.change(RecordId("post", 1), {"author": ANN})
    assert bed.names[1] == "ann" and not column.broken
