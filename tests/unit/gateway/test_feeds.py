"""Which feeds a gateway keeps, and what each of them holds of the common budget."""

from __future__ import annotations

from typing import cast

from prometheus_client import CollectorRegistry
from sp00ky.gateway.streams.events import Event
from sp00ky.gateway.streams.feeds import Feeds
from sp00ky.gateway.streams.history import Budget, Entry
from sp00ky.gateway.streams.links import Links
from sp00ky.gateway.streams.metering import StreamMeters
from sp00ky.gateway.streams.points import Point
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2

KEY = common_pb2.ViewKey(id="v")


class NoLinks:
    """Nothing is shown on any watch."""

    def watch(self, *_: object) -> NoLinks:
        return self

    def close(self) -> None: ...

    def close_idle(self) -> None: ...


async def locate(key: common_pb2.ViewKey, at_least: str) -> str:
    return "somewhere"


async def test_a_feed_that_is_gone_keeps_its_history_for_its_readers_and_no_longer() -> None:
    budget = Budget(10, 1_000, 1_000)
    meters = StreamMeters(CollectorRegistry(), budget)
    feeds = Feeds(cast(Links, NoLinks()), locate, budget, meters, feeds_max=2, linger_s=60.0)
    slow = await feeds.acquire(KEY, rows=True, timeout_s=5.0)
    slow.history.append(Entry(Point(1, "1", "s"), Point(2, "2", "s"), 2, Event("delta", "2", {"a": 1})))
    held = budget.held
    assert held > 0
    slow.become_gone(Fault(Code.NOT_FOUND, "no such view"))
    again = await feeds.acquire(KEY, rows=True, timeout_s=5.0)
    assert again is not slow and budget.held == held  # a reader is still at it
    feeds.release(slow)
    assert budget.held == 0
    feeds.release(again)
    assert await feeds.acquire(KEY, rows=True, timeout_s=5.0) is again  # it lingers
