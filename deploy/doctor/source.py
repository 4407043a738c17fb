"""SurrealDB: reachable, signed in to, of a known version; and in it what the mesh installed, and nothing else of its.

Nothing that does not exist is used, since to use a namespace or database makes it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Final

from sp00ky.deploy.cli_client import counted
from sp00ky.deploy.doctor.finding import Finding, fail, ok, warn
from sp00ky.deploy.surreal import triggers
from sp00ky.deploy.surreal.deployment import definition_of, has_legacy_names, opened
from sp00ky.deploy.surreal.install import Installed, legacy_part, parts, plan_of, read_installed
from sp00ky.deploy.surreal.steps import Action
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Datetime
from sp00ky.scheduler.capture.definition import RETENTION, retention_of, with_feed
from sp00ky.scheduler.config import SchedulerSettings

MAJORS: Final = (3,)
RETENTION_MS_MIN: Final = 3_600_000  # a scheduler that is away for longer clones again
SKEW_WARN_S: Final = 2.0
SKEW_FAIL_S: Final = 60.0
EDGE_TABLE: Final = re.compile(r"_00_list_ref_[A-Za-z0-9_]+")


async def source_findings(settings: SchedulerSettings) -> list[Finding]:
    """Every finding of the database, as far as it can be reached."""
    where = f"{settings.db_ns}/{settings.db_name}"
    try:
        async with opened(settings, namespace="") as server:
            findings = [
                ok("database", f"{server.url} answers, signed in as {settings.db_user}"),
                await _version(server),
            ]
            findings.append(await _skew(server))
            definition = await definition_of(server, settings)
        if definition is None:
            return [*findings, fail("namespace", f"{where} does not exist", "run `spky deploy`")]
        findings += [ok("namespace", f"{where} exists"), feed_finding(definition)]
        async with opened(settings) as database:
            tables = await triggers.user_tables(database)
            events = triggers.events_part(tables, "", "")
            installed = await read_installed(database, [*parts(), events])
        findings += installed_findings(installed)
        findings += event_findings(settings, installed, tables)
        return [*findings, *foreign_findings(installed)]
    except Fault as fault:
        what = "sign-in" if fault.code is Code.UNAUTHENTICATED else "database"
        return [fail(what, fault.message, fault.hint or "is it running, and is SPKY_DB_WS right?")]


def feed_finding(definition: str) -> Finding:
    retention = retention_of(definition)
    if retention is None:
        return fail(
            "changefeed", "the database has none", "run `spky deploy`; the mesh defines it as well when it starts"
        )
    if with_feed(definition, RETENTION) is not None:
        return fail("changefeed", "it is without INCLUDE ORIGINAL", "run `spky deploy`")
    said = f"with originals, kept for {retention / 3_600_000:g} h"
    if retention < RETENTION_MS_MIN:
        return warn("changefeed", said, "define it with at least 1h: a scheduler that is away for longer clones again")
    return ok("changefeed", said)


def installed_findings(installed: Installed) -> Iterator[Finding]:
    """What the ledger says was installed, against what this program installs and what is there."""
    try:
        plan = plan_of(parts(), installed)
    except Fault as fault:
        yield fail("installed version", fault.message, fault.hint)
        return
    versions = ", ".join(f"{name} {version}" for name, version in installed.ledger.versions.items())
    changes = [step for step in plan.steps if step.action is not Action.KEEP]
    if not versions:
        yield fail("installed version", "nothing is installed", "run `spky deploy`")
    elif plan.due:
        what = ", ".join(step.what for step in changes[:3]) or plan.due[0][0].name
        todo = "run `spky deploy`; --dry-run says what it does"
        yield warn("installed version", f"{len(changes) or len(plan.due)} not as this version has it: {what}", todo)
    else:
        yield ok("installed version", versions)
    for step in plan.steps:
        if step.action is Action.KEEP and step.note.startswith("altered"):
            yield warn("definitions", f"{step.what} was {step.note}", "is that meant? an upgrade may replace it")


def event_findings(
    settings: SchedulerSettings, installed: Installed, tables: list[triggers.UserTable]
) -> Iterator[Finding]:
    """Events are there for every table if changes are captured by them, and none otherwise."""
    wanted = settings.capture == "events"
    lacking, present = [], []
    for table in tables:
        keys = [f"EVENT {triggers.event_name(table.name, what)} ON {table.name}" for what in ("mutation", "delete")]
        there = [key in installed.found for key in keys]
        if not all(there):
            lacking.append(table.name)
        if any(there):
            present.append(table.name)
    if wanted and lacking:
        names = ", ".join(sorted(lacking)[:5])
        yield fail("events", f"{counted(len(lacking), 'table')} without: {names}", "run `spky deploy --events`")
    elif not wanted and present:
        todo = "run `spky deploy --no-events`, or set SPKY_CAPTURE=events: each write waits for a post"
        said = f"{counted(len(present), 'table')} with events that post changes, which SPKY_CAPTURE does not ask for"
        yield warn("events", said, todo)
    else:
        yield ok("events", f"on each of {counted(len(tables), 'table')}" if wanted else "none, as SPKY_CAPTURE has it")
    if f"PARAM {triggers.SECRET}" in installed.found:
        yield fail("events", "they read a parameter that a writer's LET replaces", "run `spky deploy --events`")
        return
    made = [(table.name, triggers.event_name(table.name, what)) for table in tables for what in ("mutation", "delete")]
    presented = {triggers.secret_of(installed.found.get(f"EVENT {name} ON {table}", "")) for table, name in made}
    if presented - {None, settings.auth_secret, settings.auth_secret_previous or settings.auth_secret}:
        todo = "run `spky deploy --events` with the secret of the services"
        yield fail("events", "they present another secret than SPKY_AUTH_SECRET", todo)


def foreign_findings(installed: Installed) -> Iterator[Finding]:
    """Tables under the mesh's prefix that no part of this version defines."""
    chosen = [*parts(), legacy_part()] if has_legacy_names(installed) else parts()
    known = {definition.name for part in chosen for definition in part.definitions if definition.kind == "TABLE"}
    there = {key.removeprefix("TABLE ") for key in installed.found if key.startswith("TABLE ")}
    unknown = sorted(name for name in there if _is_foreign(name, known))
    if unknown:
        todo = "left of another version? REMOVE TABLE them once nothing needs them"
        yield warn("tables", f"of the mesh's prefix, but not of this version: {', '.join(unknown[:8])}", todo)
    else:
        yield ok("tables", f"{len(there & known)} of the mesh, none unknown")


def _is_foreign(name: str, known: set[str]) -> bool:
    if not name.startswith(triggers.OWN_PREFIXES):
        return False
    return name not in known and EDGE_TABLE.fullmatch(name) is None


async def _version(server: Database) -> Finding:
    told = str(await server.rpc("version", []))
    number = re.search(r"(\d+)\.\d+\S*", told)
    if number is None or int(number[1]) not in MAJORS:
        return fail("version", f"it is {told}", f"the mesh is made for SurrealDB {MAJORS[0]}")
    return ok("version", told)


async def _skew(server: Database) -> Finding:
    """The database's clock against this host's, give or take the way there and back."""
    before = time.time()
    [now] = await server.query("RETURN time::now()")
    after = time.time()
    theirs = now.ns / 1e9 if isinstance(now, Datetime) else 0.0
    skew = max(before - theirs, theirs - after, 0.0)
    said = f"{skew:.1f} s apart from this host"
    if skew > SKEW_FAIL_S:
        return fail("clock", said, "run a time service on both: views would expire at the wrong time")
    return warn("clock", said, "run a time service on both") if skew > SKEW_WARN_S else ok("clock", said)
