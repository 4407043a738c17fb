"""What members show beyond their records: computed once a row, told and hashed when it moves, let go with the row."""

from __future__ import annotations

from sp00ky.proto.values.kinds import NONE, RecordId
from sp00ky.ssp.circuit.presentation import Presentation
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import Ready

from tests.harness.driven_engine import Driven

ANN, BOB = RecordId("person", 1), RecordId("person", 2)
SHOWS_BY = "SELECT *, author.name AS by FROM post WHERE n >= $n"
TALK = "SELECT id, (SELECT id FROM comment WHERE post = $parent.id) AS talk FROM post"


def post(key: int) -> RecordId:
    return RecordId("post", key)


def live(surql: str, *bindings: int) -> Driven:
    """A view for each binding of `$n`: v0, v1 …"""
    driven = Driven()
    driven.log.change("person", 1, {"name": "ann"})
    driven.log.change("person", 2, {"name": "bob"})
    for key in (1, 2, 3):
        driven.log.change("post", key, {"author": ANN if key < 3 else BOB, "n": key})
    driven.log.change("comment", 1, {"post": post(1), "text": "a"})
    driven.welcome()
    for place, binding in enumerate(bindings):
        driven.log.register(f"v{place}", surql, {"n": binding})
    driven.catch_up()
    return driven


def reading(driven: Driven, view: str = "v0") -> ViewReading:
    found = driven.engine.view(ViewKey(view))
    assert found is not None
    return found


def presentation(driven: Driven) -> Presentation:
    (circuit,) = driven.engine._hosting.circuits.values()
    assert circuit.presentation is not None
    return circuit.presentation


def updated(ready: Ready) -> dict[str, list[int]]:
    """Keys of the outermost members that each view was told to have moved; nothing else was told."""
    assert not any(delta.added or delta.removed for delta in ready.deltas)
    return {view.id: sorted(member.id.key for member in delta.updated if member.parent is None)
            for delta in ready.deltas for view in delta.views}  # fmt: skip


def test_a_row_is_computed_once_however_many_groups_show_it() -> None:
    driven = live(SHOWS_BY, 1, 2, 3)
    assert len(presentation(driven).shown) == 3
    assert driven.engine._tracing.readers == 3


def test_a_change_of_what_is_shown_moves_the_members_that_show_it_and_no_other() -> None:
    driven = live(SHOWS_BY, 1, 2, 3)
    driven.log.change("person", 1, {"name": "anna"})
    assert updated(driven.catch_up()) == {"v0": [1, 2], "v1": [2]}
    driven.log.change("person", 1, {"name": "anna", "age": 3})
    assert driven.catch_up().deltas == [], "what is not shown has changed"
    driven.log.change("person", 7, {"name": "nobody's"})
    assert driven.catch_up().deltas == []
    assert [row["by"] for row in reading(driven).rows()] == ["anna", "anna", "bob"]


def test_the_hash_moves_with_what_is_shown_and_back() -> None:
    driven = live(SHOWS_BY, 1)
    before = reading(driven).hash
    driven.log.change("person", 1, {"name": "anna"})
    driven.catch_up()
    assert reading(driven).hash != before
    driven.log.change("person", 1, {"name": "ann"})
    driven.catch_up()
    assert reading(driven).hash == before


def test_a_child_that_moves_unseen_moves_the_delta_and_the_hash() -> None:
    """Only its id is shown, and it stays; its edge carries its version."""
    driven = live(TALK, 0)
    before, rows = reading(driven).hash, reading(driven).rows()
    driven.log.change("comment", 1, {"post": post(1), "text": "other"})
    (delta,) = driven.catch_up().deltas
    told = [(member.id, member.version) for member in delta.updated if member.parent]
    assert told == [(RecordId("comment", 1), driven.log.head)]
    assert reading(driven).hash != before and reading(driven).rows() == rows
    assert driven.children[ViewKey("v0")] == driven.current_children("v0")


def test_a_child_below_two_members_alike_is_one_edge_until_the_last_lets_go() -> None:
    driven = live("SELECT * FROM post FETCH author", 0)
    place = (ANN, "boss", BOB)
    driven.log.register("deep", "SELECT * FROM post FETCH author.boss")
    driven.log.change("person", 1, {"boss": BOB})
    driven.catch_up()
    assert driven.current_children("deep").keys() >= {place}
    for key in (1, 2):
        assert place in driven.children[ViewKey("deep")]
        driven.log.change("post", key, None)
        driven.catch_up()
        assert driven.children[ViewKey("deep")] == driven.current_children("deep")
    assert place not in driven.current_children("deep")


def test_what_leaves_every_group_is_not_traced_any_more() -> None:
    driven = live(SHOWS_BY, 1, 3)
    driven.log.change("post", 3, {"author": BOB, "n": 2})
    driven.catch_up()
    assert len(presentation(driven).shown) == 3, "one group still shows it"
    driven.log.change("post", 3, {"author": BOB, "n": 0})
    driven.catch_up()
    assert len(presentation(driven).shown) == 2 and driven.engine._tracing.readers == 2
    driven.log.unregister("v0")
    driven.log.unregister("v1")
    driven.catch_up()
    assert driven.engine._tracing.readers == 0


def test_g7_what_cannot_be_shown_fails_the_views_that_would_show_it_and_no_other() -> None:
    driven = live("SELECT id, string::len(author.name) AS size FROM post WHERE n >= $n", 1, 3)
    driven.log.change("person", 1, {"name": 5})
    driven.catch_up()
    assert reading(driven).state == "failed" and "string::len" in reading(driven).error
    assert (reading(driven, "v1").state, [row["size"] for row in reading(driven, "v1").rows()]) == ("live", [3])
    driven.log.change("person", 1, {"name": "anna"})
    driven.catch_up()
    assert reading(driven).state == "live" and [row["size"] for row in reading(driven).rows()] == [4, 4, 3]
    assert driven.members[ViewKey("v0")] == driven.current("v0")


def test_a_shown_row_that_goes_while_its_group_fails_is_no_crash() -> None:
    """In one step: it is deleted, what it had read changes, and a column needs a table that is not held."""
    driven = live("SELECT *, author.name AS by FROM post WHERE other.x = NONE", 0)
    driven.log.change("post", 1, None, txn_last=False)
    driven.log.change("person", 1, {"name": "anna"}, txn_last=False)
    driven.log.change("post", 2, {"author": ANN, "other": RecordId("pet", 1)})
    driven.catch_up()
    assert reading(driven).state == "live", "the table has come"
    assert [(row["id"], row["by"]) for row in reading(driven).rows()] == [(post(2), "anna"), (post(3), "bob")]
    assert driven.members[ViewKey("v0")] == driven.current("v0")


def test_an_old_streams_rows_are_not_told_of_after_a_new_one() -> None:
    driven = live(SHOWS_BY, 1)
    spec = driven.log.specs["v0"]
    driven.welcome([(spec, 1)])
    driven.log.change("person", 1, {"name": "anna"})
    assert updated(driven.catch_up()) == {"v0": [1, 2]} and len(driven.deltas) == 1
    driven.log.change("person", 1, None)
    driven.catch_up()
    assert [row["by"] for row in reading(driven).rows()] == [NONE, NONE, "bob"]
