from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class RegisterSspRequest(_message.Message):
    __slots__ = ("ssp_id", "url", "version", "env", "secret")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    ssp_id: str
    url: str
    version: str
    env: _containers.ScalarMap[str, str]
    secret: str
    def __init__(self, ssp_id: _Optional[str] = ..., url: _Optional[str] = ..., version: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., secret: _Optional[str] = ...) -> None: ...

class RegisterSspResponse(_message.Message):
    __slots__ = ("snapshot_seq", "table_hashes", "epoch", "revision")
    class TableHashesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SNAPSHOT_SEQ_FIELD_NUMBER: _ClassVar[int]
    TABLE_HASHES_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    snapshot_seq: int
    table_hashes: _containers.ScalarMap[str, str]
    epoch: int
    revision: str
    def __init__(self, snapshot_seq: _Optional[int] = ..., table_hashes: _Optional[_Mapping[str, str]] = ..., epoch: _Optional[int] = ..., revision: _Optional[str] = ...) -> None: ...

class BeatSspRequest(_message.Message):
    __slots__ = ("ssp_id", "views", "cpu_ratio", "memory_bytes")
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    CPU_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ssp_id: str
    views: int
    cpu_ratio: float
    memory_bytes: int
    def __init__(self, ssp_id: _Optional[str] = ..., views: _Optional[int] = ..., cpu_ratio: _Optional[float] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class BeatSspResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
