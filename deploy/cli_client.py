"""`spky status` and `spky ingest`: what an operator asks of a running mesh."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from sp00ky.proto.faults import Code, Fault

if TYPE_CHECKING:
    from rich.progress import Progress

DEFAULT_URL = "http://127.0.0.1:9667"
BATCH_LINES = 1_000
BATCH_BYTES_MAX = 4 * 1024 * 1024

Url = Annotated[str, typer.Option("--url", envvar="SPKY_URL", help="HTTP API of a scheduler, gateway or SSP")]
Secret = Annotated[str, typer.Option("--secret", envvar="SPKY_AUTH_SECRET", help="bearer token", show_envvar=True)]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]


def counted(number: int, noun: str) -> str:
    """`1 view`, `2 views`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: list[str], rows: list[list[Any]]) -> None:
    """A table for people: framed on a terminal, plain and untruncated in a pipe."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            typer.echo("\t".join(str(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


def status(url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """Who is in the mesh, and how far each has come. Ends 1 when it is not ready, or has no ready SSP."""
    from sp00ky.deploy.remote import Remote

    entities = Remote(url, secret).get("/info")
    if not isinstance(entities, list) or not entities:
        raise Fault(Code.INVALID, f"{url} is not an API of the mesh")
    ssps = [entity.get("status") for entity in entities if entity.get("entity") == "ssp"]
    ready = entities[0].get("status") == "ready" and (not ssps or "ready" in ssps)
    if as_json:
        print_json({"ready": ready, "entities": entities})
    else:
        columns = ["entity", "id", "status", "views", "seq", "uptime s", "address"]
        print_table(columns, [_status_row(entity) for entity in entities])
    raise typer.Exit(0 if ready else 1)


def _status_row(entity: dict[str, Any]) -> list[Any]:
    seq = next((entity[name] for name in ("latest_seq", "applied_seq") if name in entity), "")
    uptime = round(entity.get("uptime_seconds") or 0, 1)
    place = entity.get("url") or entity.get("grpc_address") or ""
    return [entity["entity"], entity["id"], entity["status"], entity.get("views", ""), seq, uptime, place]


def ingest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NDJSON, one change per line; - reads stdin")],
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Send changes, each line {table, op, id, record}, durable before the next batch is sent."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from sp00ky.deploy.remote import Remote

    remote = Remote(url, secret)
    sent, hints, revision = 0, 0, ""
    columns = (TextColumn("ingest"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with ExitStack() as held:
        stream = held.enter_context(_open(file))
        total = None if file == Path("-") else file.stat().st_size
        progress: Progress = held.enter_context(Progress(*columns, disable=as_json or not sys.stderr.isatty()))
        task = progress.add_task("ingest", total=total)
        for first, lines in batches(stream):
            body = b"".join(lines)
            try:
                answer = remote.post_lines("/ingest", body)
            except Fault as fault:
                raise Fault(
                    fault.code, f"lines {first} to {first + len(lines) - 1}: {fault.message}", fault.hint
                ) from None
            revision = answer.get("revision", "")
            hints += answer.get("hints", 0)
            sent += sum(1 for line in lines if line.strip())
            progress.advance(task, len(body))
    if as_json:
        print_json({"changes": sent, "hints": hints, "revision": revision})
        return
    if sent > hints:
        typer.echo(f"{sent - hints} change{'s are' if sent - hints > 1 else ' is'} durable at {revision}")
    if hints:
        typer.echo(f"{hints} not kept: SurrealDB has {'their tables' if hints > 1 else 'its table'}, write there")
    if not sent:
        typer.echo("no changes")


def _open(file: Path) -> BinaryIO:
    if file == Path("-"):
        return sys.stdin.buffer
    try:
        return file.open("rb")
    except OSError as error:
        raise Fault(Code.INVALID, f"cannot read {file}: {(error.strerror or '').lower()}") from None


def batches(stream: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """Lines with the number (from 1) of the first, in batches bounded by count and bytes."""
    batch: list[bytes] = []
    size, first = 0, 1
    for number, line in enumerate(stream, 1):
        if batch and (len(batch) >= BATCH_LINES or size + len(line) > BATCH_BYTES_MAX):
            yield first, batch
            batch, size, first = [], 0, number
        batch.append(line if line.endswith(b"\n") else line + b"\n")
        size += len(line)
    if any(line.strip() for line in batch):
        yield first, batch
