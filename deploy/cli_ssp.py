"""`spky ssp …`: who keeps the views, moving them off one, having SSPs load anew."""

from __future__ import annotations

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, counted, print_json, print_table
from sp00ky.proto.faults import Code, Fault

POLL_SECONDS = 0.5

app = typer.Typer(help="SSPs: the processes that keep views.", no_args_is_help=True)

SspId = Annotated[str, typer.Argument(metavar="ID", help="id of the SSP")]


@app.command("list")
def list_ssps(url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """Every SSP: state, views, load, how far it has come."""
    from sp00ky.deploy.remote import Remote

    ssps = Remote(url, secret).get("/ssps")
    if as_json:
        print_json(ssps)
        return
    columns = ["id", "state", "views", "cpu", "memory MiB", "applied", "written", "heartbeat s", "url"]
    print_table(columns, [_row(ssp) for ssp in ssps])


def _row(ssp: dict[str, Any]) -> list[Any]:
    state = f"{ssp['state']}, draining" if ssp.get("draining") else ssp["state"]
    memory, beat = round(ssp["memory_usage"] / 2**20), round(ssp["last_heartbeat_seconds_ago"], 1)
    load = [round(ssp["cpu_usage"], 2), memory]
    return [ssp["id"], state, ssp["views"], *load, ssp["applied_seq"], ssp["written_seq"], beat, ssp["url"]]


@app.command()
def drain(
    ssp_id: SspId,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="until it has no view left")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="seconds to wait at most; 0: for ever")] = 0,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Move its views to the other SSPs without a gap, and place none on it. A new process of it starts undrained."""
    from sp00ky.deploy.remote import Remote

    remote, path = Remote(url, secret), f"/admin/ssp/{quote(ssp_id, safe='')}/drain"
    until = time.monotonic() + timeout if timeout else float("inf")
    answer = remote.post(path, {})
    while wait and answer["views"]:
        if time.monotonic() >= until:
            message = f'ssp "{ssp_id}" has {counted(answer["views"], "view")} left after {timeout:g} s'
            raise Fault(Code.TIMEOUT, message, "is another ssp ready? `spky ssp list`")
        time.sleep(POLL_SECONDS)
        answer = remote.post(path, {})
    _say(answer, as_json)


@app.command()
def undrain(ssp_id: SspId, url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """Views may be placed on it again."""
    from sp00ky.deploy.remote import Remote

    _say(Remote(url, secret).post(f"/admin/ssp/{quote(ssp_id, safe='')}/drain?undo=1", {}), as_json)


def _say(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    drains = "drains" if answer["draining"] else "does not drain"
    stays = "; they stay until another ssp takes them" if answer["draining"] and answer["views"] else ""
    typer.echo(f"{answer['ssp_id']} {drains}, views: {answer['views']}{stays}")


@app.command()
def resync(
    ssp_id: Annotated[str, typer.Argument(metavar="[ID]", help="id of the SSP; none: every one")] = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Have it drop its state and load a new snapshot; its views answer again once that is in."""
    from sp00ky.deploy.remote import Remote

    path = f"/admin/ssp/{quote(ssp_id, safe='')}/resync" if ssp_id else "/admin/ssp/resync-all"
    answer = Remote(url, secret).post(path, {})
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"told to load anew: {', '.join(answer['ssp_ids']) or 'nobody'}")
