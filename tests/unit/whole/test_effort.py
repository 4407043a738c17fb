"""What one evaluation may do: each bound is met in moments, and leaves the query to SurrealDB."""

from __future__ import annotations

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
