"""`EventService`: what is kept of the past, then what happens, each reader at its own pace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from grpc import aio
from sp00ky.proto.v1 import events_pb2, events_pb2_grpc

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver


class EventServicer(events_pb2_grpc.EventServiceServicer):
    def __init__(self, driver: SchedulerDriver) -> None:
        self._driver = driver

    async def WatchEvents(
        self, request: events_pb2.WatchEventsRequest, context: aio.ServicerContext[object, object]
    ) -> AsyncIterator[events_pb2.WatchEventsResponse]:
        """Nothing is kept for a reader: one that is slow misses what falls out of the journal, and is told so."""
        observer = self._driver.observer
        journal, history = observer.journal, observer.history
        place, number = request.since_id, history.latest_number
        points: Sequence[events_pb2.MeshSample] = history.points if request.samples else ()
        is_first = True
        wake = observer.subscribe()
        try:
            while not observer.ended:
                wake.clear()
                read = journal.after(place)
                caught_up = read.last_id == journal.last_id  # figures of now come after all that is kept
                if request.samples and caught_up and history.latest_number > number and history.latest is not None:
                    points, number = [history.latest], history.latest_number
                if is_first or read.events or points:
                    yield events_pb2.WatchEventsResponse(
                        missed=read.missed, last_id=read.last_id, events=read.events, samples=points
                    )
                place, points, is_first = read.last_id, (), False
                if caught_up:
                    await wake.wait()
        finally:
            observer.unsubscribe(wake)
