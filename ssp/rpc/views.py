"""The SSP's ViewService: reads and explanations of its own views, and why a record is in one. Registration belongs to
the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from grpc import aio
from sp00ky.proto.doubts import doubtful_params
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import StoreId, seq_of
from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.v1 import common_pb2, views_pb2, views_pb2_grpc
from sp00ky.proto.values.json import encode_json, from_json
from sp00ky.proto.values.kinds import Range, RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.proto.values.text import TextError, parse_record_id, record_id_text
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.keeping import user_of
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import MemberChange
from sp00ky.ssp.engine.standing import Standing
from sp00ky.ssp.engine.why import Decider, Why
from sp00ky.ssp.exact import ExactReads
from sp00ky.ssp.freshness import Freshness
from sp00ky.ssp.rpc.dependencies import dependencies_response
from sp00ky.ssp.rpc.watching import watch_views
from sp00ky.ssp.watching.pacing import Watching
from sp00ky.ssp.watching.wire import MODES, STATES

DECIDERS: Mapping[Decider, views_pb2.WhyDecider] = {
    Decider.CONDITIONS: views_pb2.WHY_DECIDER_CONDITIONS,
    Decider.NESTED: views_pb2.WHY_DECIDER_NESTED,
    Decider.TERM: views_pb2.WHY_DECIDER_TERM,
    Decider.PERMISSION: views_pb2.WHY_DECIDER_PERMISSION,
    Decider.FROM: views_pb2.WHY_DECIDER_FROM,
    Decider.MISSING: views_pb2.WHY_DECIDER_MISSING,
    Decider.WINDOW: views_pb2.WHY_DECIDER_WINDOW,
    Decider.ROWS: views_pb2.WHY_DECIDER_ROWS,
    Decider.UNKNOWN: views_pb2.WHY_DECIDER_UNKNOWN,
}
WAIT_SECONDS_MAX = 30.0
RECORD_CHARS_MAX = 4_096


class Reads(Protocol):
    """What the service needs of the driver."""

    engine: Engine
    freshness: Freshness
    exact: ExactReads
    watching: Watching
    ssp_id: str
    store_id: StoreId

    def token(self, seq: int) -> str: ...

    def quarantine_of(self, key: ViewKey) -> str: ...


class ViewServicer(views_pb2_grpc.ViewServiceServicer):
    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def RegisterView(
        self, request: views_pb2.RegisterViewRequest, context: aio.ServicerContext[object, object]
    ) -> views_pb2.RegisterViewResponse:
        raise Fault(Code.UNIMPLEMENTED, "views are registered with the scheduler", "call its ViewService.RegisterView")

    async def UnregisterView(
        self, request: views_pb2.UnregisterViewRequest, context: aio.ServicerContext[object, object]
    ) -> views_pb2.UnregisterViewResponse:
        raise Fault(Code.UNIMPLEMENTED, "views are unregistered with the scheduler", "call its UnregisterView")

    async def LocateView(
        self, request: views_pb2.LocateViewRequest, context: aio.ServicerContext[object, object]
    ) -> views_pb2.LocateViewResponse:
        raise Fault(Code.UNIMPLEMENTED, "views are placed by the scheduler", "call its LocateView")

    def WatchViews(
        self,
        request_iterator: AsyncIterator[views_pb2.WatchViewsRequest],
        context: aio.ServicerContext[object, object],
    ) -> AsyncIterator[bytes]:
        return watch_views(self._reads.watching, request_iterator)

    async def GetView(
        self, request: views_pb2.GetViewRequest, context: aio.ServicerContext[object, object]
    ) -> views_pb2.GetViewResponse:
        key = self._key(request.key)
        exact = request.consistency == common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT
        wanted = seq_of(request.revision, self._reads.store_id) if request.revision else 0
        if exact and not wanted:
            raise Fault(Code.INVALID, f'an exact read of view "{key.id}" names no revision', "pass a token as revision")
        remaining = context.time_remaining()
        timeout_s = min(WAIT_SECONDS_MAX, remaining * 0.9 if remaining is not None else WAIT_SECONDS_MAX)
        reading = await self._reads.freshness.view_at_least(key, wanted, timeout_s)
        if exact and reading.seq != wanted:
            reading = await self._past(reading, wanted, timeout_s)
        return self._response(key, reading, rows=request.rows, json=request.json)

    async def _past(self, reading: ViewReading, wanted: int, timeout_s: float) -> ViewReading:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._reads.exact.view_at(reading.spec, wanted)
        except TimeoutError:
            message = f'view "{reading.key.id}" could not be read at {wanted} within {timeout_s:g} s'
            raise Fault(Code.TIMEOUT, message, "read it as it is now") from None
        except Fault as fault:
            if fault.code is Code.REVISION_GONE:
                fault.details.setdefault("head", self._reads.token(reading.seq))
            raise

    def _key(self, key: common_pb2.ViewKey) -> ViewKey:
        """The view that is asked about; raises Fault NOT_READY while there can be none."""
        if not self._reads.store_id:
            raise Fault(
                Code.NOT_READY, f'ssp "{self._reads.ssp_id}" is not following a scheduler yet', "try again soon"
            )
        return ViewKey(key.id, key.auth_id)

    def _response(self, key: ViewKey, reading: ViewReading, *, rows: bool, json: bool) -> views_pb2.GetViewResponse:
        response = views_pb2.GetViewResponse(
            revision=self._reads.token(reading.seq),
            hash=reading.hash,
            state=STATES[str(reading.state)],
            mode=MODES[str(reading.mode)],
            error=reading.error or self._reads.quarantine_of(key),
            ssp_id=self._reads.ssp_id,
            registered_seq=reading.spec.registered_seq,
        )
        response.key.id, response.key.auth_id = key
        response.members.extend(map(_member, reading.members))
        if rows:
            self._put_rows(response, reading, json=json)
        return response

    @staticmethod
    def _put_rows(response: views_pb2.GetViewResponse, reading: ViewReading, *, json: bool) -> None:
        """The projected members; where SurrealDB itself could not project one, the view has failed and says why."""
        try:
            rows = reading.rows()
        except NotPlain as error:
            response.state = views_pb2.VIEW_STATE_FAILED
            response.error = f"its result cannot be evaluated: {error}"
            rows = []
        if json:
            response.rows_json = encode_json(rows).decode()
        else:
            response.rows = pack(rows)

    async def ListViews(
        self, request: views_pb2.ListViewsRequest, context: aio.ServicerContext[object, object]
    ) -> views_pb2.ListViewsResponse:
        response = views_pb2.ListViewsResponse()
        for reading in self._reads.engine.views():
            summary = response.views.add(
                surql=reading.surql,
                state=STATES[str(reading.state)],
                mode=MODES[str(reading.mode)],
                members=reading.size,
                ssp_id=self._reads.ssp_id,
                reason=reading.error or self._reads.quarantine_of(reading.key) or reading.reason,
                hash=reading.hash,
                revision=self._reads.token(reading.seq),
            )
            summary.key.id, summary.key.auth_id = reading.key
        return response

    async def ExplainView(
        self, request: views_pb2.ExplainViewRequest, context: aio.ServicerContext[object, object]
    ) -> views_pb2.ExplainViewResponse:
        params: Value = from_json(request.params_json) if request.params_json else {}
        if not isinstance(params, dict):
            raise Fault(Code.INVALID, "params is not a JSON object")
        explanation = self._reads.engine.explain(request.surql, params, user_of(request.auth))
        admitted = admit(request.surql, as_user=bool(request.auth))
        response = views_pb2.ExplainViewResponse(
            mode=MODES[str(explanation.mode)],
            reason=explanation.reason,
            tables=sorted(explanation.tables or ()),
            shape=explanation.shape,
            nearest=explanation.nearest,
            nearest_change=explanation.nearest_change,
            warnings=doubtful_params(admitted, params, as_user=bool(request.auth)),
        )
        for name, text in explanation.stages:
            response.stages.add(name=name, text=text)
        return response

    async def GetDependencies(
        self, request: views_pb2.GetDependenciesRequest, context: aio.ServicerContext[object, object]
    ) -> views_pb2.GetDependenciesResponse:
        return dependencies_response(self._reads.engine.dependencies())

    async def WhyView(
        self, request: views_pb2.WhyViewRequest, context: aio.ServicerContext[object, object]
    ) -> views_pb2.WhyViewResponse:
        key, record = self._key(request.key), asked_record(request.record)
        reading = await self._reads.freshness.view_at_least(key, 0, WAIT_SECONDS_MAX)
        if str(reading.state) == "pending":
            raise Fault(Code.NOT_READY, f'view "{key.id}" has no result yet', "its tables are being loaded: retry")
        why = self._reads.engine.why(key, record, for_user=request.for_user)
        assert why is not None, "a view that can be read is there"
        response = why_response(why)
        response.key.id, response.key.auth_id = key
        response.revision, response.ssp_id = self._reads.token(reading.seq), self._reads.ssp_id
        return response


def asked_record(text: str) -> RecordId:
    """The record of a question. Raises Fault INVALID."""
    hint = "for example person:1 or person:⟨a b⟩"
    if not text:
        raise Fault(Code.INVALID, "record is empty", hint)
    if len(text) > RECORD_CHARS_MAX:
        raise Fault(Code.INVALID, f"record has {len(text)} characters, the limit is {RECORD_CHARS_MAX}", hint)
    try:
        record = parse_record_id(text)
    except (TextError, RecursionError) as error:
        raise Fault(Code.INVALID, f"record is no record id: {error}"[:200], hint) from None
    if isinstance(record.key, Range):
        raise Fault(Code.INVALID, "record is a range of records", hint)
    return record


def why_response(why: Why) -> views_pb2.WhyViewResponse:
    """All but where the answer comes from."""
    response = views_pb2.WhyViewResponse(
        record=record_id_text(why.record),
        in_view=why.in_view,
        position=why.position,
        decider=DECIDERS[why.decider],
        sentence=why.sentence,
        below=map(_member, why.below),
    )
    for term in why.terms:
        said = response.terms.add(text=term.text, origin=str(term.origin), holds=term.holds)
        for each in term.seen:
            said.values.add(text=each.text, value=each.value, through=each.through)
    if why.window is not None:
        response.window.CopyFrom(_window(why.window))
    return response


def _window(standing: Standing) -> views_pb2.WhyWindow:
    window = views_pb2.WhyWindow(
        rank=standing.rank,
        passing=standing.passing,
        start=standing.start,
        limit=standing.limit,
        boundary="" if standing.boundary is None else record_id_text(standing.boundary),
    )
    for key in standing.keys:
        window.order.add(text=key.text, value=key.value, boundary=key.boundary)
    return window


def _member(member: MemberChange) -> views_pb2.Member:
    return views_pb2.Member(
        id=record_id_text(member.id),
        version=member.version,
        parent=record_id_text(member.parent) if member.parent is not None else "",
        parent_rel=member.parent_rel,
    )
