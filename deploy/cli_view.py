"""`spky view …`: register, read, list, explain and unregister views, and ask why a record is in one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, counted, print_json, print_table
from sp00ky.proto.faults import Code, Fault

if TYPE_CHECKING:
    from sp00ky.deploy.remote import Remote
    from sp00ky.gateway.client import Delta

app = typer.Typer(help="Views: standing queries.", no_args_is_help=True)

ViewId = Annotated[str, typer.Argument(metavar="ID", help="id of the view")]
Surql = Annotated[str, typer.Argument(metavar="SURQL", help="a SELECT")]
Params = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="NAME=JSON", help="a parameter of the query; repeatable")
]
Auth = Annotated[
    str, typer.Option("--auth", help='the user whose view it is: a record id, or {"id": …, "access": …, "claims": …}')
]
UserId = Annotated[str, typer.Option("--auth", help="the record id of the user whose view it is")]
OWNERS_NAMED_MAX = 5


def parse_auth(text: str) -> dict[str, Any]:
    """What a request says of the user; nothing for a service's own view. Raises Fault INVALID."""
    if not text.startswith("{"):
        return {"auth": text} if text else {}
    try:
        return {"auth": json.loads(text)}
    except ValueError as error:
        raise Fault(Code.INVALID, f"--auth is not JSON: {error}") from None


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


def of_whom(remote: Remote, view_id: str, auth: str, ask: Callable[[], Any]) -> Any:
    """What `ask` answers. A view that is not there for who asks may be there for others, which the Fault then says."""
    try:
        return ask()
    except Fault as fault:
        owners = _owners(remote, view_id) if fault.code is Code.NOT_FOUND else []
        if not owners or auth in owners:
            raise
        named = ", ".join(owner or "a service" for owner in owners[:OWNERS_NAMED_MAX])
        more = f" and {len(owners) - OWNERS_NAMED_MAX} more" if len(owners) > OWNERS_NAMED_MAX else ""
        message = f'view "{view_id}" is registered for {named}{more}, not for {auth or "a service"}'
        hint = f"--auth {shlex.quote(owners[0])}" if owners[0] else "leave --auth out"
        raise Fault(Code.NOT_FOUND, message, hint) from None


def _owners(remote: Remote, view_id: str) -> list[str]:
    """Who has a view of that id; "" for a service's own."""
    try:
        return [view.get("auth", "") for view in remote.get("/views") if view["id"] == view_id]
    except Fault:
        return []


def warn(answer: dict[str, Any]) -> None:
    """What the mesh takes for a mistake, beside the answer."""
    for warning in answer.get("warnings", ()):
        typer.echo(f"warning: {warning}", err=True)


@app.command()
def register(
    view_id: ViewId,
    surql: Surql,
    *,
    param: Params = None,
    ttl: Annotated[
        str, typer.Option(help="how long it lives after it was last registered, e.g. 30m; empty: for ever")
    ] = "",
    client: Annotated[str, typer.Option(help="id of the client")] = "spky",
    auth: Auth = "",
    rows: Annotated[bool, typer.Option("--rows", help="wait for the first result and print it")] = False,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Keep the result of a query current from now on."""
    from sp00ky.deploy.remote import Remote

    body: dict[str, Any] = {"id": view_id, "surql": surql, "clientId": client, "params": parse_params(param or [])}
    body |= ({"ttl": ttl} if ttl else {}) | ({"rows": 1} if rows else {}) | parse_auth(auth)
    answer = Remote(url, secret).post("/view/register", body)
    warn(answer)
    if as_json:
        print_json(answer)
    else:
        kept_by = f"{answer['query_id']} is kept by {answer['ssp_id']} ({answer['ssp_url']})"
        typer.echo(f"{kept_by}, revision {answer['revision']}")
    if rows and answer.get("state") == "failed":
        raise Fault(Code.INVALID, f'view "{view_id}" has failed: {answer.get("error", "")}', "`spky view explain`")
    if rows and not as_json:
        print_json(answer.get("rows"))


@app.command()
def get(
    view_id: ViewId,
    *,
    rows: Annotated[bool, typer.Option("--rows", help="also the query's result")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="with everything committed in SurrealDB before")] = False,
    revision: Annotated[str, typer.Option(help="at least as fresh as this token")] = "",
    auth: UserId = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Members, revision and hash of a view."""
    from sp00ky.deploy.remote import Remote, view_path

    arguments = ({"rows": "1"} if rows else {}) | ({"auth": auth} if auth else {})
    arguments |= {"consistency": "fully_consistent"} if fresh else {"revision": revision} if revision else {}
    remote = Remote(url, secret)
    view = of_whom(remote, view_id, auth, lambda: remote.get(view_path(view_id), **arguments))
    if as_json:
        print_json(view)
        return
    facts = f"{view['id']}: {view['state']}, {view['mode']}, on {view['ssp_id']}, revision {view['revision']}"
    typer.echo(f"{facts}, hash {view['hash']}" + (f", error: {view['error']}" if view.get("error") else ""))
    if rows:
        print_json(view["rows"])
    else:
        print_table(["member", "version"], [[member["id"], member["version"]] for member in view["members"]])


@app.command()
def watch(
    view_id: ViewId,
    *,
    rows: Annotated[bool, typer.Option("--rows", help="also the rows, whenever they change")] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="end after so many; 0: never")] = 0,
    auth: UserId = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """The result of a view, then every change of it, as it happens."""
    from sp00ky.deploy.remote import Remote, view_path
    from sp00ky.gateway.client import Mesh

    remote, arguments = Remote(url, secret), {"auth": auth} if auth else {}
    of_whom(remote, view_id, auth, lambda: remote.get(view_path(view_id), **arguments))  # says at once what is wrong

    async def follow() -> None:
        told = 0
        async with Mesh(url, token=secret) as mesh:
            async for delta in mesh.watch(view_id, rows=rows, auth=auth):
                if as_json:
                    print_json(delta_body(delta, rows=rows))
                else:
                    typer.echo("\n".join(delta_lines(delta, rows=rows)))
                told += 1
                if told == count:
                    return

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(follow())


def delta_body(delta: Delta, *, rows: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"id": delta.view, "revision": delta.revision, "hash": delta.hash, "state": delta.state}
    body |= {"error": delta.error} if delta.error else {}
    body |= {
        name: [member._asdict() for member in members]
        for name, members in (("added", delta.added), ("updated", delta.updated), ("removed", delta.removed))
    }
    return body | ({"rows": delta.rows} if rows else {})


def delta_lines(delta: Delta, *, rows: bool) -> Iterator[str]:
    """What has changed, a line each: `+` added, `~` updated, `-` removed; below it the rows, if they are asked for."""
    error = f", error: {delta.error}" if delta.error else ""
    size = (
        counted(len(delta.members), "member") if delta.members or not rows else counted(len(listed(delta.rows)), "row")
    )
    yield f"{delta.revision} {delta.state}, {size}{error}"
    for sign, members in (("-", delta.removed), ("+", delta.added), ("~", delta.updated)):
        for member in members:
            yield f"  {sign} {member.id}" + (f"  below {member.parent} as {member.parent_rel}" if member.parent else "")
    if rows:
        yield from (f"    {json.dumps(row, ensure_ascii=False)}" for row in listed(delta.rows))


def listed(rows: Any) -> list[Any]:
    return rows if isinstance(rows, list) else [rows]


@app.command("list")
def list_views(url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """Every view, in short."""
    from sp00ky.deploy.remote import Remote

    views = Remote(url, secret).get("/views")
    if as_json:
        print_json(views)
        return
    names = ["id", "auth", "state", "mode", "members", "ssp_id", "surql", "reason"]
    print_table(names, [[" ".join(str(view.get(name, "")).split()) for name in names] for view in views])


@app.command()
def unregister(
    view_id: ViewId, auth: UserId = "", url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False
) -> None:
    """Forget a view and its edges."""
    from sp00ky.deploy.remote import Remote

    remote, body = Remote(url, secret), {"id": view_id, **parse_auth(auth)}
    answer = of_whom(remote, view_id, auth, lambda: remote.post("/view/unregister", body))
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{view_id} is no longer kept")


@app.command()
def explain(
    surql: Surql,
    *,
    param: Params = None,
    auth: Auth = "",
    stage: Annotated[str, typer.Option(help="print this stage only: tokens, ast, rewrites, plan or circuit")] = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """What a query becomes, stage by stage; registers nothing."""
    from sp00ky.deploy.remote import Remote

    body = {"surql": surql, "params": parse_params(param or []), **parse_auth(auth)}
    answer = Remote(url, secret).post("/view/explain", body)
    warn(answer)
    if as_json:
        print_json(answer)
        return
    stages = {part["name"]: part["text"] for part in answer["stages"]}
    if stage:
        if stage not in stages:
            raise Fault(Code.NOT_FOUND, f'there is no stage "{stage}"', f"one of {', '.join(stages)}")
        typer.echo(stages[stage])
        return
    whole = "evaluated whole: " if answer["mode"] == "incremental" else ""
    typer.echo(f"mode: {answer['mode']}" + (f" ({whole}{answer['reason']})" if answer.get("reason") else ""))
    typer.echo(f"tables: {', '.join(answer['tables']) or 'every table'}")
    if nearest := answer.get("nearest"):
        typer.echo(f"nearest: {nearest['surql']}\n  {nearest['change']}")
    for name, text in stages.items():
        typer.echo(f"\n-- {name}\n{text}")


@app.command()
def why(
    view_id: Annotated[str, typer.Argument(metavar="VIEW", help="id of the view")],
    record: Annotated[str, typer.Argument(metavar="RECORD", help="record id, e.g. person:1")],
    *,
    auth: UserId = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Why a record is, or is not, in a view."""
    from sp00ky.deploy.remote import Remote, view_path

    arguments = {"record": record} | ({"auth": auth} if auth else {})
    remote = Remote(url, secret)
    answer = of_whom(remote, view_id, auth, lambda: remote.get(f"{view_path(view_id)}/why", **arguments))
    if as_json:
        print_json(answer)
    else:
        typer.echo("\n".join(why_lines(answer)))


def why_lines(answer: dict[str, Any]) -> Iterator[str]:
    """The answer: the sentence, each term with what it saw, the window."""
    yield answer["sentence"]
    for term in answer["terms"]:
        yield f"  {'holds' if term['holds'] else 'FAILS'}  {term['text']}  ({term['origin']})"
        for value in term.get("values", ()):
            through = f"  through {', '.join(value['through'])}" if value.get("through") else ""
            yield f"           {value['text']} = {value['value']}{through}"
    if window := answer.get("window"):
        limit = f" LIMIT {window['limit']}" if "limit" in window else ""
        yield f"  row {window['rank']} of {window['passing']} that pass;{limit} START {window['start']}"
        for key in window.get("order", ()):
            yield f"           {key['text']}: {key['value']}, at the edge ({window['boundary']}) {key['boundary']}"
    for place in answer.get("below", ()):
        yield f"  below {place['parent']} as {place['parent_rel']}"
    yield f"  at revision {answer['revision']}, by {answer['ssp_id']}"
