from sp00ky.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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

class WhyDecider(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WHY_DECIDER_UNSPECIFIED: _ClassVar[WhyDecider]
    WHY_DECIDER_CONDITIONS: _ClassVar[WhyDecider]
    WHY_DECIDER_NESTED: _ClassVar[WhyDecider]
    WHY_DECIDER_TERM: _ClassVar[WhyDecider]
    WHY_DECIDER_PERMISSION: _ClassVar[WhyDecider]
    WHY_DECIDER_FROM: _ClassVar[WhyDecider]
    WHY_DECIDER_MISSING: _ClassVar[WhyDecider]
    WHY_DECIDER_WINDOW: _ClassVar[WhyDecider]
    WHY_DECIDER_ROWS: _ClassVar[WhyDecider]
    WHY_DECIDER_UNKNOWN: _ClassVar[WhyDecider]
VIEW_STATE_UNSPECIFIED: ViewState
VIEW_STATE_PENDING: ViewState
VIEW_STATE_LIVE: ViewState
VIEW_STATE_LAGGING: ViewState
VIEW_STATE_FAILED: ViewState
VIEW_MODE_UNSPECIFIED: ViewMode
VIEW_MODE_INCREMENTAL: ViewMode
VIEW_MODE_REEVALUATED: ViewMode
WHY_DECIDER_UNSPECIFIED: WhyDecider
WHY_DECIDER_CONDITIONS: WhyDecider
WHY_DECIDER_NESTED: WhyDecider
WHY_DECIDER_TERM: WhyDecider
WHY_DECIDER_PERMISSION: WhyDecider
WHY_DECIDER_FROM: WhyDecider
WHY_DECIDER_MISSING: WhyDecider
WHY_DECIDER_WINDOW: WhyDecider
WHY_DECIDER_ROWS: WhyDecider
WHY_DECIDER_UNKNOWN: WhyDecider

class RegisterViewRequest(_message.Message):
    __slots__ = ("spec", "params_json", "for_user")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PARAMS_JSON_FIELD_NUMBER: _ClassVar[int]
    FOR_USER_FIELD_NUMBER: _ClassVar[int]
    spec: _common_pb2.ViewSpec
    params_json: str
    for_user: bool
    def __init__(self, spec: _Optional[_Union[_common_pb2.ViewSpec, _Mapping]] = ..., params_json: _Optional[str] = ..., for_user: _Optional[bool] = ...) -> None: ...

class RegisterViewResponse(_message.Message):
    __slots__ = ("query_id", "ssp_id", "ssp_url", "assigned_at", "revision", "warnings")
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    SSP_URL_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_AT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    query_id: str
    ssp_id: str
    ssp_url: str
    assigned_at: int
    revision: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, query_id: _Optional[str] = ..., ssp_id: _Optional[str] = ..., ssp_url: _Optional[str] = ..., assigned_at: _Optional[int] = ..., revision: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class UnregisterViewRequest(_message.Message):
    __slots__ = ("key", "client_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    client_id: str
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., client_id: _Optional[str] = ...) -> None: ...

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
    consistency: _common_pb2.Consistency
    revision: str
    rows: bool
    json: bool
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, str]] = ..., revision: _Optional[str] = ..., rows: _Optional[bool] = ..., json: _Optional[bool] = ...) -> None: ...

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
    __slots__ = ("key", "revision", "hash", "state", "mode", "members", "rows", "error", "ssp_id", "rows_json", "registered_seq")
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
    REGISTERED_SEQ_FIELD_NUMBER: _ClassVar[int]
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
    registered_seq: int
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., revision: _Optional[str] = ..., hash: _Optional[str] = ..., state: _Optional[_Union[ViewState, str]] = ..., mode: _Optional[_Union[ViewMode, str]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., rows: _Optional[bytes] = ..., error: _Optional[str] = ..., ssp_id: _Optional[str] = ..., rows_json: _Optional[str] = ..., registered_seq: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("surql", "params_json", "auth")
    SURQL_FIELD_NUMBER: _ClassVar[int]
    PARAMS_JSON_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    surql: str
    params_json: str
    auth: bytes
    def __init__(self, surql: _Optional[str] = ..., params_json: _Optional[str] = ..., auth: _Optional[bytes] = ...) -> None: ...

class ExplainStage(_message.Message):
    __slots__ = ("name", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ExplainViewResponse(_message.Message):
    __slots__ = ("mode", "reason", "stages", "tables", "shape", "nearest", "nearest_change", "warnings")
    MODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    NEAREST_CHANGE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    mode: ViewMode
    reason: str
    stages: _containers.RepeatedCompositeFieldContainer[ExplainStage]
    tables: _containers.RepeatedScalarFieldContainer[str]
    shape: str
    nearest: str
    nearest_change: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, mode: _Optional[_Union[ViewMode, str]] = ..., reason: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[ExplainStage, _Mapping]]] = ..., tables: _Optional[_Iterable[str]] = ..., shape: _Optional[str] = ..., nearest: _Optional[str] = ..., nearest_change: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class GetDependenciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ViewDependencies(_message.Message):
    __slots__ = ("key", "tables", "any_table", "records", "record_count")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    ANY_TABLE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    RECORD_COUNT_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    tables: _containers.RepeatedScalarFieldContainer[str]
    any_table: bool
    records: _containers.RepeatedScalarFieldContainer[str]
    record_count: int
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., tables: _Optional[_Iterable[str]] = ..., any_table: _Optional[bool] = ..., records: _Optional[_Iterable[str]] = ..., record_count: _Optional[int] = ...) -> None: ...

class GetDependenciesResponse(_message.Message):
    __slots__ = ("views", "tables_held")
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    TABLES_HELD_FIELD_NUMBER: _ClassVar[int]
    views: _containers.RepeatedCompositeFieldContainer[ViewDependencies]
    tables_held: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, views: _Optional[_Iterable[_Union[ViewDependencies, _Mapping]]] = ..., tables_held: _Optional[_Iterable[str]] = ...) -> None: ...

class WhyViewRequest(_message.Message):
    __slots__ = ("key", "record", "for_user")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    FOR_USER_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    record: str
    for_user: bool
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., record: _Optional[str] = ..., for_user: _Optional[bool] = ...) -> None: ...

class WhyValue(_message.Message):
    __slots__ = ("text", "value", "through")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    text: str
    value: str
    through: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, text: _Optional[str] = ..., value: _Optional[str] = ..., through: _Optional[_Iterable[str]] = ...) -> None: ...

class WhyTerm(_message.Message):
    __slots__ = ("text", "origin", "holds", "values")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    text: str
    origin: str
    holds: bool
    values: _containers.RepeatedCompositeFieldContainer[WhyValue]
    def __init__(self, text: _Optional[str] = ..., origin: _Optional[str] = ..., holds: _Optional[bool] = ..., values: _Optional[_Iterable[_Union[WhyValue, _Mapping]]] = ...) -> None: ...

class WhyKey(_message.Message):
    __slots__ = ("text", "value", "boundary")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BOUNDARY_FIELD_NUMBER: _ClassVar[int]
    text: str
    value: str
    boundary: str
    def __init__(self, text: _Optional[str] = ..., value: _Optional[str] = ..., boundary: _Optional[str] = ...) -> None: ...

class WhyWindow(_message.Message):
    __slots__ = ("rank", "passing", "start", "limit", "boundary", "order")
    RANK_FIELD_NUMBER: _ClassVar[int]
    PASSING_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BOUNDARY_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    rank: int
    passing: int
    start: int
    limit: int
    boundary: str
    order: _containers.RepeatedCompositeFieldContainer[WhyKey]
    def __init__(self, rank: _Optional[int] = ..., passing: _Optional[int] = ..., start: _Optional[int] = ..., limit: _Optional[int] = ..., boundary: _Optional[str] = ..., order: _Optional[_Iterable[_Union[WhyKey, _Mapping]]] = ...) -> None: ...

class WhyViewResponse(_message.Message):
    __slots__ = ("key", "revision", "ssp_id", "record", "in_view", "position", "decider", "sentence", "terms", "window", "below")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    IN_VIEW_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DECIDER_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    revision: str
    ssp_id: str
    record: str
    in_view: bool
    position: int
    decider: WhyDecider
    sentence: str
    terms: _containers.RepeatedCompositeFieldContainer[WhyTerm]
    window: WhyWindow
    below: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., revision: _Optional[str] = ..., ssp_id: _Optional[str] = ..., record: _Optional[str] = ..., in_view: _Optional[bool] = ..., position: _Optional[int] = ..., decider: _Optional[_Union[WhyDecider, str]] = ..., sentence: _Optional[str] = ..., terms: _Optional[_Iterable[_Union[WhyTerm, _Mapping]]] = ..., window: _Optional[_Union[WhyWindow, _Mapping]] = ..., below: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class LocateViewRequest(_message.Message):
    __slots__ = ("key", "at_least")
    KEY_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    at_least: str
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., at_least: _Optional[str] = ...) -> None: ...

class LocateViewResponse(_message.Message):
    __slots__ = ("ssp_id", "grpc_address")
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    GRPC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ssp_id: str
    grpc_address: str
    def __init__(self, ssp_id: _Optional[str] = ..., grpc_address: _Optional[str] = ...) -> None: ...

class WatchViewsRequest(_message.Message):
    __slots__ = ("opened", "closed")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    opened: WatchOpened
    closed: WatchClosed
    def __init__(self, opened: _Optional[_Union[WatchOpened, _Mapping]] = ..., closed: _Optional[_Union[WatchClosed, _Mapping]] = ...) -> None: ...

class WatchOpened(_message.Message):
    __slots__ = ("watch_id", "key", "rows", "at_least_seq")
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    watch_id: int
    key: _common_pb2.ViewKey
    rows: bool
    at_least_seq: int
    def __init__(self, watch_id: _Optional[int] = ..., key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., rows: _Optional[bool] = ..., at_least_seq: _Optional[int] = ...) -> None: ...

class WatchClosed(_message.Message):
    __slots__ = ("watch_id",)
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    watch_id: int
    def __init__(self, watch_id: _Optional[int] = ...) -> None: ...

class WatchViewsResponse(_message.Message):
    __slots__ = ("shown", "changed", "ended", "progress")
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    shown: ResultShown
    changed: ResultChanged
    ended: WatchEnded
    progress: WatchProgress
    def __init__(self, shown: _Optional[_Union[ResultShown, _Mapping]] = ..., changed: _Optional[_Union[ResultChanged, _Mapping]] = ..., ended: _Optional[_Union[WatchEnded, _Mapping]] = ..., progress: _Optional[_Union[WatchProgress, _Mapping]] = ...) -> None: ...

class ResultState(_message.Message):
    __slots__ = ("revision", "hash", "state", "mode", "error", "registered_seq")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_SEQ_FIELD_NUMBER: _ClassVar[int]
    revision: str
    hash: str
    state: ViewState
    mode: ViewMode
    error: str
    registered_seq: int
    def __init__(self, revision: _Optional[str] = ..., hash: _Optional[str] = ..., state: _Optional[_Union[ViewState, str]] = ..., mode: _Optional[_Union[ViewMode, str]] = ..., error: _Optional[str] = ..., registered_seq: _Optional[int] = ...) -> None: ...

class ResultShown(_message.Message):
    __slots__ = ("watch_id", "state", "members", "rows_json", "single")
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    SINGLE_FIELD_NUMBER: _ClassVar[int]
    watch_id: int
    state: ResultState
    members: _containers.RepeatedCompositeFieldContainer[Member]
    rows_json: _containers.RepeatedScalarFieldContainer[str]
    single: bool
    def __init__(self, watch_id: _Optional[int] = ..., state: _Optional[_Union[ResultState, _Mapping]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., rows_json: _Optional[_Iterable[str]] = ..., single: _Optional[bool] = ...) -> None: ...

class ResultChanged(_message.Message):
    __slots__ = ("watch_id", "from_revision", "state", "removed", "added", "updated", "rows")
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    watch_id: int
    from_revision: str
    state: ResultState
    removed: _containers.RepeatedCompositeFieldContainer[Member]
    added: _containers.RepeatedCompositeFieldContainer[PlacedMember]
    updated: _containers.RepeatedCompositeFieldContainer[PlacedMember]
    rows: _containers.RepeatedCompositeFieldContainer[RowSplice]
    def __init__(self, watch_id: _Optional[int] = ..., from_revision: _Optional[str] = ..., state: _Optional[_Union[ResultState, _Mapping]] = ..., removed: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., added: _Optional[_Iterable[_Union[PlacedMember, _Mapping]]] = ..., updated: _Optional[_Iterable[_Union[PlacedMember, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[RowSplice, _Mapping]]] = ...) -> None: ...

class PlacedMember(_message.Message):
    __slots__ = ("at", "member")
    AT_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    at: int
    member: Member
    def __init__(self, at: _Optional[int] = ..., member: _Optional[_Union[Member, _Mapping]] = ...) -> None: ...

class RowSplice(_message.Message):
    __slots__ = ("at", "removed", "rows_json")
    AT_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    at: int
    removed: int
    rows_json: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, at: _Optional[int] = ..., removed: _Optional[int] = ..., rows_json: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchEnded(_message.Message):
    __slots__ = ("watch_id", "reason")
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    watch_id: int
    reason: str
    def __init__(self, watch_id: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class WatchProgress(_message.Message):
    __slots__ = ("revision", "unsettled")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    revision: str
    unsettled: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, revision: _Optional[str] = ..., unsettled: _Optional[_Iterable[int]] = ...) -> None: ...
