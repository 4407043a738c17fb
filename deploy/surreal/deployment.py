"""`spky deploy`: all that a database needs for the mesh, as a plan and then done in the plan's order.

Namespace and database, the mesh's definitions (`install.py`), what is generated where it is wanted (`triggers.py`), and
the database's changefeed. Each is idempotent by itself, so a run that died is finished by the next.

Invariant: planning makes nothing. To use a namespace or database would make it, so what does not exist is not used.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sp00ky.deploy.surreal import triggers
from sp00ky.deploy.surreal.definitions import Part
from sp00ky.deploy.surreal.install import (
    Installed,
    bring_to,
    legacy_part,
    no_legacy_part,
    parts,
    plan_of,
    read_installed,
)
from sp00ky.deploy.surreal.steps import Action, Ledger, Step
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.settings import SourceSettings
from sp00ky.proto.surrealql.lexer import tokenize
from sp00ky.proto.surrealql.tokens import TokenKind
from sp00ky.proto.values.text import escape_ident
from sp00ky.scheduler.capture.definition import RETENTION, ensure_feed, with_feed

NOTHING: Final = Installed(Ledger({}, {}, {}), {})
_CONFLICT_RETRIES: Final = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`events`: whether tables post their changes; `legacy_names`: whether older clients are served; None keeps each
    as it is, up to the schema. `endpoint`: where tables post to; empty keeps the one that is there. `secret`:
    the bearer they present."""

    events: bool | None = None
    endpoint: str = ""
    secret: str = ""
    legacy_names: bool | None = None


async def planned(settings: SourceSettings, wanted: Wanted) -> list[Step]:
    """What `deploy` would do; changes nothing. Raises Fault."""
    async with opened(settings, namespace="") as server:
        steps, definition = await _place_steps(server, settings)
    if definition is None:
        there = plan_of([*parts(), *_optional(wanted, NOTHING, [])], NOTHING)
        feed = f"DEFINE DATABASE OVERWRITE {escape_ident(settings.db_name)} CHANGEFEED {RETENTION} INCLUDE ORIGINAL"
        return [*steps, *there.steps, Step(Action.CREATE, "changefeed", (feed,))]
    async with opened(settings) as database:
        chosen = await _chosen(database, wanted)
        plan = plan_of(chosen, await read_installed(database, chosen))
        return [*steps, *plan.steps, _feed_step(definition)]


async def deploy(settings: SourceSettings, wanted: Wanted) -> list[Step]:
    """Bring the database to what is wanted; returns what was done, and what was kept. Raises Fault."""
    async with opened(settings, namespace="") as server:
        steps, _ = await _place_steps(server, settings)
        for step in steps:
            for statement in step.statements:
                await server.query(statement, conflict_retries=_CONFLICT_RETRIES)
    async with opened(settings) as database:
        plan = await bring_to(database, await _chosen(database, wanted))
        definition = await definition_of(database, settings)
        assert definition is not None, "a database that was used exists"
        feed = _feed_step(definition)
        if feed.action is not Action.KEEP:
            await ensure_feed(database)
        return [*steps, *plan.steps, feed]


@asynccontextmanager
async def opened(settings: SourceSettings, namespace: str | None = None) -> AsyncIterator[Database]:
    """A connection as the settings say, or one to the server alone (namespace ""). Raises Fault UNAVAILABLE,
    UNAUTHENTICATED."""
    database = Database(
        settings.db_ws,
        user=settings.db_user,
        password=settings.db_pass,
        namespace=settings.db_ns if namespace is None else namespace,
        database=settings.db_name,
    )
    try:
        await database.connect()
        yield database
    finally:
        await database.close()


async def definition_of(server: Database, settings: SourceSettings) -> str | None:
    """How INFO shows the database of the settings; None if it or its namespace is not there."""
    root: Any = (await server.query("INFO FOR ROOT"))[0]
    if settings.db_ns not in root["namespaces"]:
        return None
    space: Any = (await server.query(f"USE NS {escape_ident(settings.db_ns)}; INFO FOR NS"))[1]
    return space["databases"].get(settings.db_name)  # type: ignore[no-any-return]


async def say_place(settings: SourceSettings) -> None:
    """Log where the mesh's data is, before it is used: to use a namespace or database makes it, and a misspelt one is
    empty. Raises Fault UNAVAILABLE, UNAUTHENTICATED."""
    async with opened(settings, namespace="") as server:
        try:
            is_there = await definition_of(server, settings) is not None
        except QueryError:  # a user who may not ask what there is
            is_there = True
    if is_there:
        log.info("namespace %s, database %s of %s", settings.db_ns, settings.db_name, settings.db_ws)
    else:
        sentence = "database %s/%s did not exist in %s: it is made; SPKY_DB_NS, SPKY_DB_NAME name it"
        log.warning(sentence, settings.db_ns, settings.db_name, settings.db_ws)


async def _place_steps(server: Database, settings: SourceSettings) -> tuple[list[Step], str | None]:
    """What makes the namespace and the database, and how INFO shows the latter."""
    root: Any = (await server.query("INFO FOR ROOT"))[0]
    space, name = escape_ident(settings.db_ns), escape_ident(settings.db_name)
    steps = []
    if settings.db_ns not in root["namespaces"]:
        steps.append(Step(Action.CREATE, f"NAMESPACE {settings.db_ns}", (f"DEFINE NAMESPACE IF NOT EXISTS {space}",)))
    definition = await definition_of(server, settings)
    if definition is None:
        statement = f"USE NS {space}; DEFINE DATABASE IF NOT EXISTS {name}"
        steps.append(Step(Action.CREATE, f"DATABASE {settings.db_name}", (statement,)))
    return steps, definition


async def _chosen(database: Database, wanted: Wanted) -> list[Part]:
    return [*parts(), *_optional(wanted, await read_installed(database), await triggers.user_tables(database))]


def _optional(wanted: Wanted, installed: Installed, tables: list[triggers.UserTable]) -> list[Part]:
    """The parts that are only there where somebody wants them."""
    recorded, chosen = installed.ledger.definitions, list[Part]()
    posting = f"PARAM {triggers.ENDPOINT}" in recorded
    if wanted.events or (posting and wanted.events is None):
        endpoint = wanted.endpoint or endpoint_of(installed) or triggers.DEFAULT_ENDPOINT
        chosen.append(triggers.events_part(tables, endpoint, wanted.secret))
    elif posting:
        chosen.append(triggers.no_events(tables))
    faced = has_legacy_names(installed)
    if wanted.legacy_names or (faced and wanted.legacy_names is None):
        chosen.append(legacy_part())
    elif faced:
        chosen.append(no_legacy_part())
    return chosen


def has_legacy_names(installed: Installed) -> bool:
    return "TABLE _spooky_query" in installed.ledger.definitions


def endpoint_of(installed: Installed) -> str:
    """Where the events post to; empty where none do."""
    tokens = tokenize(installed.found.get(f"PARAM {triggers.ENDPOINT}", ""))
    return next((token.value for token in tokens if token.kind is TokenKind.STRING), "")


def _feed_step(definition: str) -> Step:
    statement = with_feed(definition, RETENTION)
    if statement is None:
        return Step(Action.KEEP, "changefeed")
    return Step(Action.UPGRADE if "CHANGEFEED" in definition else Action.CREATE, "changefeed", (statement,))
