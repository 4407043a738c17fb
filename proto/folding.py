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
    """The change from `old` to `new`. `reshown`: members that show something else though their version is the same.
    It is quick where members that stand are the same objects."""
    removed, added, updated = _members(old.members, new.members, reshown)
    return Change(removed, added, updated, splices(old.rows, new.rows))


def _members(
    old: Sequence[Member], new: Sequence[Member], reshown: Collection[Place]
) -> tuple[list[Member], list[Placed], list[Placed]]:
    known = {id(member) for member in old}
    if old and new and not any(id(member) in known for member in new):  # made elsewhere: equal ones become the same
        canonical = {member: member for member in old}
        new = [canonical.get(member, member) for member in new]
    here = {id(member) for member in new}
    if len(known) != len(old) or len(here) != len(new):
        return _all_anew(old, new)
    if reshown:
        ids = {place.id for place in reshown}
        here -= {id(member) for member in new if member.id in ids and member.place in reshown}
    standing = known & here
    left = [member for member in old if id(member) not in standing]
    places = [(at, member) for at, member in enumerate(new) if id(member) not in standing]
    if not _in_order(old, new, standing):
        standing = _kept(old, new, standing)
        left = [member for member in old if id(member) not in standing]
        places = [(at, member) for at, member in enumerate(new) if id(member) not in standing]
    before = {member.place for member in left}
    after = {member.place for _, member in places}
    named = before | after
    ids = {place.id for place in named}
    twice = any(member.id in ids and id(member) in standing and member.place in named for member in new)
    if twice or len(before) != len(left) or len(after) != len(places):
        return _all_anew(old, new)
    removed = [member for member in left if member.place not in after]
    added = [Placed(at, member) for at, member in places if member.place not in before]
    updated = [Placed(at, member) for at, member in places if member.place in before]
    return removed, added, updated


def _all_anew(old: Sequence[Member], new: Sequence[Member]) -> tuple[list[Member], list[Placed], list[Placed]]:
    """A place that is taken twice is no name."""
    return list(old), [Placed(*each) for each in enumerate(new)], []


def _in_order(old: Sequence[Member], new: Sequence[Member], standing: Collection[int]) -> bool:
    """Whether what stands has the same order in both."""
    return [id(each) for each in old if id(each) in standing] == [id(each) for each in new if id(each) in standing]


def _kept(old: Sequence[Member], new: Sequence[Member], standing: Collection[int]) -> set[int]:
    """As many as possible of what stands, so that their order is the same in both."""
    place_of = {id(member): at for at, member in enumerate(old)}
    both = [member for member in new if id(member) in standing]
    return {id(both[each]) for each in _increasing([place_of[id(member)] for member in both])}


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
    if old_end == new_end:
        others = [at for at in range(start, new_end) if old[at] != new[at]]
        if 2 * len(others) <= new_end - start:  # most stand where they stood
            return _replaced(new, others)
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


def _replaced(new: Sequence[str], places: Sequence[int]) -> list[Splice]:
    """One row for one, at these places; neighbours together."""
    made: list[Splice] = []
    for at in places:
        if made and made[-1].at + made[-1].removed == at:
            last = made.pop()
            made.append(Splice(last.at, last.removed + 1, (*last.inserted, new[at])))
        else:
            made.append(Splice(at, 1, (new[at],)))
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
