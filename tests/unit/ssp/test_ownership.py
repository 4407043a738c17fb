"""Whose a view is, as an SSP reads it off the log: held, written, ceased, left."""

from __future__ import annotations

from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.v1.common_pb2 import Entry
from sp00ky.ssp.engine.events import ViewKey, WelcomeReceived

from tests.harness.driven_engine import SSP, Driven, Log, spec

ADULTS = "SELECT * FROM person WHERE age > 17"
KEY = ViewKey("v")


def people(*ages: int) -> Log:
    log = Log()
    for number, age in enumerate(ages):
        log.change("person", number, {"age": age})
    return log


def assign(log: Log, ssp_id: str, former: str = "", fences: list[str] | None = None) -> int:
    log.specs.setdefault("v", spec("v", ADULTS))
    assigned = common_pb2.ViewAssigned(
        spec=log.specs["v"], ssp_id=ssp_id, handing_over_ssp_id=former, fence_ssp_ids=fences or []
    )
    return int(log.append(Entry(view_assigned=assigned)).seq)


def release(log: Log, ssp_id: str, assigned_seq: int) -> None:
    released = common_pb2.ViewReleased(key=log.specs["v"].key, ssp_id=ssp_id, assigned_seq=assigned_seq)
    log.append(Entry(view_released=released))


def owner() -> Driven:
    driven = Driven(people(20))
    driven.welcome([(spec("v", ADULTS), 1)])
    return driven


def test_a_view_handed_over_is_served_until_it_is_released() -> None:
    driven = owner()
    seq = assign(driven.log, "ssp-2", SSP)
    driven.log.change("person", 7, {"age": 40})
    assert driven.catch_up().ceased == [KEY] and driven.dropped == []
    assert len(driven.current("v")) == 2, "it is kept current for its readers"
    release(driven.log, "ssp-2", seq)
    driven.catch_up()
    assert [dropped.unregistered for dropped in driven.dropped] == [False] and driven.engine.view(KEY) is None


def test_a_view_that_comes_back_before_it_was_released_is_written_again() -> None:
    driven = owner()
    assign(driven.log, "ssp-2", SSP)
    driven.catch_up()
    assign(driven.log, SSP, fences=["ssp-2"])
    ready = driven.catch_up()
    assert [hydrated.writes for hydrated in ready.hydrated] == [True] and ready.fences == {"ssp-2": 3}
    assign(driven.log, "ssp-2", SSP)
    assign(driven.log, SSP, fences=["ssp-2"])
    ready = driven.catch_up()
    assert ready.ceased == [] and [hydrated.writes for hydrated in ready.hydrated] == [True]


def test_a_view_whose_next_owner_is_replaced_is_served_on() -> None:
    driven = owner()
    assign(driven.log, "ssp-2", SSP)
    assign(driven.log, "ssp-3", SSP, ["ssp-2"])
    assert driven.catch_up().ceased == [KEY]
    assert driven.engine.view(KEY) is not None and driven.dropped == []
    assign(driven.log, "ssp-3", fences=[SSP])
    driven.catch_up()
    assert driven.engine.view(KEY) is None


def test_a_view_that_another_hands_over_is_read_here_and_not_written_until_it_is_released() -> None:
    driven = Driven(people(20))
    driven.welcome()
    driven.serving = False
    seq = assign(driven.log, SSP, "ssp-2")
    driven.catch_up()
    assert driven.engine.arrived_seq == seq - 1, "nobody can read it yet"
    driven.log.change("person", 7, {"age": 40})
    driven.catch_up()
    assert (driven.engine.applied_seq, driven.engine.arrived_seq) == (seq + 1, seq - 1)
    driven.serving = True
    driven.serve()
    assert driven.engine.arrived_seq == seq + 1 and len(driven.current("v")) == 2
    assert [hydrated.writes for hydrated in driven.hydrated] == [False]
    release(driven.log, SSP, seq - 1)  # of an assignment before
    assert driven.catch_up().hydrated == []
    release(driven.log, SSP, seq)
    ready = driven.catch_up()
    assert [(hydrated.writes, len(hydrated.members)) for hydrated in ready.hydrated] == [(True, 2)]


def test_a_view_that_cannot_be_planned_keeps_nobody_waiting() -> None:
    driven = Driven(people(20))
    driven.welcome()
    driven.log.specs["v"] = spec("v", "SELECT FROM WHERE")
    seq = assign(driven.log, SSP, "ssp-2")
    driven.catch_up()
    assert str(driven.engine.view(KEY).state) == "failed"  # type: ignore[union-attr]
    assert driven.engine.arrived_seq == seq


def test_lost_owners_are_fenced_before_the_view_has_a_result() -> None:
    driven = Driven(people(20))
    driven.welcome()
    driven.serving = False
    seq = assign(driven.log, SSP, fences=["ssp-2", "ssp-3"])
    ready = driven.catch_up()
    assert ready.fences == {"ssp-2": seq, "ssp-3": seq} and ready.hydrated == []


def test_a_load_at_an_older_revision_passes_over_what_the_welcome_holds() -> None:
    """The commands up to the incarnation are in the welcome's list; changes are not."""
    log = people(20)
    log.register("gone", ADULTS)
    log.unregister("gone")
    log.register("v", ADULTS)
    log.change("person", 7, {"age": 40})
    log.assign("v", "ssp-2", SSP)
    log.append(Entry(ssp_joined=common_pb2.SspJoined(ssp_id=SSP)))
    driven = Driven(log)
    welcome = replication_pb2.Welcome(at_seq=1, incarnation=log.head)
    welcome.views.add(spec=spec("mine", ADULTS), assigned_seq=3, fence_ssp_ids=["ssp-9"])
    ready = driven.step(WelcomeReceived(welcome))
    assert ready.fences == {"ssp-9": 3}
    driven.log.assign("v", SSP, "ssp-2")
    driven.catch_up()
    assert {reading.key.id: reading.size for reading in driven.engine.views()} == {"mine": 2, "v": 2}
    assert driven.dropped == []
    assert [each.fences for each in driven.readies if each.fences] == [{"ssp-9": 3}, {"ssp-2": log.head}]
