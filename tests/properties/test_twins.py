"""Every operator beside its naive twin: what is kept by differences equals what is computed fresh, after every
transaction and after many at once."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sp00ky.proto.surrealql.admit import admit
from sp00ky.ssp.circuit.dispatch import dispatch_of
from sp00ky.ssp.circuit.pipeline import pipeline_of
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.plan.build import build
from sp00ky.ssp.plan.facts import TableFacts
from sp00ky.ssp.plan.nodes import Group, Incremental, Plan, Traced
from sp00ky.ssp.plan.terms import Dynamic

from tests.harness.driven_engine import Driven
from tests.harness.library import TABLES, Draw, Library, Query, Told, append

SEEDS = st.integers(0, 2**32).map(random.Random)
# A seed does not shrink: a failure prints its history as it is.
QUICK = settings(deadline=None, max_examples=16, phases=[Phase.explicit, Phase.reuse, Phase.generate])
VIEWS = 8
STEPS = 12


def live(driven: Driven, queries: Mapping[str, Query]) -> None:
    for view, query in queries.items():
        driven.log.register(view, query.surql, query.params, auth=query.auth)
    driven.catch_up()


def keeps_step_by_step_and_at_once(draw: Draw, queries: Mapping[str, Query]) -> None:
    """Two engines live through one history, one a transaction at a time; both end as the twin."""
    library, stepped, at_once = Library(), Driven(), Driven()
    before = [draw.change() for _ in range(20)]
    library.apply(before, 1)
    for driven in (stepped, at_once):
        append(driven, before)
        driven.welcome()
        live(driven, queries)
    told, told_once = Told(stepped, library, queries), Told(at_once, library, queries)
    told.check()
    for _ in range(STEPS):
        changes = draw.transaction()
        library.apply(changes, stepped.log.head + 1)
        for driven in (stepped, at_once):
            append(driven, changes)
        stepped.catch_up()
        told.check()
    at_once.catch_up()
    told_once.check()
    for view in queries:
        one, other = stepped.engine.view(ViewKey(view)), at_once.engine.view(ViewKey(view))
        assert one is not None and other is not None and one.hash == other.hash, queries[view].surql


def drawn(draw: Draw, texts: Sequence[str], count: int = VIEWS) -> dict[str, Query]:
    chosen = [draw.source.choice(texts) for _ in range(count)]
    return {f"v{place}": Query(text, draw.params(text)) for place, text in enumerate(chosen)}


COLUMNS = (
    "SELECT * FROM post WHERE author.name = $name",
    "SELECT * FROM post WHERE author.name = $name AND n > $n",
    "SELECT * FROM post WHERE author.age >= $n",
    "SELECT * FROM post WHERE $n > author.age AND author.team = $team",
    "SELECT * FROM post WHERE author.name IN $list",
    "SELECT * FROM post WHERE author.tags CONTAINS $name OR title = $name",
    "SELECT * FROM post WHERE author.boss.name = $name",
    "SELECT * FROM post WHERE author.boss.boss = $me",
    "SELECT * FROM post WHERE <-wrote<-person.name CONTAINS $name",
    "SELECT * FROM post WHERE count(<-wrote) > $n",
    "SELECT * FROM person WHERE ->wrote->post",
    "SELECT * FROM person WHERE ->wrote[WHERE n > 1]->post.title CONTAINS $name",
    "SELECT * FROM post WHERE array::len((SELECT id FROM comment WHERE post = $parent.id)) >= $n",
    "SELECT * FROM post WHERE (SELECT VALUE by FROM comment WHERE post = $parent.id) CONTAINS $me",
    "SELECT * FROM post WHERE (SELECT VALUE n FROM comment WHERE post = $parent.id ORDER BY n LIMIT 1)[0] >= $n",
    "SELECT * FROM post WHERE tags[0] = $name OR author.name = $name",
    "SELECT * FROM post WHERE readers.name CONTAINS $name",
    "SELECT *, author.name AS by FROM post ORDER BY by LIMIT 3",
    "SELECT id, author.boss.name AS chief, n FROM post ORDER BY chief DESC, n LIMIT 4 START 1",
    "SELECT id, author.age AS age FROM post WHERE author.team = $team ORDER BY age DESC LIMIT 3",
    "SELECT id, count(<-wrote) AS fans FROM post ORDER BY fans DESC LIMIT 2",
)
MEMBERSHIPS = (
    "SELECT * FROM post WHERE title IN $list",
    "SELECT * FROM post WHERE odd IN $list",
    "SELECT * FROM post WHERE tags CONTAINS $odd",
    "SELECT * FROM post WHERE $odd IN odd",
    "SELECT * FROM post WHERE odd CONTAINS $odd",
    "SELECT * FROM post WHERE $list CONTAINS odd",
    "SELECT * FROM post WHERE string::starts_with(title ?? '', $name)",
    "SELECT * FROM post WHERE title AND string::starts_with(title, $name)",
    "SELECT * FROM post WHERE title AND (string::starts_with(title, $name) OR odd = $odd)",
    "SELECT * FROM post WHERE title = $name OR tags CONTAINS $odd",
    "SELECT * FROM post WHERE title IN $list OR $name IN tags",
    "SELECT * FROM post WHERE (title = $name AND n > $n) OR odd IN $list",
    "SELECT * FROM post WHERE n > $n AND odd IN $list",
    "SELECT * FROM post WHERE author IN $records",
    "SELECT * FROM post WHERE author.name IN $list OR author.tags CONTAINS $odd",
    "SELECT * FROM post WHERE odd IN $list ORDER BY n DESC LIMIT 2",
)
DYNAMICS = (
    "SELECT * FROM post WHERE author IN (SELECT VALUE id FROM person WHERE team = $team)",
    "SELECT * FROM post WHERE author = $me.boss",
    "SELECT * FROM post WHERE author.team = $me.team",
    "SELECT * FROM post WHERE n > $me.age",
    "SELECT * FROM post WHERE title IN (SELECT VALUE name FROM person) AND n <= $n",
    "SELECT * FROM post WHERE n = (SELECT VALUE age FROM person WHERE team = $team LIMIT 1)[0]",
    "SELECT * FROM post WHERE title AND string::starts_with(title, $me.name ?? 'a')",
    "SELECT * FROM post WHERE author = $me.boss ORDER BY n DESC LIMIT 2",
    "SELECT * FROM post WHERE tags CONTAINS $me.name OR author = $me",
    "SELECT *, author.name AS by FROM post WHERE author = $me.boss",
    "SELECT * FROM post WHERE $me.tags CONTAINS title",
    "SELECT * FROM post WHERE title IN $me.tags AND author.team = $team LIMIT 3",
)
TRACED_TERMS = (
    "SELECT * FROM post WHERE (SELECT VALUE id FROM comment WHERE post = $parent.id AND by = $me)",
    "SELECT * FROM post WHERE author = $me AND (SELECT VALUE id FROM comment WHERE post = $parent.id AND n > $n)",
    "SELECT * FROM post WHERE (SELECT count() FROM comment WHERE post = $parent.id GROUP ALL)[0].count",
    "SELECT * FROM post WHERE title = $name"
    " AND (SELECT count() FROM comment WHERE post = $parent.id GROUP ALL)[0].count",
    "SELECT * FROM post"
    " WHERE (SELECT VALUE by.name FROM comment WHERE post = $parent.id AND n > $n) CONTAINS author.name",
    "SELECT * FROM post WHERE n > $n AND array::len((SELECT VALUE n FROM wrote WHERE out = $parent.id AND n > $n)) > 1",
    "SELECT * FROM post WHERE (SELECT VALUE id FROM comment WHERE post = $parent.id AND by = $me) ORDER BY n LIMIT 2",
    "SELECT * FROM post WHERE (SELECT count() FROM comment WHERE post = $parent.id GROUP ALL)[0].count LIMIT 2",
    "SELECT * FROM post WHERE author.name = $name AND (SELECT id FROM comment WHERE by = $parent.author AND n > $n)",
    "SELECT * FROM post WHERE author = $me.boss AND (SELECT id FROM comment WHERE by = $parent.author AND n > $n)",
    "SELECT * FROM post WHERE tags CONTAINS $name AND (SELECT id FROM comment WHERE post = $parent.id GROUP BY id)",
)
SHOWN = (
    "SELECT id, title, author.name AS by FROM post WHERE n > $n",
    "SELECT *, author.* AS writer FROM post",
    "SELECT *, (SELECT id, n FROM comment WHERE post = $parent.id ORDER BY n DESC LIMIT 2) AS talk FROM post"
    " WHERE author = $me",
    "SELECT *, (SELECT * FROM comment WHERE post = $parent.id AND n > $n) AS talk FROM post ORDER BY n LIMIT 3",
    "SELECT id, (SELECT id, n, (SELECT id, text FROM comment WHERE post = $parent.id) AS talk FROM post"
    " WHERE author = $parent.id ORDER BY n LIMIT 2) AS posts FROM person WHERE team = $team",
    "SELECT * FROM post WHERE n >= $n FETCH author, author.boss",
    "SELECT id, readers FROM post FETCH readers",
    "SELECT id, readers FROM post FETCH readers[0].boss",
    "SELECT * FROM post FETCH readers[$], readers[*].boss, author",
    "SELECT id, post, by FROM comment FETCH post.author, by",
    "SELECT * FROM comment WHERE by.team = $team FETCH by.boss.boss",
    "SELECT *, <-wrote<-person AS fans FROM post ORDER BY n LIMIT 3",
    "SELECT *, (SELECT id, name FROM $parent.readers) AS public FROM post",
    "SELECT VALUE { t: title, by: author.name } FROM post LIMIT 3",
    "SELECT id, (SELECT count() FROM comment WHERE post = $parent.id GROUP ALL) AS talk FROM post",
    "SELECT id, (SELECT * FROM ONLY $parent.author) AS writer FROM post WHERE author.id",
    "SELECT id, (SELECT *, by.name AS who FROM comment WHERE post = $parent.id AND by = $me) AS mine FROM post",
)
GROUPED = (
    "SELECT count() FROM post GROUP ALL",
    "SELECT count() AS posts FROM post WHERE n > $n GROUP ALL",
    "SELECT author, count() AS posts FROM post GROUP BY author",
    "SELECT author, math::sum(n) AS total, math::mean(n) AS mean FROM post WHERE n >= $n GROUP BY author",
    "SELECT title, array::group(n) AS all, math::max(n) AS most, count(n) AS some FROM post GROUP BY title",
    "SELECT n, title FROM post WHERE title = $name GROUP BY n",
    "SELECT author, count() AS posts FROM post GROUP BY author ORDER BY posts DESC, author LIMIT 2",
    "SELECT title, count() + $n AS more FROM post WHERE author.team = $team GROUP BY title ORDER BY more START 1",
    "SELECT VALUE count() FROM post WHERE author = $me GROUP ALL",
    "SELECT math::sum(n) AS total, math::min(n) AS least FROM ONLY post GROUP ALL",
    "SELECT tags, count() AS posts FROM post WHERE author = $me GROUP BY tags",
    "SELECT title OMIT posts FROM post GROUP BY title",
)
WHOLE = (
    "SELECT author.team AS team, count() AS posts FROM post WHERE n > $n GROUP BY team",
    "SELECT * FROM post SPLIT tags",
    "SELECT id, tags, author.name AS by FROM post WHERE author.team = $team SPLIT tags",
    "SELECT * FROM post, comment",
    "SELECT *, author.name AS by FROM post, person WHERE n > $n OR name = $name ORDER BY by LIMIT 4",
    "SELECT * FROM [post:1, person:1]",
    "SELECT * FROM $records",
    "SELECT *, (SELECT id, n FROM comment WHERE post = $parent.id) AS talk FROM $records",
    "SELECT * FROM (SELECT id, title FROM post WHERE n > $n)",
    "SELECT * FROM ONLY post:1",
    "SELECT *, author.name AS by FROM ONLY post:2 FETCH author",
    "SELECT title FROM ONLY post WHERE id = post:2 LIMIT 1",
    "SELECT * FROM person:1->wrote->post",
    "SELECT * FROM post WHERE title = /^a/",
    "SELECT * FROM ONLY $me FETCH boss",
    "SELECT * FROM post WHERE n > $n AND <-wrote.map(|$edge| $edge.n) CONTAINS $n",
)


FAMILIES = {
    "columns": COLUMNS,
    "memberships": MEMBERSHIPS,
    "dynamics": DYNAMICS,
    "traced terms": TRACED_TERMS,
    "shown": SHOWN,
    "grouped": GROUPED,
    "whole": WHOLE,
}


@pytest.mark.parametrize("family", FAMILIES)
@given(SEEDS)
@QUICK
def test_what_is_kept_equals_what_is_computed_fresh(family: str, source: random.Random) -> None:
    draw = Draw(source)
    keeps_step_by_step_and_at_once(draw, drawn(draw, FAMILIES[family]))


def has_operator(family: str, plan: Plan) -> bool:
    if not isinstance(plan, Incremental):
        return family == "whole" and isinstance(plan, Traced)
    dispatch = dispatch_of(pipeline_of(plan.root).cond)
    match family:
        case "columns":
            return bool(plan.columns)
        case "memberships":
            return bool(dispatch.several)
        case "dynamics":
            return any(isinstance(constant, Dynamic) for constant in plan.binding)
        case "grouped":
            return isinstance(plan.root.input, Group)
        case "traced terms":
            return (dispatch.foreign_shared or dispatch.foreign_own) is not None
        case _:
            return family == "shown" and plan.shows


@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_have_the_operator_that_they_are_named_after(family: str) -> None:
    for text in FAMILIES[family]:
        if "title ?? ''" not in text:  # no index finds a beginning of what may be another value
            params = Draw(random.Random(text)).params(text)
            assert has_operator(family, build(admit(text), params, lambda table: TableFacts())), text


@given(SEEDS)
@QUICK
def test_views_that_come_and_go_leave_the_others_right(source: random.Random) -> None:
    """Each step changes records, and registers one view of any kind or unregisters one: what they share stays."""
    draw, library, driven = Draw(source), Library(), Driven()
    texts = [text for texts in FAMILIES.values() for text in texts]
    driven.welcome()
    views: dict[str, Query] = {}
    told = Told(driven, library, views)
    for step in range(24):
        changes = draw.transaction()
        library.apply(changes, driven.log.head + 1)
        append(driven, changes)
        if views and source.random() < 0.45:
            gone = source.choice(list(views))
            driven.log.unregister(gone)
            del views[gone]
        else:
            text = source.choice(texts)
            views[f"v{step}"] = Query(text, draw.params(text))
            driven.log.register(f"v{step}", text, views[f"v{step}"].params)
        driven.catch_up()
        told.check()


RULES = (
    {"post": "open = true OR author = $auth", "person": "FULL", "comment": "FULL", "wrote": "FULL"},
    {"post": "author.team = $auth.team", "person": "id = $auth OR team = 'red'", "comment": "by = $auth"},
    {"post": "FULL", "person": "team = $auth.team", "comment": "post.author = $auth OR n > 1", "wrote": "in = $auth"},
    {"post": "$auth.tags CONTAINS title OR n > 1", "person": "boss = $auth OR id = $auth", "wrote": "FULL"},
    {
        "post": "(SELECT VALUE id FROM comment WHERE post = $parent.id AND by = $auth)",
        "person": "FULL",
        "comment": "FULL",
        "robot": "FULL",
    },
)
OWN = (
    "SELECT * FROM post WHERE author = $auth",
    "SELECT * FROM post WHERE author = $auth.boss AND n > $n",
    "SELECT *, author.name AS by FROM post",
    "SELECT *, author.name AS by FROM post WHERE author.team = $auth.team",
    "SELECT * FROM post WHERE author.name = $name",
    "SELECT * FROM post WHERE title = $name",
    "SELECT * FROM post ORDER BY n DESC LIMIT 3",
    "SELECT *, author.name AS by FROM post ORDER BY by DESC LIMIT 3",
    "SELECT id, count(<-wrote) AS fans FROM post ORDER BY fans DESC LIMIT 2",
    "SELECT * FROM post WHERE (SELECT VALUE id FROM comment WHERE post = $parent.id AND n > $n)",
    "SELECT * FROM person WHERE ->wrote->post.n CONTAINS $n",
    "SELECT *, (SELECT * FROM comment WHERE post = $parent.id) AS talk FROM post WHERE n > $n",
    "SELECT * FROM comment FETCH by, post",
    "SELECT * FROM $auth",
    "SELECT author, count() AS posts FROM post GROUP BY author",
)


@given(SEEDS, st.sampled_from(RULES))
@QUICK
def test_a_users_view_equals_what_the_rules_let_him_see(source: random.Random, rules: Mapping[str, str]) -> None:
    draw, library, driven = Draw(source), Library(), Driven()
    for table in TABLES:
        library.rule(table, rules.get(table, "NONE"))
        driven.log.schema(table, select=rules.get(table, "NONE"))
    driven.welcome()
    texts = [source.choice(OWN) for _ in range(VIEWS // 2)]
    users = [draw.person() for _ in range(2)]
    queries = {f"v{at}": Query(text, draw.params(text), {"id": source.choice(users)}) for at, text in enumerate(texts)}
    live(driven, queries)
    told = Told(driven, library, queries)
    told.check()
    for _ in range(STEPS):
        changes = draw.transaction()
        library.apply(changes, driven.log.head + 1)
        append(driven, changes)
        driven.catch_up()
        told.check()
