"""What is legal in a view and likely a mistake is said; what is none is not."""

from __future__ import annotations

import pytest
from sp00ky.proto.doubts import doubtful_params, doubtful_tables
from sp00ky.proto.surrealql.admit import admit

KNOWN = frozenset({"product", "person", "wrote"})


@pytest.mark.parametrize(
    ("surql", "doubts"),
    [
        ("SELECT * FROM product", []),
        ("SELECT * FROM prodct", ["no table prodct is known yet (did you mean product?)"]),
        ("SELECT * FROM Product:1", ["no table Product is known yet (did you mean product?)"]),
        ("SELECT *, author.name AS by FROM sensor", ["no table sensor is known yet"]),
        ("SELECT * FROM person WHERE id IN (SELECT VALUE id FROM gone)", ["no table gone is known yet"]),
        ("SELECT * FROM $these", []),
    ],
)
def test_tables(surql: str, doubts: list[str]) -> None:
    assert doubtful_tables(admit(surql), KNOWN) == doubts


@pytest.mark.parametrize(
    ("surql", "given", "doubts"),
    [
        ("SELECT * FROM t WHERE n < $max", {"max": 3}, []),
        ("SELECT * FROM t WHERE n < $max", {}, ["no value for $max: it is NONE"]),
        ("SELECT * FROM t", {"mx": 3}, ["parameter mx is not used"]),
        (
            "SELECT * FROM t WHERE n < $limit",
            {"limits": 3},
            ["no value for $limit: it is NONE", "parameter limits is not used (did you mean limit?)"],
        ),
        ("SELECT * FROM t WHERE n < $`max`", {"max": 3}, []),
        ("SELECT * FROM t WHERE (SELECT VALUE id FROM u WHERE t = $parent.id AND $this.n)", {}, []),
        ("SELECT * FROM t WHERE list.any(|$x| $x > $n)", {"n": 1}, []),
        ("SELECT * FROM t WHERE { LET $a = n; RETURN $a > $b }", {}, ["no value for $b: it is NONE"]),
        ("SELECT * FROM t LIMIT $n START $from", {"n": 1, "from": 2}, []),
    ],
)
def test_params(surql: str, given: dict[str, int], doubts: list[str]) -> None:
    assert doubtful_params(admit(surql), given, as_user=False) == doubts


def test_a_rule_may_read_what_a_users_query_does_not() -> None:
    admitted = admit("SELECT * FROM t WHERE owner = $auth AND n < $max", as_user=True)
    assert doubtful_params(admitted, {"mx": 3}, as_user=True) == ["no value for $max: it is NONE"]
