"""Whatever happens to schedulers, SSPs, streams and transactions: a view never has two writers, and once faults stop
every view has one owner, its edges are what they should be, and no unregistered view has left any behind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.placed_mesh import TABLES, World

SSPS = ("a", "b", "c")
VIEWS = ("v", "w", "x", "y", "z")
KINDS = {
    "send": 3, "receive": 4, "write": 6, "beat": 3, "live": 8, "change": 4, "tick": 4, "long tick": 1,
    "hello": 3, "lose": 1, "kill": 1, "late": 1, "restart": 1,
    "register": 2, "unregister": 1, "drain": 2, "undrain": 2, "resync": 1,
}  # fmt: skip
MOVES = st.lists(
    st.tuples(st.sampled_from([kind for kind, weight in KINDS.items() for _ in range(weight)]), st.integers(0, 14)),
    min_size=20,
    max_size=220,
)


def made(policy: str = "round_robin") -> World:
    world = World(*SSPS, load_balance=policy, moves_inflight_max=2, quantum_ms=500)
    for ssp_id in SSPS[:2]:
        world.hello(ssp_id)
    world.change("t", 1, present=True)
    world.settle(SSPS[:2])
    for number, view in enumerate(VIEWS[:3]):
        world.register(view, TABLES[number % 2])
    return world


def play(world: World, kind: str, number: int) -> None:
    ssp_id, view, table = SSPS[number % 3], VIEWS[number % 5], TABLES[number % 2]
    match kind:
        case "change":
            world.change(table, number % 4, present=number % 3 > 0)
        case "send":
            world.send(ssp_id, 1 + number % 5)
        case "hello":
            if not world.processes[ssp_id].session:
                world.hello(ssp_id)
        case "lose":
            world.lose_stream(ssp_id)
        case "late":
            world.arrive_late(number)
        case "register":
            world.register(view, (VIEWS.index(view) % 2 and "u") or "t")
        case "unregister":
            world.unregister(view)
        case "drain":
            world.drain(ssp_id)
        case "undrain":
            world.drain(ssp_id, undo=True)
        case "tick":
            world.tick(100 + 100 * number)
        case "long tick":
            for _ in range(4):
                world.tick(800)
        case "restart":
            world.restart_scheduler()
        case "resync":
            world.resync(ssp_id)
        case "live":
            for _ in range(6):
                world.tick(40)
                for each in SSPS:
                    world.send(each)
                    world.receive(each)
                    world.write(each)
                    world.beat(each)
        case _:
            getattr(world, kind)(ssp_id)


HISTORIES = st.tuples(MOVES, st.sampled_from(["round_robin", "least_queries", "affinity"]))


def run(moves: list[tuple[str, int]], policy: str) -> None:
    world = made(policy)
    for kind, number in moves:
        play(world, kind, number)
    for ssp_id in SSPS:
        world.drain(ssp_id, undo=True)
    world.settle()
    world.assert_written()


@settings(max_examples=60, deadline=None)
@given(HISTORIES)
def test_a_view_never_has_two_writers_and_ends_with_one(history: tuple[list[tuple[str, int]], str]) -> None:
    run(*history)


@pytest.mark.long
@settings(max_examples=3_000, deadline=None)
@given(HISTORIES)
def test_so_it_is_in_many_histories(history: tuple[list[tuple[str, int]], str]) -> None:
    run(*history)
