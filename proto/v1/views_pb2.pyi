from sp00ky.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    CONSISTENCY_MINIMIZE_LATENCY: _ClassVar[Consistency]
    CONSISTENCY_AT_LEAST_AS_FRESH: _ClassVar[Consistency]
    CONSISTENCY_AT_EXACT_SNAPSHOT: _ClassVar[Consistency]
    CONSISTENCY_FULLY_CONSISTENT: _ClassVar[Consistency]

class ViewState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VIEW_STATE_UNSPECIFIED: _ClassVar[ViewState]
    VIEW_STATE_PENDING: _ClassVar[ViewState]
    VIEW_STATE_LIVE: _ClassVar[ViewState]
    VIEW_STATE_LAGGING: _ClassVar[ViewState]
    VIEW_STATE_FAILED: _ClassVar[ViewState]

class ViewMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VIEW_MODE_UNSPECIFIED: _ClassVar[ViewMode]
    VIEW_MODE_INCREMENTAL: _ClassVar[ViewMode]
    VIEW_MODE_REEVALUATED: _ClassVar[ViewMode]
CONSISTENCY_UNSPECIFIED: Consistency
CONSISTENCY_MINIMIZE_LATENCY: Consistency
CONSISTENCY_AT_LEAST_AS_FRESH: Consistency
CONSISTENCY_AT_EXACT_SNAPSHOT: Consistency
CONSISTENCY_FULLY_CONSISTENT: Consistency
VIEW_STATE_UNSPECIFIED: ViewState
VIEW_STATE_PENDING: ViewState
VIEW_STATE_LIVE: ViewState
VIEW_STATE_LAGGING: ViewState
VIEW_STATE_FAILED: ViewState
VIEW_MODE_UNSPECIFIED: ViewMode
VIEW_MODE_INCREMENTAL: ViewMode
VIEW_MODE_REEVALUATED: ViewMode

class RegisterViewRequest(_message.Message):
    __slots__ = ("spec", "params_json")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PARAMS_JSON_FIELD_NUMBER: _ClassVar[int]
    spec: _common_pb2.ViewSpec
    params_json: str
    def __init__(self, spec: _Optional[_Union[_common_pb2.ViewSpec, _Mapping]] = ..., params_json: _Optional[str] = ...) -> None: ...

class RegisterViewResponse(_message.Message):
    __slots__ = ("query_id", "ssp_id", "ssp_url", "assigned_at", "revision")
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    SSP_URL_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_AT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    query_id: str
    ssp_id: str
    ssp_url: str
    assigned_at: int
    revision: str
    def __init__(self, query_id: _Optional[str] = ..., ssp_id: _Optional[str] = ..., ssp_url: _Optional[str] = ..., assigned_at: _Optional[int] = ..., revision: _Optional[str] = ...) -> None: ...

class UnregisterViewRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ...) -> None: ...

class UnregisterViewResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: str
    def __init__(self, revision: _Optional[str] = ...) -> None: ...

class GetViewRequest(_message.Message):
    __slots__ = ("key", "consistency", "revision", "rows", "json")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    consistency: Consistency
    revision: str
    rows: bool
    json: bool
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., revision: _Optional[str] = ..., rows: _Optional[bool] = ..., json: _Optional[bool] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("id", "version", "parent", "parent_rel")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PARENT_REL_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    parent: str
    parent_rel: str
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., parent: _Optional[str] = ..., parent_rel: _Optional[str] = ...) -> None: ...

class GetViewResponse(_message.Message):
    __slots__ = ("key", "revision", "hash", "state", "mode", "members", "rows", "error", "ssp_id", "rows_json")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    revision: str
    hash: str
    state: ViewState
    mode: ViewMode
    members: _containers.RepeatedCompositeFieldContainer[Member]
    rows: bytes
    error: str
    ssp_id: str
    rows_json: str
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., revision: _Optional[str] = ..., hash: _Optional[str] = ..., state: _Optional[_Union[ViewState, str]] = ..., mode: _Optional[_Union[ViewMode, str]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., rows: _Optional[bytes] = ..., error: _Optional[str] = ..., ssp_id: _Optional[str] = ..., rows_json: _Optional[str] = ...) -> None: ...

class ListViewsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ViewSummary(_message.Message):
    __slots__ = ("key", "surql", "state", "mode", "members", "ssp_id", "client_id", "reason", "hash", "revision", "ttl_ms")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SURQL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    surql: str
    state: ViewState
    mode: ViewMode
    members: int
    ssp_id: str
    client_id: str
    reason: str
    hash: str
    revision: str
    ttl_ms: int
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., surql: _Optional[str] = ..., state: _Optional[_Union[ViewState, str]] = ..., mode: _Optional[_Union[ViewMode, str]] = ..., members: _Optional[int] = ..., ssp_id: _Optional[str] = ..., client_id: _Optional[str] = ..., reason: _Optional[str] = ..., hash: _Optional[str] = ..., revision: _Optional[str] = ..., ttl_ms: _Optional[int] = ...) -> None: ...

class ListViewsResponse(_message.Message):
    __slots__ = ("views",)
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    views: _containers.RepeatedCompositeFieldContainer[ViewSummary]
    def __init__(self, views: _Optional[_Iterable[_Union[ViewSummary, _Mapping]]] = ...) -> None: ...

class ExplainViewRequest(_message.Message):
    __slots__ = ("surql", "params_json")
    SURQL_FIELD_NUMBER: _ClassVar[int]
    PARAMS_JSON_FIELD_NUMBER: _ClassVar[int]
    surql: str
    params_json: str
    def __init__(self, surql: _Optional[str] = ..., params_json: _Optional[str] = ...) -> None: ...

class ExplainStage(_message.Message):
    __slots__ = ("name", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ExplainViewResponse(_message.Message):
    __slots__ = ("mode", "reason", "stages", "tables", "shape")
    MODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    mode: ViewMode
    reason: str
    stages: _containers.RepeatedCompositeFieldContainer[ExplainStage]
    tables: _containers.RepeatedScalarFieldContainer[str]
    shape: str
    def __init__(self, mode: _Optional[_Union[ViewMode, str]] = ..., reason: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[ExplainStage, _Mapping]]] = ..., tables: _Optional[_Iterable[str]] = ..., shape: _Optional[str] = ...) -> None: ...
