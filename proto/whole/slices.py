"""The part of a sequence that `slice(begin?, end?)` or `slice(range)` means, in SurrealDB's counting.

A negative bound counts from the end. An included end of a range is the index of the last item: one that lies before
the first item, `0..=-9`, still takes the first.
"""

from __future__ import annotations

from sp00ky.proto.values.kinds import Bound, Range, Value
from sp00ky.proto.whole.functions import whole


def sliced(size: int, bounds: tuple[Value, ...]) -> tuple[int, int]:
    """Begin and end for Python's slice, neither below zero."""
    wanted = wanted_range(bounds)
    begin, end = 0, size
    if wanted.begin is not None:
        begin = max(0, _from_end(wanted.begin.value, size) + (not wanted.begin.inclusive))
    if wanted.end is not None:
        end = max(0, _from_end(wanted.end.value, size)) + wanted.end.inclusive
    return begin, end


def wanted_range(bounds: tuple[Value, ...]) -> Range:
    """`()`, `(begin)`, `(begin, end)` or `(range)` as a range of integers."""
    if not bounds:
        return Range(None, None)
    if len(bounds) == 1 and type(bounds[0]) is Range:
        return Range(_whole_bound(bounds[0].begin), _whole_bound(bounds[0].end))
    end = Bound(bounds[1], False) if len(bounds) > 1 else None
    return Range(Bound(whole(bounds[0]), True), end)


def _whole_bound(bound: Bound | None) -> Bound | None:
    return None if bound is None else Bound(whole(bound.value), bound.inclusive)


def _from_end(value: int, size: int) -> int:
    return value + size if value < 0 else value
