"""Where the groups of a shape lie, and which of them a record concerns.

A record finds groups, and a group its records, under the same keys: those of an index of the table that all circuits
with the same kind of key share. Under one key lies a bucket of groups.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from sp00ky.ssp.circuit.arrangement import ABSENT, Arrangement, HashIndex, Index, Listener, MultiIndex, Row
from sp00ky.ssp.circuit.buckets import Bucket, bucket_of
from sp00ky.ssp.circuit.dispatch import Dispatch, lengths_of, record_keys
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.circuit.ordered import OrderedIndex
from sp00ky.ssp.circuit.predicate import Binding


class Placement:
    """`circuit` is told by the index about the records that concern one of its `groups`."""

    def __init__(
        self, dispatch: Dispatch, arrangement: Arrangement, circuit: Listener, groups: Mapping[bytes, Members]
    ) -> None:
        self.buckets: dict[Hashable, Bucket] = {}
        self._dispatch = dispatch
        self._arrangement = arrangement
        self._circuit = circuit
        self._groups = groups
        self._lengths: set[int] = set()  # of the beginnings that groups ask for
        self._kind, self._index = self._attach()

    def _attach(self) -> tuple[object, Index]:
        dispatch = self._dispatch
        if not dispatch.several:
            fields = dispatch.fields
            if dispatch.bounds and not fields:
                field = dispatch.bounds[0].field
                order = ((field, "<"),)
                return order, self._arrangement.attach(order, lambda held: OrderedIndex(held, field), self._circuit)
            return fields, self._arrangement.attach(fields, lambda held: HashIndex(held, fields), self._circuit)
        several = dispatch.several
        ways = tuple((each.field, each.op) for each in several)
        kind: object = (ways, id(self._circuit)) if any(op == "STARTS" for _, op in ways) else ways
        return kind, self._arrangement.attach(
            kind, lambda held: MultiIndex(held, record_keys(several, self._lengths)), self._circuit
        )

    def close(self) -> None:
        self._arrangement.detach(self._kind, self._circuit)
        del self._circuit  # which holds this: nothing that was let go waits for the collector

    def put_in(self, group: Members) -> None:
        dispatch = self._dispatch
        for key in dispatch.keys_of(group.binding):
            bucket = self.buckets.get(key)
            if bucket is None:
                bucket = self.buckets[key] = bucket_of(dispatch.bounds)
            bucket.add(group)

    def take_out(self, group: Members) -> None:
        dispatch = self._dispatch
        for key in dispatch.keys_of(group.binding):
            bucket = self.buckets[key]
            bucket.remove(group)
            if not bucket.groups:
                del self.buckets[key]

    def under(self, keys: Sequence[Hashable]) -> Iterable[Members]:
        if ABSENT in keys:
            return self._groups.values()
        found: list[Members] = []
        for key in (*keys, ABSENT):
            bucket = self.buckets.get(key)
            if bucket is not None:
                found += bucket.groups
        return found

    def candidates(self, row: Row) -> Sequence[Members]:
        """The groups that a row concerns, by the index alone."""
        if self._dispatch.several:
            keys = record_keys(self._dispatch.several, self._lengths)(row[0])
            return list(dict.fromkeys(self.under(keys)))
        assert isinstance(self._index, HashIndex), "several keys need a multi index"
        bucket = self.buckets.get(self._index.key_of(row[0]))
        return [] if bucket is None else bucket.concerned(row[0])

    def found(self, binding: Binding) -> Iterable[tuple[bytes, Row]]:
        """The rows that the index gives for a binding. For a beginning of a new length it is made anew: few differ."""
        lengths = lengths_of(self._dispatch.several, binding)
        if not lengths <= self._lengths:
            self._lengths |= lengths
            self._arrangement.detach(self._kind, self._circuit)
            self._kind, self._index = self._attach()
        if isinstance(self._index, OrderedIndex):
            return self._index.rows_between(*self._dispatch.edges_of(binding))
        return self._index.rows_at(self._dispatch.keys_of(binding))

    @property
    def keys(self) -> int:
        """How many keys the index has."""
        return len(self._index.keys)
