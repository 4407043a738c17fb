"""Views as clients see them: registered here, read from the SSP that owns them.

The scheduler keeps no results. A read is forwarded to the owner over one cached channel for each address; "fully
consistent" is a barrier here and "at least as fresh" there. What is between two owners answers NOT_READY and not
NOT_FOUND: the view exists, and the same request succeeds later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from grpc import aio
from sp00ky.proto.channel import fault_of, open_channel
from sp00ky.proto.doubts import doubtful_params, doubtful_tables
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.tracing import passed_on
from sp00ky.proto.v1 import common_pb2, views_pb2, views_pb2_grpc
from sp00ky.proto.values.pack import unpack
from sp00ky.proto.viewer import canonical_auth_id
from sp00ky.scheduler import errors
from sp00ky.scheduler.coordinator.assignments import View, key_of, wire_key
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.coordinator.ssp import Ssp
from sp00ky.scheduler.registering.specs import checked_spec, shape_of
from sp00ky.scheduler.rpc.revisions import exact_seq, reached_seq

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver

READ_SECONDS_MAX = 30.0
LIST_SECONDS = 3.0
WHY_SECONDS = 20.0
OWNER_POLL_SECONDS = 0.2
RETRY_SECONDS = 0.02
PENDING_SECONDS = 2.0  # for a view's SSP to be told of it, until a read at once is answered as pending
Context: TypeAlias = aio.ServicerContext[object, object]


def _canonical(key: common_pb2.ViewKey) -> ViewKey:
    return ViewKey(key.id, canonical_auth_id(key.auth_id))


class ViewServicer(views_pb2_grpc.ViewServiceServicer):
    def __init__(self, driver: SchedulerDriver) -> None:
        self._driver = driver
        self._channels: dict[str, aio.Channel] = {}

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        self._channels.clear()

    # --- commands ----------------------------------------------------------------------------------------------------

    async def RegisterView(
        self, request: views_pb2.RegisterViewRequest, context: Context
    ) -> views_pb2.RegisterViewResponse:
        self._driver.require_ready()
        spec = checked_spec(request.spec, request.params_json)
        if (registering := self._driver.registering) is not None:
            await registering.maybe_join(spec)
        seq = await self._driver.committer.request(spec, shape_of(spec))
        view = self._driver.coordinator.views.get(key_of(spec.key))
        if view is None:
            raise errors.unknown_view(spec.key.id)  # unregistered by another caller meanwhile
        owner = self._driver.coordinator.ssps.get(view.ssp_id)
        return views_pb2.RegisterViewResponse(
            query_id=spec.key.id,
            ssp_id=view.ssp_id,
            ssp_url=owner.http_url if owner is not None else "",
            assigned_at=view.assigned_at_s,
            revision=self._driver.token(seq),
            warnings=self._doubts(spec, for_user=request.for_user),
        )

    def _doubts(self, spec: common_pb2.ViewSpec, *, for_user: bool) -> list[str]:
        admitted, params = admit(spec.surql, as_user=bool(spec.auth)), unpack(spec.params) if spec.params else {}
        told = doubtful_params(admitted, params, as_user=bool(spec.auth))
        return told if for_user else doubtful_tables(admitted, self._known_tables()) + told

    def _known_tables(self) -> frozenset[str]:
        return self._driver.captured.union(self._driver.store.tables())

    async def UnregisterView(
        self, request: views_pb2.UnregisterViewRequest, context: Context
    ) -> views_pb2.UnregisterViewResponse:
        self._driver.require_ready()
        key = _canonical(request.key)
        registering = self._driver.registering
        if registering is not None and await registering.maybe_leave(key, request.client_id):
            revision = self._driver.token(self._view(key).assigned_seq)  # others hold it
            return views_pb2.UnregisterViewResponse(revision=revision)
        seq = await self._driver.committer.abandon(key, request.client_id)
        return views_pb2.UnregisterViewResponse(revision=self._driver.token(seq))

    # --- reads -------------------------------------------------------------------------------------------------------

    async def GetView(self, request: views_pb2.GetViewRequest, context: Context) -> views_pb2.GetViewResponse:
        remaining = context.time_remaining()
        seconds = min(READ_SECONDS_MAX, remaining if remaining is not None else READ_SECONDS_MAX)
        try:
            async with asyncio.timeout(seconds):
                return await self._read(request, seconds)
        except TimeoutError:
            message = f'view "{request.key.id}" did not reach the revision within {seconds:g} s'
            raise Fault(Code.TIMEOUT, message, "its ssp is behind: retry") from None

    async def _read(self, request: views_pb2.GetViewRequest, seconds: float) -> views_pb2.GetViewResponse:
        key = _canonical(request.key)
        self._view(key)
        forwarded = await self._forwarded(request, key)
        clock = asyncio.get_running_loop().time
        deadline, patience, silent = clock() + seconds, clock() + min(PENDING_SECONDS, seconds / 2), ""
        while True:
            view = self._view(key)
            server = self._server(view, silent)
            call = self._stub(server).GetView(forwarded, timeout=max(0.001, deadline - clock()), metadata=passed_on())
            try:
                response = await self._unless_moved(call, key, server.id)
            except aio.AioRpcError as error:
                fault = fault_of(error)
            else:
                if response is None:
                    continue  # the view moved while the SSP that had it was silent
                return response
            if fault.code is Code.UNAVAILABLE and server.id == self._view(key).handing_over_ssp_id:
                silent = server.id  # its next owner answers as soon as it can
                continue
            if fault.code is Code.UNAVAILABLE:
                raise _between_owners(key, f'its ssp "{server.id}" cannot be reached')
            if fault.code is not Code.NOT_FOUND:
                raise fault
            if forwarded.consistency in _AT_ONCE and clock() >= patience:
                return views_pb2.GetViewResponse(
                    key=forwarded.key, state=views_pb2.VIEW_STATE_PENDING, ssp_id=server.id
                )
            await asyncio.sleep(RETRY_SECONDS)  # it has not been told yet, or has been told that the view left

    async def _unless_moved(
        self, call: aio.UnaryUnaryCall[object, views_pb2.GetViewResponse], key: ViewKey, ssp_id: str
    ) -> views_pb2.GetViewResponse | None:
        """The SSP's answer; None, with the call cancelled, when another SSP serves the view meanwhile."""
        answer: asyncio.Future[views_pb2.GetViewResponse] = asyncio.ensure_future(call)
        try:
            while not answer.done():
                await asyncio.wait({answer}, timeout=OWNER_POLL_SECONDS)
                if not answer.done() and ssp_id not in (self._view(key).serving_ssp_id, self._view(key).ssp_id):
                    return None
            return await answer
        finally:
            if not answer.done():
                call.cancel()
                answer.cancel()

    async def _forwarded(self, request: views_pb2.GetViewRequest, key: ViewKey) -> views_pb2.GetViewRequest:
        """What the owner is asked: a barrier is made here, and a revision of ours is checked here."""
        forwarded = views_pb2.GetViewRequest()
        forwarded.CopyFrom(request)
        forwarded.key.CopyFrom(wire_key(key))
        match request.consistency:
            case common_pb2.CONSISTENCY_FULLY_CONSISTENT:
                forwarded.consistency = common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH
                forwarded.revision = self._driver.token(await self._driver.barrier())
            case common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH:
                reached_seq(self._driver.store, request.revision)
            case common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT:
                exact_seq(self._driver.store, request.revision)
            case _:
                forwarded.revision = ""
        return forwarded

    def _view(self, key: ViewKey) -> View:
        view = self._driver.coordinator.views.get(key)
        if view is None:
            raise errors.unknown_view(key.id)
        return view

    def _server(self, view: View, silent: str = "") -> Ssp:
        """The SSP that answers for the view: its owner, or the former one (unless it is the one that is `silent`)."""
        serving = view.serving_ssp_id if view.serving_ssp_id != silent else view.ssp_id
        server = self._driver.coordinator.ssps.get(serving)
        if server is not None and server.http_only:
            server = self._driver.coordinator.ssps.get(view.ssp_id)  # it has none, once it hands over
        if server is not None and server.http_only:
            raise errors.kept_over_http(view.key.id, server.id)
        if server is None or not server.grpc_address:
            raise _between_owners(view.key, "it waits for a ready ssp")
        return server

    def server_of(self, key: common_pb2.ViewKey) -> Ssp:
        """Raises Fault NOT_FOUND, NOT_READY."""
        return self._server(self._view(_canonical(key)))

    def channel(self, owner: Ssp) -> aio.Channel:
        channel = self._channels.get(owner.grpc_address)
        if channel is None:
            channel = open_channel(owner.grpc_address, self._driver.settings.auth_secret)
            self._channels[owner.grpc_address] = channel
        return channel

    def _stub(self, owner: Ssp) -> views_pb2_grpc.ViewServiceStub:
        return views_pb2_grpc.ViewServiceStub(self.channel(owner))

    async def LocateView(self, request: views_pb2.LocateViewRequest, context: Context) -> views_pb2.LocateViewResponse:
        if request.at_least:
            reached_seq(self._driver.store, request.at_least)
        server = self._server(self._view(_canonical(request.key)))
        return views_pb2.LocateViewResponse(ssp_id=server.id, grpc_address=server.grpc_address)

    async def ListViews(self, request: views_pb2.ListViewsRequest, context: Context) -> views_pb2.ListViewsResponse:
        coordinator = self._driver.coordinator
        members = [member for member in coordinator.ssps.values() if member.grpc_address]
        answers = await asyncio.gather(*(self._views_on(member) for member in members))
        known = {key_of(summary.key): summary for summaries in answers for summary in summaries}
        return views_pb2.ListViewsResponse(
            views=[
                _merged(view, known.get(view.key) or self._said_over_http(view))
                for _, view in sorted(coordinator.views.items())
            ]
        )

    def _said_over_http(self, view: View) -> views_pb2.ViewSummary | None:
        """An SSP that speaks HTTP only has the view once it has taken it, and is where the changes are that it took."""
        owner = self._driver.coordinator.ssps.get(view.ssp_id)
        if owner is None or not owner.http_only or owner.written_seq < view.assigned_seq:
            return None
        revision = self._driver.token(owner.progress.acked_seq)
        return views_pb2.ViewSummary(state=views_pb2.VIEW_STATE_LIVE, revision=revision)

    async def _views_on(self, member: Ssp) -> Iterable[views_pb2.ViewSummary]:
        """What an SSP says of its views; nothing when it does not answer, since the registry still names them."""
        stub = self._stub(member)
        with contextlib.suppress(aio.AioRpcError):
            response = await stub.ListViews(views_pb2.ListViewsRequest(), timeout=LIST_SECONDS, metadata=passed_on())
            owned = self._driver.coordinator.views
            return [
                summary
                for summary in response.views
                if (view := owned.get(key_of(summary.key))) is not None and view.serving_ssp_id == member.id
            ]
        return []

    async def ExplainView(
        self, request: views_pb2.ExplainViewRequest, context: Context
    ) -> views_pb2.ExplainViewResponse:
        for member in self._driver.coordinator.ready_ssps():
            stub = self._stub(member)
            try:
                response: views_pb2.ExplainViewResponse = await stub.ExplainView(
                    request, timeout=LIST_SECONDS, metadata=passed_on()
                )
                admitted = admit(request.surql, as_user=bool(request.auth))
                response.warnings.extend(doubtful_tables(admitted, self._known_tables()))
                return response
            except aio.AioRpcError as error:
                fault = fault_of(error)
                if fault.code is not Code.UNAVAILABLE:
                    raise fault from error
        raise errors.no_ready_ssp("to explain the query")

    async def WhyView(self, request: views_pb2.WhyViewRequest, context: Context) -> views_pb2.WhyViewResponse:
        key = _canonical(request.key)
        view = self._view(key)
        forwarded = views_pb2.WhyViewRequest(key=wire_key(key), record=request.record, for_user=request.for_user)
        try:
            response: views_pb2.WhyViewResponse
            response = await self._stub(self._server(view)).WhyView(
                forwarded, timeout=WHY_SECONDS, metadata=passed_on()
            )
            return response
        except aio.AioRpcError as error:
            fault = fault_of(error)
        if fault.code is Code.UNAVAILABLE:
            raise _between_owners(key, f'its ssp "{view.serving_ssp_id}" cannot be reached')
        if fault.code is Code.NOT_FOUND:
            raise _between_owners(key, f'its ssp "{view.ssp_id}" has not been told of it yet')
        raise fault


_AT_ONCE = frozenset({common_pb2.CONSISTENCY_UNSPECIFIED, common_pb2.CONSISTENCY_MINIMIZE_LATENCY})


def _between_owners(key: ViewKey, why: str) -> Fault:
    return Fault(Code.NOT_READY, f'view "{key.id}" is between two owners: {why}', "retry: it moves by itself")


def _merged(view: View, summary: views_pb2.ViewSummary | None) -> views_pb2.ViewSummary:
    """The registry's word on what the view is, the SSP's on how it is."""
    merged = views_pb2.ViewSummary(state=views_pb2.VIEW_STATE_PENDING)
    if summary is not None:
        merged.CopyFrom(summary)
    if (refusal := view.refusals.get(view.ssp_id)) is not None:
        merged.state, merged.reason = views_pb2.VIEW_STATE_FAILED, refusal
    merged.key.CopyFrom(wire_key(view.key))
    merged.surql, merged.ssp_id = view.spec.surql, view.ssp_id
    merged.client_id, merged.ttl_ms = view.spec.client_id, view.spec.ttl_ms
    return merged
