"""A scheduler and one SSP in this process, over a database that has the mesh's tables: the smallest whole mesh."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.driver import SspDriver
from sp00ky.ssp.rpc.crdt import serve_crdt

from tests.harness.eventually import eventually
from tests.harness.scheduler import Scheduler


@dataclass(frozen=True)
class SmallMesh:
    scheduler: Scheduler
    ssp: SspDriver
    ssp_address: str  # of its gRPC


@contextlib.asynccontextmanager
async def small_mesh(
    database: Database,
    own: Database,
    *,
    store: Datastore | None = None,
    of_scheduler: Mapping[str, object] | None = None,
    **ssp_settings: object,
) -> AsyncIterator[SmallMesh]:
    """`own`: the SSP's connection to the same database. `store`: the scheduler's, which closes it; `of_scheduler`: its
    settings."""
    await install(database)
    async with Scheduler(store or MemoryDatastore(), database, **(of_scheduler or {})) as scheduler:
        stated = {"ssp_id": "ssp-1", "grpc_addr": "127.0.0.1:0", "query_update_throttle_ms": 0, **ssp_settings}
        ssp = SspDriver(SspSettings.model_validate(stated), own, scheduler_address=scheduler.address)
        collaboration = serve_crdt(ssp.settings, own, ssp)
        address = await ssp.start()
        collaboration.start()
        try:
            await eventually(scheduler.driver.coordinator.ready_ssps, 20, what="ready ssp")
            yield SmallMesh(scheduler, ssp, address)
        finally:
            await collaboration.stop()
            await ssp.stop()
