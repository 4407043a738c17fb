"""Views that move between living SSPs, SSPs that load together: through the wire, with SSPs played by hand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from sp00ky.proto.faults import Code
from sp00ky.proto.v1 import admin_pb2, common_pb2, replication_pb2, views_pb2
from sp00ky.scheduler.datastore.memory import MemoryDatastore

from tests.harness.eventually import eventually
from tests.harness.scheduler import Peer, Scheduler, ViewAnswers, answering_ssp, change, fault_from

READ = views_pb2.GetViewRequest(key=common_pb2.ViewKey(id="v"))


async def joined(scheduler: Scheduler, ssp_id: str, address: str = "") -> Peer:
    peer = Peer(scheduler.address, ssp_id, address)
    await peer.join()
    await eventually(lambda: any(member.id == ssp_id for member in scheduler.driver.coordinator.ready_ssps()))
    return peer


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[Scheduler, tuple[Peer, Peer], tuple[ViewAnswers, ViewAnswers]]]:
    """A view on "a", and "b" beside it."""
    async with (
        answering_ssp() as (at_a, of_a),
        answering_ssp() as (at_b, of_b),
        Scheduler(MemoryDatastore()) as scheduler,
    ):
        a = await joined(scheduler, "a", at_a)
        spec = common_pb2.ViewSpec(key=READ.key, surql="SELECT * FROM t")
        await scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        b = await joined(scheduler, "b", at_b)
        try:
            yield scheduler, (a, b), (of_a, of_b)
        finally:
            await a.close()
            await b.close()


async def test_a_drained_ssp_is_asked_until_its_view_is_released_and_then_the_next_owner() -> None:
    async with pair() as (scheduler, (a, b), (of_a, of_b)):
        b.answers = False
        drained = await scheduler.admin.DrainSsp(admin_pb2.DrainSspRequest(ssp_id="a"))
        assert drained.views == 1
        handed = await eventually(
            lambda: [entry for entry in b.entries if entry.view_assigned.handing_over_ssp_id == "a"], what="the move"
        )
        await scheduler.views.GetView(READ)
        assert (len(of_a.asked), len(of_b.asked)) == (1, 0)
        await b.ack(handed[0].seq, 1)
        released = await eventually(lambda: [entry for entry in a.entries if entry.HasField("view_released")])
        assert released[0].view_released.assigned_seq == handed[0].seq
        await scheduler.views.GetView(READ)
        assert (len(of_a.asked), len(of_b.asked)) == (1, 1)
        again = await scheduler.admin.DrainSsp(admin_pb2.DrainSspRequest(ssp_id="a"))
        assert again.views == 0
        status = {ssp.id: ssp for ssp in (await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())).ssps}
        assert (status["a"].draining, status["b"].draining, status["b"].views) == (True, False, 1)
        await scheduler.admin.DrainSsp(admin_pb2.DrainSspRequest(ssp_id="a", undo=True))
        assert not scheduler.driver.coordinator.ssps["a"].draining


async def test_a_former_owner_that_does_not_answer_is_passed_over() -> None:
    async with answering_ssp() as (at_b, of_b), Scheduler(MemoryDatastore()) as scheduler:
        async with answering_ssp() as (at_a, _):
            a = await joined(scheduler, "a", at_a)
            spec = common_pb2.ViewSpec(key=READ.key, surql="SELECT * FROM t")
            await scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        b = await joined(scheduler, "b", at_b)
        b.answers = False
        await scheduler.admin.DrainSsp(admin_pb2.DrainSspRequest(ssp_id="a"))
        await eventually(lambda: scheduler.driver.coordinator.views_handing_over)
        assert (await scheduler.views.GetView(READ)).state == views_pb2.VIEW_STATE_LIVE
        assert len(of_b.asked) == 1
        await a.close()
        await b.close()


async def test_a_drain_names_an_ssp_that_is_there() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler:
        for ssp_id, code in (("", Code.INVALID), ("nobody", Code.NOT_FOUND)):
            fault = await fault_from(scheduler.admin.DrainSsp(admin_pb2.DrainSspRequest(ssp_id=ssp_id)))
            assert fault.code is code
        fault = await fault_from(scheduler.admin.ResyncSsps(admin_pb2.ResyncSspsRequest(ssp_id="nobody")))
        assert fault.code is Code.NOT_FOUND


async def test_an_ssp_that_is_to_load_anew_is_told_once() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler:
        a, b = await joined(scheduler, "a"), await joined(scheduler, "b")
        told = await scheduler.admin.ResyncSsps(admin_pb2.ResyncSspsRequest(ssp_id="a"))
        assert list(told.ssp_ids) == ["a"]
        await eventually(lambda: a.rebootstrap, what="the frame")
        assert not (await a.hello(resume=True)).resume
        assert list((await scheduler.admin.ResyncSsps(admin_pb2.ResyncSspsRequest())).ssp_ids) == ["a", "b"]
        await eventually(lambda: b.rebootstrap)
        await a.close()
        await b.close()


async def test_ssps_that_join_together_load_one_pinned_revision_and_one_scan_serves_them() -> None:
    store = MemoryDatastore()
    async with Scheduler(store) as scheduler:
        await (await scheduler.offer(*(change("t", number, n=number) for number in range(20)))).seq()
        peers = [Peer(scheduler.address, ssp_id) for ssp_id in "abc"]
        at_seqs = set()
        for peer in peers:
            at_seqs.add((await peer.hello()).at_seq)
            await (await scheduler.offer(change("t", 99, n=99))).seq()
        (at_seq,) = at_seqs
        assert {pin.owner: pin.at for pin in store.pins()} == {f"ssp/{peer.ssp_id}": at_seq for peer in peers}
        pages = scheduler.driver.committer.pages
        for peer in peers:
            page = await peer.load("t", at_seq, 50)
            assert len(page.rows) == 20 and not page.next_after_key
        assert (pages.hits, pages.misses) == (2, 1) and pages.bytes > 0
        status = await scheduler.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert [(ssp.state, ssp.frozen) for ssp in status.ssps] == [("bootstrapping", True)] * 3
        assert status.metrics["ssps_loading"] == 3
        for peer in peers:
            await peer.send(loaded=replication_pb2.Loaded())
        await eventually(lambda: len(scheduler.driver.coordinator.ready_ssps()) == 3)
        await eventually(lambda: not store.pins() and not pages.bytes)
        for peer in peers:
            await peer.close()
