from sp00ky.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetNodeRequest(_message.Message):
    __slots__ = ("table", "view", "prefix")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    table: str
    view: _common_pb2.ViewKey
    prefix: str
    def __init__(self, table: _Optional[str] = ..., view: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., prefix: _Optional[str] = ...) -> None: ...

class GetNodeResponse(_message.Message):
    __slots__ = ("prefix", "revision", "rows", "hash", "children")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    revision: str
    rows: int
    hash: str
    children: _containers.RepeatedCompositeFieldContainer[TreeNode]
    def __init__(self, prefix: _Optional[str] = ..., revision: _Optional[str] = ..., rows: _Optional[int] = ..., hash: _Optional[str] = ..., children: _Optional[_Iterable[_Union[TreeNode, _Mapping]]] = ...) -> None: ...

class TreeNode(_message.Message):
    __slots__ = ("prefix", "rows", "hash")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    rows: int
    hash: str
    def __init__(self, prefix: _Optional[str] = ..., rows: _Optional[int] = ..., hash: _Optional[str] = ...) -> None: ...

class VerifyTablesRequest(_message.Message):
    __slots__ = ("tables", "repair")
    TABLES_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    tables: _containers.RepeatedScalarFieldContainer[str]
    repair: bool
    def __init__(self, tables: _Optional[_Iterable[str]] = ..., repair: _Optional[bool] = ...) -> None: ...

class VerifyTablesResponse(_message.Message):
    __slots__ = ("tables", "revision")
    TABLES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    tables: _containers.RepeatedCompositeFieldContainer[VerifiedTable]
    revision: str
    def __init__(self, tables: _Optional[_Iterable[_Union[VerifiedTable, _Mapping]]] = ..., revision: _Optional[str] = ...) -> None: ...

class VerifiedTable(_message.Message):
    __slots__ = ("name", "database_rows", "replica_rows", "differing", "repaired", "differences", "nodes", "read_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATABASE_ROWS_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ROWS_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    database_rows: int
    replica_rows: int
    differing: int
    repaired: int
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    nodes: int
    read_bytes: int
    def __init__(self, name: _Optional[str] = ..., database_rows: _Optional[int] = ..., replica_rows: _Optional[int] = ..., differing: _Optional[int] = ..., repaired: _Optional[int] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ..., nodes: _Optional[int] = ..., read_bytes: _Optional[int] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("what", "id", "expected", "found")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    what: str
    id: str
    expected: str
    found: str
    def __init__(self, what: _Optional[str] = ..., id: _Optional[str] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ...) -> None: ...

class VerifyViewsRequest(_message.Message):
    __slots__ = ("views", "repair")
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    views: _containers.RepeatedCompositeFieldContainer[_common_pb2.ViewKey]
    repair: bool
    def __init__(self, views: _Optional[_Iterable[_Union[_common_pb2.ViewKey, _Mapping]]] = ..., repair: _Optional[bool] = ...) -> None: ...

class VerifyViewsResponse(_message.Message):
    __slots__ = ("views",)
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    views: _containers.RepeatedCompositeFieldContainer[VerifiedView]
    def __init__(self, views: _Optional[_Iterable[_Union[VerifiedView, _Mapping]]] = ...) -> None: ...

class VerifiedView(_message.Message):
    __slots__ = ("key", "ssp_id", "revision", "members", "edges", "differing_members", "differing_edges", "differences", "repairing", "skipped", "read_bytes")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SSP_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_EDGES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    REPAIRING_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.ViewKey
    ssp_id: str
    revision: str
    members: int
    edges: int
    differing_members: int
    differing_edges: int
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    repairing: bool
    skipped: str
    read_bytes: int
    def __init__(self, key: _Optional[_Union[_common_pb2.ViewKey, _Mapping]] = ..., ssp_id: _Optional[str] = ..., revision: _Optional[str] = ..., members: _Optional[int] = ..., edges: _Optional[int] = ..., differing_members: _Optional[int] = ..., differing_edges: _Optional[int] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ..., repairing: _Optional[bool] = ..., skipped: _Optional[str] = ..., read_bytes: _Optional[int] = ...) -> None: ...
