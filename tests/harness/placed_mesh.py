"""The real coordinator, real engines and real edge logic in one thread, with every message and every transaction
delivered by the test, in whatever order: streams break, SSPs are killed, paused or fenced, writes arrive late, the
scheduler restarts. The database is a dictionary that knows epochs and edges.

`World.check` holds what must be true always; `World.settle` lets everything run without faults, until nothing moves.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field

from sp00ky.proto.faults import Fault
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.v1.common_pb2 import Entry
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.changes import canonical_change
from sp00ky.scheduler.coordinator import events as told
from sp00ky.scheduler.coordinator.coordinator import Coordinator, CoordinatorConfig
from sp00ky.scheduler.coordinator.ownership import State
from sp00ky.ssp.edges.outbox import edge_of
from sp00ky.ssp.edges.owed import Claim, Fence, Flush, Forget, Owed, ReadStored, Register, Step, Write
from sp00ky.ssp.engine import events
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange

STORE = StoreId("00000001")
TIMEOUT_MS = 3_000
TABLES = ("t", "u")


class FencedOff(Exception):
    """The database knows a later epoch of this SSP."""


@dataclass
class ModelDatabase:
    """Owner rows and edges. `reader`: who read a view's stored edges last; nobody else may write them after that."""

    epochs: dict[str, int] = field(default_factory=dict)
    edges: dict[ViewKey, dict[str, int]] = field(default_factory=dict)
    reader: dict[ViewKey, tuple[str, int]] = field(default_factory=dict)

    def do(self, ssp_id: str, incarnation: int, step: Step) -> dict[str, int] | None:
        match step:
            case Claim():
                if self.epochs.get(ssp_id, 0) > incarnation:
                    raise FencedOff
                self.epochs[ssp_id] = incarnation
            case Fence(other, epoch):
                self.epochs[other] = max(epoch, self.epochs.get(other, 0))
            case ReadStored(key):
                if self.epochs.get(ssp_id) == incarnation:  # else it may read, and will write nothing
                    self.reader[key] = (ssp_id, incarnation)
                return dict(self.edges.get(key, {}))
            case Forget(key):
                self._hold(ssp_id, incarnation)  # whether it was right to remove them shows at the end
                self.edges.pop(key, None)
                self.reader.pop(key, None)
            case Register():
                self._hold(ssp_id, incarnation)
            case Write(_, batch, _):
                self._hold(ssp_id, incarnation)
                for key, pending in batch.items():
                    self._written(key, ssp_id, incarnation)
                    stored = self.edges.setdefault(key, {})
                    for edge in pending.gone:
                        stored.pop(edge, None)
                    stored.update({edge: member.version for edge, member in pending.put.items()})
        return None

    def _hold(self, ssp_id: str, incarnation: int) -> None:
        if self.epochs.get(ssp_id) != incarnation:
            raise FencedOff

    def _written(self, key: ViewKey, ssp_id: str, incarnation: int) -> None:
        reader = self.reader.get(key)
        assert reader in (None, (ssp_id, incarnation)), f"{key.id}: {ssp_id}@{incarnation} wrote after {reader} read"


class Process:
    """One SSP: `inbox` is what the scheduler sent on its stream."""

    def __init__(self, ssp_id: str) -> None:
        self.id = ssp_id
        self.engine = Engine(ssp_id=ssp_id)
        self.owed = Owed(ssp_id)
        self.session = 0
        self.incarnation = 0
        self.fresh = True
        self.inbox: deque[events.Event] = deque()
        self.flush: Flush | None = None
        self.step: Step | None = None  # of the flush, on its way to the database

    def begin(self, incarnation: int) -> None:
        self.owed.begin(incarnation)
        self.incarnation, self.fresh = incarnation, False
        self.flush = self.step = None

    def forget(self) -> list[tuple[str, int, Step]]:
        """Start over; what was on its way to the database."""
        late = [(self.id, self.incarnation, self.step)] if self.step is not None else []
        self.session, self.fresh = 0, True
        self.inbox.clear()
        self.owed.begin(0)
        self.flush = self.step = None
        return late


class World:
    def __init__(self, *ssp_ids: str, **options: object) -> None:
        self.options = options
        self.metas: dict[bytes, bytes] = {}
        self.log: list[Entry] = []
        self.pins: dict[str, int] = {}
        self.now_ms = 0
        self.epoch = 0
        self.count = 0
        self.database = ModelDatabase()
        self.late: list[tuple[str, int, Step]] = []  # transactions of processes that are gone, still on their way
        self.processes = {ssp_id: Process(ssp_id) for ssp_id in ssp_ids}
        self.restart_scheduler()

    # --- the scheduler -----------------------------------------------------------------------------------------------

    def restart_scheduler(self) -> None:
        self.epoch += 1
        config = CoordinatorConfig(
            STORE, Epoch(self.epoch), heartbeat_timeout_ms=TIMEOUT_MS, bootstrap_timeout_ms=2 * TIMEOUT_MS,
            **self.options,  # type: ignore[arg-type]
        )  # fmt: skip
        self.coordinator = Coordinator(config, Seq(len(self.log)), sorted(self.metas.items()), self.now_ms)
        for process in self.processes.values():
            process.session = 0
            process.inbox.clear()

    def tell(self, *events_told: told.Event) -> None:
        """One turn of the commit loop."""
        coordinator = self.coordinator
        coordinator.step(told.Ticked(self.now_ms, self.now_ms))
        for event in events_told:
            coordinator.step(event)
        ready = coordinator.ready()
        self.log += ready.entries
        for meta in ready.meta:
            if meta.value is None:
                self.metas.pop(meta.name, None)
            else:
                self.metas[meta.name] = meta.value
        for pin in ready.pins:
            if pin.at is None:
                self.pins.pop(pin.owner, None)
            else:
                self.pins[pin.owner] = pin.at
        coordinator.advance(Seq(len(self.log)))
        by_session = {process.session: process for process in self.processes.values() if process.session}
        for welcomed in ready.welcomed:
            if process := by_session.get(welcomed.session_id):
                process.inbox.append(events.WelcomeReceived(welcomed.welcome))
        for ended in ready.ended:
            if process := by_session.get(ended.session_id):
                process.session = 0
                process.inbox.clear()
                self.late += process.forget()
        self.check()

    def ticket(self) -> int:
        self.count += 1
        return self.count

    def change(self, table: str, key: int, present: bool) -> None:
        change = common_pb2.Change(table=table, key=pack(key), op=common_pb2.OP_DELETE)
        if present:
            change.op, change.packed = common_pb2.OP_UPDATE, pack({"id": RecordId(table, key), "n": self.ticket()})
        self.tell(told.ChangesOffered(self.ticket(), [[canonical_change(change)]]))

    def register(self, view: str, table: str) -> None:
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id=view), surql=f"SELECT * FROM {table}")
        self.tell(told.ViewRequested(self.ticket(), spec, table))

    def unregister(self, view: str) -> None:
        self.tell(told.ViewAbandoned(self.ticket(), told.ViewKey(view)))

    def drain(self, ssp_id: str, undo: bool = False) -> None:
        self.tell(told.DrainRequested(self.ticket(), ssp_id, undo))

    def resync(self, ssp_id: str = "") -> None:
        self.tell(told.ResyncRequested(self.ticket(), ssp_id))

    def tick(self, elapsed_ms: int) -> None:
        """Time moves on; those with a stream that is not paused beat."""
        self.now_ms += elapsed_ms
        self.tell()

    # --- the SSPs ----------------------------------------------------------------------------------------------------

    def hello(self, ssp_id: str) -> None:
        process = self.processes[ssp_id]
        process.session = self.ticket()
        process.inbox.clear()
        engine = process.engine
        hello = replication_pb2.Hello(ssp_id=ssp_id, credit=2, incarnation=process.incarnation)
        if not process.fresh and engine.loaded:
            hello.store_id, hello.applied_seq = STORE, engine.applied_seq
        self.tell(told.SspSaidHello(process.session, hello, Seq(1)))

    def lose_stream(self, ssp_id: str) -> None:
        process = self.processes[ssp_id]
        if process.session:
            session, process.session = process.session, 0
            process.inbox.clear()
            self.tell(told.StreamLost(session))

    def kill(self, ssp_id: str) -> None:
        """The process is gone; what it had sent to the database may still get there."""
        self.lose_stream(ssp_id)
        self.late += self.processes[ssp_id].forget()
        self.processes[ssp_id] = Process(ssp_id)

    def arrive_late(self, number: int) -> None:
        if self.late:
            ssp_id, incarnation, step = self.late.pop(number % len(self.late))
            with contextlib.suppress(FencedOff):
                self.database.do(ssp_id, incarnation, step)

    def send(self, ssp_id: str, entries_max: int = 1 << 30) -> bool:
        """The scheduler's sender: one frame, if there is credit."""
        process = self.processes[ssp_id]
        after = self.coordinator.sendable_after(process.session) if process.session else None
        if after is None:
            return False
        frame = self.log[after : after + entries_max]
        self.coordinator.sent_to(process.session, Seq(after + len(frame)))
        process.inbox.append(events.EntriesReceived(frame))
        return True

    def receive(self, ssp_id: str) -> bool:
        """The SSP takes one frame, and answers."""
        process = self.processes[ssp_id]
        if not process.inbox:
            return False
        event = process.inbox.popleft()
        if isinstance(event, events.WelcomeReceived) and not event.welcome.resume:
            process.begin(event.welcome.incarnation)
        try:
            self._step(process, event)
        except Fault:
            self.lose_stream(ssp_id)
            self.late += process.forget()
        return True

    def beat(self, ssp_id: str) -> None:
        process = self.processes[ssp_id]
        if process.session and not process.fresh:
            self._step(process, events.Ticked(self.now_ms))
            beat = replication_pb2.Heartbeat(
                applied_seq=process.engine.applied_seq if process.engine.loaded else 0, written_seq=written(process)
            )
            self.tell(told.SspBeat(process.session, beat))

    def _step(self, process: Process, event: events.Event) -> None:
        engine, owed = process.engine, process.owed
        engine.step(event)
        ready = engine.ready()
        owed.fence(ready.fences)
        for dropped in ready.dropped:
            owed.drop(dropped)
        for hydrated in ready.hydrated:
            owed.hydrate(hydrated)
        for delta in ready.deltas:
            owed.fold(delta)
        for key in ready.ceased:
            owed.cease(key)
        owed.applied_to(ready.applied_seq)
        for load in ready.loads:
            process.inbox.append(events.PageReceived(load.load_id, load.table, self.rows(load.table, load.at_seq), b""))
        if process.session and ready.loaded:
            self.tell(told.SspLoaded(process.session))
        if process.session and ready.frames:
            acked = told.SspAcked(process.session, Seq(ready.applied_seq), Seq(written(process)), ready.frames)
            self.tell(acked)

    def rows(self, table: str, at_seq: int) -> list[replication_pb2.Row]:
        rows: dict[bytes, replication_pb2.Row] = {}
        for entry in self.log[:at_seq]:
            change = entry.change
            if change.table == table:
                rows.pop(change.key, None)
                if change.op != common_pb2.OP_DELETE:
                    rows[change.key] = replication_pb2.Row(key=change.key, packed=change.packed, seq=entry.seq)
        return [rows[key] for key in sorted(rows)]

    def write(self, ssp_id: str) -> bool:
        """The SSP's edge writer gets one step further."""
        process = self.processes[ssp_id]
        if process.fresh:
            return False
        if process.flush is None:
            if not process.owed.busy:
                return False
            process.flush = process.owed.flush()
            process.step = next(process.flush, None)
            if process.step is None:
                process.flush = None
            return True
        assert process.step is not None
        try:
            answer = self.database.do(process.id, process.incarnation, process.step)
            process.step = process.flush.send(answer)
        except StopIteration:
            process.flush = process.step = None
        except FencedOff:
            self.lose_stream(ssp_id)
            self.late += process.forget()
        return True

    # --- what must hold ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        coordinator = self.coordinator
        for view in coordinator.views.values():
            assert not view.ssp_id or view.ssp_id in coordinator.ssps
            assert view.ssp_id not in view.fence_ssp_ids or not view.ssp_id
            assert view.handing_over_ssp_id != view.ssp_id or not view.ssp_id
            assert not view.handing_over_ssp_id or view.handing_over_ssp_id in coordinator.ssps
        loading = {f"ssp/{member.id}" for member in coordinator.ssps.values() if member.loading}
        assert loading <= set(self.pins)
        for member in coordinator.ssps.values():
            member.progress.check(coordinator.durable_seq)

    def members(self, view: str) -> dict[str, int]:
        """The edges that a view should have."""
        spec = self.coordinator.views[told.ViewKey(view)].spec
        table = spec.surql.rpartition(" ")[2]
        key = ViewKey(view)
        return {edge_of(key, _member(table, row)): row.seq for row in self.rows(table, len(self.log))}

    def settle(self, ssp_ids: tuple[str, ...] = ()) -> None:
        """No faults any more: everyone connects, and everything is delivered."""
        present = ssp_ids or tuple(self.processes)
        for _ in range(400):
            while self.late:
                self.arrive_late(0)
            moved = False
            for ssp_id in present:
                if not self.processes[ssp_id].session:
                    self.hello(ssp_id)
                    moved = True
                moved |= self.send(ssp_id)
                moved |= self.receive(ssp_id)
                moved |= self.write(ssp_id)
                self.beat(ssp_id)
            if not moved and not any(self.processes[ssp_id].inbox for ssp_id in present):
                before = len(self.log)
                self.tick(200)
                if len(self.log) == before and self._at_rest(present):
                    return
            else:
                self.tick(10)
        raise AssertionError(f"no rest: {self.told()}")

    def _at_rest(self, present: tuple[str, ...]) -> bool:
        views = self.coordinator.views.values()
        ready = {member.id for member in self.coordinator.ready_ssps()}
        return (
            set(present) <= ready
            and not self.coordinator.views_leaving
            and all(view.state is State.OWNED for view in views)
        )

    def told(self) -> str:
        ssps = [f"{member.id} {member.phase} written {member.written_seq}" for member in self.coordinator.ssps.values()]
        views = [
            f"{view.key.id} {view.state} on {view.ssp_id} fences {view.fence_ssp_ids} from {view.handing_over_ssp_id}"
            for view in self.coordinator.views.values()
        ]
        return f"{ssps} {views} leaving {self.coordinator.views_leaving}"

    def assert_written(self) -> None:
        for key in self.coordinator.views:
            assert self.database.edges.get(ViewKey(key.id), {}) == self.members(key.id), key
        for key, edges in self.database.edges.items():
            assert told.ViewKey(key.id) in self.coordinator.views or not edges, f"{key.id} left its edges behind"


def written(process: Process) -> int:
    return min(process.owed.written_seq, process.engine.arrived_seq)


def _member(table: str, row: replication_pb2.Row) -> MemberChange:
    return MemberChange(RecordId(table, unpack(row.key)), row.seq)
