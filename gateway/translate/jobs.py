"""`/job…`, `/jobs`, `PUT /backends` ↔ `JobService`: rows of outbox tables, which SSPs run.

`/job/result` has words of its own for a job's status, as documented: `completed` and `failed` end it, `pending` and
`running` change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import orjson
from sp00ky.gateway.errors import Misshapen
from sp00ky.gateway.exchange import JSON, Answer, Asked, json_answer
from sp00ky.gateway.translate.body import kind_name, parse_json, parse_object, require_media_type
from sp00ky.gateway.translate.fields import ANYTHING, NAME, TEXT, Body, Field, Schema
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import jobs_pb2
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import Value

_ENDED: Mapping[str, bool] = {"completed": True, "success": True, "failed": False}
_UNFINISHED = ("pending", "running", "processing")
_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_LIMIT_MAX = 1000

JOB_ID = Field("job_id", "id of its row, for example job:abc", NAME, required=True)
NEW_ID = Field("job_id", "id of its row; one is made where it is not stated", TEXT)
TABLE = Field("table", "an outbox table", NAME, required=True)
PATH = Field("path", "what is asked of the backend, below its URL; /")
PAYLOAD = Field("payload", "what the backend is given", ANYTHING)
OPTIONS = (
    Field("max_retries", "how often it is tried again; 3", _COUNT),
    Field("retry_strategy", "linear or exponential", {"enum": ["linear", "exponential", None]}),
    Field("timeout", "seconds an attempt may take, where the backend allows that", _COUNT),
    Field("delay", "milliseconds until the first attempt", _COUNT),
)
DISPATCH_BODY = Body((NEW_ID, TABLE, PATH, PAYLOAD, *OPTIONS))
STATUS = Field("status", "what it came to", {"enum": [*_ENDED, *_UNFINISHED]}, required=True)
RESULT = Field("result", "stored with a success", ANYTHING)
ERROR = Field("error", "why it failed")
RESULT_BODY = Body((JOB_ID, STATUS, RESULT, ERROR))
ID_BODY = Body((JOB_ID,))
OF_TABLE = Field("table", "an outbox table; all of them")
OF_STATUS = Field("status", "pending, processing, success, failed or cancelled; any")
LIMIT = Field("limit", "jobs of a table; 100, at most 1000", TEXT)
BACKENDS_BODY = Body(
    (
        Field("name", "", NAME, required=True),
        Field("url", "http:// or https://", NAME, required=True),
        Field("healthcheck", "path that is asked for; none: it is not asked"),
        Field("port", "shown in /info", _COUNT),
        Field("env", "NAME=value, shown in /info, masked", {"type": "array", "items": TEXT}),
    ),
    (JSON,),
    several=True,
)


class JobMoved(TypedDict):
    job_id: str
    status: str


class Jobs(TypedDict):
    """`counts`: by table, then by status."""

    jobs: list[dict[str, Any]]
    counts: dict[str, dict[str, int]]


class Schedules(TypedDict):
    schedules: list[dict[str, Any]]


class BackendsSet(TypedDict):
    backends: int


def list_request(asked: Asked) -> jobs_pb2.ListJobsRequest:
    limit = LIMIT.text(asked.query) or "100"
    if not limit.isdecimal() or not 0 < int(limit) <= _LIMIT_MAX:
        raise Fault(Code.INVALID, f'limit "{limit[:64]}" is not a number from 1 to {_LIMIT_MAX}')
    return jobs_pb2.ListJobsRequest(
        table=OF_TABLE.text(asked.query), status=OF_STATUS.text(asked.query), limit=int(limit)
    )


def list_answer(asked: Asked, response: jobs_pb2.ListJobsResponse) -> Answer:
    counts: dict[str, dict[str, int]] = {}
    for count in response.counts:
        counts.setdefault(count.table, {})[count.status] = count.jobs
    body: Jobs = {"jobs": [orjson.loads(job.json) for job in response.jobs], "counts": counts}
    return json_answer(body)


def schedules_request() -> jobs_pb2.ListSchedulesRequest:
    return jobs_pb2.ListSchedulesRequest()


def schedules_answer(asked: Asked, response: jobs_pb2.ListSchedulesResponse) -> Answer:
    body: Schedules = {"schedules": [_schedule(each) for each in response.schedules]}
    return json_answer(body)


def _schedule(schedule: jobs_pb2.Schedule) -> dict[str, Any]:
    job = {"id": schedule.job, "status": schedule.job_status or None} if schedule.job else None
    return {
        "name": schedule.name,
        "cadence": schedule.cadence,
        "timezone": schedule.timezone,
        "table": schedule.table,
        "path": schedule.path,
        "concurrency": schedule.concurrency,
        "missed_policy": schedule.missed,
        "enabled": schedule.enabled,
        "next_at": schedule.next_at or None,
        "last_at": schedule.last_at or None,
        "last": schedule.last or None,
        "last_job": job,
        "made": schedule.made,
        "skipped": schedule.skipped,
        "missed": schedule.missed_times,
        "error": schedule.error or None,
    }


def get_request(asked: Asked) -> jobs_pb2.GetJobRequest:
    return jobs_pb2.GetJobRequest(id=asked.path["id"])


def get_answer(asked: Asked, response: jobs_pb2.GetJobResponse) -> Answer:
    return json_answer(orjson.loads(response.job.json))


def dispatch_request(asked: Asked) -> jobs_pb2.DispatchJobRequest:
    body = parse_object(asked)
    options = {field.name: body[field.name] for field in OPTIONS if body.get(field.name) is not None}
    return jobs_pb2.DispatchJobRequest(
        id=NEW_ID.text(body),
        table=TABLE.text(body),
        path=PATH.text(body) or "/",
        payload_json=_json(body, PAYLOAD),
        options_json=encode_json(options).decode(),
    )


def result_request(asked: Asked) -> jobs_pb2.ReportJobRequest:
    body = parse_object(asked)
    status = STATUS.text(body)
    if status not in _ENDED and status not in _UNFINISHED:
        raise Fault(Code.INVALID, f'status "{status[:64]}" is none of {", ".join((*_ENDED, *_UNFINISHED))}')
    return jobs_pb2.ReportJobRequest(
        id=JOB_ID.text(body),
        succeeded=_ENDED.get(status, False),
        unfinished=status in _UNFINISHED,
        result_json=_json(body, RESULT),
        error=ERROR.text(body),
    )


def kill_request(asked: Asked) -> jobs_pb2.KillJobRequest:
    return jobs_pb2.KillJobRequest(id=JOB_ID.text(parse_object(asked)))


def retry_request(asked: Asked) -> jobs_pb2.RetryJobRequest:
    return jobs_pb2.RetryJobRequest(id=JOB_ID.text(parse_object(asked)))


def moved_answer(asked: Asked, response: Any) -> Answer:
    body: JobMoved = {"job_id": response.job.id, "status": response.job.status}
    return json_answer(body)


def backends_request(asked: Asked) -> jobs_pb2.SetBackendsRequest:
    require_media_type(asked, JSON)
    stated = parse_json(asked.body, asked)
    if type(stated) is not list:
        raise Misshapen(f"body is {kind_name(stated)}, not an array")
    return jobs_pb2.SetBackendsRequest(backends_json=encode_json(stated).decode())


def backends_answer(asked: Asked, response: jobs_pb2.SetBackendsResponse) -> Answer:
    body: BackendsSet = {"backends": response.backends}
    return json_answer(body)


def _json(body: Mapping[str, Value], field: Field) -> str:
    value = body.get(field.name)
    return "" if value is None else encode_json(value).decode()
