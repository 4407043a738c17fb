"""A condition taken apart: which groups a record finds, and that no group is missed."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.surrealql.ast import Hole, Literal, Param
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import NONE, RecordId, SurrealSet, Value
from sp00ky.proto.values.order import truthy
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.scope import Scope
from sp00ky.ssp.circuit.arrangement import ABSENT, key_function
from sp00ky.ssp.circuit.buckets import bucket_of
from sp00ky.ssp.circuit.dispatch import Dispatch, dispatch_of, lengths_of, record_keys
from sp00ky.ssp.circuit.predicate import Binding
from sp00ky.ssp.plan.tree import rewrite


def taken_apart(text: str) -> tuple[Dispatch, Binding]:
    """A condition whose literals are holes."""
    binding: list[Value] = []

    def lift(node: object) -> object:
        if isinstance(node, Literal):
            binding.append(node.value)
            return Hole(len(binding) - 1)
        return node

    return dispatch_of(rewrite(parse_expr(text), lift)), tuple(binding)


def shown(dispatch: Dispatch) -> dict[str, object]:
    parts = {
        "equals": [field for field, _ in dispatch.equals],
        "bounds": [f"{bound.field} {bound.op}" for bound in dispatch.bounds],
        "several": [f"{each.field} {each.op}" for each in dispatch.several],
        **{name: print_node(getattr(dispatch, name)) if getattr(dispatch, name) else None
           for name in ("shared", "own", "foreign_shared", "foreign_own")},
    }  # fmt: skip
    return {name: part for name, part in parts.items() if part}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a = 1 AND b = 2", {"equals": ["a", "b"]}),
        ("2 = b AND a < 1", {"equals": ["b"], "bounds": ["a <"]}),
        ("1 < a", {"bounds": ["a >"]}),
        ("a < 1 AND 2 <= a", {"bounds": ["a >=", "a <"]}),
        ("a < 1 AND a < 2", {"bounds": ["a <"], "own": "a < ‹1›"}),
        ("a = 1 AND a = 2", {"equals": ["a"], "own": "a = ‹1›"}),
        ("a > 1 AND b > 2", {"bounds": ["a >"], "own": "b > ‹1›"}),
        ("a AND b != 1", {"shared": "a", "own": "b != ‹0›"}),
        ("a IN 1", {"several": ["a IN"], "own": "a IN ‹0›"}),
        ("1 IN a", {"several": ["a CONTAINS"], "own": "‹0› IN a"}),
        ("a = 1 AND b IN 2", {"equals": ["a"], "own": "b IN ‹1›"}),
        ("a > 1 AND b IN 2", {"several": ["b IN"], "own": "b IN ‹1› AND a > ‹0›"}),
        ("a = 1 OR b CONTAINS 2", {"several": ["a =", "b CONTAINS"], "own": "a = ‹0› OR b CONTAINS ‹1›"}),
        ("a = 1 OR b > 2", {"own": "a = ‹0› OR b > ‹1›"}),
        ("string::starts_with(a, 'x')", {"several": ["a STARTS"], "own": "string::starts_with(a, ‹0›)"}),
        (
            "a = 1 AND b.c AND d.e > 2",
            {"equals": ["a"], "foreign_shared": "b.c", "foreign_own": "d.e > ‹1›"},
        ),
    ],
)
def test_each_part_of_a_condition_has_its_place(text: str, parts: dict[str, object]) -> None:
    assert shown(taken_apart(text)[0]) == parts


def test_an_unknown_kind_concerns_everybody() -> None:
    dispatch, _ = taken_apart("a IN 1")
    assert dispatch.keys_of(("no list",)) == (ABSENT,), "a group that waits for every record"
    dispatch, _ = taken_apart("1 IN a")
    keys = record_keys(dispatch.several, ())
    assert keys({"a": "abc"}) == (ABSENT,) and keys({"a": {"k": 1}}) == (ABSENT,), "every group asks about it"
    assert keys({"a": 1}) == () == keys({}), "these hold nothing"


def test_beginnings_are_as_long_as_groups_ask_for() -> None:
    dispatch, binding = taken_apart("string::starts_with(a, 'abc')")
    assert lengths_of(dispatch.several, binding) == {3}
    assert set(record_keys(dispatch.several, {1, 3})({"a": "abcd"})) == {(0, "a"), (0, "abc")}


@dataclass
class Group:
    binding: Binding


CONDITIONS = (
    "a = ? AND b < ?",
    "a >= ? AND a < ?",
    "a = ? AND c = ? AND b <= ? AND b > ?",
    "a IN ?",
    "a IN ? AND b > ?",
    "? IN a",
    "a CONTAINS ?",
    "? CONTAINS a",
    "a = ? OR b IN ?",
    "(a = ? AND b > ?) OR ? IN b",
    "a = ? OR b CONTAINS ? OR c = ?",
)
VALUES: tuple[Value, ...] = (
    *(0, 1, 1.0, True, "", "a", "ab", None, NONE, [], [1], ["a", [1]], {"a": 1}, RecordId("t", 1)),
    SurrealSet(("a", 1)),
)


@given(st.sampled_from(CONDITIONS), st.integers(0, 2**32).map(random.Random))
@settings(deadline=None)
def test_a_record_finds_every_group_that_it_passes(text: str, source: random.Random) -> None:
    """What the index leaves out, the condition would have left out."""
    numbered = text
    for index in range(text.count("?")):
        numbered = numbered.replace("?", f"$p{index}", 1)
    cond = parse_expr(numbered)
    dispatch = dispatch_of(rewrite(cond, lambda node: Hole(int(node.name[1:])) if isinstance(node, Param) else node))
    for _ in range(40):
        binding = tuple(source.choice(VALUES) for _ in range(text.count("?")))
        record: dict[str, Value] = {name: source.choice(VALUES) for name in "abc" if source.random() < 0.8}
        params = {f"p{index}": value for index, value in enumerate(binding)}
        if not truthy(evaluate(cond, record, Scope(params))):
            continue
        asked = dispatch.keys_of(binding)
        if dispatch.several:
            lengths = lengths_of(dispatch.several, binding)
            found = record_keys(dispatch.several, lengths)(record)
            assert ABSENT in asked or ABSENT in found or set(asked) & set(found), (binding, record)
        else:
            assert asked == (key_function(dispatch.fields)(record),)
            bucket, group = bucket_of(dispatch.bounds), Group(binding)
            bucket.add(group)
            assert list(bucket.concerned(record)) == [group]
