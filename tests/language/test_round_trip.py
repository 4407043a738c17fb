"""`parse(print(tree)) == tree` for any tree, and SurrealDB accepts the text."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from sp00ky.proto.surrealql.ast import Expr, Select
from sp00ky.proto.surrealql.outline import print_tree
from sp00ky.proto.surrealql.parser import parse_expr, parse_select
from sp00ky.proto.surrealql.printer import print_node

from tests.language.engine_parser import EngineParser
from tests.language.trees import expressions, selects

LARGE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@settings(max_examples=400, deadline=None, suppress_health_check=LARGE)
@given(expressions)
def test_expressions(tree: Expr) -> None:
    text = print_node(tree)
    assert parse_expr(text) == tree, text


@settings(max_examples=300, deadline=None, suppress_health_check=LARGE)
@given(selects)
def test_selects(tree: Select) -> None:
    text = print_node(tree)
    assert parse_select(text) == tree, text
    assert print_tree(tree).startswith("Select")


@settings(max_examples=200, deadline=None, suppress_health_check=LARGE)
@given(tree=selects)
def test_the_engine_accepts_what_is_printed(engine_parser: EngineParser, tree: Select) -> None:
    text = print_node(tree)
    assert engine_parser.accepts(text), text
