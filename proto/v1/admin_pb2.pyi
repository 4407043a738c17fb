from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SspStatus(_message.Message):
    __slots__ = ("id", "http_url", "grpc_address", "state", "views", "cpu_ratio", "memory_bytes", "heartbeat_age_seconds", "applied_seq", "written_seq", "version", "incarnation", "env", "uptime_seconds")
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
    def __init__(self, id: _Optional[str] = ..., http_url: _Optional[str] = ..., grpc_address: _Optional[str] = ..., state: _Optional[str] = ..., views: _Optional[int] = ..., cpu_ratio: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., heartbeat_age_seconds: _Optional[float] = ..., applied_seq: _Optional[int] = ..., written_seq: _Optional[int] = ..., version: _Optional[str] = ..., incarnation: _Optional[int] = ..., env: _Optional[_Mapping[str, str]] = ..., uptime_seconds: _Optional[float] = ...) -> None: ...

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
    __slots__ = ("service", "id", "state", "version", "uptime_seconds", "store_id", "epoch", "head_seq", "captured_stamp", "ssps", "tables", "views", "namespace", "database", "env", "metrics", "detail", "grpc_address")
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
    def __init__(self, service: _Optional[str] = ..., id: _Optional[str] = ..., state: _Optional[str] = ..., version: _Optional[str] = ..., uptime_seconds: _Optional[float] = ..., store_id: _Optional[str] = ..., epoch: _Optional[int] = ..., head_seq: _Optional[int] = ..., captured_stamp: _Optional[int] = ..., ssps: _Optional[_Iterable[_Union[SspStatus, _Mapping]]] = ..., tables: _Optional[_Iterable[_Union[TableStatus, _Mapping]]] = ..., views: _Optional[int] = ..., namespace: _Optional[str] = ..., database: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., detail: _Optional[str] = ..., grpc_address: _Optional[str] = ...) -> None: ...

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
