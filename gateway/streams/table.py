"""Rows of THE TABLE (`endpoints.py`): the streams of a view."""

from __future__ import annotations

from collections.abc import Sequence

from sp00ky.gateway.endpoint import BOTH, USERS, Endpoint
from sp00ky.gateway.sse import EVENT_STREAM
from sp00ky.gateway.streams.endpoint import stream_events
from sp00ky.gateway.streams.socket import stream_messages
from sp00ky.gateway.translate.streams import LAST_EVENT_ID, STREAM_QUERY
from sp00ky.proto.faults import Code

_MAY = frozenset({Code.NOT_FOUND, Code.NOT_READY, Code.NO_READY_SSP, Code.TOO_LARGE, Code.TIMEOUT})

VIEW_STREAMS: Sequence[Endpoint] = (
    Endpoint(
        "GET",
        "/view/{id}/events",
        BOTH,
        "server-sent events: the result, then what changes; `?rows=1&since=…&also=…&auth=…`; 404 unknown",
        stream=stream_events,
        roles=USERS,
        load="stream",
        asks=STREAM_QUERY,
        closed=True,
        headers=(LAST_EVENT_ID,),
        result=str,
        media_types=(EVENT_STREAM,),
        may=_MAY,
        bearer_in_address=True,
    ),
    Endpoint(
        "GET",
        "/view/{id}/ws",
        BOTH,
        "the same as messages of a WebSocket, over which more views can be watched; 404 unknown, 426 no WebSocket",
        stream=stream_messages,
        roles=USERS,
        load="stream",
        asks=STREAM_QUERY,
        closed=True,
        media_types=(),
        may=_MAY,
        bearer_in_address=True,
        status=101,
    ),
)
