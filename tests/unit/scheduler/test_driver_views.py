"""Views through the scheduler: registered here, read from their owner, refused with a reason."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2, ingest_pb2, views_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.room import Claim, Work

from tests.harness.eventually import eventually
from tests.harness.scheduler import Peer, Scheduler, ViewAnswers, answering_ssp, change, fault_from

USER_1 = pack({"id": RecordId("user", 1), "access": "account", "claims": {"role": "reader"}})
SURQL = "SELECT * FROM person WHERE age > 3"


def request(view_id: str = "v", surql: str = SURQL, **fields: object) -> views_pb2.RegisterViewRequest:
    params_json = str(fields.pop("params_json", ""))
    key = common_pb2.ViewKey(id=view_id, auth_id=str(fields.pop("auth_id", "")))
    spec = common_pb2.ViewSpec(key=key, surql=surql, **fields)  # type: ignore[arg-type]
    return views_pb2.RegisterViewRequest(spec=spec, params_json=params_json)


def reading(view_id: str = "v", **fields: object) -> views_pb2.GetViewRequest:
    return views_pb2.GetViewRequest(key=common_pb2.ViewKey(id=view_id), **fields)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def mesh(**settings: object) -> AsyncIterator[tuple[Scheduler, Peer, ViewAnswers]]:
    async with answering_ssp() as (address, answers), Scheduler(MemoryDatastore(), **settings) as scheduler:
        peer = Peer(scheduler.address, "a", address)
        await peer.join()
        await eventually(scheduler.driver.coordinator.ready_ssps)
        try:
            yield scheduler, peer, answers
        finally:
            await peer.close()


async def test_a_view_is_registered_assigned_and_told_to_its_owner() -> None:
    async with mesh() as (scheduler, peer, _):
        answer = await scheduler.views.RegisterView(request(params_json='{"n": 1}', client_id="c", ttl_ms=1000))
        assert (answer.query_id, answer.ssp_id, answer.ssp_url) == ("v", "a", "http://a")
        assert answer.revision == scheduler.driver.token(3) and answer.assigned_at > 1_600_000_000
        await eventually(lambda: len(peer.entries) == 2)
        registered, assigned = peer.entries
        assert registered.view_registered.spec.params == pack({"n": 1}) and not registered.txn_last
        assert assigned.view_assigned.ssp_id == "a" and assigned.txn_last
        again = await scheduler.views.RegisterView(request(params_json='{"n": 1}', client_id="d"))
        assert (again.query_id, again.revision) == ("v", answer.revision)
        fault = await fault_from(scheduler.views.RegisterView(request(params_json='{"n": 2}')))
        assert fault.code is Code.CONFLICT
        done = await scheduler.views.UnregisterView(views_pb2.UnregisterViewRequest(key=common_pb2.ViewKey(id="v")))
        await eventually(lambda: peer.entries[-1].HasField("view_unregistered"))
        assert done.revision == scheduler.driver.token(peer.entries[-1].seq)


async def test_what_is_likely_a_mistake_is_told_beside_the_answer() -> None:
    async with mesh() as (scheduler, _, _):
        await (await scheduler.offer(change("product", 1, n=1))).seq()
        stated = request(surql="SELECT * FROM prodct WHERE n < $max", params_json='{"mx": 3}')
        tables = ["no table prodct is known yet (did you mean product?)"]
        params = ["no value for $max: it is NONE", "parameter mx is not used (did you mean max?)"]
        assert list((await scheduler.views.RegisterView(stated)).warnings) == tables + params
        stated.for_user = True
        assert list((await scheduler.views.RegisterView(stated)).warnings) == params
        explained = await scheduler.views.ExplainView(views_pb2.ExplainViewRequest(surql=stated.spec.surql))
        assert list(explained.warnings) == tables
        known = request("w", surql="SELECT * FROM product")
        assert not (await scheduler.views.RegisterView(known)).warnings


async def test_the_same_id_for_another_user_is_another_view() -> None:
    async with mesh() as (scheduler, peer, answers):
        own = "SELECT * FROM person WHERE id = $auth"
        for stated in (request(surql=own, auth=USER_1), request(surql=own, auth_id="user:`a b`"), request()):
            await scheduler.views.RegisterView(stated)
        keys = {key.auth_id for key in scheduler.driver.coordinator.views}
        assert keys == {"user:1", "user:`a b`", ""}
        await eventually(lambda: len(peer.entries) == 6)
        specs = [entry.view_registered.spec for entry in peer.entries if entry.HasField("view_registered")]
        assert [(spec.key.auth_id, unpack(spec.auth)["access"] if spec.auth else None) for spec in specs] == [
            ("user:1", "account"),
            ("user:`a b`", ""),
            ("", None),
        ]
        head = scheduler.driver.store.head_seq
        await scheduler.views.RegisterView(request(surql=own, auth=USER_1, auth_id="user:1"))
        assert scheduler.driver.store.head_seq == head, "a repeated registration is no entry"
        for other in (request(surql=SURQL, auth=USER_1), request(surql=own, auth_id="user:1")):
            assert (await fault_from(scheduler.views.RegisterView(other))).code is Code.CONFLICT
        key = common_pb2.ViewKey(id="v", auth_id="user:⟨a b⟩")
        await scheduler.views.GetView(views_pb2.GetViewRequest(key=key))
        assert answers.asked[-1].key.auth_id == "user:`a b`"
        await scheduler.views.UnregisterView(views_pb2.UnregisterViewRequest(key=key))
        assert {key.auth_id for key in scheduler.driver.coordinator.views} == {"user:1", ""}


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (request(view_id=""), Code.INVALID, "view id"),
        (request(auth_id="nobody"), Code.INVALID, "auth is no record id"),
        (request(auth_id="user:2", auth=USER_1), Code.INVALID, "auth id user:2, and auth of user:1"),
        (request(auth=b"\xc1"), Code.INVALID, "auth cannot be read"),
        (request(auth=pack({"id": RecordId("user", 1), "claims": 5})), Code.INVALID, "claims of auth"),
        (request(auth=pack({"id": RecordId("user", 1), "claims": {"a": "x" * 70_000}})), Code.TOO_LARGE, "auth has"),
        (request(surql="SELECT $auth FROM person"), Code.UNSUPPORTED_QUERY, "line 1, column 8"),
        (request(auth=USER_1, surql="SELECT $session FROM person"), Code.UNSUPPORTED_QUERY, "line 1, column 8"),
        (request(params_json="[1]"), Code.INVALID, "not an object"),
        (request(auth=USER_1, params=pack({"session": {}})), Code.INVALID, "params have $session"),
        (request(params_json="{"), Code.INVALID, "cannot be read"),
        (request(params=b"\xc1"), Code.INVALID, "cannot be read"),
        (request(params=pack({"n": [2**63]})), Code.INVALID, 'params of view "v" hold an integer above'),
        (request(surql="DELETE person"), Code.UNSUPPORTED_QUERY, "line 1, column 1"),
        (request(surql="SELECT rand() FROM person"), Code.UNSUPPORTED_QUERY, "line 1, column 8"),
        (request(surql="SELECT 1; SELECT 2"), Code.UNSUPPORTED_QUERY, "statement"),
        (request(surql="x" * 70_000), Code.TOO_LARGE, "longer than"),
    ],
)
async def test_what_cannot_be_a_view_is_refused(given: views_pb2.RegisterViewRequest, code: Code, words: str) -> None:
    async with Scheduler(MemoryDatastore()) as scheduler:
        fault = await fault_from(scheduler.views.RegisterView(given))
        assert fault.code is code and words in fault.message, fault
        assert scheduler.driver.store.head_seq == 0


async def test_no_ready_ssp_no_view() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler:
        assert (await fault_from(scheduler.views.RegisterView(request()))).code is Code.NO_READY_SSP
        explain = views_pb2.ExplainViewRequest(surql=SURQL)
        assert (await fault_from(scheduler.views.ExplainView(explain))).code is Code.NO_READY_SSP
        assert (await fault_from(scheduler.views.GetView(reading()))).code is Code.NOT_FOUND


async def test_reads_are_forwarded_with_the_revision_they_need() -> None:
    async with mesh() as (scheduler, _, answers):
        token = (await scheduler.views.RegisterView(request())).revision
        await scheduler.views.GetView(reading(rows=True))
        assert answers.asked[-1].rows and not answers.asked[-1].revision
        fresh = reading(consistency=common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH, revision=token)
        assert (await scheduler.views.GetView(fresh)).revision == token
        exact = reading(consistency=common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT, revision=token)
        await scheduler.views.GetView(exact)
        assert answers.asked[-1].consistency == common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT
        await scheduler.offer(change("person", 1))
        await eventually(lambda: scheduler.driver.store.synced_seq == 4)
        await scheduler.views.GetView(reading(consistency=common_pb2.CONSISTENCY_FULLY_CONSISTENT))
        assert answers.asked[-1].consistency == common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH
        assert answers.asked[-1].revision == scheduler.driver.token(4)
        ahead = reading(consistency=common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH, revision=scheduler.driver.token(1000))
        fault = await fault_from(scheduler.views.GetView(ahead))
        assert (fault.code, fault.details["reason"]) == (Code.REVISION_GONE, "future")
        stranger = reading(consistency=common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH, revision=f"v1.{'f' * 8}.{token[12:]}")
        assert (await fault_from(scheduler.views.GetView(stranger))).code is Code.REVISION_GONE


async def test_the_owners_answer_is_passed_on_and_its_ignorance_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mesh() as (scheduler, _, answers):
        await scheduler.views.RegisterView(request())
        answers.faults = [Fault(Code.REVISION_GONE, "gone", details={"head": "x"})]
        fault = await fault_from(scheduler.views.GetView(reading()))
        assert fault.code is Code.REVISION_GONE and fault.details == {"head": "x"}
        unknown = Fault(Code.NOT_FOUND, "not here")
        answers.faults = [unknown]
        assert (await scheduler.views.GetView(reading())).state == views_pb2.VIEW_STATE_LIVE
        with monkeypatch.context() as patch:
            patch.setattr("sp00ky.scheduler.rpc.views.PENDING_SECONDS", 0)
            answers.faults = [unknown]
            assert (await scheduler.views.GetView(reading())).state == views_pb2.VIEW_STATE_PENDING
        answers.faults = [unknown, unknown]
        answer = await scheduler.views.GetView(reading(consistency=common_pb2.CONSISTENCY_FULLY_CONSISTENT))
        assert answer.state == views_pb2.VIEW_STATE_LIVE and not answers.faults


async def test_why_is_the_owners_to_say() -> None:
    async with mesh() as (scheduler, _, answers):
        asked = views_pb2.WhyViewRequest(key=common_pb2.ViewKey(id="v"), record="person:1")
        assert (await fault_from(scheduler.views.WhyView(asked))).code is Code.NOT_FOUND
        await scheduler.views.RegisterView(request(auth=USER_1))
        assert (await fault_from(scheduler.views.WhyView(asked))).code is Code.NOT_FOUND  # the user's is another view
        asked.key.auth_id = "user:⟨1⟩"
        assert (await fault_from(scheduler.views.WhyView(asked))).code is Code.NOT_FOUND
        asked.key.auth_id = "user:1"
        answer = await scheduler.views.WhyView(asked)
        assert (answer.key.id, answer.key.auth_id, answer.record) == ("v", "user:1", "person:1")
        asked.for_user = True
        await scheduler.views.WhyView(asked)
        assert [each.for_user for each in answers.asked_why] == [False, True]
        answers.faults = [Fault(Code.INVALID, "record is no record id", "hint")]
        fault = await fault_from(scheduler.views.WhyView(asked))
        assert (fault.code, fault.hint) == (Code.INVALID, "hint")
        answers.faults = [Fault(Code.NOT_FOUND, "not here")]
        assert (await fault_from(scheduler.views.WhyView(asked))).code is Code.NOT_READY


async def test_between_two_owners_is_not_ready_and_the_view_moves() -> None:
    async with mesh(heartbeat_timeout_ms=300) as (scheduler, peer, _):
        await scheduler.views.RegisterView(request())
        await peer.close()
        await eventually(lambda: not scheduler.driver.coordinator.ssps, what="eviction")
        fault = await fault_from(scheduler.views.GetView(reading()))
        assert fault.code is Code.NOT_READY
        other = Peer(scheduler.address, "b", peer.grpc_address)
        await other.join()
        moved = await eventually(lambda: [entry for entry in other.entries if entry.view_assigned.ssp_id == "b"])
        assert list(moved[0].view_assigned.fence_ssp_ids) == ["a"]
        assert (await scheduler.views.GetView(reading())).state == views_pb2.VIEW_STATE_LIVE
        await other.close()


async def test_a_dead_owner_that_is_not_yet_removed_is_not_ready() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler:
        async with answering_ssp() as (address, _):
            peer = Peer(scheduler.address, "a", address)
            await peer.join()
            await eventually(scheduler.driver.coordinator.ready_ssps)
            await scheduler.views.RegisterView(request())
        fault = await fault_from(scheduler.views.GetView(reading(), timeout=5))
        assert fault.code is Code.NOT_READY and "cannot be reached" in fault.message
        await peer.close()


async def test_the_list_is_the_registry_with_what_ssps_say() -> None:
    async with mesh() as (scheduler, _, answers):
        for view_id in ("v", "w"):
            await scheduler.views.RegisterView(request(view_id, client_id="c", ttl_ms=9_000_000))
        answers.listed = [
            views_pb2.ViewSummary(
                key=common_pb2.ViewKey(id="v"), state=views_pb2.VIEW_STATE_LIVE, members=7, hash="h", surql="other"
            ),
            views_pb2.ViewSummary(key=common_pb2.ViewKey(id="stranger")),
        ]
        response = await scheduler.views.ListViews(views_pb2.ListViewsRequest())
        assert [(view.key.id, view.state, view.members, view.surql, view.client_id) for view in response.views] == [
            ("v", views_pb2.VIEW_STATE_LIVE, 7, SURQL, "c"),
            ("w", views_pb2.VIEW_STATE_PENDING, 0, SURQL, "c"),
        ]
        explained = await scheduler.views.ExplainView(views_pb2.ExplainViewRequest(surql=SURQL))
        assert explained.shape == SURQL


async def test_a_view_expires_without_renewal() -> None:
    async with mesh() as (scheduler, peer, _):
        await scheduler.views.RegisterView(request(ttl_ms=300))
        await eventually(lambda: not scheduler.driver.coordinator.views, what="expiry")
        await eventually(lambda: peer.entries[-1].view_unregistered.reason == "expired")


async def test_known_views_are_renewed_while_new_ones_are_refused() -> None:
    async with mesh(ingest_queue_max=10) as (scheduler, _, _):
        await scheduler.views.RegisterView(request("known"))
        room = scheduler.driver.committer.room
        busy = Claim(Work.CHANGES, 6)
        room.take(busy)  # more than the share that new views may come into
        fault = await fault_from(scheduler.views.RegisterView(request("new")))
        assert fault.code is Code.OVERLOADED and int(fault.details["retry_after_ms"]) > 0
        assert (await scheduler.views.RegisterView(request("known"))).query_id == "known"
        assert await scheduler.ingest.Ingest(ingest_pb2.IngestRequest(changes=[change("t", 1)]))
        room.give_back([busy])
        assert (await scheduler.views.RegisterView(request("new"))).query_id == "new"
        assert room.refused == {**dict.fromkeys(Work, 0), Work.REGISTRATIONS: 1}
