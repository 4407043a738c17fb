"""What the evaluator does at its borders: no tables, no parameters, rows it must not change, and where it refuses."""

from __future__ import annotations

import copy

import pytest
from sp00ky.proto.surrealql.parser import parse_expr, parse_select
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.functions import plain_functions
from sp00ky.proto.whole.scope import EvaluationError, Indexed, NotPlain, Scope
from sp00ky.proto.whole.select import run_select


class Tables:
    """Tables in memory; records as given, without their ids."""

    def __init__(self, **tables: dict[Value, dict[str, Value]]) -> None:
        self.records = {
            table: {RecordId(table, key): row for key, row in records.items()} for table, records in tables.items()
        }
        self.reads = 0

    def rows(self, table: str) -> list[tuple[RecordId, dict[str, Value]]]:
        self.reads += 1
        return list(self.records.get(table, {}).items())

    def get(self, record: RecordId) -> dict[str, Value] | None:
        return self.records.get(record.table, {}).get(record)

    def tables(self) -> list[str]:
        return sorted(self.records)


POSTS = {1: {"title": "a", "author": RecordId("user", 1)}, 2: {"title": "b", "author": RecordId("user", 9)}}
USERS = {1: {"name": "ann", "tags": ["x", "y"]}}


def ask(text: str, **params: Value) -> Value:
    return run_select(parse_select(text), Scope(params, Indexed(Tables(post=POSTS, user=USERS))))


def test_a_record_gets_its_id() -> None:
    assert ask("SELECT * FROM user") == [{"id": RecordId("user", 1), "name": "ann", "tags": ["x", "y"]}]
    assert ask("SELECT VALUE author.id FROM post") == [RecordId("user", 1), NONE]


def test_rows_are_not_changed() -> None:
    tables = Tables(post=copy.deepcopy(POSTS), user=copy.deepcopy(USERS))
    before = copy.deepcopy(tables.records)
    for text in (
        "SELECT *, 5 AS tags.x OMIT id FROM user",
        "SELECT * FROM user SPLIT tags",
        "SELECT * FROM post FETCH author",
        "SELECT title, author.name AS author.label FROM post ORDER BY title DESC",
    ):
        run_select(parse_select(text), Scope({}, Indexed(tables)))
    assert tables.records == before


def test_parameters_and_the_enclosing_row() -> None:
    assert ask("SELECT VALUE title FROM post WHERE title = $wanted", wanted="b") == ["b"]
    assert ask("SELECT VALUE title FROM post WHERE title = $unknown") == []
    nested = ask("SELECT title, (SELECT VALUE name FROM user WHERE id = $parent.author) AS names FROM post")
    assert nested == [{"title": "a", "names": ["ann"]}, {"title": "b", "names": []}]
    with pytest.raises(NotPlain, match=r"\$auth"):
        ask("SELECT * FROM post WHERE author = $auth.id")
    assert ask("SELECT VALUE title FROM post WHERE author = $auth.id", auth={"id": RecordId("user", 1)}) == ["a"]


def test_an_unknown_table_has_no_rows() -> None:
    assert ask("SELECT * FROM nothing") == []
    assert ask("SELECT * FROM ONLY nothing") is NONE


def test_only() -> None:
    assert ask("SELECT VALUE title FROM ONLY post:1") == "a"
    with pytest.raises(EvaluationError):
        ask("SELECT * FROM ONLY post")


def test_edges_of_a_table_are_read_once() -> None:
    edges: dict[Value, dict[str, Value]] = {
        number: {"in": RecordId("user", 1), "out": RecordId("post", number)} for number in (1, 2)
    }
    edges[3] = {"in": "not a record", "out": RecordId("post", 1)}
    tables = Tables(user=USERS, post=POSTS, wrote=edges)
    select = parse_select("SELECT VALUE ->wrote->post.title FROM user, user, user")
    found = run_select(select, Scope({}, Indexed(tables)))
    assert found == [["a", "b"]] * 3
    assert tables.reads == 3 + 1  # user three times; the edges of wrote once, which lead to the posts themselves


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("SELECT VALUE title FROM post ORDER BY title COLLATE", ["a", "b"]),
        ("SELECT VALUE count() FROM post GROUP ALL", [{"count": 2}]),
        ("SELECT math::median(n) FROM post GROUP ALL", [{"math::median": NONE}]),
        ("SELECT VALUE author FROM post FETCH author", [{"id": RecordId("user", 1), **USERS[1]}, NONE]),
        ("SELECT ->? AS x FROM post", [{"x": []}, {"x": []}]),
        ("SELECT VALUE title FROM post LIMIT 1.5", ["a"]),
        ("SELECT VALUE title FROM post WHERE array::len(title) LIMIT 0", []),
        ("SELECT *, title AS t OMIT id, author FROM post", [{"t": "a"}, {"t": "b"}]),
    ],
)
def test_answers(text: str, answer: Value) -> None:
    assert ask(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM post ORDER BY RAND()",
        "SELECT * FROM post VERSION d'2020-01-01T00:00:00Z'",
        "SELECT * FROM post GROUP BY title",
        "SELECT count() + n AS x FROM post GROUP ALL",
        "SELECT * FROM post WHERE http::get('x')",
        "SELECT * FROM (SELECT * FROM post) WHERE array::len(title) = 9 OR array::len(title) LIMIT 0",
    ],
)
def test_refusals(text: str) -> None:
    with pytest.raises(NotPlain):
        ask(text)


def test_without_tables_nothing_is_read() -> None:
    for text in ("post:1.title", "post:1->wrote", "(SELECT * FROM post)", "post:1.*"):
        with pytest.raises(NotPlain):
            evaluate(parse_expr(text), NONE, Scope({}))
    assert evaluate(parse_expr("post:1.id() + 1"), NONE, Scope({})) == 2


def test_a_negative_limit_is_an_error() -> None:
    with pytest.raises(EvaluationError):
        ask("SELECT * FROM post LIMIT $n", n=-1)


def test_nothing_with_an_effect_or_a_clock_is_plain() -> None:
    names = plain_functions()
    assert len(names) > 150
    assert not [name for name in names if name.startswith(("rand", "http", "session", "sleep", "fn", "search", "api"))]
    assert not {"time::now", "time::timezone", "rand::uuid", "crypto::bcrypt::generate"} & names
