from sp00ky.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadPageRequest(_message.Message):
    __slots__ = ("load",)
    LOAD_FIELD_NUMBER: _ClassVar[int]
    load: Load
    def __init__(self, load: _Optional[_Union[Load, _Mapping]] = ...) -> None: ...

class ReadPageResponse(_message.Message):
    __slots__ = ("page",)
    PAGE_FIELD_NUMBER: _ClassVar[int]
    page: Page
    def __init__(self, page: _Optional[_Union[Page, _Mapping]] = ...) -> None: ...

class ReplicateRequest(_message.Message):
    __slots__ = ("hello", "load", "loaded", "ack", "heartbeat")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    load: Load
    loaded: Loaded
    ack: Ack
    heartbeat: Heartbeat
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., load: _Optional[_Union[Load, _Mapping]] = ..., loaded: _Optional[_Union[Loaded, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class ReplicateResponse(_message.Message):
    __slots__ = ("welcome", "page", "entries", "checkpoint", "rebootstrap")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    REBOOTSTRAP_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    page: Page
    entries: Entries
    checkpoint: Checkpoint
    rebootstrap: Rebootstrap
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., page: _Optional[_Union[Page, _Mapping]] = ..., entries: _Optional[_Union[Entries, _Mapping]] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., rebootstrap: _Optional[_Union[Rebootstrap, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("ssp_id", "http_url", "grpc_address", "version", "env", "store_id", "applied_seq", "incarnation", "credit", "credit_entries", "credit_bytes")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    HTTP_URL_FIELD_NUMBER: _ClassVar[int]
    GRPC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    ssp_id: str
    http_url: str
    grpc_address: str
    version: str
    env: _containers.ScalarMap[str, str]
    store_id: str
    applied_seq: int
    incarnation: int
    credit: int
    credit_entries: int
    credit_bytes: int
    def __init__(self, ssp_id: _Optional[str] = ..., http_url: _Optional[str] = ..., grpc_address: _Optional[str] = ..., version: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., store_id: _Optional[str] = ..., applied_seq: _Optional[int] = ..., incarnation: _Optional[int] = ..., credit: _Optional[int] = ..., credit_entries: _Optional[int] = ..., credit_bytes: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("store_id", "epoch", "incarnation", "resume", "at_seq", "views", "namespace", "database", "heartbeat_interval_ms")
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    AT_SEQ_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    store_id: str
    epoch: int
    incarnation: int
    resume: bool
    at_seq: int
    views: _containers.RepeatedCompositeFieldContainer[AssignedView]
    namespace: str
    database: str
    heartbeat_interval_ms: int
    def __init__(self, store_id: _Optional[str] = ..., epoch: _Optional[int] = ..., incarnation: _Optional[int] = ..., resume: _Optional[bool] = ..., at_seq: _Optional[int] = ..., views: _Optional[_Iterable[_Union[AssignedView, _Mapping]]] = ..., namespace: _Optional[str] = ..., database: _Optional[str] = ..., heartbeat_interval_ms: _Optional[int] = ...) -> None: ...

class AssignedView(_message.Message):
    __slots__ = ("spec", "fence_ssp_ids", "assigned_seq", "handing_over_ssp_id")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    FENCE_SSP_IDS_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_SEQ_FIELD_NUMBER: _ClassVar[int]
    HANDING_OVER_SSP_ID_FIELD_NUMBER: _ClassVar[int]
    spec: _common_pb2.ViewSpec
    fence_ssp_ids: _containers.RepeatedScalarFieldContainer[str]
    assigned_seq: int
    handing_over_ssp_id: str
    def __init__(self, spec: _Optional[_Union[_common_pb2.ViewSpec, _Mapping]] = ..., fence_ssp_ids: _Optional[_Iterable[str]] = ..., assigned_seq: _Optional[int] = ..., handing_over_ssp_id: _Optional[str] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("load_id", "table", "at_seq", "after_key", "rows_max")
    LOAD_ID_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    AT_SEQ_FIELD_NUMBER: _ClassVar[int]
    AFTER_KEY_FIELD_NUMBER: _ClassVar[int]
    ROWS_MAX_FIELD_NUMBER: _ClassVar[int]
    load_id: int
    table: str
    at_seq: int
    after_key: bytes
    rows_max: int
    def __init__(self, load_id: _Optional[int] = ..., table: _Optional[str] = ..., at_seq: _Optional[int] = ..., after_key: _Optional[bytes] = ..., rows_max: _Optional[int] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("key", "packed", "seq")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    packed: bytes
    seq: int
    def __init__(self, key: _Optional[bytes] = ..., packed: _Optional[bytes] = ..., seq: _Optional[int] = ...) -> None: ...

class Page(_message.Message):
    __slots__ = ("load_id", "table", "rows", "next_after_key")
    LOAD_ID_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_AFTER_KEY_FIELD_NUMBER: _ClassVar[int]
    load_id: int
    table: str
    rows: _containers.RepeatedCompositeFieldContainer[Row]
    next_after_key: bytes
    def __init__(self, load_id: _Optional[int] = ..., table: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[Row, _Mapping]]] = ..., next_after_key: _Optional[bytes] = ...) -> None: ...

class Loaded(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Entries(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_common_pb2.Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[_common_pb2.Entry, _Mapping]]] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("head_seq", "at_ms")
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    head_seq: int
    at_ms: int
    def __init__(self, head_seq: _Optional[int] = ..., at_ms: _Optional[int] = ...) -> None: ...

class Rebootstrap(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("applied_seq", "written_seq", "frames")
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_SEQ_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    applied_seq: int
    written_seq: int
    frames: int
    def __init__(self, applied_seq: _Optional[int] = ..., written_seq: _Optional[int] = ..., frames: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("views", "cpu_ratio", "memory_bytes", "applied_seq", "written_seq", "edges_written", "views_failed", "memory_bytes_max")
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    CPU_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_SEQ_FIELD_NUMBER: _ClassVar[int]
    EDGES_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FAILED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    views: int
    cpu_ratio: float
    memory_bytes: int
    applied_seq: int
    written_seq: int
    edges_written: int
    views_failed: int
    memory_bytes_max: int
    def __init__(self, views: _Optional[int] = ..., cpu_ratio: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., applied_seq: _Optional[int] = ..., written_seq: _Optional[int] = ..., edges_written: _Optional[int] = ..., views_failed: _Optional[int] = ..., memory_bytes_max: _Optional[int] = ...) -> None: ...
