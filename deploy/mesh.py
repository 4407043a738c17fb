"""`spky serve all`: a database, a scheduler, SSPs and a gateway as child processes, and when they are ready together.

Addresses are decided here and passed down as flags, so that a child that is started again is found where it was. Secrets
travel in the environment only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from sp00ky.deploy.announce import say
from sp00ky.deploy.compose import bind_address, ensure_directory, warn_of
from sp00ky.deploy.db.config import DbSettings
from sp00ky.deploy.environment import load_service
from sp00ky.deploy.ports import free_ports
from sp00ky.deploy.supervisor import Child, ChildSpec, Supervisor
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.exposure import split_address
from sp00ky.proto.database import normalise_url
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import Loaded, MeshSettings
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings

READY_SECONDS = 60.0
POLL_SECONDS = 0.05
DRAIN_SECONDS = 9.0  # of the 10 s that a drain may take
PORT_STEP = 10  # between the default ports of two SSPs


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asked for."""

    ssps: int = 1
    ports_auto: bool = False
    data_dir: Path | None = None
    config: Path | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The children by tier, and where they will answer."""

    db: ChildSpec | None
    db_ws: str
    scheduler: ChildSpec
    ssps: Sequence[ChildSpec]
    gateway: ChildSpec
    settings: MeshSettings


def address(loaded: Loaded[MeshSettings], field: str, port: int | None, step: int = 0) -> str:
    """The decided address of a field: with the given port, or moved by `step` from its own."""
    stated: str = getattr(loaded.settings, field)
    host, own = split_address(stated)
    wanted = port if port is not None else own + step
    moved = Loaded(loaded.settings.model_copy(update={field: f"{host}:{wanted}"}), loaded.sources)
    return bind_address(moved, field)


def make_plan(wanted: Wanted) -> Plan:
    """Read all settings (so that a wrong one is told before anything runs) and decide every address. Raises Fault."""
    common = {"data_dir": wanted.data_dir}
    db = load_service(DbSettings, common, wanted.config)
    scheduler = load_service(SchedulerSettings, common, wanted.config)
    ssp = load_service(SspSettings, common, wanted.config)
    gateway = load_service(GatewaySettings, {}, wanted.config)
    for loaded in (db, scheduler, ssp, gateway):
        warn_of(loaded)
    free = iter(free_ports(4 + 2 * wanted.ssps)) if wanted.ports_auto else None

    def port() -> int | None:
        return next(free) if free else None

    ensure_directory(scheduler.settings.data_dir)
    config = ["--config", str(wanted.config)] if wanted.config else []
    own_db = "db_ws" not in scheduler.settings.model_fields_set
    db_listen = address(db, "listen_addr", port()) if own_db else ""
    db_ws = normalise_url(reachable(db_listen) if own_db else scheduler.settings.db_ws)
    of_db = ["--db", db_ws, "--ns", scheduler.settings.db_ns, "--name", scheduler.settings.db_name]
    data = ["--data-dir", str(scheduler.settings.data_dir)]
    http, grpc = address(scheduler, "listen_addr", port()), address(scheduler, "grpc_addr", port())
    to_scheduler = ["--scheduler-url", f"grpc://{reachable(grpc)}"]
    ssps = []
    for number in range(wanted.ssps):
        listen = address(ssp, "listen_addr", port(), number * PORT_STEP)
        ssp_grpc = address(ssp, "grpc_addr", port(), number * PORT_STEP)
        name = f"ssp-{number + 1}"
        addresses = ["--listen", listen, "--grpc", ssp_grpc, "--advertise", reachable(listen)]
        ssps.append(ChildSpec(name, ["serve", "ssp", "--id", name, *addresses, *to_scheduler, *of_db, *data, *config]))
    return Plan(
        db=ChildSpec("db", ["serve", "db", "--listen", db_listen, *data, *config]) if own_db else None,
        db_ws=db_ws,
        scheduler=ChildSpec(
            "scheduler", ["serve", "scheduler", "--listen", http, "--grpc", grpc, *of_db, *data, *config]
        ),
        ssps=ssps,
        gateway=ChildSpec(
            "gateway",
            ["serve", "gateway", "--listen", address(gateway, "listen_addr", port()), *to_scheduler, *config],
        ),
        settings=scheduler.settings,
    )


def reachable(listen: str) -> str:
    """Where this machine reaches what listens there."""
    host, port = split_address(listen)
    return f"127.0.0.1:{port}" if host in {"", "0.0.0.0", "::"} else listen


async def compose_mesh(stack: AsyncExitStack, wanted: Wanted) -> Supervisor:
    """Start the tiers in order; returns when all answer as ready, after saying so on stdout. Raises Fault."""
    plan = make_plan(wanted)
    supervisor = Supervisor()
    stack.push_async_callback(supervisor.stop, DRAIN_SECONDS)
    db = await supervisor.start([plan.db]) if plan.db else []
    scheduler = await supervisor.start([plan.scheduler])
    ssps = await supervisor.start(plan.ssps) if plan.ssps else []
    gateway = await supervisor.start([plan.gateway])
    checks = [(child, "/health") for child in (*ssps, *gateway)]
    checks += [(child, "/health/ready") for child in scheduler if ssps]
    await supervisor.unless_failed(asyncio.ensure_future(await_ready(checks)))
    facts = ready_facts(plan, scheduler[0], ssps, gateway[0], [*db, *supervisor.children])
    if wanted.json:
        say(facts)
    else:
        show_ready(facts)
    return supervisor


def ready_facts(
    plan: Plan, scheduler: Child, ssps: Sequence[Child], gateway: Child, children: Sequence[Child]
) -> dict[str, object]:
    return {
        "event": "ready",
        "db": plan.db_ws,
        "scheduler": scheduler.listening["http"],
        "scheduler_grpc": scheduler.listening["grpc"],
        "ssps": [
            {"id": ssp.listening["id"], "http": ssp.listening["http"], "grpc": ssp.listening["grpc"], "pid": ssp.pid}
            for ssp in ssps
        ],
        "gateway": gateway.listening["http"],
        "pids": {"supervisor": os.getpid(), **{child.spec.name: child.pid for child in children}},
    }


def show_ready(facts: dict[str, object]) -> None:
    """The addresses for people."""
    from rich.console import Console

    console = Console()
    console.print("[bold]the mesh is ready[/bold]")
    for name in ("db", "scheduler", "scheduler_grpc", "gateway"):
        console.print(f"  {name.replace('_', ' '):<15} {facts[name]}", highlight=False)
    ssps = facts["ssps"]
    assert isinstance(ssps, list)
    for ssp in ssps:
        console.print(f"  {ssp['id']:<15} {ssp['http']}", highlight=False)


async def await_ready(checks: Sequence[tuple[Child, str]]) -> None:
    """Poll until every child answers 200. Raises Fault TIMEOUT naming the one that does not."""
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session:
        for child, path in checks:
            said = ""
            while (said := await health(session, f"{child.listening['http']}{path}")) != "":
                if asyncio.get_running_loop().time() > deadline:
                    raise Fault(Code.TIMEOUT, f"{child.spec.name} is not ready after {READY_SECONDS:g} s: {said}")
                await asyncio.sleep(POLL_SECONDS)


async def health(session: aiohttp.ClientSession, url: str) -> str:
    """Empty when ready; else what it said."""
    try:
        async with session.get(url) as response:
            return "" if response.status == 200 else (await response.text())[:200]
    except (aiohttp.ClientError, TimeoutError) as error:
        return str(error) or type(error).__name__
