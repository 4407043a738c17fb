"""Why a record is in a view, or is not: the answer agrees with the members, and the real engine with the reason.

For every record, there or not, of every table: `in_view` is membership; the term that decides is not true on the real
engine and those before it are; the rank of what LIMIT leaves out is the engine's; what is missing is not there. Every
value that is told of a user's view is the one that the engine shows to that user. And where the user himself asks, what
he may not read is what is not there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sp00ky.proto.surrealql.ast import Literal
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import display, to_surql
from sp00ky.ssp.circuit.deciding import Origin
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.why import Decider, Why

from tests.harness.driven_engine import Driven, apart
from tests.harness.library import TABLES, Change, Draw, Library, Query, append
from tests.harness.oracle import Oracle, Refused
from tests.harness.users import UserOracle

SEEDS = st.integers(0, 2**32).map(random.Random)
QUICK = settings(deadline=None, max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
VIEWS = 8

TERMS = (
    "SELECT * FROM post",
    "SELECT * FROM post WHERE title = $name AND n > $n",
    "SELECT * FROM post WHERE !(title = $name OR n > $n) AND open",
    "SELECT * FROM post:2..4 WHERE open",
    "SELECT * FROM post:1..=2",
    "SELECT * FROM post WHERE odd IN $list AND open = true",
    "SELECT * FROM post WHERE author.name = $name AND n > $n",
    "SELECT * FROM post WHERE author.boss.team = $team",
    "SELECT * FROM post WHERE author = $me.boss OR tags CONTAINS $name",
    "SELECT * FROM post WHERE author IN (SELECT VALUE id FROM person WHERE team = $team)",
    "SELECT * FROM post WHERE count(<-wrote) > $n AND title",
    "SELECT * FROM person WHERE ->wrote->post.title CONTAINS $name",
    "SELECT * FROM post WHERE (SELECT VALUE id FROM comment WHERE post = $parent.id AND by = $me)",
    "SELECT * FROM post WHERE array::len((SELECT id FROM comment WHERE post = $parent.id)) >= $n AND open",
    "SELECT * FROM post WHERE title AND string::starts_with(title, $name)",
)
WINDOWS = (
    "SELECT * FROM post LIMIT 2",
    "SELECT * FROM post WHERE open START 1",
    "SELECT * FROM post ORDER BY n LIMIT 2 START 1",
    "SELECT * FROM post WHERE n >= $n ORDER BY n DESC, title LIMIT 1",
    "SELECT *, author.name AS by FROM post ORDER BY by LIMIT 2 START 1",
    "SELECT * FROM post WHERE author.team = $team ORDER BY title LIMIT $n",
    "SELECT *, author.name AS by FROM post, person WHERE n > $n OR name = $name ORDER BY by LIMIT 3",
)
WHOLE = (
    "SELECT *, (SELECT id, n FROM comment WHERE post = $parent.id) AS talk FROM post WHERE open",
    "SELECT * FROM comment WHERE n > $n FETCH post, by",
    "SELECT * FROM post, comment WHERE n > $n",
    "SELECT * FROM [post:1, person:1, post:3]",
    "SELECT * FROM $records WHERE tags",
    "SELECT * FROM ONLY post:1",
    "SELECT title FROM ONLY post WHERE id = post:2 LIMIT 1",
    "SELECT * FROM person:1->wrote->post WHERE open",
    "SELECT author, count() AS posts FROM post WHERE n > $n GROUP BY author",
    "SELECT count() FROM post GROUP ALL",
    "SELECT * FROM post WHERE open SPLIT tags",
    "SELECT * FROM (SELECT id, title FROM post WHERE n > $n)",
)


def drawn(draw: Draw, texts: tuple[str, ...]) -> dict[str, Query]:
    chosen = [draw.source.choice(texts) for _ in range(VIEWS)]
    return {f"v{place}": Query(text, draw.params(text)) for place, text in enumerate(chosen)}


def records() -> Iterator[RecordId]:
    yield from (RecordId(table, key) for table in TABLES for key in range(1, 6))
    yield from (RecordId("nowhere", 1), RecordId("post", "text"))


def history(draw: Draw, library: Library, driven: Driven, oracle: Oracle) -> None:
    """One history in three places."""
    changes = [change for change in (draw.change() for _ in range(24)) if is_whole(change)]
    library.apply(changes, 1)
    append(driven, changes)
    for table in TABLES:
        oracle.ask(f"DEFINE TABLE {table} TYPE {'RELATION' if table == 'wrote' else 'NORMAL'}")
    for record, (row, _) in library.held.items():
        kind = "RELATION" if record.table == "wrote" else f"INTO {record.table}"
        said = oracle.ask(f"INSERT {kind} $row", row=row)
        assert not isinstance(said, Refused), said


def is_whole(change: Change) -> bool:
    """An edge has two ends."""
    return change.table != "wrote" or change.record is None or {"in", "out"} <= change.record.keys()


@pytest.mark.parametrize("texts", [TERMS, WINDOWS, WHOLE], ids=["terms", "windows", "whole"])
@given(SEEDS)
@QUICK
def test_the_answer_is_the_members_and_the_reason_is_the_engines(texts: tuple[str, ...], source: random.Random) -> None:
    draw, library, driven, oracle = Draw(source), Library(), Driven(), Oracle()
    history(draw, library, driven, oracle)
    driven.welcome()
    queries = drawn(draw, texts)
    for view, query in queries.items():
        driven.log.register(view, query.surql, query.params)
    driven.catch_up()
    for view, query in queries.items():
        reading = driven.engine.view(ViewKey(view))
        assert reading is not None and reading.state == "live"
        members, below = apart(reading.members)
        for record in records():
            why = driven.engine.why(ViewKey(view), record)
            about = f"{query.surql} {query.params} {display(record)}: {why}"
            assert why is not None and why.in_view == (record in members or any(record == at[2] for at in below)), about
            assert why.position == (list(members).index(record) + 1 if record in members else 0), about
            assert (why.decider is Decider.CONDITIONS) == (record in members), about
            assert why.decider is not Decider.UNKNOWN and display(record) in why.sentence, about
            agrees(oracle, query, why, about)


def agrees(oracle: Oracle, query: Query, why: Why, about: str) -> None:
    """The real engine says so too."""
    there = oracle.ask("RETURN record::exists($r)", r=why.record)
    assert there is not True or why.decider is not Decider.MISSING, about
    if why.decider in (Decider.CONDITIONS, Decider.TERM, Decider.WINDOW):
        assert there is True, about
        held = [holds(oracle, each.text, why.record, query.params) for each in why.terms]
        assert held == [each.holds for each in why.terms], about
        assert all(held[:-1]) and (all(held) != (why.decider is Decider.TERM)), about
    if why.window is not None:
        unlimited = replace(query.select, limit=Literal(1000), start=None)
        rows = oracle.ask(print_node(unlimited), **query.params)
        ids = [row["id"] for row in rows]  # type: ignore[index,union-attr]
        assert (ids.index(why.record) + 1, len(ids)) == (why.window.rank, why.window.passing), about
    if why.decider in (Decider.FROM, Decider.MISSING) and "GROUP" not in query.surql:
        rows = oracle.ask(query.surql, **query.params)
        listed = rows if isinstance(rows, list) else [rows]
        assert why.record not in [row.get("id") for row in listed if isinstance(row, dict)] or "(" in query.surql, about


# --- as a user -------------------------------------------------------------------------------------------------------

RULES = {
    "post": "open = true OR author = $auth",
    "person": "team = 'red' OR id = $auth",
    "robot": "FULL",
    "comment": "FULL",
    "wrote": "in = $auth",
}
FIELDS = {"comment": [{"name": "text", "select": "by = $auth"}], "robot": [{"name": "age", "select": "NONE"}]}
AS_A_USER = (
    *TERMS,
    *WINDOWS[:4],
    "SELECT * FROM comment WHERE text = $name AND n >= $n",
    "SELECT * FROM comment WHERE by.name = $name AND post.author.age > $n",
    "SELECT * FROM robot WHERE age > $n OR name = $name",
    "SELECT * FROM post WHERE author.age > $n",
    "SELECT *, (SELECT id, text FROM comment WHERE post = $parent.id) AS talk FROM post WHERE n >= $n",
    "SELECT * FROM comment WHERE by = $auth FETCH post",
)


@given(SEEDS)
@QUICK
def test_a_users_view_tells_what_the_user_may_see(source: random.Random) -> None:
    draw, library, driven, oracle = Draw(source), Library(), Driven(), UserOracle()
    history(draw, library, driven, oracle)
    for table, rule in RULES.items():
        shown = rule if rule == "FULL" else f"WHERE {rule}"
        oracle.ask(f"DEFINE TABLE OVERWRITE {table} PERMISSIONS FOR select {shown}")
        for field in FIELDS.get(table, ()):
            clause = "NONE" if field["select"] == "NONE" else f"WHERE {field['select']}"
            oracle.ask(f"DEFINE FIELD {field['name']} ON {table} PERMISSIONS FOR select {clause}")
        driven.log.schema(table, select=rule, fields=FIELDS.get(table, []), indexes=[])
    driven.welcome()
    me = RecordId("person", 1)
    auth = {"id": me, "access": "account", "claims": oracle.sign_in(me)}
    queries = {view: replace(query, auth=auth) for view, query in drawn(draw, AS_A_USER).items()}
    for view, query in queries.items():
        driven.log.register(view, query.surql, query.params, auth=query.auth)
    driven.catch_up()
    for view, query in queries.items():
        reading = driven.engine.view(ViewKey(view))
        assert reading is not None
        if reading.state == "failed":
            continue  # what cannot be kept for a user is refused, and has its tests
        members, below = apart(reading.members)
        for record in records():
            why = driven.engine.why(ViewKey(view), record)
            about = f"{query.surql} {query.params} {display(record)}: {why}"
            assert why is not None and why.in_view == (record in members or any(record == at[2] for at in below)), about
            assert (why.decider is Decider.CONDITIONS) == (record in members), about
            assert why.decider is not Decider.UNKNOWN, about
            seen = isinstance(oracle.ask_as(me, "SELECT * FROM ONLY $r", r=record), dict)
            keeps_to_itself(driven, view, why, seen=seen)
            if why.decider in (Decider.CONDITIONS, Decider.TERM, Decider.WINDOW):
                assert seen, about
            if why.decider is Decider.PERMISSION:
                assert not seen and oracle.ask("RETURN record::exists($r)", r=record) is True, about
            for term in why.terms:
                if term.origin is Origin.PERMISSION:
                    assert not term.seen, about
                for each in term.seen:
                    if each.text[1:] in query.params:
                        continue  # the view's own
                    answer = oracle.ask_as(me, f"SELECT VALUE {each.text} FROM ONLY $r_", r_=record, **query.params)
                    assert to_surql(answer) == each.value, (each, answer, about)  # type: ignore[arg-type]


def keeps_to_itself(driven: Driven, view: str, why: Why, *, seen: bool) -> None:
    """What the user hears is of the terms of his query, or what he would hear of a record that was never there."""
    told = driven.engine.why(ViewKey(view), why.record, for_user=True)
    never = driven.engine.why(ViewKey(view), RecordId(why.record.table, 99), for_user=True)
    assert told is not None and never is not None
    assert all(term.origin is not Origin.PERMISSION for term in told.terms), told
    if seen:
        kept = [term for term in why.terms if term.origin is not Origin.PERMISSION]
        assert (told.in_view, told.decider, told.terms, told.window) == (why.in_view, why.decider, kept, why.window)
    else:
        alike = replace(never, record=told.record)
        assert told == replace(alike, because=never.because.replace(display(never.record), display(told.record)))


def holds(oracle: Oracle, term: str, record: RecordId, params: Mapping[str, Value]) -> bool:
    answer = oracle.ask(f"SELECT VALUE !!({term}) FROM ONLY $record", record=record, **params)
    assert isinstance(answer, bool), (term, record, answer)
    return answer
