from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Job(_message.Message):
    __slots__ = ("id", "status", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: str
    json: str
    def __init__(self, id: _Optional[str] = ..., status: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("table", "status", "limit")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    table: str
    status: str
    limit: int
    def __init__(self, table: _Optional[str] = ..., status: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "counts")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    counts: _containers.RepeatedCompositeFieldContainer[JobCount]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., counts: _Optional[_Iterable[_Union[JobCount, _Mapping]]] = ...) -> None: ...

class JobCount(_message.Message):
    __slots__ = ("table", "status", "jobs")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    table: str
    status: str
    jobs: int
    def __init__(self, table: _Optional[str] = ..., status: _Optional[str] = ..., jobs: _Optional[int] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class DispatchJobRequest(_message.Message):
    __slots__ = ("id", "table", "path", "payload_json", "options_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    table: str
    path: str
    payload_json: str
    options_json: str
    def __init__(self, id: _Optional[str] = ..., table: _Optional[str] = ..., path: _Optional[str] = ..., payload_json: _Optional[str] = ..., options_json: _Optional[str] = ...) -> None: ...

class DispatchJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ReportJobRequest(_message.Message):
    __slots__ = ("id", "succeeded", "result_json", "error", "unfinished")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    id: str
    succeeded: bool
    result_json: str
    error: str
    unfinished: bool
    def __init__(self, id: _Optional[str] = ..., succeeded: _Optional[bool] = ..., result_json: _Optional[str] = ..., error: _Optional[str] = ..., unfinished: _Optional[bool] = ...) -> None: ...

class ReportJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class KillJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class KillJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class RetryJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RetryJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class SetBackendsRequest(_message.Message):
    __slots__ = ("backends_json",)
    BACKENDS_JSON_FIELD_NUMBER: _ClassVar[int]
    backends_json: str
    def __init__(self, backends_json: _Optional[str] = ...) -> None: ...

class SetBackendsResponse(_message.Message):
    __slots__ = ("backends",)
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    backends: int
    def __init__(self, backends: _Optional[int] = ...) -> None: ...

class ListSchedulesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSchedulesResponse(_message.Message):
    __slots__ = ("schedules",)
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    schedules: _containers.RepeatedCompositeFieldContainer[Schedule]
    def __init__(self, schedules: _Optional[_Iterable[_Union[Schedule, _Mapping]]] = ...) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("name", "cadence", "timezone", "table", "path", "concurrency", "missed", "enabled", "next_at", "last_at", "last", "job", "job_status", "made", "skipped", "missed_times", "error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CADENCE_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    JOB_STATUS_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    MISSED_TIMES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    cadence: str
    timezone: str
    table: str
    path: str
    concurrency: str
    missed: str
    enabled: bool
    next_at: str
    last_at: str
    last: str
    job: str
    job_status: str
    made: int
    skipped: int
    missed_times: int
    error: str
    def __init__(self, name: _Optional[str] = ..., cadence: _Optional[str] = ..., timezone: _Optional[str] = ..., table: _Optional[str] = ..., path: _Optional[str] = ..., concurrency: _Optional[str] = ..., missed: _Optional[str] = ..., enabled: _Optional[bool] = ..., next_at: _Optional[str] = ..., last_at: _Optional[str] = ..., last: _Optional[str] = ..., job: _Optional[str] = ..., job_status: _Optional[str] = ..., made: _Optional[int] = ..., skipped: _Optional[int] = ..., missed_times: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...
