"""Hypothesis strategies for query trees: every node that the parser can make, and only such trees."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.operators import BINDING
from sp00ky.proto.values.kinds import NONE, Bound, Datetime, Duration, Range, RecordId, Regex

INT_MAX: Final = 2**63 - 1

plain_names = st.sampled_from(["a", "b", "name", "order", "value", "select", "limit", "from", "in", "Infinity", "_x1"])
letters = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0")
names = plain_names | st.text(letters, min_size=1, max_size=4)
decimals = st.integers(0, 10**12).map(lambda thousandths: Decimal(thousandths) / 1000)
keys = st.recursive(
    st.integers(-INT_MAX, INT_MAX) | names | st.sampled_from([UUID(int=7), True, NONE, None, Duration(5)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_names, inner, max_size=2),
    max_leaves=4,
)
record_keys = keys.filter(lambda key: isinstance(key, str | UUID | list | dict) or type(key) is int)
bounds = st.none() | st.builds(Bound, record_keys, st.just(True))
record_ranges = st.builds(Range, bounds, st.none() | st.builds(Bound, record_keys, st.booleans()))
records = st.builds(RecordId, plain_names, record_keys | record_ranges)

literals: SearchStrategy[ast.Expr] = st.builds(
    ast.Literal,
    st.one_of(
        st.sampled_from([NONE, None, True, False, Regex("a/b"), b"\x00\xff", UUID(int=3)]),
        st.integers(-INT_MAX, INT_MAX),
        st.floats(allow_nan=False, allow_infinity=False),
        decimals,
        st.text(letters, max_size=6),
        st.integers(0, 10**18).map(Duration),
        st.integers(-(10**18), 10**18).map(Datetime),
        records,
    ),
)
fields = st.builds(ast.FieldPart, names)
basic_parts = st.lists(
    fields | st.just(ast.AllPart()) | st.just(ast.LastPart()) | st.builds(ast.IndexPart, st.just(ast.Literal(0))),
    max_size=3,
)
basic_idioms = st.builds(lambda first, rest: ast.Idiom(None, (first, *rest)), fields, basic_parts)
order_keys = st.builds(ast.OrderKey, basic_idioms, st.booleans(), st.booleans(), st.booleans())


def _parts(inner: SearchStrategy[ast.Expr]) -> SearchStrategy[ast.Part]:
    graph = st.builds(
        ast.GraphPart,
        st.sampled_from(["->", "<-", "<->", "<~"]),
        st.lists(names, max_size=2).map(tuple),
        cond=st.none() | inner,
        limit=st.none() | inner,
        start=st.none() | inner,
        alias=st.none() | names,
    )
    return st.one_of(
        fields,
        st.just(ast.AllPart()),
        st.just(ast.LastPart()),
        st.just(ast.OptionalPart()),
        st.just(ast.RecursePart("{1..3}")),
        st.builds(ast.IndexPart, inner),
        st.builds(ast.WherePart, inner),
        st.builds(ast.MethodPart, names, st.lists(inner, max_size=2).map(tuple)),
        st.builds(ast.DestructurePart, st.lists(st.tuples(names, st.none()), max_size=2).map(tuple)),
        graph,
    )


def _compound(inner: SearchStrategy[ast.Expr]) -> SearchStrategy[ast.Expr]:
    several = st.lists(inner, max_size=3).map(tuple)
    parts = st.lists(_parts(inner), min_size=1, max_size=3).map(tuple)
    rows = st.builds(lambda first, rest: ast.Idiom(None, (first, *rest)), fields, st.lists(_parts(inner), max_size=2))
    ranges = st.builds(ast.RangeExpr, st.none() | inner, st.none() | inner, st.just(True), st.just(False))
    return st.one_of(
        rows,
        ranges,
        st.builds(ast.Idiom, inner, parts),
        st.builds(ast.Array, several),
        st.builds(ast.SetLiteral, several),
        st.builds(ast.Object, st.lists(st.tuples(names, inner), max_size=2).map(tuple)),
        st.builds(ast.Unary, st.sampled_from(["!", "-", "+"]), inner),
        st.builds(ast.Binary, st.sampled_from(sorted(BINDING)), inner, inner),
        st.builds(ast.Cast, st.sampled_from(["int", "array<string>", "record<user>"]), inner),
        st.builds(ast.Call, st.sampled_from(["count", "math::max", "type::record"]), several),
        st.builds(ast.Closure, st.lists(names, max_size=2).map(tuple), inner),
        st.builds(ast.IfElse, st.lists(st.tuples(inner, inner), min_size=1, max_size=2).map(tuple), st.none() | inner),
        st.builds(ast.Subquery, _selects(inner)),
    )


def _selects(inner: SearchStrategy[ast.Expr]) -> SearchStrategy[ast.Select]:
    star = st.just((ast.Field(ast.Star()),))
    columns = st.lists(st.builds(ast.Field, inner, st.none() | basic_idioms), min_size=1, max_size=2).map(tuple)
    paths = st.lists(basic_idioms, max_size=2).map(tuple)
    targets = st.builds(ast.TableTarget, names) | st.builds(ast.Literal, records)
    return st.builds(
        ast.Select,
        star | columns.map(lambda found: (*found, ast.Field(ast.Star()))),
        st.lists(targets, min_size=1, max_size=2).map(tuple),
        only=st.booleans(),
        with_index=st.none() | st.lists(names, max_size=2).map(tuple),
        where=st.none() | inner,
        group=st.none() | paths,
        order=st.lists(order_keys, max_size=2).map(tuple),
        limit=st.none() | inner,
        start=st.none() | inner,
        fetch=paths,
        timeout=st.none() | inner,
    )


expressions = st.recursive(literals | st.builds(ast.Param, names), _compound, max_leaves=8)
selects = _selects(expressions)
