"""Random histories: whatever happens, order, ownership and restart hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.changes import canonical_change
from sp00ky.scheduler.coordinator import events
from sp00ky.scheduler.coordinator.assignments import wire_key
from sp00ky.scheduler.coordinator.coordinator import Coordinator, CoordinatorConfig
from sp00ky.scheduler.coordinator.events import ViewKey

CONFIG = CoordinatorConfig(StoreId("00000001"), Epoch(1), heartbeat_timeout_ms=3000, bootstrap_timeout_ms=6000)
SSPS, VIEWS = ("a", "b", "c"), ("v", "w", "x", "y")
OF_A_USER = VIEWS[3]
MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "offer",
                "hello",
                "http",
                "resume",
                "loaded",
                "send",
                "ack",
                "lose",
                "behind",
                "view",
                "drop",
                "refuse",
                "tick",
            ]
        ),
        st.integers(0, 3),
    ),
    max_size=60,
)


class World:
    """The coordinator, and what a store and three SSPs would know."""

    def __init__(self) -> None:
        self.metas: dict[bytes, bytes] = {}
        self.head = Seq(0)
        self.now_ms = 0
        self.coordinator = Coordinator(CONFIG, self.head)
        self.sessions: dict[str, int] = {}
        self.over_http: set[int] = set()  # sessions
        self.count = 0
        self.owners: dict[str, str] = {}  # as an SSP learns them: from the log alone

    def move(self, kind: str, number: int) -> None:
        ssp_id = SSPS[number % len(SSPS)]
        session = self.sessions.get(ssp_id, 0)
        step = self.coordinator.step
        self.count += 1
        match kind:
            case "offer":
                created = common_pb2.Change(table="t", op=common_pb2.OP_CREATE, key=pack(number), packed=pack({}))
                changes = [canonical_change(created)] * (number + 1)
                step(events.ChangesOffered(self.count, [changes, changes[:1]]))
            case "hello" | "resume":
                self._hello(ssp_id, resume=kind == "resume")
            case "http":
                self._hello(ssp_id, resume=False, http_only=True)
            case "refuse":
                step(events.ViewRefused(session, self.key_of(number // 2), "it cannot"))
            case "loaded":
                step(events.SspLoaded(session))
            case "send":
                self._send(session)
            case "ack":
                member = self.coordinator.ssp_of(session)
                if member is not None and member.progress.next_seq <= self.coordinator.durable_seq + 1:  # it was told
                    acked, frames = Seq(member.progress.next_seq - 1), member.progress.inflight_frames
                    step(events.SspAcked(session, acked, acked, frames))
            case "lose":
                step(events.StreamLost(session))
            case "behind":
                step(events.SspFellBehind(session, "trimmed"))
            case "view":
                key = wire_key(self.key_of(number))
                auth = pack({"id": key.auth_id}) if key.auth_id else b""
                spec = common_pb2.ViewSpec(key=key, surql="SELECT 1", ttl_ms=9000, auth=auth)
                step(events.ViewRequested(self.count, spec))
            case "drop":
                step(events.ViewAbandoned(self.count, self.key_of(number)))
            case _:
                self.now_ms += 500 * number
                step(events.Ticked(self.now_ms, self.now_ms))

    @staticmethod
    def key_of(number: int) -> ViewKey:
        return ViewKey(VIEWS[number], "user:1" if VIEWS[number] == OF_A_USER else "")

    def _hello(self, ssp_id: str, resume: bool, http_only: bool = False) -> None:
        self.sessions[ssp_id] = self.count
        if http_only:
            self.over_http.add(self.count)
        member = self.coordinator.ssps.get(ssp_id)
        hello = replication_pb2.Hello(ssp_id=ssp_id, store_id=CONFIG.store_id, credit=2)
        if resume and member is not None and not member.http_only:
            hello.applied_seq, hello.incarnation = member.progress.acked_seq, member.incarnation
        self.coordinator.step(events.SspSaidHello(self.count, hello, Seq(1), http_only=http_only))

    def _send(self, session: int) -> None:
        after = self.coordinator.sendable_after(session)
        if after is not None:
            assert after < self.coordinator.durable_seq
            self.coordinator.sent_to(session, self.coordinator.durable_seq)

    def settle(self) -> None:
        ready = self.coordinator.ready()
        assert [entry.seq for entry in ready.entries] == list(range(self.head + 1, self.head + len(ready.entries) + 1))
        assert not ready.entries or ready.entries[-1].txn_last
        self.head = Seq(self.head + len(ready.entries))
        for meta in ready.meta:
            if meta.value is None:
                self.metas.pop(meta.name, None)
            else:
                self.metas[meta.name] = meta.value
        for entry in ready.entries:
            if entry.HasField("view_assigned"):
                self.owners[entry.view_assigned.spec.key.id] = entry.view_assigned.ssp_id
            if entry.HasField("view_unregistered"):
                self.owners.pop(entry.view_unregistered.key.id, None)
        for reply in ready.replies:
            assert reply.seq <= self.head
        for welcomed in ready.welcomed:
            welcome = welcomed.welcome
            assert welcome.at_seq <= self.head
            assert welcome.incarnation <= welcome.at_seq or welcomed.session_id in self.over_http
        self.coordinator.advance(self.head)

    def check(self) -> None:
        coordinator = self.coordinator
        for member in coordinator.ssps.values():
            member.progress.check(coordinator.durable_seq)
            assert coordinator.views_of(member.id) == sum(
                view.ssp_id == member.id for view in coordinator.views.values()
            )
        for key, view in coordinator.views.items():
            assert view.ssp_id in {"", *coordinator.ssps}
            assert view.ssp_id not in view.fence_ssp_ids or not view.ssp_id
            if view.ssp_id:
                assert self.owners[key.id] == view.ssp_id  # the log says the same
            else:
                ready = coordinator.ready_ssps()  # nobody waits while somebody is ready
                assert all(member.http_only and (view.spec.auth or view.refusals) for member in ready)
            owner = coordinator.ssps.get(view.ssp_id)
            assert owner is None or not (owner.http_only and view.spec.auth), "a user's view is without its permissions"
        self.check_loads()
        self.check_restored()

    def check_loads(self) -> None:
        """Those that cannot name a revision all load at one."""
        loading = [member for member in self.coordinator.ssps.values() if member.http_only and member.loading]
        assert len({member.progress.acked_seq for member in loading}) <= 1
        assert self.coordinator.http_load_seq == (loading[0].progress.acked_seq if loading else 0)

    def check_restored(self) -> None:
        coordinator = self.coordinator
        restored = Coordinator(CONFIG, self.head, sorted(self.metas.items()), self.now_ms)
        assert {key: (view.ssp_id, view.assigned_seq, view.fence_ssp_ids) for key, view in restored.views.items()} == {
            key: (view.ssp_id, view.assigned_seq, view.fence_ssp_ids) for key, view in coordinator.views.items()
        }
        assert {name: (member.incarnation, member.http_only) for name, member in restored.ssps.items()} == {
            name: (member.incarnation, member.http_only) for name, member in coordinator.ssps.items()
        }


@settings(max_examples=120, deadline=None)
@given(MOVES)
def test_g3_order_ownership_and_restart_hold_in_any_history(moves: list[tuple[str, int]]) -> None:
    world = World()
    for kind, number in moves:
        world.move(kind, number)
        world.settle()
        world.check()


@settings(max_examples=60, deadline=None)
@given(MOVES, st.integers(1, 5))
def test_a_group_of_events_is_as_good_as_one_by_one(moves: list[tuple[str, int]], size: int) -> None:
    world = World()
    for index, (kind, number) in enumerate(moves):
        world.move(kind, number)
        if index % size == 0:
            world.settle()
            world.check()
    world.settle()
    world.check()
