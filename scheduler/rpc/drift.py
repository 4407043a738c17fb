"""`AdminService.CheckDrift`: the replica compared with SurrealDB now; see `capture/drift.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sp00ky.proto.v1 import admin_pb2

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver


async def checked_drift(driver: SchedulerDriver, request: admin_pb2.CheckDriftRequest) -> admin_pb2.CheckDriftResponse:
    """Raises Fault NOT_FOUND, NOT_READY, UNAVAILABLE. Without a database there is nothing to compare with."""
    driver.require_ready()
    found = await driver.drift.check(request.tables, repair=request.repair) if driver.drift is not None else []
    return admin_pb2.CheckDriftResponse(
        tables=[
            admin_pb2.TableDrift(
                name=each.name,
                database_rows=each.database_rows,
                replica_rows=each.replica_rows,
                differing=each.differing,
                repaired=each.repaired,
            )
            for each in found
        ],
        revision=driver.token(driver.coordinator.durable_seq),
    )
