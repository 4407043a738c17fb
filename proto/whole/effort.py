"""How much one evaluation may do: a short query can ask for more than there is time or memory, and others wait.

Each bound leads to NotPlain: the query is not wrong, SurrealDB runs it, in its own time. Bounded are

    calls    of closures, in the outermost function that calls them;
    a value  that functions make, with all that is in it;
    work     of the outermost function, path or sub-select of an expression: the elements of all that is made in it,
             kept or not, and within a loop over an array (a closure, a condition in brackets) of what is read as well.

Thus nested loops cost the sum of what each round does, not one finished value: a row takes a bounded time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from sp00ky.proto.values.kinds import SurrealSet, Value
from sp00ky.proto.values.pack import DEPTH_MAX
from sp00ky.proto.whole.scope import NotPlain

CALLS_MAX: Final = 100_000  # of closures, within one function and those inside it
VALUES_MAX: Final = 500_000  # in one value, each as often as it occurs
WORK_MAX: Final = 500_000  # elements made, and in loops read, in one evaluation
_LETTERS: Final = 64  # of a text, or bytes, count as one element


class _Count:
    """Of the evaluation under way; an evaluation is never interrupted by another."""

    depth = 0  # of loops
    calls = 0
    within = 0  # evaluations, each in the one before
    work = 0


class _Evaluation:
    """Around what may do much; inside another it shares that one's bound. Entered for each row: so it holds nothing."""

    __slots__ = ()

    def __enter__(self) -> None:
        if _Count.within == 0:
            _Count.work = 0
        _Count.within += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _Count.within -= 1


evaluation: Final = _Evaluation()


@contextmanager
def outermost() -> Iterator[None]:
    """Around a loop, such as a function that takes a closure: inside another it shares that one's bound."""
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


def made(value: Value) -> None:
    """A value has been made; what is in it has been counted, or was there before."""
    size = _size(value)
    if size and _Count.within:
        worked(size)


def read(value: Value) -> None:
    """A value is gone through. Only loops count it: outside of one the text of the query bounds how often."""
    if _Count.depth:
        made(value)


def looked() -> None:
    """A row or an element is asked a condition."""
    if _Count.depth:
        worked(1)


def worked(elements: int) -> None:
    _Count.work += elements
    if _Count.work > WORK_MAX:
        raise NotPlain(f"an evaluation of more than {WORK_MAX} elements")


def _size(value: Value) -> int:
    kind = type(value)
    if kind is list or kind is dict:
        return len(value)
    if kind is str or kind is bytes:
        return len(value) // _LETTERS
    return len(value.values) if kind is SurrealSet else 0


def bounded(value: Value) -> Value:
    """The value, unless it holds too many others or is nested too deep."""
    _weighed(value, 0, 0)
    return value


def repeated(value: Value, count: int) -> None:
    """A value is about to be put somewhere so many times."""
    if not count:
        return
    weight = _weighed(value, 0, 0)
    if weight > VALUES_MAX // count:
        raise _too_many()
    if _Count.within:
        worked(weight * count)


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
