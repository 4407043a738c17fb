"""What stands below a row: the rows of its sub-selects and the records that FETCH has put in."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.whole.permitted import Permitted
from sp00ky.proto.whole.rules import TableRules, auth_params, parse_rules
from sp00ky.proto.whole.scope import Indexed, Scope, Source
from sp00ky.ssp.circuit.children import children_of, shown_digest, shows_more
from sp00ky.ssp.engine.ready import MemberChange

ANN, BOB, EVE = (RecordId("person", number) for number in (1, 2, 3))
POST = RecordId("post", 1)
ROWS: dict[RecordId, dict[str, Value]] = {
    ANN: {"id": ANN, "boss": BOB},
    BOB: {"id": BOB, "boss": EVE},
    EVE: {"id": EVE, "hidden": True},
    POST: {"id": POST, "author": ANN, "readers": [BOB, EVE, [ANN], RecordId("person", 99)], "by": {"a": ANN, "b": BOB}},
    RecordId("comment", 1): {"id": RecordId("comment", 1), "post": POST, "by": BOB},
    RecordId("comment", 2): {"id": RecordId("comment", 2), "post": POST, "by": ANN},
}
VERSIONS = {record: seq for seq, record in enumerate(ROWS, 1)}


class Tables:
    def rows(self, table: str) -> Iterable[tuple[RecordId, dict[str, Value]]]:
        return [(record, row) for record, row in ROWS.items() if record.table == table]

    def get(self, record: RecordId) -> dict[str, Value] | None:
        return ROWS.get(record)

    def tables(self) -> Iterable[str]:
        return ["comment", "person", "post"]


def below(surql: str, source: Source | None = None) -> set[tuple[str, str, str]]:
    """The children of the post, each as `parent.field → child`."""
    found = children_of(parse_select(surql), ROWS[POST], Scope({}, source or Indexed(Tables())), VERSIONS.get)
    assert len({(each.parent, each.parent_rel, each.id) for each in found}) == len(found)
    assert all(each.version == VERSIONS[each.id] for each in found)
    return {(f"{each.parent.table}:{each.parent.key}" if each.parent else "", each.parent_rel,
             f"{each.id.table}:{each.id.key}") for each in found}  # fmt: skip


def test_the_rows_of_an_aliased_sub_select_are_children_down_to_any_depth() -> None:
    surql = """SELECT id, (SELECT id, by, (SELECT id FROM person WHERE id = $parent.by) AS who FROM comment
        WHERE post = $parent.id) AS talk FROM post"""
    assert below(surql) == {
        *(("post:1", "talk", f"comment:{number}") for number in (1, 2)),
        ("comment:1", "who", "person:2"),
        ("comment:2", "who", "person:1"),
    }


@pytest.mark.parametrize(
    "surql",
    [
        "SELECT *, author.name AS name FROM post",
        "SELECT *, (SELECT count() FROM comment GROUP ALL) AS talk FROM post",
        "SELECT *, array::len((SELECT id FROM comment)) AS talk FROM post",
        "SELECT VALUE author FROM post FETCH author",
        "SELECT * FROM post FETCH nothing, by.nothing.more",
    ],
)
def test_what_is_no_record_below_the_row_is_no_child(surql: str) -> None:
    assert below(surql) == set()


@pytest.mark.parametrize(
    ("fetch", "children"),
    [
        ("author", {("post:1", "author", "person:1")}),
        ("author.boss", {("post:1", "author", "person:1"), ("person:1", "boss", "person:2")}),
        ("readers", {("post:1", "readers", f"person:{key}") for key in (2, 3)}),
        ("readers[0]", {("post:1", "readers", "person:2")}),
        ("readers[0].boss", {("post:1", "readers", "person:2"), ("person:2", "boss", "person:3")}),
        ("readers[$]", set()),
        ("readers[2]", {("post:1", "readers", "person:1")}),
        ("by.a", {("post:1", "a", "person:1")}),
        ("by.*", {("post:1", "a", "person:1"), ("post:1", "b", "person:2")}),
        ("author, readers[1]", {("post:1", "author", "person:1"), ("post:1", "readers", "person:3")}),
    ],
)
def test_fetch_puts_exactly_the_records_on_its_path(fetch: str, children: set[tuple[str, str, str]]) -> None:
    """A record that does not exist is not put, and an array in an array is not entered at the end of a path."""
    assert below(f"SELECT * FROM post FETCH {fetch}") == children


def test_g2_what_the_user_may_not_see_is_no_child() -> None:
    rules = {"person": parse_rules("hidden != true"), "comment": parse_rules("by = $auth"), "post": parse_rules("FULL")}
    seen = Permitted(Indexed(Tables()), lambda table: rules.get(table, TableRules()), auth_params({"id": ANN}))
    assert below("SELECT * FROM post FETCH readers", seen) == {("post:1", "readers", "person:2")}
    assert below("SELECT *, (SELECT id FROM comment) AS talk FROM post", seen) == {("post:1", "talk", "comment:2")}


def test_a_row_without_a_record_id_has_none() -> None:
    select, scope = parse_select("SELECT * FROM post FETCH author"), Scope({}, Indexed(Tables()))
    for row in ({"author": ANN}, [POST], POST):
        assert children_of(select, row, scope, VERSIONS.get) == ()


@pytest.mark.parametrize(
    ("surql", "more"),
    [
        ("SELECT * FROM post FETCH author", True),
        ("SELECT *, (SELECT id FROM comment) AS talk FROM post", True),
        ("SELECT (SELECT id FROM comment) FROM post", False),
        ("SELECT *, author.name AS name FROM post", False),
    ],
)
def test_only_fetch_and_aliased_sub_selects_have_children(surql: str, more: bool) -> None:
    assert shows_more(parse_select(surql)) is more


def test_the_digest_moves_with_the_row_and_with_the_version_of_any_child() -> None:
    child = MemberChange(BOB, 2, POST, "author")
    digests = [
        shown_digest({"a": 1}, ()),
        shown_digest({"a": 2}, ()),
        shown_digest({"a": 1}, (child,)),
        shown_digest({"a": 1}, (MemberChange(BOB, 3, POST, "author"),)),
        shown_digest({"a": 1}, (MemberChange(BOB, 2, POST, "reader"),)),
        shown_digest({"a": 1}, (MemberChange(ANN, 2, POST, "author"),)),
    ]
    assert len(set(digests)) == len(digests)
    two = (child, MemberChange(ANN, 2, POST, "author"))
    assert shown_digest({}, two) == shown_digest({}, two[::-1])
