"""Sharing, quarantine, schema changes, explanations."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import NONE, RecordId
from sp00ky.ssp.engine.events import ViewKey

from tests.harness.driven_engine import Driven, spec


def live(*views: tuple[str, str, dict[str, object]]) -> Driven:
    driven = Driven()
    driven.welcome()
    for view, surql, params in views:
        driven.log.register(view, surql, params)
    driven.catch_up()
    return driven


def reading(driven: Driven, view: str = "v"):  # type: ignore[no-untyped-def]
    found = driven.engine.view(ViewKey(view))
    assert found is not None
    return found


# --- sharing ---


def test_views_that_differ_in_constants_share_a_circuit_and_equal_ones_a_group() -> None:
    query = "SELECT * FROM post WHERE author = $a"
    driven = live(("a1", query, {"a": 1}), ("a2", query, {"a": 1}), ("b", query, {"a": 2}))
    driven.log.register("c", "SELECT title FROM post WHERE author = 1")
    driven.catch_up()
    assert len(driven.engine._hosting.circuits) == 1
    driven.log.change("post", 1, {"author": 1})
    (delta,) = driven.catch_up().deltas
    assert [view.id for view in delta.views] == ["a1", "a2", "c"]
    driven.log.change("post", 1, {"author": 2})
    deltas = driven.catch_up().deltas
    assert sorted((len(each.added), len(each.removed), len(each.views)) for each in deltas) == [(0, 1, 3), (1, 0, 1)]


def test_equal_numbers_of_different_types_are_one_key() -> None:
    query = "SELECT * FROM t WHERE n = $n"
    driven = live(("int", query, {"n": 1}), ("float", query, {"n": 1.0}), ("bool", query, {"n": True}))
    driven.log.change("t", 1, {"n": 1})
    driven.catch_up()
    assert [reading(driven, view).size for view in ("int", "float", "bool")] == [1, 1, 0]


def test_none_finds_the_field_that_is_not_there() -> None:
    driven = live(("v", "SELECT * FROM t WHERE n = $n", {"n": NONE}), ("null", "SELECT * FROM t WHERE n = NULL", {}))
    driven.log.change("t", 1, {})
    driven.log.change("t", 2, {"n": None})
    driven.catch_up()
    assert [member.id.key for member in reading(driven).members] == [1]
    assert [member.id.key for member in reading(driven, "null").members] == [2]


def test_unregistering_frees_groups_and_circuits() -> None:
    query = "SELECT * FROM post WHERE author = $a"
    driven = live(("a", query, {"a": 1}), ("b", query, {"a": 2}))
    driven.log.unregister("a")
    driven.catch_up()
    (circuit,) = driven.engine._hosting.circuits.values()
    assert len(circuit.groups) == 1
    driven.log.unregister("b")
    driven.catch_up()
    assert not driven.engine._hosting.circuits and not driven.engine._tables.held.get("post")


def test_the_hash_names_members_and_versions() -> None:
    driven = live(("v", "SELECT * FROM t", {}), ("w", "SELECT * FROM t WHERE true", {}))
    empty = reading(driven).hash
    driven.log.change("t", 1, {"a": 1})
    driven.catch_up()
    one = reading(driven).hash
    driven.log.change("t", 1, {"a": 1})
    driven.catch_up()
    assert len({empty, one, reading(driven).hash}) == 3
    assert reading(driven).hash == reading(driven, "w").hash
    driven.log.change("t", 1, None)
    driven.catch_up()
    assert reading(driven).hash == empty


def test_a_record_without_an_id_gets_it_from_its_key() -> None:
    driven = live(("v", "SELECT * FROM t", {}))
    entry = driven.log.change("t", "x", {"z": 1})
    entry.change.packed = b"\x81\xa1z\x01"
    driven.catch_up()
    assert reading(driven).rows() == [{"id": RecordId("t", "x"), "z": 1}]


# --- quarantine ---


def test_g7_a_query_that_cannot_be_a_view_fails_with_its_reason() -> None:
    driven = live(("v", "DELETE person", {}), ("w", "SELECT * FROM person", {}))
    assert reading(driven).state == "failed" and "DELETE" in reading(driven).error
    assert reading(driven, "w").state == "live"


@pytest.mark.parametrize("clause", ["LIMIT", "START"])
@pytest.mark.parametrize("number", [-1, "x", True, [1]])
def test_g7_a_window_of_no_number_fails_the_view_and_not_its_shape(clause: str, number: object) -> None:
    query = f"SELECT * FROM t {clause} $n"
    driven = live(("v", query, {"n": number}), ("w", query, {"n": 2}))
    assert reading(driven).state == "failed" and clause in reading(driven).error
    assert reading(driven, "w").state == "live"


@pytest.mark.parametrize(
    ("clause", "number", "taken"),
    [("LIMIT", 1.5, [1]), ("LIMIT", NONE, []), ("LIMIT", None, []), ("START", 2.0, [3]), ("START", NONE, [1, 2, 3])],
)
def test_a_window_takes_what_surrealdb_takes_for_a_number(clause: str, number: object, taken: list[int]) -> None:
    """As core 3.2.4 does: a fraction is cut off, and nothing counts as 0."""
    driven = live(("v", f"SELECT * FROM t {clause} $n", {"n": number}))
    for key in (1, 2, 3):
        driven.log.change("t", key, {"a": key})
    driven.catch_up()
    assert (reading(driven).mode, reading(driven).state) == ("incremental", "live")
    assert [member.id.key for member in reading(driven).members] == taken
    assert driven.members[ViewKey("v")] == driven.current("v")


def test_g7_a_record_that_cannot_be_decoded_fails_the_views_on_its_table_until_it_is_mended() -> None:
    driven = live(("v", "SELECT * FROM t", {}), ("w", "SELECT * FROM u", {}))
    driven.log.change("t", 1, {"a": 1})
    driven.log.garbage("t", 7)
    driven.catch_up()
    assert reading(driven).state == "failed" and "record t:7" in reading(driven).error
    assert reading(driven, "w").state == "live"
    driven.log.register("late", "SELECT * FROM t WHERE a = 1")
    driven.catch_up()
    assert reading(driven, "late").state == "failed"
    driven.log.change("t", 7, None)
    driven.catch_up()
    assert [reading(driven, view).state for view in ("v", "w", "late")] == ["live", "live", "live"]
    assert [member.id.key for member in driven.hydrated[-1].members] == [1]


def test_g7_a_predicate_that_fails_takes_its_own_view_only_and_recovers() -> None:
    driven = live(("v", "SELECT * FROM t WHERE a + 1 > 2", {}), ("w", "SELECT * FROM t WHERE a = 'x'", {}))
    driven.log.change("t", 1, {"a": 2})
    driven.catch_up()
    assert driven.current("v") == {RecordId("t", 1): 5}
    driven.log.change("t", 2, {"a": "x"})
    driven.catch_up()
    assert reading(driven).state == "failed" and "no str + int" in reading(driven).error
    assert driven.current("w") == {RecordId("t", 2): 6}
    driven.log.change("t", 2, {"a": 3})
    driven.catch_up()
    assert reading(driven).state == "live" and len(driven.current("v")) == 2
    assert driven.members[ViewKey("v")] == driven.current("v")


def test_g7_a_view_that_fails_twice_in_one_step_waits_for_the_record_that_keeps_it_down() -> None:
    """Its condition fails on one record, which a whole evaluation would answer as well, and another is unreadable."""
    driven = live(("v", "SELECT * FROM t WHERE math::pow(a, 0.5) > 1", {}))
    driven.log.change("t", 1, {"a": Decimal(4)}, txn_last=False)
    driven.log.garbage("t", 2)
    driven.catch_up()
    assert reading(driven).state == "failed" and "record t:2" in reading(driven).error
    driven.log.change("t", 2, {"a": 4})
    driven.catch_up()
    assert (reading(driven).mode, reading(driven).state) == ("reevaluated", "pending")
    driven.log.change("t", 1, {"a": 4})
    driven.catch_up()
    assert (reading(driven).mode, reading(driven).state) == ("incremental", "live")
    assert len(driven.current("v")) == 2 and driven.members[ViewKey("v")] == driven.current("v")


def test_what_only_we_cannot_evaluate_is_given_to_the_database() -> None:
    driven = live(("v", "SELECT * FROM t WHERE math::pow(a, $n) > 1", {"n": 0.5}))
    driven.log.change("t", 1, {"a": 4})
    driven.catch_up()
    assert (reading(driven).mode, reading(driven).state, len(driven.current("v"))) == ("incremental", "live", 1)
    driven.log.change("t", 2, {"a": Decimal(4)})
    driven.catch_up()
    assert (reading(driven).mode, reading(driven).state) == ("reevaluated", "pending")
    assert "a record needs a decimal to a power" in reading(driven).reason and len(driven.queries) == 1


# --- schema ---


def test_a_table_that_becomes_computed_is_run_whole_and_back() -> None:
    driven = live(("v", "SELECT * FROM t", {}))
    driven.log.change("t", 1, {"a": 1})
    driven.log.schema("t")
    driven.catch_up()
    assert (reading(driven).mode, reading(driven).state) == ("incremental", "live")
    driven.log.schema("t", computed=True)
    driven.catch_up()
    assert (reading(driven).mode, reading(driven).state) == ("reevaluated", "pending")
    assert "computed" in reading(driven).reason and "t" not in driven.engine._tables.held
    driven.log.schema("t", computed=False)
    driven.catch_up()
    assert (reading(driven).mode, reading(driven).state) == ("incremental", "live")
    assert driven.current("v") == {RecordId("t", 1): 3}


@pytest.mark.parametrize("flag", ["computed", "derived"])
def test_the_schema_is_known_before_the_first_plan(flag: str) -> None:
    driven = Driven()
    driven.log.schema("t", **{flag: True})
    driven.welcome([(spec("v", "SELECT * FROM t"), 1)])
    assert reading(driven).mode == "reevaluated" and driven.loaded == 1


# --- explain ---


def test_explain_prints_every_stage() -> None:
    driven = live()
    explained = driven.engine.explain("SELECT name FROM t WHERE a = $a AND b > 2 ORDER BY name LIMIT 3", {"a": 1})
    assert (explained.mode, explained.reason, explained.tables) == ("incremental", "", frozenset({"t"}))
    assert [name for name, _ in explained.stages] == ["tokens", "ast", "rewrites", "plan", "circuit"]
    stages = dict(explained.stages)
    assert "        Scan t\nconstant ‹0› = 1" in stages["plan"] and "by hash of a" in stages["circuit"]
    assert "by bisecting b > ‹1›" in stages["circuit"] and "not live" in stages["circuit"]
    other = driven.engine.explain("SELECT age, name FROM t WHERE a = 'x' AND b > 9 ORDER BY name LIMIT 1", {})
    assert other.shape == explained.shape


@pytest.mark.parametrize(
    ("surql", "mode", "reason"),
    [
        ("SELECT * FROM t SPLIT a", "incremental", "SPLIT"),
        ("SELECT * FROM t ORDER BY a LIMIT 1001", "incremental", "beyond the first 1000"),
    ],
)
def test_explain_says_why_and_what_is_live(surql: str, mode: str, reason: str) -> None:
    driven = live(("w", "SELECT * FROM t WHERE a = 1", {}))
    assert dict(driven.engine.explain(surql, {}).stages)["circuit"] == "not live"
    driven.log.register("v", surql)
    driven.catch_up()
    explained = driven.engine.explain(surql, {})
    assert explained.mode == mode and reason in explained.reason and explained.shape == ""
    assert "1 views" in dict(explained.stages)["circuit"]
    assert "1 groups" in dict(driven.engine.explain("SELECT * FROM t WHERE a = 2", {}).stages)["circuit"]


def test_explain_refuses_what_registering_refuses() -> None:
    with pytest.raises(Fault) as raised:
        live().engine.explain("CREATE t", {})
    assert raised.value.code is Code.UNSUPPORTED_QUERY


TRACED = {
    "SELECT * FROM t, u": "FROM several sources",
    "SELECT * FROM t:1": "FROM is neither a table by name nor a range of its records",
    "SELECT * FROM $n": "FROM is neither a table by name nor a range of its records",
    "SELECT * FROM ONLY t LIMIT 1": "ONLY",
    "SELECT * FROM t SPLIT a": "SPLIT",
    "SELECT count() FROM t, u GROUP ALL": "FROM several sources",
    "SELECT * FROM t WHERE a.map(|$x| $x) = $n": "a constant",
    "SELECT * FROM t ORDER BY a COLLATE": "COLLATE",
    "SELECT * FROM t ORDER BY a NUMERIC": "NUMERIC",
    "SELECT * FROM t WHERE a = /x/": "a regex",
    "SELECT * FROM t LIMIT 1 + 1": "LIMIT is not a constant",
    "SELECT * FROM t ORDER BY a START 1": "beyond the first 1000",
    "SELECT * FROM t ORDER BY a LIMIT 1001": "beyond the first 1000",
    "SELECT *, (SELECT VALUE a FROM u WHERE b > $n) AS c FROM t ORDER BY c LIMIT 2": "reads other records",
}


@pytest.mark.parametrize(("surql", "reason"), TRACED.items())
def test_what_has_no_circuit_is_traced_and_says_why(surql: str, reason: str) -> None:
    explained = live().engine.explain(surql, {"n": 1})
    assert (explained.mode, explained.shape) == ("incremental", "") and reason in explained.reason


REEVALUATED = {
    "SELECT * FROM t WHERE record::exists(a)": "record::exists()",
    "SELECT * FROM t WHERE a @@ 'x'": "operator @@",
    "SELECT * FROM t WHERE a @1@ 'x'": "operator @1@",
    "SELECT * FROM t WHERE a <|2,40|> [1, 2]": "operator <|2,40|>",
    "SELECT VALUE |t:1..1000000| FROM t": "is not held in a query tree",
}


@pytest.mark.parametrize(("surql", "reason"), REEVALUATED.items())
def test_what_cannot_be_evaluated_here_is_run_and_says_why(surql: str, reason: str) -> None:
    explained = live().engine.explain(surql, {})
    assert explained.mode == "reevaluated" and reason in explained.reason


CIRCUITS = (
    "SELECT * FROM t WHERE a IN ['x', 'yy'] AND string::len(a) > 2",
    "SELECT VALUE a FROM t WHERE b ORDER BY c DESC LIMIT 3",
    "SELECT a, b + 1 AS more, [a, b] AS both FROM t WHERE !(a = 1 OR b != NONE) START 2",
    "SELECT id FROM t WHERE tags CONTAINS 'x' OR a ?? b = 3",
    "SELECT * FROM t WHERE id = t:1",
    "SELECT * FROM t:1..5",
    "SELECT a > $n FROM t",
    "SELECT *, math::abs(a) AS size FROM t ORDER BY size DESC LIMIT 10",
    "SELECT *, a AS b FROM t",
    "SELECT * OMIT a FROM t",
    "SELECT * FROM t FETCH a",
    "SELECT a.b FROM t",
    "SELECT * FROM t WHERE a.b = 1 ORDER BY c",
    "SELECT * FROM t WHERE ->likes",
    "SELECT * FROM t WHERE a IN (SELECT VALUE id FROM u)",
    "SELECT * FROM t WHERE (SELECT VALUE a FROM u WHERE b = $parent.id AND c > $n)",
    "SELECT *, (SELECT * FROM u WHERE b = $parent.id) AS us FROM t",
)


@pytest.mark.parametrize("surql", CIRCUITS)
def test_what_one_table_decides_has_a_circuit(surql: str) -> None:
    explained = live().engine.explain(surql, {"n": 1})
    assert (explained.mode, explained.reason) == ("incremental", "") and explained.shape.startswith("SELECT id")
