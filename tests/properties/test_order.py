"""The order is total, and it is the engine's: its operators, its ORDER BY and its array::sort agree on any values."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import Datetime, RecordId, Regex, Value
from sp00ky.proto.whole.sorting import STABLE_MAX

from tests.harness import values as strategies
from tests.harness.oracle import Oracle, exact

# Values that lie close together in some way: equal numbers of three types, prefixes, neighbours across kinds.
# A record id that holds a range is left out: the engine compares one's begin with the other's end, and finds it greater
# than itself.
AWKWARD: list[Value] = [
    *(value for kind, value in strategies.ONE_OF_EACH.items() if kind != "record with a range"),
    *(False, 0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1),
    *(0.0, -0.0, 1.0, 0.1, 0.3, 1e-20, 2.0**-20, float(2**53), 1e30, -1e30, float("inf"), float("-inf"), -0.1),
    *map(Decimal, ["0.1", "0.3", "1", "1E-20", "9.5367431640625E-7", "0.100000000000000003", "9007199254740993.5"]),
    *map(Decimal, ["9007199254740993", "79228162514264337593543950335", "-0.1", "0.1000000000000000055"]),
    *("", "a", "b", "aa", "é", "z", "😀", "\uffff"),
    *([], [1], [1.0, 2], [2], {}, {"a": 1}, {"a": 1.0}, {"b": 0}, {"a": 1, "b": 1}, b"", b"a"),
    *(Datetime(0), RecordId("a", 1), RecordId("a", "x"), RecordId("a", [1]), RecordId("a", [1.0]), RecordId("b", 0)),
]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def _ours(a: Value, b: Value) -> list[bool]:
    return [
        order.less(a, b),
        order.less_equal(a, b),
        order.greater(a, b),
        order.greater_equal(a, b),
        order.equal(a, b),
        order.not_equal(a, b),
    ]


def _theirs(oracle: Oracle, a: Value, others: list[Value]) -> list[list[bool]]:
    answer = oracle.ask(
        "RETURN $others.map(|$b| [$a < $b, $a <= $b, $a > $b, $a >= $b, $a = $b, $a != $b])", a=a, others=others
    )
    assert isinstance(answer, list), answer
    return answer


def test_every_pair_of_awkward_values_compares_as_in_the_engine(oracle: Oracle) -> None:
    wrong = [
        (a, b)
        for a in AWKWARD
        for b, theirs in zip(AWKWARD, _theirs(oracle, a, AWKWARD), strict=True)
        if _ours(a, b) != theirs
    ]
    assert not wrong


@settings(max_examples=80, deadline=None)
@given(items=st.lists(strategies.values, min_size=2, max_size=8))
def test_any_values_compare_as_in_the_engine(oracle: Oracle, items: list[Value]) -> None:
    for a in items:
        for b, theirs in zip(items, _theirs(oracle, a, items), strict=True):
            assert _ours(a, b) == theirs, (a, b)


@settings(max_examples=100, deadline=None)
@given(st.lists(strategies.values, min_size=2, max_size=12))
def test_the_order_is_total_and_keys_agree_with_it(items: list[Value]) -> None:
    ordered = sorted(items, key=order.sort_key)
    for low, high in pairwise(ordered):
        assert order.compare(low, high) <= 0 <= order.compare(high, low)
    assert order.compare(ordered[0], ordered[-1]) <= 0, "not transitive"
    for a in items:
        assert order.compare(a, a) == 0
        for b in items:
            assert order.compare(a, b) == -order.compare(b, a)
            assert order.equal(a, b) == (order.hash_key(a) == order.hash_key(b))
            hash(order.hash_key(a))


@settings(max_examples=60, deadline=None)
@given(items=st.lists(strategies.values, min_size=2, max_size=12), seed=st.integers(0, 2**16))
def test_order_by_agrees(oracle: Oracle, items: list[Value], seed: int) -> None:
    random.Random(seed).shuffle(items)
    params = {f"v{place}": value for place, value in enumerate(items)}
    create = ";".join(f"CREATE sorted:{place} SET v = ${name}" for place, name in enumerate(params))
    oracle.ask(f"DEFINE TABLE IF NOT EXISTS sorted; DELETE sorted; {create}", **params)
    stored = oracle.ask("SELECT VALUE v FROM sorted")  # an object's field that is NONE is not
    assert isinstance(stored, list)
    for direction in ("ASC", "DESC"):
        answer = oracle.ask(f"SELECT VALUE id.id() FROM sorted ORDER BY v {direction} LIMIT 100")
        places = range(len(items))
        assert answer == sorted(places, key=lambda at: order.sort_key(stored[at]), reverse=direction == "DESC")


@settings(max_examples=60, deadline=None)
@given(items=st.lists(strategies.floats | strategies.decimals | strategies.integers, min_size=2, max_size=STABLE_MAX))
def test_numbers_of_three_types_sort_as_in_the_engine(oracle: Oracle, items: list[Value]) -> None:
    ours = sorted(items, key=order.sort_key)
    assert exact(oracle.ask("RETURN array::sort($items)", items=items)) == exact(ours)


@settings(max_examples=40, deadline=None)
@given(items=st.lists(strategies.values, min_size=1, max_size=10))
def test_truth_agrees(oracle: Oracle, items: list[Value]) -> None:
    assert oracle.ask("RETURN $items.map(|$v| !!$v)", items=items) == [order.truthy(item) for item in items]


def test_a_regex_equals_what_it_matches() -> None:
    assert order.equal("hat", Regex("a"))
    assert order.equal(Regex("^h"), "hat")
    assert not order.equal("hot", Regex("a"))
    assert order.equal(Regex("a"), Regex("a"))


def test_a_type_that_is_no_value_is_refused() -> None:
    for key in (order.sort_key, order.hash_key):
        with pytest.raises(TypeError):
            key(object())
