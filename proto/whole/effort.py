"""How much one evaluation may do: a short query can ask for more than there is time or memory, and others wait.

Each bound leads to NotPlain: the query is not wrong, SurrealDB runs it, in its own time. Bounded are what closures do
in the outermost function that calls them, and the values that functions make, with all that is in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sp00ky.proto.values.kinds import SurrealSet, Value
from sp00ky.proto.values.pack import DEPTH_MAX
from sp00ky.proto.whole.scope import NotPlain

CALLS_MAX: Final = 100_000  # of closures, within one function and those inside it
VALUES_MAX: Final = 500_000  # in one value, each as often as it occurs


class _Count:
    """Of the evaluation under way; an evaluation is never interrupted by another."""

    depth = 0
    calls = 0


@contextmanager
def outermost() -> Iterator[None]:
    """Around a function that takes a closure: inside another it shares that one's bound."""
    if _Count.depth == 0:
        _Count.calls = 0
    _Count.depth += 1
    try:
        yield
    finally:
        _Count.depth -= 1


def closure_called() -> None:
    _Count.calls += 1
    if _Count.calls > CALLS_MAX:
        raise NotPlain(f"a closure that is called more than {CALLS_MAX} times")


def bounded(value: Value) -> Value:
    """The value, unless it holds too many others or is nested too deep."""
    _weighed(value, 0, 0)
    return value


def repeated(value: Value, count: int) -> None:
    """A value is about to be put somewhere so many times."""
    if count and _weighed(value, 0, 0) > VALUES_MAX // count:
        raise _too_many()


def _weighed(value: Value, weight: int, depth: int) -> int:
    """The weight with the value's added to it. Ends where that is too much, so that shared parts cost no more."""
    weight += 1
    if weight > VALUES_MAX:
        raise _too_many()
    if type(value) not in _HOLDING:
        return weight
    if depth > DEPTH_MAX:
        raise NotPlain("a value that is nested very deep")
    for item in value.values() if type(value) is dict else value:
        weight = _weighed(item, weight, depth + 1)
    return weight


def _too_many() -> NotPlain:
    return NotPlain(f"a value that holds more than {VALUES_MAX} others")


_HOLDING = frozenset({list, dict, SurrealSet})
