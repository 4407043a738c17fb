from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DrainSspRequest(_message.Message):
    __slots__ = ("ssp_id", "undo")
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    UNDO_FIELD_NUMBER: _ClassVar[int]
    ssp_id: str
    undo: bool
    def __init__(self, ssp_id: _Optional[str] = ..., undo: _Optional[bool] = ...) -> None: ...

class DrainSspResponse(_message.Message):
    __slots__ = ("views", "revision")
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    views: int
    revision: str
    def __init__(self, views: _Optional[int] = ..., revision: _Optional[str] = ...) -> None: ...

class ResyncSspsRequest(_message.Message):
    __slots__ = ("ssp_id",)
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    ssp_id: str
    def __init__(self, ssp_id: _Optional[str] = ...) -> None: ...

class ResyncSspsResponse(_message.Message):
    __slots__ = ("ssp_ids",)
    SSP_IDS_FIELD_NUMBER: _ClassVar[int]
    ssp_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ssp_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("id", "source", "tables", "records", "reason", "at_ms", "attempts", "stamp", "size")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    STAMP_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    id: int
    source: str
    tables: _containers.RepeatedScalarFieldContainer[str]
    records: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    at_ms: int
    attempts: int
    stamp: int
    size: int
    def __init__(self, id: _Optional[int] = ..., source: _Optional[str] = ..., tables: _Optional[_Iterable[str]] = ..., records: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., at_ms: _Optional[int] = ..., attempts: _Optional[int] = ..., stamp: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("after_id", "limit")
    AFTER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after_id: int
    limit: int
    def __init__(self, after_id: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("letters", "total", "forgotten")
    LETTERS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    total: int
    forgotten: int
    def __init__(self, letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., total: _Optional[int] = ..., forgotten: _Optional[int] = ...) -> None: ...

class GetDeadLetterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class GetDeadLetterResponse(_message.Message):
    __slots__ = ("letter", "content")
    LETTER_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    letter: DeadLetter
    content: str
    def __init__(self, letter: _Optional[_Union[DeadLetter, _Mapping]] = ..., content: _Optional[str] = ...) -> None: ...

class RetryDeadLetterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class RetryDeadLetterResponse(_message.Message):
    __slots__ = ("applied", "failed", "revision")
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    applied: int
    failed: int
    revision: str
    def __init__(self, applied: _Optional[int] = ..., failed: _Optional[int] = ..., revision: _Optional[str] = ...) -> None: ...

class DropDeadLetterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class DropDeadLetterResponse(_message.Message):
    __slots__ = ("dropped",)
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    dropped: int
    def __init__(self, dropped: _Optional[int] = ...) -> None: ...

class GetReplicaRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetReplicaResponse(_message.Message):
    __slots__ = ("engine", "store_id", "schema_revision", "head", "floor", "log_floor_seq", "log_entries", "log_bytes", "disk_bytes", "tables", "pins", "snapshots", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_REVISION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    LOG_FLOOR_SEQ_FIELD_NUMBER: _ClassVar[int]
    LOG_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    engine: str
    store_id: str
    schema_revision: str
    head: str
    floor: str
    log_floor_seq: int
    log_entries: int
    log_bytes: int
    disk_bytes: int
    tables: _containers.RepeatedCompositeFieldContainer[TableStatus]
    pins: _containers.RepeatedCompositeFieldContainer[PinStatus]
    snapshots: _containers.RepeatedCompositeFieldContainer[SnapshotStatus]
    metrics: _containers.ScalarMap[str, float]
    def __init__(self, engine: _Optional[str] = ..., store_id: _Optional[str] = ..., schema_revision: _Optional[str] = ..., head: _Optional[str] = ..., floor: _Optional[str] = ..., log_floor_seq: _Optional[int] = ..., log_entries: _Optional[int] = ..., log_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., tables: _Optional[_Iterable[_Union[TableStatus, _Mapping]]] = ..., pins: _Optional[_Iterable[_Union[PinStatus, _Mapping]]] = ..., snapshots: _Optional[_Iterable[_Union[SnapshotStatus, _Mapping]]] = ..., metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...

class PinStatus(_message.Message):
    __slots__ = ("owner", "at_seq", "ttl_ms")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    AT_SEQ_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    owner: str
    at_seq: int
    ttl_ms: int
    def __init__(self, owner: _Optional[str] = ..., at_seq: _Optional[int] = ..., ttl_ms: _Optional[int] = ...) -> None: ...

class SnapshotStatus(_message.Message):
    __slots__ = ("name", "head_seq", "at_ms", "bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    head_seq: int
    at_ms: int
    bytes: int
    def __init__(self, name: _Optional[str] = ..., head_seq: _Optional[int] = ..., at_ms: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class CollectGarbageRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CollectGarbageResponse(_message.Message):
    __slots__ = ("versions", "log_entries", "floor", "log_floor_seq", "seconds")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    LOG_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    LOG_FLOOR_SEQ_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    versions: int
    log_entries: int
    floor: str
    log_floor_seq: int
    seconds: float
    def __init__(self, versions: _Optional[int] = ..., log_entries: _Optional[int] = ..., floor: _Optional[str] = ..., log_floor_seq: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SspStatus(_message.Message):
    __slots__ = ("id", "http_url", "grpc_address", "state", "views", "cpu_ratio", "memory_bytes", "heartbeat_age_seconds", "applied_seq", "written_seq", "version", "incarnation", "env", "uptime_seconds", "draining", "frozen", "lag_seconds", "http_only", "memory_bytes_max")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    HTTP_URL_FIELD_NUMBER: _ClassVar[int]
    GRPC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    CPU_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_SEQ_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HTTP_ONLY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    id: str
    http_url: str
    grpc_address: str
    state: str
    views: int
    cpu_ratio: float
    memory_bytes: int
    heartbeat_age_seconds: float
    applied_seq: int
    written_seq: int
    version: str
    incarnation: int
    env: _containers.ScalarMap[str, str]
    uptime_seconds: float
    draining: bool
    frozen: bool
    lag_seconds: float
    http_only: bool
    memory_bytes_max: int
    def __init__(self, id: _Optional[str] = ..., http_url: _Optional[str] = ..., grpc_address: _Optional[str] = ..., state: _Optional[str] = ..., views: _Optional[int] = ..., cpu_ratio: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., heartbeat_age_seconds: _Optional[float] = ..., applied_seq: _Optional[int] = ..., written_seq: _Optional[int] = ..., version: _Optional[str] = ..., incarnation: _Optional[int] = ..., env: _Optional[_Mapping[str, str]] = ..., uptime_seconds: _Optional[float] = ..., draining: _Optional[bool] = ..., frozen: _Optional[bool] = ..., lag_seconds: _Optional[float] = ..., http_only: _Optional[bool] = ..., memory_bytes_max: _Optional[int] = ...) -> None: ...

class TableStatus(_message.Message):
    __slots__ = ("name", "rows", "captured")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows: int
    captured: bool
    def __init__(self, name: _Optional[str] = ..., rows: _Optional[int] = ..., captured: _Optional[bool] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("service", "id", "state", "version", "uptime_seconds", "store_id", "epoch", "head_seq", "captured_stamp", "ssps", "tables", "views", "namespace", "database", "env", "metrics", "detail", "grpc_address", "distributions", "lag", "backends", "ref_mode")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_STAMP_FIELD_NUMBER: _ClassVar[int]
    SSPS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    GRPC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    REF_MODE_FIELD_NUMBER: _ClassVar[int]
    service: str
    id: str
    state: str
    version: str
    uptime_seconds: float
    store_id: str
    epoch: int
    head_seq: int
    captured_stamp: int
    ssps: _containers.RepeatedCompositeFieldContainer[SspStatus]
    tables: _containers.RepeatedCompositeFieldContainer[TableStatus]
    views: int
    namespace: str
    database: str
    env: _containers.ScalarMap[str, str]
    metrics: _containers.ScalarMap[str, float]
    detail: str
    grpc_address: str
    distributions: _containers.RepeatedCompositeFieldContainer[Distribution]
    lag: LagStatus
    backends: _containers.RepeatedCompositeFieldContainer[BackendStatus]
    ref_mode: str
    def __init__(self, service: _Optional[str] = ..., id: _Optional[str] = ..., state: _Optional[str] = ..., version: _Optional[str] = ..., uptime_seconds: _Optional[float] = ..., store_id: _Optional[str] = ..., epoch: _Optional[int] = ..., head_seq: _Optional[int] = ..., captured_stamp: _Optional[int] = ..., ssps: _Optional[_Iterable[_Union[SspStatus, _Mapping]]] = ..., tables: _Optional[_Iterable[_Union[TableStatus, _Mapping]]] = ..., views: _Optional[int] = ..., namespace: _Optional[str] = ..., database: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., detail: _Optional[str] = ..., grpc_address: _Optional[str] = ..., distributions: _Optional[_Iterable[_Union[Distribution, _Mapping]]] = ..., lag: _Optional[_Union[LagStatus, _Mapping]] = ..., backends: _Optional[_Iterable[_Union[BackendStatus, _Mapping]]] = ..., ref_mode: _Optional[str] = ...) -> None: ...

class BackendStatus(_message.Message):
    __slots__ = ("name", "url", "table", "state", "healthcheck", "checked_age_seconds", "healthy_age_seconds", "response_seconds", "detail", "port", "env", "breaker", "runners", "running", "last_error", "last_error_age_seconds", "jobs")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class JobsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HEALTHCHECK_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    RUNNERS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    table: str
    state: str
    healthcheck: str
    checked_age_seconds: float
    healthy_age_seconds: float
    response_seconds: float
    detail: str
    port: int
    env: _containers.ScalarMap[str, str]
    breaker: str
    runners: int
    running: int
    last_error: str
    last_error_age_seconds: float
    jobs: _containers.ScalarMap[str, int]
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., table: _Optional[str] = ..., state: _Optional[str] = ..., healthcheck: _Optional[str] = ..., checked_age_seconds: _Optional[float] = ..., healthy_age_seconds: _Optional[float] = ..., response_seconds: _Optional[float] = ..., detail: _Optional[str] = ..., port: _Optional[int] = ..., env: _Optional[_Mapping[str, str]] = ..., breaker: _Optional[str] = ..., runners: _Optional[int] = ..., running: _Optional[int] = ..., last_error: _Optional[str] = ..., last_error_age_seconds: _Optional[float] = ..., jobs: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("name", "labels", "bounds", "counts", "sum")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    bounds: _containers.RepeatedScalarFieldContainer[float]
    counts: _containers.RepeatedScalarFieldContainer[int]
    sum: float
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., bounds: _Optional[_Iterable[float]] = ..., counts: _Optional[_Iterable[int]] = ..., sum: _Optional[float] = ...) -> None: ...

class LagStatus(_message.Message):
    __slots__ = ("interval_ms", "turn", "age_seconds", "stored_seconds", "captured_seconds", "applied_seconds", "written_seconds", "detail")
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STORED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    interval_ms: int
    turn: int
    age_seconds: float
    stored_seconds: float
    captured_seconds: float
    applied_seconds: float
    written_seconds: float
    detail: str
    def __init__(self, interval_ms: _Optional[int] = ..., turn: _Optional[int] = ..., age_seconds: _Optional[float] = ..., stored_seconds: _Optional[float] = ..., captured_seconds: _Optional[float] = ..., applied_seconds: _Optional[float] = ..., written_seconds: _Optional[float] = ..., detail: _Optional[str] = ...) -> None: ...

class BarrierRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BarrierResponse(_message.Message):
    __slots__ = ("revision", "seq")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    revision: str
    seq: int
    def __init__(self, revision: _Optional[str] = ..., seq: _Optional[int] = ...) -> None: ...
