"""`GET /view/{id}/events`: the events of one view, or of several that move together, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from aiohttp import web
from sp00ky.gateway.auth import Principal
from sp00ky.gateway.exchange import Asked
from sp00ky.gateway.sse import PIECE_BYTES, since_of
from sp00ky.gateway.streams.reader import Reader
from sp00ky.gateway.translate.streams import ALSO, watched_views

if TYPE_CHECKING:
    from sp00ky.gateway.app import Edge

RETRY: Final = b"retry: 1000\n\n"  # milliseconds after which a browser comes back


async def stream_events(request: web.Request, asked: Asked, principal: Principal, edge: Edge) -> web.StreamResponse:
    """Raises Fault, until the stream begins."""
    watched = watched_views(asked, request.query.getall(ALSO.name, []), since_of(request, asked))
    async with edge.views.reader(watched, "sse", ends_with_view=True) as reader:
        return await edge.streams.serve(request, _chunks(reader), expires=principal.expires)


async def _chunks(reader: Reader) -> AsyncGenerator[bytes, None]:
    yield RETRY
    async for told in reader.events():
        events = [event.as_sse(given_id, resumable=resumable) for event, given_id, resumable in told]
        if sum(map(len, events)) <= PIECE_BYTES:
            yield b"".join(events)
        else:  # what is joined is a copy for each reader
            for each in events:
                yield each
