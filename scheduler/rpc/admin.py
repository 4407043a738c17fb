"""What operators and the gateway ask: status with the documented names, and the barrier."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from grpc import aio
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc
from sp00ky.scheduler.capture.progress import PROGRESS_META, progress_of
from sp00ky.scheduler.commit import now_ms
from sp00ky.scheduler.rpc.dead_letters import dropped_letters, listed_letters, retried_letters, shown_letter
from sp00ky.scheduler.rpc.measures import distributions_of, measured
from sp00ky.scheduler.rpc.membership import drained, membership_metrics, resynced, ssp_status
from sp00ky.scheduler.rpc.replica import collected_garbage, replica_status

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver

VERSION = version("sp00ky-mesh")


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    def __init__(self, driver: SchedulerDriver) -> None:
        self._driver = driver

    async def GetStatus(
        self, request: admin_pb2.GetStatusRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.GetStatusResponse:
        driver, store, coordinator = self._driver, self._driver.store, self._driver.coordinator
        captured = driver.captured
        progress = progress_of(store.meta(PROGRESS_META))
        names = sorted({*store.tables(), *captured})
        tables = [admin_pb2.TableStatus(name=name, rows=store.count(name), captured=name in captured) for name in names]
        return admin_pb2.GetStatusResponse(
            service="scheduler",
            id=driver.settings.scheduler_id,
            state=driver.state,
            version=VERSION,
            uptime_seconds=driver.uptime_seconds,
            store_id=store.store_id,
            epoch=driver.epoch,
            head_seq=coordinator.durable_seq,
            captured_stamp=progress.stamp if progress is not None else 0,
            ssps=[ssp_status(driver, member, now_ms()) for member in coordinator.ssps.values()],
            tables=[table for table in tables if not table.name.startswith("_00_")],
            views=len(coordinator.views),
            namespace=driver.settings.db_ns,
            database=driver.settings.db_name,
            metrics=self._metrics(),
            detail=self._detail(),
            grpc_address=driver.grpc_address,
            distributions=distributions_of(driver),
            lag=driver.probe.status() if driver.probe is not None else None,
            backends=driver.backends.status(),
        )

    def _detail(self) -> str:
        driver = self._driver
        if driver.committer.failure is not None:
            return str(driver.committer.failure)
        lost = driver.capture.lost if driver.capture is not None else ""
        if driver.state == "cloning":
            return f"the database cannot be read: {lost}" if lost else "the database is being cloned"
        note = driver.capture.note if driver.capture is not None else ""
        return f"changes are not captured: {lost}" if lost else note

    def _metrics(self) -> dict[str, float]:
        driver, committer = self._driver, self._driver.committer
        coordinator, store = committer.coordinator, driver.store
        capture = driver.capture
        acked = [member.progress.acked_seq for member in coordinator.ssps.values()]
        return {
            "total_ssps": len(coordinator.ssps),
            "ready_ssps": len(coordinator.ready_ssps()),
            "total_queries": len(coordinator.views),
            "pending_events": committer.room.changes,
            **committer.room.metrics(),
            "snapshot_seq": coordinator.durable_seq,
            "latest_seq": coordinator.head_seq,
            "lag": coordinator.durable_seq - min(acked, default=coordinator.durable_seq),
            "committed_changes": committer.committed_changes,
            **measured(driver),
            "floor_seq": store.floor_seq,
            "log_floor_seq": store.log_floor_seq,
            "lowest_needed_seq": coordinator.lowest_needed_seq(),
            "streams": len(committer.sessions),
            **membership_metrics(driver),
            **(capture.metrics if capture is not None else {"captured_changes": 0, "capture_connected": 0}),
            **driver.trees.metrics(),
            **(driver.audit.metrics if driver.audit is not None else {}),
            **(driver.publishing.metrics() if driver.publishing is not None else {}),
            "failed": float(committer.failure is not None),
            **driver.upkeep.metrics(),
            **driver.backends.figures.metrics(),
            **driver.observer.metrics(),
            **driver.call_metrics(),
        }

    async def GetReplica(
        self, request: admin_pb2.GetReplicaRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.GetReplicaResponse:
        return replica_status(self._driver)

    async def CollectGarbage(
        self, request: admin_pb2.CollectGarbageRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.CollectGarbageResponse:
        return await collected_garbage(self._driver)

    async def DrainSsp(
        self, request: admin_pb2.DrainSspRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.DrainSspResponse:
        return await drained(self._driver, request)

    async def ResyncSsps(
        self, request: admin_pb2.ResyncSspsRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.ResyncSspsResponse:
        return await resynced(self._driver, request)

    async def Barrier(
        self, request: admin_pb2.BarrierRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.BarrierResponse:
        seq = await self._driver.barrier()
        return admin_pb2.BarrierResponse(revision=self._driver.token(seq), seq=seq)

    async def ListDeadLetters(
        self, request: admin_pb2.ListDeadLettersRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.ListDeadLettersResponse:
        return listed_letters(self._driver, request)

    async def GetDeadLetter(
        self, request: admin_pb2.GetDeadLetterRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.GetDeadLetterResponse:
        return shown_letter(self._driver, request.id)

    async def RetryDeadLetter(
        self, request: admin_pb2.RetryDeadLetterRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.RetryDeadLetterResponse:
        return await retried_letters(self._driver, request.id)

    async def DropDeadLetter(
        self, request: admin_pb2.DropDeadLetterRequest, context: aio.ServicerContext[object, object]
    ) -> admin_pb2.DropDeadLetterResponse:
        return await dropped_letters(self._driver, request.id)
