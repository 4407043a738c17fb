"""What explain says of a query: how it is kept, what planning made of it, and the nearest query that is kept better."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.viewer import pack_viewer
from sp00ky.ssp.engine.explained import Explanation
from sp00ky.ssp.engine.keeping import user_of
from sp00ky.ssp.plan.build import build
from sp00ky.ssp.plan.facts import TableFacts, facts_of
from sp00ky.ssp.plan.nodes import Incremental, Traced

from tests.harness.driven_engine import Driven
from tests.harness.oracle import Oracle, Refused

USER = user_of(pack_viewer({"id": RecordId("user", 1), "access": "", "claims": {}}))


@pytest.fixture
def driven() -> Driven:
    driven = Driven()
    driven.log.schema("post", select="open = true AND owner = $auth", fields=[])
    driven.log.schema("indexed", select="FULL", indexes=[["a"]])
    driven.log.schema("sum", computed=True)
    driven.welcome()
    return driven


def stage(explained: Explanation, name: str) -> list[str]:
    return dict(explained.stages)[name].splitlines()


# --- plan ---

PLANS: Mapping[str, tuple[str, ...]] = {
    "SELECT * FROM t WHERE a = $a AND b > 2 AND c": (
        "constant ‹0› = 'x'",
        "constant ‹1› = 2",
        "index a = ‹0›  (equality, by hash)",
        "index b > ‹1›  (bound, by bisection)",
        "residual c  (once a record)",
    ),
    "SELECT * FROM t WHERE a IN ['x', 'y']": (
        "constant ‹0› = ['x', 'y']",
        "index a IN ‹0›  (membership, by hash of each element of the constant)",
    ),
    "SELECT * FROM t WHERE tags CONTAINS $a": (
        "index tags CONTAINS ‹0›  (membership, by hash of each element of the field)",
    ),
    "SELECT * FROM t WHERE string::starts_with(name, $a)": (
        "index name starts with ‹0›  (prefix, by hash of the beginnings that are asked for)",
    ),
    "SELECT * FROM t WHERE author.name = $a": (
        "  Filter author.name = ‹0›",
        "index author.name = ‹0›  (equality, by hash)",
        "traced author.name  (a column, by row)",
    ),
    "SELECT * FROM t WHERE id IN (SELECT VALUE x FROM u WHERE y = $a)": (
        "constant ‹0› = (SELECT VALUE x FROM u WHERE y = $a), computed",
    ),
    "SELECT * FROM t WHERE (SELECT VALUE id FROM u WHERE of = $parent.id AND x = $a)": (
        "index none: every change is looked at",
        "residual (SELECT VALUE id FROM u WHERE of = $parent.id AND x = ‹0›)  (once a record and group, traced)",
    ),
    "SELECT *, author.name AS by FROM t ORDER BY by DESC, n LIMIT 3": (
        "    Order author.name DESC, n",
        "traced what is shown  (by member)",
        "window over author.name DESC, n, record id",
    ),
    "SELECT k, count() AS c FROM t WHERE a = $a GROUP BY k ORDER BY c LIMIT 2": (
        "  Group by k",
        "index a = ‹0›  (equality, by hash)",
        "ORDER BY, LIMIT and START of the groups, each time that one changes",
    ),
    "SELECT * FROM t ORDER BY n": ("sorted when it is read, by n, record id",),
}


@pytest.mark.parametrize(("surql", "lines"), PLANS.items())
def test_the_plan_says_what_becomes_of_each_part(driven: Driven, surql: str, lines: tuple[str, ...]) -> None:
    explained = driven.engine.explain(surql, {"a": "x"})
    assert explained.mode == "incremental" and not explained.reason
    assert [line for line in lines if line not in stage(explained, "plan")] == [], stage(explained, "plan")


MARKED = (
    "SELECT * FROM indexed WHERE a = 1 AND b.c = 2 LIMIT 3",
    "SELECT * FROM t WHERE (SELECT VALUE id FROM indexed WHERE a = $parent.a) AND b.c = 2",
    "SELECT * FROM t WHERE x IN (SELECT VALUE id FROM indexed WHERE a = $a) ORDER BY x",
    "SELECT *, (SELECT VALUE id FROM indexed WHERE a = $parent.a) AS y FROM t ORDER BY y",
    "SELECT y, count() FROM indexed WHERE a = 1 GROUP BY y",
)


@pytest.mark.parametrize("surql", [*PLANS, *MARKED])
def test_inner_names_are_never_shown(driven: Driven, surql: str) -> None:
    explained = driven.engine.explain(surql, {"a": "x"})
    assert not any(mark in text for _, text in explained.stages for mark in ("\0", "\\0"))


def test_the_circuit_has_the_sizes_of_all_and_of_this_group(driven: Driven) -> None:
    query = "SELECT * FROM t WHERE a = $a"
    driven.log.change("t", 1, {"a": 1})
    driven.log.change("t", 2, {"a": 1})
    for view, value in (("v", 1), ("w", 1), ("x", 2)):
        driven.log.register(view, query, {"a": value})
    assert stage(driven.engine.explain(query, {"a": 1}), "circuit")[-1] == "not live"
    driven.catch_up()
    lines = stage(driven.engine.explain(query, {"a": 1}), "circuit")
    assert lines[-2] == "live: 2 groups, 2 members, 1 index keys, 2 rows"
    assert lines[-1] == "this group: 2 members, 2 views"
    assert stage(driven.engine.explain(query, {"a": 7}), "circuit")[-1] == "no group with these constants"


# --- rewrites ---

REWRITES: Mapping[str, tuple[str, ...]] = {
    "select * from t:1..5 where ((b = 1))": (
        "read as SELECT * FROM t:1..5 WHERE b = 1",
        "FROM t:1..5 is FROM t WHERE id >= t:1 AND id < t:5",
        "constants are lifted out, folded where they stand together: ‹0›, ‹1›, ‹2›",
        "the shape is without what is shown: views that show other fields share the circuit",
    ),
    "SELECT *, author.name AS by FROM t ORDER BY by": (
        "ORDER BY `by` sorts by author.name",
        "author.name is a column of t, kept once for all circuits",
    ),
    "SELECT * FROM t WHERE a = (SELECT VALUE x FROM u)": (
        "(SELECT VALUE x FROM u) is the same for every row: ‹0›, computed and traced",
    ),
    "SELECT * FROM indexed ORDER BY a DESC LIMIT 3": (
        "ORDER BY goes on with id DESC, the order in which SurrealDB reads its index",
        "asked of each record: an index answers for a as a comparison does",
    ),
    "SELECT * FROM sum": ("run a second time with each row's id: SELECT *, $this.id AS _00_id FROM sum",),
}


@pytest.mark.parametrize(("surql", "lines"), REWRITES.items())
def test_the_rewrites_are_those_that_were_done(driven: Driven, surql: str, lines: tuple[str, ...]) -> None:
    found = stage(driven.engine.explain(surql, {}), "rewrites")
    assert [line for line in lines if line not in found] == [], found


def test_a_rewrite_that_was_not_done_is_not_told(driven: Driven) -> None:
    found = stage(driven.engine.explain("SELECT * FROM t", {}), "rewrites")
    assert found == [
        "read as SELECT * FROM t",
        "the shape is without what is shown: views that show other fields share the circuit",
    ]


def test_a_shape_with_groups_is_not_shared_by_other_fields(driven: Driven) -> None:
    found = stage(driven.engine.explain("SELECT k, count() AS c FROM t GROUP BY k ORDER BY c", {}), "rewrites")
    assert found == ["read as SELECT k, count() AS c FROM t GROUP BY k ORDER BY c"]


def test_a_users_rule_comes_first(driven: Driven) -> None:
    told = "the rule of table post is the first condition: open = true AND owner = $auth"
    assert told in stage(driven.engine.explain("SELECT * FROM post WHERE n = 1", {}, USER), "rewrites")
    assert told not in stage(driven.engine.explain("SELECT * FROM post WHERE n = 1", {}), "rewrites")


# --- the nearest query ---

NEAREST: Mapping[str, str] = {
    "SELECT * FROM t ORDER BY a LIMIT 2000": "SELECT * FROM t ORDER BY a, id LIMIT 2000",
    "SELECT a FROM t ORDER BY a LIMIT 200 START 900": "SELECT a, id FROM t ORDER BY a, id LIMIT 200 START 900",
    "SELECT VALUE a FROM t ORDER BY a START 2000": "SELECT VALUE a FROM t ORDER BY a, id START 2000",
    "SELECT * FROM t:1": "SELECT * FROM t WHERE id = t:1",
    "SELECT * FROM ONLY t:1": "SELECT * FROM t WHERE id = t:1",
    "SELECT * FROM [t:1, t:2] WHERE a OR b": "SELECT * FROM t WHERE id IN [t:1, t:2] AND (a OR b)",
    "SELECT * FROM t ORDER BY a COLLATE": "SELECT * FROM t ORDER BY a",
    "SELECT a[0] FROM t ORDER BY a[0]": "SELECT a[0] AS order_0 FROM t ORDER BY order_0",
    "SELECT * FROM t LIMIT 1 + 1": "SELECT * FROM t LIMIT $limit",
    "SELECT * FROM t ORDER BY a[0] LIMIT 1 + 1": "SELECT *, a[0] AS order_0 FROM t ORDER BY order_0 LIMIT $limit",
    "SELECT *, search::score(1) AS s FROM t WHERE a": "SELECT * FROM t WHERE a",
    "SELECT * FROM t WHERE array::len(a) > 2 AND b = 1": "SELECT * FROM t WHERE b = 1 AND array::len(a) > 2",
}
REFUSED: Mapping[str, str] = {
    "SELECT * FROM t WHERE a < time::now() - 1d": "SELECT * FROM t WHERE a < $now - 1d",
    "SELECT * FROM t WHERE a = time::day()": "SELECT * FROM t WHERE a = time::day($now)",
    "SELECT *, $now AS n FROM t WHERE a < time::now()": "SELECT *, $now AS n FROM t WHERE a < $now_",
    "SELECT *, rand() AS r FROM t WHERE a < time::now()": "SELECT *, $rand AS r FROM t WHERE a < $now",
    "SELECT * FROM t WHERE u = session::id()": "SELECT * FROM t WHERE u = $session_id",
    "SELECT * FROM t ORDER BY RAND() LIMIT 2": "SELECT * FROM t LIMIT 2",
    "SELECT * FROM t VERSION d'2026-01-01T00:00:00Z'": "SELECT * FROM t",
    "SELECT a, http::get('x') AS y FROM t": "SELECT a FROM t",
}


def facts(table: str) -> TableFacts:
    return facts_of(None)


@pytest.mark.parametrize(("surql", "near"), NEAREST.items())
def test_the_nearest_query_is_kept_by_a_circuit(driven: Driven, surql: str, near: str) -> None:
    explained = driven.engine.explain(surql, {})
    assert explained.reason and explained.nearest == near
    assert explained.nearest_change.endswith("a circuit keeps it")
    assert isinstance(build(admit(near), {"limit": 2}, facts), Incremental)


@pytest.mark.parametrize(("surql", "near"), REFUSED.items())
def test_a_refused_query_has_a_nearest_view(driven: Driven, surql: str, near: str) -> None:
    with pytest.raises(Fault) as raised:
        driven.engine.explain(surql, {})
    assert raised.value.code is Code.UNSUPPORTED_QUERY
    assert raised.value.details["nearest"] == near and near in raised.value.hint
    assert isinstance(build(admit(near), {}, facts), Incremental | Traced)


@pytest.mark.parametrize("near", [*NEAREST.values(), *REFUSED.values()])
def test_surrealdb_takes_the_nearest_query(near: str) -> None:
    oracle = Oracle()
    for key in (1, 2, 3):
        oracle.ask(f"CREATE t:{key} SET a = [{3 - key}], b = {key}")
    params: Mapping[str, Value] = {"limit": 2, "now": oracle.ask("RETURN time::now()"), "rand": 0.5, "session_id": "s"}
    answer = oracle.ask(near, **params)
    # A comparison of what there is with a time is not what is asked here
    assert not isinstance(answer, Refused), (near, answer)


def test_the_nearest_query_answers_as_the_one_that_was_asked() -> None:
    """Up to what the change says: here the ties, which nothing else decides."""
    oracle = Oracle()
    for key in range(6):
        oracle.ask(f"CREATE t:{key} SET a = {key % 3}, b = {key}")
    for asked in ("SELECT * FROM t ORDER BY a LIMIT 2000", "SELECT VALUE a FROM t ORDER BY a START 2"):
        ordered = oracle.ask(asked.replace("LIMIT 2000", ""))
        near = oracle.ask(NEAREST.get(asked, "SELECT VALUE a FROM t ORDER BY a, id START 2"))
        assert isinstance(ordered, list) and isinstance(near, list)
        keys = [[row["a"] if isinstance(row, dict) else row for row in rows] for rows in (ordered, near)]
        assert keys[0] == keys[1]


@pytest.mark.parametrize("surql", ["SELECT * FROM t WHERE a = 1", "SELECT * FROM sum", "SELECT * FROM t, u"])
def test_there_may_be_none(driven: Driven, surql: str) -> None:
    explained = driven.engine.explain(surql, {})
    assert (explained.nearest, explained.nearest_change) == ("", "")


def test_what_is_no_query_has_no_nearest_one(driven: Driven) -> None:
    with pytest.raises(Fault) as raised:
        driven.engine.explain("CREATE t", {})
    assert raised.value.code is Code.UNSUPPORTED_QUERY and "nearest" not in raised.value.details
