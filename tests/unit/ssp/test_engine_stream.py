"""The engine's protocol: bootstrap, resume, late loads, gaps, transactions, moves."""

from __future__ import annotations

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.engine.engine import EngineOptions
from sp00ky.ssp.engine.events import CheckpointReceived, EntriesReceived, ViewKey
from sp00ky.ssp.engine.ready import ViewDropped

from tests.harness.driven_engine import SSP, Driven, Log, spec

ADULTS = "SELECT * FROM person WHERE age >= 18"


def people(*ages: int) -> Log:
    log = Log()
    for key, age in enumerate(ages):
        log.change("person", key, {"age": age})
    return log


def person(key: int) -> RecordId:
    return RecordId("person", key)


# --- bootstrap ---


def test_bootstrap_loads_the_schema_then_the_tables_of_assigned_views() -> None:
    driven = Driven(people(20, 3, 30, 40, 50))
    driven.serving = False
    assert [load.table for load in driven.welcome([(spec("v", ADULTS), 1)]).loads] == ["_00_schema"]
    driven.serve(1)
    (load,) = driven.asked
    assert (load.table, load.at_seq, load.after_key) == ("person", 5, b"")
    assert driven.loaded == 0 and driven.engine.applied_seq == 5
    reading = driven.engine.view(ViewKey("v"))
    assert reading is not None and (reading.state, reading.seq) == ("pending", 0)
    driven.serve()
    assert driven.loaded == 1 and [ready.applied_seq for ready in driven.readies] == [0, 0, 0, 5]
    assert driven.current("v") == {person(0): 1, person(2): 3, person(3): 4, person(4): 5}


def test_the_schema_alone_is_a_bootstrap() -> None:
    driven = Driven()
    driven.welcome()
    assert driven.loaded == 1 and driven.engine.applied_seq == 0


def test_a_hydrated_view_carries_what_its_edges_need() -> None:
    driven = Driven(people(20))
    view = spec("v", ADULTS, {"x": 1}, "client-7")
    view.ttl_ms = 30_000
    driven.welcome([(view, 1)])
    (hydrated,) = driven.hydrated
    assert (hydrated.surql, hydrated.client_id, hydrated.ttl_ms) == (ADULTS, "client-7", 30_000)
    assert (hydrated.params, hydrated.seq, hydrated.writes) == (view.params, 1, True)
    assert [(member.id, member.version) for member in hydrated.members] == [(person(0), 1)]


def test_a_second_welcome_drops_everything_and_says_which_views_left() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("stays", ADULTS), 1), (spec("leaves", ADULTS), 1)])
    driven.welcome([(spec("stays", ADULTS), 1)])
    assert driven.dropped == [ViewDropped(ViewKey("leaves"), unregistered=False)]
    assert sorted(each.key.id for each in driven.hydrated) == ["leaves", "stays", "stays"] and driven.loaded == 2


def test_pages_of_an_older_load_are_ignored() -> None:
    driven = Driven(people(20, 30))
    driven.serving = False
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.serve(1)
    old = driven.asked.copy()
    driven.asked.clear()
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.asked[:0] = old
    driven.serve(1)
    assert driven.loaded == 0 and driven.current("v") == {}
    driven.serve()
    assert driven.loaded == 1 and len(driven.current("v")) == 2


# --- transactions and gaps ---


def test_a_transaction_is_held_until_its_last_entry() -> None:
    driven = Driven()
    driven.welcome()
    driven.log.register("v", ADULTS)
    driven.catch_up()
    first = driven.log.change("person", 1, {"age": 20}, txn_last=False)
    second = driven.log.change("person", 2, {"age": 30})
    ready = driven.step(EntriesReceived([first]))
    assert (ready.applied_seq, ready.frames, ready.deltas) == (2, 1, [])
    ready = driven.step(EntriesReceived([second]))
    (delta,) = ready.deltas
    assert (delta.seq, ready.applied_seq) == (4, 4)
    assert [(member.id, member.version) for member in delta.added] == [(person(1), 3), (person(2), 4)]


def test_entries_sent_again_change_nothing() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.log.change("person", 1, {"age": 30})
    driven.catch_up()
    before = (driven.engine.applied_seq, driven.current("v"))
    ready = driven.step(EntriesReceived(driven.log.entries))
    assert ready.deltas == [] and (driven.engine.applied_seq, driven.current("v")) == before


def test_g5_a_gap_is_refused_and_leaves_the_engine_as_it_was() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.log.change("person", 1, {"age": 30})
    missed = driven.log.change("person", 2, {"age": 40})
    with pytest.raises(Fault, match="skipped from entry 1 to 3") as raised:
        driven.step(EntriesReceived([missed]))
    assert raised.value.code is Code.DATA_LOSS
    assert driven.engine.applied_seq == 1 and driven.current("v") == {person(0): 1}
    driven.catch_up()
    assert driven.engine.applied_seq == 3 and len(driven.current("v")) == 3


def test_what_is_created_and_deleted_in_one_step_was_never_there() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.log.change("person", 5, {"age": 99})
    driven.log.change("person", 5, None)
    assert driven.catch_up().deltas == []
    driven.log.change("person", 0, None)
    driven.log.change("person", 0, {"age": 21})
    (delta,) = driven.catch_up().deltas
    assert [(member.id, member.version) for member in delta.updated] == [(person(0), 5)] and not delta.added


def test_system_tables_are_no_user_tables() -> None:
    driven = Driven()
    driven.welcome()
    driven.log.register("v", "SELECT * FROM _00_query")
    driven.catch_up()
    driven.step(CheckpointReceived(2))
    reading = driven.engine.view(ViewKey("v"))
    assert reading is not None and reading.mode == "reevaluated"
    driven.log.change("_00_query", 1, {"a": 1})
    driven.catch_up()
    assert len(driven.queries) == 1


# --- resume ---


def test_a_resume_keeps_state_and_forgets_half_a_transaction() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS), 1)])
    half = driven.log.change("person", 1, {"age": 30}, txn_last=False)
    driven.log.change("person", 2, {"age": 40})
    driven.step(EntriesReceived([half]))
    driven.welcome(resume=True, at=1)
    assert driven.engine.applied_seq == 1 and len(driven.hydrated) == 1
    driven.catch_up()
    assert len(driven.current("v")) == 3


def test_a_resume_starts_loads_under_way_again() -> None:
    driven = Driven(people(20, 30))
    driven.welcome()
    driven.serving = False
    driven.log.register("v", ADULTS)
    driven.catch_up()
    (lost,) = driven.asked
    driven.asked.clear()
    (again,) = driven.welcome(resume=True, at=4).loads
    assert again.load_id != lost.load_id and (again.table, again.at_seq) == ("person", 4)
    driven.serve()
    assert len(driven.current("v")) == 2


@pytest.mark.parametrize("loaded", [True, False])
def test_a_resume_from_a_revision_never_applied_is_refused(loaded: bool) -> None:
    driven = Driven(people(20))
    driven.serving = loaded
    driven.welcome()
    with pytest.raises(Fault, match="resumes at") as raised:
        driven.welcome(resume=True, at=2 if loaded else 1)
    assert raised.value.code is Code.DATA_LOSS


# --- late loads ---


def test_a_late_table_loads_beside_live_ones_and_takes_what_came_meanwhile() -> None:
    driven = Driven(people(20, 3, 30))
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.serving = False
    for number in range(5):
        driven.log.change("pet", number, {"age": number})
    driven.log.register("late", "SELECT * FROM pet WHERE age > 1")
    driven.catch_up()
    driven.log.change("pet", 4, None)
    driven.log.change("pet", 0, {"age": 7})
    driven.log.change("person", 9, {"age": 50})
    (delta,) = driven.catch_up().deltas
    assert [view.id for view in delta.views] == ["v"]
    assert driven.asked[0].at_seq == 10
    driven.serve()
    assert driven.current("late") == {RecordId("pet", 0): 12, RecordId("pet", 2): 6, RecordId("pet", 3): 7}
    assert driven.hydrated[-1].seq == 13 and driven.loaded == 1


def test_g6_a_full_backlog_starts_the_load_again() -> None:
    driven = Driven(people(20), options=EngineOptions(backlog_max=2))
    driven.welcome()
    driven.serving = False
    driven.log.register("v", ADULTS)
    driven.catch_up()
    (first,) = driven.asked
    for key in range(10, 13):
        driven.log.change("person", key, {"age": key + 10})
    (again,) = driven.catch_up().loads
    assert again.at_seq == 6 and again.load_id != first.load_id
    driven.serve()
    assert driven.current("v") == {person(0): 1, person(10): 4, person(11): 5, person(12): 6}


def test_a_table_nobody_uses_any_more_is_forgotten_and_loaded_again() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.log.unregister("v")
    driven.catch_up()
    driven.log.change("person", 1, {"age": 44})
    driven.catch_up()
    driven.log.register("w", "SELECT * FROM person")
    assert [load.table for load in driven.catch_up().loads] == ["person"]
    assert len(driven.current("w")) == 2


READERS = {  # by link only: no text names the table
    "shown": "SELECT *, author.name AS by FROM post",
    "column": "SELECT * FROM post WHERE author.name = 'eve'",
    "dynamic": "SELECT * FROM post WHERE title = $me.name",
    "traced term": "SELECT * FROM post WHERE (SELECT id FROM $parent.author WHERE name = $name)",
    "traced": "SELECT VALUE name FROM $list",
}


def linked(surql: str) -> Driven:
    """A view that reads persons by link only, registered while another view holds their table."""
    driven = Driven()
    driven.log.change("person", 1, {"name": "ann"})
    driven.log.change("post", 1, {"author": person(1), "title": "eve"})
    driven.log.register("holder", "SELECT * FROM person")
    driven.welcome()
    driven.log.register("holder", "SELECT * FROM person")
    driven.catch_up()
    driven.log.register("v", surql, {"me": person(1), "list": [person(1)], "name": "eve"})
    driven.catch_up()
    return driven


@pytest.mark.parametrize("surql", READERS.values(), ids=READERS)
def test_a_table_that_is_read_by_link_only_stays_when_those_who_named_it_go(surql: str) -> None:
    driven = linked(surql)
    driven.log.unregister("holder")
    driven.catch_up()
    assert "person" in driven.engine._tables.held
    before = driven.engine.view(ViewKey("v"))
    assert before is not None
    hash_before = before.hash
    driven.log.change("person", 1, {"name": "eve"})
    driven.catch_up()
    after = driven.engine.view(ViewKey("v"))
    assert after is not None and after.state == "live" and after.hash != hash_before and "eve" in str(after.rows())
    driven.log.unregister("v")
    driven.catch_up()
    assert "person" not in driven.engine._tables.held


@pytest.mark.parametrize("surql", READERS.values(), ids=READERS)
def test_g7_a_record_that_cannot_be_decoded_fails_those_who_read_it_by_link_until_it_is_mended(surql: str) -> None:
    driven = linked(surql)
    driven.log.garbage("person", 2)
    driven.catch_up()
    reading = driven.engine.view(ViewKey("v"))
    assert reading is not None and reading.state == "live", "another record of the table is none of its business"
    driven.log.garbage("person", 1)
    driven.catch_up()
    assert (reading.state, reading.rows()) == ("failed", []) and "record person:1" in reading.error
    driven.log.change("person", 1, {"name": "eve"})
    driven.catch_up()
    assert reading.state == "live" and "eve" in str(reading.rows())
    assert driven.members[ViewKey("v")] == driven.current("v")


# --- ownership ---


def test_a_view_moves_away_and_comes_back() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.log.assign("v", "ssp-2", SSP)
    driven.catch_up()
    assert driven.dropped == [ViewDropped(ViewKey("v"), unregistered=False)] and driven.engine.views() == []
    driven.log.change("person", 1, {"age": 30})
    driven.log.assign("v", SSP, "ssp-2")
    driven.catch_up()
    hydrated = driven.hydrated[-1]
    assert [ready.fences for ready in driven.readies if ready.fences] == [{"ssp-2": 4}]
    assert (hydrated.writes, hydrated.seq) == (True, 4)
    assert len(hydrated.members) == 2


def test_views_of_other_ssps_are_none_of_ours() -> None:
    driven = Driven(people(20))
    driven.welcome()
    driven.log.register("theirs", ADULTS, ssp="ssp-2")
    driven.catch_up()
    assert driven.engine.views() == [] and driven.dropped == [] and driven.asked == []


def test_a_view_that_was_another_ssps_is_taken_over_by_its_assignment_alone() -> None:
    """It was registered before this SSP's snapshot, so no other entry will ever describe it."""
    driven = Driven(people(20))
    driven.log.register("v", ADULTS, ssp="ssp-2")
    driven.welcome()
    driven.log.assign("v", SSP, "ssp-2")
    driven.catch_up()
    assert [hydrated.key.id for hydrated in driven.hydrated] == ["v"]


def test_a_new_client_joins_without_a_new_result() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS, client="one"), 1)])
    driven.log.register("v", ADULTS, client="two")
    driven.catch_up()
    reading = driven.engine.view(ViewKey("v"))
    assert reading is not None and reading.client_id == "two" and reading.state == "live"


def test_register_and_unregister_in_one_frame_leave_nothing() -> None:
    driven = Driven(people(20))
    driven.welcome()
    driven.log.register("v", ADULTS)
    driven.log.unregister("v")
    ready = driven.catch_up()
    assert ready.hydrated == [] and ready.deltas == []


def test_unregister_and_register_in_one_frame_end_hydrated() -> None:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS), 1)])
    driven.log.change("person", 1, {"age": 30})
    driven.log.unregister("v")
    driven.log.register("v", "SELECT * FROM person")
    driven.log.change("person", 2, {"age": 1})
    ready = driven.catch_up()
    assert ready.deltas == [] and driven.members[ViewKey("v")] == driven.current("v")
    assert len(driven.current("v")) == 3
