from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchEventsRequest(_message.Message):
    __slots__ = ("since_id", "samples")
    SINCE_ID_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    since_id: int
    samples: bool
    def __init__(self, since_id: _Optional[int] = ..., samples: _Optional[bool] = ...) -> None: ...

class WatchEventsResponse(_message.Message):
    __slots__ = ("missed", "last_id", "events", "samples")
    MISSED_FIELD_NUMBER: _ClassVar[int]
    LAST_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    missed: bool
    last_id: int
    events: _containers.RepeatedCompositeFieldContainer[MeshEvent]
    samples: _containers.RepeatedCompositeFieldContainer[MeshSample]
    def __init__(self, missed: _Optional[bool] = ..., last_id: _Optional[int] = ..., events: _Optional[_Iterable[_Union[MeshEvent, _Mapping]]] = ..., samples: _Optional[_Iterable[_Union[MeshSample, _Mapping]]] = ...) -> None: ...

class MeshEvent(_message.Message):
    __slots__ = ("id", "at_ms", "kind", "text", "ssp_id", "view_id", "auth_id", "trouble")
    ID_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    VIEW_ID_FIELD_NUMBER: _ClassVar[int]
    AUTH_ID_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    id: int
    at_ms: int
    kind: str
    text: str
    ssp_id: str
    view_id: str
    auth_id: str
    trouble: bool
    def __init__(self, id: _Optional[int] = ..., at_ms: _Optional[int] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ..., ssp_id: _Optional[str] = ..., view_id: _Optional[str] = ..., auth_id: _Optional[str] = ..., trouble: _Optional[bool] = ...) -> None: ...

class MeshSample(_message.Message):
    __slots__ = ("at_ms", "state", "detail", "captures", "captured_per_second", "appended_per_second", "head_seq", "queued_changes", "log_bytes", "rows", "cpu_ratio", "memory_bytes", "views", "dead_letters", "ssps", "lag")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CAPTURES_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    APPENDED_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    QUEUED_CHANGES_FIELD_NUMBER: _ClassVar[int]
    LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CPU_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    SSPS_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    state: str
    detail: str
    captures: bool
    captured_per_second: float
    appended_per_second: float
    head_seq: int
    queued_changes: int
    log_bytes: int
    rows: int
    cpu_ratio: float
    memory_bytes: int
    views: int
    dead_letters: int
    ssps: _containers.RepeatedCompositeFieldContainer[SspSample]
    lag: StageLag
    def __init__(self, at_ms: _Optional[int] = ..., state: _Optional[str] = ..., detail: _Optional[str] = ..., captures: _Optional[bool] = ..., captured_per_second: _Optional[float] = ..., appended_per_second: _Optional[float] = ..., head_seq: _Optional[int] = ..., queued_changes: _Optional[int] = ..., log_bytes: _Optional[int] = ..., rows: _Optional[int] = ..., cpu_ratio: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., views: _Optional[int] = ..., dead_letters: _Optional[int] = ..., ssps: _Optional[_Iterable[_Union[SspSample, _Mapping]]] = ..., lag: _Optional[_Union[StageLag, _Mapping]] = ...) -> None: ...

class SspSample(_message.Message):
    __slots__ = ("id", "state", "draining", "views", "cpu_ratio", "memory_bytes", "heartbeat_age_seconds", "applied_seq", "written_seq", "applied_per_second", "edges_per_second", "views_failed")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    CPU_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_SEQ_FIELD_NUMBER: _ClassVar[int]
    APPLIED_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    EDGES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FAILED_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: str
    draining: bool
    views: int
    cpu_ratio: float
    memory_bytes: int
    heartbeat_age_seconds: float
    applied_seq: int
    written_seq: int
    applied_per_second: float
    edges_per_second: float
    views_failed: int
    def __init__(self, id: _Optional[str] = ..., state: _Optional[str] = ..., draining: _Optional[bool] = ..., views: _Optional[int] = ..., cpu_ratio: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., heartbeat_age_seconds: _Optional[float] = ..., applied_seq: _Optional[int] = ..., written_seq: _Optional[int] = ..., applied_per_second: _Optional[float] = ..., edges_per_second: _Optional[float] = ..., views_failed: _Optional[int] = ...) -> None: ...

class StageLag(_message.Message):
    __slots__ = ("captured_seconds", "applied_seconds", "written_seconds")
    CAPTURED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    captured_seconds: float
    applied_seconds: float
    written_seconds: float
    def __init__(self, captured_seconds: _Optional[float] = ..., applied_seconds: _Optional[float] = ..., written_seconds: _Optional[float] = ...) -> None: ...
