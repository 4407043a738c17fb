"""Rows of THE TABLE (`endpoints.py`) for those who watch: the mesh's events, and the dashboard that is made of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from sp00ky.gateway.dashboard.files import FILE_NAMES, MEDIA_TYPES, answer_of, page
from sp00ky.gateway.endpoint import SCHEDULER, Endpoint
from sp00ky.gateway.exchange import Asked
from sp00ky.gateway.sse import EVENT_STREAM, Streams, encode_event
from sp00ky.gateway.translate import events
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code, Fault

if TYPE_CHECKING:
    from sp00ky.gateway.app import Edge
    from sp00ky.gateway.auth import Principal

FIRST_SECONDS: Final = 5.0
HTML: Final = "text/html"


async def watch_events(request: web.Request, asked: Asked, principal: Principal, edge: Edge) -> web.StreamResponse:
    """Raises Fault INVALID, UNAVAILABLE, TIMEOUT until the first answer of the scheduler is there."""
    message = events.watch_request(asked, request.headers.get("Last-Event-ID", ""))
    answers = edge.own.watch(Rpc.WATCH_EVENTS, message)
    try:
        async with asyncio.timeout(FIRST_SECONDS):
            first = await anext(answers)
    except StopAsyncIteration:
        raise Fault(Code.UNAVAILABLE, "scheduler ended the stream of events", "ask again") from None
    return await edge.streams.serve(request, _chunks(first, answers, edge.streams), expires=principal.expires)


async def _chunks(first: Any, answers: AsyncGenerator[Any, None], streams: Streams) -> AsyncGenerator[bytes, None]:
    async with aclosing(answers):
        yield _chunk(first, is_first=True, streams=streams.count)
        async for answer in answers:
            yield _chunk(answer, is_first=False, streams=streams.count)


def _chunk(answer: Any, is_first: bool, streams: int) -> bytes:
    found = events.told(answer, is_first, streams)
    return b"".join(encode_event(data, name=name, event_id=event_id) for name, event_id, data in found)


WATCHED: Sequence[Endpoint] = (
    Endpoint(
        "GET",
        "/events",
        SCHEDULER,
        "what happens in the mesh, as server-sent events that go on; `?since=ID&samples=1`",
        request=events.watch_request,
        rpc=Rpc.WATCH_EVENTS,
        stream=watch_events,
        load="stream",
        asks=(events.SINCE, events.SAMPLES),
        headers=(events.LAST_EVENT_ID,),
        result=str,
        media_types=(EVENT_STREAM,),
    ),
    Endpoint(
        "GET",
        "/",
        SCHEDULER,
        "the dashboard: a page that holds no data, and asks for the bearer with which it then reads",
        page,
        open_on=SCHEDULER,
        result=str,
        media_types=(HTML,),
    ),
    Endpoint(
        "GET",
        "/dashboard/{file}",
        SCHEDULER,
        f"what the page is made of: {', '.join(FILE_NAMES)}; 404 for others",
        answer_of,
        open_on=SCHEDULER,
        result=str,
        media_types=tuple(dict.fromkeys(MEDIA_TYPES.values())),
        may=frozenset({Code.NOT_FOUND}),
    ),
)
