"""`spky view …`: register, read, list, explain and unregister views of a running mesh."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, print_json, print_table
from sp00ky.proto.faults import Code, Fault

app = typer.Typer(help="Views: standing queries.", no_args_is_help=True)

ViewId = Annotated[str, typer.Argument(metavar="ID", help="id of the view")]
Surql = Annotated[str, typer.Argument(help="a SELECT")]
Params = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="NAME=JSON", help="a parameter of the query; repeatable")
]


def parse_params(texts: list[str]) -> dict[str, Any]:
    """`name=json`; text that is no JSON is a string. Raises Fault INVALID."""
    params: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Fault(Code.INVALID, f'--param "{text}" is not name=value')
        try:
            params[name.removeprefix("$")] = json.loads(value)
        except ValueError:
            params[name.removeprefix("$")] = value
    return params


@app.command()
def register(
    view_id: ViewId,
    surql: Surql,
    *,
    param: Params = None,
    ttl: Annotated[str, typer.Option(help="time to live without a heartbeat, e.g. 30m; empty: for ever")] = "",
    client: Annotated[str, typer.Option(help="id of the client")] = "spky",
    rows: Annotated[bool, typer.Option("--rows", help="wait for the first result and print it")] = False,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Keep the result of a query current from now on."""
    from sp00ky.deploy.remote import Remote

    body: dict[str, Any] = {"id": view_id, "surql": surql, "clientId": client, "params": parse_params(param or [])}
    body |= ({"ttl": ttl} if ttl else {}) | ({"rows": 1} if rows else {})
    answer = Remote(url, secret).post("/view/register", body)
    if as_json:
        print_json(answer)
        return
    typer.echo(
        f"{answer['query_id']} is kept by {answer['ssp_id']} ({answer['ssp_url']}), revision {answer['revision']}"
    )
    if rows:
        print_json(answer.get("rows"))


@app.command()
def get(
    view_id: ViewId,
    *,
    rows: Annotated[bool, typer.Option("--rows", help="also the query's result")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="with everything committed in SurrealDB before")] = False,
    revision: Annotated[str, typer.Option(help="at least as fresh as this token")] = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Members, revision and hash of a view."""
    from sp00ky.deploy.remote import Remote, view_path

    arguments = {"rows": "1"} if rows else {}
    arguments |= {"consistency": "fully_consistent"} if fresh else {"revision": revision} if revision else {}
    view = Remote(url, secret).get(view_path(view_id), **arguments)
    if as_json:
        print_json(view)
        return
    facts = f"{view['id']}: {view['state']}, {view['mode']}, on {view['ssp_id']}, revision {view['revision']}"
    typer.echo(f"{facts}, hash {view['hash']}" + (f", error: {view['error']}" if view.get("error") else ""))
    if rows:
        print_json(view["rows"])
    else:
        print_table(["member", "version"], [[member["id"], member["version"]] for member in view["members"]])


@app.command("list")
def list_views(url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """Every view, in short."""
    from sp00ky.deploy.remote import Remote

    views = Remote(url, secret).get("/views")
    if as_json:
        print_json(views)
        return
    names = ["id", "state", "mode", "members", "ssp_id", "surql", "reason"]
    print_table(names, [[" ".join(str(view.get(name, "")).split()) for name in names] for view in views])


@app.command()
def unregister(view_id: ViewId, url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """Forget a view and its edges."""
    from sp00ky.deploy.remote import Remote

    answer = Remote(url, secret).post("/view/unregister", {"id": view_id})
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{view_id} is no longer kept")


@app.command()
def explain(
    surql: Surql,
    *,
    param: Params = None,
    stage: Annotated[str, typer.Option(help="print this stage only: tokens, ast, plan or circuit")] = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """What a query becomes, stage by stage; registers nothing."""
    from sp00ky.deploy.remote import Remote

    answer = Remote(url, secret).post("/view/explain", {"surql": surql, "params": parse_params(param or [])})
    if as_json:
        print_json(answer)
        return
    stages = {part["name"]: part["text"] for part in answer["stages"]}
    if stage:
        if stage not in stages:
            raise Fault(Code.NOT_FOUND, f'there is no stage "{stage}"', f"one of {', '.join(stages)}")
        typer.echo(stages[stage])
        return
    typer.echo(f"mode: {answer['mode']}" + (f" ({answer['reason']})" if answer.get("reason") else ""))
    typer.echo(f"tables: {', '.join(answer['tables']) or 'every table'}")
    for name, text in stages.items():
        typer.echo(f"\n-- {name}\n{text}")
