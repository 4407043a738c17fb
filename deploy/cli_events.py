"""`spky events`: what happens in the mesh, one line each."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Annotated, Any

import typer
from sp00ky.deploy.announce import complain
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url
from sp00ky.proto.faults import Fault

PATH = "/events?samples=1"  # the first figures of now come once everything that is kept has been told


def events(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with what happens from now on")] = False,
    since: Annotated[str, typer.Option(help="id of the last event that is known")] = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """What has happened in the mesh, as far as it is kept: SSPs, views, capture, drift, dead letters, upkeep."""
    from sp00ky.deploy.followed import follow as followed
    from sp00ky.deploy.remote import Remote

    coloured = sys.stdout.isatty() and not as_json
    for event in followed(Remote(url, secret), PATH, since, lost=_lost):
        match event.name:
            case "mesh":
                typer.echo(json.dumps(event.data) if as_json else line_of(event.data, coloured=coloured))
            case "must-refetch":
                complain("events of before are not kept any more")
            case "sample" if not follow:
                return
            case _:
                continue
        if follow:
            sys.stdout.flush()


def line_of(event: dict[str, Any], *, coloured: bool = False) -> str:
    """`2026-11-21 22:29:14  4294967297  ssp.ready  ssp-1 is ready`."""
    at = datetime.fromtimestamp(event["at_ms"] / 1000).strftime("%Y-%m-%d %H:%M:%S")
    kind = f"{event['kind']:<18}"
    if coloured:
        kind = typer.style(kind, fg="red" if event["trouble"] else "cyan")
    return f"{at}  {event['id']}  {kind} {event['text']}"


def _lost(fault: Fault) -> None:
    complain(f"{fault.message}; asking again")
