"""`JobService`: jobs of the outbox tables for operators and the gateway; see `scheduler/outbox.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from grpc import aio
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import jobs_pb2, jobs_pb2_grpc
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import Datetime, RecordId, Value
from sp00ky.proto.values.text import record_id_text
from sp00ky.scheduler.outbox import Outboxes, Row

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver

__all__ = ["JobServicer", "add_jobs", "jobs_pb2"]

add_jobs = jobs_pb2_grpc.add_JobServiceServicer_to_server


class JobServicer(jobs_pb2_grpc.JobServiceServicer):
    def __init__(self, driver: SchedulerDriver) -> None:
        self._driver = driver

    @property
    def _outboxes(self) -> Outboxes:
        driver = self._driver
        if driver.database is None:
            raise Fault(Code.NOT_FOUND, "there are no jobs: no database is captured")
        return Outboxes(driver.database, lambda: driver.backends.configured, driver.settings.job_tables)

    async def ListJobs(
        self, request: jobs_pb2.ListJobsRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.ListJobsResponse:
        rows, counts = await self._outboxes.listed(request.table, request.status, request.limit)
        return jobs_pb2.ListJobsResponse(
            jobs=[_message(row) for row in rows],
            counts=[
                jobs_pb2.JobCount(table=table, status=status, jobs=jobs) for (table, status), jobs in counts.items()
            ],
        )

    async def GetJob(
        self, request: jobs_pb2.GetJobRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.GetJobResponse:
        return jobs_pb2.GetJobResponse(job=_message(await self._outboxes.shown(request.id)))

    async def DispatchJob(
        self, request: jobs_pb2.DispatchJobRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.DispatchJobResponse:
        row = await self._outboxes.dispatch(
            request.id, request.table, request.path, request.payload_json, request.options_json
        )
        return jobs_pb2.DispatchJobResponse(job=_message(row))

    async def ReportJob(
        self, request: jobs_pb2.ReportJobRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.ReportJobResponse:
        outboxes = self._outboxes
        if request.unfinished:
            return jobs_pb2.ReportJobResponse(job=_message(await outboxes.shown(request.id)))
        row = await outboxes.report(request.id, request.succeeded, request.result_json, request.error)
        return jobs_pb2.ReportJobResponse(job=_message(row))

    async def KillJob(
        self, request: jobs_pb2.KillJobRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.KillJobResponse:
        return jobs_pb2.KillJobResponse(job=_message(await self._outboxes.kill(request.id)))

    async def RetryJob(
        self, request: jobs_pb2.RetryJobRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.RetryJobResponse:
        return jobs_pb2.RetryJobResponse(job=_message(await self._outboxes.retry(request.id)))

    async def ListSchedules(
        self, request: jobs_pb2.ListSchedulesRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.ListSchedulesResponse:
        rows = await self._outboxes.schedules()
        return jobs_pb2.ListSchedulesResponse(schedules=[_schedule(row) for row in rows])

    async def SetBackends(
        self, request: jobs_pb2.SetBackendsRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.SetBackendsResponse:
        driver = self._driver
        count = driver.backends.replace(request.backends_json)
        await (await driver.committer.offer_in_turn([], [driver.backends.kept(request.backends_json)]))
        return jobs_pb2.SetBackendsResponse(backends=count)


def _message(row: Row) -> jobs_pb2.Job:
    status = str(row.get("status") or "")
    return jobs_pb2.Job(id=record_id_text(row["id"]), status=status, json=encode_json(dict(row)).decode())


def _schedule(row: Row) -> jobs_pb2.Schedule:
    """Rows may be anybody's: what is missing or odd is shown as nothing, not refused."""
    stated = row.get("definition")
    definition: Row = stated if isinstance(stated, Mapping) else {}
    words = {name: _word(definition.get(name)) for name in ("cadence", "timezone", "table", "path")}
    job = row.get("last_job")
    return jobs_pb2.Schedule(
        name=str(row["id"].key),
        **words,
        concurrency=_word(definition.get("concurrency")) or "skip",
        missed=_word(definition.get("missed")) or "once",
        enabled=definition.get("enabled") is not False,
        next_at=_time(row.get("next_at")),
        last_at=_time(row.get("last_at")),
        last=_word(row.get("last")),
        job=record_id_text(job) if isinstance(job, RecordId) else "",
        job_status=_word(row.get("status")),
        made=_count(row.get("made")),
        skipped=_count(row.get("skipped")),
        missed_times=_count(row.get("missed")),
        error=_word(row.get("error")),
    )


def _word(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Value) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _time(value: Value) -> str:
    return datetime.fromtimestamp(value.seconds, UTC).isoformat() if isinstance(value, Datetime) else ""
