"""Why a record is, or is not, in a view: each reason, in the words of the answer, and what is not told to a user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import parse_record_id
from sp00ky.ssp.circuit.deciding import TEXT_CHARS_MAX, THROUGH_MAX, Origin
from sp00ky.ssp.engine.events import QueryRan, ViewKey
from sp00ky.ssp.engine.why import Decider, Why

from tests.harness.driven_engine import Driven

ME = RecordId("user", 1)
AUTH: Mapping[str, Value] = {"id": ME, "access": "account", "claims": {}}


def post(**fields: Value) -> dict[str, Value]:
    return {"open": True, "n": 1, "author": RecordId("user", 1), **fields}


def library() -> Driven:
    """Three posts, of which the last is by somebody who is gone; three users with a secret each."""
    driven = Driven()
    for key in (1, 2, 3):
        driven.log.change("user", key, {"name": f"u{key}", "secret": key * 100})
    driven.log.change("post", 1, post(tags=["a", "b"]))
    driven.log.change("post", 2, post(n=2, author=RecordId("user", 2)))
    driven.log.change("post", 3, post(n=3, open=False, author=RecordId("user", 9)))
    return driven


def ask(driven: Driven, surql: str, record: str, params: Mapping[str, Value] | None = None, **more: Any) -> Why:
    driven.welcome()
    driven.log.register("v", surql, params, **more)
    driven.catch_up()
    why = driven.engine.why(ViewKey("v"), parse_record_id(record))
    assert why is not None
    return why


def ask_as_user(driven: Driven, record: str) -> Why:
    why = driven.engine.why(ViewKey("v"), parse_record_id(record), for_user=True)
    assert why is not None
    return why


# --- what decides ---


@pytest.mark.parametrize(
    ("surql", "record", "decider", "because"),
    [
        ("SELECT * FROM post", "post:1", Decider.CONDITIONS, "nothing is asked of it"),
        ("SELECT * FROM post WHERE open AND n > 1", "post:2", Decider.CONDITIONS, "all 2 conditions hold"),
        ("SELECT * FROM post WHERE open LIMIT 1", "post:1", Decider.CONDITIONS, "holds, and LIMIT and START take it"),
        ("SELECT * FROM post WHERE n > 1 AND open", "post:3", Decider.TERM, "`open` is not true: open is false"),
        ("SELECT * FROM post WHERE n = 9 OR n > 5", "post:1", Decider.TERM, "`n = 9 OR n > 5` is not true: n is 1"),
        (
            "SELECT * FROM post WHERE author.name = 'u1'",
            "post:3",
            Decider.TERM,
            "`author.name = 'u1'` is not true: author.name is NONE; user:9 is not there",
        ),
        (
            "SELECT * FROM user WHERE (SELECT VALUE id FROM post WHERE author = $parent.id)",
            "user:3",
            Decider.TERM,
            "(SELECT VALUE id FROM post WHERE author = $parent.id) is []",
        ),
        ("SELECT * FROM post:1..=2 WHERE open", "post:3", Decider.FROM, "`id <= post:2` is not true"),
        ("SELECT * FROM post", "user:1", Decider.FROM, "FROM is post, which no record of user is of"),
        ("SELECT * FROM [post:1, post:2]", "post:3", Decider.FROM, "it is not among the records of FROM"),
        ("SELECT * FROM $these", "post:3", Decider.FROM, "it is not among the records of FROM $these"),
        ("SELECT * FROM $these", "nowhere:3", Decider.FROM, "it is not among the records of FROM $these"),
        ("SELECT * FROM post", "post:7", Decider.MISSING, "there is no record post:7"),
        ("SELECT * FROM post LIMIT 2", "post:3", Decider.WINDOW, "row 3 of 3, and LIMIT 2 leaves it out"),
        ("SELECT * FROM post START 1", "post:1", Decider.WINDOW, "row 1 of 3, and START 1 leaves it out"),
        ("SELECT * FROM post LIMIT 0", "post:2", Decider.WINDOW, "row 2 of 3, and LIMIT 0 leaves it out"),
        (
            "SELECT * FROM post ORDER BY n DESC LIMIT 1 START 1",
            "post:1",
            Decider.WINDOW,
            "LIMIT 1 START 1 leaves it out; the window ends before it, at post:2",
        ),
        ("SELECT author FROM post GROUP BY author", "post:1", Decider.ROWS, "the group of author = user:1"),
        (
            "SELECT author.name AS by, count() FROM post WHERE open GROUP BY by",
            "post:2",
            Decider.ROWS,
            "groups, not records; post:2 fulfils every condition and goes into the group of `by` = 'u2'",
        ),
        ("SELECT count() FROM post GROUP ALL", "post:1", Decider.ROWS, "the one group of GROUP ALL"),
        ("SELECT count() FROM post WHERE open GROUP ALL", "post:3", Decider.TERM, "`open` is not true"),
        ("SELECT * FROM post SPLIT tags", "post:1", Decider.ROWS, "SPLIT makes the view's rows parts of records"),
        ("SELECT * FROM (SELECT * FROM post)", "post:1", Decider.ROWS, "the rows of FROM are values"),
        ("SELECT * FROM post FETCH author", "user:2", Decider.NESTED, "it stands below post:2 as author"),
    ],
)
def test_the_reason(surql: str, record: str, decider: Decider, because: str) -> None:
    why = ask(library(), surql, record, {"these": [RecordId("post", 1)]})
    assert (why.decider, because in why.because) == (decider, True), why
    assert why.in_view == (decider in (Decider.CONDITIONS, Decider.NESTED))
    assert why.sentence.startswith(f"{record} is {'' if why.in_view else 'not '}in the view")


def test_the_terms_are_those_that_were_asked_and_what_they_saw() -> None:
    why = ask(library(), "SELECT * FROM post WHERE n >= $n AND author.name = 'u1' AND open", "post:2", {"n": 2})
    assert [(term.text, term.origin, term.holds) for term in why.terms] == [
        ("n >= $n", Origin.WHERE, True),
        ("author.name = 'u1'", Origin.WHERE, False),
    ]
    first, second = why.terms
    assert [(each.text, each.value, each.through) for each in first.seen] == [("n", "2", ()), ("$n", "2", ())]
    assert [(each.text, each.value, each.through) for each in second.seen] == [
        ("author.name", "'u2'", ("user:2 is there",))
    ]


def test_what_a_term_did_not_come_to_is_not_told() -> None:
    why = ask(library(), "SELECT * FROM post WHERE n OR string::len(n) > 1", "post:1")
    assert [each.text for each in why.terms[0].seen] == ["n"]
    assert why.decider is Decider.CONDITIONS


def test_long_values_and_many_reads_are_cut() -> None:
    driven = library()
    driven.log.change("post", 4, post(n="x" * 1000, tags=[RecordId("user", key) for key in range(50)]))
    why = ask(driven, "SELECT * FROM post WHERE n = 'y' OR tags.name CONTAINS 'nobody'", "post:4")
    long, many = why.terms[0].seen
    assert len(long.value) == TEXT_CHARS_MAX + 1
    assert len(many.through) == THROUGH_MAX + 1 and many.through[-1] == "and 30 more"


def test_the_edge_of_the_window_has_the_keys_of_order_by() -> None:
    why = ask(library(), "SELECT *, author.name AS by FROM post ORDER BY by, n DESC LIMIT 1", "post:2")
    assert why.window is not None
    assert (why.window.rank, why.window.passing, why.window.limit) == (3, 3, 1)
    assert why.window.boundary == RecordId("post", 3)
    assert [(key.text, key.value, key.boundary) for key in why.window.keys] == [
        ("`by`", "'u2'", "NONE"),
        ("n DESC", "2", "3"),
    ]


# --- the view itself ---


def test_a_view_that_nobody_has() -> None:
    driven = library()
    driven.welcome()
    assert driven.engine.why(ViewKey("v"), RecordId("post", 1)) is None


def test_a_view_that_has_failed_says_so() -> None:
    why = ask(library(), "SELECT * FROM post WHERE n + 'x' = 2", "post:1")
    assert (why.decider, why.in_view) == (Decider.UNKNOWN, False)
    assert why.because == "the view has failed and has no members until that is mended: no int + str"


def test_a_view_without_a_result_says_so() -> None:
    driven = library()
    driven.serving = False
    driven.welcome()
    driven.log.register("v", "SELECT * FROM post")
    driven.serve(1)
    driven.catch_up()
    why = driven.engine.why(ViewKey("v"), RecordId("post", 1))
    assert why is not None and (why.decider, why.because) == (Decider.UNKNOWN, "the view has no result yet")


def test_of_a_reevaluated_view_only_membership_is_known() -> None:
    driven = library()
    driven.log.schema("post", computed=True)
    assert ask(driven, "SELECT * FROM post", "post:1").because == "the view has no result yet"
    (query,) = driven.queries
    row = {"id": RecordId("post", 1)}
    driven.step(QueryRan(query.key, query.run, driven.log.head, driven.log.head, [row], [row["id"]]))
    why, other = (driven.engine.why(ViewKey("v"), RecordId("post", key)) for key in (1, 2))
    assert why is not None and (why.in_view, why.position, why.decider) == (True, 1, Decider.UNKNOWN)
    assert "its last result holds it" in why.because and "table post has computed fields" in why.because
    assert other is not None and not other.in_view and "does not hold it" in other.because


def test_asking_leaves_no_trace() -> None:
    driven = library()
    ask(driven, "SELECT * FROM post WHERE author.name = 'u1'", "post:1")
    before = driven.engine._tracing.readers
    driven.engine.why(ViewKey("v"), RecordId("post", 3))
    assert driven.engine._tracing.readers == before


def test_an_index_of_the_database_is_no_condition_of_the_query() -> None:
    driven = library()
    driven.log.schema("post", indexes=[["n"]])
    why = ask(driven, "SELECT * FROM post WHERE n = 1 LIMIT 5", "post:1")
    assert why.decider is Decider.CONDITIONS and [term.text for term in why.terms] == ["n = 1"]
    text = "(SELECT VALUE id FROM post WHERE n = $parent.name)"
    driven.log.register("w", f"SELECT * FROM user WHERE {text} AND name = 'x'")
    driven.catch_up()
    other = driven.engine.why(ViewKey("w"), ME)
    assert other is not None and [(term.text, term.seen[0].text) for term in other.terms] == [(text, text)]


# --- a user's view ---


def restricted(post_rule: str = "open = true AND (author = $auth OR n > 1)") -> Driven:
    driven = library()
    driven.log.schema("post", select=post_rule, fields=[])
    driven.log.schema("user", select="id = $auth", fields=[{"name": "secret", "select": "NONE"}])
    return driven


@pytest.mark.parametrize("surql", ["SELECT * FROM post", "SELECT * FROM post, user"])
def test_a_rule_that_hides_is_named_and_what_it_saw_is_not(surql: str) -> None:
    why = ask(restricted(), surql, "post:3", auth=AUTH)
    assert (why.decider, why.in_view) == (Decider.PERMISSION, False)
    assert why.because == "table post does not show it to user:1: PERMISSIONS FOR select WHERE open = true"
    (term,) = why.terms
    assert (term.origin, term.holds, term.seen) == (Origin.PERMISSION, False, ())


def test_a_rule_that_fails_on_the_record_tells_nothing_of_it() -> None:
    driven = restricted("true")
    driven.log.schema("user", select="id = $auth OR name + 1 = 2", fields=[])
    ask(driven, "SELECT * FROM $these", "user:2", {"these": [RecordId("post", 1)]}, auth=AUTH)
    driven.log.register("w", "SELECT * FROM user")  # so that the table is held
    driven.catch_up()
    why = driven.engine.why(ViewKey("v"), RecordId("user", 2))
    assert why is not None and (why.decider, why.in_view) == (Decider.UNKNOWN, False)
    told = "the rule `id = $auth OR name + 1 = 2` of its table, on it"
    assert why.because == f"the reason cannot be told here: {told}"


def test_a_table_that_nobody_sees() -> None:
    why = ask(restricted("NONE"), "SELECT * FROM post", "post:1", auth=AUTH)
    assert why.because == "table post does not show it to user:1: PERMISSIONS FOR select NONE"


def test_a_rule_that_holds_comes_before_the_terms() -> None:
    why = ask(restricted(), "SELECT * FROM post WHERE n = 1", "post:2", auth=AUTH)
    assert [(term.text, term.origin, term.holds) for term in why.terms] == [
        ("open = true", Origin.PERMISSION, True),
        ("author = $auth OR n > 1", Origin.PERMISSION, True),
        ("n = 1", Origin.WHERE, False),
    ]


def test_nothing_behind_a_link_is_told_that_the_user_may_not_read() -> None:
    """user:2 is there, named u2 and has a secret; to user:1 it is not."""
    driven = restricted()
    why = ask(driven, "SELECT * FROM post WHERE author.name = 'u2' OR author.secret > 100", "post:2", auth=AUTH)
    assert why.decider is Decider.TERM
    assert {each.value for each in why.terms[-1].seen} == {"NONE"}
    assert "user:2 is not there, or not for this user" in why.because
    told = repr(why)
    assert "'u2'" not in told.replace("author.name = 'u2'", "") and "200" not in told


def test_a_field_that_the_user_may_not_read_is_not_there() -> None:
    why = ask(restricted(), "SELECT * FROM user WHERE secret > 1 OR name = 'x'", "user:1", auth=AUTH)
    assert why.decider is Decider.TERM and why.because.endswith("secret is NONE, name is 'u1'")


def test_the_edge_of_a_users_window_is_what_the_user_sees() -> None:
    driven = restricted("true")
    why = ask(driven, "SELECT *, author.name AS by FROM post ORDER BY by LIMIT 1", "post:1", auth=AUTH)
    assert why.window is not None and why.window.boundary == RecordId("post", 2)
    assert [(key.value, key.boundary) for key in why.window.keys] == [("'u1'", "NONE")]


@pytest.mark.parametrize("surql", [
    "SELECT * FROM post", "SELECT * FROM post, user", "SELECT * FROM post:1..9 WHERE n > 7",
    "SELECT * FROM post WHERE n > 1 ORDER BY n LIMIT 1", "SELECT count() FROM post GROUP ALL", "SELECT * FROM [post:3]",
])  # fmt: skip
def test_a_user_hears_of_a_hidden_record_what_he_hears_of_none(surql: str) -> None:
    driven = restricted()
    assert ask(driven, surql, "post:3", auth=AUTH).decider is Decider.PERMISSION
    hidden, gone = repr(ask_as_user(driven, "post:3")), repr(ask_as_user(driven, "post:7"))
    assert hidden == gone.replace("post:7", "post:3").replace("key=7", "key=3")
    assert "there is no record post:3 that you may read" in hidden and "terms=[]" in hidden
    assert not [word for word in ("PERMISSIONS", "open", "author") if word in hidden]


def test_a_user_hears_nothing_of_a_rule_that_fails_or_that_nobody_passes() -> None:
    driven = restricted("true")
    driven.log.schema("user", select="id = $auth OR name + 1 = 2", fields=[])
    ask(driven, "SELECT * FROM $these", "user:2", {"these": [RecordId("post", 1)]}, auth=AUTH)
    driven.log.register("w", "SELECT * FROM user")  # so that the table is held
    driven.catch_up()
    assert ask_as_user(driven, "user:2").because == "there is no record user:2 that you may read"
    assert ask_as_user(driven, "user:7").because == "there is no record user:7 that you may read"
    nobody = restricted("NONE")
    ask(nobody, "SELECT * FROM post", "post:1", auth=AUTH)
    assert ask_as_user(nobody, "post:1").because == "there is no record post:1 that you may read"


def test_a_user_hears_of_his_own_records_the_terms_of_his_query() -> None:
    driven = restricted()
    ask(driven, "SELECT * FROM post WHERE n = 1", "post:2", auth=AUTH)
    why = ask_as_user(driven, "post:2")
    assert [(term.text, term.origin, term.holds) for term in why.terms] == [("n = 1", Origin.WHERE, False)]
    why = ask_as_user(driven, "post:1")
    assert (why.in_view, why.because) == (True, "the condition holds")


def test_a_users_window_counts_what_the_user_may_read() -> None:
    driven = restricted()
    ask(driven, "SELECT * FROM post ORDER BY n DESC LIMIT 1", "post:1", auth=AUTH)
    window = ask_as_user(driven, "post:1").window
    assert window is not None and (window.rank, window.passing, window.boundary) == (2, 2, RecordId("post", 2))


def test_a_user_is_not_told_why_his_view_is_run_whole() -> None:
    driven = library()
    driven.log.schema("post", select="fn::secret_rule(open)", fields=[])
    ask(driven, "SELECT * FROM post", "post:1", auth=AUTH)
    assert ask_as_user(driven, "post:1").because == ask_as_user(driven, "post:7").because


def test_the_rules_of_the_database_are_not_a_services() -> None:
    why = ask(restricted("NONE"), "SELECT * FROM post WHERE author.secret = 200", "post:2")
    assert why.in_view and [each.value for each in why.terms[0].seen] == ["200"]
