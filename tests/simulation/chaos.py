"""What goes wrong, how long, and that it ends. Every misfortune is drawn from the world's one source of chance.

A misfortune is a method named `_…`; `KINDS` gives its weight. Several may be on at once. `end` puts everything right:
from then on nothing but what has already happened can be blamed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.connection import SURREAL
from tests.simulation.hosts import Host, SchedulerHost, SspHost

if TYPE_CHECKING:
    from tests.simulation.world import World

PAUSE_S = 1.1  # mean time between two misfortunes
SCHEDULER_FAILPOINTS = ("wal.before_append", "wal.before_fsync", "wal.after_fsync", "bcast.before", "bcast.frame")
SSP_FAILPOINTS = (
    "ssp.entries",
    "ssp.page",
    "ssp.ready",
    "ssp.loaded",
    "edges.before_write",
    "edges.after_commit",
)


class Chaos:
    def __init__(self, world: World) -> None:
        self._world = world
        self._kernel, self._network = world.kernel, world.network
        self.counts: Counter[str] = Counter()
        self._on = False
        self._kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "scheduler killed": (2, self._kill_scheduler),
            "scheduler killed at a failpoint": (4, self._kill_scheduler_at),
            "power loss": (4, self._lose_power),
            "torn write": (0, self._lose_power),
            "ssp killed": (3, self._kill_ssp),
            "ssp killed at a failpoint": (4, self._kill_ssp_at),
            "ssp gone for long": (3, self._lose_ssp),
            "ssp paused": (5, self._pause_ssp),
            "scheduler paused": (2, self._pause_scheduler),
            "every ssp paused": (3, self._pause_everyone),
            "partition": (3, self._partition),
            "one-way partition": (4, self._cut_one_way),
            "database cut off": (3, self._cut_database),
            "database down": (2, self._database_down),
            "lossy network": (4, self._lossy),
            "slow network": (2, self._slow),
            "slow disk": (3, self._slow_disk),
            "disk full": (3, self._fill_disk),
            "fsync fails": (1, self._fail_fsync),
            "database clock jumps": (2, self._jump_database_clock),
            "wall clock jumps": (1, self._jump_wall_clock),
            "edge writes late": (4, self._late),
            "conflicts and refusals": (3, self._conflicts),
            "second scheduler": (3, self._second_scheduler),
            "drain": (4, self._drain),
            "scheduler killed in a hand-over": (4, self._kill_scheduler_in_handover),
            "resync": (1, self._resync),
            "flood": (2, self._flood),
        }
        self._names = [name for name, (weight, _) in self._kinds.items() if weight]
        self._weights = [self._kinds[name][0] for name in self._names]

    @property
    def kinds(self) -> list[str]:
        return list(self._kinds)

    # --- beginning and end ---

    def begin(self) -> None:
        self._on = True
        self._kernel.after(0.7 + self._kernel.random.random(), self._next)

    def _next(self) -> None:
        if not self._on:
            return
        random = self._kernel.random
        (name,) = random.choices(self._names, self._weights)
        self.counts[name] += 1
        self._kinds[name][1]()
        self._kernel.after(random.expovariate(1 / PAUSE_S), self._next)

    def end(self) -> None:
        """Nothing goes wrong any more, everything runs, or will when its pause is over."""
        world = self._world
        self._on = False
        world.troubles.clear()
        world.views_of.clear()
        self._database_up()
        self._mend_disk()
        self._network.heal()
        for host in world.hosts:
            host.loses_power = False
            if host.process is not None:
                host.process.armed_failpoint = ""
        for scheduler in world.schedulers:
            if scheduler is not world.active:
                scheduler.stop()
        for host in (world.active, *world.ssps):
            host.start()
        self.counts["torn write"] += world.disk.torn

    def _for(self, seconds: float, undo: Callable[[], None]) -> None:
        self._kernel.after(seconds * (0.3 + self._kernel.random.random()), self._maybe, undo)

    def _maybe(self, undo: Callable[[], None]) -> None:
        if self._on:
            undo()

    def _ssp(self) -> SspHost:
        return self._kernel.random.choice(self._world.ssps)

    @property
    def _scheduler(self) -> SchedulerHost:
        return self._world.active

    # --- processes ---

    def _kill_scheduler(self) -> None:
        self._scheduler.restart(self._kernel.random.random() * 2.0)

    def _kill_scheduler_at(self) -> None:
        self._arm(self._scheduler, SCHEDULER_FAILPOINTS)

    def _lose_power(self) -> None:
        """The scheduler's machine goes, at once or with what it is about to write."""
        scheduler, random = self._scheduler, self._kernel.random
        if random.random() < 0.3:
            self._power_is_gone()
        elif scheduler.process is not None and scheduler.is_alive:
            scheduler.loses_power = True
            scheduler.on_power_loss = self._power_is_gone
            scheduler.process.armed_failpoint = random.choice(("wal.before_append", "wal.before_fsync"))
            if random.random() < 0.5:
                scheduler.process.armed_failpoint = ""
                self._world.disk.fsync_s = 1.5
                self._kernel.after(random.random() * 1.5, scheduler.process.kill)
                self._for(1.0, self._mend_disk)

    def _power_is_gone(self) -> None:
        """One that still believes to be the scheduler was on the same disk."""
        world = self._world
        for scheduler in world.schedulers:
            scheduler.stop()
        world.disk.lose_power()
        world.witness.check_log(world.disk.store.log_all(), world.disk.store.log_floor_seq)
        self._kernel.after(self._kernel.random.random() * 2.0, world.active.start)

    def _kill_ssp(self) -> None:
        self._ssp().restart(self._kernel.random.random())

    def _kill_ssp_at(self) -> None:
        self._arm(self._ssp(), SSP_FAILPOINTS)

    def _arm(self, host: Host, names: tuple[str, ...]) -> None:
        if host.process is not None:
            host.process.armed_failpoint = self._kernel.random.choice(names)

    def _lose_ssp(self) -> None:
        self._ssp().restart(2.0 + self._kernel.random.random() * 5.0)

    def _pause_ssp(self) -> None:
        self._pause(self._ssp(), 7.0)

    def _pause_scheduler(self) -> None:
        self._pause(self._scheduler, 4.0)

    def _pause(self, host: Host, seconds_max: float) -> None:
        random = self._kernel.random
        if host.process is not None and host.is_alive and host.process.paused_until < self._kernel.now:
            host.process.pause(random.random() * seconds_max, counts=random.random() < 0.7)

    def _pause_everyone(self) -> None:
        """Longer than leases; and the scheduler is another when they wake up, one after the other."""
        random = self._kernel.random
        for host in self._world.ssps:
            if host.process is not None and host.is_alive:
                host.process.pause(3.5 + random.random() * 4.0, counts=random.random() < 0.7)
        self._kernel.after(3.2 + random.random(), self._maybe, lambda: self._scheduler.restart(0.2))

    def _second_scheduler(self) -> None:
        self._world.fail_over()

    # --- operators and users ---

    def _drain(self) -> None:
        ssp, applications = self._ssp().name, self._world.applications
        applications.drained[ssp] = None
        self._world.users.spawn(applications.during(applications.drain(ssp, undo=False)))
        if self._kernel.random.random() < 0.6:
            self._for(2.0, lambda: self._undrain(ssp))

    def _kill_scheduler_in_handover(self) -> None:
        """Views are moving when the scheduler goes, and with it perhaps one of the two owners."""
        random = self._kernel.random
        self._drain()
        self._kernel.after(0.02 + random.random() * 0.4, self._maybe, lambda: self._scheduler.restart(0.2))
        if random.random() < 0.5:
            self._kernel.after(0.02 + random.random() * 0.6, self._maybe, self._pause_ssp)

    def _undrain(self, ssp: str) -> None:
        applications = self._world.applications
        self._world.users.spawn(applications.during(applications.drain(ssp, undo=True)))

    def _resync(self) -> None:
        ssp = self._kernel.random.choice((self._ssp().name, ""))
        self._world.users.spawn(self._world.applications.during(self._world.applications.resync(ssp)))

    def _flood(self) -> None:
        if self._kernel.random.random() < 0.5:
            self._slow_disk()
        self._world.users.spawn(self._world.applications.during(self._world.applications.flood()))

    # --- network ---

    def _cut(self, sender: str, receiver: str, seconds: float) -> None:
        self._network.cut_off(sender, receiver)
        self._for(seconds, lambda: self._join(sender, receiver))

    def _join(self, sender: str, receiver: str) -> None:
        self._network.weather.cut.discard((sender, receiver))
        for stream in list(self._network.streams):
            if {sender, receiver} == stream.hosts:
                stream.release()

    def _partition(self) -> None:
        ssp, scheduler = self._ssp().name, self._scheduler.name
        self._cut(ssp, scheduler, 4.0)
        self._cut(scheduler, ssp, 4.0)

    def _cut_one_way(self) -> None:
        pair = [self._ssp().name, self._scheduler.name]
        self._kernel.random.shuffle(pair)
        self._cut(pair[0], pair[1], 4.0)

    def _cut_database(self) -> None:
        random = self._kernel.random
        host = random.choice((self._scheduler, self._ssp()))
        both = random.random() < 0.5
        if both or random.random() < 0.5:
            self._cut(host.name, SURREAL, 3.0)
        if both or random.random() < 0.5:
            self._cut(SURREAL, host.name, 3.0)

    def _lossy(self) -> None:
        weather = self._network.weather
        weather.lost_share, weather.broken_share = 0.1, 0.03
        self._for(3.0, self._calm)

    def _calm(self) -> None:
        weather = self._network.weather
        weather.lost_share = weather.broken_share = 0.0

    def _slow(self) -> None:
        """Messages take long; often somebody loads meanwhile."""
        weather = self._network.weather
        weather.slow_share, weather.slow_s = 0.5, 1.2
        self._for(3.0, self._fast)
        if self._kernel.random.random() < 0.7:
            self._kill_ssp()

    def _fast(self) -> None:
        weather = self._network.weather
        weather.slow_share, weather.slow_s = 0.02, 0.4

    # --- disk and database ---

    def _slow_disk(self) -> None:
        self._world.disk.fsync_s = 1.5
        self._for(3.0, self._mend_disk)

    def _fill_disk(self) -> None:
        self._world.disk.is_full = True
        self._for(1.5, self._mend_disk)

    def _fail_fsync(self) -> None:
        self._world.disk.fsync_fails = True
        self._for(0.5, self._mend_disk)

    def _mend_disk(self) -> None:
        disk = self._world.disk
        disk.is_full = disk.fsync_fails = False
        disk.fsync_s = 0.002

    def _database_down(self) -> None:
        self._world.surreal.is_up = False
        for host in self._world.hosts:
            for connection in host.connections:
                connection.drop()
        self._for(2.0, self._database_up)

    def _database_up(self) -> None:
        if not self._world.surreal.is_up:
            self._world.surreal.restarted()
        self._world.surreal.is_up = True

    def _late(self) -> None:
        self._world.troubles.late_share = 0.15
        self._for(3.0, self._punctual)

    def _punctual(self) -> None:
        self._world.troubles.late_share = 0.0

    def _conflicts(self) -> None:
        self._world.troubles.conflict_share, self._world.troubles.refused_share = 0.3, 0.1
        self._for(2.0, self._agree)

    def _agree(self) -> None:
        self._world.troubles.conflict_share = self._world.troubles.refused_share = 0.0

    # --- clocks ---

    def _jump_database_clock(self) -> None:
        """While the database runs its stamps count on; after it was started anew they may lie before the old ones."""
        random, surreal = self._kernel.random, self._world.surreal
        if random.random() < 0.5 and surreal.is_up:
            self._database_down()
        surreal.clock_offset += random.choice((3.0, 60.0, -10.0, -30.0))

    def _jump_wall_clock(self) -> None:
        host = self._kernel.random.choice(self._world.hosts)
        if host.process is not None:
            host.process.wall_offset += self._kernel.random.choice((-3_600.0, -5.0, 5.0, 3_600.0))
