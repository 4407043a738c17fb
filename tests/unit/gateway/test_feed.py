"""One feed, by hand: what an SSP may show, and what its readers are told of it. And what is kept of all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry
from sp00ky.gateway.streams.feed import Feed
from sp00ky.gateway.streams.history import Budget
from sp00ky.gateway.streams.metering import StreamMeters
from sp00ky.gateway.streams.points import POINTS_MAX, Progress, point_of
from sp00ky.gateway.streams.rereading import WAITING_PER_PLACE, Rereading
from sp00ky.gateway.streams.session import Session
from sp00ky.gateway.streams.waking import BATCH, Waking
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2, views_pb2

from tests.harness.fake_mesh import token

LIVE, LAGGING, PENDING = views_pb2.VIEW_STATE_LIVE, views_pb2.VIEW_STATE_LAGGING, views_pb2.VIEW_STATE_PENDING


def budget(**limits: int) -> Budget:
    return Budget(**{"entries_max": 100, "bytes_max": 1_000_000, "total_bytes_max": 1_000_000} | limits)


class Fed:
    """A feed, its watch, and one reader of it."""

    def __init__(self, held: Budget | None = None) -> None:
        self.feed = Feed(common_pb2.ViewKey(id="v"), rows=True, budget=held or budget())
        self.progress = Progress()
        self.session = Session(1.0)
        self.session.add("v", self.feed, None)
        self.attach()

    def attach(self) -> None:
        self.progress = Progress()
        self.feed.attach(self.progress, 1)

    def show(self, seq: int, rows: list[str], state: int = LIVE, *, single: bool = False, error: str = "") -> None:
        self.feed.handle_shown(
            views_pb2.ResultShown(state=_state(seq, rows, state, error), rows_json=rows, single=single)
        )

    def change(self, since: int, seq: int, rows: list[str], state: int = LIVE) -> None:
        assert self.feed.result is not None
        message = views_pb2.ResultChanged(from_revision=token(since), state=_state(seq, rows, state))
        message.rows.add(at=0, removed=len(self.feed.result.rows), rows_json=rows)
        self.feed.handle_changed(message)

    def moved(self, seq: int, *, settled: bool = True) -> None:
        before, unsettled = self.progress.unsettled, frozenset() if settled else frozenset({1})
        if unsettled - before:
            self.feed.freeze()
        self.progress.moved(point_of(token(seq)), unsettled)
        if before - unsettled:
            self.feed.thaw(point_of(token(seq)))

    def told(self) -> list[dict[str, Any]]:
        return [orjson.loads(event.as_message(given)) for event, given, _ in self.session.step(0.0).told]


def _state(seq: int, rows: list[str], state: int = LIVE, error: str = "") -> views_pb2.ResultState:
    mode = views_pb2.VIEW_MODE_INCREMENTAL
    return views_pb2.ResultState(revision=token(seq), hash=",".join(rows), state=state, mode=mode, error=error)  # type: ignore[arg-type]


def test_a_single_value_is_a_row_and_no_list() -> None:
    fed = Fed()
    fed.show(1, ['{"n":1}'], single=True)
    assert fed.told()[0]["row"] == {"n": 1}
    fed.show(2, ['{"n":2}'], single=True)
    (delta,) = fed.told()
    assert (delta["type"], delta["row"], delta["from"]) == ("delta", {"n": 2}, token(1))
    assert "rows" not in delta


def test_a_result_that_is_taken_back_is_told() -> None:
    """A user may not be shown any more what he was shown."""
    fed = Fed()
    fed.show(1, ["1", "2"])
    fed.told()
    fed.show(2, [], PENDING)
    (delta,) = fed.told()
    assert (delta["state"], delta["rows"]) == ("pending", [{"at": 0, "remove": 2, "insert": []}])


def test_a_state_that_changes_alone_is_told() -> None:
    fed = Fed()
    fed.show(1, ["1"])
    fed.told()
    fed.show(2, ["1"], views_pb2.VIEW_STATE_FAILED, error="no such function")
    (delta,) = fed.told()
    assert (delta["state"], delta["error"], delta["added"]) == ("failed", "no such function", [])


def test_a_view_that_lags_is_told_late_and_in_order() -> None:
    fed = Fed()
    fed.show(1, ["1"], LAGGING)
    fed.moved(50, settled=False)
    assert [each["type"] for each in fed.told()] == ["snapshot", "up-to-date"]
    assert fed.feed.progress == point_of(token(50))
    fed.change(1, 40, ["2"], LAGGING)
    fed.change(50, 51, ["3"], LAGGING)
    assert [(each["type"], each["revision"]) for each in fed.told()] == [("delta", token(40)), ("delta", token(51))]


def test_a_result_that_goes_back_must_be_fetched_again() -> None:
    fed = Fed()
    fed.show(5, ["1"])
    fed.told()
    fed.show(4, ["2"])
    assert [each["type"] for each in fed.told()] == ["must-refetch", "snapshot", "up-to-date"]


@pytest.mark.parametrize("breaks", ["before", "store", "empty"])
def test_a_change_that_fits_nothing_is_refused(breaks: str) -> None:
    fed = Fed()
    message = views_pb2.ResultChanged(from_revision=token(5), state=_state(6, ["2"]))
    if breaks != "before":
        fed.show(5, ["1"])
    if breaks == "store":
        message.from_revision = token(5).replace("deadbeef", "0badf00d")
    if breaks == "empty":
        message.state.revision = token(5)
    with pytest.raises(Fault) as caught:
        fed.feed.handle_changed(message)
    assert caught.value.code is Code.DATA_LOSS


def test_what_is_not_settled_is_not_known() -> None:
    fed = Fed()
    fed.show(1, ["1"])
    fed.moved(2)
    fed.moved(3, settled=False)
    assert fed.feed.progress == point_of(token(2))
    fed.moved(4)
    assert fed.feed.progress == point_of(token(4))
    assert fed.feed.known(3) == point_of(token(2)), "how it was at 3, nobody said"
    assert fed.feed.known(9) == point_of(token(4))


def test_progress_that_was_made_before_it_was_shown_says_nothing_of_it() -> None:
    fed = Fed()
    fed.moved(9)
    fed.show(5, ["1"])
    assert fed.feed.progress == point_of(token(5))
    fed.moved(9)
    assert fed.feed.progress == point_of(token(9))


def test_all_that_is_kept_is_within_the_budget_and_is_given_back() -> None:
    held = budget(entries_max=5, total_bytes_max=20_000)
    feeds = [Fed(held) for _ in range(10)]
    for seq in range(1, 50):
        for fed in feeds:
            fed.show(seq, [f'"{seq:0>200}"'])
            assert held.held <= 20_000
            assert len(fed.feed.history._entries) <= 5
    assert held.held == sum(entry.size for fed in feeds for entry in fed.feed.history._entries) > 0
    for fed in feeds:
        fed.feed.close()
    assert held.held == 0


def test_points_are_bounded_and_begin_anew_with_a_store() -> None:
    progress = Progress()
    for seq in range(5 * POINTS_MAX):
        progress.moved(point_of(token(seq)), frozenset())
    assert len(progress._points) <= 2 * POINTS_MAX
    assert progress.latest(5 * POINTS_MAX) == point_of(token(5 * POINTS_MAX - 1))
    other = token(7).replace("deadbeef", "0badf00d")
    progress.moved(point_of(other), frozenset())
    assert progress.latest(10**6) == point_of(other)


class Reads:
    """Readings that are answered when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.faults: list[Fault] = []

    async def __call__(self, request: views_pb2.GetViewRequest, timeout_s: float) -> views_pb2.GetViewResponse:
        self.asked += 1
        await self.go.wait()
        if self.faults:
            raise self.faults.pop(0)
        return views_pb2.GetViewResponse(revision=request.revision, hash="old", state=LIVE)


def rereading(reads: Reads) -> Rereading:
    return Rereading(reads, StreamMeters(CollectorRegistry(), budget()), reads_max=1, timeout_s=5.0)


async def test_readers_with_the_same_revision_share_a_read() -> None:
    fed, reads = Fed(), Reads()
    fed.show(9, ["1"])
    rereads = rereading(reads)
    waiting = [asyncio.create_task(rereads.bridge(fed.feed, token(3))) for _ in range(50)]
    reads.go.set()
    bridges = await asyncio.gather(*waiting)
    assert reads.asked == 1
    assert len({id(bridge.event) for bridge in bridges}) == 1


async def test_a_read_that_is_only_late_is_made_again_and_one_that_cannot_be_is_not() -> None:
    fed, reads = Fed(), Reads()
    fed.show(9, ["1"])
    reads.go.set()
    reads.faults = [Fault(Code.UNAVAILABLE, "away"), Fault(Code.NOT_READY, "loading")]
    assert (await rereading(reads).bridge(fed.feed, token(3))).event is not None
    assert reads.asked == 3
    reads.faults = [Fault(Code.REVISION_GONE, "gone")]
    with pytest.raises(Fault, match="gone"):
        await rereading(reads).bridge(fed.feed, token(4))
    assert reads.asked == 4


async def test_too_many_who_come_back_at_once_must_fetch_again() -> None:
    fed, reads = Fed(), Reads()
    fed.show(9_999, ["1"])
    rereads = rereading(reads)
    waiting = [asyncio.create_task(rereads.bridge(fed.feed, token(seq))) for seq in range(1, WAITING_PER_PLACE + 2)]
    while not reads.asked:
        await asyncio.wait(waiting, timeout=0.001)
    with pytest.raises(Fault) as caught:
        await rereads.bridge(fed.feed, token(5_000))
    assert caught.value.code is Code.OVERLOADED
    await rereads.close()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_readers_are_woken_a_few_at_a_time_and_each_once() -> None:
    waking, loop = Waking(), asyncio.get_running_loop()
    readers = [asyncio.Event() for _ in range(3 * BATCH)]
    for reader in (*readers, *readers):
        waking.wake(reader)
    woken: list[int] = []
    looked = asyncio.Event()

    def look() -> None:
        woken.append(sum(reader.is_set() for reader in readers))
        looked.set() if woken[-1] == len(readers) else loop.call_soon(look)

    loop.call_soon(look)
    await asyncio.wait_for(looked.wait(), 5)
    assert woken == [BATCH, 2 * BATCH, 3 * BATCH]
