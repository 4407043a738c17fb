"""What happens in the mesh is told: made from commands and looks, kept in a ring, read from a place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from sp00ky.proto.database import Database
from sp00ky.proto.revision import Epoch
from sp00ky.proto.v1 import admin_pb2, common_pb2, events_pb2, events_pb2_grpc, integrity_pb2, views_pb2
from sp00ky.scheduler.capture import alignment, feed
from sp00ky.scheduler.coordinator.membership import Phase
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.happenings import Happening, Kind, Outlook, Standing, between, since, told_by
from sp00ky.scheduler.journal import HISTORY_STEP_MS, History, Journal
from sp00ky.scheduler.sampling import Counted, stage_lag, with_rates

from tests.harness.eventually import eventually
from tests.harness.scheduler import Peer, Scheduler, change
from tests.unit.scheduler.test_driver_capture import ready

KEY = common_pb2.ViewKey(id="v1")


def spec(view_id: str = "v1") -> common_pb2.ViewSpec:
    return common_pb2.ViewSpec(key=common_pb2.ViewKey(id=view_id), surql="SELECT * FROM person")


# --- what is told ---------------------------------------------------------------------------------------------------


def test_a_view_that_is_registered_and_placed_is_one_happening_and_a_renewal_none() -> None:
    registered = common_pb2.Entry(view_registered=common_pb2.ViewRegistered(spec=spec()))
    assigned = common_pb2.Entry(view_assigned=common_pb2.ViewAssigned(spec=spec(), ssp_id="ssp-1"))
    assert [each.kind for each in told_by([registered, assigned])] == [Kind.VIEW_REGISTERED]
    assert list(told_by([registered])) == []


def test_a_move_says_from_whom_to_whom_and_after_whom() -> None:
    moved = common_pb2.ViewAssigned(spec=spec(), ssp_id="b", handing_over_ssp_id="a", fence_ssp_ids=["x"])
    [told] = told_by([common_pb2.Entry(view_assigned=moved)])
    assert (told.kind, told.view_id, told.ssp_id) == (Kind.VIEW_ASSIGNED, "v1", "b")
    assert told.text == "view v1 is kept by b, handed over by a, after x"
    left = common_pb2.ViewUnregistered(key=KEY, reason="expired")
    released = common_pb2.ViewReleased(key=KEY, ssp_id="b", assigned_seq=7)
    told_of = told_by([common_pb2.Entry(view_released=released), common_pb2.Entry(view_unregistered=left)])
    assert [each.kind for each in told_of] == [Kind.VIEW_RELEASED, Kind.VIEW_UNREGISTERED]


def test_of_an_ssp_every_phase_and_a_drain_is_told_once() -> None:
    ready, stale = Standing(Phase.READY, False), Standing(Phase.STALE, False)
    draining = Standing(Phase.READY, True)
    looks = [{}, {"a": ready}, {"a": ready}, {"a": draining}, {"a": ready}, {"a": stale}, {}]
    kinds = [[each.kind for each in between(*pair)] for pair in pairwise(looks)]
    assert kinds == [
        [Kind.SSP_READY], [], [Kind.SSP_DRAINING], [Kind.SSP_UNDRAINED], [Kind.SSP_STALE], [Kind.SSP_LEFT],
    ]  # fmt: skip


def test_views_that_fail_are_told_by_how_many_there_are() -> None:
    looks = [{"a": Standing(Phase.READY, False, failed)} for failed in (0, 2, 2, 1, 3)]
    told = [[(each.kind, each.text.partition(";")[0]) for each in between(*pair)] for pair in pairwise(looks)]
    two, three = "views that have failed on a: 2", "views that have failed on a: 3"
    assert told == [[(Kind.VIEW_FAILED, two)], [], [], [(Kind.VIEW_FAILED, three)]]


def test_of_the_services_only_what_has_changed_is_told() -> None:
    calm = Outlook(drift_checks=1, versions=10)
    assert list(since(calm, calm)) == []
    lost = Outlook(lost="connection refused", drift_checks=1, versions=10)
    assert [each.kind for each in since(calm, lost)] == [Kind.CAPTURE_LOST]
    assert [each.kind for each in since(lost, calm)] == [Kind.CAPTURE_BACK]
    found = Outlook(drift_checks=2, differing=3, repaired=3, versions=12, trimmed=5, snapshots=1)
    told = [each.kind for each in since(calm, found)]
    assert told == [Kind.DRIFT_FOUND, Kind.GARBAGE_COLLECTED, Kind.SNAPSHOT_TAKEN]


# --- the ring -------------------------------------------------------------------------------------------------------


def journal_of(count: int, limit: int = 4, epoch: int = 2) -> Journal:
    journal = Journal(Epoch(epoch), limit)
    for number in range(count):
        journal.add(Happening(Kind.SSP_READY, f"{number}"), 0)
    return journal


def test_a_reader_gets_what_came_after_its_place_and_is_told_what_it_missed() -> None:
    journal = journal_of(6)
    kept = journal.after(0)
    assert ([each.text for each in kept.events], kept.missed) == (["2", "3", "4", "5"], False)
    from_place = journal.after(kept.events[1].id)
    assert ([each.text for each in from_place.events], from_place.missed) == (["4", "5"], False)
    fell_out = journal.after(kept.events[0].id - 2)
    assert (len(fell_out.events), fell_out.missed) == (4, True)
    assert journal.after(journal.last_id) == ([], journal.last_id, False)


def test_ids_grow_over_restarts_and_those_of_before_are_missed() -> None:
    before, after = journal_of(3, epoch=2), journal_of(1, epoch=3)
    assert after.after(0).events[0].id > before.last_id
    assert after.after(before.last_id).missed
    assert after.after(after.last_id + 1).missed, "an id that was never given out"


def test_the_history_has_a_point_every_five_seconds_for_fifteen_minutes() -> None:
    history = History()
    for second in range(20 * 60):
        history.add(events_pb2.MeshSample(at_ms=second * 1000, captured_per_second=second % 2))
    assert len(history.points) == 15 * 60_000 // HISTORY_STEP_MS
    assert {round(point.captured_per_second, 1) for point in history.points} == {0.5}


def test_a_point_of_the_history_weighs_figures_by_their_time() -> None:
    history = History()
    for at_ms, rate in ((1_000, 0), (2_000, 10), (2_100, 1_000), (3_100, 10), (4_100, 10), (5_600, 10)):
        ssps = [events_pb2.SspSample(id="a", applied_per_second=rate)]
        history.add(events_pb2.MeshSample(at_ms=at_ms, captured_per_second=rate, ssps=ssps))
    [point] = history.points
    whole = (10 * 1_000 + 1_000 * 100 + 10 * 3_500) / 4_601
    assert (point.at_ms, round(point.captured_per_second, 3)) == (5_600, round(whole, 3))
    assert point.ssps[0].applied_per_second == pytest.approx(whole)


def test_rates_are_growth_by_time_and_a_new_process_counts_from_nothing() -> None:
    sample = events_pb2.MeshSample(ssps=[events_pb2.SspSample(id="a"), events_pb2.SspSample(id="new")])
    before = Counted(10.0, captured=100, appended=200, cpu_s=1.0, applied={"a": 50}, edges={"a": 90})
    now = Counted(12.0, captured=110, appended=400, cpu_s=2.0, applied={"a": 150, "new": 9}, edges={"a": 30})
    with_rates(sample, before, now)
    assert (sample.captured_per_second, sample.appended_per_second, sample.cpu_ratio) == (5, 100, 0.5)
    assert (sample.ssps[0].applied_per_second, sample.ssps[0].edges_per_second) == (50, 15)
    assert sample.ssps[1].applied_per_second == 0


def test_lag_is_of_the_last_turn_and_grows_while_one_is_overdue() -> None:
    told = admin_pb2.LagStatus
    assert stage_lag(told(turn=1, age_seconds=0.1), None) is None
    whole = stage_lag(told(turn=1, captured_seconds=0.02, applied_seconds=0.03, written_seconds=0.08), None)
    assert whole is not None
    on_its_way = stage_lag(told(turn=2, age_seconds=0.01, applied_seconds=0.03, written_seconds=0.08), whole)
    assert on_its_way == whole
    overdue = stage_lag(told(turn=2, age_seconds=4, applied_seconds=4, written_seconds=4.5), whole)
    assert overdue == events_pb2.StageLag(captured_seconds=4, applied_seconds=4, written_seconds=4.5)
    slow_ssp = stage_lag(told(turn=2, captured_seconds=0.02, applied_seconds=9, written_seconds=9), whole)
    assert slow_ssp == events_pb2.StageLag(captured_seconds=0.02, applied_seconds=9, written_seconds=9)


# --- the rpc --------------------------------------------------------------------------------------------------------


class Watch:
    """What a reader was told."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.answers: list[events_pb2.WatchEventsResponse] = []
        self.ended = False  # properly
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for answer in self._call:
            self.answers.append(answer)
        self.ended = True

    @property
    def events(self) -> list[events_pb2.MeshEvent]:
        return [event for answer in self.answers for event in answer.events]

    @property
    def samples(self) -> list[events_pb2.MeshSample]:
        return [sample for answer in self.answers for sample in answer.samples]

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    async def close(self) -> None:
        self._call.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def watching(scheduler: Scheduler, **request: Any) -> AsyncIterator[Watch]:
    assert scheduler.channel is not None
    stub = events_pb2_grpc.EventServiceStub(scheduler.channel)
    watch = Watch(stub.WatchEvents(events_pb2.WatchEventsRequest(**request)))
    yield watch
    await watch.close()


async def test_the_life_of_an_ssp_and_a_view_is_told_as_it_happens() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler, watching(scheduler) as watch:
        await eventually(lambda: watch.kinds == [Kind.EPOCH_STARTED])
        peer = Peer(scheduler.address, "ssp-1")
        await peer.join()
        await eventually(lambda: watch.kinds[-1] == Kind.SSP_READY)
        await scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec()))
        await scheduler.views.UnregisterView(views_pb2.UnregisterViewRequest(key=KEY))
        await scheduler.admin.DrainSsp(admin_pb2.DrainSspRequest(ssp_id="ssp-1"))
        await peer.close()
        await eventually(lambda: watch.kinds[-1] == Kind.SSP_STALE)
        assert watch.kinds == [
            Kind.EPOCH_STARTED, Kind.SSP_JOINED, Kind.SSP_READY, Kind.VIEW_REGISTERED,
            Kind.VIEW_UNREGISTERED, Kind.SSP_DRAINING, Kind.SSP_STALE,
        ]  # fmt: skip
        assert [event.trouble for event in watch.events] == [False] * 6 + [True]
        async with watching(scheduler, since_id=watch.events[3].id) as later:
            await eventually(lambda: later.kinds == watch.kinds[4:])
            assert not later.answers[0].missed


async def test_how_many_events_are_kept_is_a_setting() -> None:
    async with Scheduler(MemoryDatastore(), events_max=2) as scheduler:
        peer = Peer(scheduler.address, "ssp-1")
        await peer.join()
        await eventually(scheduler.driver.coordinator.ready_ssps)
        async with watching(scheduler) as watch:
            await eventually(lambda: watch.kinds == [Kind.SSP_JOINED, Kind.SSP_READY])
        async with watching(scheduler, since_id=1) as watch:
            await eventually(lambda: len(watch.events) == 2)
            assert watch.answers[0].missed
        status = await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert (status.metrics["events_kept"], status.metrics["events_total"]) == (2, 3)
        await eventually(lambda: scheduler.driver.observer.metrics()["event_streams"] == 0)
        await peer.close()


async def test_figures_come_once_a_second_and_those_of_before_at_once() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler, watching(scheduler, samples=True) as watch:
        await eventually(lambda: watch.samples)
        ticket = await scheduler.offer(*(change("person", number) for number in range(50)))
        await ticket.seq()
        await eventually(lambda: any(sample.appended_per_second > 0 for sample in watch.samples))
        assert watch.samples[-1].head_seq == 50
        assert watch.samples[-1].rows == 50
        assert watch.samples[-1].memory_bytes > 0


async def test_readers_do_not_hold_up_a_scheduler_that_stops() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler, watching(scheduler) as watch:
        await eventually(lambda: watch.kinds == [Kind.EPOCH_STARTED])
        stops = asyncio.create_task(scheduler.driver.stop())
        await eventually(lambda: watch.ended)
        await stops


async def test_what_could_not_be_captured_and_what_had_drifted_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RECORD_BYTES_MAX", 1_000)
    monkeypatch.setattr(alignment, "RECORD_BYTES_MAX", 1_000)
    await database.query("DEFINE TABLE big; CREATE small:1 SET n = 1")
    async with Scheduler(MemoryDatastore(), database) as scheduler:
        await ready(scheduler)
        async with watching(scheduler) as watch:
            await database.query("CREATE big:1 SET text = string::repeat('x', 2000)")
            await scheduler.admin.Barrier(admin_pb2.BarrierRequest())
            await eventually(lambda: Kind.DEAD_LETTER in watch.kinds)
            await scheduler.driver.offer_transactions([[change("small", 1, "UPDATE", n=9)]])
            await scheduler.integrity.VerifyTables(integrity_pb2.VerifyTablesRequest(tables=["small"], repair=True))
            await eventually(lambda: Kind.DRIFT_FOUND in watch.kinds)
            texts = {event.kind: event.text for event in watch.events}
            assert "big:1" in texts[Kind.DEAD_LETTER]
            assert texts[Kind.DRIFT_FOUND] == "1 records differed from SurrealDB, 1 repaired"
            assert texts[Kind.CAPTURE_CLONED] == "the replica equals SurrealDB"
