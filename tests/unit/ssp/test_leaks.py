"""What came with a view goes with it: an engine through which thousands of views of every kind have passed holds what
it held before, thing by thing."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping
from types import FunctionType, ModuleType

import pytest
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import QueryFailed, QueryRan
from sp00ky.ssp.engine.keeping import _admitted
from sp00ky.ssp.plan.templates import TEMPLATES_MAX, Templates

from tests.harness.driven_engine import Driven, Log

ME: dict[str, Value] = {"id": RecordId("person", 1)}
RULE = "author = $auth OR author.boss = $auth.boss"
ROUNDS = 40
CACHES = {"Arrangement._order"}  # of what never changes, for as long as its record is there
# `{i}` is another number in each view, so that each has a text, a shape and constants of its own.
KINDS: dict[str, tuple[str, ...]] = {
    "circuit": (
        "SELECT * FROM post WHERE f{i} = $n",
        "SELECT * FROM post WHERE n > {i} AND author = $me ORDER BY n DESC LIMIT 2",
        "SELECT * FROM post WHERE n >= {i} AND n < $n",
        "SELECT * FROM post WHERE f{i} IN $list OR tags CONTAINS $n",
        "SELECT * FROM post WHERE string::starts_with(title, 'x{i}')",
    ),
    "column": (
        "SELECT * FROM post WHERE author.f{i} = $n",
        "SELECT *, author.f{i} AS by FROM post ORDER BY by LIMIT 2",
        "SELECT * FROM post WHERE count(->wrote{i}) > 0 OR <-wrote<-person.f{i} CONTAINS $n",
    ),
    "dynamic": (
        "SELECT * FROM post WHERE author = $me.f{i} OR title = $me.name",
        "SELECT * FROM post WHERE author IN (SELECT VALUE id FROM person WHERE f{i} = $n)",
    ),
    "traced term": (
        "SELECT * FROM post WHERE (SELECT id FROM comment WHERE f{i} = $parent.id AND n > $n)",
        "SELECT * FROM post WHERE author = $me.boss AND (SELECT id FROM comment WHERE f{i} = $parent.n AND n > $n)",
        "SELECT * FROM post WHERE (SELECT count() FROM comment WHERE f{i} = $parent.id GROUP ALL)[0].count",
    ),
    "nested": (
        "SELECT *, (SELECT *, by.f{i} AS who FROM comment WHERE post = $parent.id) AS talk FROM post",
        "SELECT *, author.f{i} AS x FROM post FETCH author, author.boss",
        "SELECT id, (SELECT id FROM comment WHERE f{i} = $parent.id AND n > $n) AS talk FROM post",
    ),
    "grouped": (
        "SELECT count() FROM post WHERE f{i} = $n GROUP ALL",
        "SELECT n, count() AS posts, math::sum(n + {i}) AS total FROM post GROUP BY n ORDER BY total LIMIT 2",
        "SELECT title, count() AS posts FROM post WHERE author.f{i} = $n GROUP BY title",
    ),
    "traced": (
        "SELECT count() FROM post, comment WHERE f{i} = $n GROUP ALL",
        "SELECT *, author.f{i} AS by FROM post, comment WHERE n > $n",
        "SELECT * FROM post SPLIT f{i}",
        "SELECT *, (SELECT id FROM comment WHERE f{i} = $parent.id) AS talk FROM $list",
    ),
    "re-evaluated": (
        "SELECT * FROM post WHERE n > {i} ORDER BY n LIMIT 1001",
        "SELECT id, author.f{i} AS by FROM post ORDER BY by LIMIT 1001",
        "SELECT * FROM post WHERE title @@ 'x{i}'",
    ),
    "failed": (
        "SELECT * FROM post WHERE title + {i} > 1",
        "SELECT * FROM post WHERE f{i} = 1 LIMIT $me",
        "SELECT *, string::len(n) AS l{i} FROM post",
        "SELECT * FROM missing{i} WHERE a.b = 1",
        "DELETE post WHERE n = {i}",
        "SELECT * FROM post WHERE math::pow(odd, 0.5) > {i}",
    ),
    "restricted": (
        "SELECT * FROM secret WHERE f{i} = $n",
        "SELECT * FROM secret WHERE author.name = $n AND author = $auth.f{i}",
        "SELECT *, link.f{i} AS by FROM secret",
        "SELECT *, (SELECT * FROM secret WHERE f{i} = $parent.id) AS more FROM secret",
        "SELECT * FROM secret WHERE (SELECT id FROM secret WHERE f{i} = $parent.id) FETCH link",
        "SELECT author, count() AS n FROM secret WHERE f{i} = 1 GROUP BY author",
    ),
}


def held_by(engine: Engine) -> Counter[str]:
    """How many things of each class of the engine there are, and how much each of their attributes holds."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[object] = [engine]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type | ModuleType | FunctionType | Templates):
            continue
        seen.add(id(each))
        waiting += gc.get_referents(each)
        kind = type(each)
        if kind.__module__.startswith("sp00ky.ssp"):
            found[kind.__name__] += 1
            names = {name for base in kind.__mro__ for name in getattr(base, "__slots__", ())}
            for name in names | set(getattr(each, "__dict__", ())):
                part = getattr(each, name, None)
                if isinstance(part, dict | list | set | tuple | frozenset):
                    found[f"{kind.__name__}.{name}"] += len(part)
    return Counter({name: count for name, count in found.items() if count and name not in CACHES})


def started() -> Driven:
    """Rows in every table, rules for users, and a view on each table, so that no table is ever let go."""
    driven = Driven(page_rows=100)
    for table in ("post", "comment", "person", "wrote"):
        driven.log.schema(table, select="FULL")
    driven.log.schema("secret", select=RULE)
    driven.welcome()
    populate(driven.log, 0)
    for table in ("post", "comment", "person", "wrote", "secret"):
        driven.log.register(f"all of {table}", f"SELECT * FROM {table}")
    driven.catch_up()
    return driven


def populate(log: Log, n: int) -> None:
    """Every record, with `n` in it; the same records each time."""
    for key in range(1, 5):
        person = RecordId("person", key)
        log.change("person", key, {"name": f"x{n}", "boss": RecordId("person", key % 2), "n": n})
        log.change("post", key, {"title": f"x{n}", "author": person, "n": n, "tags": [n], "odd": 4})
        log.change("comment", key, {"post": RecordId("post", key), "by": person, "n": n})
        log.change("wrote", key, {"in": person, "out": RecordId("post", key), "n": n})
        log.change("secret", key, {"author": person, "link": RecordId("secret", key % 3), "n": n})


def register(driven: Driven, kind: str, number: int) -> list[str]:
    params: Mapping[str, Value] = {"n": number % 3, "me": RecordId("person", 1), "list": [RecordId("post", 1), number]}
    views = []
    for place, text in enumerate(KINDS[kind]):
        views.append(f"{kind} {number} {place}")
        surql = text.replace("{i}", str(number))
        driven.log.register(views[-1], surql, params, auth=ME if kind == "restricted" else None)
    return views


def answer(driven: Driven, number: int) -> None:
    """Some runs succeed, some fail, some are never heard of."""
    for query in driven.queries[-3:]:
        if (number + query.run) % 3 == 0:
            seq = driven.engine.applied_seq
            driven.step(QueryRan(query.key, query.run, seq, seq + number % 2, [], []))
        elif (number + query.run) % 3 == 1:
            driven.step(QueryFailed(query.key, query.run, "no", fatal=number % 2 == 0))


@pytest.mark.parametrize("kind", KINDS)
def test_g6_views_of_one_kind_leave_nothing_behind(kind: str) -> None:
    driven = started()
    before = held_by(driven.engine)
    present: list[list[str]] = []
    for number in range(ROUNDS):
        present.append(register(driven, kind, number))
        driven.catch_up()
        answer(driven, number)
        populate(driven.log, number)
        driven.catch_up()
        driven.tick()
        if number % 4 == 3:  # some stay for a while, and share what the next ones bring
            for views in present[:-1]:
                for view in views:
                    driven.log.unregister(view)
            del present[:-1]
            driven.catch_up()
    assert held_by(driven.engine) != before, "the last ones are there"
    for view in present.pop():
        driven.log.unregister(view)
    driven.catch_up()
    driven.tick()
    populate(driven.log, 0)
    driven.catch_up()
    assert held_by(driven.engine) == before


def test_g6_views_of_all_kinds_at_once_leave_nothing_behind_and_plans_are_bounded() -> None:
    driven = started()
    before = held_by(driven.engine)
    for number in range(0, 30, 3):
        views = [view for at, kind in enumerate(KINDS) for view in register(driven, kind, number + at % 3)]
        driven.catch_up()
        driven.log.change("post", 1, None)
        driven.log.change("post", 2, {"title": number, "author": RecordId("pet", number), "n": "x"})
        driven.log.change("person", 3, None)
        driven.log.garbage("comment", 3)
        driven.catch_up()
        populate(driven.log, number)
        driven.log.schema(
            "secret", select="author = $auth" if number % 2 else "author = $auth OR author.boss = $auth.boss"
        )
        driven.catch_up()
        for view in reversed(views):
            driven.log.unregister(view)
            driven.catch_up()
    populate(driven.log, 0)
    driven.catch_up()
    assert held_by(driven.engine) == before
    assert len(driven.engine._keeping._templates._known) <= TEMPLATES_MAX
    assert _admitted.cache_info().maxsize is not None


def test_a_new_stream_forgets_what_the_old_one_held() -> None:
    driven = started()
    before = held_by(driven.engine)
    for kind in KINDS:
        register(driven, kind, 1)
    driven.catch_up()
    specs = [(driven.log.specs[f"all of {table}"], 1) for table in ("post", "comment", "person", "wrote", "secret")]
    driven.welcome(specs)
    driven.catch_up()
    assert held_by(driven.engine) == before
