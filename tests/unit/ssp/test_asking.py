"""Where a condition that may be an error stands among others: whether a circuit asks as SurrealDB does."""

from __future__ import annotations

import pytest
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.ssp.plan.asking import why_in_order


@pytest.mark.parametrize(
    "where",
    [
        "a = 1 AND b",
        "string::len(a) > 1",
        "string::lowercase(a) = $n",
        "b = 1 AND c > $n AND string::len(a) > 1",
        "b IN [1, 2] AND string::len(a) > 1",
        "b != 1 AND string::len(a) > 1",
        "b AND c.d = 2 AND string::len(a) > $n",
        "a = 1 AND b = 2 AND c.len()",
        "a AND b AND c.len()",
        "a AND string::starts_with(b, $n)",
        "a AND (string::starts_with(b, $n) OR c = 1)",
        "string::contains(a, $n) OR string::contains(b, $n)",
        "a = 1 AND (string::len(b) > 1 OR c = 1)",
    ],
)
def test_an_error_that_is_asked_last_is_asked_last(where: str) -> None:
    assert why_in_order(parse_select(f"SELECT * FROM t WHERE {where}").where, {"n": 1}) == ""


@pytest.mark.parametrize(
    "where",
    [
        "string::len(a) > 1 AND b = 1",  # b = 1 is looked up
        "a.len() AND a",
        "a > 1 AND b.len()",  # without a constant, so it would be asked for all groups first
        "a = 1 AND a = 2 AND b.len()",  # one of the two is looked up
        "a + 1 = 2 AND string::len(b) > 1",  # two of them
        "(string::len(a) > 1 AND c = 2) OR b = 1",  # both sides are looked up
        "a = 1 AND ((string::len(b) > 1 AND d = 2) OR c IN [1])",
        "author.tags[WHERE $this = $n] AND string::len(a) > 1",  # reads other records, and so is asked last
    ],
)
def test_an_error_that_would_be_asked_earlier_or_later_needs_the_order(where: str) -> None:
    reason = why_in_order(parse_select(f"SELECT * FROM t WHERE {where}").where, {"n": 1})
    assert reason == "an error in one condition beside another"
