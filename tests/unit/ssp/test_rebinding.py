"""Dynamic constants: a group that is bound anew moves to its new buckets, and lets go of what its old ones read."""

from __future__ import annotations

from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.ssp.circuit.circuit import Circuit
from sp00ky.ssp.engine.events import ViewKey

from tests.harness.driven_engine import Driven

ANN, BOB, EVE = (RecordId("person", key) for key in (1, 2, 3))


def live(surql: str, **params: Value) -> Driven:
    """Eve's boss is Ann; post 4 is Ann's, post 5 Bob's."""
    driven = Driven()
    driven.log.change("person", 3, {"boss": ANN})
    driven.log.change("post", 4, {"author": ANN, "n": 4})
    driven.log.change("post", 5, {"author": BOB, "n": 5})
    driven.welcome()
    driven.log.register("v", surql, params)
    driven.catch_up()
    return driven


def circuit(driven: Driven) -> Circuit:
    (found,) = driven.engine._hosting.circuits.values()
    return found


def posts(driven: Driven) -> list[object]:
    assert driven.members[ViewKey("v")] == driven.current("v")
    return [record.key for record in driven.current("v")]


def test_a_group_follows_its_constant_by_difference() -> None:
    driven = live("SELECT * FROM post WHERE author = $me.boss OR n = 5", me=EVE)
    assert posts(driven) == [4, 5]
    driven.log.change("person", 3, {"boss": BOB})
    (delta,) = driven.catch_up().deltas
    assert [member.id.key for member in delta.removed] == [4] and not delta.added and not delta.updated
    driven.log.change("post", 6, {"author": ANN}, txn_last=False)
    driven.log.change("post", 7, {"author": BOB})
    driven.catch_up()
    assert posts(driven) == [5, 7]


def test_a_constant_that_stays_what_it_is_moves_nothing() -> None:
    driven = live("SELECT * FROM post WHERE author = $me.boss", me=EVE)
    (bucket,) = circuit(driven).buckets.values()
    driven.log.change("person", 3, {"boss": ANN, "age": 7})
    assert driven.catch_up().deltas == []
    assert [*circuit(driven).buckets.values()] == [bucket]


def test_equal_expressions_share_a_group_and_constants_that_have_met_do_not() -> None:
    surql = "SELECT * FROM post WHERE author = $me.boss"
    driven = live(surql, me=EVE)
    driven.log.register("same", surql, {"me": EVE})
    driven.log.register("other", surql, {"me": BOB})
    driven.log.change("person", 2, {"boss": ANN})
    driven.catch_up()
    assert len(circuit(driven).groups) == 2 and len(circuit(driven).buckets) == 1
    driven.log.change("person", 2, {"boss": BOB})
    (delta,) = driven.catch_up().deltas
    assert [view.id for view in delta.views] == ["other"] and len(circuit(driven).buckets) == 2


def test_rows_of_the_old_constants_that_had_not_passed_do_not_come_back() -> None:
    """Their condition was asked, so what it read would have them offered again, past the dispatch."""
    driven = live(
        "SELECT * FROM post WHERE author = $me.boss AND (SELECT id FROM comment WHERE by = $parent.author AND n > $n)",
        me=EVE,
        n=1,
    )
    assert posts(driven) == [] and driven.engine._tracing.readers == 2, "of the constant, and of post 4"
    driven.log.change("person", 3, {"boss": BOB})
    driven.catch_up()
    assert driven.engine._tracing.readers == 2, "of the constant, and of post 5"
    driven.log.change("comment", 1, {"by": ANN, "n": 4})
    driven.catch_up()
    assert posts(driven) == []
    driven.log.change("comment", 1, {"by": BOB, "n": 4})
    driven.catch_up()
    assert posts(driven) == [5]


def test_a_window_is_filled_anew() -> None:
    driven = live("SELECT * FROM post WHERE author = $me.boss ORDER BY n DESC LIMIT 1", me=EVE)
    driven.log.change("post", 8, {"author": BOB, "n": 8})
    driven.catch_up()
    assert posts(driven) == [4]
    driven.log.change("person", 3, {"boss": BOB})
    driven.catch_up()
    assert posts(driven) == [8]
    driven.log.change("post", 8, None)
    driven.catch_up()
    assert posts(driven) == [5]


def test_a_beginning_of_another_length_is_found_after_a_rebinding() -> None:
    driven = live("SELECT * FROM post WHERE title AND string::starts_with(title, $me.name ?? 'x')", me=EVE)
    driven.log.change("post", 6, {"title": "abcdef"})
    driven.catch_up()
    for name, expected in (("abc", [6]), ("abcd", [6]), ("b", []), ("a", [6])):
        driven.log.change("person", 3, {"name": name})
        driven.catch_up()
        assert posts(driven) == expected
    driven.log.change("post", 7, {"title": "az"})
    driven.catch_up()
    assert posts(driven) == [6, 7]
