"""The database's changefeed: read how it is defined, and define it where it is not.

A definition is changed by writing the one that is there again with OVERWRITE and our clause at its end, so nothing that
the database says of it is lost.
"""

from __future__ import annotations

import re
from typing import Final

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault

RETENTION: Final = "1d"
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`|⟨(?:[^⟩\\]|\\.)*⟩")
_CLAUSE = re.compile(r"\bCHANGEFEED\s+(\w+)(\s+INCLUDE\s+ORIGINAL)?", re.IGNORECASE)
_PART = re.compile(r"(\d+)(ns|us|µs|ms|s|m|h|d|w|y)")
_UNIT_MS: Final = {
    "ns": 1e-6,
    "us": 1e-3,
    "µs": 1e-3,
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}


async def has_feed(database: Database) -> bool:
    """Whether there is a changefeed with originals. Raises Fault."""
    return with_feed(await _definition(database), RETENTION) is None


async def ensure_feed(database: Database, retention: str = RETENTION) -> int:
    """Define a changefeed with originals if there is none; its retention in milliseconds. Raises Fault."""
    definition = await _definition(database)
    wanted = with_feed(definition, retention)
    if wanted is not None:
        await database.query(wanted, conflict_retries=10)
        definition = await _definition(database)
    retention_ms = retention_of(definition)
    if retention_ms is None:
        message = f"database {database.database} has no changefeed, and defining one had no effect"
        raise Fault(Code.UNAVAILABLE, message, "define it by hand: CHANGEFEED 1d INCLUDE ORIGINAL")
    return retention_ms


async def _definition(database: Database) -> str:
    info = (await database.query("INFO FOR NS"))[0]
    definition = info["databases"].get(database.database)
    if definition is None:
        raise Fault(Code.NOT_FOUND, f"database {database.database} does not exist in namespace {database.namespace}")
    return str(definition)


def with_feed(definition: str, retention: str) -> str | None:
    """The statement that gives this database a changefeed with originals; None if it has one."""
    clause = _clause_of(definition)
    if clause is None:
        wanted = f"{definition} CHANGEFEED {retention} INCLUDE ORIGINAL"
    elif clause[2]:
        return None
    else:
        wanted = f"{definition[: clause.end()]} INCLUDE ORIGINAL{definition[clause.end() :]}"
    return re.sub(r"^DEFINE DATABASE\b", "DEFINE DATABASE OVERWRITE", wanted)


def retention_of(definition: str) -> int | None:
    """Milliseconds the feed is kept for; None if there is no feed."""
    clause = _clause_of(definition)
    return None if clause is None else int(sum(int(n) * _UNIT_MS[unit] for n, unit in _PART.findall(clause[1])))


def _clause_of(definition: str) -> re.Match[str] | None:
    """The clause at its place, not what a name or comment says of one."""
    return _CLAUSE.search(_QUOTED.sub(lambda quoted: "'" * len(quoted[0]), definition))
