"""Room in front of the commit loop: bounded in changes and bytes, live work before new work, turns for who waits."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.faults import RETRY_AFTER_MS, Code, Fault
from sp00ky.scheduler.room import Claim, Room, Work


def refused(room: Room, claim: Claim) -> Fault:
    before = room.refused[claim.work]
    with pytest.raises(Fault) as fault:
        room.take(claim)
    assert fault.value.code is Code.OVERLOADED and int(fault.value.details[RETRY_AFTER_MS]) > 0
    assert room.refused[claim.work] == before + claim.changes
    return fault.value


async def settled() -> None:
    """Let every task that can go on do so."""
    loop = asyncio.get_running_loop()
    for _ in range(5):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


def test_g6_room_is_counted_in_changes_and_in_bytes() -> None:
    room = Room(10, 1_000, 5)
    room.take(Claim(Work.CHANGES, 8, 100))
    refused(room, Claim(Work.CHANGES, 3, 10))
    room.take(Claim(Work.CHANGES, 1, 900))
    assert refused(room, Claim(Work.CHANGES, 1, 1)).details["queued_bytes"] == "1000"
    room.take(Claim(Work.CHANGES, 0, 0))
    room.give_back([Claim(Work.CHANGES, 1, 900)])
    room.take(Claim(Work.CHANGES, 2, 900))
    assert (room.changes, room.bytes) == (10, 1_000)
    metrics = room.metrics()
    assert (metrics["queued_changes"], metrics["refused_changes"], metrics["ingest_queue_bytes"]) == (10, 4, 1_000)


def test_what_is_larger_than_the_room_waits_for_changes_and_not_for_commands() -> None:
    room = Room(10, 1_000, 5)
    room.take(Claim(Work.COMMANDS, 3))
    room.take(Claim(Work.CHANGES, 1))
    refused(room, Claim(Work.CAPTURED, 11))
    room.give_back([Claim(Work.CHANGES, 1)])
    room.take(Claim(Work.CAPTURED, 11))
    refused(room, Claim(Work.COMMANDS, 1))


def test_what_is_larger_than_the_room_is_taken_when_it_is_empty() -> None:
    room = Room(10, 1_000, 5)
    room.take(Claim(Work.CHANGES, 50, 9_999))
    refused(room, Claim(Work.CHANGES, 1, 1))
    room.give_back([Claim(Work.CHANGES, 50, 9_999)])
    room.take(Claim(Work.CHANGES, 1, 1))


def test_new_views_are_refused_while_live_work_goes_on() -> None:
    room = Room(10, 1_000, 5)
    room.take(Claim(Work.CHANGES, 5, 10))
    assert "new views" in refused(room, Claim(Work.REGISTRATIONS, 1)).message
    room.take(Claim(Work.COMMANDS, 1))
    room.take(Claim(Work.CHANGES, 4, 10))
    refused(room, Claim(Work.COMMANDS, 1))
    room.give_back([Claim(Work.CHANGES, 9, 20)])
    room.take(Claim(Work.REGISTRATIONS, 1))


def test_only_so_many_new_views_wait_at_once() -> None:
    room = Room(1_000, 1_000, 2)
    room.take(Claim(Work.REGISTRATIONS, 1))
    room.take(Claim(Work.REGISTRATIONS, 1))
    assert refused(room, Claim(Work.REGISTRATIONS, 1)).details["queue_max"] == "2"
    room.take(Claim(Work.COMMANDS, 1))
    room.give_back([Claim(Work.REGISTRATIONS, 1)])
    room.take(Claim(Work.REGISTRATIONS, 1))


async def test_the_capture_and_the_streams_take_turns() -> None:
    room, order = Room(10, 1_000, 5), list[str]()
    room.take(Claim(Work.CHANGES, 10))

    async def wait(name: str, work: Work, count: int) -> None:
        await room.take_in_turn(Claim(work, count))
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(wait(f"stream {number}", Work.CHANGES, 5))
        for number in range(2):
            tasks.create_task(wait(f"capture {number}", Work.CAPTURED, 5))
        await settled()
        assert not order and room.waiting == 6
        refused(room, Claim(Work.CHANGES, 1))  # nobody passes who waits
        room.give_back([Claim(Work.CHANGES, 10)])
        await settled()
        assert order == ["capture 0", "stream 0"]
        room.give_back([Claim(Work.CAPTURED, 5)])
        room.give_back([Claim(Work.CHANGES, 5)])
        await settled()
        assert order[2:] == ["capture 1", "stream 1"]
        room.give_back([Claim(Work.CAPTURED, 5), Claim(Work.CHANGES, 5)])
    assert order[4:] == ["stream 2", "stream 3"]


async def test_a_large_offer_is_not_passed_for_ever_by_small_ones() -> None:
    room = Room(10, 1_000, 5)
    room.take(Claim(Work.CHANGES, 5))
    large = asyncio.create_task(room.take_in_turn(Claim(Work.CAPTURED, 8)))
    await settled()
    small = asyncio.create_task(room.take_in_turn(Claim(Work.CHANGES, 1)))
    await settled()
    assert not large.done() and not small.done()
    room.give_back([Claim(Work.CHANGES, 5)])
    await asyncio.gather(large, small)


async def test_who_goes_away_while_waiting_leaves_nothing_behind() -> None:
    room = Room(10, 1_000, 5)
    room.take(Claim(Work.CHANGES, 10))
    first, second, third = (asyncio.create_task(room.take_in_turn(Claim(Work.CHANGES, 8))) for _ in range(3))
    await settled()
    first.cancel()
    await settled()
    room.give_back([Claim(Work.CHANGES, 10)])
    second.cancel()  # granted, and gone before it knew
    await asyncio.gather(first, second, return_exceptions=True)
    await third
    assert (room.changes, room.waiting) == (8, 0)


async def test_a_closed_room_holds_nobody() -> None:
    room = Room(10, 1_000, 5)
    room.take(Claim(Work.CHANGES, 10))
    waiting = asyncio.create_task(room.take_in_turn(Claim(Work.CAPTURED, 5)))
    await settled()
    room.close()
    await waiting
    await room.take_in_turn(Claim(Work.CHANGES, 5))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*Work, "back"]), st.integers(0, 12), st.integers(0, 120)), max_size=40))
def test_no_more_waits_than_the_limits_say(moves: list[tuple[Work | str, int, int]]) -> None:
    room, held = Room(10, 100, 3), list[Claim]()
    for kind, count, size in moves:
        if isinstance(kind, Work):
            claim = Claim(kind, count if kind in (Work.CHANGES, Work.CAPTURED) else 1, size)
            is_larger = claim.changes > 10 or claim.size > 100
            before = room.changes if is_larger else sum(room.depth.values())
            try:
                room.take(claim)
            except Fault:
                continue
            held.append(claim)
            if claim.changes and before:
                assert sum(room.depth.values()) <= 10 and room.bytes <= 100
        elif held:
            room.give_back([held.pop(count % len(held))])
        assert room.bytes == sum(claim.size for claim in held)
        assert {work: sum(claim.changes for claim in held if claim.work is work) for work in Work} == room.depth
        assert room.depth[Work.REGISTRATIONS] <= 3
