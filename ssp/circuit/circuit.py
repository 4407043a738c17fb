"""One circuit a shape: records in, deltas of every group (shape and binding) out.

    entry → arrangement (one a table) → hash index (one a set of fields) → circuit → groups it concerns → deltas

`Δ(σ_b(R)) = σ_b(ΔR)` for every binding b at once: the hash key of the row before and after a change names the two
buckets it can concern; a bucket's span narrows them down by the inequality; what remains is asked for each group. So a
change costs the number of groups it touches, not the number of views registered.

A condition that cannot be evaluated on some record fails the groups it was evaluated for, never the circuit: their
`failure` is set, they get nothing more, and the engine decides what becomes of their views.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from sp00ky.proto.surrealql.ast import Expr
from sp00ky.proto.values.kinds import NONE
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole.scope import EvaluationError, NotPlain
from sp00ky.ssp.circuit.arrangement import Arrangement, Row
from sp00ky.ssp.circuit.dispatch import Bucket, Dispatch, RangeBucket, dispatch_of
from sp00ky.ssp.circuit.members import Failure, Members
from sp00ky.ssp.circuit.predicate import Binding, compile_predicate, compile_sort, compile_value, scope_of
from sp00ky.ssp.circuit.window import Window
from sp00ky.ssp.engine.ready import ViewDelta
from sp00ky.ssp.plan.nodes import Filter, Order, Project, Scan, SortKey
from sp00ky.ssp.plan.nodes import Window as WindowNode

_BIGGEST_INT = (1 << 63) - 1


class BadWindow(ValueError):
    """A LIMIT or START that is no whole number from 0 up."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The nodes of a plan below its projection, each at most once."""

    table: str
    cond: Expr | None
    order: tuple[SortKey, ...]
    window: WindowNode | None


def pipeline_of(root: Project) -> Pipeline:
    """Take a plan apart, from its projection down to its scan."""
    cond: Expr | None = None
    order: tuple[SortKey, ...] = ()
    window: WindowNode | None = None
    node = root.input
    while not isinstance(node, Scan):
        match node:
            case Filter(cond=found):
                cond = found
            case Order(keys=keys):
                order = keys
            case WindowNode():
                window = node
            case Project():
                raise AssertionError("a projection below another")
        node = node.input
    return Pipeline(node.table, cond, order, window)


class Circuit:
    """All groups of one shape over one arrangement."""

    def __init__(self, shape: str, root: Project, arrangement: Arrangement) -> None:
        self.shape = shape
        self.pipeline = pipeline_of(root)
        self.dispatch: Dispatch = dispatch_of(self.pipeline.cond)
        self.groups: dict[bytes, Members] = {}
        self._shared = compile_predicate(self.dispatch.shared)
        self._own = compile_predicate(self.dispatch.own)
        self._sort = compile_sort(self.pipeline.order) if self.pipeline.order else None
        self._nothing = scope_of(())
        self.buckets: dict[Hashable, Bucket] = {}
        self._touched: dict[Members, None] = {}
        self._arrangement = arrangement
        self._index = arrangement.attach(self.dispatch.fields, self)

    # --- changes ---

    def push(
        self, key: bytes, before: Row | None, after: Row | None, left: Bucket | None, entered: Bucket | None
    ) -> None:
        """One record's change: `left` is the bucket its image before lies in, `entered` the one it lies in after."""
        first = last = 0
        if entered is not None and after is not None:
            first, last = entered.span(after[0])
            if first < last and self._shared is not None and not self._passes(key, after, entered.groups[first:last]):
                first = last = 0
            for group in entered.groups[first:last]:
                self._offer(group, key, after)
        if left is not None and before is not None:
            begin, end = left.span(before[0])
            if left is not entered or first == last:
                gone = left.groups[begin:end]
            else:  # the slice that matched before, without the one that matches now
                gone = left.groups[begin : min(end, first)] + left.groups[max(begin, last) : end]
            for group in gone:
                group.push(key, None)
                self._touched[group] = None

    def _passes(self, key: bytes, row: Row, groups: list[Members]) -> bool:
        if self._shared is None:
            return True
        try:
            return self._shared(row[0], (), self._nothing)
        except Exception as error:
            for group in groups:
                self._fail(group, key, error)
            return False

    def _offer(self, group: Members, key: bytes, row: Row) -> None:
        try:
            if self._own is not None and not self._own(row[0], group.binding, group.scope):
                group.push(key, None)
            else:
                group.push(key, row)
        except Exception as error:
            self._fail(group, key, error)
        self._touched[group] = None

    def _fail(self, group: Members, key: bytes, error: Exception) -> None:
        not_plain = isinstance(error, NotPlain) and not isinstance(error, EvaluationError)
        if group.failure is None:
            group.failure = Failure(key, str(error) or type(error).__name__, not_plain)
        self._touched[group] = None

    def flush(self, seq: int) -> Iterator[ViewDelta | Members]:
        """The delta of each group that this step changed, or the group itself if it failed."""
        if self._touched:
            touched, self._touched = self._touched, {}
            for group in touched:
                if group.failure is not None:
                    yield group
                    continue
                delta = group.flush(seq)
                if delta is not None:
                    yield delta

    # --- groups ---

    def group(self, binding: Binding) -> Members:
        """The group of a binding, hydrated; made if there is none. Raises BadWindow. Check its `failure`."""
        packed = pack(list(binding))
        group = self.groups.get(packed)
        if group is None:
            group = self._make(binding)
            self._hydrate(group)
            if group.failure is None:
                self.groups[packed] = group
                self._bucket_of(binding).add(group)
        return group

    def discard(self, group: Members) -> None:
        """Forget a group that no view holds."""
        del self.groups[pack(list(group.binding))]
        key = self.dispatch.key_of(group.binding)
        bucket = self.buckets[key]
        bucket.remove(group)
        if not bucket.groups:
            del self.buckets[key]
        self._touched.pop(group, None)

    def close(self) -> None:
        self._arrangement.detach(self._index, self)

    def _make(self, binding: Binding) -> Members:
        window = self.pipeline.window
        if window is None:
            return Members(self._arrangement, binding, self._sort)
        start = _whole(window.start, binding, "START", 0)
        limit = _whole(window.limit, binding, "LIMIT", None)
        return Window(self._arrangement, binding, self._sort, start=start or 0, limit=limit)

    def _bucket_of(self, binding: Binding) -> Bucket:
        key = self.dispatch.key_of(binding)
        bucket = self.buckets.get(key)
        if bucket is None:
            bound = self.dispatch.bound
            bucket = self.buckets[key] = Bucket() if bound is None else RangeBucket(bound)
        return bucket

    def _hydrate(self, group: Members) -> None:
        """σ(R) from the index: a known shape with an equality never scans the table."""
        bound = self.dispatch.bound
        alone = Bucket() if bound is None else RangeBucket(bound)
        alone.add(group)
        for key, row in self._index.rows_at(self.dispatch.key_of(group.binding)):
            first, last = alone.span(row[0])
            if first < last and self._passes(key, row, alone.groups):
                self._offer(group, key, row)
            if group.failure is not None:
                break
        self._touched.pop(group, None)
        group.flush(0)

    def state_sizes(self) -> Mapping[str, int]:
        """What is held now, for `explain`."""
        return {
            "groups": len(self.groups),
            "members": sum(group.size for group in self.groups.values()),
            "index keys": len(self._index.keys),
            "rows": len(self._arrangement.rows),
        }


def _whole(expr: Expr | None, binding: Binding, clause: str, otherwise: int | None) -> int | None:
    if expr is None:
        return otherwise
    value = compile_value(expr)({}, binding, scope_of(binding))
    if type(value) is not int or not 0 <= value <= _BIGGEST_INT:
        shown = "NONE" if value is NONE else repr(value)
        raise BadWindow(f"{clause} must be a whole number from 0 up, not {shown}")
    return value
