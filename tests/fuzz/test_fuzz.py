"""A seeded slice of the long run, and every case that once differed: views equal a fresh query after every transaction.

The slice takes the first cases of a seed: every choice of every clause alone, then pairs of them. More of it, for as
long as one likes: `python -m tests.fuzz --minutes 10 --seed 7`. A regression is a case as the long run prints it.
"""

from __future__ import annotations

import random
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from sp00ky.ssp.engine.hosting import Hosting
from sp00ky.ssp.engine.keeping import Keeping

from tests.fuzz.bench import Bench
from tests.fuzz.campaign import Campaign, cases
from tests.fuzz.case import Case, Query, read, written
from tests.fuzz.covering import covering
from tests.fuzz.judge import same_answer
from tests.fuzz.plain import plain
from tests.fuzz.play import Asked, Subject, Tally, differences
from tests.fuzz.views import views
from tests.harness.oracle import Refused

REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.txt"))
SEED = 7
CASES = 40
SEED_OF_USERS = 8
CASES_OF_USERS = 15
COMPARED_MIN = 2000


def test_a_slice_of_the_long_run() -> None:
    campaign = Campaign(views, SEED)
    found = [each for _, case in islice(cases(SEED), CASES) for each in campaign.play(case)]
    assert not found, "\n".join(f"# {each.name}\n{written(each.case)}{each.difference}" for each in found)
    assert campaign.tally.compared >= COMPARED_MIN, campaign.progress()


def test_a_slice_with_users() -> None:
    """Every case has several users and rules that change: nobody ever holds what he may not read."""
    campaign = Campaign(views, SEED_OF_USERS)
    slice_of = islice(cases(SEED_OF_USERS, users_each=1), CASES_OF_USERS)
    found = [each for _, case in slice_of for each in campaign.play(case)]
    assert not found, "\n".join(f"# {each.name}\n{written(each.case)}{each.difference}" for each in found)
    assert campaign.tally.compared >= COMPARED_MIN, campaign.progress()


@pytest.mark.parametrize("path", REGRESSIONS, ids=[path.stem for path in REGRESSIONS])
@pytest.mark.parametrize("subject", (views, plain))
def test_what_once_differed_is_right(path: Path, subject: Subject) -> None:
    case, tally = read(path.read_text()), Tally()
    assert read(written(case)) == case
    assert not [*differences(subject, case, Bench(), tally)]
    assert tally.checks > 0


BROKEN = Case(
    ("DEFINE TABLE item",),
    ("CREATE item:1 SET n = 1", "CREATE item:2 SET n = 2"),
    (("UPDATE item:1 SET n = 3",), ("DELETE item:2",)),
    (Query("SELECT VALUE n FROM item WHERE n > 0 AND id != item:9 ORDER BY n LIMIT 5"),),
)


def test_a_lost_change_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner can fail: a stream that drops deletions is told apart, and the case loses all that does not matter."""
    from tests.fuzz import views as module

    feed = module._feed
    monkeypatch.setattr(module, "_feed", lambda driven, changes: feed(driven, [each for each in changes if each[1]]))
    (found,) = Campaign(views, SEED).play(BROKEN)
    assert found.kind == "differs"
    assert [len(step) for step in found.case.steps] == [1] and found.case.steps[0] == ("DELETE item:2",)
    assert "WHERE" not in found.case.queries[0].text and "ORDER" not in found.case.queries[0].text
    assert read(written(found.case)) == found.case


def test_a_leak_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner can fail for users: an engine that reads links with everyone's eyes, and forgets what it had shown."""
    monkeypatch.setattr(Hosting, "source_of", lambda hosting, plan: hosting.tracing.source)
    monkeypatch.setattr(Keeping, "maybe_withdraw", lambda keeping, view: False)
    found = {each.kind: each.case for each in Campaign(views, SEED).play(LEAKY)}
    assert set(found) == {"differs", "shows what the user cannot read", "keeps what the user cannot read"}
    small = found["shows what the user cannot read"]
    assert len(small.schema) == 2 and len(small.data) == 2 and not small.steps, written(small)
    assert [query.text for query in small.queries] == ["SELECT * FROM item FETCH u"]
    assert read(written(small)) == small


LEAKY = Case(
    (
        "DEFINE TABLE item SCHEMALESS PERMISSIONS FULL",
        "DEFINE TABLE user SCHEMALESS PERMISSIONS FOR select WHERE id = $auth AND n != 7",
        "DEFINE TABLE team SCHEMALESS PERMISSIONS FULL",
    ),
    ("CREATE item:1 SET u = user:2, n = 1", "CREATE item:2 SET n = 1", "CREATE user:2 SET n = 2", "CREATE team:1"),
    (
        ("UPDATE item:2 SET n = 2",),
        ("DEFINE TABLE OVERWRITE team SCHEMALESS PERMISSIONS FOR select WHERE $unknown = $auth",),
    ),
    (
        Query("SELECT *, n + 1 AS m FROM item WHERE n > 0 FETCH u", auth="user:1"),
        Query("SELECT * FROM team", auth="user:1"),
        Query("SELECT u.n AS n FROM item WHERE n > 0", auth="user:1"),
    ),
)


def test_ties_may_stand_in_any_order_only_without_a_limit() -> None:
    bench = Bench()
    bench.begin(Case(("DEFINE TABLE item",), (), (), ()))
    bench.ask_all("CREATE item:1 SET n = 1; CREATE item:2 SET n = 1; CREATE item:3 SET n = 0")
    for limit, free in (("", True), (" LIMIT 9", False)):
        asked = Asked.of(Query(f"SELECT id, n FROM item ORDER BY n{limit}"), "v", bench)
        ask = partial(asked.answer, bench)
        rows = ask(asked.query.text)
        assert isinstance(rows, list) and not isinstance(rows, Refused)
        swapped, wrong = [rows[0], rows[2], rows[1]], [rows[1], rows[0], rows[2]]
        assert same_answer(rows, rows, asked.select, ask, indexed=False)
        assert same_answer(swapped, rows, asked.select, ask, indexed=False) == free
        assert not same_answer(wrong, rows, asked.select, ask, indexed=False)


def test_every_pair_of_choices_occurs() -> None:
    dimensions = {"a": ("0", "1", "2"), "b": ("0", "1"), "c": ("0", "1", "2", "3")}
    rows = list(covering(dimensions, 2, random.Random(1)))
    assert {(row["a"], row["c"]) for row in rows} == {(a, c) for a in "012" for c in "0123"}
    assert {(row["b"], row["c"]) for row in rows} == {(b, c) for b in "01" for c in "0123"}
    assert len(rows) < 24
