"""The machines of the mesh: each runs one process of the product at a time, and starts a new one when it has died."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.driver import SchedulerDriver
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.driver import SspDriver
from sp00ky.ssp.engine.ready import Ready

from tests.simulation.connection import SimDatabase, Troubles
from tests.simulation.disk import Disk
from tests.simulation.kernel import Kernel, ProcessLoop, Violation
from tests.simulation.surreal import ModelSurreal
from tests.simulation.wire import Network

HEARTBEAT_MS = 1_000
TIMEOUT_MS = 3_000
INGEST_QUEUE_MAX = 24
LAG_ENTRIES_MAX = 40
CAPTURE_POLL_MS = 200
WINDOW_MS = 100
PAGE_ROWS = 2


class Host:
    """`process`: the one that runs, or ran last."""

    def __init__(self, kernel: Kernel, network: Network, surreal: ModelSurreal, troubles: Troubles, name: str) -> None:
        self.kernel, self.network, self.surreal, self.troubles, self.name = kernel, network, surreal, troubles, name
        self.process: ProcessLoop | None = None
        self.connections: list[SimDatabase] = []
        self.wanted = False  # a process that ends is started again
        self.loses_power = False  # with the process that dies next
        self.on_power_loss: Callable[[], None] = lambda: None
        self.starts = 0

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.alive

    def start(self) -> None:
        if self.is_alive:
            return
        self.wanted = True
        self.starts += 1
        process = self.process = ProcessLoop(self.kernel, self.name)
        process.on_failure = self._failed
        process.on_death = self._died
        self.connections = []
        process.spawn(self.run())

    async def run(self) -> None:
        """The process, until it fails."""
        raise NotImplementedError

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def _died(self, process: ProcessLoop) -> None:
        """By our hand or its own."""
        self.network.fell_silent(process)
        if self.loses_power:
            self.loses_power = False
            self.on_power_loss()
        elif self.wanted and process is self.process:
            self.kernel.after(0.2 + self.kernel.random.random(), self._start_again)

    def stop(self) -> None:
        """Kill it, and keep it down."""
        self.wanted = False
        self.kill()

    def restart(self, after_s: float) -> None:
        """Kill it, and start it again after that."""
        self.stop()
        self.kernel.after(after_s, self.start)

    def _start_again(self) -> None:
        if self.wanted and not self.is_alive:
            self.start()

    def _failed(self, error: BaseException) -> None:
        self.kernel.errors.append(error)

    def connection(self) -> SimDatabase:
        assert self.process is not None
        made = SimDatabase(self.network, self.surreal, self.troubles, self.process)
        self.connections.append(made)
        return made


class SchedulerHost(Host):
    def __init__(self, *args: Any, disk: Disk) -> None:
        super().__init__(*args)
        self.disk = disk
        self.driver: SchedulerDriver | None = None
        self.drift_s = self.kernel.random.choice((0, 0, 2))  # what drift mends must be right without it, too
        self.window_s = self.kernel.random.choice((0, 1, 1))
        self.is_active: Callable[[], bool] = lambda: True  # else another is the scheduler now

    def start(self) -> None:
        if self.is_active():
            super().start()

    async def run(self) -> None:
        settings = SchedulerSettings(
            scheduler_id=self.name,
            grpc_addr=f"{self.name}:9668",
            db_ns="test",
            db_name="test",
            heartbeat_interval_ms=HEARTBEAT_MS,
            heartbeat_timeout_ms=TIMEOUT_MS,
            bootstrap_timeout_secs=8,
            max_buffer_per_ssp=LAG_ENTRIES_MAX,
            revision_quantization_ms=500,
            move_views_inflight_max=2,
            replica_gc_window_secs=self.window_s,
            drift_check_interval_secs=self.drift_s,
            lag_probe_interval_ms=0,  # the model database knows no such statement
            merkle_write_interval_secs=0,  # nor that
            replica_gc_interval_secs=1,
            replica_log_max_age_secs=2,
            snapshot_update_interval_secs=5,
            capture_poll_ms=CAPTURE_POLL_MS,
            ingest_queue_max=INGEST_QUEUE_MAX,
        )
        driver = self.driver = SchedulerDriver(settings, self.disk.opened(), self.connection())  # type: ignore[arg-type]
        process = self.process
        try:
            await driver.start()
            await driver.failed.wait()
            fault = driver.committer.failure
        except Fault as refused:
            fault = refused
        if fault is not None and fault.code is Code.INTERNAL and "fsync" not in fault.message:
            raise Violation(f"{self.name}: its commit loop ended: {fault.message}")
        assert fault is not None
        self.network.count(f"scheduler ended: {fault.code}")
        if fault.code is Code.FENCED:
            self.kernel.after(0.0, self.stop)  # another has taken over
        elif self.process is process:
            self.kernel.after(0.0, self.restart, 0.3)

    @property
    def serving(self) -> SchedulerDriver | None:
        """Its driver, once it has started."""
        started = self.is_alive and self.driver is not None and self.driver._committer is not None
        return self.driver if started else None

    def _died(self, process: ProcessLoop) -> None:
        super()._died(process)
        if process is self.process:
            self.driver = None


class SspHost(Host):
    """`told`: called after each step of its engine, with what it carried out."""

    def __init__(self, *args: Any, told: Callable[[SspHost, Ready], None]) -> None:
        super().__init__(*args)
        self.driver: SspDriver | None = None
        self._told = told

    async def run(self) -> None:
        settings = SspSettings(
            ssp_id=self.name,
            grpc_addr=f"{self.name}:8668",
            scheduler_url="http://scheduler:9667",
            heartbeat_interval_ms=HEARTBEAT_MS,
            query_update_throttle_ms=WINDOW_MS,
            bootstrap_page_size=PAGE_ROWS,
            view_audit_interval_ms=0,  # the model database knows no such statement
        )
        driver = self.driver = SspDriver(
            settings,
            self.connection(),  # type: ignore[arg-type]
            queries=self.connection(),  # type: ignore[arg-type]
            scheduler_address="scheduler:9668",
            on_step=lambda ready: self._told(self, ready),
        )
        await driver.listen()
        await driver.start()
        await driver.failed.wait()

    def _died(self, process: ProcessLoop) -> None:
        super()._died(process)
        if process is self.process:
            self.driver = None
