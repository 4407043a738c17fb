"""Rows of THE TABLE (`endpoints.py`) for jobs and their backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message
from sp00ky.gateway.endpoint import ADMINS, CLIENTS, READERS, SCHEDULER, Endpoint
from sp00ky.gateway.exchange import Asked
from sp00ky.gateway.translate import jobs
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code

_MOVES = frozenset({Code.NOT_FOUND, Code.CONFLICT})


def _move(path: str, summary: str, request: Callable[[Asked], Message], rpc: Rpc, **options: Any) -> Endpoint:
    answer, result = jobs.moved_answer, jobs.JobMoved
    return Endpoint("POST", path, SCHEDULER, summary, answer, request, rpc, result=result, may=_MOVES, **options)


JOBS: Sequence[Endpoint] = (
    Endpoint(
        "GET",
        "/jobs",
        SCHEDULER,
        "jobs, the latest first, and how many there are; `?table=…&status=failed&limit=…`: what has failed for good",
        jobs.list_answer,
        jobs.list_request,
        Rpc.LIST_JOBS,
        roles=ADMINS,
        asks=(jobs.OF_TABLE, jobs.OF_STATUS, jobs.LIMIT),
        result=jobs.Jobs,
        may=frozenset({Code.NOT_FOUND}),
    ),
    Endpoint(
        "GET",
        "/schedules",
        SCHEDULER,
        "what makes jobs by a clock: when next, and what became of the last time",
        jobs.schedules_answer,
        lambda asked: jobs.schedules_request(),
        Rpc.LIST_SCHEDULES,
        roles=ADMINS,
        result=jobs.Schedules,
        may=frozenset({Code.NOT_FOUND}),
    ),
    Endpoint(
        "GET",
        "/job/{id}",
        SCHEDULER,
        "one, its whole row; 404 unknown",
        jobs.get_answer,
        jobs.get_request,
        Rpc.GET_JOB,
        result=dict[str, Any],
        may=frozenset({Code.NOT_FOUND}),
    ),
    _move(
        "/job/dispatch",
        "`{table, job_id?, path?, payload?, max_retries?, …}`: puts a job into its outbox; 409 where its id is taken",
        jobs.dispatch_request,
        Rpc.DISPATCH_JOB,
        body=jobs.DISPATCH_BODY,
        roles=CLIENTS,
    ),
    _move(
        "/job/result",
        "`{job_id, status, result?, error?}`: what a job in process came to; 404 unknown, 409 not in process",
        jobs.result_request,
        Rpc.REPORT_JOB,
        body=jobs.RESULT_BODY,
        roles=READERS,
    ),
    _move(
        "/job/kill",
        "`{job_id}`: pending or processing → cancelled; 409 otherwise",
        jobs.kill_request,
        Rpc.KILL_JOB,
        body=jobs.ID_BODY,
        roles=ADMINS,
    ),
    _move(
        "/job/retry",
        "`{job_id}`: failed or cancelled → pending, with all its retries; 409 otherwise",
        jobs.retry_request,
        Rpc.RETRY_JOB,
        body=jobs.ID_BODY,
        roles=ADMINS,
    ),
    Endpoint(
        "PUT",
        "/backends",
        SCHEDULER,
        "`[{name, url, healthcheck?, port?, env?}]`: whose health is asked for; kept over restarts",
        jobs.backends_answer,
        jobs.backends_request,
        Rpc.SET_BACKENDS,
        roles=ADMINS,
        body=jobs.BACKENDS_BODY,
        result=jobs.BackendsSet,
    ),
)
