"""`spky deploy`: puts into SurrealDB what the mesh needs, or says what it would."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sp00ky.deploy.cli_client import AsJson, print_json
from sp00ky.deploy.cli_serve import Assignments, Config, Db, Name, Namespace, given

if TYPE_CHECKING:
    from sp00ky.deploy.surreal.steps import Step

DryRun = Annotated[bool, typer.Option("--dry-run", help="print the plan, and change nothing")]
Events = Annotated[
    bool | None,
    typer.Option(
        "--events/--no-events",
        show_default=False,
        help="have every table post its changes to the mesh (SPKY_CAPTURE=events), or take that away; "
        "without it: what SPKY_CAPTURE says, or as it is there. Run again for tables that are made later",
    ),
]
LegacyNames = Annotated[
    bool | None,
    typer.Option(
        "--legacy-names/--no-legacy-names",
        show_default=False,
        help="let older clients register by _spooky_query and read _spooky_list_ref (SPKY_SSP_REF_MODE=single), "
        "or end that; the tables stay. Without it: as it is there",
    ),
]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="where events post to: http://host:9667")]
User = Annotated[str | None, typer.Option("--user", help="SurrealDB root user", show_default="SPKY_DB_USER, or root")]
Pass = Annotated[str | None, typer.Option("--pass", help="its password; better: SPKY_DB_PASS")]


def deploy(
    *,
    db: Db = None,
    ns: Namespace = None,
    name: Name = None,
    user: User = None,
    password: Pass = None,
    events: Events = None,
    endpoint: Endpoint = None,
    legacy_names: LegacyNames = None,
    dry_run: DryRun = False,
    config: Config = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Install or upgrade in SurrealDB what the mesh needs: tables, functions, changefeed, events if wanted. Data and
    definitions of yours are never touched. It may be run at any time, again, and by several at once."""
    from sp00ky.deploy.environment import load_service, parse_assignments
    from sp00ky.deploy.surreal.deployment import Wanted, planned
    from sp00ky.deploy.surreal.deployment import deploy as bring_up
    from sp00ky.proto.faults import Code, Fault
    from sp00ky.scheduler.config import SchedulerSettings
    from sp00ky.ssp.config import SspSettings

    flags = given({"db_ws": db, "db_ns": ns, "db_name": name, "db_user": user, "db_pass": password})
    stated = {**parse_assignments(SchedulerSettings, assignments or []), **flags}
    settings = load_service(SchedulerSettings, stated, config).settings
    wanted_events = True if events is None and settings.capture == "events" else events
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise Fault(Code.INVALID, f'--endpoint "{endpoint}" is no address', "give http://host:9667")
    if legacy_names and load_service(SspSettings, {}, config).settings.ref_mode != "single":
        hint = "set SPKY_SSP_REF_MODE=single for the SSPs, and here"
        raise Fault(Code.INVALID, "--legacy-names needs all edges in one table: a user's own are not copied", hint)
    wanted = Wanted(wanted_events, endpoint or "", settings.auth_secret, legacy_names)
    steps = asyncio.run(planned(settings, wanted) if dry_run else bring_up(settings, wanted))
    if as_json:
        print_json({"dry_run": dry_run, "database": settings.db_name, "steps": [_facts(step) for step in steps]})
        return
    for line in described(steps, dry_run=dry_run):
        typer.echo(line)


def described(steps: list[Step], *, dry_run: bool) -> list[str]:
    """A line a change or note, and a sum."""
    from sp00ky.deploy.surreal.steps import Action

    changes = [step for step in steps if step.action is not Action.KEEP]
    lines = [
        f"{step.action:8}{step.what}{f'  ({step.note})' if step.note else ''}" for step in steps if step in changes
    ]
    lines += [f"keep    {step.what}  ({step.note})" for step in steps if step not in changes and step.note]
    counts = Counter(str(step.action) for step in steps)
    counted = [(action, counts[action]) for action in ("create", "upgrade", "remove") if counts[action]]
    told = ", ".join(f"{count} to {action}" if dry_run else f"{count} {action}d" for action, count in counted)
    kept = f"{counts['keep']} as they should be"
    return [*lines, f"{told}, {kept}" if told else f"nothing to do: all {kept}"]


def _facts(step: Step) -> dict[str, Any]:
    return {"action": step.action, "what": step.what, "statements": list(step.printable), "note": step.note}
