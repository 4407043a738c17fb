"""Who reads what, and who is told of a change: exactly those who would compute something else now."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.ssp.circuit.arrangement import Arrangement
from sp00ky.ssp.circuit.tracing import Reader, TableMissing, Tracing, Unreadable


class Tables:
    """Two tables held, and whoever is told."""

    def __init__(self) -> None:
        self.held = {name: Arrangement(name) for name in ("t", "u")}
        self.tracing = Tracing(self.held, lambda name: "it is closed" if name == "closed" else "", lambda: ["u", "t"])
        self.told: list[object] = []
        self._seq = 0

    def touched(self, reader: Reader) -> None:
        self.told.append(reader.key)

    def change(self, table: str, key: int, record: dict[str, Value] | None) -> list[object]:
        """One record's change; the keys of the readers that were told."""
        packed = None if record is None else pack({"id": RecordId(table, key), **record})
        return self.packed(table, key, packed)

    def packed(self, table: str, key: int, packed: bytes | None) -> list[object]:
        self.told, self._seq = [], self._seq + 1
        moved = self.held[table].apply({pack(key): (packed, self._seq)})
        self.tracing.touch(table, moved)
        self.held[table].propagate(moved)
        return self.told

    def reader(self, key: object, compute: Callable[[], object]) -> Reader:
        reader = Reader(self, key)
        self.tracing.trace(reader, compute)
        return reader


@pytest.fixture
def tables() -> Tables:
    return Tables()


def test_a_record_is_read_whether_it_is_there_or_not(tables: Tables) -> None:
    tables.reader("one", lambda: tables.tracing.source.get(RecordId("t", 1)))
    assert tables.change("t", 2, {}) == [] and tables.change("u", 1, {}) == []
    assert tables.change("t", 1, {}) == ["one"] and tables.change("t", 1, None) == ["one"]


def test_a_value_of_a_field_is_read_before_and_after(tables: Tables) -> None:
    tables.reader("a=1", lambda: tables.tracing.source.rows_where("t", "a", 1))
    assert tables.change("t", 5, {"a": 2}) == []
    assert tables.change("t", 5, {"a": 1.0}) == ["a=1"], "1 and 1.0 are equal"
    assert tables.change("t", 5, {"a": 3}) == ["a=1"]
    assert tables.change("t", 5, None) == []


def test_a_scan_hears_of_every_record_of_its_table(tables: Tables) -> None:
    tables.reader("all", lambda: tables.tracing.source.rows("t"))
    assert tables.change("t", 1, {}) == ["all"] and tables.change("t", 1, {"a": 1}) == ["all"]
    assert tables.change("u", 1, {}) == [] and tables.change("t", 9, None) == [], "nothing was there to be deleted"


def test_a_reader_is_told_once_and_knows_only_what_its_last_computation_read(tables: Tables) -> None:
    source = tables.tracing.source
    reader = tables.reader(
        "r", lambda: (source.rows("t"), source.get(RecordId("t", 1)), source.rows_where("t", "a", 1))
    )
    assert tables.change("t", 1, {"a": 1}) == ["r"] and len(reader.locations) == 3
    tables.tracing.trace(reader, lambda: source.get(RecordId("u", 1)))
    assert tables.change("t", 1, {"a": 2}) == [] and tables.change("u", 1, {}) == ["r"]
    tables.tracing.release(reader)
    assert tables.change("u", 1, None) == [] and tables.tracing.readers == 0
    assert not tables.tracing.is_read("t") and not tables.tracing.is_read("u")


def test_what_raises_has_read_as_well(tables: Tables) -> None:
    def compute() -> None:
        tables.tracing.source.get(RecordId("t", 1))
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        tables.reader("broken", compute)
    assert tables.change("t", 1, {}) == ["broken"]


def test_a_computation_inside_another_is_read_by_both(tables: Tables) -> None:
    tables.reader("outer", lambda: tables.reader("inner", lambda: tables.tracing.source.get(RecordId("t", 1))))
    assert sorted(map(str, tables.change("t", 1, {}))) == ["inner", "outer"]


def test_a_read_of_a_table_that_is_not_held_or_not_open_says_which(tables: Tables) -> None:
    with pytest.raises(TableMissing) as missing:
        tables.tracing.source.get(RecordId("pet", 1))
    assert missing.value.table == "pet"
    with pytest.raises(NotPlain, match="it is closed"):
        tables.tracing.source.rows("closed")
    assert tables.tracing.source.tables() == ["t", "u"]


def test_versions_are_reads(tables: Tables) -> None:
    tables.change("t", 1, {})
    found: list[int | None] = []
    tables.reader("v", lambda: found.append(tables.tracing.version_of(RecordId("t", 1))))
    assert found == [1] and tables.change("t", 1, {}) == ["v"]
    assert tables.tracing.version_of(RecordId("t", 2)) is None


def test_g7_a_record_that_cannot_be_decoded_is_an_error_to_those_who_may_have_read_it(tables: Tables) -> None:
    source = tables.tracing.source
    for key, compute in {
        "one": lambda: source.get(RecordId("t", 1)),
        "two": lambda: source.get(RecordId("t", 2)),
        "all": lambda: source.rows("t"),
        "a=1": lambda: source.rows_where("t", "a", 1),
    }.items():
        tables.reader(key, compute)
    assert sorted(map(str, tables.packed("t", 1, b"\xc1"))) == ["a=1", "all", "one"]
    for compute in (lambda: source.get(RecordId("t", 1)), lambda: source.rows("t"),
                    lambda: source.rows_where("t", "a", 1)):  # fmt: skip
        with pytest.raises(Unreadable, match="record t:1: ") as raised:
            compute()
        assert raised.value.culprit == ("t", pack(1))
    assert source.get(RecordId("t", 2)) is None
    tables.change("t", 1, {"a": 1})
    assert [record for record, _ in source.rows_where("t", "a", 1)] == [RecordId("t", 1)]


# --- the invariant ---


def drawn_read(tables: Tables, source: random.Random) -> Callable[[], object]:
    """A read, whose answer is all that it may depend on."""
    table, key, value = source.choice(("t", "u")), source.randrange(4), source.choice((0, 1, NONE, "x", [1]))
    held = tables.tracing.source
    match source.randrange(3):
        case 0:
            return lambda: held.get(RecordId(table, key))
        case 1 if value is not NONE:
            return lambda: held.rows_where(table, "a", value)
        case _:
            return lambda: held.rows(table)


@given(st.integers(0, 2**32).map(random.Random))
@settings(deadline=None)
def test_a_reader_that_was_not_told_would_compute_the_same(source: random.Random) -> None:
    tables = Tables()
    reads = {name: drawn_read(tables, source) for name in range(8)}
    readers: dict[object, Reader] = {name: tables.reader(name, read) for name, read in reads.items()}
    answers = {name: read() for name, read in reads.items()}
    for _ in range(40):
        record = None if source.random() < 0.3 else {"a": source.choice((0, 1, "x", [1], None))}
        told = tables.change(source.choice(("t", "u")), source.randrange(4), record)
        for name, read in reads.items():
            if name in told:
                answers[name] = tables.tracing.trace(readers[name], read)
            assert read() == answers[name]
    for reader in readers.values():
        tables.tracing.release(reader)
    assert tables.tracing.readers == 0
