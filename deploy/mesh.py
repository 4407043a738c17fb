"""`spky serve all` and `spky dev`: start a planned mesh in order, and say when all of it is ready."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from sp00ky.deploy.announce import say
from sp00ky.deploy.compose import compose_gateway, compose_scheduler, compose_ssp, tls_files
from sp00ky.deploy.environment import load_service
from sp00ky.deploy.plan import Process, Wanted, make_plan
from sp00ky.deploy.supervisor import Child, ChildSpec, Supervisor
from sp00ky.gateway.config import GatewaySettings
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.tls import TlsFiles, prober_context
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings

READY_SECONDS = 60.0
POLL_SECONDS = 0.05
DRAIN_SECONDS = 9.0  # of the 10 s that a drain may take

Facts = Mapping[str, object]


def make_supervisor(wanted: Wanted) -> Supervisor:
    """One that announces restarts, for tools that hold pids, if anybody reads JSON."""

    def tell_restart(child: Child) -> None:
        say({"event": "restarted", "name": child.spec.name, "pid": child.pid})

    return Supervisor(tell_restart) if wanted.json else Supervisor()


async def compose_mesh(stack: AsyncExitStack, wanted: Wanted, supervisor: Supervisor) -> None:
    """Start the tiers in order; returns when all answer as ready, after saying so on stdout. Raises Fault."""
    plan = make_plan(wanted)
    stack.push_async_callback(supervisor.stop, DRAIN_SECONDS)

    def specs(*processes: Process) -> list[ChildSpec]:
        return [process.spec(wanted.config) for process in processes]

    if plan.db:
        await supervisor.start(specs(plan.db))
    [scheduler] = await supervisor.start(specs(plan.scheduler))
    ssps = await supervisor.start(specs(*plan.ssps))
    [gateway] = await supervisor.start(specs(plan.gateway))
    files = tls_files(load_service(SchedulerSettings, plan.scheduler.fields, wanted.config).settings)
    ready = await_ready(scheduler.listening, [ssp.listening for ssp in ssps], gateway.listening, files)
    await supervisor.unless_failed(ready)
    pids = {"supervisor": os.getpid(), **{child.spec.name: child.pid for child in supervisor.children}}
    facts = [{**ssp.listening, "pid": ssp.pid} for ssp in ssps]
    tell_ready(wanted, ready_facts(plan.db_ws, scheduler.listening, facts, gateway.listening, pids))


async def compose_dev(stack: AsyncExitStack, wanted: Wanted, supervisor: Supervisor) -> None:
    """Scheduler, SSP and gateway in this process; the database, whose engine would hold up the others, in a child."""
    plan = make_plan(wanted)
    stack.push_async_callback(supervisor.stop, DRAIN_SECONDS)
    config = wanted.config
    if plan.db:
        await supervisor.start([plan.db.spec(config)])
    scheduler = await compose_scheduler(stack, load_service(SchedulerSettings, plan.scheduler.fields, config), config)
    ssps = [await compose_ssp(stack, load_service(SspSettings, ssp.fields, config), config) for ssp in plan.ssps]
    gateway = await compose_gateway(stack, load_service(GatewaySettings, plan.gateway.fields, config))
    facts = [ssp.facts() for ssp in ssps]
    files = tls_files(load_service(SchedulerSettings, plan.scheduler.fields, config).settings)
    ready = await_ready(scheduler.facts(), facts, gateway.facts(), files)
    await supervisor.unless_failed(ready)
    pids = {"dev": os.getpid(), **{child.spec.name: child.pid for child in supervisor.children}}
    tell_ready(wanted, ready_facts(plan.db_ws, scheduler.facts(), facts, gateway.facts(), pids))


def ready_facts(
    db_ws: str, scheduler: Facts, ssps: Sequence[Facts], gateway: Facts, pids: Mapping[str, int]
) -> dict[str, object]:
    return {
        "event": "ready",
        "db": db_ws,
        "scheduler": scheduler["http"],
        "scheduler_grpc": scheduler["grpc"],
        "ssps": [{name: ssp[name] for name in ("id", "http", "grpc", "pid")} for ssp in ssps],
        "gateway": gateway["http"],
        "pids": pids,
    }


def tell_ready(wanted: Wanted, facts: dict[str, Any]) -> None:
    """One JSON line, or the addresses for people."""
    if wanted.json:
        say(facts)
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print("[bold]the mesh is ready[/bold]")
    for name in ("db", "scheduler", "scheduler_grpc", "gateway"):
        console.print(f"  {name.replace('_', ' '):<15} {facts[name]}")
    for ssp in facts["ssps"]:
        console.print(f"  {ssp['id']:<15} {ssp['http']}")


async def await_ready(scheduler: Facts, ssps: Sequence[Facts], gateway: Facts, files: TlsFiles | None) -> None:
    """Poll until the scheduler is ready, knows every SSP as ready, and the edge reaches it. Raises Fault TIMEOUT."""

    def all_ready(body: Any) -> bool:
        return bool(body["ssps"]["ready"] >= len(ssps))

    checks: list[tuple[str, str, Callable[[Any], bool] | None]] = [
        ("scheduler", f"{scheduler['http']}/health/ready", None),
        *((str(ssp["id"]), f"{ssp['http']}/health", None) for ssp in ssps),
    ]
    if ssps:
        edges = (("scheduler", scheduler), ("gateway", gateway))
        checks += [(name, f"{place['http']}/health", all_ready) for name, place in edges]
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    connector = aiohttp.TCPConnector(ssl=prober_context(files) if files is not None else True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=2.0)) as session:
        for name, url, condition in checks:
            while (said := await unready(session, url, condition)) is not None:
                if asyncio.get_running_loop().time() > deadline:
                    raise Fault(Code.TIMEOUT, f"{name} is not ready after {READY_SECONDS:g} s: {said}")
                await asyncio.sleep(POLL_SECONDS)


async def unready(session: aiohttp.ClientSession, url: str, condition: Callable[[Any], bool] | None) -> str | None:
    """None when it answers 200 and the condition holds of its body; else what it said."""
    try:
        async with session.get(url.replace("//0.0.0.0:", "//127.0.0.1:")) as response:  # a name that certificates have
            text = await response.text()
            ready = response.status == 200 and (condition is None or condition(json.loads(text)))
            return None if ready else text[:200]
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
        return str(error) or type(error).__name__
