"""What an engine lets go is freed by reference counting: the collector does not look at what it has frozen."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sp00ky.proto.values.kinds import RecordId

from tests.harness.driven_engine import Driven

QUERIES: dict[str, dict[str, Any]] = {
    "SELECT * FROM post WHERE author = $n AND score + 1 > 2": {"n": 1},
    "SELECT * FROM post WHERE tags CONTAINS $n": {"n": 1},
    "SELECT * FROM post WHERE score > $n AND score < 9": {"n": 1},
    "SELECT * FROM post WHERE string::starts_with(title, $n)": {"n": "p"},
    "SELECT * FROM post WHERE author.age > $n ORDER BY score LIMIT 2": {"n": 1},
    "SELECT * FROM post WHERE ->likes->user CONTAINS $n": {"n": RecordId("user", 1)},
    "SELECT * FROM post WHERE score > user:1.age": {},
    "SELECT *, (SELECT * FROM comment WHERE post = $parent.id) AS comments FROM post WHERE score > $n": {"n": 1},
    "SELECT *, author.name AS by FROM post FETCH author": {},
    "SELECT author, count() AS n FROM post WHERE score > $n GROUP BY author": {"n": 1},
    "SELECT VALUE title FROM post, comment": {},
}


@pytest.fixture(autouse=True)
def collected_by_hand() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def work(driven: Driven) -> None:
    for number in range(6):
        driven.log.change("user", number % 3, {"age": number, "name": f"user {number}"})
        post = {"author": RecordId("user", number % 3), "score": number, "tags": [number, 1], "title": f"post {number}"}
        driven.log.change("post", number % 4, post)
        driven.log.change("comment", number, {"post": RecordId("post", number % 4), "body": ["text"]})
        driven.log.change("likes", number, {"in": RecordId("post", 1), "out": RecordId("user", number % 3)})
        driven.catch_up()


@pytest.mark.parametrize("query", QUERIES)
def test_a_view_that_is_gone_leaves_no_cycle(query: str) -> None:
    driven = Driven()
    driven.welcome()
    for round_ in range(2):  # the first one has what is kept for the text of a query
        driven.log.register("v", query, QUERIES[query])
        driven.catch_up()
        work(driven)
        assert driven.engine.view_count == 1
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        driven.log.unregister("v")
        driven.catch_up()
        gc.collect()
        left = Counter(type(each).__name__ for each in gc.garbage)
        gc.set_debug(0)
        gc.garbage.clear()
        assert round_ == 0 or not left
