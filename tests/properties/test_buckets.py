"""Each bucket answers what asking every group's inequalities would; the ordered index what scanning the table would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Datetime, RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.ssp.circuit.arrangement import Arrangement
from sp00ky.ssp.circuit.buckets import Bound, bucket_of
from sp00ky.ssp.circuit.ordered import Edge, OrderedIndex

COMPARED: Mapping[str, Callable[[Value, Value], bool]] = {
    "<": order.less, "<=": order.less_equal, ">": order.greater, ">=": order.greater_equal,
}  # fmt: skip

VALUES = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([NONE, None, True, 2.5, Decimal("2.5"), float("nan"), float("inf"), "", "x", [1], [], {"a": 1}]),
    st.sampled_from([Datetime(0), RecordId("t", 1)]),
)
ROUNDS = st.lists(st.tuples(st.sampled_from(["add", "add", "remove", "ask"]), VALUES, VALUES), max_size=60)
BOUNDS = st.sampled_from(
    [(), *(((op, 0),) for op in COMPARED), *(((low, 0), (high, 1)) for low in (">", ">=") for high in ("<", "<="))]
)


@dataclass(eq=False)
class Group:
    binding: tuple[Value, ...]


@given(BOUNDS, ROUNDS)
def test_a_bucket_finds_the_groups_that_asking_each_finds(
    asked: tuple[tuple[str, int], ...], rounds: list[tuple[str, Value, Value]]
) -> None:
    bucket = bucket_of(tuple(Bound("f", op, hole) for op, hole in asked))
    groups: list[Group] = []
    for verb, first, second in (*rounds, ("ask", 1, 1), ("ask", NONE, NONE)):
        if verb == "add":
            groups.append(Group((first, second)))
            bucket.add(groups[-1])
        elif verb == "remove" and groups:
            bucket.remove(groups.pop(len(groups) // 2))
        found = bucket.concerned({} if first is NONE else {"f": first})
        expected = [group for group in groups if all(COMPARED[op](first, group.binding[hole]) for op, hole in asked)]
        assert len(found) == len(expected)
        assert set(found) == set(expected)


def test_a_stab_skips_the_intervals_that_end_before_it() -> None:
    """What an interval costs is counted: nested, disjoint and all-embracing ones among 1,000 that are not found."""

    class Counted(tuple[Any, ...]):
        compared = 0

        def __lt__(self, other: object) -> bool:
            Counted.compared += 1
            return tuple.__lt__(self, other)  # type: ignore[operator]

    bucket: Any = bucket_of((Bound("f", ">=", 0), Bound("f", "<", 1)))
    spans = [(at, 2_000 - at) for at in range(500)] + [(10 * at, 10 * at + 5) for at in range(500)] + [(0, 9_999)]
    for span in spans:
        bucket.add(Group(span))
    for value in (1_999, 4_991, 4_998):
        expected = sum(low <= value < high for low, high in spans)
        assert len(bucket.concerned({"f": value})) == expected
        bucket._tree = [Counted(key) for key in bucket._tree]
        Counted.compared = 0
        bucket.concerned({"f": value})
        assert Counted.compared <= 12 * (expected + 2)


@pytest.mark.parametrize("bounds", [(Bound("f", "<", 0), Bound("f", ">", 1)), (Bound("f", ">", 0), Bound("f", ">", 1))])
def test_bounds_that_are_no_interval_have_no_bucket(bounds: tuple[Bound, ...]) -> None:
    assert not bounds[1].completes(bounds[0]) or not bounds[0].below
    with pytest.raises(AssertionError, match="no bucket"):
        bucket_of(bounds)


CHANGES = st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.tuples(VALUES))), max_size=40)
EDGES = st.one_of(st.none(), st.tuples(VALUES, st.booleans()))


@given(CHANGES, CHANGES, EDGES, EDGES)
def test_the_ordered_index_reads_what_a_scan_finds(
    first: list[tuple[int, tuple[Value] | None]],
    then: list[tuple[int, tuple[Value] | None]],
    low: tuple[Value, bool] | None,
    high: tuple[Value, bool] | None,
) -> None:
    table = Arrangement("t")
    for seq, (key, value) in enumerate(first):
        table.apply(_change(key, value, seq))
    index = OrderedIndex(table, "f")
    table.indexes["f"] = index
    for seq, (key, value) in enumerate(then, len(first)):
        table.propagate(table.apply(_change(key, value, seq)))
    found = [key for key, _ in index.rows_between(_edge(low), _edge(high))]
    expected = [
        key
        for key, (record, _) in table.rows.items()
        if (low is None or COMPARED[">=" if low[1] else ">"](record.get("f", NONE), low[0]))
        and (high is None or COMPARED["<=" if high[1] else "<"](record.get("f", NONE), high[0]))
    ]
    assert sorted(found) == sorted(expected)
    places = [order.sort_key(table.rows[key][0].get("f", NONE)) for key in found]
    assert places == sorted(places)


def _change(key: int, value: tuple[Value] | None, seq: int) -> dict[bytes, tuple[bytes | None, int]]:
    if value is None:
        return {pack(key - 5): (None, seq)}
    record = {"id": RecordId("t", key - 5)} | ({} if value[0] is NONE else {"f": value[0]})
    return {pack(key - 5): (pack(record), seq)}


def _edge(edge: tuple[Value, bool] | None) -> Edge:
    return None if edge is None else (order.sort_key(edge[0]), edge[1])
