"""Services that answer what a test tells them to, behind real gRPC: what the gateway sees of a mesh, and no more.

Each rpc has one entry in `answers`: a message, or a `Fault` to raise, or a function of the request. What was asked is
kept in `asked`, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from sp00ky.proto.channel import Server
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    common_pb2,
    crdt_pb2,
    crdt_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    integrity_pb2,
    integrity_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
    proxy_pb2,
    proxy_pb2_grpc,
    views_pb2,
    views_pb2_grpc,
)
from sp00ky.proto.values.pack import pack

STORE = "deadbeef"
Reply = Message | Fault | Callable[[Any], Message]


def token(seq: int) -> str:
    return f"v1.{STORE}.00000001.{seq:020d}"


def scheduler_status(state: str = "ready", ssp_state: str = "ready") -> admin_pb2.GetStatusResponse:
    """A scheduler with one SSP and two tables, head 42."""
    status = admin_pb2.GetStatusResponse(
        service="scheduler",
        id="scheduler-1",
        state=state,
        version="0.1.0",
        uptime_seconds=12.5,
        store_id=STORE,
        epoch=1,
        head_seq=42,
        views=3,
        namespace="sp00ky",
        database="main",
        env={"SPKY_DB_NS": "sp00ky", "SPKY_AUTH_SECRET": "hunter2"},
        metrics={
            'spky_wal_appended_total{kind="change"}': 42.0,
            "capture_lag_seconds": 0.25,
            "pending_events": 4,
            "lag": 2,
        },
        grpc_address="0.0.0.0:9668",
    )
    status.tables.add(name="person", rows=2, captured=True)
    status.tables.add(name="note", rows=5)
    status.ssps.add(
        id="ssp-1",
        http_url="http://10.0.0.7:8667",
        grpc_address="10.0.0.7:8668",
        state=ssp_state,
        views=3,
        cpu_ratio=0.5,
        memory_bytes=1024,
        heartbeat_age_seconds=1.5,
        applied_seq=40,
        written_seq=39,
        version="0.1.0",
        incarnation=7,
        uptime_seconds=9.0,
    )
    return status


def ssp_status(state: str = "ready") -> admin_pb2.GetStatusResponse:
    status = admin_pb2.GetStatusResponse(service="ssp", id="ssp-1", state=state, version="0.1.0", head_seq=40, views=3)
    status.grpc_address, status.ref_mode = "0.0.0.0:8668", "dedicated"
    status.tables.add(name="person", rows=2)
    return status


def view_response() -> views_pb2.GetViewResponse:
    """Two members, one with a nested child; rows that JSON can hold."""
    view = views_pb2.GetViewResponse(
        key=common_pb2.ViewKey(id="v1"),
        revision=token(42),
        hash="abc123",
        state=views_pb2.VIEW_STATE_LIVE,
        mode=views_pb2.VIEW_MODE_INCREMENTAL,
        rows=pack([{"name": "Ada", "age": 36}]),
        ssp_id="ssp-1",
    )
    view.members.add(id="person:2", version=41)
    view.members.add(id="note:9", version=12, parent="person:2", parent_rel="notes")
    view.members.add(id="person:1", version=40)
    return view


class FakeMesh:
    """One gRPC server with every service the gateway calls."""

    def __init__(self, secret: str = "", status: admin_pb2.GetStatusResponse | None = None) -> None:
        self.asked: list[Message] = []
        self.answers: dict[str, Reply] = {
            "Ingest": ingest_pb2.IngestResponse(revision=token(42), seq=42),
            "Query": proxy_pb2.QueryResponse(result=pack([{"n": 1}]), revision=token(42)),
            "RegisterView": views_pb2.RegisterViewResponse(
                query_id="v1",
                ssp_id="ssp-1",
                ssp_url="http://10.0.0.7:8667",
                assigned_at=1700000000,
                revision=token(42),
            ),
            "UnregisterView": views_pb2.UnregisterViewResponse(revision=token(43)),
            "GetView": view_response(),
            "ListViews": views_pb2.ListViewsResponse(views=[_summary()]),
            "ExplainView": _explanation(),
            "WhyView": _why(),
            "LocateView": lambda request: views_pb2.LocateViewResponse(ssp_id="ssp-1", grpc_address=self.address),
            "GetStatus": status or scheduler_status(),
            "GetNode": integrity_pb2.GetNodeResponse(
                revision=token(42),
                rows=3,
                hash="00000000000000ab",
                children=[integrity_pb2.TreeNode(prefix="7", rows=3, hash="00000000000000ab")],
            ),
            "Barrier": admin_pb2.BarrierResponse(revision=token(50), seq=50),
            "DrainSsp": admin_pb2.DrainSspResponse(views=3, revision=token(44)),
            "ResyncSsps": admin_pb2.ResyncSspsResponse(ssp_ids=["ssp-1"]),
            "RegisterSsp": membership_pb2.RegisterSspResponse(
                snapshot_seq=42, table_hashes={"person": "b3:00"}, epoch=1, revision=token(42)
            ),
            "GetDocument": crdt_pb2.GetDocumentResponse(rev=1, kind=crdt_pb2.CRDT_KIND_TEXT, value_json='"Hello"'),
            "GetJob": jobs_pb2.GetJobResponse(job=_job()),
            "DispatchJob": jobs_pb2.DispatchJobResponse(job=_job()),
            "ReportJob": jobs_pb2.ReportJobResponse(job=_job()),
            "KillJob": jobs_pb2.KillJobResponse(job=_job()),
            "RetryJob": jobs_pb2.RetryJobResponse(job=_job()),
            "ListSchedules": jobs_pb2.ListSchedulesResponse(schedules=[_schedule()]),
        }
        self.told: list[events_pb2.WatchEventsResponse] = [events_pb2.WatchEventsResponse(last_id=1)]  # then nothing
        self.broken = asyncio.Event()
        self.request_ids: list[str] = []  # that the gateway passed on, call by call
        self.ssp: FakeMesh | None = None  # of an SSP's API: the SSP, while this one is its scheduler
        self.held: asyncio.Event | None = None  # when set, every call waits for it
        self.address = ""
        self._server = Server("127.0.0.1:0", secret)

    async def start(self) -> str:
        ingest, proxy, views, admin = (
            _servicer(ingest_pb2_grpc.IngestServiceServicer, self, "Ingest"),
            _servicer(proxy_pb2_grpc.ProxyServiceServicer, self, "Query"),
            _servicer(
                views_pb2_grpc.ViewServiceServicer,
                self,
                "RegisterView",
                "UnregisterView",
                "GetView",
                "ListViews",
                "ExplainView",
                "WhyView",
            ),
            _servicer(admin_pb2_grpc.AdminServiceServicer, self, "GetStatus", "Barrier", "DrainSsp", "ResyncSsps"),
        )
        self._server.add(ingest_pb2_grpc.add_IngestServiceServicer_to_server, ingest, "sp00ky.v1.IngestService")
        self._server.add(proxy_pb2_grpc.add_ProxyServiceServicer_to_server, proxy, "sp00ky.v1.ProxyService")
        self._server.add(views_pb2_grpc.add_ViewServiceServicer_to_server, views, "sp00ky.v1.ViewService")
        self._server.add(admin_pb2_grpc.add_AdminServiceServicer_to_server, admin, "sp00ky.v1.AdminService")
        add_events = events_pb2_grpc.add_EventServiceServicer_to_server
        self._server.add(add_events, _Events(self), "sp00ky.v1.EventService")
        members = _servicer(membership_pb2_grpc.MembershipServiceServicer, self, "RegisterSsp", "BeatSsp")
        adder = membership_pb2_grpc.add_MembershipServiceServicer_to_server
        self._server.add(adder, members, "sp00ky.v1.MembershipService")
        crdt = _servicer(crdt_pb2_grpc.CrdtServiceServicer, self, "ApplyUpdate", "GetDocument")
        self._server.add(crdt_pb2_grpc.add_CrdtServiceServicer_to_server, crdt, "sp00ky.v1.CrdtService")
        integrity = _servicer(integrity_pb2_grpc.IntegrityServiceServicer, self)
        add_integrity = integrity_pb2_grpc.add_IntegrityServiceServicer_to_server
        self._server.add(add_integrity, integrity, "sp00ky.v1.IntegrityService")
        jobs = _servicer(jobs_pb2_grpc.JobServiceServicer, self)
        self._server.add(jobs_pb2_grpc.add_JobServiceServicer_to_server, jobs, "sp00ky.v1.JobService")
        self.address = await self._server.start()
        return self.address

    def break_streams(self) -> None:
        """End those that are open now."""
        self.broken.set()
        self.broken = asyncio.Event()

    async def stop(self) -> None:
        await self._server.stop(0)

    def last(self, kind: type[Message]) -> Any:
        """The latest request of this type."""
        found = [request for request in self.asked if isinstance(request, kind)]
        assert found, f"no {kind.__name__} was asked"
        return found[-1]

    async def reply(self, method: str, request: Message) -> Message:
        self.asked.append(request)
        if self.held is not None:
            await self.held.wait()
        answer = self.answers[method] if method in self.answers else _empty(method)
        if isinstance(answer, Fault):
            raise answer
        return answer if isinstance(answer, Message) else answer(request)


class _Events(events_pb2_grpc.EventServiceServicer):
    def __init__(self, mesh: FakeMesh) -> None:
        self._mesh = mesh

    async def WatchEvents(
        self, request: events_pb2.WatchEventsRequest, context: Any
    ) -> AsyncIterator[events_pb2.WatchEventsResponse]:
        broken = self._mesh.broken
        self._mesh.asked.append(request)
        for answer in self._mesh.told:
            yield answer
        await broken.wait()


def _empty(method: str) -> Message:
    """What an rpc answers that no test has anything to say of."""
    for file in (crdt_pb2, ingest_pb2, integrity_pb2, jobs_pb2, membership_pb2, proxy_pb2, views_pb2, admin_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            if method in service.methods_by_name:
                return GetMessageClass(service.methods_by_name[method].output_type)()
    raise AssertionError(f"no service has {method}")


def _servicer(base: type, mesh: FakeMesh, *methods: str) -> object:
    def method(name: str) -> Callable[..., Any]:
        async def call(self: object, request: Message, context: Any) -> Message:
            mesh.request_ids.append(str(dict(context.invocation_metadata()).get("x-request-id", "")))
            return await mesh.reply(name, request)

        return call

    return type("Fake", (base,), {name: method(name) for name in (*methods, *_unary(base))})()


def _unary(base: type) -> list[str]:
    """The rpcs of a service that are no streams."""
    for file in (crdt_pb2, ingest_pb2, integrity_pb2, jobs_pb2, membership_pb2, proxy_pb2, views_pb2, admin_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            if base.__name__ == f"{service.name}Servicer":
                return [rpc.name for rpc in service.methods if not (rpc.client_streaming or rpc.server_streaming)]
    return []


def _schedule() -> jobs_pb2.Schedule:
    times = {"next_at": "2026-03-28T12:01:00+00:00", "last_at": "2026-03-28T12:00:00+00:00"}
    made = {"last": "made", "job": "job:tick_20260328T120000Z", "job_status": "success", "made": 1}
    return jobs_pb2.Schedule(
        name="tick", cadence="every 60s", timezone="UTC", table="job", path="/tick", **times, **made
    )


def _job() -> jobs_pb2.Job:
    return jobs_pb2.Job(id="job:1", status="pending", json='{"id":"job:1","status":"pending"}')


def _summary() -> views_pb2.ViewSummary:
    return views_pb2.ViewSummary(
        key=common_pb2.ViewKey(id="v1"),
        surql="SELECT * FROM person",
        state=views_pb2.VIEW_STATE_LIVE,
        mode=views_pb2.VIEW_MODE_REEVALUATED,
        members=2,
        ssp_id="ssp-1",
        client_id="c1",
        reason="GROUP BY",
        hash="abc123",
        revision=token(42),
        ttl_ms=30_000,
    )


def _explanation() -> views_pb2.ExplainViewResponse:
    return views_pb2.ExplainViewResponse(
        mode=views_pb2.VIEW_MODE_INCREMENTAL,
        stages=[views_pb2.ExplainStage(name="plan", text="scan person")],
        tables=["person"],
        shape="s1",
    )


def _why() -> views_pb2.WhyViewResponse:
    """A record that LIMIT leaves out."""
    why = views_pb2.WhyViewResponse(
        revision=token(42),
        ssp_id="ssp-1",
        record="person:3",
        decider=views_pb2.WHY_DECIDER_WINDOW,
        sentence="person:3 is not in the view: it is row 3 of 3",
        terms=[views_pb2.WhyTerm(text="boss.age > 40", origin="where", holds=True)],
        window=views_pb2.WhyWindow(rank=3, passing=3, limit=2, boundary="person:1"),
    )
    why.terms[0].values.add(text="boss.age", value="60", through=["person:9 is there"])
    why.window.order.add(text="age", value="50", boundary="41")
    return why


NOT_FOUND = Fault(Code.NOT_FOUND, 'view "nope" is not registered', "register it first")
