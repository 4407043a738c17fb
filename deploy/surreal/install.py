"""Puts the mesh's own definitions into SurrealDB, and upgrades them. It touches no data and no definition of others.

**How to add or change a definition.** Write it into the part file of its subject (`<part>.surql` beside this file), or
into a new file with a line in PARTS. A statement is `DEFINE TABLE|FIELD|INDEX|EVENT|FUNCTION|PARAM|ACCESS IF NOT
EXISTS …;` and nothing else is accepted; what an older version had and this one has not is `REMOVE
FIELD|INDEX|EVENT|FUNCTION| PARAM IF EXISTS …;`. To change a definition, just edit it: its digest differs from the one
recorded in `_00_migrations`, so it is written again with OVERWRITE, it alone, wherever an older text was installed;
comments and white space do not count. Raise the part's version in PARTS (once per release) whenever a released part
changed: a program refuses a database that has a higher version than it knows. Changing an index makes it anew, and
SurrealDB leaves out of it what is written meanwhile: give a changed index a new name and REMOVE the old one. Data that
must be migrated is a matter of the service that owns them, not of a part.

Everything due is one transaction, which also writes the ledger and moves its stamp. So a process that dies leaves all
or nothing of it, and of several that install at once one commits; the others conflict, or find the stamp moved, read
again and find nothing due. A definition that somebody removed is put back by the next install; one that was altered by
hand stays until its text here changes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from sp00ky.deploy.surreal import triggers
from sp00ky.deploy.surreal.definitions import LABEL, OF_DATABASE, OF_TABLE, Part, read_part
from sp00ky.deploy.surreal.steps import Action, Ledger, Recorded, Step, is_due, require_not_newer, steps_of
from sp00ky.proto.database import Database, cause_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import escape, escape_ident

PARTS: Final[Mapping[str, int]] = {  # file beside this one: its version; in the order they are applied
    "migrations": 1,
    "views": 1,
    "edges": 1,
    "mesh": 1,
    "versions": 1,
    "collaborative": 1,
    "integrity": 1,
    "jobs": 1,
}
LEGACY: Final = "legacy"
OPTIONAL: Final[Mapping[str, int]] = {triggers.NAME: triggers.VERSION, LEGACY: 1}  # only where `spky deploy` is told so
ATTEMPTS: Final = 20
BACKOFF_SECONDS: Final = 0.05
_MOVED: Final = "another process has installed meanwhile"
_STAMP: Final = RecordId("_00_migrations", "mesh")

log = logging.getLogger(__name__)


class _Overtaken(Exception):
    """Another process installed between reading and applying: read again."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What a database has: the ledger, and how INFO shows what is there, by key of `Definition`."""

    ledger: Ledger
    found: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` of every part, and the parts that are `due`: to be applied and recorded."""

    steps: tuple[Step, ...]
    due: tuple[tuple[Part, tuple[Step, ...]], ...]


@cache
def parts() -> tuple[Part, ...]:
    """What this program installs."""
    return tuple(_read(name, version) for name, version in PARTS.items())


@cache
def legacy_part() -> Part:
    """The seeds' older names."""
    return _read(LEGACY, OPTIONAL[LEGACY])


def no_legacy_part() -> Part:
    """Takes away what writes to the tables of the older names; the tables stay, as they hold data."""
    events = [each for each in legacy_part().definitions if each.kind == "EVENT"]
    texts = [f"REMOVE EVENT IF EXISTS {each.name} ON {each.table}" for each in events]
    return read_part(LEGACY, OPTIONAL[LEGACY], ";".join(texts))


def _read(name: str, version: int) -> Part:
    return read_part(name, version, files("sp00ky.deploy.surreal").joinpath(f"{name}.surql").read_text())


async def install(database: Database) -> None:
    """Bring the database to what this program installs. Raises what `bring_to` raises."""
    _tell(await bring_to(database, parts()))


async def bring_to(database: Database, wanted: Sequence[Part]) -> Plan:
    """Apply what is due of the parts; several processes may do so at once. Returns what was done. Raises Fault CONFLICT
    for a database that a newer version has installed, and what the database refuses."""
    for attempt in range(ATTEMPTS):
        installed = await read_installed(database, wanted)
        plan = plan_of(wanted, installed)
        try:
            if plan.due:
                await _apply(database, plan, installed.ledger)
            return plan
        except _Overtaken:
            await asyncio.sleep(random.uniform(0.5, 1.0) * BACKOFF_SECONDS * (attempt + 1))
    raise Fault(Code.UNAVAILABLE, f"the mesh's tables cannot be installed: {_MOVED}, {ATTEMPTS} times", "try again")


def plan_of(wanted: Sequence[Part], installed: Installed) -> Plan:
    """What `install` would do. Raises Fault CONFLICT for a database that a newer version has installed."""
    known = {**PARTS, **OPTIONAL, **{part.name: part.version for part in wanted}}
    require_not_newer(known, installed.ledger)
    planned = [(part, tuple(steps_of(part, installed.ledger, installed.found))) for part in wanted]
    due = tuple((part, steps) for part, steps in planned if is_due(part, installed.ledger, steps))
    return Plan(tuple(step for _, steps in planned for step in steps), due)


async def read_installed(database: Database, wanted: Sequence[Part] = ()) -> Installed:
    """What is there now, on the mesh's tables and those that `wanted` defines something on; reads only. The ledger is
    read first: who installs later moves the stamp. Raises Fault."""
    recorded, info = await database.query_raw("SELECT * FROM _00_migrations; INFO FOR DB")
    failure = cause_of([info] if "does not exist" in recorded.error else [recorded, info])
    if failure is not None:
        raise failure
    shown = _mapping(info.result)
    found = {f"{kind} {name}": str(text) for kind, at in OF_DATABASE.items() for name, text in _items(shown, at)}
    others = {definition.table for part in wanted for definition in part.definitions}
    tables = [name for name, _ in _items(shown, "tables") if name.startswith("_00_") or name in others]
    texts = ";".join(f"INFO FOR TABLE {escape_ident(table)}" for table in tables)
    for table, answer in zip(tables, await database.query(texts) if texts else [], strict=True):
        for kind, at in OF_TABLE.items():
            found |= {f"{kind} {name} ON {table}": str(text) for name, text in _items(_mapping(answer), at)}
    rows: Any = recorded.result if recorded.ok else []
    return Installed(_ledger(rows), found)


def _ledger(rows: Sequence[Mapping[str, Any]]) -> Ledger:
    versions: dict[str, int] = {}
    newest: dict[str, Mapping[str, Any]] = {}
    stamp = ""
    for row in rows:
        name, _, number = str(row.get("version")).removeprefix(LABEL).rpartition("/")
        if row["id"] == _STAMP:
            stamp = str(row.get("checksum"))
        elif str(row.get("version")).startswith(LABEL) and number.isdecimal() and int(number) > versions.get(name, 0):
            versions[name], newest[name] = int(number), row
    definitions = {
        key: Recorded(str(value.get("digest")), str(value.get("shown")))
        for row in newest.values()
        for key, value in _items(row, "definitions")
    }
    return Ledger(versions, {name: str(row.get("checksum")) for name, row in newest.items()}, definitions, stamp)


async def _apply(database: Database, plan: Plan, ledger: Ledger) -> None:
    """One transaction: the definitions, and the rows that record them. Raises _Overtaken, QueryError."""
    first = [definition.text for definition in parts()[0].definitions]  # the ledger itself, before it is read
    lines = ["BEGIN", *first, _REQUIRE_STAMP]
    lines += [statement for _, steps in plan.due for step in steps for statement in step.statements]
    vars: dict[str, Value] = {"stamp": ledger.stamp, "stamp_row": _STAMP, "moved": _MOVED}
    vars["moved_to"] = f"{random.getrandbits(64):016x}"
    for index, (part, steps) in enumerate(plan.due):
        kept = {step.what for step in steps if step.action is Action.KEEP} & ledger.definitions.keys()
        vars[f"kept{index}"] = {
            key: {"digest": ledger.definitions[key].digest, "shown": ledger.definitions[key].shown} for key in kept
        }
        vars[f"row{index}"] = RecordId("_00_migrations", [part.name, part.version])
        lines.append(
            f"UPSERT $row{index} CONTENT {{ version: {escape(part.label, chr(39))}, name: {escape(part.name, chr(39))},"
            f" applied_at: time::now(), checksum: {escape(part.checksum, chr(39))},"
            f" definitions: object::extend($kept{index}, {_shown_now(part, kept)}) }} RETURN NONE"
        )
    lines += [_MOVE_STAMP, "COMMIT"]
    results = await database.query_raw(";\n".join(lines), vars)
    if any(not result.ok and ("can be retried" in result.error or _MOVED in result.error) for result in results):
        raise _Overtaken
    failure = cause_of(results)
    if failure is not None:
        raise failure


_REQUIRE_STAMP: Final = (
    "IF ((SELECT VALUE checksum FROM ONLY $stamp_row) ?? '') != $stamp { THROW $moved }"  # read in the transaction
)
_MOVE_STAMP: Final = (
    "UPSERT $stamp_row CONTENT { version: 'mesh', name: 'stamp', applied_at: time::now(), checksum: $moved_to }"
    " RETURN NONE"
)


def _shown_now(part: Part, kept: set[str]) -> str:
    """An object, evaluated in the transaction: every definition that is not kept, its digest, and how INFO shows it."""
    entries = []
    for definition in part.definitions:
        if definition.removes or definition.key in kept:
            continue
        quoted = escape(definition.name, "'")
        if definition.table:
            shown = f"(INFO FOR TABLE {escape_ident(definition.table)}).{OF_TABLE[definition.kind]}[{quoted}]"
        else:
            shown = f"(INFO FOR DB).{OF_DATABASE[definition.kind]}[{quoted}]"
        entries.append(f"{escape(definition.key, chr(39))}: {{ digest: '{definition.digest}', shown: {shown} }}")
    return f"{{ {', '.join(entries)} }}"


def _tell(plan: Plan) -> None:
    done = [step for _, steps in plan.due for step in steps if step.action is not Action.KEEP]
    for step in done:
        log.log(logging.WARNING if step.note else logging.DEBUG, "%s %s; %s", step.action, step.what, step.note)
    if done:
        log.info("installed %d definitions in SurrealDB", len(done))


def _items(mapping: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    value = mapping.get(name)
    return list(value.items()) if isinstance(value, Mapping) else []


def _mapping(value: Value) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
