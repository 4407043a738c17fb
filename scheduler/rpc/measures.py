"""What a scheduler's status says of its durations: of the log, of SurrealDB, of the way through the mesh."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Fault
from sp00ky.proto.measured import connection_metrics, request_distributions
from sp00ky.proto.v1 import admin_pb2, common_pb2

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver


def measured(driver: SchedulerDriver) -> dict[str, float]:
    committer = driver.committer
    return {
        "appended_entries": committer.appended_entries,
        "commits": committer.commits,
        "oldest_unapplied_seconds": _oldest_unapplied_seconds(driver),
        **(driver.probe.metrics() if driver.probe is not None else {}),
        **(driver.registering.metrics() if driver.registering is not None else {}),
        **connection_metrics(_databases(driver)),
    }


def distributions_of(driver: SchedulerDriver) -> list[admin_pb2.Distribution]:
    return [
        driver.committer.fsync_seconds.message("spky_wal_fsync_duration_seconds"),
        *(driver.probe.distributions() if driver.probe is not None else ()),
        *request_distributions(_databases(driver)),
    ]


def _databases(driver: SchedulerDriver) -> list[Database]:
    return [driver.database] if driver.database is not None else []


def _oldest_unapplied_seconds(driver: SchedulerDriver) -> float:
    """By the clock that the entry was stamped with, so only as good as that clock is steady."""
    coordinator = driver.coordinator
    acked = min((member.progress.acked_seq for member in coordinator.ssps.values()), default=coordinator.durable_seq)
    if acked >= coordinator.durable_seq:
        return 0.0
    try:
        [oldest, *_] = driver.store.log(acked, 1)
    except Fault:
        return 0.0  # it is no longer retained: that SSP loads anew
    return max(0.0, time.time() - common_pb2.Entry.FromString(oldest).at_ms / 1000)
