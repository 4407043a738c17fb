"""Who runs where: the settings that a mesh on one machine states for each of its processes.

Addresses are decided here, once, so that a process that is started again is found where it was. A process gets its
settings as fields of its model: as flags of a child's command line, or directly in `spky dev`. Secrets are never among
them; they travel in the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sp00ky.deploy.compose import bind_address, ensure_directory, warn_of
from sp00ky.deploy.db.config import DbSettings
from sp00ky.deploy.environment import load_service
from sp00ky.deploy.ports import free_ports
from sp00ky.deploy.supervisor import ChildSpec
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.exposure import split_address
from sp00ky.proto.database import normalise_url
from sp00ky.proto.settings import Loaded, ProcessSettings
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings

PORT_STEP = 10  # between the default ports of two SSPs
FLAGS: Mapping[str, str] = {
    "listen_addr": "--listen",
    "grpc_addr": "--grpc",
    "advertise_addr": "--advertise",
    "scheduler_url": "--scheduler-url",
    "scheduler_id": "--id",
    "ssp_id": "--id",
    "db_ws": "--db",
    "db_ns": "--ns",
    "db_name": "--name",
    "data_dir": "--data-dir",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asked for."""

    ssps: int = 1
    ports_auto: bool = False
    data_dir: Path | None = None
    config: Path | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its name in the mesh, its service, and the fields stated for it."""

    name: str
    service: str
    fields: Mapping[str, str]

    def spec(self, config: Path | None) -> ChildSpec:
        flags = [word for field, value in self.fields.items() for word in (FLAGS[field], value)]
        return ChildSpec(self.name, ["serve", self.service, *flags, *(["--config", str(config)] if config else [])])


@dataclass(frozen=True, slots=True)
class Plan:
    db: Process | None
    db_ws: str
    scheduler: Process
    ssps: Sequence[Process]
    gateway: Process


def make_plan(wanted: Wanted) -> Plan:
    """Read all settings, so that a wrong one is told before anything runs, and decide every address. Raises Fault."""
    common = {"data_dir": wanted.data_dir}
    db = load_service(DbSettings, common, wanted.config)
    scheduler = load_service(SchedulerSettings, common, wanted.config)
    ssp = load_service(SspSettings, common, wanted.config)
    gateway = load_service(GatewaySettings, {}, wanted.config)
    everything: Sequence[Loaded[ProcessSettings]] = (db, scheduler, ssp, gateway)
    for loaded in everything:
        warn_of(loaded)
    settings = scheduler.settings
    next_port = _ports(4 + 2 * wanted.ssps) if wanted.ports_auto else None
    own_db = "db_ws" not in settings.model_fields_set
    db_listen = _address(db, "listen_addr", next_port) if own_db else ""
    db_ws = normalise_url(reachable(db_listen) if own_db else settings.db_ws)
    data = {"data_dir": str(ensure_directory(settings.data_dir))}
    source = {"db_ws": db_ws, "db_ns": settings.db_ns, "db_name": settings.db_name, **data}
    grpc = _address(scheduler, "grpc_addr", next_port)
    to_scheduler = {"scheduler_url": f"grpc://{reachable(grpc)}"}
    http = _address(scheduler, "listen_addr", next_port)
    known = settings.scheduler_id if "scheduler_id" in settings.model_fields_set else "scheduler-1"
    addresses = {"scheduler_id": known, "listen_addr": http, "grpc_addr": grpc}
    ssps = [_ssp(number, ssp, next_port, {**to_scheduler, **source}) for number in range(wanted.ssps)]
    listen = _address(gateway, "listen_addr", next_port)
    return Plan(
        Process("db", "db", {"listen_addr": db_listen, **data}) if own_db else None,
        db_ws,
        Process("scheduler", "scheduler", {**addresses, **source}),
        ssps,
        Process("gateway", "gateway", {"listen_addr": listen, **to_scheduler}),
    )


def _ssp(
    number: int, loaded: Loaded[SspSettings], next_port: Callable[[], int] | None, stated: Mapping[str, str]
) -> Process:
    listen = _address(loaded, "listen_addr", next_port, number * PORT_STEP)
    grpc = _address(loaded, "grpc_addr", next_port, number * PORT_STEP)
    name = f"ssp-{number + 1}"
    addresses = {"listen_addr": listen, "grpc_addr": grpc, "advertise_addr": reachable(listen)}
    return Process(name, "ssp", {"ssp_id": name, **addresses, **stated})


def _ports(count: int) -> Callable[[], int]:
    return iter(free_ports(count)).__next__


def _address(loaded: Loaded[ProcessSettings], field: str, next_port: Callable[[], int] | None, offset: int = 0) -> str:
    """The decided address of a field: on the next free port, or `offset` above its own."""
    stated: str = getattr(loaded.settings, field)
    host, own = split_address(stated)
    port = next_port() if next_port else own + offset if own else 0
    moved = loaded.settings.model_copy(update={field: f"{f'[{host}]' if ':' in host else host}:{port}"})
    return bind_address(Loaded(moved, loaded.sources), field)


def reachable(listen: str) -> str:
    """Where this machine reaches what listens there."""
    host, port = split_address(listen)
    return f"127.0.0.1:{port}" if host in {"", "0.0.0.0", "::"} else listen
