"""The circuit equals its naive twin: the query run whole over the rows, after every step and in one big step."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sp00ky.proto.surrealql.ast import Expr, Hole, Literal, Param, Select
from sp00ky.proto.surrealql.parser import parse_expr, parse_select
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.order import sort_key, truthy
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.scope import Scope
from sp00ky.proto.whole.select import run_select
from sp00ky.ssp.circuit.predicate import compile_predicate, compile_sort, scope_of
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.plan.nodes import SortKey
from sp00ky.ssp.plan.tree import rewrite

from tests.harness.driven_engine import Driven
from tests.harness.queries import TABLE, VALUES, Change, Draw

SEEDS = st.integers(0, 2**32).map(random.Random)
# A seed does not shrink: a failure prints its history as it is.
QUICK = settings(deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
VIEWS = 6


class Rows:
    """One table as a source for the twin, in record id order."""

    def __init__(self) -> None:
        self.records: dict[RecordId, dict[str, Value]] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            record = RecordId(TABLE, change.key)
            self.records.pop(record, None)
            if change.record is not None:
                self.records[record] = change.record

    def rows(self, table: str) -> list[tuple[RecordId, dict[str, Value]]]:
        assert table == TABLE
        return sorted(self.records.items(), key=lambda item: sort_key(item[0]))

    def get(self, record: RecordId) -> dict[str, Value] | None:
        return self.records.get(record)


def registered(driven: Driven, draw: Draw, count: int) -> dict[str, tuple[Select, dict[str, Value]]]:
    """Views of random queries, some of which share shapes and bindings."""
    queries: dict[str, tuple[Select, dict[str, Value]]] = {}
    known: list[tuple[str, dict[str, Value]]] = []
    for number in range(count):
        again = known and draw.source.random() < 0.2
        surql, params = draw.source.choice(known) if again else draw.query()
        known.append((surql, params))
        driven.log.register(f"v{number}", surql, params)
        queries[f"v{number}"] = (parse_select(surql), params)
    return queries


def append(driven: Driven, changes: Iterable[Change]) -> None:
    for change in changes:
        driven.log.change(TABLE, change.key, change.record)


def check(driven: Driven, queries: dict[str, tuple[Select, dict[str, Value]]], rows: Rows) -> None:
    for view, (select, params) in queries.items():
        reading = driven.engine.view(ViewKey(view))
        assert reading is not None and reading.mode == "incremental", reading and reading.reason
        assert (reading.state, reading.error) == ("live", "")
        expected = run_select(select, Scope(params, rows))
        assert reading.rows() == expected, reading.surql
        assert [member.id for member in reading.members] == [row["id"] for row in expected], reading.surql
        assert reading.size == len(expected)
        assert driven.members[ViewKey(view)] == driven.current(view), f"deltas of {reading.surql}"


@given(SEEDS)
@settings(QUICK, max_examples=60)
def test_circuit_equals_whole_step_by_step_and_at_once(source: random.Random) -> None:
    draw, rows = Draw(source, plain=source.random() < 0.5), Rows()
    stepped, at_once = Driven(), Driven()
    before = draw.changes(8)
    for driven in (stepped, at_once):
        append(driven, before)
        driven.welcome()
    rows.apply(before)
    state = source.getstate()
    queries = registered(stepped, draw, VIEWS)
    source.setstate(state)
    registered(at_once, draw, VIEWS)
    for driven in (stepped, at_once):
        driven.catch_up()
    check(stepped, queries, rows)
    for _ in range(12):
        changes = draw.changes(source.choice((1, 1, 2, 5)))
        rows.apply(changes)
        for driven in (stepped, at_once):
            append(driven, changes)
        stepped.catch_up()
        check(stepped, queries, rows)
    at_once.catch_up()
    check(at_once, queries, rows)
    for view in queries:
        one, other = stepped.engine.view(ViewKey(view)), at_once.engine.view(ViewKey(view))
        assert one is not None and other is not None and one.hash == other.hash
        assert stepped.current(view) == at_once.current(view)


@given(SEEDS)
@settings(QUICK, max_examples=40)
def test_registering_late_equals_registering_early(source: random.Random) -> None:
    draw, rows, driven = Draw(source), Rows(), Driven()
    driven.welcome()
    queries: dict[str, tuple[Select, dict[str, Value]]] = {}
    for number in range(5):
        changes = draw.changes(4)
        append(driven, changes)
        rows.apply(changes)
        surql, params = draw.query()
        driven.log.register(f"v{number}", surql, params)
        queries[f"v{number}"] = (parse_select(surql), params)
        driven.catch_up()
        check(driven, queries, rows)
    gone = source.choice(list(queries))
    driven.log.unregister(gone)
    del queries[gone]
    append(driven, changes := draw.changes(4))
    rows.apply(changes)
    driven.catch_up()
    check(driven, queries, rows)
    assert driven.engine.view(ViewKey(gone)) is None


def lifted(expr: Expr) -> tuple[Expr, tuple[Value, ...]]:
    binding: list[Value] = []

    def lift(node: object) -> object:
        if isinstance(node, Literal):
            binding.append(node.value)
            return Hole(len(binding) - 1)
        return node

    return rewrite(expr, lift), tuple(binding)


@given(SEEDS)
@settings(QUICK, max_examples=300)
def test_compiled_predicate_equals_whole(source: random.Random) -> None:
    draw = Draw(source)
    text = draw.condition(3)
    expr = rewrite(parse_expr(text), lambda node: Literal(draw.params[node.name]) if isinstance(node, Param) else node)
    shape, binding = lifted(expr)
    compiled = compile_predicate(shape)
    assert compiled is not None
    for _ in range(5):
        record = draw.record(1)
        expected = truthy(evaluate(expr, record, Scope({}, None)))
        assert compiled(record, binding, scope_of(binding)) is expected, (text, record)


@given(SEEDS)
@settings(QUICK, max_examples=100)
def test_descending_is_ascending_backwards(source: random.Random) -> None:
    values = [source.choice(VALUES) for _ in range(8)] + [float("nan"), float("-inf"), 1e300, 2**60]
    key = parse_expr("a")
    ascending, backwards = compile_sort([SortKey(key)]), compile_sort([SortKey(key, descending=True)])
    scope = scope_of(())
    for left in values:
        for right in values:
            up = ascending({"a": left}, (), scope) < ascending({"a": right}, (), scope)
            down = backwards({"a": right}, (), scope) < backwards({"a": left}, (), scope)
            assert up is down, (left, right)
