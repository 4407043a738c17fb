"""Every check of a deployment, in the order in which one would look: host, database, running mesh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sp00ky.deploy.doctor.finding import Finding, fail, ok
from sp00ky.deploy.doctor.host import directory_findings, port_findings, secret_findings, upkeep_findings
from sp00ky.deploy.doctor.mesh import entities_at, mesh_findings
from sp00ky.deploy.doctor.source import source_findings
from sp00ky.deploy.environment import load_service
from sp00ky.gateway.config import GatewaySettings
from sp00ky.proto.faults import Fault
from sp00ky.proto.settings import Loaded, MeshSettings
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings


async def examine(stated: Mapping[str, Any], config: Path | None, url: str, secret: str, version: str) -> list[Finding]:
    """What was found; changes nothing. `stated`: settings given as flags. `url`, `secret`: of the running mesh."""
    try:
        scheduler = load_service(SchedulerSettings, stated, config)
        others: dict[str, tuple[Loaded[MeshSettings], tuple[str, ...]]] = {
            "scheduler": (scheduler, ("listen_addr", "grpc_addr")),
            "ssp": (load_service(SspSettings, {}, config), ("listen_addr", "grpc_addr")),
            "gateway": (load_service(GatewaySettings, {}, config), ("listen_addr",)),
        }
    except Fault as fault:
        return [fail("settings", fault.message, fault.hint or "see `spky config show`")]
    findings = [ok("settings", "every name is known"), *directory_findings(scheduler.settings)]
    findings += [*upkeep_findings(scheduler.settings, url), *secret_findings(others)]
    findings += port_findings(scheduler, bool(entities_at(url)), entities_at)
    findings += await source_findings(scheduler.settings)
    return [*findings, *mesh_findings(url, secret or scheduler.settings.auth_secret, version)]
