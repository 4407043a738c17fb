"""What operators ask of the store: what it holds, and one run of its garbage collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sp00ky.proto.v1 import admin_pb2
from sp00ky.scheduler.datastore.migrations import head_revision

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver


def replica_status(driver: SchedulerDriver) -> admin_pb2.GetReplicaResponse:
    """Reads sizes of files; not for every second."""
    store = driver.store
    stats = store.stats()
    return admin_pb2.GetReplicaResponse(
        engine=store.engine,
        store_id=store.store_id,
        schema_revision=head_revision(),
        head=driver.token(store.synced_seq),
        floor=driver.token(store.floor_seq),
        log_floor_seq=store.log_floor_seq,
        log_entries=stats.log_entries,
        log_bytes=stats.log_bytes,
        disk_bytes=stats.disk_bytes,
        tables=[
            admin_pb2.TableStatus(name=name, rows=store.count(name), captured=name in driver.captured)
            for name in store.tables()
        ],
        pins=[admin_pb2.PinStatus(owner=pin.owner, at_seq=pin.at, ttl_ms=pin.ttl_ms) for pin in store.pins()],
        snapshots=[
            admin_pb2.SnapshotStatus(name=info.name, head_seq=info.head_seq, at_ms=info.at_ms, bytes=info.size)
            for info in store.snapshots()
        ],
        metrics={"rows": stats.rows, "versions": stats.versions, **driver.upkeep.metrics()},
    )


async def collected_garbage(driver: SchedulerDriver) -> admin_pb2.CollectGarbageResponse:
    """One run, of as long as one run may take. Raises Fault DISK_FULL, DATA_LOSS."""
    run = await driver.upkeep.collect()
    store = driver.store
    return admin_pb2.CollectGarbageResponse(
        versions=run.versions,
        log_entries=run.log_entries,
        floor=driver.token(store.floor_seq),
        log_floor_seq=store.log_floor_seq,
        seconds=run.seconds,
    )
