"""The `spky` command: one place that turns a fault into one line and a non-zero exit.

Every command imports what it needs when it runs, so that `spky --help` and the client commands start fast.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from sp00ky.deploy import (
    cli_client,
    cli_deploy,
    cli_dlq,
    cli_doctor,
    cli_events,
    cli_job,
    cli_replica,
    cli_serve,
    cli_ssp,
    cli_top,
    cli_verify,
    cli_view,
)
from sp00ky.deploy.announce import complain
from sp00ky.proto.faults import Fault

EXIT_FAULT = 1
FIRST = ("dev", "serve")  # what one starts with


class InOrder(typer.core.TyperGroup):
    """Lists groups of commands among the commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """What comes first, then the others as they were added."""
        return sorted(super().list_commands(ctx), key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


app = typer.Typer(
    name="spky",
    cls=InOrder,
    help="Keeps every user's SurrealDB query result current, incrementally.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config_app = typer.Typer(help="Settings.", no_args_is_help=True)
app.add_typer(cli_serve.app, name="serve")
app.add_typer(cli_view.app, name="view")
app.add_typer(cli_ssp.app, name="ssp")
app.add_typer(cli_replica.app, name="replica")
app.add_typer(cli_dlq.app, name="dlq")
app.add_typer(cli_job.app, name="job")
app.add_typer(config_app, name="config")
app.command("dev")(cli_serve.dev)
app.command("deploy")(cli_deploy.deploy)
app.command("doctor")(cli_doctor.doctor)
app.command("status")(cli_client.status)
app.command("verify")(cli_verify.verify)
app.command("top")(cli_top.top)
app.command("events")(cli_events.events)
app.command("ingest")(cli_client.ingest)


def mesh_version() -> str:
    from importlib.metadata import version as version_of

    return version_of("sp00ky-mesh")


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spky {mesh_version()}")
        raise typer.Exit


@app.callback()
def spky(
    version: Annotated[
        bool, typer.Option("--version", help="print the version", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Keeps every user's SurrealDB query result current, incrementally."""


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="leave the mesh running afterwards")] = False,
    changes: Annotated[int, typer.Option(min=1, help="live changes to replay")] = 3000,
    seed: Annotated[int, typer.Option(help="of the drawn changes")] = 7,
) -> None:
    """Run the mesh on real data: New York flights 2013; ends 0 only if every view equals a fresh query."""
    from sp00ky.deploy.demo.run import run_demo

    raise typer.Exit(run_demo(keep=keep, changes=changes, seed=seed))


@app.command()
def version(as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False) -> None:
    """Print the version."""
    mesh = mesh_version()
    typer.echo(json.dumps({"version": mesh}) if as_json else f"spky {mesh}")


@config_app.command("show")
def config_show(
    redact: Annotated[bool, typer.Option("--redact/--no-redact", help="mask secrets")] = True,
    service: Annotated[str, typer.Option(help="db, scheduler, ssp or gateway; empty: all")] = "",
    config: Annotated[Path | None, typer.Option(help="settings file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Print every setting, its value and where it came from."""
    from sp00ky.deploy.environment import MODELS, load_service
    from sp00ky.proto.settings import Settings, shown

    if service and service not in MODELS:
        raise typer.BadParameter(f"{service} is none of {', '.join(MODELS)}")
    chosen: dict[str, type[Settings]] = {service: MODELS[service]} if service else dict(MODELS)
    out: dict[str, dict[str, Any]] = {}
    for name, model in chosen.items():
        loaded = load_service(model, {}, config)
        values = shown(loaded.settings, redact=redact)
        out[name] = {field: {"value": value, "source": loaded.sources[field]} for field, value in values.items()}
    if as_json:
        typer.echo(json.dumps(out))
        return
    from rich.console import Console
    from rich.table import Table

    for name, fields in out.items():
        table = Table("setting", "value", "source", title=name, title_justify="left")
        for field, facts in fields.items():
            table.add_row(field, str(facts["value"]), facts["source"])
        Console(width=None if sys.stdout.isatty() else 160).print(table)


def main() -> None:
    """Entry point."""
    try:
        app()
    except Fault as fault:
        complain(str(fault))
        sys.exit(EXIT_FAULT)
    except OSError as error:
        complain(" ".join(str(error).lower().split()))
        sys.exit(EXIT_FAULT)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        flush()


def flush() -> None:
    """A reader that has gone away is no failure of ours."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
