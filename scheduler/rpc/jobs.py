"""`JobService`: jobs of the outbox tables for operators and the gateway; see `scheduler/outbox.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpc import aio
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import jobs_pb2, jobs_pb2_grpc
from sp00ky.proto.values.json import encode_json
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

    async def SetBackends(
        self, request: jobs_pb2.SetBackendsRequest, context: aio.ServicerContext[object, object]
    ) -> jobs_pb2.SetBackendsResponse:
        return jobs_pb2.SetBackendsResponse(backends=self._driver.backends.replace(request.backends_json))


def _message(row: Row) -> jobs_pb2.Job:
    status = str(row.get("status") or "")
    return jobs_pb2.Job(id=record_id_text(row["id"]), status=status, json=encode_json(dict(row)).decode())
