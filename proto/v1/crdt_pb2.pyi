from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CrdtKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CRDT_KIND_UNSPECIFIED: _ClassVar[CrdtKind]
    CRDT_KIND_TEXT: _ClassVar[CrdtKind]
    CRDT_KIND_MAP: _ClassVar[CrdtKind]
    CRDT_KIND_LIST: _ClassVar[CrdtKind]
    CRDT_KIND_COUNTER: _ClassVar[CrdtKind]
CRDT_KIND_UNSPECIFIED: CrdtKind
CRDT_KIND_TEXT: CrdtKind
CRDT_KIND_MAP: CrdtKind
CRDT_KIND_LIST: CrdtKind
CRDT_KIND_COUNTER: CrdtKind

class ApplyUpdateRequest(_message.Message):
    __slots__ = ("table", "record_id", "field", "update", "peer", "token")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    table: str
    record_id: str
    field: str
    update: bytes
    peer: str
    token: str
    def __init__(self, table: _Optional[str] = ..., record_id: _Optional[str] = ..., field: _Optional[str] = ..., update: _Optional[bytes] = ..., peer: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class ApplyUpdateResponse(_message.Message):
    __slots__ = ("rev",)
    REV_FIELD_NUMBER: _ClassVar[int]
    rev: int
    def __init__(self, rev: _Optional[int] = ...) -> None: ...

class GetDocumentRequest(_message.Message):
    __slots__ = ("table", "record_id", "field", "version", "token")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    table: str
    record_id: str
    field: str
    version: bytes
    token: str
    def __init__(self, table: _Optional[str] = ..., record_id: _Optional[str] = ..., field: _Optional[str] = ..., version: _Optional[bytes] = ..., token: _Optional[str] = ...) -> None: ...

class GetDocumentResponse(_message.Message):
    __slots__ = ("rev", "kind", "update", "version", "value_json")
    REV_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    rev: int
    kind: CrdtKind
    update: bytes
    version: bytes
    value_json: str
    def __init__(self, rev: _Optional[int] = ..., kind: _Optional[_Union[CrdtKind, str]] = ..., update: _Optional[bytes] = ..., version: _Optional[bytes] = ..., value_json: _Optional[str] = ...) -> None: ...
