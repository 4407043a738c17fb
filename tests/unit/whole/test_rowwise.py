"""Which queries cannot be kept row by row, and what WHERE is once its constants are folded."""

from __future__ import annotations

import pytest
from sp00ky.proto.surrealql.parser import parse_expr, parse_select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import SurrealSet
from sp00ky.proto.whole.constants import folded
from sp00ky.proto.whole.rowwise import why_not_rowwise
from sp00ky.proto.whole.scope import NotPlain

PARAMS = {"yes": True, "no": False, "none": [], "set": SurrealSet((1, 2)), "n": 1}


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("a AND true", "a"),
        ("true AND a", "a"),
        ("a AND false", "false"),
        ("a OR $yes", "true"),
        ("a OR $no", "a"),
        ("a IN $none", "false"),
        ("a IN []", "false"),
        ("a IN [1]", "a IN [1]"),
        ("a AND (b OR (1 = 1))", "a AND (b OR 1 = 1)"),
        ("a AND not(true)", "false"),
        ("a AND $n", "a AND $n"),
        ("a AND $unknown", "a AND $unknown"),
        ("[a AND true] = [1]", "[a] = [1]"),
        ("a[WHERE b AND true]", "a[WHERE b]"),
        ("(SELECT * FROM t WHERE a AND true)", "(SELECT * FROM t WHERE a AND true)"),
        ("a = $set", "a = [1, 2]"),
    ],
)
def test_constants_are_folded(where: str, left: str) -> None:
    found = folded(parse_expr(where), PARAMS)
    assert found is not None and print_node(found) == print_node(parse_expr(left))


def test_a_parameter_is_put_in_before_an_argument_of_its_name() -> None:
    with pytest.raises(NotPlain, match="closure"):
        folded(parse_expr("ls.any(|$n| $n = 2)"), PARAMS)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * FROM t WHERE a = 1 AND b IN $none ORDER BY c LIMIT 5", ""),
        ("SELECT * FROM t WHERE a AND true", ""),
        ("SELECT * FROM t WHERE !(a OR $yes)", ""),
        ("SELECT * FROM t WHERE (a AND true) = 1", "constant"),
        ("SELECT * FROM t WHERE $yes OR a.len() > 1", "constant"),
        ("SELECT * FROM t WHERE a = $set", "set"),
        ("SELECT id, a FROM t ORDER BY id", ""),
        ("SELECT *, a AS id FROM t ORDER BY id DESC", "ORDER BY id"),
        ("SELECT a + 1 AS b, c FROM t ORDER BY b", ""),
        ("SELECT a + 1 AS b, c FROM t ORDER BY c", ""),
        ("SELECT a + 1 AS b, b * 2 AS c FROM t ORDER BY b", "sees"),
        ("SELECT a + 1 AS b, $this AS c FROM t ORDER BY b", "sees"),
        ("SELECT *, a + 1 AS b.c FROM t ORDER BY b.c", "sees"),
        ("SELECT VALUE a + 1 AS b FROM t ORDER BY b", ""),
        ("SELECT *, a AS b FROM t WHERE c", ""),
        ("SELECT *, a AS b FROM t:1..5 WHERE c", "beside"),
    ],
)
def test_what_is_not_kept_row_by_row(query: str, reason: str) -> None:
    found = why_not_rowwise(parse_select(query), PARAMS)
    assert reason in found and bool(found) == bool(reason)
