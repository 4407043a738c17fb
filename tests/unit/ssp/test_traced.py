"""Whole results: run when something that they have read was touched, and only then; the difference told."""

from __future__ import annotations

import pytest
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.ssp.circuit.traced import TracedResult, listing
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading

from tests.harness.driven_engine import Driven

ANN = RecordId("person", 1)
COUNT = "SELECT count() FROM post, comment WHERE author = $me GROUP ALL"


def live(surql: str, **params: Value) -> Driven:
    driven = Driven()
    driven.log.change("person", 1, {"name": "ann"})
    for key in (1, 2):
        driven.log.change("post", key, {"author": ANN, "n": key, "tags": ["a", "b"]})
    driven.log.change("wrote", 1, {"in": ANN, "out": RecordId("post", 1)})
    driven.log.change("comment", 1, {"post": RecordId("post", 1), "text": "a"})
    driven.welcome()
    driven.log.register("v", surql, params)
    driven.catch_up()
    assert reading(driven).mode == "incremental" and driven.engine._hosting.traced
    return driven


def reading(driven: Driven, view: str = "v") -> ViewReading:
    found = driven.engine.view(ViewKey(view))
    assert found is not None
    return found


def result(driven: Driven) -> TracedResult:
    (found,) = driven.engine._hosting.traced.values()
    return found


def test_it_is_run_for_what_it_has_read_and_for_nothing_else() -> None:
    driven = live(COUNT, me=ANN)
    assert result(driven).runs == 1 and reading(driven).rows() == [{"count": 2}]
    driven.log.change("post", 3, {"author": RecordId("person", 2)})
    driven.log.change("person", 1, {"name": "anna"})
    driven.catch_up()
    assert result(driven).runs == 1, "neither under its value nor read"
    driven.log.change("post", 3, {"author": ANN}, txn_last=False)
    driven.log.change("post", 4, {"author": ANN})
    driven.catch_up()
    assert result(driven).runs == 2 and reading(driven).rows() == [{"count": 4}], "once a step"
    assert reading(driven).seq == driven.engine.applied_seq


def test_rows_without_ids_tell_a_delta_without_members_when_they_move() -> None:
    driven = live(COUNT, me=ANN)
    before = reading(driven).hash
    driven.log.change("post", 2, {"author": ANN, "n": 7})
    assert driven.catch_up().deltas == [] and reading(driven).hash == before, "the count is the same"
    driven.log.change("post", 2, None)
    (delta,) = driven.catch_up().deltas
    assert (delta.added, delta.updated, delta.removed) == ([], [], []) and reading(driven).hash != before
    assert (reading(driven).members, reading(driven).size) == ([], 1)


def test_equal_queries_with_equal_params_and_users_share_one_result() -> None:
    driven = live(COUNT, me=ANN)
    driven.log.register("same", COUNT, {"me": ANN})
    driven.log.register("other", COUNT, {"me": RecordId("person", 2)})
    driven.catch_up()
    assert len(driven.engine._hosting.traced) == 2
    driven.log.change("post", 1, None)
    (delta,) = driven.catch_up().deltas
    assert [view.id for view in delta.views] == ["v", "same"]
    driven.log.unregister("v")
    driven.catch_up()
    assert len(driven.engine._hosting.traced) == 2 and reading(driven, "same").rows() == [{"count": 1}]
    driven.log.unregister("same")
    driven.log.unregister("other")
    driven.catch_up()
    assert not driven.engine._hosting.traced and driven.engine._tracing.readers == 0


def test_members_are_told_by_difference() -> None:
    driven = live("SELECT * FROM post, comment")
    driven.log.change("post", 1, None, txn_last=False)
    driven.log.change("post", 2, {"n": 3}, txn_last=False)
    driven.log.change("comment", 2, {})
    (delta,) = driven.catch_up().deltas
    assert [[member.id for member in told] for told in (delta.added, delta.updated, delta.removed)] == [
        [RecordId("comment", 2)], [RecordId("post", 2)], [RecordId("post", 1)]
    ]  # fmt: skip
    assert driven.members[ViewKey("v")] == driven.current("v")
    assert list(driven.current("v")) == [RecordId("post", 2), RecordId("comment", 1), RecordId("comment", 2)]


def test_what_a_member_shows_moves_it_without_a_new_version() -> None:
    driven = live("SELECT *, author.name AS by FROM post, comment")
    version = driven.current("v")[RecordId("post", 1)]
    driven.log.change("person", 1, {"name": "anna"})
    (delta,) = driven.catch_up().deltas
    assert [member.id for member in delta.updated] == [RecordId("post", 1), RecordId("post", 2)]
    assert driven.current("v")[RecordId("post", 1)] == version


def test_a_second_row_of_one_record_is_told_and_hashed() -> None:
    """`->wrote->post` over two edges to one post: two equal rows, one member."""
    driven = live("SELECT * FROM person:1->wrote->post")
    before = reading(driven).hash
    driven.log.change("wrote", 2, {"in": ANN, "out": RecordId("post", 1)})
    (delta,) = driven.catch_up().deltas
    assert [member.id for member in delta.updated] == [RecordId("post", 1)] and not delta.added
    assert reading(driven).hash != before and len(reading(driven).rows()) == 2 and reading(driven).size == 1


def test_a_child_that_moves_unseen_moves_the_delta_and_the_hash() -> None:
    driven = live("SELECT id, (SELECT id FROM comment WHERE post = $parent.id) AS talk FROM [post:1]")
    before, rows = reading(driven).hash, reading(driven).rows()
    driven.log.change("comment", 1, {"post": RecordId("post", 1), "text": "b"})
    (delta,) = driven.catch_up().deltas
    assert RecordId("comment", 1) in [member.id for member in delta.updated]
    assert reading(driven).hash != before and reading(driven).rows() == rows
    assert driven.children[ViewKey("v")] == driven.current_children("v")


def test_g7_a_failed_run_is_tried_again_when_what_it_had_read_changes() -> None:
    driven = live("SELECT n + 1 AS more FROM [post:1, post:2]")
    driven.log.change("post", 1, {"n": "x"})
    driven.catch_up()
    assert reading(driven).state == "failed" and reading(driven).error and reading(driven).seq == 0
    driven.log.change("comment", 9, {})
    driven.catch_up()
    assert reading(driven).state == "failed"
    driven.log.change("post", 1, {"n": 5})
    driven.catch_up()
    assert (reading(driven).state, reading(driven).rows()) == ("live", [{"more": 6}, {"more": 3}])


def test_a_table_that_was_not_held_is_fetched_and_the_result_is_live_then() -> None:
    driven = live("SELECT * FROM $one", one=[ANN, RecordId("pet", 1)])
    assert "pet" in driven.engine._tables.held
    driven.log.change("pet", 1, {"name": "rex"})
    driven.catch_up()
    assert [member.id for member in reading(driven).members] == [ANN, RecordId("pet", 1)]
    assert driven.members[ViewKey("v")] == driven.current("v")


@pytest.mark.parametrize(
    ("rows", "listed"), [([1, 2], [1, 2]), ([], []), (NONE, []), (None, []), ({"a": 1}, [{"a": 1}]), (0, [0])]
)
def test_a_result_from_only_is_its_row_or_nothing(rows: Value, listed: list[Value]) -> None:
    assert listing(rows) == listed
