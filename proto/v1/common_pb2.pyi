from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Op(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OP_UNSPECIFIED: _ClassVar[Op]
    OP_CREATE: _ClassVar[Op]
    OP_UPDATE: _ClassVar[Op]
    OP_DELETE: _ClassVar[Op]

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    CONSISTENCY_MINIMIZE_LATENCY: _ClassVar[Consistency]
    CONSISTENCY_AT_LEAST_AS_FRESH: _ClassVar[Consistency]
    CONSISTENCY_AT_EXACT_SNAPSHOT: _ClassVar[Consistency]
    CONSISTENCY_FULLY_CONSISTENT: _ClassVar[Consistency]
OP_UNSPECIFIED: Op
OP_CREATE: Op
OP_UPDATE: Op
OP_DELETE: Op
CONSISTENCY_UNSPECIFIED: Consistency
CONSISTENCY_MINIMIZE_LATENCY: Consistency
CONSISTENCY_AT_LEAST_AS_FRESH: Consistency
CONSISTENCY_AT_EXACT_SNAPSHOT: Consistency
CONSISTENCY_FULLY_CONSISTENT: Consistency

class Source(_message.Message):
    __slots__ = ("epoch", "stamp")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STAMP_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    stamp: int
    def __init__(self, epoch: _Optional[int] = ..., stamp: _Optional[int] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("table", "op", "key", "id", "packed", "json", "surql", "source", "idempotency_key", "traceparent")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    SURQL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    table: str
    op: Op
    key: bytes
    id: str
    packed: bytes
    json: str
    surql: str
    source: Source
    idempotency_key: str
    traceparent: str
    def __init__(self, table: _Optional[str] = ..., op: _Optional[_Union[Op, str]] = ..., key: _Optional[bytes] = ..., id: _Optional[str] = ..., packed: _Optional[bytes] = ..., json: _Optional[str] = ..., surql: _Optional[str] = ..., source: _Optional[_Union[Source, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("seq", "epoch", "txn_last", "at_ms", "change", "view_registered", "view_assigned", "view_unregistered", "ssp_joined", "view_released", "cut")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TXN_LAST_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    VIEW_REGISTERED_FIELD_NUMBER: _ClassVar[int]
    VIEW_ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    VIEW_UNREGISTERED_FIELD_NUMBER: _ClassVar[int]
    SSP_JOINED_FIELD_NUMBER: _ClassVar[int]
    VIEW_RELEASED_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    epoch: int
    txn_last: bool
    at_ms: int
    change: Change
    view_registered: ViewRegistered
    view_assigned: ViewAssigned
    view_unregistered: ViewUnregistered
    ssp_joined: SspJoined
    view_released: ViewReleased
    cut: bool
    def __init__(self, seq: _Optional[int] = ..., epoch: _Optional[int] = ..., txn_last: _Optional[bool] = ..., at_ms: _Optional[int] = ..., change: _Optional[_Union[Change, _Mapping]] = ..., view_registered: _Optional[_Union[ViewRegistered, _Mapping]] = ..., view_assigned: _Optional[_Union[ViewAssigned, _Mapping]] = ..., view_unregistered: _Optional[_Union[ViewUnregistered, _Mapping]] = ..., ssp_joined: _Optional[_Union[SspJoined, _Mapping]] = ..., view_released: _Optional[_Union[ViewReleased, _Mapping]] = ..., cut: _Optional[bool] = ...) -> None: ...

class ViewKey(_message.Message):
    __slots__ = ("id", "auth_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTH_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    auth_id: str
    def __init__(self, id: _Optional[str] = ..., auth_id: _Optional[str] = ...) -> None: ...

class ViewSpec(_message.Message):
    __slots__ = ("key", "surql", "params", "client_id", "ttl_ms", "format", "auth", "registered_seq", "by_row")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SURQL_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_SEQ_FIELD_NUMBER: _ClassVar[int]
    BY_ROW_FIELD_NUMBER: _ClassVar[int]
    key: ViewKey
    surql: str
    params: bytes
    client_id: str
    ttl_ms: int
    format: str
    auth: bytes
    registered_seq: int
    by_row: bool
    def __init__(self, key: _Optional[_Union[ViewKey, _Mapping]] = ..., surql: _Optional[str] = ..., params: _Optional[bytes] = ..., client_id: _Optional[str] = ..., ttl_ms: _Optional[int] = ..., format: _Optional[str] = ..., auth: _Optional[bytes] = ..., registered_seq: _Optional[int] = ..., by_row: _Optional[bool] = ...) -> None: ...

class ViewRegistered(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: ViewSpec
    def __init__(self, spec: _Optional[_Union[ViewSpec, _Mapping]] = ...) -> None: ...

class ViewAssigned(_message.Message):
    __slots__ = ("spec", "ssp_id", "fence_ssp_ids", "handing_over_ssp_id")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_SSP_IDS_FIELD_NUMBER: _ClassVar[int]
    HANDING_OVER_SSP_ID_FIELD_NUMBER: _ClassVar[int]
    spec: ViewSpec
    ssp_id: str
    fence_ssp_ids: _containers.RepeatedScalarFieldContainer[str]
    handing_over_ssp_id: str
    def __init__(self, spec: _Optional[_Union[ViewSpec, _Mapping]] = ..., ssp_id: _Optional[str] = ..., fence_ssp_ids: _Optional[_Iterable[str]] = ..., handing_over_ssp_id: _Optional[str] = ...) -> None: ...

class ViewReleased(_message.Message):
    __slots__ = ("key", "ssp_id", "assigned_seq")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_SEQ_FIELD_NUMBER: _ClassVar[int]
    key: ViewKey
    ssp_id: str
    assigned_seq: int
    def __init__(self, key: _Optional[_Union[ViewKey, _Mapping]] = ..., ssp_id: _Optional[str] = ..., assigned_seq: _Optional[int] = ...) -> None: ...

class ViewUnregistered(_message.Message):
    __slots__ = ("key", "reason")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    key: ViewKey
    reason: str
    def __init__(self, key: _Optional[_Union[ViewKey, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class SspJoined(_message.Message):
    __slots__ = ("ssp_id",)
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    ssp_id: str
    def __init__(self, ssp_id: _Optional[str] = ...) -> None: ...
