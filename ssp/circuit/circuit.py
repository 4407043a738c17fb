"""One circuit a shape: records in, deltas of every group (shape and binding) out.

    entry → arrangement (one a table) → index (one a set of fields) → circuit → groups it concerns → deltas

`Δ(σ_b(R)) = σ_b(ΔR)` for every binding b at once: the key of the row before and after a change names the buckets it can
concern; a bucket's span narrows them down by the inequality; what remains is asked for each group. So a change costs
the number of groups it touches, not the number of views registered.

What a condition reads beyond its row is traced, by row where no constant is involved (`_shared_readers`) and by row and
group where one is; a change of it offers the row again. A dynamic constant is traced by group, and moves the group to
other buckets. What members show beyond their own record is kept by `Presentation`.

A condition that cannot be evaluated on some record fails the groups it was evaluated for, never the circuit: their
`failure` is set, they get nothing more, and the engine decides what becomes of their views.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from sp00ky.proto.surrealql.ast import Expr
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.order import truthy
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.scope import Scope, Source
from sp00ky.ssp.circuit.arrangement import Arrangement, Row
from sp00ky.ssp.circuit.buckets import Bucket, bucket_of
from sp00ky.ssp.circuit.column import column_of
from sp00ky.ssp.circuit.dispatch import Dispatch, dispatch_of
from sp00ky.ssp.circuit.grouped import Groups, grouped_query
from sp00ky.ssp.circuit.members import Members, failure_of
from sp00ky.ssp.circuit.pipeline import pipeline_of, whole_number
from sp00ky.ssp.circuit.placement import Placement
from sp00ky.ssp.circuit.predicate import (
    Binding,
    compile_predicate,
    compile_sort,
    holes_as_params,
    scope_of,
)
from sp00ky.ssp.circuit.presentation import Presentation
from sp00ky.ssp.circuit.tracing import Reader, Tracing
from sp00ky.ssp.circuit.window import Window
from sp00ky.ssp.engine.ready import ViewDelta
from sp00ky.ssp.plan.nodes import Incremental
from sp00ky.ssp.plan.terms import Dynamic


class Circuit:
    """All groups of one shape over one arrangement. `source`: what its expressions read beside their row."""

    def __init__(self, plan: Incremental, arrangement: Arrangement, tracing: Tracing, source: Source) -> None:
        self.shape = plan.shape
        self.table = plan.table
        self.pipeline = pipeline_of(plan.root)
        self.dispatch: Dispatch = dispatch_of(self.pipeline.cond)
        self.groups: dict[bytes, Members] = {}
        self.source = source
        self.presentation = Presentation(plan, arrangement, tracing, source, self) if plan.shows else None
        self._grouped = grouped_query(plan) if plan.select.group is not None else None
        self._shared = compile_predicate(self.dispatch.shared)
        self._own = compile_predicate(self.dispatch.own)
        self._foreign_shared = holes_as_params(self.dispatch.foreign_shared)
        self._foreign_own = holes_as_params(self.dispatch.foreign_own)
        self._sort = compile_sort(self.pipeline.order) if self.pipeline.order else None
        self._nothing = scope_of((), source)
        self._touched: dict[Members, None] = {}
        self._shared_readers: dict[bytes, Reader] = {}
        self._offered_again: dict[tuple[bytes, Members | None], None] = {}
        self._rebound: dict[Members, None] = {}
        self._arrangement = arrangement
        self._tracing = tracing
        self._columns = tuple(column_of(arrangement, name, expr, tracing, self) for name, expr in plan.columns.items())
        self._placement = Placement(self.dispatch, arrangement, self, self.groups)
        self.buckets = self._placement.buckets

    def close(self) -> None:
        self._placement.close()
        for reader in self._shared_readers.values():
            self._tracing.release(reader)
        for column in self._columns:
            column.release(self)
        self._tracing.sleep(self)
        self.presentation = None  # which knows this circuit: nothing that was let go waits for the collector

    # --- changes of records ---

    def push(
        self, key: bytes, before: Row | None, after: Row | None, left: Bucket | None, entered: Bucket | None
    ) -> None:
        """One record's change: `left` is the bucket its image before lies in, `entered` the one it lies in after."""
        concerned: Sequence[Members] = ()
        offered: Sequence[Members] = ()
        if entered is not None and after is not None:
            concerned = entered.concerned(after[0])
            if concerned and self._passes(key, after, concerned):
                offered = concerned
                for group in offered:
                    self._offer(group, key, after)
        if left is not None and before is not None:
            gone = left.concerned(before[0])
            if offered and left is entered:
                gone = _without(gone, offered)
            for group in gone:
                self._withdraw(group, key)
        if not concerned and self._shared_readers:
            self._forget_shared(key)

    def push_many(
        self, key: bytes, before: Row | None, after: Row | None, left: Sequence[Hashable], entered: Sequence[Hashable]
    ) -> None:
        """The same where a record may lie in several buckets."""
        leaving = dict.fromkeys(self._placement.under(left)) if before is not None else {}
        asked = list(dict.fromkeys(self._placement.under(entered))) if after is not None else []
        if after is not None and asked and self._passes(key, after, asked):
            for group in asked:
                self._offer(group, key, after)
                leaving.pop(group, None)
        if not asked and self._shared_readers:
            self._forget_shared(key)
        for group in leaving:
            self._withdraw(group, key)

    def _passes(self, key: bytes, row: Row, groups: Sequence[Members]) -> bool:
        """Whether the record passes what is asked once for all groups."""
        try:
            if self._shared is not None and not self._shared(row[0], (), self._nothing):
                return False
            if self._foreign_shared is not None:
                reader = self._shared_readers.get(key)
                if reader is None:
                    reader = self._shared_readers[key] = Reader(self, (key, None))
                return self._ask(self._foreign_shared, key, self._nothing, reader)
        except Exception as error:
            for group in groups:
                self._fail(group, key, error)
            return False
        return True

    def _offer(self, group: Members, key: bytes, row: Row) -> None:
        try:
            passes = self._own is None or self._own(row[0], group.binding, group.scope)
            if self._foreign_own is not None:
                if passes:
                    reader = group.readers.get(key)
                    if reader is None:
                        reader = group.readers[key] = Reader(self, (key, group))
                    passes = self._ask(self._foreign_own, key, group.scope, reader)
                else:
                    self._forget_own(group, key)
            group.push(key, row if passes else None)
        except Exception as error:
            self._fail(group, key, error)
        self._touched[group] = None

    def _withdraw(self, group: Members, key: bytes) -> None:
        if group.readers:
            self._forget_own(group, key)
        group.push(key, None)
        self._touched[group] = None

    def _ask(self, expr: Expr, key: bytes, scope: Scope, reader: Reader) -> bool:
        """A condition that reads other records, of the record itself, without its columns."""
        record = self._arrangement.rows[key][0]
        return self._tracing.trace(reader, lambda: truthy(evaluate(expr, record, scope)))

    def _forget_shared(self, key: bytes) -> None:
        reader = self._shared_readers.pop(key, None)
        if reader is not None:
            self._tracing.release(reader)

    def _forget_own(self, group: Members, key: bytes) -> None:
        reader = group.readers.pop(key, None)
        if reader is not None:
            self._tracing.release(reader)

    def _fail(self, group: Members, key: bytes, error: Exception) -> None:
        if group.failure is None:
            group.failure = failure_of(key, error)
        self._touched[group] = None

    def break_on(self, key: bytes, error: Exception) -> None:
        """A column of this shape could not be computed for a row."""
        for group in self.groups.values():
            self._fail(group, key, error)

    # --- changes of what was read ---

    def touched(self, reader: Reader) -> None:
        """Something that a condition or a dynamic constant read has changed."""
        if isinstance(reader.key, Members):
            self._rebound[reader.key] = None
        else:
            self._offered_again[reader.key] = None
        self._tracing.wake(self)

    def settle(self) -> None:
        """Offer again the rows, and bind again the groups, that what they read concerns. After every `propagate`."""
        again, self._offered_again = self._offered_again, {}
        for key, group in again:
            row = self._arrangement.images.get(key)
            if row is None:
                continue
            if group is not None:
                if key in group.readers:
                    self._offer(group, key, row)
            elif key in self._shared_readers:
                self._offer_all(key, row)
        rebound, self._rebound = self._rebound, {}
        for group in rebound:
            self._rebind(group)

    def _offer_all(self, key: bytes, row: Row) -> None:
        groups = self._placement.candidates(row)
        passes = self._passes(key, row, groups)
        for group in groups:
            if passes:
                self._offer(group, key, row)
            else:
                self._withdraw(group, key)
        if not groups:
            self._forget_shared(key)

    def _rebind(self, group: Members) -> None:
        """A dynamic constant may be another now: the group moves to its new buckets and is hydrated anew, by
        difference."""
        if group.failure is not None or group.static is None:
            return
        try:
            binding = self._bound(group)
            same = pack(list(binding)) == pack(list(group.binding))
        except Exception as error:
            self._fail(group, b"", error)
            return
        if same:
            return
        self._placement.take_out(group)
        known = group.known() | set(group.readers)
        group.rebind(binding)
        self._placement.put_in(group)
        for key in self._hydrate(group):
            known.discard(key)
        for key in known:
            self._withdraw(group, key)
        self._touched[group] = None

    # --- deltas ---

    def flush(self, seq: int) -> Iterator[ViewDelta | Members]:
        """The delta of each group that this step changed, or the group itself if it failed."""
        if self.presentation is not None:
            for group in self.presentation.refresh(self._touched):
                self._touched[group] = None
        if self._touched:
            touched, self._touched = self._touched, {}
            for group in touched:
                if group.failure is not None:
                    yield group
                    continue
                delta = group.flush(seq)
                if group.failure is not None:
                    yield group
                elif delta is not None:
                    yield delta

    def fail_all(self, error: Exception) -> list[Members]:
        """The circuit itself has broken."""
        self.break_on(b"", error)
        self._touched.clear()
        return list(self.groups.values())

    # --- groups ---

    def group(self, binding: Binding) -> Members:
        """The group of a binding, hydrated; made if there is none. Raises BadWindow. Check its `failure`."""
        packed = group_key(binding)
        group = self.groups.get(packed)
        if group is None:
            group = self._make(binding)
            if group.failure is None:
                for _ in self._hydrate(group):
                    pass
                self._present(group)
            if group.failure is None:
                self.groups[packed] = group
                self._placement.put_in(group)
            else:
                self._forget(group)
        return group

    def discard(self, group: Members) -> None:
        """Forget a group that no view holds."""
        del self.groups[group_key(group.static or group.binding)]
        self._placement.take_out(group)
        self._forget(group)

    def _forget(self, group: Members) -> None:
        for reader in (*group.readers.values(), *group.binding_readers):
            self._tracing.release(reader)
        group.readers.clear()
        group.binding_readers = ()
        if self.presentation is not None:
            self.presentation.leave_all(group)
        self._touched.pop(group, None)
        self._rebound.pop(group, None)
        if not self.groups:
            for key in list(self._shared_readers):
                self._forget_shared(key)

    def _make(self, binding: Binding) -> Members:
        """A group without members. Its dynamic constants are computed, or have failed it."""
        window = self.pipeline.window
        dynamic = any(type(each) is Dynamic for each in binding)
        static = binding if dynamic else None
        if dynamic:
            binding = tuple(NONE if type(each) is Dynamic else each for each in binding)
        if self._grouped is not None:
            group: Members = Groups(self._arrangement, binding, self._grouped)
        elif window is None:
            group = Members(self._arrangement, binding, self._sort, self.presentation)
        else:
            start = whole_number(window.start, binding, "START", 0)
            limit = whole_number(window.limit, binding, "LIMIT", None)
            group = Window(self._arrangement, binding, self._sort, self.presentation, start=start or 0, limit=limit)
        group.static = static
        group.source = self.source
        for column in self._columns:
            for key, error in column.broken.items():
                group.failure = failure_of(key, error)
        if dynamic:
            try:
                group.rebind(self._bound(group))
            except Exception as error:
                group.failure = failure_of(b"", error)
        return group

    def _bound(self, group: Members) -> Binding:
        """The binding with its dynamic constants computed as of now; what they read is the group's."""
        if not group.binding_readers:
            group.binding_readers = (Reader(self, group),)
        static = group.static or ()

        def compute() -> Binding:
            return tuple(self._constant(each) if type(each) is Dynamic else each for each in static)

        return self._tracing.trace(group.binding_readers[0], compute)

    def _constant(self, dynamic: Dynamic) -> Value:
        source = self._tracing.source if dynamic.ruling else self.source
        return evaluate(dynamic.expr, NONE, Scope(dict(dynamic.params), source))

    def _hydrate(self, group: Members) -> Iterator[bytes]:
        """σ(R) from the index: a known shape with an equality never scans the table. The keys it was offered."""
        alone = bucket_of(self.dispatch.bounds)
        alone.add(group)
        for key, row in self._placement.found(group.binding):
            if alone.concerned(row[0]) and self._passes(key, row, alone.groups):
                self._offer(group, key, row)
                yield key
            if group.failure is not None:
                break
        self._touched.pop(group, None)

    def _present(self, group: Members) -> None:
        """What a new group's members show, and the group's first result."""
        if self.presentation is not None and group.failure is None:
            for _ in self.presentation.refresh({group: None}):
                pass
        if group.failure is None:
            group.flush(0)

    def state_sizes(self) -> Mapping[str, int]:
        """What is held now, for `explain`."""
        sizes = {
            "groups": len(self.groups),
            "members": sum(group.size for group in self.groups.values()),
            "index keys": self._placement.keys,
            "rows": len(self._arrangement.rows),
        }
        if self.presentation is not None:
            sizes["shown"] = len(self.presentation.shown)
        return sizes


def _without(groups: Sequence[Members], those: Sequence[Members]) -> Sequence[Members]:
    if groups is those:
        return ()
    left_out = set(those)
    return [group for group in groups if group not in left_out]


def group_key(binding: Binding) -> bytes:
    """Equal for bindings that are the same constants, and the same expressions for dynamic ones."""
    if any(type(each) is Dynamic for each in binding):
        binding = tuple(repr(each) if type(each) is Dynamic else each for each in binding)
    return pack(list(binding))
