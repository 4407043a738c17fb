"""`spky job …`: the jobs of the outbox tables."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, print_json, print_table
from sp00ky.proto.faults import Code, Fault

SHORT_CHARS = 60

app = typer.Typer(help="Jobs of the outbox tables.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(metavar="ID", help="of the job, like job:abc")]
Table = Annotated[str, typer.Option("--table", help="one outbox table; all of them")]
Status = Annotated[str, typer.Option("--status", help="pending, processing, success, failed or cancelled; any")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="jobs of a table")]


@app.command("list")
def list_jobs(
    table: Table = "",
    status: Status = "",
    *,
    limit: Limit = 100,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """The latest first. `--status failed` is what nobody will try again."""
    from sp00ky.deploy.remote import Remote

    stated = {"table": table, "status": status, "limit": str(limit)}
    answer = Remote(url, secret).get("/jobs", **{name: text for name, text in stated.items() if text})
    if as_json:
        print_json(answer)
        return
    print_table(["id", "status", "path", "retries", "ssp", "updated", "error"], [_row(job) for job in answer["jobs"]])
    for name, counts in answer["counts"].items():
        typer.echo(f"{name}: " + ", ".join(f"{jobs} {state}" for state, jobs in sorted(counts.items())))


def _row(job: dict[str, Any]) -> list[Any]:
    reason = (job.get("error") or {}).get("reason") or ""
    retries = f"{job.get('retries') or 0}/{3 if job.get('max_retries') is None else job['max_retries']}"
    fields = [job["id"], job["status"], job.get("path"), retries, job.get("assignee"), job.get("updated_at")]
    return [*("" if value is None else value for value in fields), reason[:SHORT_CHARS]]


@app.command()
def schedules(url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """What makes jobs by a clock: when next, and what became of the last time."""
    from sp00ky.deploy.remote import Remote

    answer = Remote(url, secret).get("/schedules")
    if as_json:
        print_json(answer)
        return
    columns = ["name", "cadence", "timezone", "path", "next", "last", "outcome", "job"]
    print_table(columns, [_schedule(each) for each in answer["schedules"]])
    for each in answer["schedules"]:
        if each["error"]:
            typer.echo(f"{each['name']}: {each['error']}")


def _schedule(found: dict[str, Any]) -> list[Any]:
    """The outcome of a time that made a job is the job's; it may have been removed meanwhile."""
    job = found["last_job"] or {}
    outcome = (job.get("status") or "made") if found["last"] == "made" else found["last"]
    fields = [found[name] for name in ("name", "cadence", "timezone", "path", "next_at", "last_at")]
    fields[4] = fields[4] if found["enabled"] else "off"
    return ["" if value is None else value for value in [*fields, outcome, job.get("id")]]


@app.command()
def show(job_id: JobId, url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """One job, its whole row."""
    from sp00ky.deploy.remote import Remote

    job = Remote(url, secret).get(f"/job/{quote(job_id, safe='')}")
    if as_json:
        print_json(job)
        return
    for name, value in job.items():
        typer.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")


@app.command()
def retry(job_id: JobId, url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """A job that has failed or was killed: pending again, with all its retries."""
    _move("/job/retry", {"job_id": job_id}, url, secret, as_json)


@app.command()
def kill(job_id: JobId, url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """A job that is pending or in process: cancelled. What comes of it yet is not recorded."""
    _move("/job/kill", {"job_id": job_id}, url, secret, as_json)


@app.command()
def run(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="the outbox table")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="what is asked of the backend")],
    payload: Annotated[str, typer.Argument(metavar="[JSON]", help="what it is given")] = "",
    *,
    job_id: Annotated[str, typer.Option("--id", help="id of its row; one is made")] = "",
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Put a job into its outbox table."""
    try:
        given = json.loads(payload) if payload else None
    except ValueError as error:
        raise Fault(Code.INVALID, f"payload is not JSON: {error}") from None
    body = {"table": table, "path": path, "payload": given, "job_id": job_id}
    _move(
        "/job/dispatch", {name: value for name, value in body.items() if value not in (None, "")}, url, secret, as_json
    )


def _move(path: str, body: dict[str, Any], url: str, secret: str, as_json: bool) -> None:
    from sp00ky.deploy.remote import Remote

    answer = Remote(url, secret).post(path, body)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{answer['job_id']}: {answer['status']}")
