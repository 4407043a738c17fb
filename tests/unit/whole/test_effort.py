"""What one evaluation may do: each bound is met in moments, and leaves the query to SurrealDB."""

from __future__ import annotations

import tracemalloc

import pytest
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole import effort
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.scope import NotPlain, Scope


def value(text: str) -> Value:
    return evaluate(parse_expr(text), NONE, Scope({}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("array::range(0..1000).map(|$x| array::range(0..1000).map(|$y| $x + $y))", "a closure that is called more"),
        ("array::fold(array::range(0..100), [1], |$a, $b| [$a, $a])", "holds more than"),
        ("array::fold(array::range(0..1000), 0, |$a, $b| [$a])", "nested very deep"),
        ("array::fold(array::range(0..100), 'a', |$a, $b| $a + $a)", "a string that is very long"),
        ("array::repeat(array::repeat(array::repeat(1, 16000), 16000), 16000)", "holds more than"),
        ("array::windows(array::range(0..16000), 8000)", "holds more than"),
        ("array::transpose(array::repeat(array::range(0..10000), 1000))", "holds more than"),
        ("string::matches(string::repeat('a', 300000), 'a*b')", "repeats much"),
        (f"string::matches('{'a' * 50}', '{'a?' * 40}b')", "repeats much"),
        ("string::matches('aaaaaaaaaa', 'a{1,99}a{1,99}a{1,99}a{1,99}b')", "repeats much"),
    ],
)
def test_what_would_take_too_long_is_left_to_surrealdb(text: str, reason: str) -> None:
    with pytest.raises(NotPlain, match=reason):
        value(text)


MANY = "array::range(0, 10000)"


@pytest.mark.parametrize(
    "text",
    [
        f"array::len({MANY}.map(|$x| array::len({MANY}))) > 1",
        f"array::len({MANY}.map(|$x| {MANY}.map(|$y| {MANY})))",
        f"{MANY}.map(|$x| string::repeat('a', 300000))",
        f"{MANY}.map(|$x| <array>0..10000)",
        f"{MANY}.map(|$x| array::repeat([1, 2, 3], 1000))",
        f"{MANY}.map(|$x| array::windows(array::range(0, 700), 350).len())",
        f"{MANY}.map(|$x| [{'1,' * 100}])",
        f"{MANY}.fold([1], |$a, $x| $a + [$x])",
        f"{MANY}.fold({MANY}, |$a, $x| $a.reverse())",
        f"{MANY}.map(|$x| array::fill($this, 1))",
        f"{MANY}.filter(|$x| $this CONTAINS $x)",
        f"{MANY}[WHERE array::len({MANY}) > 1]",
        f"array::repeat(0, 1000)[WHERE {MANY}[WHERE $this > 0] = []]",
        f"array::len((SELECT VALUE array::len({MANY}) FROM {MANY}))",
    ],
)
def test_what_every_round_of_a_loop_makes_and_reads_is_added_up(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(NotPlain, match="an evaluation of more than 500000 elements"):
            evaluate(parse_expr(text), list(range(10_000)), Scope({}))
        assert tracemalloc.get_traced_memory()[1] < 100 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_each_row_has_the_bound_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "WORK_MAX", 100)
    for _ in range(3):
        assert value("array::len(array::range(0, 10).map(|$x| [$x]))") == 10
    with pytest.raises(NotPlain, match="more than 100 elements"):
        value("array::len(array::range(0, 60).map(|$x| [$x]))")
    assert value("array::len(array::range(0, 10).map(|$x| [$x]))") == 10


def test_what_is_large_and_no_more_is_done() -> None:
    assert len(value("array::range(0..16000).map(|$x| $x + 1)")) == 16_000
    apart = value("array::difference(array::range(0..16000), array::range(8000..16384))")
    assert apart == [*range(8000), *range(16000, 16384)]
    assert value("array::intersect([1, 1, 2], [1, 2, 2, 1])") == [1, 1, 2]
    assert value("array::difference([1, 2, 3, 1], [1, 3, 4])") == [2, 1, 4]
    assert value("string::matches('a0123456789b', '[0-9]+b?')") is True


def test_each_function_that_calls_closures_has_the_bound_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "CALLS_MAX", 10)
    for _ in range(3):
        assert value("array::range(0..10).map(|$x| $x)") == list(range(10))
    with pytest.raises(NotPlain, match="more than 10 times"):
        value("array::range(0..11).map(|$x| $x)")
    assert value("array::range(0..10).map(|$x| $x)") == list(range(10))
