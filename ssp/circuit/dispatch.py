"""Which groups of a shape a record concerns: the filter, taken apart by what its constants do.

A condition `σ(f₁ = ?₀ ∧ f₂ < ?₁ ∧ p ∧ q(?₂))` is four parts: equalities with a constant (looked up by hash), one
inequality with a constant (bisected), terms without constants (evaluated once a record, for all groups) and the terms
that are left (evaluated once a record and group). Each part only narrows down: their order decides cost, not meaning.
`Δ(σ(R)) = σ(ΔR)`: the image before a change concerns the groups it matched, the image after those it matches now.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from sp00ky.proto.surrealql.ast import Binary, Expr, Hole
from sp00ky.proto.values.kinds import NONE
from sp00ky.proto.values.order import hash_key, sort_key
from sp00ky.ssp.circuit.arrangement import Record
from sp00ky.ssp.circuit.predicate import Binding
from sp00ky.ssp.plan.tree import conjunction, conjuncts, field_of, walk

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


@dataclass(frozen=True, slots=True)
class Bound:
    """`field op hole`, op an inequality."""

    field: str
    op: str
    hole: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A condition taken apart; the conjunction of the parts is the condition."""

    equals: tuple[tuple[str, int], ...]  # (field, hole), fields in ascending order, each once
    bound: Bound | None
    shared: Expr | None  # without holes
    own: Expr | None

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(field for field, _ in self.equals)

    def key_of(self, binding: Binding) -> Hashable:
        """Where a group's rows are found in the index of `fields`."""
        keys = tuple(hash_key(binding[hole]) for _, hole in self.equals)
        return keys[0] if len(keys) == 1 else keys


def dispatch_of(cond: Expr | None) -> Dispatch:
    equals: dict[str, int] = {}
    bound: Bound | None = None
    shared: list[Expr] = []
    own: list[Expr] = []
    for term in conjuncts(cond):
        found = _constant_comparison(term)
        if found is not None and found.op == "=" and found.field not in equals:
            equals[found.field] = found.hole
        elif found is not None and found.op != "=" and bound is None:
            bound = found
        elif any(isinstance(node, Hole) for node in walk(term)):
            own.append(term)
        else:
            shared.append(term)
    return Dispatch(tuple(sorted(equals.items())), bound, conjunction(tuple(shared)), conjunction(tuple(own)))


def _constant_comparison(term: Expr) -> Bound | None:
    """`field op hole` or `hole op field`, turned round to the first form."""
    match term:
        case Binary(op=op, left=left, right=Hole(index=index)) if op in _FLIPPED:
            field = field_of(left)
        case Binary(op=op, left=Hole(index=index), right=right) if op in _FLIPPED:
            field, op = field_of(right), _FLIPPED[op]
        case _:
            return None
    return None if field is None else Bound(field, op, index)


class Bindable(Protocol):
    binding: Binding


class Bucket:
    """The groups whose equalities one hash key satisfies. `span` bounds those that a record concerns in `groups`."""

    __slots__ = ("groups",)

    def __init__(self) -> None:
        self.groups: list[Any] = []

    def add(self, group: Bindable) -> None:
        self.groups.append(group)

    def remove(self, group: Bindable) -> None:
        self.groups.remove(group)

    def span(self, record: Record) -> tuple[int, int]:
        return 0, len(self.groups)


class RangeBucket(Bucket):
    """`groups` in the order of the constant they compare `field` with, so that those a value satisfies are a slice."""

    __slots__ = ("_bounds", "_field", "_hole", "_op")

    def __init__(self, bound: Bound) -> None:
        super().__init__()
        self._field = bound.field
        self._op = bound.op
        self._hole = bound.hole
        self._bounds: list[tuple[Any, ...]] = []

    def add(self, group: Bindable) -> None:
        at = sort_key(group.binding[self._hole])
        place = bisect_right(self._bounds, at)
        self._bounds.insert(place, at)
        self.groups.insert(place, group)

    def remove(self, group: Bindable) -> None:
        place = self.groups.index(group, bisect_left(self._bounds, sort_key(group.binding[self._hole])))
        del self._bounds[place]
        del self.groups[place]

    def span(self, record: Record) -> tuple[int, int]:
        value = sort_key(record.get(self._field, NONE))
        match self._op:
            case ">=":
                return 0, bisect_right(self._bounds, value)
            case ">":
                return 0, bisect_left(self._bounds, value)
            case "<=":
                return bisect_left(self._bounds, value), len(self.groups)
            case _:
                return bisect_right(self._bounds, value), len(self.groups)
