"""Registering, attached to its scheduler: to the settings, the committer, and the capture that tells of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sp00ky.proto.database import Database
from sp00ky.scheduler.registering.registering import Registering

if TYPE_CHECKING:
    from sp00ky.scheduler.capture.capture import Capture
    from sp00ky.scheduler.driver import SchedulerDriver

UNTOLD_SECONDS: Final = 2  # between two readings of all rows, where changes are captured by events: none are told


def registering(driver: SchedulerDriver, database: Database, capture: Capture) -> Registering:
    """Of this scheduler, told by its capture; to be run."""
    settings = driver.settings
    sweep_secs = settings.ttl_cleanup_interval_secs
    found = Registering(
        database,
        driver.committer,
        sweep_secs=min(sweep_secs, UNTOLD_SECONDS) if settings.capture == "events" else sweep_secs,
        per_user_max=settings.row_views_per_user_max,
        is_ready=lambda: driver.state == "ready",
        prepare=driver.prepare,
    )
    capture.offering.on_queries, capture.offering.on_doubt = found.told, found.doubt
    return found
