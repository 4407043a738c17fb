"""One seeded world: the mesh, its database, its users and its misfortunes; safety first, then progress.

    with World(seed) as world:
        world.run(steps)      # faults and users; every checker on
        world.settle()        # faults end; within SETTLE_S everything must be well, and stay so

The mesh is the product: drivers, coordinator, engine, capture, edge writer and RPC faces run as they are, each process
on a loop of its own (`kernel.py`). Simulated are the network, the disk, the database, the clocks.
"""

from __future__ import annotations

import gc
from collections import Counter
from types import TracebackType

from sp00ky.proto.revision import Epoch, Revision, Seq
from sp00ky.proto.v1 import views_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.engine.ready import Ready

from tests.simulation import judgement
from tests.simulation.applications import Applications
from tests.simulation.chaos import Chaos
from tests.simulation.connection import Troubles
from tests.simulation.disk import Disk
from tests.simulation.hosts import Host, SchedulerHost, SspHost
from tests.simulation.kernel import Kernel, ProcessLoop, Violation
from tests.simulation.rest import why_not_well
from tests.simulation.streams import Stream
from tests.simulation.substitutes import surroundings
from tests.simulation.surreal import ModelSurreal
from tests.simulation.views import CAPTURED, Query
from tests.simulation.wire import Network
from tests.simulation.witness import Witness

SSPS = ("ssp-1", "ssp-2", "ssp-3")
SETTLE_S = 40.0
QUIET_S = 0.7
NOTICE_S = 0.5


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.kernel = Kernel(seed)
        self.network = Network(self.kernel)
        self.surreal = ModelSurreal(self.kernel, CAPTURED, "test")
        self.troubles = Troubles()
        self.witness = Witness()
        self.disk = Disk(self.kernel, self.witness.durable)
        self.disk.on_append = self.check_queues
        self.phases: Counter[str] = Counter()  # what was reached, for the coverage
        parts = (self.kernel, self.network, self.surreal, self.troubles)
        self.schedulers = [SchedulerHost(*parts, name, disk=self.disk) for name in ("scheduler-a", "scheduler-b")]
        self.active = self.schedulers[0]
        for scheduler in self.schedulers:
            scheduler.is_active = lambda host=scheduler: self.active is host  # type: ignore[misc]
        self.ssps = [SspHost(*parts, name, told=self._told) for name in SSPS]
        self.users = ProcessLoop(self.kernel, "users")
        self.applications = Applications(self)
        self.chaos = Chaos(self)
        self.views_of: dict[str, SchedulerHost] = {}  # caller → the scheduler it still takes for the right one
        self.network.resolve = self._resolve
        self.network.observers.append(self._observe)
        self._surroundings = surroundings(self.kernel, self.network)
        self._applied: dict[ProcessLoop, int] = {}
        self.expected: dict[str, tuple[int, dict[str, int]]] = {}  # view → head, edges
        self._sampled = 0
        self._sent: dict[Stream, int] = {}  # the last entry on each

    # --- life ---

    def __enter__(self) -> World:
        gc.disable()
        self._surroundings.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kernel.end()
        self._surroundings.__exit__(kind, error, traceback)
        gc.enable()

    @property
    def hosts(self) -> list[Host]:
        return [*self.schedulers, *self.ssps]

    def run(self, steps: int) -> None:
        """Start everything, and let it suffer for `steps` turns of processes."""
        self.active.start()
        for host in self.ssps:
            self.kernel.after(self.kernel.random.random() * 0.5, host.start)
        self.users.spawn(self.applications.run())
        self.chaos.begin()
        self.kernel.after(NOTICE_S, self._notice)
        while self.kernel.turns < steps:
            self.kernel.advance()

    def settle(self) -> None:
        """Faults end. Within SETTLE_S everything acknowledged is visible, every view owned and right, and stays so for
        QUIET_S: views may still move between living SSPs before."""
        self.chaos.end()
        self.applications.busy = False
        self.applications.choose_kept()
        self.users.spawn(self.applications.settle())
        pauses = [host.process.paused_until for host in self.hosts if host.process is not None]
        deadline = max(self.kernel.now, *pauses) + SETTLE_S
        well_since = None
        while well_since is None or self.kernel.now - well_since < QUIET_S:
            self._advance_for(0.25)
            why = why_not_well(self)
            if why and self.kernel.now > deadline:
                raise Violation(f"no progress {SETTLE_S:g} s after the last fault: {why}")
            well_since = None if why else well_since or self.kernel.now

    def reached(self) -> Counter[str]:
        """How often everything came up."""
        found = Counter(dict.fromkeys(self.chaos.kinds, 0))
        found.update(self.chaos.counts)
        found.update(self.network.counts)
        found.update(self.phases)
        found.update({f"entry {name}": count for name, count in self.witness.commands.items()})
        found["edge transactions"] = self.surreal.edge_transactions
        found["late writes refused"] = self.surreal.refused_late
        found["appends lost"] = self.disk.lost_appends
        found["appends refused"] = self.disk.refused
        found["versions collected"] = self.disk.collected
        found["entries trimmed"] = self.disk.trimmed
        return found

    def _advance_for(self, seconds: float) -> None:
        until = self.kernel.now + seconds
        while self.kernel.now < until:
            self.kernel.advance()

    def _notice(self) -> None:
        self.check_bounds()
        self.kernel.after(NOTICE_S, self._notice)

    def _resolve(self, caller: str, name: str) -> str:
        if name != "scheduler":
            return name
        return self.views_of.get(caller, self.active).name

    def fail_over(self) -> None:
        """Another scheduler is started on the same data; who knows the old one learns of it one by one."""
        old = self.active
        new = self.schedulers[1 - self.schedulers.index(old)]
        new.stop()
        self.views_of = {caller: old for caller in (*SSPS, "users") if self.kernel.random.random() < 0.7}
        for caller in list(self.views_of):
            self.kernel.after(self.kernel.random.random() * 5.0, self.views_of.pop, caller, None)
        self.active = new
        new.start()

    def token(self, seq: int) -> str:
        return str(Revision(self.disk.store.store_id, Epoch(self.epoch), Seq(seq)))

    @property
    def epoch(self) -> int:
        driver = self.active.driver
        return int(driver.epoch) if driver is not None else 1

    # --- checkers ---

    def _observe(self, stream: Stream, sender: str, receiver: str, message: object) -> None:
        """What a scheduler sends to an SSP must be durable, and on each stream without a gap."""
        which = getattr(message, "WhichOneof", None)
        if which is None or not sender.startswith("scheduler") or not receiver.startswith("ssp"):
            return
        frame = which("frame")
        self.phases[f"frame {frame}"] += 1
        if frame == "entries":
            entries = message.entries.entries  # type: ignore[attr-defined]
            self.witness.shown(entries[-1].seq, "a frame of entries")
            if entries[0].seq > self._sent.get(stream, 0) + 1:
                raise self._seen(f"{receiver} was sent {entries[0].seq} after {self._sent.get(stream, 0)}")
            self._sent[stream] = entries[-1].seq
        elif frame == "welcome":
            welcome = message.welcome  # type: ignore[attr-defined]
            self.phases["welcome resume" if welcome.resume else "welcome snapshot"] += 1
            self.witness.shown(welcome.at_seq, "a welcome")
            self._sent[stream] = welcome.at_seq
        elif frame == "checkpoint":
            self.witness.shown(message.checkpoint.head_seq, "a checkpoint")  # type: ignore[attr-defined]

    def _told(self, host: SspHost, ready: Ready) -> None:
        try:
            self._check_step(host, ready)
        except Violation as violation:
            raise self._seen(violation) from None

    def _seen(self, what: Violation | str) -> Violation:
        """Whatever the product makes of it, the world has seen it."""
        violation = what if isinstance(what, Violation) else Violation(what)
        self.kernel.errors.append(violation)
        return violation

    def _check_step(self, host: SspHost, ready: Ready) -> None:
        driver, process = host.driver, host.process
        if driver is None or process is None or not driver.engine.loaded:
            return
        applied = driver.engine.applied_seq
        if not self.witness.is_last(applied):
            raise Violation(f"{host.name} has applied up to {applied}, which is inside a transaction or not durable")
        if ready.loaded:
            self._applied.pop(process, None)
        if applied < self._applied.get(process, 0):
            raise Violation(f"{host.name} went back from {self._applied[process]} to {applied}")
        self._applied[process] = applied
        if ready.frames or ready.loaded or ready.hydrated:
            judgement.check_replica(host.name, driver.engine, self.witness)
            self._sampled += 1
            if self._sampled % 4 == 0:
                judgement.check_a_view(host.name, driver.engine, self.witness, self._sampled // 4)

    def check_barrier(self, before: dict[RecordId, tuple[float, int]], seq: int) -> None:
        self.phases["barrier"] += 1
        judgement.check_barrier(self.surreal, self.witness, before, seq)

    def check_read(self, query: Query, answer: views_pb2.GetViewResponse, floor: int) -> None:
        self.phases["read"] += 1
        judgement.check_read(self.witness, query, answer, floor)

    def check_queues(self) -> None:
        for scheduler in self.schedulers:
            if scheduler.serving is not None:
                judgement.check_scheduler_bounds(scheduler.serving)

    def check_bounds(self) -> None:
        for scheduler in self.schedulers:
            driver = scheduler.serving
            if driver is not None:
                for member in driver.coordinator.ssps.values():
                    self.phases[f"phase {member.phase}"] += 1
        for host in self.ssps:
            if host.driver is not None:
                for reading in host.driver.engine.views():
                    self.phases[f"view {reading.state}"] += 1
