"""Which groups of a shape a record concerns: the filter, taken apart by what its constants do.

A condition `σ(f₁ = ?₀ ∧ f₂ < ?₁ ∧ p ∧ q(?₂))` is four parts: equalities with a constant (looked up by hash), the
inequalities of one field with a constant (`buckets.py`), terms without constants (evaluated once a record, for all
groups) and the terms that are left (evaluated once a record and group). Where there is no equality, one membership
takes its place, in an index in which a record or a group lies under several keys:

    f IN ?                     the group lies under each element of its constant
    f CONTAINS ?               the record lies under each element of its field
    string::starts_with(f, ?)  the record lies under each beginning of its field that some group asks for
    f = ? OR g IN ? …          the keys of every side, told apart by the side

Such an index only narrows down (a field or a constant of another kind concerns everybody), so the term itself stays
among those that are evaluated. Each part decides cost, not meaning. `Δ(σ(R)) = σ(ΔR)`: the image before a change
concerns the groups it matched, the image after those it matches now.

Terms that read other records are kept apart (`foreign_shared`, `foreign_own`) and come last: what they read is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from sp00ky.proto.surrealql.ast import Binary, Call, Expr, FieldPart, Hole, Idiom
from sp00ky.proto.values.kinds import NONE, SurrealSet, Value
from sp00ky.proto.values.order import hash_key, sort_key
from sp00ky.ssp.circuit.arrangement import ABSENT, Record
from sp00ky.ssp.circuit.buckets import Bound
from sp00ky.ssp.circuit.ordered import Edge
from sp00ky.ssp.circuit.predicate import Binding
from sp00ky.ssp.plan.terms import is_local
from sp00ky.ssp.plan.tree import conjunction, conjuncts, field_of, walk

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
_MEMBERSHIPS = frozenset({"IN", "CONTAINS", "="})


@dataclass(frozen=True, slots=True)
class Membership:
    """`field op hole`, op one of `=`, `IN`, `CONTAINS`, `STARTS`."""

    field: str
    op: str
    hole: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A condition taken apart; the conjunction of the parts is the condition."""

    equals: tuple[tuple[str, int], ...]  # (field, hole), fields in ascending order, each once
    bounds: tuple[Bound, ...]  # of one field: one, or one from below and one from above
    several: tuple[Membership, ...]  # alternatives, one of which a record must fulfil; implies no equals and no bounds
    shared: Expr | None  # without holes
    own: Expr | None
    foreign_shared: Expr | None
    foreign_own: Expr | None

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(field for field, _ in self.equals)

    def keys_of(self, binding: Binding) -> tuple[Hashable, ...]:
        """Where a group's rows are found in the index: one key, or several for a membership."""
        if self.several:
            found = (key for each, side in _sides(self.several) for key in group_keys(each, side, binding))
            return tuple(dict.fromkeys(found))
        keys = tuple(hash_key(binding[hole]) for _, hole in self.equals)
        return (keys[0] if len(keys) == 1 else keys,)

    def edges_of(self, binding: Binding) -> tuple[Edge, Edge]:
        """Between which values of their field the bounds leave a group's rows."""
        low = high = None
        for bound in self.bounds:
            edge = sort_key(binding[bound.hole]), bound.op in (">=", "<=")
            low, high = (edge, high) if bound.below else (low, edge)
        return low, high


def dispatch_of(cond: Expr | None) -> Dispatch:
    equals: dict[str, int] = {}
    bounds: list[Bound] = []
    rest: list[Expr] = []
    for term in conjuncts(cond):
        found = _constant_comparison(term)
        if found is not None and found.op == "=" and found.field not in equals:
            equals[found.field] = found.hole
        elif found is not None and found.op != "=" and all(map(found.completes, bounds)):
            bounds.append(found)
        else:
            rest.append(term)
    several: tuple[Membership, ...] = ()
    if not equals:
        several = next((found for found in map(_memberships, rest) if found), ())
        if several:
            rest += [Binary(bound.op, _field(bound.field), Hole(bound.hole)) for bound in bounds]
            bounds = []
    parts: dict[tuple[bool, bool], list[Expr]] = {(a, b): [] for a in (True, False) for b in (True, False)}
    for term in rest:
        parts[is_local(term), any(isinstance(node, Hole) for node in walk(term))].append(term)
    shared, own, foreign_shared, foreign_own = (
        conjunction(tuple(parts[each])) for each in ((True, False), (True, True), (False, False), (False, True))
    )
    bounds.sort(key=lambda bound: not bound.below)
    return Dispatch(tuple(sorted(equals.items())), tuple(bounds), several, shared, own, foreign_shared, foreign_own)


def _field(name: str) -> Expr:
    return Idiom(None, (FieldPart(name),))


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


# --- several keys ----------------------------------------------------------------------------------------------------


def _memberships(term: Expr) -> tuple[Membership, ...]:
    """The alternatives of a term, if each is a membership; () if some record could pass without being found by one."""
    match term:
        case Binary(op="OR", left=left, right=right):
            sides = _memberships(left), _memberships(right)
            return (*sides[0], *sides[1]) if all(sides) else ()
        case Binary(op="AND", left=left, right=right):
            return _memberships(left) or _memberships(right)
        case Call(name="string::starts_with", args=(left, Hole(index=index))):
            op = "STARTS"
        case Binary(op=op, left=left, right=Hole(index=index)) if op in _MEMBERSHIPS:
            pass
        case Binary(op="=", left=Hole(index=index), right=left):
            op = "="
        case Binary(op="IN", left=Hole(index=index), right=left):
            op = "CONTAINS"
        case Binary(op="CONTAINS", left=Hole(index=index), right=left):
            op = "IN"
        case _:
            return ()
    field = field_of(left)
    return () if field is None else (Membership(field, op, index),)


Side: TypeAlias = int


def _sides(several: tuple[Membership, ...]) -> Iterable[tuple[Membership, Side]]:
    return ((each, at) for at, each in enumerate(several))


def group_keys(each: Membership, side: Side, binding: Binding) -> Iterable[Hashable]:
    """The keys under which a group with this binding waits for records; ABSENT: it must hear of every record."""
    value = binding[each.hole]
    match each.op:
        case "IN":
            if isinstance(value, list | SurrealSet):
                return [(side, hash_key(item)) for item in value]
        case "STARTS":
            if isinstance(value, str):
                return [(side, value)]
        case _:
            return [(side, hash_key(value))]
    return [ABSENT]


def record_keys(several: tuple[Membership, ...], lengths: Iterable[int]) -> Callable[[Record], tuple[Hashable, ...]]:
    """The keys under which a record finds groups; ABSENT: it concerns every group. `lengths`: of the beginnings that
    groups ask for."""

    def keys(record: Record) -> tuple[Hashable, ...]:
        found: dict[Hashable, None] = {}
        for each, side in _sides(several):
            found.update(dict.fromkeys(_keys_of(each.op, side, record.get(each.field, NONE), lengths)))
        return tuple(found)

    return keys


_HOLDS_NOTHING = frozenset({type(NONE), type(None), bool, int, float})


def _keys_of(op: str, side: Side, value: Value, lengths: Iterable[int]) -> Iterable[Hashable]:
    match op:
        case "CONTAINS":
            if isinstance(value, list | SurrealSet):
                return [(side, hash_key(item)) for item in value]
            return () if type(value) in _HOLDS_NOTHING else (ABSENT,)
        case "STARTS":
            return [(side, value[:length]) for length in lengths] if isinstance(value, str) else (ABSENT,)
        case _:
            return ((side, hash_key(value)),)


def lengths_of(several: tuple[Membership, ...], binding: Binding) -> set[int]:
    """How long the beginnings are that a group with this binding asks for."""
    asked = (binding[each.hole] for each in several if each.op == "STARTS")
    return {len(value) for value in asked if isinstance(value, str)}
