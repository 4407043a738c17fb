"""What an expression needs besides its row, and what is left of it once columns and dynamics stand in its place."""

from __future__ import annotations

import pytest
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.plan.terms import DERIVED, Localizer, columns_in, given_params, is_local, never_fails, reads_row


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("a", True),
        ("a.b", True),
        ("[1, a]", True),
        ("$this.a", True),
        ("->likes->t", True),
        ("$me.boss", False),
        ("1 + $n", False),
        ("$me[WHERE a = 1]", False),
        ("t:1->likes[WHERE n > 1]->t", False),
        ("(SELECT a FROM t WHERE b = 1)", False),
        ("(SELECT a FROM t WHERE b = $parent.id)", True),
        ("(SELECT (SELECT a FROM t WHERE b = $parent.id) FROM t)", False),
        ("(SELECT a FROM $this.links)", True),
        ("(SELECT a FROM links)", False),
        ("(SELECT $parent.a AS x FROM t)", True),
    ],
)
def test_a_row_is_read_by_paths_and_by_parent(text: str, reads: bool) -> None:
    assert reads_row(parse_expr(text)) is reads


def test_given_are_the_parameters_that_neither_a_row_nor_a_closure_binds() -> None:
    expr = parse_expr("$a + tags.map(|$x| $x + $b) + (SELECT VALUE $parent.c + $this.d FROM t WHERE e = $e)")
    assert given_params(expr) == {"a", "b", "e"}


@pytest.mark.parametrize(
    "text",
    [
        "author.name",
        "a[0]",
        "a = 1 OR b IN c.d",
        "!(a ?? b)",
        "<-wrote<-person.name",
        "->wrote[WHERE n > 1]->post",
        "count(->wrote)",
        "array::len((SELECT id FROM t WHERE a = $parent.id))",
        "(SELECT VALUE a FROM t ORDER BY a LIMIT 1)[0]",
        "[a, { b: c }]",
    ],
)
def test_paths_comparisons_and_their_sub_selects_cannot_fail(text: str) -> None:
    assert never_fails(parse_expr(text))


@pytest.mark.parametrize(
    "text",
    [
        "a + 1",
        "-a",
        "a[$n]",
        "string::len(a)",
        "array::len(a)",
        "array::len((SELECT * FROM ONLY t LIMIT 1))",
        "tags.len()",
        "(SELECT VALUE a + 1 FROM t)",
        "(SELECT a FROM t WHERE b + 1)",
        "(SELECT a FROM t LIMIT $n)",
        "(SELECT count() FROM t GROUP ALL)",
        "<int> a",
        "a = (1 + b)",
    ],
)
def test_what_may_be_an_error_is_not_taken_for_safe(text: str) -> None:
    assert not never_fails(parse_expr(text))


# --- the rewrite ---


def local(text: str, *, columns_allowed: bool = True, **params: object) -> tuple[str, Localizer]:
    localizer = Localizer(params, columns_allowed)  # type: ignore[arg-type]
    return print_node(localizer.local(parse_expr(text))), localizer


def test_what_is_alone_stays_as_it_is() -> None:
    text = "string::len(a) > $n AND b IN [1, 2]"
    rewritten, localizer = local(text, n=1)
    assert rewritten == print_node(parse_expr(text)) and not localizer.columns and not localizer.dynamics


def test_a_link_becomes_a_column_named_by_its_text() -> None:
    localizer = Localizer({"n": 1})
    rewritten = localizer.local(parse_expr("author.name = $n AND author.name != title"))
    assert list(localizer.columns) == [f"{DERIVED}author.name"] and columns_in(rewritten) == set(localizer.columns)
    assert print_node(localizer.columns[f"{DERIVED}author.name"]) == "author.name" and is_local(rewritten)


def test_what_reads_no_row_becomes_a_dynamic_with_the_parameters_that_it_uses() -> None:
    localizer = Localizer({"me": RecordId("person", 1), "n": 2})
    rewritten = localizer.local(parse_expr("author = $me.boss AND a IN (SELECT VALUE b FROM t WHERE c = $n)"))
    assert is_local(rewritten) and not localizer.columns
    boss, listed = localizer.dynamics.values()
    assert (print_node(boss.expr), boss.params, boss.ruling) == ("$me.boss", (("me", RecordId("person", 1)),), False)
    assert listed.params == (("n", 2),)


def test_what_a_parameter_reaches_stays_foreign() -> None:
    localizer = Localizer({"n": 1})
    rewritten = localizer.local(parse_expr("(SELECT id FROM t WHERE a = $parent.id AND b > $n)"))
    assert not is_local(rewritten) and not localizer.columns and not localizer.dynamics


def test_what_may_fail_stays_foreign_but_its_safe_parts_become_local() -> None:
    """A column is evaluated for every row, also where SurrealDB does not come to it."""
    localizer = Localizer({})
    rewritten = localizer.local(parse_expr("string::len(author.name) > 3"))
    assert is_local(rewritten) and list(localizer.columns) == [f"{DERIVED}author.name"]
    assert not is_local(Localizer({}).local(parse_expr("(SELECT VALUE a + 1 FROM t WHERE b = $parent.id)")))


def test_a_users_terms_get_no_columns_but_the_tables_rule_does() -> None:
    expr = parse_expr("author.team = 'red'")
    localizer = Localizer({}, columns_allowed=False)
    assert not is_local(localizer.local(expr)) and not localizer.columns
    assert is_local(localizer.local(expr, ruling=True)) and list(localizer.columns) == [f"{DERIVED}author.team"]
    localizer.local(parse_expr("a = $auth.team"), ruling=True)
    assert [dynamic.ruling for dynamic in localizer.dynamics.values()] == [True]
