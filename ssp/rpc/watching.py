"""`WatchViews`: one stream of a gateway, its watches opened and closed by what it sends, answered from its outbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import views_pb2
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.watching.hub import Peer
from sp00ky.ssp.watching.pacing import Watching


async def watch_views(watching: Watching, requests: AsyncIterator[views_pb2.WatchViewsRequest]) -> AsyncIterator[bytes]:
    """Serve one stream until its peer ends it. Raises Fault INVALID for a request that makes no sense."""
    awake = asyncio.Event()
    peer = watching.hub.join(awake.set)
    reader = asyncio.create_task(_obey(watching, peer, requests))
    reader.add_done_callback(lambda _: awake.set())
    try:
        while not reader.done():
            awake.clear()
            while (data := peer.take()) is not None:
                yield data
            await awake.wait()
        reader.result()
    finally:
        reader.cancel()
        watching.hub.leave(peer)


async def _obey(watching: Watching, peer: Peer, requests: AsyncIterator[views_pb2.WatchViewsRequest]) -> None:
    async for request in requests:
        match request.WhichOneof("frame"):
            case "opened":
                opened = request.opened
                key = ViewKey(opened.key.id, opened.key.auth_id)
                watching.hub.open(peer, opened.watch_id, key, rows=opened.rows, at_least_seq=opened.at_least_seq)
                watching.show()
            case "closed":
                watching.hub.close(peer, request.closed.watch_id)
            case _:
                raise Fault(Code.INVALID, "a request neither opens nor closes a watch")
