"""The groups that one hash key leaves, and which of them a record concerns by the inequalities of their constants.

    Bucket          no inequality     all of them
    RangeBucket     f ≥ ?             in the order of `?`: those that a value satisfies are a slice
    IntervalBucket  ?₀ ≤ f < ?₁       in the order of `?₀`, below a tree of the greatest `?₁`

An interval holds a value if it begins before it, which makes a slice as above, and reaches it: those are found from
the right end of the slice leftwards, skipping each subtree whose greatest upper bound does not reach the value, in
O(log n) for each found. The tree is a list (node i above nodes 2i and 2i + 1), made again for the first record after
a group came or went: they come many at once.

The twin of each is asking every group: `tests/properties/test_buckets.py`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import le, lt
from typing import Any, Final, Protocol

from sp00ky.proto.values.kinds import NONE
from sp00ky.proto.values.order import SortKey, sort_key
from sp00ky.ssp.circuit.arrangement import Record
from sp00ky.ssp.circuit.predicate import Binding

_FROM_BELOW: Final = frozenset({">", ">="})


@dataclass(frozen=True, slots=True)
class Bound:
    """`field op hole`, op an inequality."""

    field: str
    op: str
    hole: int

    @property
    def below(self) -> bool:
        """Whether it bounds the field from below."""
        return self.op in _FROM_BELOW

    def completes(self, other: Bound) -> bool:
        """Whether the two are an interval."""
        return self.field == other.field and self.below != other.below


class Bindable(Protocol):
    binding: Binding


class Bucket:
    """The groups in the order in which they came."""

    __slots__ = ("groups",)

    def __init__(self) -> None:
        self.groups: list[Any] = []

    def add(self, group: Bindable) -> None:
        self.groups.append(group)

    def remove(self, group: Bindable) -> None:
        self.groups.remove(group)

    def concerned(self, record: Record) -> Sequence[Any]:
        """The groups whose inequalities the record satisfies; not to be kept."""
        return self.groups


class RangeBucket(Bucket):
    """`groups` in the order of the constant they compare the field with."""

    __slots__ = ("_bounds", "_field", "_hole", "_op")

    def __init__(self, bound: Bound) -> None:
        super().__init__()
        self._field = bound.field
        self._op = bound.op
        self._hole = bound.hole
        self._bounds: list[SortKey] = []

    def add(self, group: Bindable) -> None:
        at = sort_key(group.binding[self._hole])
        place = bisect_right(self._bounds, at)
        self._bounds.insert(place, at)
        self.groups.insert(place, group)

    def remove(self, group: Bindable) -> None:
        place = self.groups.index(group, bisect_left(self._bounds, sort_key(group.binding[self._hole])))
        del self._bounds[place]
        del self.groups[place]

    def concerned(self, record: Record) -> Sequence[Any]:
        value = sort_key(record.get(self._field, NONE))
        match self._op:
            case ">=":
                return self.groups[: bisect_right(self._bounds, value)]
            case ">":
                return self.groups[: bisect_left(self._bounds, value)]
            case "<=":
                return self.groups[bisect_left(self._bounds, value) :]
            case _:
                return self.groups[bisect_right(self._bounds, value) :]


class IntervalBucket(RangeBucket):
    """`groups` in the order of their lower bound; `_tree` over their upper bounds, none while a group came or went."""

    __slots__ = ("_reaches", "_tree", "_until")

    def __init__(self, low: Bound, high: Bound) -> None:
        super().__init__(low)
        self._until = high.hole
        self._reaches = le if high.op == "<=" else lt
        self._tree: list[SortKey] = []

    def add(self, group: Bindable) -> None:
        super().add(group)
        self._tree = []

    def remove(self, group: Bindable) -> None:
        super().remove(group)
        self._tree = []

    def concerned(self, record: Record) -> Sequence[Any]:
        value = sort_key(record.get(self._field, NONE))
        begun = bisect_right(self._bounds, value) if self._op == ">=" else bisect_left(self._bounds, value)
        tree, reaches = self._tree or self._grow(), self._reaches
        half = len(tree) // 2
        found = []
        node = half + begun  # what lies to the left of it is still to be searched
        while node > 1:
            if node & 1 and reaches(value, tree[node - 1]):
                node -= 1
                while node < half:  # to the rightmost leaf that reaches
                    node = 2 * node + reaches(value, tree[2 * node + 1])
                found.append(self.groups[node - half])
            else:
                node //= 2
        return found

    def _grow(self) -> list[SortKey]:
        """Leaves in the second half, one more than groups at least, so that there is a node behind the last."""
        half = 1 << len(self.groups).bit_length()
        tree: list[SortKey] = [()] * (2 * half)
        tree[half : half + len(self.groups)] = [sort_key(group.binding[self._until]) for group in self.groups]
        for node in range(half - 1, 0, -1):
            tree[node] = max(tree[2 * node], tree[2 * node + 1])
        self._tree = tree
        return tree


def bucket_of(bounds: tuple[Bound, ...]) -> Bucket:
    """An empty bucket for these inequalities: none, one, or one from below and one from above."""
    match bounds:
        case ():
            return Bucket()
        case (bound,):
            return RangeBucket(bound)
        case (low, high) if low.below and not high.below:
            return IntervalBucket(low, high)
        case _:
            raise AssertionError(f"no bucket is in the order of {bounds}")
