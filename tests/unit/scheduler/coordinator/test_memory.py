"""L8 in the coordinator: whatever memory SSPs tell of, no view goes where there is no room, and moving comes to an end.

What each situation leads to is told in `tests/scenarios/coordinator/memory.txt`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.pressure import FULL_RATIO, PRESSED_RATIO, Pressure, pressure_of
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler.coordinator import events
from sp00ky.scheduler.coordinator.coordinator import Coordinator, CoordinatorConfig
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.coordinator.ready import Ready

NAMES = ("a", "b", "c", "d")
TURNS_MAX = 200


class Following:
    """A coordinator whose SSPs do everything at once; every assignment is checked when it is made."""

    def __init__(self, balance: str) -> None:
        config = CoordinatorConfig(StoreId("00000001"), Epoch(1), load_balance=balance, moves_inflight_max=3)
        self.coordinator = Coordinator(config, Seq(0))
        self.sessions: dict[str, int] = {}
        self.tickets = self.now_ms = 0
        self.refused = 0

    def join(self, name: str) -> None:
        self.sessions[name] = len(self.sessions) + 1
        hello = replication_pb2.Hello(ssp_id=name, credit=2)
        self.step(events.SspSaidHello(self.sessions[name], hello, Seq(1)))
        self.step(events.SspLoaded(self.sessions[name]))

    def step(self, event: events.Event) -> Ready:
        self.coordinator.step(event)
        ready = self.coordinator.ready()
        self.coordinator.advance(self.coordinator.head_seq)
        for entry in ready.entries:
            if entry.WhichOneof("body") == "view_assigned":
                assert self.coordinator.ssps[entry.view_assigned.ssp_id].has_room
        self.refused += sum(reply.fault is not None for reply in ready.replies)
        return ready

    def register(self, name: str, shape: str) -> None:
        self.tickets += 1
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id=name), surql="SELECT * FROM t")
        self.step(events.ViewRequested(self.tickets, spec, shape))

    def beat(self, name: str, memory: int) -> None:
        acked = self.coordinator.ssps[name].progress.acked_seq
        heartbeat = replication_pb2.Heartbeat(memory_bytes=memory, memory_bytes_max=100, applied_seq=acked)
        self.step(events.SspBeat(self.sessions[name], heartbeat))

    def turn(self) -> int:
        """Everything sent, applied and written; then time for another look. How many views were given to somebody."""
        for session in self.sessions.values():
            if self.coordinator.sendable_after(session) is not None:
                self.coordinator.sent_to(session, self.coordinator.durable_seq)
            member = self.coordinator.ssp_of(session)
            assert member is not None
            seq = Seq(member.progress.next_seq - 1)
            self.step(events.SspAcked(session, seq, seq, member.progress.inflight_frames))
        self.now_ms += 100
        ready = self.step(events.Ticked(self.now_ms, self.now_ms))
        return len(ready.entries)

    def settle(self) -> None:
        quiet = turns = 0
        while quiet < 3:
            quiet = 0 if self.turn() else quiet + 1
            turns += 1
            assert turns < TURNS_MAX, "views move for ever"


MEMORIES = st.fixed_dictionaries({name: st.sampled_from((10, 84, 85, 94, 95, 120)) for name in NAMES})
SHAPES = st.lists(st.sampled_from(("", "s", "t", "u")), max_size=25)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(("round_robin", "affinity", "least_load")), SHAPES, MEMORIES, MEMORIES)
def test_l8_no_view_goes_where_no_room_is_and_moving_ends(
    balance: str, shapes: list[str], before: dict[str, int], after: dict[str, int]
) -> None:
    world = Following(balance)
    for name in NAMES[:2]:
        world.join(name)
    for number, shape in enumerate(shapes):
        world.register(f"v{number}", shape)
    for name in NAMES[:2]:
        world.beat(name, before[name])
    world.settle()
    for name in NAMES[2:]:
        world.join(name)
        world.beat(name, before[name])
    world.settle()
    for name in NAMES:
        world.beat(name, after[name])
    world.settle()
    assert len(world.coordinator.views) == len(shapes) and not world.refused
    assert all(view.ssp_id for view in world.coordinator.views.values())


def test_l8_each_heartbeat_of_a_pressed_ssp_moves_a_tenth() -> None:
    world = Following("round_robin")
    world.join("a")
    for number in range(25):
        world.register(f"v{number:02}", "")
    world.join("b")
    world.beat("b", 85)
    world.settle()
    world.beat("b", 10)
    left = []
    for _ in range(3):
        world.beat("a", 95)
        world.settle()
        left.append(world.coordinator.views_of("a"))
    assert left == [22, 19, 17]
    assert world.coordinator.views_shed == 8
    assert world.coordinator.views[ViewKey("v24")].ssp_id == "b", "the newest"


def test_pressure_begins_at_its_ratios_and_never_without_a_limit() -> None:
    full, pressed = round(1000 * FULL_RATIO), round(1000 * PRESSED_RATIO)
    of = [pressure_of(used, 1000) for used in (0, full - 1, full, pressed - 1, pressed, 5000)]
    assert of == [Pressure.ROOM] * 2 + [Pressure.FULL] * 2 + [Pressure.PRESSED] * 2
    assert pressure_of(1 << 60, 0) is Pressure.ROOM
