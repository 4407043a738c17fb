"""`spky serve …` and `spky dev`: the processes of the mesh."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from sp00ky.proto.settings import Loaded, ProcessSettings

    S = TypeVar("S", bound=ProcessSettings)

app = typer.Typer(help="Run a process of the mesh.", no_args_is_help=True)

Listen = Annotated[str | None, typer.Option("--listen", help="HTTP address, host:port; port 0 picks a free one")]
Grpc = Annotated[str | None, typer.Option("--grpc", help="gRPC address, host:port")]
Identity = Annotated[str | None, typer.Option("--id", help="unique name of this process")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="directory of the files")]
Config = Annotated[Path | None, typer.Option("--config", help="settings file; default: ./sp00ky.yml if there is one")]
Db = Annotated[str | None, typer.Option("--db", help="SurrealDB", show_default="SPKY_DB_WS, or ws://127.0.0.1:8000")]
Namespace = Annotated[
    str | None, typer.Option("--ns", help="SurrealDB namespace", show_default="SPKY_DB_NS, or sp00ky")
]
Name = Annotated[str | None, typer.Option("--name", help="SurrealDB database", show_default="SPKY_DB_NAME, or sp00ky")]
_OF_SSP = "the scheduler's; by itself SPKY_DB_{}, or test"
SspNamespace = Annotated[
    str | None, typer.Option("--ns", help="SurrealDB namespace", show_default=_OF_SSP.format("NS"))
]
SspName = Annotated[str | None, typer.Option("--name", help="SurrealDB database", show_default=_OF_SSP.format("NAME"))]
SchedulerUrl = Annotated[str | None, typer.Option("--scheduler-url", help="http://host:9667 or grpc://host:9668")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="any setting of the process; repeatable")
]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True)]


def _load(model: type[S], config: Path | None, assignments: list[str] | None, **flags: Any) -> Loaded[S]:
    from sp00ky.deploy.environment import load_service, parse_assignments

    return load_service(model, {**parse_assignments(model, assignments or []), **given(flags)}, config)


def given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


@app.command()
def db(
    *,
    listen: Listen = None,
    path: Annotated[str | None, typer.Option("--path", help="directory of the data; mem keeps it in memory")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    assignments: Assignments = None,
    supervised: Supervised = False,
) -> None:
    """The embedded SurrealDB engine as an ordinary SurrealDB endpoint."""
    from sp00ky.deploy.announce import say
    from sp00ky.deploy.compose import compose_db
    from sp00ky.deploy.db.config import DbSettings
    from sp00ky.deploy.serve import run_process

    loaded = _load(DbSettings, config, assignments, listen_addr=listen, path=path, data_dir=data_dir)

    async def compose(stack: AsyncExitStack) -> None:
        say((await compose_db(stack, loaded)).facts())

    run_process("db", loaded.settings, compose, supervised=supervised)


@app.command()
def scheduler(
    *,
    listen: Listen = None,
    grpc: Grpc = None,
    identity: Identity = None,
    data_dir: DataDir = None,
    db: Db = None,
    ns: Namespace = None,
    name: Name = None,
    config: Config = None,
    assignments: Assignments = None,
    supervised: Supervised = False,
) -> None:
    """Puts changes in order, makes them durable, places views, streams to the SSPs."""
    from sp00ky.deploy.announce import say
    from sp00ky.deploy.compose import compose_scheduler
    from sp00ky.deploy.serve import run_process
    from sp00ky.scheduler.config import SchedulerSettings

    addresses = {"listen_addr": listen, "grpc_addr": grpc, "scheduler_id": identity, "data_dir": data_dir}
    source = {"db_ws": db, "db_ns": ns, "db_name": name}
    loaded = _load(SchedulerSettings, config, assignments, **addresses, **source)

    async def compose(stack: AsyncExitStack) -> None:
        say((await compose_scheduler(stack, loaded, config)).facts())

    run_process("scheduler", loaded.settings, compose, supervised=supervised)


@app.command()
def ssp(
    *,
    listen: Listen = None,
    grpc: Grpc = None,
    identity: Identity = None,
    data_dir: DataDir = None,
    scheduler_url: SchedulerUrl = None,
    advertise: Annotated[str | None, typer.Option("--advertise", help="HTTP host:port that others reach it at")] = None,
    db: Db = None,
    ns: SspNamespace = None,
    name: SspName = None,
    config: Config = None,
    assignments: Assignments = None,
    supervised: Supervised = False,
) -> None:
    """Holds views and keeps them current; without a scheduler's URL it carries a private scheduler."""
    from sp00ky.deploy.announce import say
    from sp00ky.deploy.compose import compose_ssp
    from sp00ky.deploy.serve import run_process
    from sp00ky.ssp.config import SspSettings

    addresses = {"listen_addr": listen, "grpc_addr": grpc, "advertise_addr": advertise, "data_dir": data_dir}
    source = {"ssp_id": identity, "scheduler_url": scheduler_url, "db_ws": db, "db_ns": ns, "db_name": name}
    loaded = _load(SspSettings, config, assignments, **addresses, **source)

    async def compose(stack: AsyncExitStack) -> None:
        say((await compose_ssp(stack, loaded, config)).facts())

    run_process("ssp", loaded.settings, compose, supervised=supervised)


@app.command()
def gateway(
    *,
    listen: Listen = None,
    scheduler_url: SchedulerUrl = None,
    config: Config = None,
    assignments: Assignments = None,
    supervised: Supervised = False,
) -> None:
    """The stateless HTTP edge of a scheduler."""
    from sp00ky.deploy.announce import say
    from sp00ky.deploy.compose import compose_gateway
    from sp00ky.deploy.serve import run_process
    from sp00ky.gateway.config import GatewaySettings

    loaded = _load(GatewaySettings, config, assignments, listen_addr=listen, scheduler_url=scheduler_url)

    async def compose(stack: AsyncExitStack) -> None:
        say((await compose_gateway(stack, loaded)).facts())

    run_process("gateway", loaded.settings, compose, supervised=supervised)


@app.command("all")
def serve_all(
    *,
    ssps: Annotated[int, typer.Option(min=0, max=64, help="how many SSPs")] = 1,
    ports: Annotated[Literal["default", "auto"], typer.Option(help="auto picks free ports")] = "default",
    data_dir: DataDir = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON line when ready")] = False,
    supervised: Supervised = False,
) -> None:
    """Everything as supervised child processes; the database too unless SPKY_DB_WS points at one."""
    from sp00ky.deploy.environment import load_service
    from sp00ky.deploy.mesh import compose_mesh, make_supervisor
    from sp00ky.deploy.plan import Wanted
    from sp00ky.deploy.serve import run_process
    from sp00ky.scheduler.config import SchedulerSettings

    wanted = Wanted(ssps=ssps, ports_auto=ports == "auto", data_dir=data_dir, config=config, json=as_json)
    settings = load_service(SchedulerSettings, {}, config).settings
    supervisor = make_supervisor(wanted)

    async def compose(stack: AsyncExitStack) -> None:
        await compose_mesh(stack, wanted, supervisor)

    run_process("supervisor", settings, compose, supervised=supervised, at_once=supervisor.kill)


def dev(
    *,
    data_dir: DataDir = None,
    ports: Annotated[Literal["default", "auto"], typer.Option(help="auto picks free ports")] = "default",
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON line when ready")] = False,
    supervised: Supervised = False,
) -> None:
    """Everything for development: one process and an embedded database, no configuration."""
    from sp00ky.deploy.environment import load_service
    from sp00ky.deploy.mesh import compose_dev, make_supervisor
    from sp00ky.deploy.plan import Wanted
    from sp00ky.deploy.serve import run_process
    from sp00ky.scheduler.config import SchedulerSettings

    wanted = Wanted(ssps=1, ports_auto=ports == "auto", data_dir=data_dir, config=config, json=as_json)
    settings = load_service(SchedulerSettings, {}, config).settings
    supervisor = make_supervisor(wanted)

    async def compose(stack: AsyncExitStack) -> None:
        await compose_dev(stack, wanted, supervisor)

    run_process("dev", settings, compose, supervised=supervised, at_once=supervisor.kill)
