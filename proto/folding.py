"""A result, the change from one result to another, and its application: what a watched view's deltas are made of.

    diff(old, new) = change        fold(old, change) = new

A member has its place in the whole list; one that stands and whose place among those that stand has not changed is not
named. Rows are texts (JSON) and have no names, so they change by splices, as of JavaScript's arrays. Everything that
shows results to others (SSP, gateway, client) folds with this module or with these words: take out `removed` and
`updated`, put in `added` and `updated` at their places, the lowest first; then the splices, one after the other.

Invariant: `fold(old, diff(old, new))` makes `old` equal to `new`, for any two results.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class Place(NamedTuple):
    """What names a member: the record, and below which other it stands."""

    id: str
    parent: str = ""
    parent_rel: str = ""


class Member(NamedTuple):
    """`version`: seq of the record's last change."""

    id: str
    version: int
    parent: str = ""
    parent_rel: str = ""

    @property
    def place(self) -> Place:
        return Place(self.id, self.parent, self.parent_rel)


class Placed(NamedTuple):
    """A member and its index among all members, after the change."""

    at: int
    member: Member


class Splice(NamedTuple):
    """At `at`, `removed` rows are taken out, then `inserted` put in."""

    at: int
    removed: int
    inserted: tuple[str, ...]


@dataclass(slots=True)
class Result:
    """`members` in the query's order; `rows` as JSON texts, empty where they are not asked for."""

    members: list[Member] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    removed: Sequence[Member] = ()
    added: Sequence[Placed] = ()
    updated: Sequence[Placed] = ()
    rows: Sequence[Splice] = ()

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.updated or self.rows)


def fold(result: Result, change: Change) -> None:
    """Move `result` by the change, in place."""
    if change.removed or change.updated or change.added:
        gone = {each.place for each in change.removed}
        gone.update(each.member.place for each in change.updated)
        members = [each for each in result.members if each.place not in gone] if gone else result.members
        for at, member in sorted((*change.added, *change.updated)):
            members.insert(at, member)
        result.members = members
    for at, removed, inserted in change.rows:
        result.rows[at : at + removed] = inserted


def diff(old: Result, new: Result, reshown: Collection[Place] = ()) -> Change:
    """The change from `old` to `new`. `reshown`: members that show something else though their version is the same."""
    removed, added, updated = _members(old.members, new.members, reshown)
    return Change(removed, added, updated, splices(old.rows, new.rows))


def _members(
    old: Sequence[Member], new: Sequence[Member], reshown: Collection[Place]
) -> tuple[list[Member], list[Placed], list[Placed]]:
    if old == new and not reshown:
        return [], [], []
    before = {member.place: index for index, member in enumerate(old)}
    after = {member.place for member in new}
    if len(before) != len(old) or len(after) != len(new):  # a place that is taken twice has no name: all is new
        return list(old), [Placed(*each) for each in enumerate(new)], []
    removed = [member for member in old if member.place not in after]
    standing = [
        (index, before[place])
        for index, member in enumerate(new)
        if (place := member.place) in before and old[before[place]] == member and place not in reshown
    ]
    kept = {standing[each][0] for each in _increasing([place for _, place in standing])}
    added: list[Placed] = []
    updated: list[Placed] = []
    for index, member in enumerate(new):
        if index not in kept:
            (updated if member.place in before else added).append(Placed(index, member))
    return removed, added, updated


def splices(old: Sequence[str], new: Sequence[str]) -> list[Splice]:
    """What makes `old` into `new`, to be applied one after the other: rows that are in both stay, as far as their order
    allows."""
    start, old_end, new_end = 0, len(old), len(new)
    shared = min(old_end, new_end)
    while start < shared and old[start] == new[start]:
        start += 1
    while old_end > start and new_end > start and old[old_end - 1] == new[new_end - 1]:
        old_end, new_end = old_end - 1, new_end - 1
    if start == old_end and start == new_end:
        return []
    places: dict[str, list[int]] = {}
    for index in range(old_end - 1, start - 1, -1):
        places.setdefault(old[index], []).append(index)
    both = [(index, places[new[index]].pop()) for index in range(start, new_end) if places.get(new[index])]
    kept = [both[each] for each in _increasing([place for _, place in both])]
    made: list[Splice] = []
    at_new, at_old = start, start
    for index, place in (*kept, (new_end, old_end)):
        if index > at_new or place > at_old:
            made.append(Splice(at_new, place - at_old, tuple(new[at_new:index])))
        at_new, at_old = index + 1, place + 1
    return made


def _increasing(numbers: Sequence[int]) -> Sequence[int]:
    """The indexes of a longest strictly increasing subsequence."""
    if all(a < b for a, b in pairwise(numbers)):
        return range(len(numbers))
    ends: list[int] = []  # ends[n]: the smallest number that ends an increasing subsequence of n + 1
    holders: list[int] = []
    previous: list[int] = []
    for index, number in enumerate(numbers):
        size = bisect_left(ends, number)
        previous.append(holders[size - 1] if size else -1)
        if size == len(ends):
            ends.append(number)
            holders.append(index)
        else:
            ends[size], holders[size] = number, index
    chain: list[int] = []
    index = holders[-1]
    while index >= 0:
        chain.append(index)
        index = previous[index]
    return chain[::-1]
