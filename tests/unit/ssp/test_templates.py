"""Plans by text: a template with the values filled in is the plan of the values."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.values.kinds import NONE, RecordId, Regex, Table, Value
from sp00ky.ssp.plan import templates as module
from sp00ky.ssp.plan.build import build
from sp00ky.ssp.plan.facts import TableFacts, facts_of
from sp00ky.ssp.plan.nodes import Incremental, Traced, User
from sp00ky.ssp.plan.templates import Templates

ANN = RecordId("person", "ann")


def open_to_all(table: str) -> TableFacts:
    return facts_of({"select": "FULL"})


def ruled(table: str) -> TableFacts:
    return facts_of({"select": "owner = $auth"})


def user(record: RecordId = ANN) -> User:
    return User(record, {"auth": record, "session": {"rd": record}})


TEXTS: tuple[tuple[str, dict[str, Value]], ...] = (
    ("SELECT * FROM t WHERE a = $a AND b > 2 ORDER BY c LIMIT $n", {"a": "x", "n": 3}),
    ("SELECT * FROM t WHERE a = $a", {"a": NONE}),
    ("SELECT * FROM t WHERE a = $a", {}),
    ("SELECT * FROM t WHERE a IN [$a, 1, $b]", {"a": 1, "b": [2]}),
    ("SELECT * FROM t WHERE a = { x: $a }", {"a": 1}),
    ("SELECT * FROM t WHERE a = type::record('t', $a)", {"a": 1}),
    ("SELECT * FROM t WHERE a = $a", {"a": [Regex("x")]}),
    ("SELECT * FROM t ORDER BY a LIMIT $n", {"n": 1001}),
    ("SELECT * FROM t ORDER BY a LIMIT $n", {"n": "x"}),
    ("SELECT * FROM t WHERE author = $me.boss AND a = $a", {"me": ANN, "a": 1, "unused": 2}),
    ("SELECT * FROM t WHERE (SELECT id FROM u WHERE b = $parent.id AND c > $a)", {"a": 1}),
    ("SELECT id, a + $a AS b FROM t", {"a": 1}),
    ("SELECT * FROM $from WHERE a = 1", {"from": Table("t")}),
    ("SELECT * FROM type::table($from)", {"from": "t"}),
    ("SELECT *, a.b AS c FROM t ORDER BY c LIMIT 3", {}),
    ("SELECT *, a.b + $a AS c FROM t ORDER BY c LIMIT 3", {"a": 1}),
    ("SELECT count() FROM t WHERE a = $a GROUP ALL", {"a": 1}),
)


@pytest.mark.parametrize(("surql", "params"), TEXTS)
@pytest.mark.parametrize("first", [{}, {"a": 5, "b": 6, "n": 1, "me": RecordId("person", "bob")}])
def test_a_template_plans_what_build_plans(surql: str, params: dict[str, Value], first: dict[str, Value]) -> None:
    templates, admitted = Templates(open_to_all), admit(surql)
    templates.plan(admitted, first)  # whoever comes first decides nothing for the others
    assert templates.plan(admitted, params) == build(admitted, params, open_to_all)


@pytest.mark.parametrize(
    "surql",
    [
        "SELECT * FROM t WHERE a = $a",
        "SELECT * FROM t WHERE author = $auth.boss",
        "SELECT *, author.name AS by FROM t",
        "SELECT * FROM t WHERE author.name = $a",
        "SELECT * FROM t WHERE (SELECT id FROM u WHERE b = $parent.id)",
    ],
)
@pytest.mark.parametrize("schema", [open_to_all, ruled])
def test_a_users_template_plans_what_build_plans(surql: str, schema: object) -> None:
    """Also where what the user may see makes the circuit his own, so that his name is part of the shape."""
    templates, admitted = Templates(schema), admit(surql, as_user=True)  # type: ignore[arg-type]
    for each in (user(), user(RecordId("person", "bob")), None):
        if each is not None or "$auth" not in surql:
            assert templates.plan(admitted, {"a": 1}, each) == build(admitted, {"a": 1}, schema, each)  # type: ignore[arg-type]


def test_what_shows_a_user_less_is_the_circuit_of_that_user_alone() -> None:
    admitted = admit("SELECT *, author.name AS by FROM post", as_user=True)
    plans = [Templates(ruled).plan(admitted, {}, user(RecordId("person", name))) for name in ("ann", "bob")]
    assert all(isinstance(plan, Incremental) and plan.own for plan in plans)
    shapes = {plan.shape for plan in plans if isinstance(plan, Incremental)}
    assert len(shapes) == 2 and all("person:" in shape for shape in shapes)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Value]]:
    calls: list[Mapping[str, Value]] = []

    def counting(admitted, params, schema, user=None):  # type: ignore[no-untyped-def]
        calls.append(params)
        return build(admitted, params, schema, user)

    monkeypatch.setattr(module, "build", counting)
    return calls


def test_a_text_is_planned_once_until_the_schema_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, templates, admitted = counted(monkeypatch), Templates(open_to_all), admit("SELECT * FROM t WHERE a = $a")
    for value in range(5):
        templates.plan(admitted, {"a": value})
    assert len(calls) == 1
    templates.clear()
    templates.plan(admitted, {"a": 1})
    assert len(calls) == 2


def test_g6_templates_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TEMPLATES_MAX", 8)
    templates = Templates(open_to_all)
    for number in range(50):
        templates.plan(admit(f"SELECT * FROM t WHERE a = $a AND b{number} = 1"), {"a": 1})
        assert len(templates._known) <= 8


def test_each_value_is_asked_for_what_must_be_known_of_it() -> None:
    templates = Templates(open_to_all)
    by_limit = admit("SELECT * FROM t ORDER BY a LIMIT $n")
    kinds = [type(templates.plan(by_limit, {"n": number})) for number in (10, 1001, 11)]
    assert kinds == [Incremental, Traced, Incremental]
    by_value = admit("SELECT * FROM t WHERE a = $a")
    assert [type(templates.plan(by_value, {"a": each})) for each in (1, Regex("x"))] == [Incremental, Traced]


def test_what_cannot_be_planned_for_a_user_is_a_fault_each_time() -> None:
    templates, admitted = Templates(open_to_all), admit("SELECT * FROM t WHERE a @@ $n", as_user=True)
    for number in range(2):
        with pytest.raises(Fault) as raised:
            templates.plan(admitted, {"n": number}, user())
        assert raised.value.code is Code.UNSUPPORTED_QUERY
