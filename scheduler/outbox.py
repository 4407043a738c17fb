"""What operators do with jobs: look, dispatch, kill, retry, report. Every move is one guarded statement on the row,
from the statuses that the transition table allows (`proto/jobs/lifecycle.py`); a runner that still works on the job is
fenced by the epoch."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sp00ky.proto.database import Database, QueryError, cause_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs import schedule_rows, statements
from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.jobs.lifecycle import Signal, Status, sources
from sp00ky.proto.values.json import JsonError, from_json
from sp00ky.proto.values.kinds import NONE, Duration, RecordId, Value
from sp00ky.proto.values.literal import LiteralError, read_record_id
from sp00ky.proto.values.text import record_id_text

LIST_DEFAULT, LIST_MAX = 100, 1_000
OPTIONS = ("max_retries", "retry_strategy", "timeout", "delay")
_CONFLICT_RETRIES = 8
_TEXT_MAX = 100

Row = Mapping[str, Value]


class Outboxes:
    """The outbox tables of one database. Every operation raises Fault: NOT_FOUND, CONFLICT, INVALID, UNAVAILABLE."""

    def __init__(
        self, database: Database, backends: Callable[[], Sequence[Backend]], more_tables: Sequence[str]
    ) -> None:
        self._database = database
        self._backends = backends
        self._more_tables = more_tables

    @property
    def tables(self) -> list[str]:
        stated = [backend.table for backend in self._backends() if backend.table]
        return list(dict.fromkeys([*stated, *self._more_tables]))

    async def listed(self, table: str, status: str, limit: int) -> tuple[list[Row], dict[tuple[str, str], int]]:
        """Rows, and how many there are by table and status."""
        wanted = _status(status)
        rows: list[Row] = []
        counts: dict[tuple[str, str], int] = {}
        for each in [self._table(table)] if table else self.tables:
            params = {"status": wanted.value if wanted else None, "limit": min(limit or LIST_DEFAULT, LIST_MAX)}
            found = await self._database.query_raw(
                f"{statements.list_jobs(each, wanted)}; {statements.count_jobs(each)}", params
            )
            failure = cause_of(found)
            if failure is not None and "does not exist" in failure.message:
                continue  # the application has not made the table yet
            if failure is not None:
                raise failure
            rows += found[0].result
            counts |= {(each, str(count["status"])): int(count["jobs"]) for count in found[1].result}
        return rows, counts

    async def shown(self, text: str) -> Row:
        job = self.job(text)
        results = await self._database.query_raw("SELECT * FROM $id", {"id": job})
        if not results[0].ok or not results[0].result:
            raise _missing(job)
        return dict(results[0].result[0])

    async def dispatch(self, text: str, table: str, path: str, payload: str, options: str) -> Row:
        table = self._table(table)
        job = self.job(text, table) if text else RecordId(table, secrets.token_hex(16))
        if job.table != table:
            raise Fault(Code.INVALID, f"job {text} is not of table {table}")
        if not path.startswith("/"):
            raise Fault(Code.INVALID, f'path "{path[:_TEXT_MAX]}" does not begin with /')
        more = _json(options, "options") or {}
        if unknown := sorted(more.keys() - set(OPTIONS)):
            raise Fault(Code.INVALID, f"unknown option {unknown[0]}", f"there are {', '.join(OPTIONS)}")
        row = {"path": path, "payload": _json(payload, "payload"), "status": Status.PENDING.value, **more}
        try:
            return dict((await self._database.query("CREATE ONLY $id CONTENT $row", {"id": job, "row": row}))[0])
        except QueryError as error:
            if error.kind == "AlreadyExists" or "already exists" in error.message:
                raise Fault(Code.CONFLICT, f"job {record_id_text(job)} exists already") from None
            raise

    async def report(self, text: str, succeeded: bool, result: str, error: str) -> Row:
        """The end of a job that is being processed, by whoever did it."""
        row = await self.shown(text)
        signal = Signal.SUCCEEDED if succeeded else Signal.EXHAUSTED
        backend = self._backend(row["id"].table)
        keep = (backend.retain_success_secs if succeeded else backend.retain_failed_secs) if backend else 0
        errors: list[Value] = [] if succeeded else [{"code": 0, "reason": error or "reported as failed"}]
        params = statements.ending_params(
            signal, 0, row=row["id"], epoch=row.get("lease_epoch", NONE), errors=errors,
            result=_json(result, "result") if result else NONE, keep_s=keep,
        )  # fmt: skip
        moved = (await self._database.query(statements.ending(signal, 0), params, conflict_retries=_CONFLICT_RETRIES))[
            0
        ]
        return await self._moved(row["id"], moved, "is not being processed")

    async def kill(self, text: str) -> Row:
        job = self.job(text)
        backend = self._backend(job.table)
        keep = Duration((backend.retain_failed_secs if backend else 0) * 1_000_000_000)
        return await self._move(statements.KILL, Signal.KILLED, job, "has ended already", keep=keep)

    async def retry(self, text: str) -> Row:
        return await self._move(statements.RETRY, Signal.RETRIED, self.job(text), "has neither failed nor been killed")

    async def _move(self, statement: str, signal: Signal, job: RecordId, otherwise: str, **params: Value) -> Row:
        bound = {"id": job, "from": sources(signal), **params}
        moved = (await self._database.query(statement, bound, conflict_retries=_CONFLICT_RETRIES))[0]
        return await self._moved(job, moved, otherwise)

    async def _moved(self, job: RecordId, moved: Sequence[Value], otherwise: str) -> Row:
        row = await self.shown(record_id_text(job))
        if not moved:
            raise Fault(Code.CONFLICT, f"job {record_id_text(job)} {otherwise}: it is {row.get('status')}")
        return row

    async def schedules(self) -> Sequence[Row]:
        """By name. `status` is that of the last job made, absent once it has been removed."""
        results = await self._database.query_raw(schedule_rows.LISTED)
        failure = cause_of(results)
        if failure is not None and "does not exist" in failure.message:
            return []  # no SSP has installed the mesh's tables yet
        if failure is not None:
            raise failure
        return list(results[0].result)

    def job(self, text: str, table: str = "") -> RecordId:
        """A job by its id as text, of a table that is an outbox."""
        try:
            found = RecordId(table, text) if table and ":" not in text else read_record_id(text)
        except LiteralError:
            raise Fault(Code.INVALID, f'"{text[:_TEXT_MAX]}" is no id of a job', "it is like job:abc") from None
        self._table(found.table)
        return found

    def _table(self, table: str) -> str:
        if table not in self.tables:
            hint = "outbox tables: " + (", ".join(self.tables) or "none; see SPKY_JOB_CONFIG")
            raise Fault(Code.NOT_FOUND, f'"{table[:_TEXT_MAX]}" is no outbox table', hint)
        return table

    def _backend(self, table: str) -> Backend | None:
        return next((backend for backend in self._backends() if backend.table == table), None)


def _missing(job: RecordId) -> Fault:
    return Fault(Code.NOT_FOUND, f"job {record_id_text(job)} does not exist")


def _status(text: str) -> Status | None:
    if text and text not in set(Status):
        raise Fault(Code.INVALID, f'"{text[:_TEXT_MAX]}" is no status of a job', f"there are {', '.join(Status)}")
    return Status(text) if text else None


def _json(text: str, name: str) -> Any:
    try:
        return from_json(text) if text else None
    except JsonError as error:
        raise Fault(Code.INVALID, f"{name}: {error}") from None
