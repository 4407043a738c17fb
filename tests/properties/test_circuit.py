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
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.scope import Indexed, Scope
from sp00ky.proto.whole.select import run_select
from sp00ky.ssp.circuit.arrangement import Arrangement
from sp00ky.ssp.circuit.predicate import compile_predicate, compile_sort, scope_of
from sp00ky.ssp.circuit.window import Window
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.plan.nodes import SortKey
from sp00ky.ssp.plan.tree import rewrite

from tests.harness.driven_engine import Driven
from tests.harness.queries import TABLE, VALUES, Change, Draw

SEEDS = st.integers(0, 2**32).map(random.Random)
# A seed does not shrink: a failure prints its history as it is.
QUICK = settings(deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
VIEWS = 8


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

    def tables(self) -> list[str]:
        return [TABLE]


def registered(driven: Driven, draw: Draw, count: int) -> dict[str, tuple[Select, dict[str, Value]]]:
    """Views of random queries, some of which share shapes and bindings."""
    queries: dict[str, tuple[Select, dict[str, Value]]] = {}
    known: list[tuple[str, dict[str, Value]]] = []
    for number in range(count):
        if known and draw.source.random() < 0.4:
            surql, params = draw.source.choice(known)
            params = draw.rebound(params) if draw.source.random() < 0.7 else params
        else:
            surql, params = draw.query()
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
        expected = run_select(select, Scope(params, Indexed(rows)))
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


@given(st.integers(0, 2**32), st.integers(0, 3), st.integers(0, 4), st.none() | st.integers(0, 4))
@settings(QUICK, max_examples=80)
def test_window_equals_sorting_everything(seed: int, slack: int, start: int, limit: int | None) -> None:
    source, arrangement = random.Random(seed), Arrangement(TABLE)
    key_of = compile_sort([SortKey(parse_expr("a"), descending=seed % 2 == 0)])
    window = Window(arrangement, (), key_of, start=start, limit=limit, slack_min=slack)
    before: dict[RecordId, int] = {}
    for seq in range(1, 150):
        for _ in range(source.choice((1, 1, 4))):
            key = source.randrange(40)
            packed = pack(key)
            if source.random() < 0.45:
                if arrangement.rows.pop(packed, None) is not None:
                    window.push(packed, None)
            else:
                row = ({"id": RecordId(TABLE, key), "a": source.randrange(6)}, seq)
                arrangement.rows[packed] = row
                window.push(packed, row)
        delta = window.flush(seq)
        ranked = sorted(arrangement.rows, key=lambda key: (key_of(arrangement.rows[key][0], (), window.scope), key))
        expected = ranked[start:] if limit is None else ranked[start : start + limit]
        assert list(window.ordered()) == expected
        after = {arrangement.rows[key][0]["id"]: arrangement.rows[key][1] for key in expected}
        assert {member.id: member.version for member in window.members.values()} == after
        if delta is not None:
            assert {member.id for member in delta.added} == after.keys() - before.keys()
            assert {m.id: m.version for m in delta.removed} == {r: before[r] for r in before if r not in after}
            assert {m.id for m in delta.updated} == {r for r in after if r in before and after[r] != before[r]}
        else:
            assert after == before
        before = after


SHARED = (
    "SELECT * FROM item WHERE a >= $p",
    "SELECT * FROM item WHERE a > $p AND b = $q",
    "SELECT * FROM item WHERE $p >= a AND b != $q",
    "SELECT * FROM item WHERE a < $p AND c ORDER BY b LIMIT 3",
    "SELECT * FROM item WHERE a = $p AND b = $q AND (c OR d = $p)",
)


@given(SEEDS, st.sampled_from(SHARED), st.booleans())
@settings(QUICK, max_examples=50)
def test_many_bindings_of_one_shape_equal_whole(source: random.Random, surql: str, plain: bool) -> None:
    draw, rows, driven = Draw(source, plain=plain), Rows(), Driven()
    driven.welcome()
    queries: dict[str, tuple[Select, dict[str, Value]]] = {}
    for number in range(10):
        params = {"p": draw.value(), "q": draw.value()}
        driven.log.register(f"v{number}", surql, params)
        queries[f"v{number}"] = (parse_select(surql), params)
    driven.catch_up()
    assert len(driven.engine._hosting.circuits) == 1
    for _ in range(10):
        changes = draw.changes(source.choice((1, 4)))
        append(driven, changes)
        rows.apply(changes)
        driven.catch_up()
        check(driven, queries, rows)
