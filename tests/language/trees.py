"""Hypothesis strategies for query trees: every node that the parser can make, and only such trees."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.operators import BINDING
from sp00ky.proto.values.kinds import NONE, Bound, Datetime, Duration, Geometry, Range, RecordId, Regex

INT_MAX: Final = 2**63 - 1
OPERATORS: Final = (*sorted(BINDING), "@1@", "@2,OR@", "@OR@", "<|3|>", "<|3,40|>", "<|3,COSINE|>", "<|3,MINKOWSKI 3|>")
KINDS: Final = ("int", "array<string>", "record<user>", "none | int", "-1 | 'a'", "{ a: [int], b: true }")
GEOMETRIES: Final = (
    Geometry("Point", (1.0, -2.5)),
    Geometry("Polygon", (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)),)),
    Geometry("GeometryCollection", (Geometry("LineString", ((0.0, 1.0), (2.0, 3.0))),)),
)

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
        st.floats(allow_infinity=False),
        st.sampled_from(GEOMETRIES),
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
deep_idioms = basic_idioms.filter(lambda idiom: len(idiom.parts) > 1)
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
    computed = inner.map(lambda expr: ast.Idiom(ast.Array((expr,)) if isinstance(expr, ast.Idiom) else expr, ()))
    return st.one_of(
        fields,
        st.just(ast.FlattenPart()),
        st.just(ast.AllPart()),
        st.just(ast.LastPart()),
        st.just(ast.OptionalPart()),
        st.just(ast.RecursePart(1, 3)),
        st.builds(ast.IndexPart, inner),
        st.builds(ast.WherePart, inner),
        st.builds(ast.MethodPart, names, st.lists(inner, max_size=2).map(tuple)),
        st.builds(
            ast.DestructurePart, st.lists(st.tuples(names, st.none() | computed | deep_idioms), max_size=2).map(tuple)
        ),
        graph,
        _graph_queries(inner),
    )


def _graph_queries(inner: SearchStrategy[ast.Expr]) -> SearchStrategy[ast.GraphQuery]:
    """Steps that say more than a `GraphPart` does, one such thing at least."""
    step = st.builds(
        ast.GraphPart, st.sampled_from(["->", "<~"]), names.map(lambda name: (name,)), cond=st.none() | inner
    )
    ends = st.none() | record_keys.map(ast.Literal)
    key = st.builds(ast.RangeExpr, ends, ends)
    several = replace(ast.GraphPart("->", ("a", "b")), fields=(ast.Field(ast.Star()),))
    query = ast.GraphQuery
    return st.one_of(
        st.builds(lambda found, key: query(found, keys=(key,)), step, key),
        st.builds(lambda found, name: query(found, referrers=(name,)), step, names),
        st.builds(lambda found, alias: query(found, alias=alias), step, deep_idioms),
        st.builds(lambda found, expr: query(replace(found, fields=(ast.Field(expr),)), value=True), step, inner),
        st.builds(lambda path, key: query(several, (key, None), (None, "c"), split=(path,)), basic_idioms, key),
        st.builds(lambda paths: query(several, group=paths), st.lists(basic_idioms, max_size=2).map(tuple)),
    )


def _statements(inner: SearchStrategy[ast.Expr]) -> SearchStrategy[ast.Expr]:
    return st.one_of(
        st.builds(ast.Let, names, inner, st.sampled_from(["", *KINDS])),
        st.builds(lambda name, over, body: ast.For(name, over, ast.Block((body,))), names, inner, inner),
        st.builds(ast.Leave, st.just("RETURN"), inner, st.lists(deep_idioms, max_size=1).map(tuple)),
        st.builds(ast.Leave, st.just("THROW"), inner),
        st.builds(ast.Leave, st.sampled_from(["BREAK", "CONTINUE"])),
    )


def _blocks(inner: SearchStrategy[ast.Expr]) -> SearchStrategy[ast.Block]:
    """Not of one plain expression, which is that expression."""
    statements = _statements(inner)
    several = st.lists(statements | inner, min_size=2, max_size=3)
    return st.builds(ast.Block, (several | st.lists(statements, max_size=1)).map(tuple))


def _typed_closures(inner: SearchStrategy[ast.Expr]) -> SearchStrategy[ast.TypedClosure]:
    kinds = st.sampled_from(KINDS)
    plain = inner.map(lambda expr: ast.Array((expr,)) if isinstance(expr, ast.Let | ast.For | ast.Leave) else expr)
    return st.one_of(
        st.builds(lambda name, kind, body: ast.TypedClosure((name, "b"), (kind, "any"), "", body), names, kinds, inner),
        st.builds(lambda kind, body: ast.TypedClosure(("a",), ("any",), kind, body), kinds, plain | _blocks(inner)),
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
        st.builds(ast.Binary, st.sampled_from(OPERATORS), inner, inner),
        st.builds(ast.Cast, st.sampled_from(KINDS), inner),
        st.builds(ast.Apply, inner, several),
        st.builds(lambda first, rest: ast.Idiom(ast.Document(), (first, *rest)), fields, parts),
        _blocks(inner),
        _statements(inner),
        _typed_closures(inner),
        st.builds(ast.Call, st.sampled_from(["count", "math::max", "type::record"]), several),
        st.builds(ast.Closure, st.lists(names, max_size=2).map(tuple), inner),
        st.builds(ast.IfElse, st.lists(st.tuples(inner, inner), min_size=1, max_size=2).map(tuple), st.none() | inner),
        st.builds(ast.Subquery, _selects(inner)),
    )


def _selects(inner: SearchStrategy[ast.Expr]) -> SearchStrategy[ast.Select]:
    star = st.just((ast.Field(ast.Star()),))
    named_by_text = st.builds(lambda expr: ast.Field(ast.Block((expr,))), inner) | st.just(
        ast.Field(ast.Literal(math.pi, "math::PI"))
    )
    column = st.builds(ast.Field, inner, st.none() | basic_idioms) | named_by_text
    columns = st.lists(column, min_size=1, max_size=2).map(tuple)
    computed = st.builds(ast.Idiom, st.builds(ast.Param, names), st.just(()))
    paths = st.lists(basic_idioms, max_size=2).map(tuple)
    targets = st.builds(ast.TableTarget, names) | st.builds(ast.Literal, records)
    return st.builds(
        ast.Select,
        star | columns.map(lambda found: (*found, ast.Field(ast.Star()))),
        st.lists(targets, min_size=1, max_size=2).map(tuple),
        only=st.booleans(),
        omit=st.lists(basic_idioms | computed, max_size=1).map(tuple),
        with_index=st.none() | st.lists(names, max_size=2).map(tuple),
        where=st.none() | inner,
        group=st.none() | paths,
        order=st.lists(order_keys, max_size=2).map(tuple),
        limit=st.none() | inner,
        start=st.none() | inner,
        fetch=paths | computed.map(lambda path: (path,)),
        version=st.none() | inner,
        timeout=st.none() | inner,
        tempfiles=st.booleans(),
        explain=st.sampled_from(["", "EXPLAIN", "EXPLAIN FULL"]),
    )


expressions = st.recursive(literals | st.builds(ast.Param, names), _compound, max_leaves=8)
selects = _selects(expressions)
