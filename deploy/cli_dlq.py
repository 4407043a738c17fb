"""`spky dlq …`: what the scheduler could not apply and passed over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, print_json, print_table
from sp00ky.proto.faults import Code, Fault

PAGE = 1000
SHORT_CHARS = 60

app = typer.Typer(help="Dead letters: what could not be applied.", no_args_is_help=True)

LetterId = Annotated[int, typer.Argument(metavar="ID", min=1, help="of the letter")]
LetterOrNone = Annotated[int, typer.Argument(metavar="[ID]", min=0, show_default=False, help="of the letter")]
All = Annotated[bool, typer.Option("--all", help="every letter")]


@app.command("list")
def list_letters(url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """Every letter, the oldest first."""
    from sp00ky.deploy.remote import Remote

    remote = Remote(url, secret)
    answer = remote.get("/dead-letters", limit=str(PAGE))
    letters = answer["dead_letters"]
    while (
        page := remote.get("/dead-letters", limit=str(PAGE), after=str(letters[-1]["id"]))["dead_letters"]
        if letters
        else []
    ):
        letters += page
    if as_json:
        print_json({**answer, "dead_letters": letters})
        return
    print_table(["id", "at", "source", "record", "attempts", "bytes", "reason"], [_row(each) for each in letters])
    if answer["forgotten"]:
        typer.echo(f"{answer['forgotten']} older ones were forgotten: the limit was reached")


def _row(letter: dict[str, Any]) -> list[Any]:
    at = datetime.fromtimestamp(letter["at_ms"] / 1000, UTC).isoformat(timespec="seconds")
    named = ", ".join(letter["records"] or letter["tables"])[:SHORT_CHARS]
    return [
        letter["id"],
        at,
        letter["source"],
        named,
        letter["attempts"],
        letter["size"],
        letter["reason"][:SHORT_CHARS],
    ]


@app.command()
def show(letter_id: LetterId, url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """One letter with what was to be applied."""
    from sp00ky.deploy.remote import Remote

    letter = Remote(url, secret).get(f"/dead-letters/{letter_id}")
    if as_json:
        print_json(letter)
        return
    for name, value in letter.items():
        typer.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


@app.command()
def retry(
    letter_id: LetterOrNone = 0,
    every: All = False,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Read its records from the database again. Ends 1 if one is still a letter."""
    from sp00ky.deploy.remote import Remote

    answer = Remote(url, secret).post(f"/dead-letters/{_which(letter_id, every)}/retry", {})
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"applied: {answer['applied']}, still letters: {answer['failed']}")
    raise typer.Exit(1 if answer["failed"] else 0)


@app.command()
def drop(
    letter_id: LetterOrNone = 0,
    every: All = False,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Forget it: the replica stays as it is."""
    from sp00ky.deploy.remote import Remote

    answer = Remote(url, secret).delete(f"/dead-letters/{_which(letter_id, every)}")
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"dropped: {answer['dropped']}")


def _which(letter_id: int, every: bool) -> str:
    if every == bool(letter_id):
        raise Fault(Code.INVALID, "say which: an ID, or --all")
    return "all" if every else str(letter_id)
