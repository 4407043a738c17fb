"""L8 in an SSP: what it refuses when its memory is short, and how soon the scheduler hears of that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sp00ky.proto.faults import RETRY_AFTER_MS, Code, Fault
from sp00ky.proto.memory import Memory
from sp00ky.proto.v1 import common_pb2, replication_pb2, views_pb2
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.exact import ExactReads
from sp00ky.ssp.vitals import Vitals
from sp00ky.ssp.watching.hub import Hub, Peer

NEVER = 3_600.0


class Edges:
    """What a heartbeat asks of the writer."""

    class owed:
        edges_written = 0


def memory_of(*readings: int) -> Memory:
    """Of 100 bytes; each look finds the next reading, the last one for ever."""
    left: Iterator[int] = iter(readings)
    last = [0]

    def read() -> int:
        last[0] = next(left, last[0])
        return last[0]

    return Memory(100, read)


def opened(hub: Hub, peer: Peer, watch_id: int) -> views_pb2.WatchViewsResponse | None:
    hub.open(peer, watch_id, ViewKey("v"), rows=False, at_least_seq=0)
    data = peer.take()
    return None if data is None else views_pb2.WatchViewsResponse.FromString(data)


def test_l8_a_pressed_ssp_takes_no_watch_and_keeps_those_it_has() -> None:
    memory = memory_of(94, 95, 94)
    hub = Hub(Engine(), str, memory)
    peer = hub.join(lambda: None)
    assert opened(hub, peer, 1) is None, "it waits to be shown"
    memory.measure()
    refused = opened(hub, peer, 2)
    assert refused is not None and "no memory" in refused.ended.reason
    assert (hub.watches, hub.metrics()["watches_refused_total"]) == (1, 1)
    memory.measure()
    assert opened(hub, peer, 2) is None and hub.watches == 2


async def test_l8_a_pressed_ssp_reads_nothing_of_the_past() -> None:
    async def page(load: replication_pb2.Load) -> replication_pb2.Page:
        return replication_pb2.Page(load_id=load.load_id, table=load.table)

    reads = ExactReads(page, memory_of(10, 95, 10))
    spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM t")
    with pytest.raises(Fault) as refused:
        await reads.view_at(spec, 3)
    assert refused.value.code is Code.OVERLOADED and int(refused.value.details[RETRY_AFTER_MS]) > 0
    assert (await reads.view_at(spec, 3)).seq == 3
    assert reads.metrics() == {"exact_reads_total": 1, "exact_reads_refused_total": 1}


@pytest.mark.parametrize("readings", [(10, 10, 85), (96, 96, 94), (90, 90, 10)])
async def test_l8_the_scheduler_is_told_as_soon_as_the_pressure_changes(readings: tuple[int, ...]) -> None:
    vitals = Vitals(Engine(), Edges, memory_of(*readings), NEVER)  # type: ignore[arg-type]
    beat = vitals.heartbeat(7)
    assert (beat.memory_bytes, beat.memory_bytes_max, beat.written_seq) == (readings[1], 100, 7)
    async with asyncio.timeout(20):
        await vitals.until_due()
    assert vitals.heartbeat(7).memory_bytes == readings[-1]


async def test_a_new_stream_is_told_at_once() -> None:
    vitals = Vitals(Engine(), Edges, memory_of(10), NEVER)  # type: ignore[arg-type]
    vitals.heartbeat(7)
    vitals.welcomed()
    async with asyncio.timeout(20):
        await vitals.until_due()
