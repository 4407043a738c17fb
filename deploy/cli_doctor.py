"""`spky doctor`: looks at a deployment, says what is wrong and what to do, and changes nothing."""

from __future__ import annotations

import asyncio
import dataclasses

import typer
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, print_json
from sp00ky.deploy.cli_deploy import Pass, User
from sp00ky.deploy.cli_serve import Assignments, Config, DataDir, Db, Name, Namespace, given


def doctor(
    *,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    db: Db = None,
    ns: Namespace = None,
    name: Name = None,
    user: User = None,
    password: Pass = None,
    data_dir: DataDir = None,
    config: Config = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, host, SurrealDB and the running mesh; a line each, and what to do. Ends 1 on a failure."""
    from sp00ky.deploy.cli import mesh_version
    from sp00ky.deploy.doctor.checkup import examine
    from sp00ky.deploy.doctor.finding import Level
    from sp00ky.deploy.environment import parse_assignments
    from sp00ky.scheduler.config import SchedulerSettings

    flags = {"db_ws": db, "db_ns": ns, "db_name": name, "db_user": user, "db_pass": password, "data_dir": data_dir}
    stated = {**parse_assignments(SchedulerSettings, assignments or []), **given(flags)}
    findings = asyncio.run(examine(stated, config, url, secret, mesh_version()))
    healthy = all(finding.level is not Level.FAIL for finding in findings)
    if as_json:
        print_json({"ok": healthy, "findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            todo = f" -> {finding.todo}" if finding.todo else ""
            typer.echo(f"{finding.level:4}  {finding.check}: {finding.said}{todo}")
    raise typer.Exit(0 if healthy else 1)
