"""The SurrealQL that jobs are moved with: the outbox table is the queue, and nothing about a job is kept elsewhere.

`due_at` is when a row needs attention next: a pending one when it may be tried, a processing one when its lease runs
out, a finished one when it may be removed. One index on (status, due_at) so serves every search, whatever the number of
rows. All times are the database's, so that runners need no common clock.

Fencing: each claim counts `lease_epoch` up, and each later write of that claim names it; a runner that was overtaken
matches no row. Every statement below is one transaction of its own, or part of a batch that is one.

Slots: of a table, whoever runs them, no more jobs have a lease that lasts than `$most`. A claim counts them, and writes
the table's row of `_00_outbox`: without it, two claims that each saw the same slot free would write different jobs, and
both be committed. So one of them is in conflict, and counts again.

Table names are checked identifiers of the configuration; all else travels as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sp00ky.proto.jobs.lifecycle import FINISHED, Signal, Status, sources, target
from sp00ky.proto.values.kinds import Duration, RecordId, Value
from sp00ky.proto.values.text import escape_ident

ERRORS_MAX = 100  # kept in a row, the newest
REMOVED_MAX = 500
INDEX: Final = "_00_job_due"

# What the mesh keeps in a row of an outbox table; each is defined where the application's schema has not done so.
FIELDS: Final[Mapping[str, str]] = {
    "status": "TYPE string DEFAULT 'pending'",
    "payload": "TYPE any",
    "result": "TYPE any",
    "retries": "TYPE option<int>",
    "max_retries": "TYPE option<int>",
    "retry_strategy": "TYPE option<string>",
    "timeout": "TYPE option<number>",
    "delay": "TYPE option<int>",
    "errors": "TYPE option<array<object>>",
    "assignee": "TYPE option<string>",
    "lease_until": "TYPE option<datetime>",
    "lease_epoch": "TYPE option<int>",
    "leases_lost": "TYPE option<int>",
    "expires_at": "TYPE option<datetime>",
    "created_at": "TYPE option<datetime> DEFAULT time::now()",
    "updated_at": "TYPE option<datetime> DEFAULT time::now()",
    "due_at": "TYPE option<datetime> DEFAULT time::now() + duration::from_millis(math::max([0, delay ?? 0]))",
}
# Of a table with a schema, further: what an error holds, whether or not the application's own errors.* is flexible.
FIELDS_SCHEMAFULL: Final[Mapping[str, str]] = {
    "errors.*": "TYPE object FLEXIBLE",
    "errors.*.at": "TYPE option<datetime>",
    "errors.*.code": "TYPE option<int>",
    "errors.*.reason": "TYPE option<string>",
    "errors.*.ssp": "TYPE option<string>",
    "errors.*.attempt": "TYPE option<int>",
}

_FOREVER = "d'9999-12-31T00:00:00Z'"
# What a runner without leases claimed and left: ten minutes after it was last written.
_OVERDUE = "(due_at != NONE OR (updated_at ?? created_at ?? d'1970-01-01T00:00:00Z') < time::now() - 10m)"
# A job that failed here is left to other SSPs for `$grace`, if there are others.
_OTHERS_FIRST = "($alone OR assignee = NONE OR assignee != $ssp OR due_at = NONE OR due_at + $grace <= time::now())"


def _until(keep: str) -> str:
    """When a row that is kept for so long may go; a duration of 0 is for ever."""
    return f"(IF {keep} = 0ns {{ {_FOREVER} }} ELSE {{ time::now() + {keep} }})"


def definitions(table: str, *, schemafull: bool) -> str:
    """Puts the fields and the index into an outbox table that is there."""
    wanted = {**FIELDS, **(FIELDS_SCHEMAFULL if schemafull else {})}
    name = escape_ident(table)
    fields = [f"DEFINE FIELD IF NOT EXISTS {field} ON {name} {kind};" for field, kind in wanted.items()]
    return "\n".join([*fields, f"DEFINE INDEX IF NOT EXISTS {INDEX} ON {name} FIELDS status, due_at;"])


def adopt(table: str) -> str:
    """Rows from before the table had the mesh's fields: without a status they are pending, and their delay counts.
    SurrealDB leaves a row out of an index that is defined while the row is being created; that a pending row's `due_at`
    moves, by a nanosecond where it has one, puts it in. So rows are looked for without the index."""
    name = escape_ident(table)
    return (
        f"UPDATE (SELECT VALUE id FROM {name} WITH NOINDEX WHERE status = NONE) SET status = 'pending' RETURN NONE;"
        f"UPDATE (SELECT VALUE id FROM {name} WITH NOINDEX WHERE status = 'pending') SET due_at = IF due_at != NONE "
        f"{{ due_at + 1ns }} ELSE {{ (created_at ?? time::now()) "
        f"+ (IF type::is_int(delay) AND delay > 0 {{ duration::from_millis(delay) }} ELSE {{ 0ns }}) }} "
        f"WHERE status = 'pending' RETURN NONE;"
    )


def _held(table: str) -> str:
    """How many have a lease that lasts: at most as many index entries as there are slots."""
    name = escape_ident(table)
    return f"(SELECT count() FROM {name} WHERE status = 'processing' AND due_at > time::now() GROUP ALL)[0].count ?? 0"


def find_due(table: str) -> str:
    """What may be claimed, the longest due first; when the next is due, if one is; slots held; and the time."""
    name = escape_ident(table)
    return (
        f"SELECT id, due_at FROM {name} WHERE status = 'pending' AND due_at <= time::now() AND {_OTHERS_FIRST} "
        f"ORDER BY due_at LIMIT $limit;"
        f"SELECT VALUE due_at FROM {name} WHERE status = 'pending' AND due_at > time::now() "
        f"ORDER BY due_at LIMIT 1;"
        f"RETURN {_held(table)};"
        f"RETURN time::now();"
    )


# SET sees the row as it was, so that what two fields are to be is written twice.
_LEASE = (
    "time::now() + $margin + (IF $overridable AND type::is_number(timeout) AND timeout > 0 "
    "{ duration::from_secs(<int> math::ceil(math::min([timeout, $timeout_max]))) } ELSE { $timeout })"
)
_CLAIM: Final = f"""
UPDATE array::slice($ids, 0, math::max([0, $most - $held])) SET status = '{target(Signal.CLAIMED)}', assignee = $ssp,
    lease_epoch = (lease_epoch ?? 0) + 1, lease_until = {_LEASE}, due_at = {_LEASE}, updated_at = time::now()
WHERE status IN $from AND (due_at = NONE OR due_at <= time::now())
    AND {_OTHERS_FIRST}
RETURN AFTER;
"""
CLAIMED_AT: Final = 3  # which result of it has the rows


def claim(table: str) -> str:
    """Of `$ids`, as many as there are slots."""
    return batch(
        [
            f"UPSERT _00_outbox:{escape_ident(table)} SET claims = (claims ?? 0) + 1 RETURN NONE;",
            f"LET $held = {_held(table)};",
            _CLAIM,
        ]
    )


def claim_params(**params: Value) -> dict[str, Value]:
    return {**params, "from": sources(Signal.CLAIMED)}


def find_expired(table: str) -> str:
    return (
        f"SELECT id, lease_epoch, leases_lost, assignee, lease_until FROM {escape_ident(table)} "
        f"WHERE status = 'processing' AND due_at <= time::now() AND {_OVERDUE} LIMIT $limit"
    )


def ending(signal: Signal, number: int) -> str:
    """One row of a batch, with parameters `<name><number>`: what a claim came to. Its `lease_epoch` is the fence."""
    after = target(signal)
    n = number
    parts = [f"status = '{after}'", "updated_at = time::now()", "lease_until = NONE"]
    if signal is Signal.SUCCEEDED:
        parts.append(f"result = $result{n}")
    if signal in (Signal.ERRED, Signal.LOST, Signal.ABANDONED):
        counted = "retries" if signal is Signal.ERRED else "leases_lost"
        parts.append(f"{counted} = ({counted} ?? 0) + 1")
    parts.append(
        f"errors = IF array::len($errors{n}) = 0 {{ errors }} "
        f"ELSE {{ array::slice(array::concat($errors{n}, errors ?? []), 0, {ERRORS_MAX}) }}"
    )
    if after in FINISHED:
        parts += [f"{name} = {_until(f'$keep{n}')}" for name in ("expires_at", "due_at")]
    else:
        parts += [f"due_at = time::now() + $pause{n}"]
    where = f"status IN $from{n} AND lease_epoch = $epoch{n}"
    return f"UPDATE $id{n} SET {', '.join(parts)} WHERE {where} RETURN VALUE id;"


def ending_params(
    signal: Signal, number: int, *, row: RecordId, epoch: int, errors: Sequence[Value], result: Value = None,
    keep_s: int = 0, pause_ms: int = 0,
) -> dict[str, Value]:  # fmt: skip
    named: dict[str, Value] = {
        "id": row,
        "epoch": epoch,
        "errors": list(errors),
        "result": result,
        "keep": Duration(keep_s * 1_000_000_000),
        "pause": Duration(pause_ms * 1_000_000),
        "from": sources(signal),
    }
    return {f"{name}{number}": value for name, value in named.items()}


def batch(statements: Sequence[str]) -> str:
    """One transaction: all of it, or nothing."""
    return "\n".join(["BEGIN;", *statements, "COMMIT;"])


# What runs here and may have been taken from us: killed, or claimed by others once the lease was over.
HELD: Final = "SELECT id, lease_epoch, status FROM $ids"


def remove_expired(table: str) -> str:
    """One statement a status: each is a range of the index."""
    name = escape_ident(table)
    return "\n".join(
        f"DELETE (SELECT VALUE id FROM {name} WHERE status = '{status}' AND due_at <= time::now() "
        f"AND expires_at != NONE AND expires_at <= time::now() LIMIT {REMOVED_MAX}) RETURN VALUE id;"
        for status in FINISHED
    )


# Operators. Either raises the epoch, so that nobody who still works on the job can record what comes of it.
_KILLED = (
    f"array::slice(array::concat([{{ at: time::now(), code: 0, reason: 'killed' }}], errors ?? []), 0, {ERRORS_MAX})"
)
KILL: Final = f"""
UPDATE $id SET status = '{target(Signal.KILLED)}', lease_epoch = (lease_epoch ?? 0) + 1, lease_until = NONE,
    errors = {_KILLED}, updated_at = time::now(), expires_at = {_until("$keep")}, due_at = {_until("$keep")}
WHERE status IN $from RETURN AFTER
"""
RETRY: Final = f"""
UPDATE $id SET status = '{target(Signal.RETRIED)}', lease_epoch = (lease_epoch ?? 0) + 1, lease_until = NONE,
    retries = 0, leases_lost = 0, result = NONE, assignee = NONE, expires_at = NONE, updated_at = time::now(),
    due_at = time::now()
WHERE status IN $from RETURN AFTER
"""
SHOWN: Final = (
    "id, path, status, retries, max_retries, assignee, lease_until, lease_epoch, leases_lost, due_at, created_at, "
    "updated_at, array::first(errors ?? []) AS error"
)


def list_jobs(table: str, status: Status | None) -> str:
    """The latest first."""
    where = "" if status is None else "WHERE status = $status"
    return f"SELECT {SHOWN} FROM {escape_ident(table)} {where} ORDER BY updated_at DESC LIMIT $limit"


def count_jobs(table: str) -> str:
    return f"SELECT status, count() AS jobs FROM {escape_ident(table)} GROUP BY status"
