"""GROUP BY and GROUP ALL: the rows that pass, gathered by key, and of each group its row of the result.

    Δ(γ(R)) = the outputs of the groups that ΔR touches, before and after

Of each row its key and what its group gathers of it are kept, evaluated once; a group is computed again only in a step
that touches it. Counts and sums of whole numbers are kept by a *tally* in O(1) a row; other aggregates, and sums of
other numbers, are computed from what the group has gathered, in the order of the rows' ids, on which floats depend.

The rows of such a result have no record ids, so there are no members to tell of: a delta says that the result is
another. Invariant: between steps the outputs are those of the plain evaluator over the rows that pass
(`proto/whole/group.py`); its twin is that.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sp00ky.proto import digest
from sp00ky.proto.surrealql.ast import Select
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole import numbers
from sp00ky.proto.whole.aggregates import wrapped
from sp00ky.proto.whole.group import Grouping, Slot, is_counting, key_of, place_of
from sp00ky.proto.whole.scope import Scope
from sp00ky.proto.whole.select import finish_groups
from sp00ky.ssp.circuit.arrangement import Arrangement, Row
from sp00ky.ssp.circuit.members import Members, failure_of
from sp00ky.ssp.circuit.predicate import Binding
from sp00ky.ssp.circuit.traced import listing
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta
from sp00ky.ssp.plan.build import shown_params
from sp00ky.ssp.plan.nodes import Incremental


@dataclass(frozen=True, slots=True)
class GroupedQuery:
    """A SELECT with GROUP over the rows of a circuit. `keeps_nothing`: GROUP ALL of no rows is one row."""

    select: Select
    grouping: Grouping
    scope: Scope
    keeps_nothing: bool


def grouped_query(plan: Incremental) -> GroupedQuery:
    """Of a plan with GROUP. A user sees no row where a service sees one of nothing."""
    given = {name: plan.params.get(name, NONE) for name in shown_params(plan.select)}
    return GroupedQuery(plan.select, Grouping(plan.select), Scope(given, None), keeps_nothing=plan.user is None)


# --- tallies ---------------------------------------------------------------------------------------------------------


class Tally(Protocol):
    """One aggregate of one group, kept while rows come and go."""

    def count(self, value: Value, by: int) -> None:
        """A row with this value has come (1) or gone (-1)."""

    def result(self) -> Value | None:
        """None: it has to be computed from all values."""


class Count:
    """`count(…)`: how many are true."""

    __slots__ = ("_true",)

    def __init__(self) -> None:
        self._true = 0

    def count(self, value: Value, by: int) -> None:
        if order.truthy(value):
            self._true += by

    def result(self) -> Value | None:
        return self._true


class Sum:
    """`math::sum` while all numbers are whole: these wrap round, so that their order does not count."""

    __slots__ = ("_others", "_total")

    def __init__(self) -> None:
        self._total = 0
        self._others = 0  # numbers that are not whole

    def count(self, value: Value, by: int) -> None:
        if type(value) is int:
            self._total += by * value
        elif numbers.is_number(value):
            self._others += by

    def result(self) -> Value | None:
        return None if self._others else wrapped(self._total)


TALLIES: Final[Mapping[str, Callable[[], Tally]]] = {"count": Count, "math::sum": Sum}


def _tally_of(slot: Slot) -> Tally | None:
    """None: what the slot gathers is looked at whole."""
    kind = None if slot.call is None else TALLIES.get(slot.call.name)
    return None if kind is None else kind()


# --- groups ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Gathered:
    """A row that passes: of which group it is, and what that gathers of it."""

    version: int
    at: Hashable
    key: list[Value]
    values: list[Value]
    place: tuple[Any, ...]  # in record id order; ends with the row's key


class Group:
    """The rows of one key. Equal keys may be of different kinds (1 and 1.0): the first row's is the one that shows."""

    __slots__ = ("_spellings", "key", "output", "part", "places", "rows", "tallies")

    def __init__(self, key: list[Value], query: GroupedQuery) -> None:
        self.key = key
        self._spellings = Counter[bytes]()  # how many rows have the key in each of its forms
        self.rows: dict[bytes, _Gathered] = {}
        self.tallies = [_tally_of(slot) for slot in query.grouping.slots]
        self.places: list[tuple[Any, ...]] | None = None  # of all rows, in order; None until somebody needs it
        self.output: Value = None
        self.part = digest.EMPTY  # of the hash

    def put(self, key: bytes, gathered: _Gathered) -> None:
        self.rows[key] = gathered
        self._spellings[pack(gathered.key)] += 1
        for tally, value in zip(self.tallies, gathered.values, strict=True):
            if tally is not None:
                tally.count(value, 1)
        if self.places is not None:
            insort(self.places, gathered.place)

    def take(self, key: bytes) -> None:
        gathered = self.rows.pop(key)
        spelling = pack(gathered.key)
        self._spellings[spelling] -= 1
        if not self._spellings[spelling]:
            del self._spellings[spelling]
        for tally, value in zip(self.tallies, gathered.values, strict=True):
            if tally is not None:
                tally.count(value, -1)
        if self.places is not None:
            del self.places[bisect_left(self.places, gathered.place)]

    def output_of(self, query: GroupedQuery) -> Value:
        """The row of the result, as of now."""
        if len(self._spellings) > 1:
            self.key = min(self.rows.values(), key=lambda gathered: gathered.place).key
        elif self.rows:
            self.key = next(iter(self.rows.values())).key
        return query.grouping.output(self.key, self._results(query), query.scope)

    def _results(self, query: GroupedQuery) -> list[Value]:
        return [self._result(at, slot, query.scope) for at, slot in enumerate(query.grouping.slots)]

    def _result(self, at: int, slot: Slot, scope: Scope) -> Value:
        tally = self.tallies[at]
        result = None if tally is None else tally.result()
        return slot.result(self._values(at), scope) if result is None else result

    def _values(self, at: int) -> list[Value]:
        if self.places is None:
            self.places = sorted(gathered.place for gathered in self.rows.values())
        rows = self.rows
        return [rows[place[-1]].values[at] for place in self.places]


class Groups(Members):
    """The groups of one shape and binding. `rows` is the result."""

    __slots__ = ("_changed", "_gathered", "_groups", "_hash", "_query", "_result")

    def __init__(self, arrangement: Arrangement, binding: Binding, query: GroupedQuery) -> None:
        super().__init__(arrangement, binding, None)
        self._query = query
        self._gathered: dict[bytes, _Gathered] = {}
        self._groups: dict[Hashable, Group] = {}
        self._changed: dict[Hashable, None]  # keys of groups whose output may be another
        self._result: Value = None  # None: to be made
        self._hash = digest.EMPTY
        if not query.grouping.keys and query.keeps_nothing:
            self._groups[()] = Group([], query)
        self._changed = dict.fromkeys(self._groups)

    def known(self) -> set[bytes]:
        return set(self._gathered)

    def push(self, key: bytes, row: Row | None) -> None:
        held = self._gathered.get(key)
        if row is None:
            if held is not None:
                self._take(key, held)
            return
        if held is not None and held.version == row[1]:
            return
        record, grouping, scope = self._arrangement.rows[key][0], self._query.grouping, self._query.scope
        values, arguments = grouping.key(record, scope), grouping.arguments(record, scope)
        if held is not None:
            self._take(key, held)
        at = key_of(values)
        group = self._groups.get(at)
        if group is None:
            group = self._groups[at] = Group(values, self._query)
        gathered = self._gathered[key] = _Gathered(row[1], at, values, arguments, self._arrangement.order_of(key))
        group.put(key, gathered)
        self._changed[at] = None

    def _take(self, key: bytes, held: _Gathered) -> None:
        del self._gathered[key]
        self._groups[held.at].take(key)
        self._changed[held.at] = None

    # --- what came of it ---

    def flush(self, seq: int) -> ViewDelta | None:
        """A delta without members, if the result is another now."""
        changed, self._changed = self._changed, {}
        if not changed:
            return None
        before = self._hash
        try:
            total = before if self._is_whole else digest.EMPTY
            for at in changed:
                total = self._computed(at, total)
            self._result = None
            self._hash = total if self._is_whole else self._digest_of_result()
        except Exception as error:
            self.failure = failure_of(b"", error)
            return None
        return None if self._hash == before else ViewDelta(self.views, seq, [], [], [])

    def _digest_of_result(self) -> int:
        result = self.result()
        return _digest_of(result) if listing(result) else digest.EMPTY

    @property
    def _is_whole(self) -> bool:
        """Whether the result is every output, so that its hash is the sum of theirs, and what follows cannot fail."""
        select = self._query.select
        cut = select.order or select.only or select.limit is not None or select.start is not None
        return not cut and not is_counting(select)

    def _computed(self, at: Hashable, total: int) -> int:
        """The total with the group's output as it is now in place of what it was."""
        group, query = self._groups[at], self._query
        total = digest.remove(total, group.part)
        if not group.rows and (at or not query.keeps_nothing):
            del self._groups[at]
            return total
        group.output = group.output_of(query)
        group.part = _digest_of(group.output)
        return digest.add(total, group.part)

    # --- reading ---

    def result(self) -> Value:
        """What the query answers."""
        if self._result is None:
            query = self._query
            groups = sorted(self._groups.values(), key=lambda group: place_of(group.key))
            outputs = [group.output for group in groups]
            self._result = finish_groups(query.select, outputs, len(self._gathered), query.scope)
        return self._result

    @property
    def hash(self) -> int:
        return self._hash

    @property
    def size(self) -> int:
        return len(listing(self.result()))

    def ordered(self) -> Sequence[bytes]:
        """No rows of the result are records."""
        return ()

    def children(self) -> list[MemberChange]:
        return []

    def state_sizes(self) -> Mapping[str, int]:
        return {"groups of rows": len(self._groups), "rows gathered": len(self._gathered), "views": len(self.views)}


def _digest_of(value: Value) -> int:
    return digest.member_digest(pack(value), 0)
