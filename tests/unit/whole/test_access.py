"""WHERE reads no more of a table than it must: what the source is asked for, and that the answer is the same."""

from __future__ import annotations

import pytest
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import to_surql
from sp00ky.proto.whole.scope import EvaluationError, Indexed, Scope
from sp00ky.proto.whole.select import run_select


class Watched(Indexed):
    """A source that writes down what it is asked."""

    def __init__(self, tables: dict[str, list[dict[str, Value]]]) -> None:
        self.asked: list[str] = []
        super().__init__(_Tables(tables))

    def rows(self, table: str) -> list[tuple[RecordId, dict[str, Value]]]:
        self.asked.append(f"{table}")
        return list(super().rows(table))

    def get(self, record: RecordId) -> dict[str, Value] | None:
        self.asked.append(to_surql(record))
        return super().get(record)

    def rows_where(self, table: str, field: str, value: Value) -> list[tuple[RecordId, dict[str, Value]]]:
        self.asked.append(f"{table}.{field} = {to_surql(value)}")
        return list(super().rows_where(table, field, value))


class _Tables:
    def __init__(self, tables: dict[str, list[dict[str, Value]]]) -> None:
        self._tables = tables

    def rows(self, table: str) -> list[tuple[RecordId, dict[str, Value]]]:
        return [(row["id"], row) for row in self._tables.get(table, [])]

    def get(self, record: RecordId) -> dict[str, Value] | None:
        return dict(self.rows(record.table)).get(record)

    def tables(self) -> list[str]:
        return sorted(self._tables)


def a(number: int) -> RecordId:
    return RecordId("a", number)


TABLES: dict[str, list[dict[str, Value]]] = {
    "a": [{"id": a(number), "n": number % 3, "s": "x" * number} for number in range(1, 7)],
    "b": [{"id": RecordId("b", number), "of": a(number)} for number in range(1, 4)],
}


@pytest.mark.parametrize(
    ("where", "asked"),
    [
        ("n = 1", ["a.n = 1"]),
        ("1 = n", ["a.n = 1"]),
        ("n == $one", ["a.n = 1"]),
        ("s != 'x' AND n = 1 + 1", ["a.n = 2"]),
        ("n IN [2, 1, 2.0]", ["a.n = 2", "a.n = 1"]),
        ("n IN []", []),
        ("n IN 1..3", ["a"]),
        ("n IN 'abc'", ["a"]),
        ("n = NONE", ["a"]),
        ("n IN [1, NONE]", ["a"]),
        ("n = NULL", ["a.n = NULL"]),
        ("id = a:2", ["a:2"]),
        ("id = 'a:2'", []),
        ("id = b:2", []),
        ("id IN [a:3, a:2, a:9, a:3]", ["a:2", "a:3", "a:9"]),
        ("n = id", ["a"]),
        ("n = 1 OR n = 2", ["a"]),
        ("!(n = 1)", ["a"]),
        ("n = $this", ["a"]),
        ("n.x = 1", ["a"]),
        ("n = 1 AND s.len() > 1", ["a.n = 1"]),
        ("s.len() > 1 AND n = 1", ["a"]),  # the method could fail on a row that would not be read
        ("n = $parent.n", ["a"]),  # $parent is NONE here
        ("id IN (SELECT VALUE of FROM b)", ["b", "a:1", "a:2", "a:3", *["b"] * 3]),
        ("id IN (SELECT VALUE of FROM b WHERE of = $parent.id)", ["a", *[f"b.of = a:{key}" for key in range(1, 7)]]),
    ],
)
def test_where_reads_by_value(where: str, asked: list[str]) -> None:
    source, plain = Watched(TABLES), Watched(TABLES)
    found = run_select(parse_select(f"SELECT VALUE id FROM a WHERE {where}"), Scope({"one": 1}, source))
    assert source.asked == asked
    everything = run_select(parse_select(f"SELECT VALUE id FROM a WHERE true AND ({where})"), Scope({"one": 1}, plain))
    assert found == run_select(parse_select(f"SELECT VALUE id FROM a WHERE !!({where})"), Scope({"one": 1}, plain))
    assert found == everything


def test_an_error_on_a_row_to_the_left_is_not_missed() -> None:
    with pytest.raises(EvaluationError):
        run_select(parse_select("SELECT VALUE id FROM a WHERE 1 + s AND n = 1"), Scope({}, Watched(TABLES)))


def test_sub_selects_read_by_value() -> None:
    source = Watched(TABLES)
    select = parse_select("SELECT VALUE (SELECT VALUE id FROM b WHERE of = $parent.id) FROM a:1, a:2")
    assert run_select(select, Scope({}, source)) == [[RecordId("b", 1)], [RecordId("b", 2)]]
    assert source.asked == ["a:1", "a:2", "b.of = a:1", "b.of = a:2"]
